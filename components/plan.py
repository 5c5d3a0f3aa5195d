"""What a site is made of, before anything exists: plain data that topologies write and everything else reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

Scope = Literal["public", "private"]
Role = Literal["balancer", "core", "database", "gui", "mover", "quorum"]

SERVICES: Mapping[str, Scope] = {"sip": "public", "sip-private": "private", "gui": "public", "database": "private"}
"""What clients look for. It is at the moving address of its name, or, in a plan without one, at its host's own."""


@dataclass(frozen=True)
class Platform:
    """What roles must know of the cloud, before anything is created.

    `data_disk` is a path pattern that matches the one data volume of a host. `endpoint` and `token` are the
    mover's alone. `moves` says, for each moving address, how the mover finds it.
    """

    cloud: str
    data_disk: str
    endpoint: str
    token: str
    moves: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class ServerType:
    """What a provider sells; memory in GB."""

    name: str
    vcpus: int
    memory: float
    dedicated: bool = True


@dataclass(frozen=True)
class HostPlan:
    """One server.

    `kind` is what its name begins with. `number` is unique in the site and becomes the server id in call records.
    Hosts of the same `placement` never share a physical machine. `data_disk_gb` is 0 for a host without a data
    volume. `rebuild` is the count that replaces the server when it changes. `other_types` are for when a location
    has not got the first. `size` is its weight beside other hosts of its role.
    """

    name: str
    kind: str
    roles: tuple[Role, ...]
    number: int
    private_ip: str
    server_type: str
    image: str
    placement: str
    data_disk_gb: int = 0
    rebuild: int = 0
    other_types: tuple[str, ...] = ()
    size: int = 1


@dataclass(frozen=True)
class VipPlan:
    """An address that moves between two hosts. `members` are (main, backup).

    A public one has no `ip` yet, unless the project has it already.
    """

    name: str
    scope: Scope
    members: tuple[str, str]
    ip: str | None = None

    @property
    def exists(self) -> bool:
        """Whether it is a public address that is not this stack's to make or delete."""
        return self.scope == "public" and self.ip is not None


@dataclass(frozen=True)
class SitePlan:
    """One data centre's worth of a topology. `settings` is what role templates may read.

    `core_block` is the part of the subnet that is the cores' alone, present and future ones.
    """

    stack: str
    region: str
    network: str
    subnet: str
    core_block: str
    hosts: tuple[HostPlan, ...]
    vips: tuple[VipPlan, ...]
    protected: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)

    def host(self, name: str) -> HostPlan:
        """The host of that name. Raises KeyError."""
        return _named(self.hosts, name)

    def vip(self, name: str) -> VipPlan:
        """The moving address of that name. Raises KeyError."""
        return _named(self.vips, name)

    def with_role(self, role: Role) -> tuple[HostPlan, ...]:
        """All hosts that run `role`, in the order of the plan."""
        return tuple(h for h in self.hosts if role in h.roles)

    def vips_of(self, host: HostPlan) -> tuple[VipPlan, ...]:
        """The moving addresses that `host` may hold."""
        return tuple(v for v in self.vips if host.name in v.members)

    @property
    def balanced(self) -> bool:
        """Whether carriers call balancers, and not the cores themselves."""
        return bool(self.with_role("balancer"))

    def pairs(self) -> tuple[tuple[HostPlan, HostPlan], ...]:
        """The two hosts, main first, of each pair that shares moving addresses."""
        members = dict.fromkeys(vip.members for vip in self.vips)
        return tuple((self.host(main), self.host(backup)) for main, backup in members)

    def peer(self, host: HostPlan) -> HostPlan | None:
        """The other member of the pair that `host` is in."""
        others = (set(pair) - {host} for pair in self.pairs() if host in pair)
        return next((other for found in others for other in found), None)

    def place(self, service: str) -> str:
        """Where a service is: the moving address of its name, or its host's `public` or `private` address."""
        moving = any(vip.name == service for vip in self.vips)
        return service if moving else SERVICES.get(service, service)

    @property
    def database_ip(self) -> str:
        """Where clients write to the database. Raises StopIteration without one."""
        moving = (vip.ip for vip in self.vips if vip.name == "database" and vip.ip)
        return next(moving, None) or next(host.private_ip for host in self.with_role("database"))

    def cloud_name(self, name: str) -> str:
        """The name of a host, address or network in the provider's project."""
        return f"{self.stack}-{name}"


_Named = TypeVar("_Named", HostPlan, VipPlan)


def _named(items: Iterable[_Named], name: str) -> _Named:
    for item in items:
        if item.name == name:
            return item
    raise KeyError(name)
