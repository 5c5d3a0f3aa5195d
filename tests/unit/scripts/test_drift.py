"""Who moved an address: the hosts, or somebody else."""

from __future__ import annotations

import json
from typing import Any

import pytest
import typer

from components.logins import Logins
from failover.cloud import CloudError
from failover.config import Address
from scripts import drift, hosts
from scripts.drift import Drift, Found, find, settled
from tests.unit.fake_ssh import FakeSsh
from tests.unit.scripts.staged_pair import HOSTS, Stage, record

MOVES = {
    "listen": "10.0.0.21",
    "port": 8443,
    "endpoint": "https://api.test/v1",
    "addresses": {
        name: {
            "kind": "route",
            "network": "n",
            "destination": "10.0.128.1/32",
            "members": {f"{kind}-{n}": {"server": f"s-{kind}-{n}", "ip": f"10.0.0.{n}"} for n in (1, 2)},
        }
        for name, kind in (("database", "database"), ("sip", "balancer"))
    },
}
STACK = hosts.Hosts(
    HOSTS.stack,
    Logins(
        {**HOSTS.logins.addresses, "balancer-1": "198.51.100.9", "balancer-2": "198.51.100.9"}, HOSTS.logins.host_keys
    ),
    {"database-1": ["mover", "database"], "database-2": ["mover", "database"], "balancer-1": [], "balancer-2": []},
    {},
)


class FakeCloud:
    """Who holds what; set by the test."""

    owners: dict[str, str | None]

    def __init__(self, endpoint: str, token: str) -> None:
        assert (endpoint, token) == ("https://api.test/v1", "token")

    def holder(self, address: Address, deadline: float) -> str | None:
        found = type(self).owners[address.name]
        if found == "error":
            raise CloudError("the API answered 503")
        return found


@pytest.fixture
def stage(ssh: FakeSsh, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Everything is where it should be."""
    monkeypatch.setattr(drift, "Hetzner", FakeCloud)
    monkeypatch.setattr(drift, "SETTLE", 0.0)
    monkeypatch.setattr(hosts, "of_stack", lambda stack, config_file: STACK)
    monkeypatch.setenv("HCLOUD_TOKEN", "token")
    FakeCloud.owners = {"database": "database-1", "sip": "balancer-1"}
    ssh.answer("database-1", "mover.json", MOVES)
    ssh.answer("database-2", "mover.json", MOVES)
    ssh.answer("balancer-1", "vrrp", "MASTER\n")
    ssh.answer("balancer-2", "vrrp", "BACKUP\n")
    made = Stage(ssh)
    made.both()
    return made


def by_name() -> dict[str, Found]:
    return {found.address: found for found in find(STACK, "token")}


def run() -> int:
    try:
        drift.main("full-test")
    except typer.Exit as ended:
        return int(ended.exit_code)
    return 0


def test_nothing_has_moved(stage: Stage) -> None:
    assert {found.drift for found in by_name().values()} == {Drift.NONE}
    assert run() == 0


def test_what_the_hosts_moved_is_a_takeover(stage: Stage, ssh: FakeSsh) -> None:
    FakeCloud.owners = {"database": "database-2", "sip": "balancer-2"}
    stage.both(record=record(holder="database-2"))
    ssh.answer("balancer-1", "vrrp", "BACKUP\n")
    ssh.answer("balancer-2", "vrrp", "MASTER\n")
    assert {found.drift for found in by_name().values()} == {Drift.TAKEOVER}
    assert run() == 3


@pytest.mark.parametrize("elsewhere", ["database-2", "?", None])
def test_what_the_hosts_did_not_move_is_somebody_elses_change(stage: Stage, elsewhere: str | None) -> None:
    FakeCloud.owners["database"] = elsewhere
    assert by_name()["database"].drift is Drift.FOREIGN
    assert by_name()["sip"].drift is Drift.NONE
    assert run() == 4


def test_a_takeover_whose_address_was_given_back_by_hand_is_somebody_elses_change(stage: Stage) -> None:
    """As an assignment that is a Pulumi resource would."""
    stage.both(record=record(holder="database-2"))
    assert by_name()["database"].drift is Drift.FOREIGN


def test_two_masters_are_no_holder(stage: Stage, ssh: FakeSsh) -> None:
    ssh.answer("balancer-2", "vrrp", "MASTER\n")
    assert by_name()["sip"].drift is Drift.FOREIGN


def test_a_move_in_progress_is_looked_at_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeCloud.owners["database"] = None

    def move(_: float) -> None:
        FakeCloud.owners["database"] = "database-1"

    monkeypatch.setattr("time.sleep", move)
    assert {found.drift for found in settled(STACK, "token")} == {Drift.NONE}


def test_the_list_of_moves_comes_from_the_mover_that_answers(stage: Stage, ssh: FakeSsh) -> None:
    ssh.answer("database-1", "", code=255)
    assert by_name()["database"].drift is Drift.NONE


def test_a_cloud_that_does_not_answer_is_no_drift(stage: Stage) -> None:
    FakeCloud.owners["database"] = "error"
    with pytest.raises(CloudError, match="503"):
        run()


def test_programs_read_it(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    drift.main("full-test", as_json=True)
    answer: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    assert answer[0] == {
        "address": "database",
        "cloud": "database-1",
        "hosts": "database-1",
        "main": "database-1",
        "drift": "none",
    }
