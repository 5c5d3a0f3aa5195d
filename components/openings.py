"""Who may reach what: the roles' `opens` entries resolved to addresses.

Rendered twice: the cloud's firewall gets the public ones, nftables on the host gets all (a provider's firewall
does not filter private traffic).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from ipaddress import IPv4Network, collapse_addresses
from typing import Literal, cast, get_args

from components.plan import HostPlan, Role, Scope, SitePlan

Protocol = Literal["tcp", "udp", "icmp", "vrrp"]
ANYONE = "0.0.0.0/0"
WITH_PORTS = ("tcp", "udp")
ROLES: tuple[Role, ...] = get_args(Role)


class OpeningError(ValueError):
    """A role.yaml names a group, a place or a protocol that there is not; says which and what is allowed."""


@dataclass(frozen=True)
class RoleOpening:
    """One entry of `opens` as the role wrote it; `ports` is "5060", "16384-32768" or None.

    `at` is "public", "private", a moving address, or a service (components.plan.SERVICES) wherever it is.
    """

    to: str
    at: str
    protocol: Protocol
    ports: str | None = None
    stateless: bool = False

    @classmethod
    def parse(cls, entry: Mapping[str, object]) -> RoleOpening:
        """From role.yaml. Raises OpeningError."""
        keys = {field.name for field in fields(cls)}
        for key in entry.keys() - keys:
            raise OpeningError(f"{key}: there is no such key; allowed: {', '.join(sorted(keys))}")
        for key in ("to", "at"):
            if not isinstance(entry.get(key), str):
                raise OpeningError(f"{key}: {entry.get(key)!r}; allowed: a name")
        protocol = entry.get("protocol")
        if protocol not in get_args(Protocol):
            raise OpeningError(f"protocol: {protocol!r}; allowed: {', '.join(get_args(Protocol))}")
        return cls(
            to=str(entry["to"]),
            at=str(entry["at"]),
            protocol=cast(Protocol, protocol),
            ports=_ports(str(protocol), entry.get("ports")),
            stateless=bool(entry.get("stateless", False)),
        )


@dataclass(frozen=True)
class Opening:
    """One resolved opening; `at` names the address it is on: "public", "private" or a moving address."""

    protocol: Protocol
    ports: str | None
    sources: tuple[str, ...]
    at: str
    scope: Scope
    stateless: bool


def _ports(protocol: str, value: object) -> str | None:
    if protocol not in WITH_PORTS:
        return None
    if not re.fullmatch(r"[0-9]+(-[0-9]+)?", str(value)):
        raise OpeningError(f"ports: {value!r}; allowed with {protocol}: a port or first-last")
    return str(value)


def resolve(plan: SitePlan, host: HostPlan, openings: tuple[RoleOpening, ...]) -> tuple[Opening, ...]:
    """The openings of one host; entries that nobody would use (no sources) are left out. Raises OpeningError."""
    resolved = (_resolve_one(plan, host, opening) for opening in openings)
    return tuple(opening for opening in resolved if opening.sources)


def _resolve_one(plan: SitePlan, host: HostPlan, opening: RoleOpening) -> Opening:
    at = plan.place(opening.at)
    return Opening(
        protocol=opening.protocol,
        ports=opening.ports,
        sources=_collapsed(_sources(plan, host, opening.to)),
        at=at,
        scope=_scope(plan, host, at),
        stateless=opening.stateless,
    )


def _scope(plan: SitePlan, host: HostPlan, at: str) -> Scope:
    if at == "public":
        return "public"
    if at == "private":
        return "private"
    vips = {vip.name: vip.scope for vip in plan.vips_of(host)}
    if at not in vips:
        raise OpeningError(f"at: {at!r} on {host.name}; allowed: public, private, {', '.join(vips)}")
    return vips[at]


def _sources(plan: SitePlan, host: HostPlan, group: str) -> tuple[str, ...]:
    groups = _groups(plan, host)
    if group not in groups:
        raise OpeningError(f"to: {group!r}; allowed: {', '.join(sorted(groups))}")
    return groups[group]


def _groups(plan: SitePlan, host: HostPlan) -> dict[str, tuple[str, ...]]:
    settings = plan.settings
    peers = [other for other in plan.hosts if other != host]
    return {
        **{role: _with_role(plan, peers, role) for role in ROLES},
        "pair": _addresses(peer for peer in peers if _same_pair(plan, host, peer)),
        **{f"vip:{vip.name}": (f"{vip.ip}/32",) for vip in plan.vips if vip.ip},
        "site": (plan.network,),
        "anyone": (ANYONE,),
        "admins": tuple(settings["admins"]["ssh_from"]),
        "carriers": _carriers(plan, by_certificate=False),
        "tls_carriers": _carriers(plan, by_certificate=True),
        "gui_users": tuple(settings["gui_from"]),
    }


def _carriers(plan: SitePlan, by_certificate: bool) -> tuple[str, ...]:
    """Their networks; everyone where a balancer can tell only from the certificate or the database who they are."""
    settings = plan.settings
    named = by_certificate and any(carrier["certificate"] for carrier in settings["carriers"])
    if named or settings["carriers_in_database"]:
        return (ANYONE,)
    return tuple(dict.fromkeys(a for c in settings["carriers"] for a in c["addresses"]))


def _with_role(plan: SitePlan, peers: list[HostPlan], role: Role) -> tuple[str, ...]:
    """Their addresses; the cores' own block stands for all cores in it, so that one more changes no opening."""
    block = IPv4Network(plan.core_block)
    found = _addresses(peer for peer in peers if role in peer.roles)
    inside = [address for address in found if role == "core" and IPv4Network(address).subnet_of(block)]
    return (plan.core_block, *(a for a in found if a not in inside)) if inside else found


def _collapsed(networks: Iterable[str]) -> tuple[str, ...]:
    """Without overlaps, which nftables refuses in a set."""
    return tuple(str(network) for network in collapse_addresses(IPv4Network(text) for text in networks))


def _addresses(hosts: Iterable[HostPlan]) -> tuple[str, ...]:
    return tuple(f"{host.private_ip}/32" for host in hosts)


def _same_pair(plan: SitePlan, host: HostPlan, peer: HostPlan) -> bool:
    return any({host.name, peer.name} == set(vip.members) for vip in plan.vips)
