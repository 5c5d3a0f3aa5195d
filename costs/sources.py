"""Which price list is used: the provider's own where there is access, of today or from the cache, else the snapshot."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from costs import aws, hetzner
from costs.prices import PriceList

SNAPSHOTS = Path(__file__).parent / "snapshots"
Document = dict[str, Any]


class PricesError(Exception):
    """A price list could not be had; the message says which, and why."""


@dataclass(frozen=True)
class Provider:
    """Where one provider's lists are, and how one is read. `fetch` is None without access to the provider."""

    snapshot: str
    read: Callable[[Document, bool], PriceList]
    fetch: Callable[[date], Document] | None = None


def load(provider: Provider, today: date, cache: Path) -> tuple[PriceList, str]:
    """The list to use, and a warning or nothing. Live prices are kept for the day in `cache`."""
    if provider.fetch is None:
        return _snapshot(provider), ""
    try:
        return provider.read(_cached(provider.fetch, cache / provider.snapshot, today), True), ""
    except PricesError as error:
        return _snapshot(provider), f"{error}; the snapshot in the repository is used instead."


def refresh(provider: Provider, today: date, folder: Path = SNAPSHOTS) -> PriceList:
    """Replace the snapshot by the provider's list of today. Raises PricesError and leaves it as it was."""
    if provider.fetch is None:
        raise PricesError(f"{provider.snapshot}: no access to the provider; see `scripts/prices refresh --help`")
    document = provider.fetch(today)
    fresh = _checked(provider, document)
    _write(folder / provider.snapshot, document)
    return fresh


def snapshot(name: str, folder: Path = SNAPSHOTS) -> Document:
    """The document in the repository. Raises PricesError."""
    try:
        return dict(json.loads((folder / name).read_text()))
    except (OSError, ValueError) as error:
        raise PricesError(f"{folder / name}: {error}") from None


def default_cache() -> Path:
    """Of the user (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "m2-prices"


def hetzner_provider(fetch: Callable[[date], Document] | None = None) -> Provider:
    return Provider(hetzner.SNAPSHOT, hetzner.price_list, fetch)


def aws_provider(fetch: Callable[[date], Document] | None = None) -> Provider:
    return Provider(aws.SNAPSHOT, aws.price_list, fetch)


def _snapshot(provider: Provider) -> PriceList:
    return _checked(provider, snapshot(provider.snapshot), live=False)


def _checked(provider: Provider, document: Document, live: bool = True) -> PriceList:
    try:
        return provider.read(document, live)
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise PricesError(f"{provider.snapshot}: not a price list ({type(error).__name__}: {error})") from None


def _cached(fetch: Callable[[date], Document], file: Path, today: date) -> Document:
    kept = _read(file)
    if kept.get("day") == str(today):
        return kept
    document = fetch(today)
    _write(file, document)
    return document


def _read(file: Path) -> Document:
    """Nothing when there is none, or a half-written one."""
    try:
        return dict(json.loads(file.read_text()))
    except (OSError, ValueError):
        return {}


def _write(file: Path, document: Mapping[str, Any]) -> None:
    """Whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    half = file.with_suffix(".new")
    half.write_text(json.dumps(document, indent=1) + "\n")
    half.replace(file)
