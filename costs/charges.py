"""What a resource costs a month, at a price list; what is free, and what cannot be priced and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from costs.money import Money
from costs.prices import NAMES, NotPricedError, PriceList

HIDDEN = "[secret]"
UNKNOWN = frozenset(
    {
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)
"""How a preview writes what is known only after `up` (pulumi, sdk/go/common/resource/plugin/rpc.go)."""

Inputs = Mapping[str, Any]


@dataclass(frozen=True)
class Charge:
    """One position on the bill: what, how much of it, and the net amount a month."""

    what: str
    quantity: str
    amount: Money


@dataclass(frozen=True)
class Offer:
    """The resource types of one provider: how to price them, and which are free."""

    provider: str
    package: str
    rules: Mapping[str, Callable[[Inputs, PriceList], Iterable[Charge]]]
    free: frozenset[str]

    def charges(self, kind: str, inputs: Inputs, prices: PriceList) -> list[Charge]:
        """Of a resource of type `kind`, such as `Server`. Raises NotPricedError, never a silent zero."""
        if kind in self.free:
            return []
        if kind not in self.rules:
            raise NotPricedError(
                f"{self.package}:{kind} is not in the tables of what {NAMES[self.provider]} charges for"
            )
        return list(self.rules[kind](inputs, prices))


def known(inputs: Inputs, name: str, otherwise: Any = None) -> Any:
    """An input on which a price depends. Raises NotPricedError where a preview cannot know or show it."""
    value = inputs.get(name)
    if value is None and otherwise is None:
        raise NotPricedError(f"{name} is not set")
    if value in UNKNOWN:
        raise NotPricedError(f"{name} is known only after `up`")
    if value == HIDDEN:
        raise NotPricedError(f"{name} is secret")
    return otherwise if value is None else value


def monthly(prices: PriceList, what: str, quantity: str, amount: Decimal) -> Charge:
    return Charge(what, quantity, Money.of(prices.currency, amount))
