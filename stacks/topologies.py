"""The topologies, each a function that reads like its drawing; all are built from the same components."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pulumi

from components.clouds import SPREAD
from components.clouds.hetzner_types import server_types
from components.core_node import CoreNode
from components.db_pair import DbPair
from components.db_server import DbServer
from components.gui_server import GuiServer
from components.host import Host, HostArgs
from components.pair import Pair, PairArgs
from components.plan import HostPlan, Role, SitePlan, VipPlan
from components.sip_balancer import SipBalancer
from components.site import Site
from stacks import addressing, sizing
from stacks.settings import Settings

PLACEMENT_OF_QUORUM = "quorum"
"""The database pair and the third etcd member: one dead physical machine must not take two of the three."""

SRV_PRIORITY, SRV_WEIGHT = 10, 50
SRV_SECONDS = 300


@dataclass(frozen=True)
class Topology:
    """What there shall be, and what a person is warned of."""

    plan: Callable[[str, Settings], SitePlan]
    warning: str = ""


def one_server(stack: str, settings: Settings) -> SitePlan:
    """Everything on one server."""
    node = _host(settings, "node", 1, ("database", "core", "gui"), "node")
    return _site(stack, settings, [node], [])


def two_server_ha(stack: str, settings: Settings) -> SitePlan:
    """Two servers that run everything and share every address; a witness makes the quorum."""
    watched = settings.witness == "own-server"
    nodes = _database_pair(settings, "node", also_runs=("core", "gui"), quorum=watched)
    witness = [_host(settings, "witness", 1, ("quorum",), PLACEMENT_OF_QUORUM)] if watched else []
    return _site(stack, settings, [*nodes, *witness], _vips(settings, nodes, "database", "sip", "gui"))


def three_server(stack: str, settings: Settings) -> SitePlan:
    """One server with database and GUI, two cores that carriers call directly."""
    database = _host(settings, "database", 1, ("database", "gui"), "database")
    return _site(stack, settings, [database, *_cores(settings)], [])


def four_server_ha(stack: str, settings: Settings) -> SitePlan:
    """A database pair with the GUI, two cores that carriers call directly; the first core makes the quorum."""
    databases = _database_pair(settings, "database", also_runs=("gui",))
    hosts = [*databases, *_with_third_member(_cores(settings))]
    return _site(stack, settings, hosts, _vips(settings, databases, "database", "gui"))


def full(stack: str, settings: Settings) -> SitePlan:
    """Two balancers share the SIP addresses, two databases share theirs; cores; a GUI that reads the backup."""
    balancers = [_host(settings, "balancer", n, ("balancer",), "balancer") for n in (1, 2)]
    on_database = settings.gui_on == "database"
    databases = _database_pair(settings, "database", also_runs=("gui",) if on_database else ())
    gui = [] if on_database else [_host(settings, "gui", 1, ("gui", "quorum"), PLACEMENT_OF_QUORUM)]
    cores = _with_third_member(_cores(settings)) if on_database else _cores(settings)
    vips = [
        *_vips(settings, balancers, "sip", "sip-private"),
        *_vips(settings, databases, "database", *(["gui"] if on_database else [])),
    ]
    return _site(stack, settings, [*balancers, *databases, *gui, *cores], vips)


TOPOLOGIES = {
    "one-server": Topology(one_server, "one server is for testing only: when it dies, so do calls and their records"),
    "two-server-ha": Topology(two_server_ha),
    "three-server": Topology(three_server, "nothing takes over for the one database: four-server-ha is recommended"),
    "four-server-ha": Topology(four_server_ha),
    "full": Topology(full),
}


def warnings(settings: Settings) -> list[str]:
    """What a person should know before it exists; a sentence each."""
    found = [f"topology {settings.topology}: {TOPOLOGIES[settings.topology].warning}"]
    if settings.witness == "none":
        found.append(
            "witness none: nothing takes over by itself and no member stops itself when it is cut off; "
            "a person moves the addresses"
        )
    return [sentence for sentence in found if not sentence.endswith(": ")]


def build(site: Site) -> dict[str, Any]:
    """What exists of a plan, whatever its topology, and what people need to know of it."""
    plan, secrets = site.plan, site.secrets
    pairs = [_pair(site, main, backup) for main, backup in plan.pairs()]
    alone = [_single(site, host) for host in plan.hosts if plan.peer(host) is None]
    built = {host.name: host for host in [*(h for pair in pairs for h in (pair.main, pair.backup)), *alone]}
    public = {name: built[name].public_ip for name in (host.name for host in plan.hosts)}
    return {
        **_sip_outputs(site, public),
        "database_address": plan.database_ip,
        "gui_url": pulumi.Output.concat("https://", _public_place(site, "gui", public)[0], "/"),
        "gui_user": "admin",
        "gui_password": pulumi.Output.secret(secrets.password("gui")),
        "authority": secrets.authority,
        "hosts": public,
    }


def _pair(site: Site, main: HostPlan, backup: HostPlan) -> Pair:
    kind = DbPair if "database" in main.roles else SipBalancer
    return kind(f"{site.name}-{main.kind}", PairArgs(site, main, backup))


def _single(site: Site, host: HostPlan) -> Host:
    kinds: dict[Role, type[Host]] = {"database": DbServer, "core": CoreNode, "gui": GuiServer}
    kind = next((kinds[role] for role in host.roles if role in kinds), Host)
    return kind(f"{site.name}-{host.name}", HostArgs(site, host))


def _sip_outputs(site: Site, public: dict[str, pulumi.Output[str]]) -> dict[str, Any]:
    """Where carriers send calls: one address, or one of each core with the DNS records that name them."""
    addresses = _public_place(site, "sip", public)
    if len(addresses) == 1:
        return {"sip_address": addresses[0], "sip_addresses": addresses}
    cores, port = site.plan.with_role("core"), site.plan.settings["sip_port"]
    service = [
        f"_sip._{transport} {SRV_SECONDS} IN SRV {SRV_PRIORITY} {SRV_WEIGHT} {port} {core.name}"
        for transport in ("udp", "tcp")
        for core in cores
    ]
    hosts = [pulumi.Output.concat(f"{core.name} {SRV_SECONDS} IN A ", public[core.name]) for core in cores]
    return {"sip_addresses": addresses, "sip_dns_records": [*service, *hosts]}


def _public_place(site: Site, service: str, public: dict[str, pulumi.Output[str]]) -> list[pulumi.Output[str]]:
    """The public addresses of a service: the one that moves, or those of the hosts that run it."""
    if site.plan.place(service) == service:
        return [site.vip(service).advertise]
    role: Role = "gui" if service == "gui" else "core"
    return [public[host.name] for host in site.plan.with_role(role)]


def _site(stack: str, settings: Settings, hosts: Sequence[HostPlan], vips: Sequence[VipPlan]) -> SitePlan:
    return SitePlan(
        stack=stack,
        region=settings.region,
        network=str(settings.network),
        subnet=str(addressing.subnet(settings.network)),
        core_block=str(addressing.core_block(settings.network)),
        hosts=tuple(hosts),
        vips=tuple(vips),
        protected=settings.protected,
        settings=_for_templates(settings),
    )


def _database_pair(
    settings: Settings, kind: str, also_runs: tuple[Role, ...] = (), quorum: bool = True
) -> list[HostPlan]:
    roles: tuple[Role, ...] = ("mover", "database", *(("quorum",) if quorum else ()), *also_runs)
    return [_host(settings, kind, number, roles, PLACEMENT_OF_QUORUM) for number in (1, 2)]


def _cores(settings: Settings) -> list[HostPlan]:
    numbers = range(1, settings.size.cores + 1)
    return [_host(settings, "core", n, ("core",), f"core-{(n - 1) // SPREAD + 1}") for n in numbers]


def _with_third_member(cores: list[HostPlan]) -> list[HostPlan]:
    """The first core is in the quorum; others join its placement while there is room, to be apart from it."""
    together = [replace(core, placement=PLACEMENT_OF_QUORUM) for core in cores[: SPREAD - 2]]
    third = replace(together[0], roles=("quorum", "core"))
    return [third, *together[1:], *cores[SPREAD - 2 :]]


def _host(settings: Settings, kind: str, index: int, roles: tuple[Role, ...], placement: str) -> HostPlan:
    name, size = addressing.host_name(kind, index), settings.size
    return HostPlan(
        name=name,
        kind=kind,
        roles=roles,
        number=addressing.host_number(kind, index),
        private_ip=addressing.host_address(settings.network, kind, index),
        server_type=size.server_types[kind],
        other_types=getattr(settings.server_types, kind)[1:],
        image=getattr(settings.images, kind),
        placement=placement,
        data_disk_gb=size.disk_gb if "database" in roles else 0,
        rebuild=settings.rebuild.get(name, 0),
        size=_vcpus(settings, size.server_types[kind]),
    )


def _vips(settings: Settings, members: Iterable[HostPlan], *names: str) -> list[VipPlan]:
    main, backup = members
    return [_vip(settings, name, (main.name, backup.name)) for name in names]


def _vip(settings: Settings, name: str, members: tuple[str, str]) -> VipPlan:
    if name in addressing.VIPS:
        return VipPlan(name, "private", members, addressing.vip_address(settings.network, name))
    existing = settings.sip_address if name == "sip" else None
    return VipPlan(name, "public", members, str(existing) if existing else None)


def _core_limits(settings: Settings) -> dict[str, int]:
    types = settings.size.server_types
    first, last = map(int, settings.rtp_ports.split("-"))
    calls, cps = sizing.core_limits(_vcpus(settings, types.get("core") or types["node"]), last - first + 1)
    return {"calls": calls, "cps": cps}


def _vcpus(settings: Settings, name: str) -> int:
    """Of a server type; one that the tables do not know counts as the smallest that is good for a core."""
    known = {each.name: each.vcpus for each in server_types(settings.region)}
    return known.get(name, sizing.SMALLEST_CORE)


def _for_templates(settings: Settings) -> dict[str, object]:
    values: dict[str, object] = settings.model_dump(mode="json", exclude={"root_secret"})
    values["core_limits"] = values["core_limits"] or _core_limits(settings)
    values["gui_from"] = values["gui_from"] or values["admins"]["ssh_from"]  # type: ignore[index]
    return values
