"""Any right settings give a plan that keeps what must hold; any wrong ones give all their errors and create nothing."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Any

import pulumi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.bundle import openings
from components.openings import ANYONE, Opening
from components.plan import SitePlan
from stacks import invariants
from stacks.settings import SettingsError
from tests.unit.components.deployment import deploy
from tests.unit.stacks.example import REQUIRED, plan
from tests.unit.stacks.strategies import WRONG, any_stack


@settings(max_examples=20)
@given(any_stack())
def test_right_settings_of_any_topology_give_a_plan_that_keeps_every_invariant(values: dict[str, Any]) -> None:
    chosen = plan(**values)
    assert invariants.problems(chosen) == []
    addresses = [host.private_ip for host in chosen.hosts] + [vip.ip for vip in chosen.vips if vip.scope == "private"]
    assert len(set(addresses)) == len(addresses)
    for main, backup in chosen.pairs():
        assert main.placement == backup.placement
    assert len({host.placement for host in chosen.with_role("quorum")}) <= 1


@settings(max_examples=5)
@given(any_stack())
def test_public_ports_are_open_to_who_needs_them_and_private_ones_to_the_site(values: dict[str, Any]) -> None:
    chosen = plan(**values)
    for host in chosen.hosts:
        for opening in openings(chosen, host):
            allowed = [IPv4Network(text) for text in allowed_sources(chosen, opening)]
            for source in opening.sources:
                assert any(IPv4Network(source).subnet_of(one) for one in allowed), (host.name, opening)


def allowed_sources(chosen: SitePlan, opening: Opening) -> list[str]:
    """Who may at most be let in, by address and port."""
    told = chosen.settings
    if opening.scope == "private":
        return [chosen.network]
    if opening.ports == told["rtp_ports"]:
        return [ANYONE]
    if opening.ports in ("80", "443"):
        return list(told["gui_from"])
    if opening.protocol == "icmp" or opening.ports == "22":
        return list(told["admins"]["ssh_from"])
    assert opening.ports in (str(told["sip_port"]), str(told["sip_tls_port"])), opening
    return [network for carrier in told["carriers"] for network in carrier["addresses"]]


wrong = st.sets(st.sampled_from(sorted(WRONG)), min_size=1)


@settings(max_examples=25)
@given(any_stack(), wrong)
def test_wrong_settings_give_all_their_errors(values: dict[str, Any], names: set[str]) -> None:
    with pytest.raises(SettingsError) as refused:
        plan(**{**values, **{name: WRONG[name][0] for name in names}})
    lines = str(refused.value).splitlines()
    for name in names:
        assert [line for line in lines if line.startswith(WRONG[name][1])], (name, lines)


@settings(max_examples=2)
@given(wrong)
def test_wrong_settings_create_nothing(names: set[str]) -> None:
    deployment = deploy({**REQUIRED, **{name: WRONG[name][0] for name in names}})
    assert isinstance(deployment.error, pulumi.RunError)
    assert deployment.resources == []
