"""What the page is told at its start: the databases, and its secrets."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Member:
    """One of the databases; `role` is what the stack file made it, whatever it does now."""

    name: str
    address: str
    role: str


@dataclass(frozen=True)
class Config:
    """A single database has no `backup`.

    `password` belongs to the user `admin` of the page, `database_password` to the database user `gui`.
    """

    stack: str
    region: str
    main: Member
    backup: Member | None
    carriers: tuple[str, ...]
    database_password: str = field(repr=False)
    password: str = field(repr=False)
    session_key: str = field(repr=False)

    @property
    def members(self) -> tuple[Member, ...]:
        return (self.main, self.backup) if self.backup else (self.main,)


def load(path: Path) -> Config:
    """The configuration that the bundle wrote. Raises OSError, ValueError, KeyError."""
    raw = json.loads(path.read_text())
    return Config(
        stack=raw["stack"],
        region=raw["region"],
        main=Member(**raw["main"], role="main"),
        backup=Member(**raw["backup"], role="backup") if raw["backup"] else None,
        carriers=tuple(raw["carriers"]),
        database_password=raw["database_password"],
        password=raw["password"],
        session_key=raw["session_key"],
    )
