"""What a stack file asks for, as the resources that the program would make: the estimate without a preview.

It needs no secret, no state and no provider: what is encrypted in a stack file is replaced by a stand-in.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import yaml

from components.clouds.hetzner import NETWORK_ZONES
from components.clouds.hetzner_types import server_types
from components.plan import HostPlan, SitePlan, VipPlan
from costs.model import HOST_LABEL, REBUILD_LABEL, Change, Sign, StackPlan, Workload
from costs.preview import in_order
from stacks import sizing
from stacks.settings import NAMESPACE, Settings, parse
from stacks.topologies import TOPOLOGIES

STAND_IN = "0" * 64
"""For secrets: long enough for every rule about them."""

MASKED = "[secret]"
MOST_CALLS = 1_000_000
"""Twice what the settings allow."""


@dataclass(frozen=True)
class Site:
    """A stack's settings, and the servers, addresses and disks that follow from them."""

    plan: SitePlan
    workload: Workload


def from_stack_file(stack: str, text: str) -> Site:
    """From the text of stacks/Pulumi.STACK.yaml. Raises stacks.settings.SettingsError."""
    return from_config(stack, (yaml.safe_load(text) or {}).get("config") or {})


def from_config(stack: str, config: Mapping[str, Any]) -> Site:
    """From a stack file's `config`, or that of a preview. Raises stacks.settings.SettingsError."""
    mine = {key: value for key, value in config.items() if key.startswith(f"{NAMESPACE}:")}
    values = {key: _as_pulumi_hands_over(value) for key, value in mine.items()}
    settings = parse({f"{NAMESPACE}:root_secret": STAND_IN, **values})
    plan = TOPOLOGIES[settings.topology].plan(stack, settings)
    return Site(plan, _workload(plan, settings))


def compare(old: Site | None, new: Site | None) -> StackPlan:
    """What changes between two files of a stack, either of which may not be there."""
    before, after = (_resources(site.plan) if site else {} for site in (old, new))
    rebuilt = _rebuilt(old, new)
    names = sorted(before.keys() | after.keys())
    changes = [_change(name, before.get(name), after.get(name), rebuilt) for name in names]
    site = new or old
    if site is None:
        raise ValueError("a stack needs settings, old or new")
    plan = StackPlan(site.plan.stack, in_order(changes), True, "settings", site.plan.region)
    return replace(plan, old=old.workload if old else None, new=new.workload if new else None)


def _as_pulumi_hands_over(value: Any) -> str:
    """Objects and lists as JSON, everything else as it was written; a stand-in for secrets."""
    plain = _without_secrets(value)
    if isinstance(plain, str):
        return plain
    return json.dumps(plain)


