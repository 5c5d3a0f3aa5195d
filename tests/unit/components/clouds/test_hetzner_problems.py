"""What Hetzner Cloud cannot do, told before anything is created and without asking its API."""

from __future__ import annotations

from dataclasses import replace

import pytest

from components.clouds.hetzner import ENDPOINT, NETWORK_ZONES, Hetzner
from components.plan import SitePlan
from tests.unit.stacks.example import STACK, TOKEN, plan


def crowded(count: int) -> SitePlan:
    """The plan with `count` hosts in one placement."""
    usual = plan(cores=count)
    return replace(usual, hosts=tuple(replace(h, placement="one") for h in usual.with_role("core")))


def test_the_usual_plan_has_no_problem() -> None:
    assert [*Hetzner(TOKEN).account_problems(), *Hetzner(TOKEN).problems(plan())] == []


@pytest.mark.parametrize("token", ["", "t", "t" * 63, "t" * 65])
def test_a_token_of_another_length_is_told_without_showing_it(token: str) -> None:
    [problem] = Hetzner(token).account_problems()
    assert problem.startswith(f"hcloud:token: has {len(token)} characters; allowed: ")
    assert "64" in problem
    assert "pulumi config set --secret hcloud:token" in problem
    assert "tttt" not in problem


def test_a_region_of_another_provider_is_told_with_those_that_there_are() -> None:
    [problem] = Hetzner(TOKEN).problems(replace(plan(), region="eu-central-1"))
    assert problem.startswith("region: 'eu-central-1'")
    assert all(region in problem for region in NETWORK_ZONES)


@pytest.mark.parametrize(("count", "problems"), [(10, 0), (11, 1)])
def test_more_hosts_in_a_placement_than_a_group_holds_are_told(count: int, problems: int) -> None:
    found = Hetzner(TOKEN).problems(crowded(count))
    assert len(found) == problems
    assert all("placement one" in problem and "11" in problem and "10" in problem for problem in found)


def test_every_problem_is_told_at_once() -> None:
    assert len(Hetzner("short").problems(replace(crowded(11), region="mars"))) == 2
    assert len(Hetzner("short").account_problems()) == 1


@pytest.mark.parametrize("region", NETWORK_ZONES)
def test_every_region_of_the_settings_has_a_network_zone(region: str) -> None:
    assert Hetzner(TOKEN).problems(plan(region=region)) == []


def test_the_mover_is_told_where_the_api_is_and_what_moves_how() -> None:
    platform = Hetzner(TOKEN, "http://api.test/v1").platform(plan())
    assert (platform.endpoint, platform.token) == ("http://api.test/v1", TOKEN)
    assert platform.moves == {
        "sip": {"kind": "floating_ip", "name": f"{STACK}-sip"},
        "sip-private": {"kind": "route", "network": STACK, "destination": "10.0.128.2/32"},
        "database": {"kind": "route", "network": STACK, "destination": "10.0.128.1/32"},
    }
    assert Hetzner(TOKEN).platform(plan()).endpoint == ENDPOINT
