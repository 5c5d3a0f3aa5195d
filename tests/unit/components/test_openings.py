"""Who may reach what: the full topology, spelled out by hand."""

from __future__ import annotations

from ipaddress import IPv4Network, collapse_addresses
from typing import Any

import pytest
from hypothesis import given, settings

from components.bundle import openings
from components.openings import OpeningError, RoleOpening, resolve
from components.plan import SitePlan
from tests.unit.stacks.example import plan
from tests.unit.stacks.strategies import stack_files

ADMINS = {"203.0.113.7/32"}
CARRIERS = {"192.0.2.10/32", "192.0.2.20/32"}
GUI_USERS = {"203.0.113.64/26"}
ANYONE = {"0.0.0.0/0"}
SITE = {"10.0.0.0/16"}
BALANCER_1, BALANCER_2, SIP_PRIVATE = "10.0.0.11/32", "10.0.0.12/32", "10.0.128.2/32"
DATABASE_1, DATABASE_2 = "10.0.0.21/32", "10.0.0.22/32"
GUI = "10.0.0.31/32"
CORES = {"10.0.64.0/18"}
"""The block in which cores are and nobody else is: one more changes no opening."""

Row = tuple[str, str, str | None]
"""Address on the host, protocol, ports."""

EVERY_HOST: dict[Row, set[str]] = {
    ("public", "tcp", "22"): ADMINS,
    ("public", "icmp", None): ADMINS,
    ("private", "icmp", None): SITE,
}
BALANCER: dict[Row, set[str]] = {
    ("sip", "udp", "5060"): CARRIERS,
    ("sip", "tcp", "5060"): CARRIERS,
    ("sip", "tcp", "5061"): CARRIERS,
    ("sip-private", "udp", "5060"): CORES,
}
# The balancers send to cores from the address that moves with the calls, and probe them from their own.
CORE: dict[Row, set[str]] = {
    ("private", "udp", "5060"): {BALANCER_1, BALANCER_2, SIP_PRIVATE},
    ("public", "udp", "16384-32768"): ANYONE,
}
# The GUI asks each database at its own address, never the one that moves; the other member verifies a move there.
MATRIX: dict[str, dict[Row, set[str]]] = {
    "balancer-1": {
        **EVERY_HOST,
        **BALANCER,
        ("private", "vrrp", None): {BALANCER_2},
        ("private", "udp", "5060"): {BALANCER_2},
    },
    "balancer-2": {
        **EVERY_HOST,
        **BALANCER,
        ("private", "vrrp", None): {BALANCER_1},
        ("private", "udp", "5060"): {BALANCER_1},
    },
    "database-1": {
        **EVERY_HOST,
        ("database", "tcp", "3306"): CORES | {DATABASE_2},
        ("private", "tcp", "3306"): {DATABASE_2, GUI},
        ("private", "tcp", "8444"): {DATABASE_2},
        ("private", "tcp", "8443"): {DATABASE_2, BALANCER_1, BALANCER_2},
        ("private", "tcp", "2379-2380"): {DATABASE_2, GUI},
    },
    "database-2": {
        **EVERY_HOST,
        ("database", "tcp", "3306"): CORES | {DATABASE_1},
        ("private", "tcp", "3306"): {DATABASE_1, GUI},
        ("private", "tcp", "8444"): {DATABASE_1},
        ("private", "tcp", "8443"): {DATABASE_1, BALANCER_1, BALANCER_2},
        ("private", "tcp", "2379-2380"): {DATABASE_1, GUI},
    },
    "gui": {
        **EVERY_HOST,
        ("public", "tcp", "443"): GUI_USERS,
        ("public", "tcp", "80"): GUI_USERS,
        ("private", "tcp", "2379-2380"): {DATABASE_1, DATABASE_2},
    },
    "core-1": {**EVERY_HOST, **CORE},
    "core-2": {**EVERY_HOST, **CORE},
}


