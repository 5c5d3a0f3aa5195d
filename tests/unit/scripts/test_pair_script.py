"""scripts/pair: what it shows, whom it asks, and what it refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from scripts import database_pair, hosts, pair
from scripts.database_pair import PairError
from tests.unit.fake_ssh import FakeSsh
from tests.unit.scripts.staged_pair import HOSTS, PAIR, Stage, record


@pytest.fixture
def stage(ssh: FakeSsh, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A pair that is whole."""
    monkeypatch.setattr(hosts, "of_stack", lambda stack, config_file: HOSTS)
    monkeypatch.setattr(database_pair, "POLL", 0.01)
    monkeypatch.setattr(pair, "MOVE_TIMEOUT", 0.3)
    made = Stage(ssh)
    made.both()
    return made


def run(*words: str) -> Result:
    return CliRunner().invoke(pair.app, list(words))


def raised(*words: str) -> str:
    result = run(*words)
    assert isinstance(result.exception, PairError), result.output
    return str(result.exception)


def test_the_status_of_a_whole_pair_says_who_holds_the_database_and_that_nothing_can_be_lost(stage: Stage) -> None:
    stage.says("database-2", ready_in=1.6)
    result = run("status", "full-test")
    assert result.exit_code == 0
    first, *rest = result.output.splitlines()
    assert first.startswith("database-1 holds the database since")
    assert "no acknowledged write can be lost" in first
    assert "database-2 does its work; ready to take over in 2 s" in rest[1]
    assert "database -> database-1" in rest[2]
    assert len(rest) == 3


@pytest.mark.parametrize(
    ("changes", "trouble"),
    [
        ({"record": record(mode="SINGLE")}, "database-1 writes alone"),
        ({"alarms": ["etcd: gui does not answer"]}, "etcd: gui does not answer"),
        ({"quorum": False}, "does not see the quorum"),
        ({"record": None}, "no record"),
    ],
    ids=["single", "alarm", "no quorum", "no record"],
)
def test_a_pair_that_is_not_whole_is_told_and_has_its_own_exit_code(
    stage: Stage, changes: dict[str, Any], trouble: str
) -> None:
    stage.both(**changes)
    result = run("status", "full-test")
    assert result.exit_code == pair.NOT_WHOLE
    assert trouble in result.output


def test_a_member_that_does_not_answer_is_named(stage: Stage, ssh: FakeSsh) -> None:
    ssh.answer("database-1", "", code=255, err="No route to host")
    result = run("status", "full-test")
    assert result.exit_code == pair.NOT_WHOLE
    assert "database-1: No route to host" in result.output
    assert "database-1 holds the database" in result.output, "the other member knows"


def test_of_two_views_the_newer_one_counts_and_one_with_quorum_before_all(stage: Stage) -> None:
    stage.says("database-2", record=record(holder="database-2", epoch=4))
    assert PAIR.look().holder == "database-2"
    stage.says("database-1", quorum=False, record=record(epoch=9))
    assert PAIR.look().holder == "database-2"


def test_programs_get_what_both_agents_say(stage: Stage) -> None:
    answer = json.loads(run("status", "full-test", "--json").stdout)
    assert answer["members"]["database-2"]["sentence"] == "database-2 does its work"
    assert answer["silent"] == {}


@pytest.mark.parametrize("how", ["switchover", "failback"])
def test_a_planned_move_is_asked_of_the_holder_and_waited_for(stage: Stage, how: str) -> None:
    stage.takes("database-1", how)
    assert "still has the database" in raised(how, "full-test")
    assert stage.asked("database-1") == [how]
    assert stage.asked("database-2") == []


def test_a_move_ends_when_the_other_member_has_the_database(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair, "MOVE_TIMEOUT", 10.0)
    stage.takes("database-1", "switchover")
    look = database_pair.Pair.look
    before = PAIR.look()
    stage.both(record=record(holder="database-2", epoch=4))
    looks = iter([before, before])
    monkeypatch.setattr(database_pair.Pair, "look", lambda self: next(looks, None) or look(self))
    result = run("switchover", "full-test")
    assert result.exit_code == 0, result.exception
    assert "database-2 has the database" in result.output


def test_a_refusal_of_the_agent_is_told_with_its_reason(stage: Stage) -> None:
    stage.refuses("database-1", "switchover", "the backup is 40 s behind")
    assert raised("switchover", "full-test") == "database-1 refuses: the backup is 40 s behind"


def test_a_forced_takeover_needs_the_consent_to_lose_data(stage: Stage) -> None:
    assert "--accept-data-loss" in raised("takeover", "full-test")
    assert stage.asked("database-2") == []


def test_a_forced_takeover_is_asked_of_the_member_that_is_not_the_holder(stage: Stage, ssh: FakeSsh) -> None:
    ssh.answer("database-1", "", code=255)
    stage.takes("database-2", "takeover")
    raised("takeover", "full-test", "--accept-data-loss")
    assert stage.asked("database-2") == ["takeover --accept-data-loss"]


def test_without_a_record_a_person_has_to_say_which_member_takes_over(stage: Stage) -> None:
    stage.both(record=None)
    assert "--to" in raised("takeover", "full-test", "--accept-data-loss")
    stage.takes("database-2", "takeover")
    raised("takeover", "full-test", "--accept-data-loss", "--to", "database-2")
    assert stage.asked("database-2") == ["takeover --accept-data-loss"]


def test_the_rest_is_asked_of_whom_it_concerns(stage: Stage) -> None:
    for member, words in (("database-1", "pause"), ("database-1", "resume"), ("database-2", "rejoin")):
        stage.takes(member, words)
        assert run(words, "full-test").exit_code == 0
        assert stage.asked(member)[-1] == words
    stage.takes("database-2", "init --primary")
    assert run("init", "full-test", "--primary", "database-2").exit_code == 0
    assert stage.asked("database-2")[-1] == "init --primary"


def test_pause_goes_through_the_member_that_answers(stage: Stage, ssh: FakeSsh) -> None:
    ssh.answer("database-1", "", code=255)
    stage.takes("database-2", "pause")
    assert run("pause", "full-test").exit_code == 0
