"""Which addresses may be used where, for any network."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.hetzner import addresses
from localcloud.hetzner.errors import ApiError
from localcloud.hetzner.model import Network, Route, Subnet

ZONE = "eu-central"


def network(ip_range: str, *subnets: str, routes: tuple[Route, ...] = ()) -> Network:
    return Network(
        id=1,
        name="net",
        created="2026-01-01T00:00:00Z",
        ip_range=ip_range,
        subnets=tuple(Subnet(type="cloud", ip_range=block, network_zone=ZONE) for block in subnets),
        routes=routes,
    )


@st.composite
def blocks(draw: st.DrawFn, within: str = "10.0.0.0/16", shortest: int = 20, longest: int = 30) -> IPv4Network:
    length = draw(st.integers(shortest, longest))
    parent = IPv4Network(within)
    number = draw(st.integers(0, 2 ** (length - parent.prefixlen) - 1))
    return IPv4Network((int(parent.network_address) + number * 2 ** (32 - length), length))


@given(st.sets(st.integers(1, 254)))
def test_public_addresses_are_unique_and_never_run_out_early(taken_hosts: set[int]) -> None:
    taken = {f"198.51.100.{host}" for host in taken_hosts}
    if len(taken) == 254:
        with pytest.raises(ApiError):
            addresses.free_public_ip("ipv4", taken)
        return
    chosen = IPv4Address(addresses.free_public_ip("ipv4", taken))
    assert str(chosen) not in taken
    assert chosen in IPv4Network("198.51.100.0/24")
    assert int(chosen) & 0xFF not in (0, 255)


def test_a_full_pool_is_a_limit() -> None:
    everything = {str(host) for host in addresses.PUBLIC_POOL.hosts()}
    with pytest.raises(ApiError) as error:
        addresses.free_public_ip("ipv4", everything)
    assert (error.value.status, error.value.code) == (403, "resource_limit_exceeded")


@given(st.lists(blocks(), max_size=6))
def test_subnets_never_overlap_whatever_is_asked_for(wanted: list[IPv4Network]) -> None:
    net = network("10.0.0.0/16")
    for block in wanted:
        try:
            subnet = addresses.new_subnet(net, str(block), "cloud", ZONE)
        except ApiError:
            assert any(block.overlaps(IPv4Network(each.ip_range)) for each in net.subnets)
            continue
        net = net.model_copy(update={"subnets": (*net.subnets, subnet)})
    ranges = [IPv4Network(subnet.ip_range) for subnet in net.subnets]
    assert not any(a.overlaps(b) for a in ranges for b in ranges if a is not b)


@given(block=blocks(shortest=24), count=st.integers(1, 8))
def test_chosen_addresses_are_unique_hosts_of_the_subnet(block: IPv4Network, count: int) -> None:
    net = network("10.0.0.0/16", str(block))
    taken: set[str] = set()
    for _ in range(count):
        try:
            ip = addresses.choose_ip(net, ZONE, taken, None, None)
        except ApiError as error:
            assert error.code == "no_subnet_available"
            assert len(taken) >= block.num_addresses - 3
            return
        assert ip not in taken
        assert IPv4Address(ip) in block
        assert IPv4Address(ip) not in (block.network_address, block.broadcast_address, IPv4Address("10.0.0.1"))
        taken.add(ip)


@given(subnet=blocks(), destination=blocks(longest=32))
def test_a_route_is_taken_if_and_only_if_it_overlaps_nothing(subnet: IPv4Network, destination: IPv4Network) -> None:
    net = network("10.0.0.0/16", str(subnet))
    route = Route(destination=str(destination), gateway="10.0.255.254")
    if destination.overlaps(subnet):
        with pytest.raises(ApiError):
            addresses.require_route(net, route)
    else:
        addresses.require_route(net, route)


@given(blocks(longest=32))
def test_the_same_destination_is_never_taken_twice(destination: IPv4Network) -> None:
    first = Route(destination=str(destination), gateway="10.0.255.253")
    second = Route(destination=str(destination), gateway="10.0.255.254")
    with pytest.raises(ApiError) as error:
        addresses.require_route(network("10.0.0.0/16", routes=(first,)), second)
    assert error.value.code == "invalid_input"
