"""A provider's price list: where it comes from, of which day, and what a unit costs without VAT."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

EVERYWHERE = "*"
NAMES = {"hetzner": "Hetzner", "aws": "AWS"}
OLD_AFTER_DAYS = 90


class NotPricedError(LookupError):
    """The list has no such item; the message is for a person."""


@dataclass(frozen=True)
class PriceList:
    """Net prices by (item, place); a place is a location or region, or EVERYWHERE.

    `notes` are what one must know to trust the list; `live` tells the provider's own answer of today from a snapshot.
    """

    provider: str
    currency: str
    day: date
    source: str
    net: Mapping[tuple[str, str], Decimal]
    notes: tuple[str, ...] = ()
    live: bool = False

    @property
    def name(self) -> str:
        """The provider's, for people."""
        return NAMES[self.provider]

    def price(self, item: str, place: str) -> Decimal:
        """Raises NotPricedError."""
        for key in ((item, place), (item, EVERYWHERE)):
            if key in self.net:
                return self.net[key]
        raise NotPricedError(f"{self.name}'s price list of {self.day} has no {item} in {place}")

    def tiers(self, item: str, place: str) -> list[tuple[Decimal, Decimal]]:
        """(from how many units on, price of a unit) of an item that gets cheaper. Raises NotPricedError."""
        found = sorted(self._tiers(item, place))
        if not found:
            raise NotPricedError(f"{self.name}'s price list of {self.day} has no {item} in {place}")
        return found

    def warning(self, today: date) -> str | None:
        """A sentence when the list is old."""
        age = (today - self.day).days
        if age <= OLD_AFTER_DAYS:
            return None
        how = "`scripts/prices refresh` fetches new ones"
        return f"The prices of {self.name} are {age} days old ({self.day}): {how}."

    def _tiers(self, item: str, place: str) -> Iterator[tuple[Decimal, Decimal]]:
        for (name, where), price in self.net.items():
            if where == place and name.startswith(f"{item}:"):
                yield Decimal(name.removeprefix(f"{item}:")), price