def _without_secrets(value: Any) -> Any:
    if isinstance(value, Mapping):
        return STAND_IN if "secure" in value else {key: _without_secrets(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_secrets(each) for each in value]
    return STAND_IN if value == MASKED else value


def _workload(plan: SitePlan, settings: Settings) -> Workload:
    vendor = set(settings.vendor)
    most = capacity(settings)
    licensed = {host.name: tuple(role for role in host.roles if role in vendor) for host in plan.hosts}
    return Workload(
        cloud=_cloud(plan),
        region=plan.region,
        cc=settings.concurrent_calls,
        most_cc=most.calls,
        most_cps=most.cps,
        codec=settings.codec,
        media_hosts=tuple(host.name for host in plan.with_role("core")),
        licensed={name: roles for name, roles in licensed.items() if roles},
        rebuild=dict(settings.rebuild),
    )


def capacity(settings: Settings) -> sizing.Demand:
    """The most traffic, in the proportions that the settings ask for, with which sizing finds nothing wrong."""
    asked, sold, size = settings.demand, server_types(settings.region), settings.size
    fixed = sizing.Wish(size.cores, size.server_types, settings.rtp_ports, size.disk_gb, settings.records_days)

    def scaled(calls: int) -> sizing.Demand:
        return sizing.Demand(calls, max(1, calls * asked.cps // asked.calls), asked.codec)

    def is_too_much(calls: int) -> bool:
        demand = scaled(calls)
        over = sizing.over(settings.topology, demand)
        return bool(over) or any(sizing.problems(settings.topology, demand, sold, fixed))

    beyond = bisect_left(range(MOST_CALLS), True, lo=asked.calls, key=is_too_much)
    return scaled(max(asked.calls, beyond - 1))


def _cloud(plan: SitePlan) -> str:
    return "hetzner" if plan.region in NETWORK_ZONES else "aws"


Resource = tuple[str, Mapping[str, Any]]


def _resources(plan: SitePlan) -> dict[str, Resource]:
    """Type and inputs, by name, of what the plan's cloud charges for."""
    hosts, vips = (_hetzner_host, _hetzner_vip) if _cloud(plan) == "hetzner" else (_aws_host, _aws_vip)
    found: dict[str, Resource] = {}
    for host in plan.hosts:
        labels = {HOST_LABEL: host.name, REBUILD_LABEL: str(host.rebuild)}
        found.update({f"{plan.region}-{name}": (kind, inputs) for name, kind, inputs in hosts(plan, host, labels)})
    for vip in plan.vips:
        found.update({f"{plan.region}-{name}": (kind, inputs) for name, kind, inputs in vips(plan, vip)})
    return found


def _hetzner_host(plan: SitePlan, host: HostPlan, labels: Mapping[str, str]) -> Iterator[tuple[str, str, Any]]:
    place = {"location": plan.region, "labels": labels}
    nets = [{"ipv4Enabled": True, "ipv4": f"{host.name}-ip", "ipv6Enabled": False}]
    yield host.name, "hcloud:index/server:Server", {"serverType": host.server_type, "publicNets": nets, **place}
    yield f"{host.name}-ip", "hcloud:index/primaryIp:PrimaryIp", {"type": "ipv4", **place}
    if host.data_disk_gb:
        yield f"{host.name}-data", "hcloud:index/volume:Volume", {"size": host.data_disk_gb, **place}


def _hetzner_vip(plan: SitePlan, vip: VipPlan) -> Iterator[tuple[str, str, Any]]:
    """A private address that moves is a route, and one that the project has already is not the stack's."""
    if vip.scope == "public" and not vip.exists:
        yield f"{vip.name}-ip", "hcloud:index/floatingIp:FloatingIp", {"type": "ipv4", "homeLocation": plan.region}


def _aws_host(plan: SitePlan, host: HostPlan, labels: Mapping[str, str]) -> Iterator[tuple[str, str, Any]]:
    place = {"region": plan.region, "tags": labels}
    yield host.name, "aws:ec2/instance:Instance", {"instanceType": host.server_type, **place}
    yield f"{host.name}-ip", "aws:ec2/eip:Eip", place
    if host.data_disk_gb:
        yield f"{host.name}-data", "aws:ebs/volume:Volume", {"type": "gp3", "size": host.data_disk_gb, **place}


def _aws_vip(plan: SitePlan, vip: VipPlan) -> Iterator[tuple[str, str, Any]]:
    if vip.scope == "public" and not vip.exists:
        yield f"{vip.name}-ip", "aws:ec2/eip:Eip", {"region": plan.region}


def _rebuilt(old: Site | None, new: Site | None) -> frozenset[str]:
    """Hosts whose servers are replaced because their count was raised."""
    if old is None or new is None:
        return frozenset()
    counts = {host.name: host.rebuild for host in old.plan.hosts}
    return frozenset(host.name for host in new.plan.hosts if counts.get(host.name, host.rebuild) != host.rebuild)


def _change(name: str, before: Resource | None, after: Resource | None, rebuilt: frozenset[str]) -> Change:
    kind = (after or before or ("", {}))[0]
    change = Change("=", kind, name, before[1] if before else None, after[1] if after else None)
    return replace(change, sign=_sign(change, rebuilt))


def _sign(change: Change, rebuilt: frozenset[str]) -> Sign:
    if change.before is None or change.after is None:
        return "+" if change.before is None else "-"
    if change.is_server and change.host in rebuilt:
        return "+-"
    return "=" if change.before == change.after else "~"