def opened(plan: SitePlan, name: str) -> dict[Row, set[str]]:
    rows: dict[Row, set[str]] = {}
    for opening in openings(plan, plan.host(name)):
        rows.setdefault((opening.at, opening.protocol, opening.ports), set()).update(opening.sources)
    return {row: collapsed(sources) for row, sources in rows.items()}


def collapsed(networks: set[str]) -> set[str]:
    return {str(network) for network in collapse_addresses(IPv4Network(text) for text in networks)}


def test_the_matrix_has_every_host() -> None:
    assert set(MATRIX) == {host.name for host in plan().hosts}


@pytest.mark.parametrize("name", MATRIX)
def test_each_host_is_open_to_exactly_those_who_need_it(name: str) -> None:
    assert opened(plan(), name) == {row: collapsed(sources) for row, sources in MATRIX[name].items()}


@settings(max_examples=6)
@given(stack_files(most_cores=5))
def test_databases_etcd_and_movers_have_no_public_opening(values: dict[str, Any]) -> None:
    chosen = plan(**values)
    for host in chosen.hosts:
        for opening in openings(chosen, host):
            if opening.ports in ("3306", "2379-2380", "8443", "8444"):
                assert opening.scope == "private"
                assert all(IPv4Network(s).subnet_of(IPv4Network(chosen.network)) for s in opening.sources)


@settings(max_examples=6)
@given(stack_files(most_cores=3))
def test_sources_of_an_opening_never_overlap(values: dict[str, Any]) -> None:
    """nftables refuses a set with overlaps."""
    chosen = plan(**values)
    for host in chosen.hosts:
        for opening in openings(chosen, host):
            networks = [IPv4Network(source) for source in opening.sources]
            assert not any(a.overlaps(b) for i, a in enumerate(networks) for b in networks[:i])


def test_only_media_is_stateless() -> None:
    chosen = plan()
    stateless = {o.ports for host in chosen.hosts for o in openings(chosen, host) if o.stateless}
    assert stateless == {"16384-32768"}


def test_what_nobody_would_use_is_not_opened() -> None:
    rows = opened(plan(carriers=[]), "balancer-1")
    assert not [row for row in rows if row[0] == "sip"]


def test_a_role_may_open_a_moving_address_only_where_it_may_move() -> None:
    chosen = plan()
    sip = (RoleOpening("carriers", "sip", "udp", "5060"),)
    with pytest.raises(OpeningError, match=r"sip.*core-1.*allowed: public, private"):
        resolve(chosen, chosen.host("core-1"), sip)


def test_a_role_may_open_to_known_groups_only() -> None:
    chosen = plan()
    with pytest.raises(OpeningError, match=r"'carrier'.*allowed: admins.*carriers.*pair"):
        resolve(chosen, chosen.host("core-1"), (RoleOpening("carrier", "public", "udp", "5060"),))


def test_an_opening_is_read_as_the_role_wrote_it() -> None:
    entry = {"to": "admins", "at": "public", "protocol": "tcp", "ports": 22}
    assert RoleOpening.parse(entry) == RoleOpening("admins", "public", "tcp", "22", False)
    assert RoleOpening.parse({"to": "pair", "at": "private", "protocol": "vrrp"}).ports is None


@pytest.mark.parametrize(
    "changes",
    [{"protocol": "sctp"}, {"protocol": ...}, {"at": ...}, {"to": ...}, {"ports": ...}, {"ports": "ssh"}, {"port": 22}],
    ids=str,
)
def test_an_opening_that_says_too_little_or_something_else_is_refused(changes: dict[str, object]) -> None:
    """A wrong one that passes here fails on the host, or opens every port."""
    usual = {"to": "admins", "at": "public", "protocol": "tcp", "ports": 22}
    entry = {key: value for key, value in {**usual, **changes}.items() if value is not ...}
    with pytest.raises(OpeningError):
        RoleOpening.parse(entry)


def test_resolved_openings_know_their_scope() -> None:
    chosen = plan()
    scopes = {opening.at: opening.scope for opening in openings(chosen, chosen.host("balancer-1"))}
    assert scopes == {"public": "public", "private": "private", "sip": "public", "sip-private": "private"}
