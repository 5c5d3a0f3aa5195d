"""The only place that names a provider.

A component never asks which cloud it is on: it asks a `CloudSite` for networks, addresses and hosts, and gets plain
dataclasses back. A second cloud is one more module here that keeps these Protocols.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pulumi

from components.openings import Opening
from components.plan import HostPlan, Platform, SitePlan, VipPlan
from components.protection import Protection

SPREAD = 7
"""Hosts in one placement group: AWS allows 7 in a zone, Hetzner 10 (their documentation of placement groups)."""


@dataclass(frozen=True)
class Network:
    """The private network; hosts are attached once every resource of `ready` exists."""

    id: pulumi.Output[Any]
    ready: tuple[pulumi.Resource, ...]


@dataclass(frozen=True)
class Address:
    """A host's own public address: `bind` is what the host sees, `advertise` what the world sees."""

    id: pulumi.Output[Any]
    bind: pulumi.Output[str]
    advertise: pulumi.Output[str]


@dataclass(frozen=True)
class MovingAddress:
    """An address that moves; how, the platform's `moves` say."""

    bind: pulumi.Output[str]
    advertise: pulumi.Output[str]


@dataclass(frozen=True)
class Machine:
    """A server that can be logged in to once every resource of `ready` exists. `server` orders a pair."""

    id: pulumi.Output[str]
    login: pulumi.Output[str]
    server: pulumi.Resource
    ready: tuple[pulumi.Resource, ...]


@dataclass(frozen=True)
class HostSpec:
    """What a cloud needs to know of a host, a child of `parent`. `user_data` is a secret; `after` comes first.

    `hooks` are asked before the server is changed or deleted.
    """

    plan: HostPlan
    user_data: pulumi.Output[str]
    login_key: pulumi.Output[Any]
    parent: pulumi.Resource
    after: Sequence[pulumi.Resource] = ()
    hooks: pulumi.ResourceHookBinding | None = None


@dataclass(frozen=True)
class Settled:
    """A plan with what the cloud has got today, what it has not got, and what a person is warned of."""

    plan: SitePlan
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scope:
    """Where a site's resources are made: their names begin with `name`, they are children of `parent`."""

    name: str
    plan: SitePlan
    protection: Protection
    parent: pulumi.Resource


class Cloud(Protocol):
    """A provider."""

    def platform(self, plan: SitePlan) -> Platform:
        """What the plan's roles must know of this cloud."""

    def account_problems(self) -> list[str]:
        """What is wrong with the access to this cloud, whatever the plan; a sentence each."""

    def problems(self, plan: SitePlan) -> list[str]:
        """What this cloud cannot do of the plan, before anything is created; a sentence each."""

    def settle(self, plan: SitePlan) -> Settled:
        """Choose of the server types that the plan names those that there are. Asks the cloud."""

    def site(self, scope: Scope) -> CloudSite:
        """One site on this cloud."""


class CloudSite(Protocol):
    """The resources of one site."""

    def network(self) -> Network:
        """The site's private network."""

    def address(self, host: HostPlan) -> Address:
        """A public address that stays with the host, also across a rebuild."""

    def moving_address(self, vip: VipPlan) -> MovingAddress:
        """An address that the mover moves; Pulumi assigns it to nobody."""

    def login_key(self, public_key: str) -> pulumi.Output[Any]:
        """Make a public key known to the provider, so that it sets no root password."""

    def host(self, spec: HostSpec, network: Network, address: Address, openings: Sequence[Opening]) -> Machine:
        """A server with its place in the network and its data volume."""
