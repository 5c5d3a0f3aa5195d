"""Which addresses may be used where: the public pool, and the rules of private networks. Pure.

Private networks: docs.hetzner.cloud/reference/cloud ("Networks": what a subnet, route and gateway must be) and
docs.hetzner.com/cloud/networks/overview (reserved addresses). A default route is let overlap everything, since the
provider documents it as allowed and everything overlaps it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network

from localcloud.hetzner.errors import ApiError, invalid, limit_exceeded, refused
from localcloud.hetzner.model import Network, Route, Subnet

PUBLIC_POOL = IPv4Network("198.51.100.0/24")
PUBLIC_POOL_V6 = "2001:db8:{:x}::/64"
PUBLIC_GATEWAY = IPv4Address("172.31.1.1")
DEFAULT_ROUTE = IPv4Network("0.0.0.0/0")
RFC1918 = tuple(IPv4Network(block) for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
LONGEST_NETWORK = 24
LONGEST_SUBNET = 30
DEFAULT_SUBNET = 24


def free_public_ip(ip_type: str, taken: Collection[str]) -> str:
    """The lowest free address, or /64, of the pool; raises `resource_limit_exceeded` when there is none."""
    for candidate in _public_ips(ip_type):
        if candidate not in taken:
            return candidate
    raise limit_exceeded("public IP", PUBLIC_POOL.num_addresses - 2)


def _public_ips(ip_type: str) -> Iterator[str]:
    if ip_type == "ipv4":
        return (str(host) for host in PUBLIC_POOL.hosts())
    return (PUBLIC_POOL_V6.format(number) for number in range(1, 0x10000))


def gateway_of(network: Network) -> IPv4Address:
    """The first address of the network's range; nobody else may have it."""
    return IPv4Network(network.ip_range)[1]


def require_network_range(ip_range: str) -> None:
    block = IPv4Network(ip_range)
    if not _is_private(block):
        raise invalid("ip_range", f"{ip_range} is not within {', '.join(map(str, RFC1918))}")
    if block.prefixlen > LONGEST_NETWORK:
        raise invalid("ip_range", f"{ip_range} is smaller than a /{LONGEST_NETWORK}")


def require_extension(network: Network, ip_range: str) -> None:
    """A range may only grow, and only at its end."""
    old, new = IPv4Network(network.ip_range), IPv4Network(ip_range)
    if new.network_address != old.network_address or new.prefixlen > old.prefixlen:
        raise invalid("ip_range", f"{ip_range} does not extend {network.ip_range} at its end")
    require_network_range(ip_range)


def new_subnet(network: Network, ip_range: str | None, kind: str, zone: str) -> Subnet:
    """A subnet that the network can take: the range given, or the first free /24."""
    block = IPv4Network(ip_range) if ip_range else _free_subnet(network)
    if not block.subnet_of(IPv4Network(network.ip_range)):
        raise invalid("ip_range", f"{block} is not within the network's {network.ip_range}")
    if block.prefixlen > LONGEST_SUBNET:
        raise invalid("ip_range", f"{block} is smaller than a /{LONGEST_SUBNET}")
    if _overlaps(block, _used_blocks(network)):
        raise invalid("ip_range", f"{block} overlaps with a subnet or a route of the network")
    return Subnet.model_validate({"type": kind, "ip_range": str(block), "network_zone": zone})


def _free_subnet(network: Network) -> IPv4Network:
    used = list(_used_blocks(network))
    for block in IPv4Network(network.ip_range).subnets(new_prefix=DEFAULT_SUBNET):
        if not _overlaps(block, used):
            return block
    raise invalid("ip_range", f"no /{DEFAULT_SUBNET} is free in {network.ip_range}")


def require_route(network: Network, route: Route) -> None:
    """Raises what the provider says of a route that a network cannot take.

    Both messages are the provider's (hcloud-cloud-controller-manager #577, hetznercloud/cli #826): a destination
    that exists already is `invalid_input`, which makes adding a route a compare-and-set.
    """
    destination, gateway = IPv4Network(route.destination), IPv4Address(route.gateway)
    inside = gateway in IPv4Network(network.ip_range)
    if not inside or gateway in (gateway_of(network), PUBLIC_GATEWAY):
        raise invalid("gateway", f"{gateway} cannot be a gateway in {network.ip_range}", "invalid gateway")
    if any(route.destination == existing.destination for existing in network.routes):
        raise _overlapping(f"{destination} has a route already")
    if destination == DEFAULT_ROUTE:
        return
    if not _is_private(destination):
        raise invalid("destination", f"{destination} is not within {', '.join(map(str, RFC1918))}")
    if PUBLIC_GATEWAY in destination or _overlaps(destination, _used_blocks(network)):
        raise _overlapping(f"{destination} overlaps with a subnet or a route of the network")


def _overlapping(problem: str) -> ApiError:
    message = "network route destination overlaps with another subnetwork or network route"
    return invalid("destination", problem, message)


def choose_ip(network: Network, zone: str, taken: Collection[str], ip: str | None, ip_range: str | None) -> str:
    """A server's address in a network: the one asked for, or the lowest free one of its zone's subnets."""
    subnets = [subnet for subnet in network.subnets if subnet.network_zone == zone]
    if ip_range:
        subnets = [subnet for subnet in subnets if subnet.ip_range == ip_range]
    if not subnets:
        place = f"subnet {ip_range}" if ip_range else "subnet"
        raise refused("no_subnet_available", f"network '{network.name}' has no {place} in zone '{zone}'")
    if ip:
        require_free_ip(network, subnets, taken, ip)
        return ip
    for subnet in subnets:
        for host in IPv4Network(subnet.ip_range).hosts():
            if str(host) not in taken and host != gateway_of(network):
                return str(host)
    raise refused("no_subnet_available", f"network '{network.name}' has no free IP in zone '{zone}'")


def require_free_ip(network: Network, subnets: Iterable[Subnet], taken: Collection[str], ip: str) -> None:
    """Raises unless the address is a host of one of the subnets, nobody's, and not reserved."""
    address = IPv4Address(ip)
    homes = [block for block in (IPv4Network(subnet.ip_range) for subnet in subnets) if address in block]
    if not homes:
        raise refused("ip_not_available", f"IP {ip} is in no usable subnet of network '{network.name}'")
    reserved = (homes[0].network_address, homes[0].broadcast_address, gateway_of(network), PUBLIC_GATEWAY)
    if address in reserved:
        raise refused("ip_not_available", f"IP {ip} is reserved in network '{network.name}'")
    if ip in taken:
        raise refused("ip_not_available", f"IP {ip} is taken in network '{network.name}'")


def _is_private(block: IPv4Network) -> bool:
    return any(block.subnet_of(private) for private in RFC1918)


def _used_blocks(network: Network) -> Iterator[IPv4Network]:
    yield from (IPv4Network(subnet.ip_range) for subnet in network.subnets)
    routed = (IPv4Network(route.destination) for route in network.routes)
    yield from (block for block in routed if block != DEFAULT_ROUTE)


def _overlaps(block: IPv4Network, others: Iterable[IPv4Network]) -> bool:
    return any(block.overlaps(other) for other in others)


def any_within(ip_range: str, ips: Iterable[str]) -> bool:
    return any(IPv4Address(ip) in IPv4Network(ip_range) for ip in ips)
