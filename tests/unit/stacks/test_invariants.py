"""What must hold of any plan: right settings keep it, and a plan that breaks it is named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from components.bundle import openings
from components.openings import Opening
from components.plan import HostPlan, SitePlan, VipPlan
from stacks import invariants
from stacks.settings import SettingsError
from tests.unit.stacks.example import plan
from tests.unit.stacks.strategies import stack_files


@settings(max_examples=10)
@given(stack_files(most_cores=9))
def test_right_settings_give_a_plan_that_keeps_every_invariant(values: dict[str, Any]) -> None:
    assert invariants.problems(plan(**values)) == []


@pytest.mark.parametrize(
    "values",
    [
        {"sip_port": 3306},
        {"sip_port": 8443},
        {"sip_port": 2379},
        {"rtp_ports": "2379-2380"},
        {"rtp_ports": "3000-4000"},
        {"admins": {"ssh_from": ["203.0.113.0/25", "203.0.113.128/25"], "ssh_keys": ["ssh-ed25519 AAAA me"]}},
    ],
    ids=str,
)
def test_settings_that_would_break_an_invariant_are_refused_as_settings(values: dict[str, object]) -> None:
    """A person who wrote `sip_port` is told of `sip_port`."""
    try:
        chosen = plan(**values)
    except SettingsError as error:
        assert str(error).startswith(tuple(values))
        return
    assert invariants.problems(chosen) == []


def with_host(name: str, **changes: Any) -> SitePlan:
    whole = plan()
    return replace(whole, hosts=tuple(replace(h, **changes) if h.name == name else h for h in whole.hosts))


def with_vip(name: str, **changes: Any) -> SitePlan:
    whole = plan()
    return replace(whole, vips=tuple(replace(v, **changes) if v.name == name else v for v in whole.vips))


BROKEN: Mapping[str, tuple[Callable[[], SitePlan], tuple[str, ...]]] = {
    # what is broken: (the plan, words of its sentence)
    "two hosts with one address": (lambda: with_host("core-2", private_ip="10.0.64.1"), ("10.0.64.1", "2 times")),
    "a host with the address of a VIP": (
        lambda: with_host("core-2", private_ip="10.0.128.1"),
        ("10.0.128.1", "2 times"),
    ),
    "two VIPs with one address": (lambda: with_vip("sip-private", ip="10.0.128.1"), ("10.0.128.1", "2 times")),
    "a host outside of the network": (lambda: with_host("gui", private_ip="10.9.0.31"), ("gui", "10.9.0.31")),
    "a host outside of the subnet": (lambda: with_host("gui", private_ip="10.0.200.1"), ("gui", "10.0.200.1")),
    "a host with the gateway's address": (lambda: with_host("gui", private_ip="10.0.0.1"), ("gui", "10.0.0.1")),
    "a host with the subnet's own address": (lambda: with_host("gui", private_ip="10.0.0.0"), ("gui", "10.0.0.0")),
    "a host with the broadcast address": (
        lambda: with_host("gui", private_ip="10.0.127.255"),
        ("gui", "10.0.127.255"),
    ),
    "a VIP in the subnet": (lambda: with_vip("database", ip="10.0.7.7"), ("database", "10.0.7.7", "10.0.0.0/17")),
    "a VIP outside of the network": (
        lambda: with_vip("database", ip="10.9.128.1"),
        ("database", "10.9.128.1", "10.0.0.0/16"),
    ),
    "another host among the cores": (
        lambda: with_host("gui", private_ip="10.0.64.9"),
        ("gui", "10.0.64.9", "10.0.64.0/18", "cores"),
    ),
    "two hosts with one number": (lambda: with_host("core-2", number=101), ("number 101", "2 times")),
    "a quorum of two": (lambda: with_host("gui", roles=("gui",)), ("quorum", "2 members", "needs 3")),
    "a quorum of four": (lambda: with_host("core-1", roles=("core", "quorum")), ("quorum", "4 members", "needs 3")),
    "a third member that may share a machine": (
        lambda: with_host("gui", placement="elsewhere"),
        ("quorum", "physical machine"),
    ),
    "a pair that may share a machine": (
        lambda: with_host("balancer-2", placement="elsewhere"),
        ("sip", "balancer-1 and balancer-2", "physical machine"),
    ),
    "a pair of one": (
        lambda: replace(plan(), vips=(*plan().vips, VipPlan("web", "private", ("gui", "gui"), "10.0.128.9"))),
        ("web", "gui and gui"),
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plan_is_named(name: str) -> None:
    build, words = BROKEN[name]
    sentences = invariants.problems(build())
    assert any(all(word in sentence for word in words) for sentence in sentences), sentences


OTHERS = ("0.0.0.0/0",)
OPENED: Mapping[str, tuple[Opening, tuple[str, ...]]] = {
    "MariaDB": (Opening("tcp", "3306", OTHERS, "public", "public", False), ("gui", "MariaDB")),
    "etcd": (Opening("tcp", "2379-2380", OTHERS, "public", "public", False), ("gui", "etcd")),
    "one port of etcd": (Opening("tcp", "2379", OTHERS, "public", "public", False), ("gui", "etcd")),
    "the mover": (Opening("tcp", "8443", OTHERS, "public", "public", False), ("gui", "mover")),
    "MariaDB on a public address that moves": (
        Opening("tcp", "3306", OTHERS, "sip", "public", False),
        ("gui", "MariaDB"),
    ),
    "MariaDB among other ports": (Opening("tcp", "3000-4000", OTHERS, "public", "public", False), ("gui", "MariaDB")),
    "the mover among other ports": (Opening("tcp", "8000-9000", OTHERS, "public", "public", False), ("gui", "mover")),
    "every TCP port": (Opening("tcp", None, OTHERS, "public", "public", False), ("gui", "MariaDB")),
    "SSH to everybody": (Opening("tcp", "22", OTHERS, "public", "public", False), ("gui", "SSH", "0.0.0.0/0")),
    "SSH to more than the admins": (
        Opening("tcp", "22", ("203.0.113.0/24",), "public", "public", False),
        ("gui", "SSH", "203.0.113.0/24"),
    ),
    "SSH among other ports": (Opening("tcp", "20-25", OTHERS, "public", "public", False), ("gui", "SSH")),
    "SSH on the private network": (
        Opening("tcp", "22", ("10.0.0.0/16",), "private", "private", False),
        ("gui", "SSH", "10.0.0.0/16"),
    ),
}


@pytest.mark.parametrize("name", OPENED)
def test_what_must_not_be_open_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opening, words = OPENED[name]

    def opened(plan: SitePlan, host: HostPlan) -> tuple[Opening, ...]:
        return (*openings(plan, host), *([opening] if host.name == "gui" else []))

    monkeypatch.setattr(invariants, "openings", opened)
    sentences = invariants.problems(plan())
    assert any(all(word in sentence for word in words) for sentence in sentences), sentences


def test_every_broken_invariant_is_told_at_once() -> None:
    broken = with_host("gui", private_ip="10.0.0.1", placement="elsewhere")
    both = replace(broken, vips=(*broken.vips, VipPlan("other", "private", ("gui", "gui"), "10.0.7.7")))
    assert len(invariants.problems(both)) >= 4
