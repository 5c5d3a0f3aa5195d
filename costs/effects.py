"""What a change does besides its price: servers replaced, addresses that change, downtime."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from costs.model import REBUILD_LABEL, Change, StackPlan, host_kind

ADDRESSES = ("hcloud:PrimaryIp", "hcloud:FloatingIp", "aws:Eip")
DISKS = ("hcloud:Volume", "aws:Volume")
SIZES = ("serverType", "instanceType")
SINCE = "2026-06-15"
"""The day of Hetzner's last change of prices; servers from before keep theirs until they are rescaled or replaced."""


@dataclass(frozen=True)
class Around:
    """What stands around a resource, looked up and not looked for: stacks have thousands."""

    plan: StackPlan
    by_host: Mapping[str, list[Change]]
    servers: Counter[str]
    """How many of each kind there are afterwards."""

    @classmethod
    def of(cls, plan: StackPlan) -> Around:
        by_host: dict[str, list[Change]] = {}
        for change in plan.changes:
            by_host.setdefault(change.host, []).append(change)
        kept = (change for change in plan.changes if change.is_server and change.after)
        return cls(plan, by_host, Counter(host_kind(change.host) for change in kept))

    def of_host(self, change: Change, kinds: Sequence[str]) -> list[Change]:
        """What else belongs to its host; nothing for what belongs to none."""
        return [each for each in self.by_host[change.host] if change.host and each.kind in kinds]


def warnings(plan: StackPlan) -> list[str]:
    """A sentence for each thing that a reviewer must know, the gravest first."""
    around = Around.of(plan)
    return [
        *_replaced(around),
        *_removed(plan),
        *_resized(around),
        *_addresses(plan),
        *_disks(plan),
        *_price_locked(plan),
    ]


def why_replaced(change: Change, plan: StackPlan) -> str:
    """The preview's reasons; for a replacement by trigger it has none, and the settings' difference says it."""
    if change.reasons:
        return f"{', '.join(change.reasons)} changed"
    labels = change.label(REBUILD_LABEL, old=True), change.label(REBUILD_LABEL)
    if labels[0] != labels[1]:
        return f"rebuild.{change.host} went from {labels[0] or 0} to {labels[1] or 0}"
    old, new = (side.rebuild.get(change.host, 0) if side else 0 for side in (plan.old, plan.new))
    if old != new:
        return f"rebuild.{change.host} went from {old} to {new}"
    return "the preview does not say why: its replacement trigger changed, or something that it depends on is replaced"


def _replaced(around: Around) -> Iterator[str]:
    plan = around.plan
    for change in _servers(plan, "+-"):
        yield (
            f"Server {change.name} is replaced ({why_replaced(change, plan)}): {_address_after(change, around)}. "
            f"{_licence(change, plan)} It is down until the new one is up and has its roles"
            f"{_meanwhile(change, around)}; its own disk is lost{_volume(change, around)}."
        )


def _removed(plan: StackPlan) -> Iterator[str]:
    for change in _servers(plan, "-"):
        yield f"Server {change.name} is deleted, with its own disk. {_licence(change, plan, gone=True)}"


def _resized(around: Around) -> Iterator[str]:
    for change in _servers(around.plan, "~"):
        old, new = _size(change.before), _size(change.after)
        if old != new:
            yield (
                f"Server {change.name} goes from {old} to {new}: it is powered off for minutes and keeps its addresses "
                f"and disk{_meanwhile(change, around)}."
            )


def _addresses(plan: StackPlan) -> Iterator[str]:
    """New addresses of new hosts are no news; one that goes or is exchanged is."""
    gone = {change.host for change in _servers(plan, "-")}
    for change in plan.changes:
        if change.kind not in ADDRESSES:
            continue
        if change.sign == "-":
            also = " together with its server" if change.host and change.host in gone else ""
            yield f"Address {change.name} is given back to the provider{also}: nobody gets the same one again."
        if change.sign == "+-":
            why = why_replaced(change, plan)
            yield f"Address {change.name} is replaced ({why}): carriers must be told the new one."


def _disks(plan: StackPlan) -> Iterator[str]:
    for change in plan.changes:
        if change.kind in DISKS and change.sign in ("-", "+-"):
            yield f"Volume {change.name} is {'deleted' if change.sign == '-' else 'replaced'}: its data is lost."


def _price_locked(plan: StackPlan) -> Iterator[str]:
    touched = [
        change.name for change in plan.changes if change.type.startswith("hcloud:") and _gets_a_new_price(change)
    ]
    if touched:
        yield (
            f"A Hetzner server that was ordered before {SINCE} costs less than the list says until it is rescaled or "
            f"replaced: for {_listed(touched)} this change may cost more than the difference shown."
        )


def _gets_a_new_price(change: Change) -> bool:
    resized = change.sign == "~" and _size(change.before) != _size(change.after)
    return change.is_server and (change.sign == "+-" or resized)


def _servers(plan: StackPlan, sign: str) -> list[Change]:
    return [change for change in plan.changes if change.is_server and change.sign == sign]


def _address_after(change: Change, around: Around) -> str:
    """An address of its own stays with a server that is rebuilt; one that was made with it goes with it."""
    own = around.of_host(change, ADDRESSES)
    if any(each.sign in ("=", "~") for each in own):
        return "it keeps its public address"
    if own:
        return "its public address is replaced too, so carriers must be told the new one"
    if change.host and not around.plan.complete:
        return "it keeps its public address if that is a resource of its own (not shown without --show-sames)"
    return "its public address was made with it and is lost, so carriers must be told the new one"


def _licence(change: Change, plan: StackPlan, gone: bool = False) -> str:
    workload = plan.new or plan.old
    if workload is None:
        return "If the vendor's software runs there, its licence is bound to the old server and must be issued anew."
    before = plan.old or workload
    roles = workload.licensed.get(change.host) or before.licensed.get(change.host)
    if not roles:
        return "No licence is lost: no vendor's software runs there."
    what = f"the vendor's {', '.join(roles)}"
    if gone:
        return f"The licence of {what} there becomes free."
    return f"The licence of {what} is bound to the old server: order a new one before the merge."


def _volume(change: Change, around: Around) -> str:
    kept = around.of_host(change, DISKS)
    return ", its data volume stays" if any(each.sign in ("=", "~") for each in kept) else ""


def _meanwhile(change: Change, around: Around) -> str:
    """What the others of its kind do while a host is away."""
    kind = host_kind(change.host)
    if not kind or not around.plan.complete:
        return ""
    if around.servers[kind] < 2:
        return f" (there is no other {kind}: nothing takes its place)"
    return {
        "core": " (calls on it end, new ones go to the other cores)",
        "balancer": " (the other balancer takes the SIP address)",
        "database": " (the other database takes the database address)",
        "node": " (the other node takes every address)",
    }.get(kind, "")


def _size(inputs: Mapping[str, object] | None) -> str:
    return next((str(inputs[name]) for name in SIZES if inputs and name in inputs), "")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
