"""The topologies, each a function that reads like its drawing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pulumi

from components.clouds import SPREAD
from components.core_node import CoreNode
from components.db_pair import DbPair
from components.gui_server import GuiServer
from components.host import HostArgs
from components.pair import PairArgs
from components.plan import HostPlan, Role, Scope, SitePlan, VipPlan
from components.sip_balancer import SipBalancer
from components.site import Site
from stacks import addressing
from stacks.settings import Settings

PLACEMENT_OF_QUORUM = "quorum"
"""The database pair and the third etcd member: one dead physical machine must not take two of the three."""


@dataclass(frozen=True)
class Topology:
    """What there shall be, and how it is built."""

    plan: Callable[[str, Settings], SitePlan]
    build: Callable[[Site], dict[str, Any]]


def full(stack: str, settings: Settings) -> SitePlan:
    """Two balancers share the SIP addresses, two databases share theirs; cores; a GUI that reads the backup."""
    balancers = [_host(settings, "balancer", n, ("balancer",), "balancer") for n in (1, 2)]
    databases = [_host(settings, "database", n, ("database", "quorum"), PLACEMENT_OF_QUORUM) for n in (1, 2)]
    gui = _host(settings, "gui", 1, ("gui", "quorum"), PLACEMENT_OF_QUORUM)
    cores = [_host(settings, "core", n, ("core",), _spread("core", n)) for n in range(1, settings.cores + 1)]
    return SitePlan(
        stack=stack,
        region=settings.region,
        network=str(settings.network),
        subnet=str(addressing.subnet(settings.network)),
        core_block=str(addressing.core_block(settings.network)),
        hosts=(*balancers, *databases, gui, *cores),
        vips=(
            _vip(settings, "sip", "public", balancers),
            _vip(settings, "sip-private", "private", balancers),
            _vip(settings, "database", "private", databases),
        ),
        protected=settings.protected,
        settings=_for_templates(settings),
    )


def build_full(site: Site) -> dict[str, Any]:
    """What exists in the full topology, and what people need to know of it."""
    plan, secrets = site.plan, site.secrets
    balancer = SipBalancer(f"{site.name}-balancer", _pair(site, "sip"))
    database = DbPair(f"{site.name}-database", _pair(site, "database"))
    cores = [CoreNode(f"{site.name}-{host.name}", HostArgs(site, host)) for host in plan.with_role("core")]
    gui = GuiServer(f"{site.name}-gui", HostArgs(site, plan.host("gui")))
    hosts = [balancer.main, balancer.backup, database.main, database.backup, gui, *cores]
    return {
        "sip_address": balancer.address,
        "database_address": database.address,
        "gui_url": gui.url,
        "gui_user": "admin",
        "gui_password": pulumi.Output.secret(secrets.password("gui")),
        "authority": secrets.authority,
        "hosts": {host.name: host.public_ip for host in hosts},
    }


TOPOLOGIES = {"full": Topology(full, build_full)}


def _host(settings: Settings, kind: str, index: int, roles: tuple[Role, ...], placement: str) -> HostPlan:
    name = addressing.host_name(kind, index)
    return HostPlan(
        name=name,
        roles=roles,
        number=addressing.host_number(kind, index),
        private_ip=addressing.host_address(settings.network, kind, index),
        server_type=getattr(settings.server_types, kind),
        image=getattr(settings.images, kind),
        placement=placement,
        data_disk_gb=settings.database_disk_gb if "database" in roles else 0,
        rebuild=settings.rebuild.get(name, 0),
    )


def _vip(settings: Settings, name: str, scope: Scope, members: list[HostPlan]) -> VipPlan:
    main, backup = members
    ip = addressing.vip_address(settings.network, name) if scope == "private" else None
    return VipPlan(name, scope, (main.name, backup.name), ip)


def _pair(site: Site, vip: str) -> PairArgs:
    main, backup = (site.plan.host(name) for name in site.plan.vip(vip).members)
    return PairArgs(site, main, backup)


def _spread(kind: str, index: int) -> str:
    return f"{kind}-{(index - 1) // SPREAD + 1}"


def _for_templates(settings: Settings) -> dict[str, object]:
    values: dict[str, object] = settings.model_dump(mode="json", exclude={"root_secret"})
    values["gui_from"] = values["gui_from"] or values["admins"]["ssh_from"]  # type: ignore[index]
    return values
