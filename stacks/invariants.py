"""What must hold of any plan, whoever made it; checked at every preview.

Each function returns a sentence for each thing that is wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network, collapse_addresses

from components.bundle import openings
from components.openings import Opening
from components.plan import Role, SitePlan

QUORUM_SIZE = 3
PRIVATE_SERVICES = {3306: "MariaDB", 2379: "etcd", 2380: "etcd", 8443: "the mover", 8444: "the agents"}
"""TCP ports that no public address may ever answer on."""

SSH = 22
HOSTS_OF_ROLE: Mapping[Role, tuple[int, ...]] = {"balancer": (0, 2), "database": (1, 2), "gui": (1, 2), "mover": (0, 2)}


def problems(plan: SitePlan) -> list[str]:
    """Everything that is wrong with a plan. Raises BundleError when a role cannot say what it opens."""
    opened = {host.name: openings(plan, host) for host in plan.hosts}
    return [
        *_addresses_are_unique(plan),
        *_addresses_are_in_range(plan),
        *_core_block_is_the_cores(plan),
        *_numbers_are_unique(plan),
        *_quorum_survives_one_machine(plan),
        *_pairs_are_apart(plan),
        *_each_role_has_its_hosts(plan),
        *_private_stays_private(opened),
        *_ssh_is_for_admins(plan, opened),
    ]


def _addresses_are_unique(plan: SitePlan) -> Iterator[str]:
    used = Counter([*(h.private_ip for h in plan.hosts), *(v.ip for v in plan.vips if v.ip)])
    yield from (f"address {ip} is used {count} times" for ip, count in used.items() if count > 1)


def _addresses_are_in_range(plan: SitePlan) -> Iterator[str]:
    network, subnet = IPv4Network(plan.network), IPv4Network(plan.subnet)
    gateway = network[1]
    for host in plan.hosts:
        address = IPv4Address(host.private_ip)
        if address not in subnet or address in (subnet[0], subnet[-1], gateway):
            yield f"{host.name}: {address} is no host address of subnet {subnet}"
    for vip in plan.vips:
        if vip.scope == "private" and (vip.ip is None or not _moves_in(vip.ip, network, subnet)):
            yield f"{vip.name}: {vip.ip} must lie in network {network} and outside of subnet {subnet}"
        if vip.exists and IPv4Address(vip.ip) in network:
            yield f"{vip.name}: {vip.ip} is an address of the private network {network}"


def _moves_in(ip: str, network: IPv4Network, subnet: IPv4Network) -> bool:
    return IPv4Address(ip) in network and IPv4Address(ip) not in subnet


def _core_block_is_the_cores(plan: SitePlan) -> Iterator[str]:
    block = IPv4Network(plan.core_block)
    for host in plan.hosts:
        if "core" not in host.roles and IPv4Address(host.private_ip) in block:
            yield f"{host.name}: {host.private_ip} lies in {block}, which is for cores"


def _numbers_are_unique(plan: SitePlan) -> Iterator[str]:
    used = Counter(host.number for host in plan.hosts)
    yield from (f"host number {number} is used {count} times" for number, count in used.items() if count > 1)


def _quorum_survives_one_machine(plan: SitePlan) -> Iterator[str]:
    members = plan.with_role("quorum")
    wanted = QUORUM_SIZE if _takes_over(plan) else 0
    if len(members) != wanted:
        yield f"the quorum has {len(members)} members; it needs {wanted}"
    if len({member.placement for member in members}) > 1:
        yield "members of the quorum are in different placements and may share a physical machine"


def _takes_over(plan: SitePlan) -> bool:
    """Whether a database takes over by itself, which needs a majority that can say so."""
    return len(plan.with_role("database")) > 1 and plan.settings["witness"] != "none"


def _each_role_has_its_hosts(plan: SitePlan) -> Iterator[str]:
    for role, counts in HOSTS_OF_ROLE.items():
        count = len(plan.with_role(role))
        if count not in counts:
            yield f"{count} hosts have the role {role}; allowed: {' or '.join(map(str, counts))}"
    if not plan.with_role("core"):
        yield "no host has the role core; allowed: one or more"
    if plan.vips and not plan.with_role("mover"):
        yield "addresses move and no host has the role mover; allowed: 2"


def _pairs_are_apart(plan: SitePlan) -> Iterator[str]:
    for vip in plan.vips:
        main, backup = (plan.host(name) for name in vip.members)
        if main == backup or main.placement != backup.placement:
            yield f"{vip.name}: {main.name} and {backup.name} may share a physical machine"


def _private_stays_private(opened: Mapping[str, tuple[Opening, ...]]) -> Iterator[str]:
    for host, of_host in opened.items():
        public = [opening for opening in of_host if opening.scope == "public"]
        for port, service in PRIVATE_SERVICES.items():
            if any(_covers(opening, port) for opening in public):
                yield f"{host}: {service} (TCP {port}) is open on a public address"


def _ssh_is_for_admins(plan: SitePlan, opened: Mapping[str, tuple[Opening, ...]]) -> Iterator[str]:
    admins = list(collapse_addresses(IPv4Network(text) for text in plan.settings["admins"]["ssh_from"]))
    for host, of_host in opened.items():
        for source in (s for opening in of_host if _covers(opening, SSH) for s in opening.sources):
            if not any(IPv4Network(source).subnet_of(admin) for admin in admins):
                yield f"{host}: SSH is open to {source}, which is not in admins.ssh_from"


def _covers(opening: Opening, port: int) -> bool:
    if opening.protocol != "tcp":
        return False
    if opening.ports is None:
        return True
    first, _, last = opening.ports.partition("-")
    return int(first) <= port <= int(last or first)
