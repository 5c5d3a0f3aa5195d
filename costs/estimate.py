"""A stack before and after a change, in money: every position, what is not priced, and what changes why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Literal

from costs import aws, hetzner, traffic
from costs.charges import Charge, Inputs, Offer
from costs.model import Change, StackPlan, Workload
from costs.money import Money
from costs.prices import NotPricedError, PriceList

OFFERS: Mapping[str, Offer] = {offer.package: offer for offer in (hetzner.OFFER, aws.OFFER)}
FREE_PACKAGES = frozenset({"pulumi", "command", "random", "tls", "null", "local"})
"""What these make exists on no provider's bill."""


Side = Literal["before", "after"]


@dataclass(frozen=True)
class Assumptions:
    """What a price depends on that no resource says: hours a month at the full number of calls, VAT in percent."""

    hours: Decimal = Decimal(240)
    vat_percent: Decimal = Decimal(0)


@dataclass(frozen=True)
class Position:
    """What one resource costs a month before and after; `unpriced` is why one of the two is not known."""

    change: Change
    before: tuple[Charge, ...] = ()
    after: tuple[Charge, ...] = ()
    unpriced: str = ""

    @property
    def delta(self) -> Money:
        return _sum(self.after) - _sum(self.before)


@dataclass(frozen=True)
class StackEstimate:
    """One stack; `media` is the charge for calls before and after, None where no traffic is known."""

    plan: StackPlan
    positions: tuple[Position, ...]
    media_before: Charge | None = None
    media_after: Charge | None = None
    media_unpriced: str = ""

    @property
    def before(self) -> Money:
        return self._total("before", self.media_before)

    @property
    def after(self) -> Money:
        return self._total("after", self.media_after)

    @property
    def delta(self) -> Money:
        return self.after - self.before

    @property
    def complete(self) -> bool:
        """Whether everything that exists is known."""
        return self.plan.complete

    def lacks(self, side: Side) -> bool:
        """Whether the total before or after lacks something that costs."""
        workload = self.plan.old if side == "before" else self.plan.new
        missing = (p for p in self.positions if p.unpriced and getattr(p.change, side) is not None)
        return any(True for _ in missing) or bool(self.media_unpriced and workload)

    @property
    def changed(self) -> tuple[Position, ...]:
        """What is not as it was."""
        return tuple(position for position in self.positions if position.change.sign != "=")

    @property
    def unpriced(self) -> dict[str, str]:
        """Names of what is not in the totals, and why."""
        found = {position.change.name: position.unpriced for position in self.positions if position.unpriced}
        return {**found, **({"media traffic": self.media_unpriced} if self.media_unpriced else {})}

    def _total(self, side: str, media: Charge | None) -> Money:
        charges = [charge for position in self.positions for charge in getattr(position, side)]
        return _sum([*charges, *([media] if media else [])])


@dataclass(frozen=True)
class Report:
    """Several stacks at the same prices."""

    stacks: tuple[StackEstimate, ...]
    prices: tuple[PriceList, ...]
    assumptions: Assumptions
    today: date
    warnings: tuple[str, ...] = ()

    @property
    def before(self) -> Money:
        return Money.total(stack.before for stack in self.stacks)

    @property
    def after(self) -> Money:
        return Money.total(stack.after for stack in self.stacks)

    @property
    def delta(self) -> Money:
        return self.after - self.before

    @property
    def complete(self) -> bool:
        return all(stack.complete for stack in self.stacks)

    def lacks(self, side: Side) -> bool:
        """Whether the total before or after lacks something that costs."""
        return any(stack.lacks(side) for stack in self.stacks)


@dataclass(frozen=True)
class Estimator:
    """Prices stacks with one list a provider."""

    lists: Mapping[str, PriceList]
    assumptions: Assumptions = field(default=Assumptions())

    def stack(self, plan: StackPlan) -> StackEstimate:
        positions = tuple(self._position(change, plan) for change in plan.changes)
        before = self._media(plan, plan.old, "before")
        after = self._media(plan, plan.new, "after")
        why = next((result for result in (before, after) if isinstance(result, str)), "")
        return StackEstimate(
            plan,
            positions,
            before if isinstance(before, Charge) else None,
            after if isinstance(after, Charge) else None,
            why,
        )

    def _position(self, change: Change, plan: StackPlan) -> Position:
        try:
            before, after = (self._charges(change, inputs, plan) for inputs in (change.before, change.after))
        except NotPricedError as error:
            return Position(change, unpriced=str(error))
        return Position(change, before, after)

    def _charges(self, change: Change, inputs: Inputs | None, plan: StackPlan) -> tuple[Charge, ...]:
        package, _, kind = change.kind.partition(":")
        if inputs is None or package in FREE_PACKAGES:
            return ()
        if package not in OFFERS:
            raise NotPricedError(f"no price list is known for {package}")
        if package == aws.OFFER.package and plan.region:
            inputs = {"region": plan.region, **inputs}
        offer = OFFERS[package]
        return tuple(self._with_vat(charge) for charge in offer.charges(kind, inputs, self.lists[offer.provider]))

    def _media(self, plan: StackPlan, workload: Workload | None, side: str) -> Charge | str | None:
        """The charge, why there is none, or None where no calls are known."""
        if workload is None:
            return None
        if not plan.complete:
            return "which servers relay it is unknown: the preview was made without --show-sames"
        month = traffic.Traffic(workload.cc, workload.codec, self.assumptions.hours)
        servers = [dict(inputs) for inputs in _media_servers(plan.changes, workload, side)]
        try:
            charge = traffic.charge(month, servers, self.lists[workload.cloud], workload.region)
        except (NotPricedError, KeyError) as error:
            return str(error)
        return self._with_vat(charge)

    def _with_vat(self, charge: Charge) -> Charge:
        factor = 1 + self.assumptions.vat_percent / 100
        return Charge(charge.what, charge.quantity, charge.amount.times(factor))


def clouds(plans: Iterable[StackPlan]) -> set[str]:
    """The providers whose prices these stacks need."""
    packages = {change.kind.partition(":")[0] for plan in plans for change in plan.changes}
    return {OFFERS[package].provider for package in packages & OFFERS.keys()}


def _media_servers(changes: Iterable[Change], workload: Workload, side: str) -> Iterator[Inputs]:
    for change in changes:
        inputs = getattr(change, side)
        if inputs and change.is_server and change.host in workload.media_hosts:
            yield inputs


def _sum(charges: Iterable[Charge]) -> Money:
    return Money.total(charge.amount for charge in charges)
