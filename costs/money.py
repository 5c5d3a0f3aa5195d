"""Amounts of money that are never added across currencies."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

CENT = Decimal("0.01")


@dataclass(frozen=True)
class Money:
    """Amounts by currency (ISO 4217), side by side."""

    amounts: tuple[tuple[str, Decimal], ...] = ()

    @classmethod
    def of(cls, currency: str, amount: Decimal) -> Money:
        return cls(((currency, amount),))

    @classmethod
    def total(cls, parts: Iterable[Money]) -> Money:
        sums: dict[str, Decimal] = {}
        for part in parts:
            for currency, amount in part.amounts:
                sums[currency] = sums.get(currency, Decimal(0)) + amount
        return cls(tuple(sorted(sums.items())))

    def __add__(self, other: Money) -> Money:
        return Money.total((self, other))

    def __sub__(self, other: Money) -> Money:
        return self + other.times(Decimal(-1))

    def times(self, factor: Decimal) -> Money:
        return Money(tuple((currency, amount * factor) for currency, amount in self.amounts))

    def amount(self, currency: str) -> Decimal:
        return dict(self.amounts).get(currency, Decimal(0))

    @property
    def is_zero(self) -> bool:
        """To the cent, as it is shown."""
        return all(rounded(amount) == 0 for _, amount in self.amounts)

    def __str__(self) -> str:
        return " and ".join(f"{currency} {rounded(amount):,.2f}" for currency, amount in self.amounts) or "0.00"


def rounded(amount: Decimal) -> Decimal:
    """To the cent; half a cent goes up, as on an invoice."""
    return amount.quantize(CENT, ROUND_HALF_UP)


def signed(money: Money) -> str:
    """Every amount with its sign, such as "+EUR 31.20"; "0.00" for none."""
    parts = [f"{'-' if value < 0 else '+'}{currency} {abs(rounded(value)):,.2f}" for currency, value in money.amounts]
    return "0.00" if money.is_zero else " and ".join(parts)
