"""The network between machines as values: what it should be, and what has to change to get there.

Every machine has one veth pair to a router for its public side and one for each private network; the routers
are network namespaces. There are no bridges: the provider's private networks are routed through a gateway too.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass

from localcloud.backend import (
    GATEWAY_OFFSET,
    Attachment,
    BackendError,
    PrivateNetwork,
    PrivateNic,
    World,
)

ROUTER = "m2-cloud"
PUBLIC_GATEWAY = "172.31.1.1"
"""The provider's public gateway (docs.hetzner.com, Cloud, Servers: static configuration)."""
PUBLIC_MTU = 1500
PRIVATE_MTU = 1450
"""Of the provider's private networks (docs.hetzner.com, Cloud, Networks)."""
ROUTER_MAC = "02:00:00:00:00:01"
"""Machines know it from the start: a question from an address that is not theirs would get no answer, and would hold
up all that they have to say."""

PROTOCOL = 77
"""Marks the routes made here; rtnetlink leaves the numbers above 4 to whoever sets routes."""
TO_MACHINE = 100
LAST_RESORT = 2000
"""Metrics. While a machine is off its addresses are swallowed: nobody says that they are unreachable."""


MACHINE_PREFIX = "m2-vm-"
NETWORK_PREFIX = "m2-net-"


def machine_namespace(server_id: int) -> str:
    return f"{MACHINE_PREFIX}{server_id}"


def network_namespace(network_id: int) -> str:
    return f"{NETWORK_PREFIX}{network_id}"


def public_device(server_id: int) -> str:
    return f"p{server_id}"


def private_device(server_id: int) -> str:
    return f"n{server_id}"


def is_ours(device: str) -> bool:
    """Of the machines' links, among a router's."""
    return device[0] in "pn" and device[1:].isdigit()


def gateway(ip_range: str) -> str:
    return str(ipaddress.ip_network(ip_range)[GATEWAY_OFFSET])


@dataclass(frozen=True)
class Link:
    """A veth pair: `device` in the router `namespace`, `inner` in the machine with `address` on it.

    `reach` is the destination that the machine sends to `gateway`.
    """

    namespace: str
    device: str
    server_id: int
    inner: str
    mac: str
    mtu: int
    address: str
    gateway: str
    reach: str

    @property
    def label(self) -> str:
        """Kept on the device by the kernel once the link is complete: a restarted daemon reads it back."""
        parts = (self.server_id, self.inner, self.mac, self.mtu, self.address, self.gateway, self.reach)
        return " ".join(map(str, parts))

    @classmethod
    def labelled(cls, namespace: str, device: str, label: str) -> Link:
        server_id, inner, mac, mtu, address, gateway, reach = label.split(" ")
        return cls(namespace, device, int(server_id), inner, mac, int(mtu), address, gateway, reach)

    def plug(self) -> list[str]:
        """Lines of `ip -batch` in the router."""
        machine = machine_namespace(self.server_id)
        peer = f"peer name {self.inner} mtu {self.mtu} address {self.mac} netns {machine}"
        return [
            f"link add {self.device} mtu {self.mtu} address {ROUTER_MAC} type veth {peer}",
            f"link set {self.device} up",
        ]

    def complete(self) -> str:
        """A line of `ip -batch` in the router, the last about this link."""
        return f'link set {self.device} alias "{self.label}"'

    def configure(self) -> list[str]:
        """Lines of `ip -batch` in the machine: what a server of the provider learns by DHCP."""
        return [
            f"addr add {self.address}/32 dev {self.inner}",
            f"link set {self.inner} up",
            f"neigh replace {self.gateway} lladdr {ROUTER_MAC} dev {self.inner} nud permanent",
            f"route add {self.gateway} dev {self.inner} src {self.address}",
            f"route add {self.reach} via {self.gateway} dev {self.inner} src {self.address}",
        ]


@dataclass(frozen=True)
class Route:
    """A route of a router; `via` is a neighbour on `device`; without a device packets are swallowed."""

    namespace: str
    destination: str
    metric: int
    device: str | None = None
    via: str | None = None

    @property
    def key(self) -> tuple[str, str, int]:
        return self.namespace, self.destination, self.metric

    def replace(self) -> str:
        end = f"metric {self.metric} proto {PROTOCOL}"
        if self.device is None:
            return f"route replace blackhole {self.destination} {end}"
        neighbour = f"via {self.via} dev {self.device} onlink" if self.via else f"dev {self.device}"
        return f"route replace {self.destination} {neighbour} {end}"

    def remove(self) -> str:
        kind = "blackhole " if self.device is None else ""
        return f"route del {kind}{self.destination} metric {self.metric} proto {PROTOCOL}"


@dataclass(frozen=True)
class State:
    """What the kernel has, or should have; `networks` are the ids of the private ones."""

    networks: frozenset[int] = frozenset()
    links: frozenset[Link] = frozenset()
    routes: frozenset[Route] = frozenset()

    def without_machine(self, server_id: int) -> State:
        """After its namespace is gone: its veth pairs went with it, and every route over them."""
        gone = {link for link in self.links if link.server_id == server_id}
        devices = {(link.namespace, link.device) for link in gone}
        routes = {route for route in self.routes if (route.namespace, route.device) not in devices}
        return State(self.networks, self.links - gone, frozenset(routes))

    def servers(self) -> frozenset[int]:
        return frozenset(link.server_id for link in self.links)


@dataclass(frozen=True)
class Batch:
    """Lines of `ip -batch` for one namespace."""

    namespace: str
    lines: tuple[str, ...]


