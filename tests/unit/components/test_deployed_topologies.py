"""Every topology under Pulumi's mocks: what exists of it, and what people are told."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

import pytest

from stacks.settings import TopologyName
from tests.unit.components.deployment import Deployment, address_by_id, deploy
from tests.unit.stacks.example import STACK, USUAL, plan

CASES: dict[str, dict[str, Any]] = {
    "one-server": {},
    "two-server-ha": {},
    "three-server": {},
    "four-server-ha": {},
    "full": {"gui_on": "database", "cores": 3},
}


@cache
def made(name: TopologyName) -> Deployment:
    deployment = deploy({**USUAL, **CASES[name], "topology": name})
    if deployment.error:
        raise deployment.error
    return deployment


KINDS: dict[str, dict[str, int]] = {
    "one-server": {"DbServer": 1},
    "two-server-ha": {"DbPair": 1, "Host": 3},
    "three-server": {"DbServer": 1, "CoreNode": 2},
    "four-server-ha": {"DbPair": 1, "Host": 2, "CoreNode": 2},
    "full": {"SipBalancer": 1, "DbPair": 1, "Host": 4, "CoreNode": 3},
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_made_of_the_same_components(name: TopologyName) -> None:
    found = Counter(resource.kind for resource in made(name).resources if not resource.request.custom)
    assert found == {"Site": 1, **KINDS[name]}


@pytest.mark.parametrize("name", CASES)
def test_every_host_has_a_server_an_address_and_its_roles(name: TopologyName) -> None:
    hosts = {host.name for host in plan(**CASES[name], topology=name).hosts}
    for kind in ("Server", "PrimaryIp"):
        assert {each.inputs["name"].removeprefix(f"{STACK}-") for each in made(name).of(kind)} == hosts
    assert len(made(name).of("Command")) == len(made(name).of("ServerNetwork")) == len(hosts)
    assert set(made(name).outputs["hosts"]) == hosts


@pytest.mark.parametrize("name", CASES)
def test_public_addresses_that_move_are_made_and_given_to_nobody(name: TopologyName) -> None:
    moving = {vip.name for vip in plan(**CASES[name], topology=name).vips if vip.scope == "public"}
    assert {each.inputs["name"].removeprefix(f"{STACK}-") for each in made(name).of("FloatingIp")} == moving


@pytest.mark.parametrize("name", ["three-server", "four-server-ha"])
def test_carriers_get_both_core_addresses_and_dns_records_that_name_them(name: TopologyName) -> None:
    outputs = made(name).outputs
    one, two = (outputs["hosts"][core] for core in ("core-1", "core-2"))
    assert outputs["sip_addresses"] == [one, two]
    assert outputs["sip_dns_records"] == [
        *(
            f"_sip._{transport} 300 IN SRV 10 50 5060 {core}"
            for transport in ("udp", "tcp")
            for core in ("core-1", "core-2")
        ),
        f"core-1 300 IN A {one}",
        f"core-2 300 IN A {two}",
    ]


@pytest.mark.parametrize(("name", "at"), [("one-server", "node-1"), ("two-server-ha", "sip"), ("full", "sip")])
def test_carriers_get_one_address_where_there_is_one(name: TopologyName, at: str) -> None:
    outputs = made(name).outputs
    own = outputs["hosts"].get(at)
    assert outputs["sip_addresses"] == [outputs["sip_address"]]
    assert outputs["sip_address"] == (own or moving_address(made(name), at))


def moving_address(deployment: Deployment, name: str) -> str:
    return address_by_id(deployment.ids[deployment.one("FloatingIp", f"-{name}-ip").urn])


@pytest.mark.parametrize("name", CASES)
def test_the_gui_is_where_its_address_is(name: TopologyName) -> None:
    outputs = made(name).outputs
    moving = [each for each in made(name).of("FloatingIp") if each.name.endswith("-gui-ip")]
    host = next(host.name for host in plan(**CASES[name], topology=name).with_role("gui"))
    expected = moving_address(made(name), "gui") if moving else outputs["hosts"][host]
    assert outputs["gui_url"] == f"https://{expected}/"


def test_an_address_that_is_kept_is_no_resource_of_the_stack() -> None:
    kept = deploy({**USUAL, "topology": "two-server-ha", "sip_address": "198.51.100.77"})
    assert kept.error is None
    assert {each.name for each in kept.of("FloatingIp")} == {"fsn1-gui-ip"}
    assert kept.outputs["sip_address"] == "198.51.100.77"
