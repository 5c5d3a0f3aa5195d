"""Powering the other member off: who may ask, and when `off` is believed."""

from __future__ import annotations

import pytest

from failover import mover_client
from failover.cloud import CloudError
from failover.mover_client import MoverClient, MoverError
from tests.unit.failover.conftest import Connect
from tests.unit.failover.fake_api import (
    ACTION_ERROR,
    BACKUP,
    LOST_AFTER,
    MAIN,
    TIMED_OUT,
    TRANSIENT,
    UNAUTHORIZED,
    FakeApi,
    Fault,
)
from tests.unit.failover.movers import DATABASE_1, Certificates, FakeCloud

BUDGET = 30.0


def power_off(api: FakeApi) -> None:
    api.client().power_off(MAIN.server, BACKUP.server, api.clock + BUDGET)


def is_off(api: FakeApi) -> bool:
    return api.servers[MAIN.server] in api.off


@pytest.mark.parametrize(("host", "peer"), [("database-1", "database-2"), ("database-2", "database-1")])
def test_each_member_of_the_database_pair_may_have_the_other_powered_off(
    connect: Connect, cloud: FakeCloud, host: str, peer: str
) -> None:
    assert connect(host).post(f"/servers/{peer}/power_off", {}) == (200, {"power": "off"})
    assert cloud.powered_off == [(f"s-{peer}", f"s-{host}")]


@pytest.mark.parametrize(
    ("host", "peer"),
    [
        ("database-1", "database-1"),
        ("balancer-1", "balancer-2"),
        ("balancer-1", "database-1"),
        ("database-1", "balancer-1"),
        ("gui", "database-1"),
        ("database-1", "core-1"),
        ("database-1", ""),
    ],
)
def test_nobody_else_is_powered_off_and_by_nobody_else(
    connect: Connect, cloud: FakeCloud, host: str, peer: str
) -> None:
    status, answer = connect(host).post(f"/servers/{peer}/power_off", {})
    assert status == 403
    assert host in answer["error"]
    assert cloud.powered_off == []


@pytest.mark.parametrize("verb", ["power_on", "reboot", "", "power_off/now"])
def test_a_server_can_be_powered_off_and_nothing_else(connect: Connect, cloud: FakeCloud, verb: str) -> None:
    assert connect("database-1").post(f"/servers/database-2/{verb}", {})[0] == 404
    assert cloud.powered_off == []


def test_a_host_asks_its_mover(
    connect: Connect, port: int, certificates: Certificates, cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mover_client, "PORT", port)
    client = MoverClient((DATABASE_1,), certificates.client("database-1"))
    client.power_off("database-2")
    assert cloud.powered_off == [("s-database-2", "s-database-1")]
    cloud.error = CloudError("the API answered 423 locked")
    with pytest.raises(MoverError, match="423 locked"):
        client.power_off("database-2")


def test_a_server_is_off_once_the_cloud_says_so() -> None:
    api = FakeApi()
    power_off(api)
    assert is_off(api)
    assert api.asked[-1] == ("GET", "servers")


def test_a_server_that_is_off_is_left_alone() -> None:
    api = FakeApi(off={FakeApi().servers[MAIN.server]})
    power_off(api)
    assert api.moves == []


@pytest.mark.parametrize("fault", TRANSIENT.values(), ids=TRANSIENT.keys())
def test_a_fault_of_the_api_costs_time_and_nothing_else(fault: Fault) -> None:
    api = FakeApi(posts=[fault, fault])
    power_off(api)
    assert is_off(api)


@pytest.mark.parametrize("fault", [UNAUTHORIZED, ACTION_ERROR], ids=["401", "failed action"])
def test_a_cloud_that_refuses_is_told_and_nothing_is_taken_for_off(fault: Fault) -> None:
    api = FakeApi(always=fault)
    with pytest.raises(CloudError, match="s-database-1 could not be powered off"):
        power_off(api)
    assert not is_off(api)
    assert api.clock <= 1000 + BUDGET + TIMED_OUT


def test_a_cloud_that_says_yes_and_does_nothing_is_not_believed() -> None:
    with pytest.raises(CloudError, match="says yes and the server is not off"):
        power_off(FakeApi(deaf=True))


def test_a_lost_reply_is_read_back() -> None:
    api = FakeApi(posts=[LOST_AFTER])
    power_off(api)
    assert api.moves == ["poweroff"]


def test_a_server_that_the_project_has_no_more_is_off() -> None:
    api = FakeApi()
    del api.servers[MAIN.server]
    power_off(api)
    assert api.moves == []


def test_a_project_that_does_not_know_the_asking_server_either_is_another_project() -> None:
    api = FakeApi(servers={})
    with pytest.raises(CloudError, match="no servers called s-database-2"):
        power_off(api)
