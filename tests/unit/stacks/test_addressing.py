"""Private addresses: where they lie, and that they stay."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacks import addressing
from tests.unit.stacks.strategies import networks

KINDS = {"balancer": 2, "database": 2, "gui": 1, "witness": 1}


def hosts(network: IPv4Network, cores: int) -> dict[str, IPv4Address]:
    """The address of every host that a site of any topology may have."""
    counts = {**KINDS, "core": cores}
    return {
        addressing.host_name(kind, index): IPv4Address(addressing.host_address(network, kind, index))
        for kind, count in counts.items()
        for index in range(1, count + 1)
    }


@given(networks, st.data())
def test_every_host_has_an_address_of_its_own_in_the_subnet(network: IPv4Network, data: st.DataObject) -> None:
    cores = data.draw(st.integers(2, min(200, addressing.core_limit(network))))
    subnet = addressing.subnet(network)
    addresses = list(hosts(network, cores).values())
    assert len(set(addresses)) == len(addresses)
    for address in addresses:
        assert address in subnet
        assert address not in (subnet.network_address, subnet.broadcast_address, network[1])


@given(networks, st.data())
def test_one_more_core_moves_no_address(network: IPv4Network, data: st.DataObject) -> None:
    cores = data.draw(st.integers(2, min(200, addressing.core_limit(network)) - 1))
    before, after = hosts(network, cores), hosts(network, cores + 1)
    assert after == {**before, f"core-{cores + 1}": after[f"core-{cores + 1}"]}


@given(networks)
def test_moving_addresses_lie_in_the_network_outside_of_its_subnet(network: IPv4Network) -> None:
    vips = [IPv4Address(addressing.vip_address(network, name)) for name in ("database", "sip-private")]
    assert len(set(vips)) == len(vips)
    for vip in vips:
        assert vip in network
        assert vip not in addressing.subnet(network)
        assert vip not in (network.network_address, network.broadcast_address)


@given(networks)
def test_one_core_more_than_the_limit_does_not_fit(network: IPv4Network) -> None:
    block, limit = addressing.core_block(network), addressing.core_limit(network)
    last = IPv4Address(addressing.host_address(network, "core", limit))
    assert last in block
    assert last + 1 == block.broadcast_address


@given(networks)
def test_the_block_of_cores_has_all_cores_and_no_other_host(network: IPv4Network) -> None:
    """Who lets the block in lets cores in, present and future ones, and nobody else."""
    block = addressing.core_block(network)
    assert block.subnet_of(addressing.subnet(network))
    cores = min(200, addressing.core_limit(network))
    inside = {name for name, address in hosts(network, cores).items() if address in block}
    assert inside == {f"core-{number}" for number in range(1, cores + 1)}


@pytest.mark.parametrize(
    ("kind", "index", "number"),
    [("balancer", 1, 11), ("database", 2, 22), ("gui", 1, 31), ("core", 1, 101), ("core", 200, 300)],
)
def test_the_numbers_of_running_hosts_never_change_between_releases(kind: str, index: int, number: int) -> None:
    """They are in call records."""
    assert addressing.host_number(kind, index) == number


@pytest.mark.parametrize(
    ("network", "kind", "index", "address"),
    [
        ("10.0.0.0/16", "balancer", 1, "10.0.0.11"),
        ("10.0.0.0/16", "balancer", 2, "10.0.0.12"),
        ("10.0.0.0/16", "database", 2, "10.0.0.22"),
        ("10.0.0.0/16", "gui", 1, "10.0.0.31"),
        ("10.0.0.0/16", "core", 1, "10.0.64.1"),
        ("10.0.0.0/16", "core", 200, "10.0.64.200"),
        ("192.168.7.0/24", "core", 62, "192.168.7.126"),
    ],
)
def test_addresses_of_running_hosts_never_change_between_releases(
    network: str, kind: str, index: int, address: str
) -> None:
    assert addressing.host_address(IPv4Network(network), kind, index) == address


@pytest.mark.parametrize(("name", "address"), [("database", "10.0.128.1"), ("sip-private", "10.0.128.2")])
def test_moving_addresses_never_change_between_releases(name: str, address: str) -> None:
    assert addressing.vip_address(IPv4Network("10.0.0.0/16"), name) == address


@given(st.integers(2, 200))
def test_the_names_of_hosts_are_all_different(cores: int) -> None:
    names = addressing.host_names("full", cores)
    assert len(set(names)) == len(names) == cores + 5
