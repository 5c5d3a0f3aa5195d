"""One data centre: its network, its addresses, who may reach what, and what each host is given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from components import drain, release
from components.bundle import Bundle, Renderer, Secrets, openings
from components.clouds import Cloud, HostSpec, Machine, MovingAddress, Scope
from components.logins import Bastion, Logins
from components.plan import HostPlan, SitePlan
from components.protection import Protection

PLACEHOLDER = "192.0.2.1"
"""Stands for a public address that does not exist yet (RFC 5737)."""


@dataclass(frozen=True)
class SiteArgs:
    """What there shall be, where, and the secrets it is made with."""

    plan: SitePlan
    secrets: Secrets
    cloud: Cloud


class Site(pulumi.ComponentResource):
    """What all hosts of a data centre share. Public addresses exist before any server does.

    Raises BundleError when a role cannot be rendered, before anything is created.
    """

    def __init__(self, name: str, args: SiteArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("m2:index:Site", name, None, opts)
        self.name = name
        self.plan = args.plan
        self.secrets = args.secrets
        self._platform = args.cloud.platform(args.plan)
        self._needs = {host.name: self._rehearse(host) for host in self.plan.hosts}
        self._cloud = args.cloud.site(Scope(name, self.plan, Protection(self.plan), self))
        self._network = self._cloud.network()
        self._login_key = self._cloud.login_key(self.secrets.host_key("login").public)
        self._addresses = {host.name: self._cloud.address(host) for host in self.plan.hosts}
        self._moving = {vip.name: self._cloud.moving_address(vip) for vip in self.plan.vips}
        self._release = release.hooks(self.plan, self._logins)
        self._drain = drain.hooks(self.plan, self._logins, lambda name: self.secrets.host_key(name).public)
        self.register_outputs({})

    def vip(self, name: str) -> MovingAddress:
        """The moving address of that name. Raises KeyError."""
        return self._moving[name]

    def machine(self, host: HostPlan, parent: pulumi.Resource, after: Sequence[pulumi.Resource]) -> Machine:
        """The server of `host`, child of `parent`, made after the resources of `after`."""
        user_data = pulumi.Output.secret(self._renderer({}).user_data(host))
        spec = HostSpec(host, user_data, self._login_key, parent, after, self._asks(host))
        return self._cloud.host(spec, self._network, self._addresses[host.name], openings(self.plan, host))

    def _asks(self, host: HostPlan) -> pulumi.ResourceHookBinding | None:
        """The database pair, or a core, before the server of `host` goes."""
        if host.name in release.pair(self.plan):
            return self._release
        return self._drain if "core" in host.roles else None

    def asked_before_apply_goes(self, host: HostPlan) -> pulumi.ResourceHookBinding | None:
        """The database pair: an apply goes before anything else of its host does."""
        return self._release if host.name in release.pair(self.plan) else None

    def bundle(self, host: HostPlan) -> pulumi.Output[Bundle]:
        """What `host` is given. It waits only for the addresses that its files name."""
        known = {name: self._public(name) for name in self._needs[host.name]}
        return pulumi.Output.all(**known).apply(lambda public: self._renderer(public).bundle(host))

    def ssh(self) -> dict[str, Any]:
        """What tools must know to log in: each host's key and roles, and the host to go through. Nothing is secret."""
        return {
            "host_keys": self._host_keys(),
            "roles": {host.name: list(host.roles) for host in self.plan.hosts},
            "bastion": self.plan.settings.get("bastion"),
        }

    async def _logins(self) -> Logins:
        addresses = {name: await address.advertise.future() for name, address in self._addresses.items()}
        bastion = self.plan.settings.get("bastion")
        known = {name: address for name, address in addresses.items() if address}
        return Logins(known, self._host_keys(), Bastion(**bastion) if bastion else None)

    def _host_keys(self) -> dict[str, str]:
        return {host.name: self.secrets.host_key(host.name).public for host in self.plan.hosts}

    def _public(self, name: str) -> pulumi.Output[str]:
        return self._moving[name].bind if name in self._moving else self._addresses[name].bind

    def _rehearse(self, host: HostPlan) -> frozenset[str]:
        public = _ReadAddresses(self.plan)
        self._renderer(public).bundle(host)
        return frozenset(public.read)

    def _renderer(self, public: Mapping[str, str]) -> Renderer:
        return Renderer(self.plan, self.secrets, public, self._platform)


class _ReadAddresses(Mapping[str, str]):
    """Placeholders for all public addresses; remembers which were asked for."""

    def __init__(self, plan: SitePlan) -> None:
        self._names = [*(h.name for h in plan.hosts), *(v.name for v in plan.vips if v.scope == "public")]
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> str:
        if name not in self._names:
            raise KeyError(name)
        self.read.add(name)
        return PLACEHOLDER

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
