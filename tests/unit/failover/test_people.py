"""What people ask of the agent: taken or refused with a sentence, never an exception."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from failover import people
from failover.facts import Decision, Me, Report, Seen, State, Wish
from failover.mariadb import Replica, Status
from failover.people import People
from failover.record import Mode, Record, View

SYNC = Record("cluster", 3, "database-1", Mode.SYNC)
THREADS = Replica(True, False, True, "", delay=0.5)
FOLLOWING = Status(True, False, 0, THREADS)
FIT = Report("database-2", True, FOLLOWING, fit=True, leaving=False, free_bytes=1, used_bytes=1, sentence="following")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "PATIENCE", 0.01)


class Agent:
    """One member as its people see it; what it is asked for is done at once, or never."""

    def __init__(self, me: str = "database-1", record: Record | None = SYNC, peer: Report = FIT) -> None:
        other = "database-2" if me == "database-1" else "database-1"
        self.me = Me(me, other, "10.0.0.22", main=me == "database-1")
        self.seen = Seen(view=View(record, 7, "", 8), view_at=1e12, peer=peer, peer_at=1e12)
        self.decision = Decision(State(), (), "a sentence")
        self.asked: Wish | None = None
        self.wishes: list[Wish] = []
        self.quorum_missing: tuple[str, ...] = ()
        self.path_trouble = ""
        etcd = SimpleNamespace(
            healthy=lambda timeout: ("a", "b", "c"),
            lock=lambda owner, seconds, timeout: None,
            unlock=lambda owner, timeout: None,
        )
        self.hands = SimpleNamespace(etcd=etcd, addresses=SimpleNamespace(trouble="", holders=dict))

    def ask(self, wish: Wish) -> None:
        self.wishes.append(wish)

    def report(self) -> Report:
        return FIT


def ask(agent: Agent, **question: Any) -> dict[str, Any]:
    return People(agent).answer(json.dumps(question).encode())  # type: ignore[arg-type]


def holder(record: Record) -> Agent:
    return Agent(record=record)


def test_the_status_says_who_holds_what_is_wrong_and_how_soon_this_member_could_serve() -> None:
    agent = Agent()
    agent.quorum_missing = ("10.0.0.31",)
    said = ask(agent, do="status")
    assert (said["record"]["holder"], said["quorum"], said["ready_in"]) == ("database-1", True, 0.5)
    assert said["alarms"] == ["of the quorum are missing: 10.0.0.31"]


@pytest.mark.parametrize(
    ("agent", "question", "why"),
    [
        (Agent("database-2"), {"do": "switchover"}, "database-1 is: ask there"),
        (holder(replace(SYNC, mode=Mode.SINGLE)), {"do": "switchover"}, "has not every write"),
        (Agent(peer=replace(FIT, fit=False)), {"do": "switchover"}, "cannot take over now"),
        (Agent(), {"do": "failback"}, "goes to the main"),
        (Agent(), {"do": "rejoin"}, "only the other one"),
        (Agent("database-2"), {"do": "takeover"}, "--accept-data-loss"),
        (Agent(), {"do": "takeover", "accept_data_loss": True}, "the holder already"),
        (Agent(record=None), {"do": "init"}, "--primary"),
        (Agent(), {"do": "init", "primary": True}, "there is a record already"),
        (Agent(record=None), {"do": "switchover"}, "there is no record"),
        (Agent(), {"do": "erase"}, "not understood"),
        (Agent(), {}, "not understood"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_sentence(agent: Agent, question: dict[str, Any], why: str) -> None:
    answer = ask(agent, **question)
    assert not answer["ok"]
    assert why in answer["why"]
    assert agent.wishes == []


@pytest.mark.parametrize(
    ("agent", "question", "wish"),
    [
        (Agent(), {"do": "switchover"}, Wish.SWITCHOVER),
        (Agent("database-2", replace(SYNC, holder="database-2")), {"do": "failback"}, Wish.FAILBACK),
        (Agent("database-2"), {"do": "rejoin"}, Wish.REJOIN),
        (Agent("database-2"), {"do": "takeover", "accept_data_loss": True}, Wish.TAKEOVER),
        (Agent(), {"do": "pause"}, Wish.PAUSE),
        (Agent(record=None), {"do": "init", "primary": True}, Wish.INIT),
    ],
)
def test_what_can_be_done_is_asked_of_the_agent(agent: Agent, question: dict[str, Any], wish: Wish) -> None:
    assert ask(agent, **question)["ok"]
    assert agent.wishes == [wish]


def test_a_host_is_released_when_the_other_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "POLL", 0.001)
    serving = replace(FIT, database=replace(FOLLOWING, read_only=False))
    agent = Agent("database-2", peer=serving)
    assert ask(agent, do="release", wait=1)["ok"]
    assert agent.wishes == [Wish.RELEASE]


def test_a_host_is_not_released_while_the_other_cannot_serve_unless_that_is_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(people, "POLL", 0.001)
    agent = Agent(peer=replace(FIT, fit=False))
    refused = ask(agent, do="release", wait=0.01)
    assert not refused["ok"]
    assert "able to take over" in refused["why"]
    assert ask(agent, do="release", wait=0.01, accept_degraded=True)["ok"]
