"""Which host has which private address: pure arithmetic, so that adding a host never moves another.

The first half of the network is the subnet of the hosts, the second half is for addresses that move: a route to
one must lie inside the network and outside every subnet (docs.hetzner.com, Networks). Of the subnet, the second half
is the cores' alone: who lets cores in lets that block in, so one more core changes nothing on other hosts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from ipaddress import IPv4Network

NUMBERS = {"balancer": 11, "database": 21, "gui": 31, "witness": 41, "node": 51, "core": 101}
"""The number of each kind's first host."""

SINGLE = ("gui", "witness")
COUNTS: Mapping[str, Mapping[str, int]] = {
    "one-server": {"node": 1},
    "two-server-ha": {"node": 2, "witness": 1},
    "three-server": {"database": 1, "core": 2},
    "four-server-ha": {"database": 2, "core": 2},
    "full": {"balancer": 2, "database": 2, "gui": 1},
}
"""How many hosts of each kind a topology has; the cores of `full` are a setting."""

VIPS = {"database": 1, "sip-private": 2}
SMALLEST_NETWORK = 24
LARGEST_NETWORK = 16


def subnet(network: IPv4Network) -> IPv4Network:
    """The half of the network in which hosts live."""
    return next(network.subnets(prefixlen_diff=1))


def core_block(network: IPv4Network) -> IPv4Network:
    """The half of the subnet in which cores live."""
    _, cores = subnet(network).subnets(prefixlen_diff=1)
    return cores


def core_limit(network: IPv4Network) -> int:
    """How many cores fit."""
    return core_block(network).num_addresses - 2


def host_name(kind: str, index: int) -> str:
    """The name of the `index`th host of a kind, counted from 1."""
    return kind if kind in SINGLE else f"{kind}-{index}"


def host_names(topology: str, cores: int, without: Collection[str] = ()) -> list[str]:
    """The names of all hosts of a topology, but for kinds that the settings leave out."""
    counts = {**({"core": cores} if topology == "full" else {}), **COUNTS[topology]}
    return [
        host_name(kind, index) for kind, count in counts.items() if kind not in without for index in range(1, count + 1)
    ]


def host_number(kind: str, index: int) -> int:
    """Unique in the site; the server id in call records and of MariaDB."""
    return NUMBERS[kind] + index - 1


def host_address(network: IPv4Network, kind: str, index: int) -> str:
    """The private address of a host."""
    if kind == "core":
        return str(core_block(network)[index])
    return str(subnet(network)[host_number(kind, index)])


def vip_address(network: IPv4Network, name: str) -> str:
    """The private address that moves."""
    _, vips = network.subnets(prefixlen_diff=1)
    return str(vips[VIPS[name]])
