"""The agent's round: it looks, decides and acts, and what did not work is tried again."""

from __future__ import annotations

import logging
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from failover import mariadb
from failover.agent import Agent
from failover.config import AgentConfig, HeldAddress
from failover.decide import State
from failover.mariadb import DatabaseError, MariaDb, Replica, Status
from failover.mover_client import MoverError

CONFIG = AgentConfig(
    me="database-1",
    role="main",
    peer_ip="10.0.0.22",
    addresses=(HeldAddress("database", "10.0.128.1", "private"),),
    movers=("10.0.0.21", "10.0.0.22"),
    data_folder=Path("/srv/database/mysql"),
    replication_password="secret-password",
)


@dataclass
class Database:
    """A mariadbd that the agent may start; `broken` are the verbs that fail."""

    running: bool = False
    read_only: bool = True
    semi_sync_on: bool = False
    semi_sync_clients: int = 0
    replica: Replica | None = None
    broken: set[str] = field(default_factory=set)
    done: list[str] = field(default_factory=list)

    def is_mounted(self) -> bool:
        return True

    def is_running(self) -> bool:
        return self.running

    def status(self) -> Status:
        self._do("status")
        return Status(self.read_only, self.semi_sync_on, self.semi_sync_clients, self.replica)

    def start(self, role: str) -> None:
        self._do(f"start {role}")
        self.running, self.read_only = True, True

    def prepare(self) -> None:
        self._do("prepare")

    def allow_writes(self) -> None:
        self._do("allow_writes")
        self.read_only = False

    def beat(self, writer: str) -> None:
        self._do("beat")

    def reload_tls(self) -> None:
        self._do("reload_tls")

    def wait_for_backup(self) -> None:
        self._do("wait_for_backup")
        self.semi_sync_on = True

    def go_on_alone(self) -> None:
        self._do("go_on_alone")
        self.semi_sync_on, self.semi_sync_clients = False, 0
        self.broken.discard("beat")

    def follow(self, master_ip: str, password: str) -> None:
        self._do(f"follow {master_ip}")
        self.replica = Replica(True, True, "")

    def _do(self, verb: str) -> None:
        if verb != "status":
            self.done.append(verb)
        if verb in self.broken:
            raise DatabaseError(f"mariadbd: {verb} timed out")


@dataclass
class Vip:
    owned: bool | None = True
    fails: int = 0
    taken: int = 0

    def are_owned(self, now: float) -> bool | None:
        return self.owned

    def take(self) -> None:
        if self.fails:
            self.fails -= 1
            raise MoverError("the API answered 423 locked")
        self.taken += 1
        self.owned = True


def agent(database: Database, vip: Vip | None = None, **changes: Any) -> Agent:
    config = replace(CONFIG, **changes)
    look: Any = database
    moving: Any = vip or Vip()
    return Agent(config, look, moving, State(config.role))


def run(one: Agent, seconds: int, begin: int = 100) -> None:
    for now in range(begin, begin + seconds):
        one.step(float(now))


def test_a_main_comes_up_writable_and_takes_an_address_that_nobody_has() -> None:
    database, vip = Database(), Vip(owned=False)
    run(agent(database, vip), 5)
    assert database.done[:3] == ["start MASTER", "reload_tls", "allow_writes"]
    assert vip.taken == 1
    assert "beat" in database.done


def test_a_backup_comes_up_read_only_and_follows_the_main() -> None:
    database = Database()
    run(agent(database, Vip(owned=False), role="backup", peer_ip="10.0.0.21"), 5)
    assert database.done == ["start SLAVE", "reload_tls", "follow 10.0.0.21"]
    assert database.read_only


@pytest.mark.parametrize("verb", ["start MASTER", "prepare", "allow_writes"])
def test_what_did_not_work_is_told_and_tried_again(verb: str, caplog: pytest.LogCaptureFixture) -> None:
    database = Database(broken={verb})
    one = agent(database)
    run(one, 5)
    assert database.done.count(verb) >= 3
    assert f"mariadbd: {verb} timed out" in caplog.text
    database.broken.clear()
    run(one, 5, begin=200)
    assert not database.read_only


def test_a_move_that_failed_is_tried_again() -> None:
    vip = Vip(owned=False, fails=3)
    run(agent(Database(), vip), 10)
    assert vip.taken == 1


def test_a_main_whose_backup_has_died_goes_on_alone_within_seconds() -> None:
    database = Database(running=True, semi_sync_on=True, semi_sync_clients=1)
    one = agent(database)
    run(one, 5)
    database.broken = {"beat"}
    run(one, 8, begin=105)
    assert "go_on_alone" in database.done
    assert database.done[-1] == "beat"


def test_an_agent_that_is_restarted_while_commits_wait_for_a_dead_backup_goes_on_alone_too() -> None:
    """It has seen no beat of its own yet; commits must not wait for ever."""
    database = Database(running=True, semi_sync_on=True, semi_sync_clients=1, broken={"beat"})
    run(agent(database), 60)
    assert "go_on_alone" in database.done


def test_preparing_a_database_whose_commits_wait_has_a_deadline(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its statements commit, and a commit may wait for a dead backup: the agent has to go on looking."""
    deadlines: list[float | None] = []

    def run(*words: Any, timeout: float | None = None, **more: Any) -> subprocess.CompletedProcess[str]:
        deadlines.append(timeout)
        return subprocess.CompletedProcess(words, 0, "", "")

    (tmp_path / "schema.sql").touch()
    monkeypatch.setattr(mariadb, "PREPARATIONS", (tmp_path / "schema.sql",))
    monkeypatch.setattr(subprocess, "run", run)
    MariaDb(tmp_path).prepare()
    assert deadlines
    assert None not in deadlines


def test_a_sentence_is_logged_when_it_changes_and_not_every_second(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        run(agent(Database()), 30)
    sentences = [record.getMessage() for record in caplog.records]
    assert len(sentences) == len(set(sentences)) <= 4


def test_the_replication_password_is_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        run(agent(Database(broken={"follow 10.0.0.22"}), role="backup"), 5)
    assert caplog.text
    assert CONFIG.replication_password not in caplog.text
