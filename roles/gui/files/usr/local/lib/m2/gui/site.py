"""What the views share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

from flask import current_app

from gui.config import Config
from gui.overview import DayCount
from gui.reading import Reader


@dataclass(frozen=True)
class Site:
    """One stack's databases and who may see them."""

    config: Config
    reader: Reader
    count: DayCount = field(default_factory=DayCount)


def site() -> Site:
    """That of the request at hand."""
    return cast(Site, current_app.extensions["site"])