def desired(world: World, powered: Set[int]) -> State:
    """The state that `world` asks for while the machines `powered` are on."""
    networks = {network.network_id: network for network in world.networks}
    links = frozenset(
        link
        for attachment in world.attachments
        if attachment.server_id in powered
        for link in _links(attachment, networks)
    )
    routes = [*_public_routes(world), *(r for network in world.networks for r in _private_routes(world, network))]
    connected = {(link.namespace, link.device) for link in links}
    return State(
        frozenset(networks),
        links,
        frozenset(r for r in routes if r.device is None or (r.namespace, r.device) in connected),
    )


def changes(have: State, want: State) -> list[Batch]:
    """What turns `have` into `want`, in this order. The namespaces themselves are not part of it.

    Links go before any comes: a machine may get another one by the name of the one it loses.
    """
    gone, new = have.links - want.links, want.links - have.links
    lost = {(link.namespace, link.device) for link in gone}
    kept = {route for route in have.routes if (route.namespace, route.device) not in lost}
    additions = [
        *((link.namespace, line) for link in _in_order(new) for line in link.plug()),
        *((route.namespace, route.remove()) for route in _superfluous(kept, want.routes)),
        *((route.namespace, route.replace()) for route in sorted(want.routes - kept, key=_key)),
    ]
    return [
        *_batches((link.namespace, f"link del {link.device}") for link in _in_order(gone)),
        *_batches(additions),
        *machine_batches(new),
        *_batches((link.namespace, link.complete()) for link in _in_order(new)),
    ]


def machine_batches(links: Iterable[Link]) -> list[Batch]:
    """How the machines' own ends of `links` are set up."""
    return _batches((machine_namespace(x.server_id), line) for x in _in_order(links) for line in x.configure())


def _links(attachment: Attachment, networks: dict[int, PrivateNetwork]) -> Iterator[Link]:
    server_id = attachment.server_id
    if attachment.public_ipv4:
        yield Link(
            ROUTER,
            public_device(server_id),
            server_id,
            "eth0",
            _public_mac(attachment.public_ipv4),
            PUBLIC_MTU,
            attachment.public_ipv4,
            PUBLIC_GATEWAY,
            "default",
        )
    for number, nic in enumerate(attachment.nics, start=1):
        yield _private_link(server_id, f"eth{number}", nic, networks)


def _private_link(server_id: int, inner: str, nic: PrivateNic, networks: dict[int, PrivateNetwork]) -> Link:
    network = networks.get(nic.network_id)
    if network is None:
        raise BackendError(f"server {server_id} is attached to network {nic.network_id}, which does not exist")
    return Link(
        network_namespace(nic.network_id),
        private_device(server_id),
        server_id,
        inner,
        nic.mac,
        PRIVATE_MTU,
        nic.ip,
        gateway(network.ip_range),
        network.ip_range,
    )


def _public_mac(address: str) -> str:
    return "02:00:" + ":".join(f"{byte:02x}" for byte in ipaddress.IPv4Address(address).packed)


def _public_routes(world: World) -> Iterator[Route]:
    public = {a.server_id: a.public_ipv4 for a in world.attachments if a.public_ipv4}
    for server_id, address in public.items():
        yield Route(ROUTER, address, LAST_RESORT)
        yield Route(ROUTER, address, TO_MACHINE, public_device(server_id))
    for address, server_id in world.floating:
        yield Route(ROUTER, address, LAST_RESORT)
        if server_id in public:
            yield Route(ROUTER, address, TO_MACHINE, public_device(server_id), public[server_id])


def _private_routes(world: World, network: PrivateNetwork) -> Iterator[Route]:
    router = network_namespace(network.network_id)
    owner: dict[str, tuple[int, str]] = {}
    members = [(a.server_id, nic) for a in world.attachments for nic in a.nics if nic.network_id == network.network_id]
    for server_id, nic in members:
        yield Route(router, nic.ip, LAST_RESORT)
        yield Route(router, nic.ip, TO_MACHINE, private_device(server_id))
        for alias in nic.alias_ips:
            yield from _by_member(router, alias, server_id, nic.ip)
        owner |= dict.fromkeys((nic.ip, *nic.alias_ips), (server_id, nic.ip))
    for destination, target in network.routes:
        if target in owner:
            yield from _by_member(router, canonical(destination), *owner[target])


def _by_member(router: str, destination: str, server_id: int, address: str) -> Iterator[Route]:
    yield Route(router, destination, LAST_RESORT)
    yield Route(router, destination, TO_MACHINE, private_device(server_id), address)


def canonical(destination: str) -> str:
    """A destination as `ip route` prints it."""
    network = ipaddress.IPv4Network(destination)
    if network.prefixlen == 0:
        return "default"
    return str(network.network_address) if network.prefixlen == 32 else str(network)


def _superfluous(have: Set[Route], want: Set[Route]) -> list[Route]:
    replaced = {route.key for route in want}
    return sorted((route for route in have if route.key not in replaced), key=_key)


def _batches(lines: Iterable[tuple[str, str]]) -> list[Batch]:
    """(namespace, line) as one batch for each namespace, in the order in which they first come."""
    found: dict[str, list[str]] = {}
    for namespace, line in lines:
        found.setdefault(namespace, []).append(line)
    return [Batch(namespace, tuple(together)) for namespace, together in found.items()]


def _in_order(links: Iterable[Link]) -> list[Link]:
    return sorted(links, key=lambda link: (link.server_id, link.inner))


def _key(route: Route) -> tuple[str, str, int]:
    return route.key
