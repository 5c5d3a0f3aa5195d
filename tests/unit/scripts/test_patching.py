"""Upgrades of the pair's hosts: their order, what is asked of the pair before, and where it stops."""

from __future__ import annotations

import pytest

from scripts import database_pair, patching
from scripts.database_pair import PairError
from tests.unit.fake_ssh import FakeSsh
from tests.unit.scripts.staged_pair import PAIR, Stage, record

UPGRADE = "force-confold dist-upgrade"


@pytest.fixture
def stage(ssh: FakeSsh, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A whole pair; every host has two packages to upgrade, and comes back from its reboot at once."""
    monkeypatch.setattr(patching, "POLL", 0.01)
    monkeypatch.setattr(patching, "BEFORE_TIMEOUT", 0.1)
    monkeypatch.setattr(database_pair, "POLL", 0.01)
    ssh.answer("*", "apt-get")
    ssh.answer("*", "apt-get -q -s", "2\n")
    ssh.answer("*", "systemctl reboot")
    ssh.answer("*", "test -e", code=1)
    made = Stage(ssh)
    made.both()
    for member in ("database-1", "database-2"):
        for words in ("lock patch", "unlock patch", "release"):
            made.takes(member, words)
    return made


def patch(always_reboot: bool = False) -> list[str]:
    told: list[str] = []
    patching.patch(PAIR, always_reboot, told.append)
    return told


def order(ssh: FakeSsh, command: str) -> list[str]:
    return [entry["host"] for entry in ssh.log() if command in entry["command"]]


def test_the_third_quorum_member_goes_first_and_the_holder_last(stage: Stage, ssh: FakeSsh) -> None:
    patch()
    assert order(ssh, "systemctl reboot") == ["gui", "database-2", "database-1"]
    assert order(ssh, UPGRADE) == ["gui", "database-2", "database-1"]


def test_a_member_is_released_before_it_is_touched_and_all_of_it_under_the_lock(stage: Stage, ssh: FakeSsh) -> None:
    patch()
    commands = [f"{entry['host']}: {entry['command']}" for entry in ssh.log()]

    def at(host: str, words: str) -> int:
        return next(n for n, command in enumerate(commands) if command.startswith(host) and words in command)

    for member in ("database-1", "database-2"):
        assert at(member, "release --wait") < at(member, UPGRADE)
    assert at("database-1", " lock patch") < at("gui", UPGRADE)
    assert at("database-1", "unlock patch") > at("database-1", UPGRADE)


def test_a_host_without_upgrades_is_left_alone(stage: Stage, ssh: FakeSsh) -> None:
    ssh.answer("*", "apt-get -q -s", "0\n")
    assert "gui: nothing to upgrade" in patch()
    assert order(ssh, "systemctl reboot") == []
    assert stage.asked("database-2") == []


def test_asked_for_it_reboots_without_upgrades_too(stage: Stage, ssh: FakeSsh) -> None:
    ssh.answer("*", "apt-get -q -s", "0\n")
    patch(always_reboot=True)
    assert order(ssh, "systemctl reboot") == ["gui", "database-2", "database-1"]
    assert order(ssh, UPGRADE) == []


def test_a_pair_that_is_not_whole_is_not_patched(stage: Stage, ssh: FakeSsh) -> None:
    stage.both(alarms=["etcd: gui does not answer"])
    with pytest.raises(PairError, match="gui does not answer"):
        patch()
    assert order(ssh, "apt-get") == []


def test_a_refused_release_stops_it_before_anything_of_that_member_changes(stage: Stage, ssh: FakeSsh) -> None:
    stage.refuses("database-2", "release", "the backup cannot serve")
    with pytest.raises(PairError, match="cannot serve"):
        patch()
    assert order(ssh, "systemctl reboot") == ["gui"]
    assert "unlock patch" in stage.asked("database-1"), "the lock is given back"


def test_the_database_is_sent_back_to_the_main_at_the_end(stage: Stage) -> None:
    stage.both(record=record(holder="database-2"))
    stage.refuses("database-2", "failback", "the hold-down is not over")
    with pytest.raises(PairError, match="hold-down"):
        patch()
