"""The agent's round: it reads the record, looks, decides and acts; what did not work is tried again."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from failover.addresses import Where
from failover.agent import Agent
from failover.config import AgentConfig, HeldAddress
from failover.etcd import EtcdError
from failover.facts import Me, State, Wish
from failover.hands import Hands
from failover.mariadb import DatabaseError, Status
from failover.memory import Memory
from failover.record import Mode, Record, View
from failover.unit import Look

CONFIG = AgentConfig(
    me="database-1",
    main=True,
    listen="10.0.0.21",
    peer="database-2",
    peer_ip="10.0.0.22",
    addresses=(HeldAddress("database", "10.0.128.1", "private"),),
    quorum=("10.0.0.21", "10.0.0.22", "10.0.0.31"),
    movers=("10.0.0.21", "10.0.0.22"),
    takeover_after=10.0,
    hold_down=300.0,
    data_folder=Path("/srv/database/mysql"),
    replication_password="secret-password",
)
ME = Me("database-1", "database-2", "10.0.0.22", main=True)
ALONE = Record("cluster", 3, "database-1", Mode.SINGLE)
WRITABLE = Status(False, False, 0, None, binlog_gtid="0-1-9", applied_gtid="0-1-9", cluster="cluster", epoch=3)


class Quorum:
    """A record that changes by compare-and-set; `lost` are the calls that get no answer."""

    def __init__(self, record: Record | None) -> None:
        self.view = View(record, 7 if record else 0, "alive", 8)
        self.lost: set[str] = set()
        self.swaps = 0

    def read(self, timeout: float) -> View:
        self._answer("read")
        return self.view

    def renew(self, record_revision: int, alive: str, timeout: float) -> bool:
        self._answer("renew")
        return record_revision == self.view.record_revision

    def swap(self, record: Record, revision: int, timeout: float, alive: int | None = None) -> bool:
        self.swaps += 1
        if revision != self.view.record_revision:
            return False
        self.view = replace(self.view, record=record, record_revision=revision + 10)
        self._answer("swap")
        return True

    def _answer(self, call: str) -> None:
        if call in self.lost:
            raise EtcdError("no member answers")


class Database:
    """A mariadbd that runs; `done` are the orders it was given, `broken` those that fail."""

    def __init__(self, status: Status = WRITABLE) -> None:
        self.now = status
        self.running = "mariadbd"
        self.done: list[str] = []
        self.broken: set[str] = set()
        self.service = SimpleNamespace(look=lambda: Look(self.running), strike=lambda: None)

    def status(self, timeout: float = 1.0) -> Status:
        return self.now

    def instance(self) -> str:
        return self.running

    def is_mounted(self) -> bool:
        return True

    is_installed = is_mounted

    def free_bytes(self) -> int:
        return 1 << 40

    used_bytes = free_bytes

    def kill(self) -> bool:
        self.done.append("kill")
        self.running = ""
        return True

    def __getattr__(self, order: str) -> Any:
        def give(*_: object) -> None:
            self.done.append(order)
            if order in self.broken:
                raise DatabaseError(f"{order} does not work")

        return give


class Calm:
    """Addresses, fence and sign of life that do what they are told."""

    at: float | None = None
    trouble = ""

    def __init__(self) -> None:
        self.done: list[str] = []

    def look(self) -> Where:
        return Where(True, True, "database-1")

    def __getattr__(self, order: str) -> Any:
        return lambda *_: self.done.append(order)


def agent(quorum: Quorum, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Agent:
    monkeypatch.setattr("failover.memory.PATH", tmp_path / "memory.json")
    memory, calm = Memory(), Calm()
    parts: dict[str, Any] = {"database": database, "etcd": quorum, "peer": None, "mover": None}
    calms: dict[str, Any] = {"fence": calm, "addresses": calm, "beat": calm}
    hands = Hands(me=ME, config=CONFIG, memory=memory, now=lambda: 0.0, reseed=lambda: None, **parts, **calms)
    return Agent(ME, CONFIG, memory, hands)


@pytest.fixture
def quorum() -> Quorum:
    return Quorum(ALONE)


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def made(quorum: Quorum, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Agent:
    return agent(quorum, database, tmp_path, monkeypatch)


def test_a_holder_is_left_open(made: Agent, database: Database) -> None:
    assert "alone" in made.step().sentence
    assert "kill" not in database.done


def test_a_writable_database_that_does_not_hold_is_killed_and_its_clients_are_kept_out(
    made: Agent, quorum: Quorum, database: Database
) -> None:
    quorum.view = replace(quorum.view, record=replace(ALONE, holder="database-2"))
    made.step()
    assert "kill" in database.done
    assert made.memory.gate == "drop"


def test_what_does_not_work_leaves_the_state_as_it_was_and_drops_the_rest(made: Agent, database: Database) -> None:
    database.now = replace(WRITABLE, read_only=True)
    database.broken = {"stamp"}
    made.step()
    assert "open" not in database.done
    database.broken = set()
    made.step()
    assert "open" in database.done


def test_a_change_without_an_answer_is_in_doubt_until_the_record_was_written_again(made: Agent, quorum: Quorum) -> None:
    made.step()
    made.ask(Wish.PAUSE)
    quorum.lost = {"swap"}
    made.step()
    assert made.memory.doubt == "write"
    made.asked = None
    quorum.lost = {"read"}
    made.step()
    assert made.memory.doubt == "write"
    quorum.lost = set()
    before = quorum.view.record_revision
    made.step()
    assert not made.memory.doubt
    assert quorum.view.record_revision > before


def test_a_sign_of_life_that_was_not_seen_yet_is_news(made: Agent, quorum: Quorum) -> None:
    etcd = made.hands.etcd
    assert etcd is not None
    assert made._has_news(etcd)
    made.step()
    assert not made._has_news(etcd)
    quorum.view = replace(quorum.view, alive_revision=9)
    assert made._has_news(etcd)
    quorum.lost.add("read")
    assert not made._has_news(etcd)


def test_the_holder_promises_nothing_to_a_former_one(made: Agent) -> None:
    made.memory.view = View(Record("c", 2, made.me.name, Mode.SINGLE), 5, "", 4)
    assert not made.promise(10.0)


def test_a_promise_is_given_unless_a_bid_is_under_way(made: Agent) -> None:
    assert made.promise(10.0)
    assert made.memory.promised_until > 0
    made.memory.state = State(bid_at=1.0)
    assert not made.promise(10.0)


def test_a_sentence_is_logged_when_it_changes(made: Agent, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "agent"):
        made.step()
        made.step()
    assert len([line for line in caplog.messages if "holder alone" in line]) == 1


def test_a_start_that_came_to_nothing_is_counted_until_one_answers(made: Agent, database: Database) -> None:
    for instance in ("first", "", "second", ""):
        database.running = instance
        database.now = WRITABLE
        made._account(instance or None, None, 1e12)
    assert made.hands.failed_starts == 2
    made._account("third", WRITABLE, 1e12)
    assert made.hands.failed_starts == 0
