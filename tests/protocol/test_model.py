"""The model is as dangerous as MariaDB: the facts that the design is made against happen in it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from failover.mariadb import DatabaseError
from tests.protocol.mariadb import DIVERGED, Database, Dump, Stranger
from tests.protocol.world import Host, Network, World

Rows = list[str]


class Two:
    """A writes, B follows and acknowledges; no agent."""

    def __init__(self) -> None:
        self.world = World(1)
        hosts = {name: Host(self.world, name) for name in ("A", "B", "W")}
        self.network = Network(self.world, hosts)
        self.acknowledged: Rows = []
        self.a, self.b = (
            Database(hosts[name], self.network, number, lambda _, row: self.acknowledged.append(row), lambda *_: None)
            for number, name in ((1, "A"), (2, "B"))
        )
        self.a.peers = self.b.peers = {"A": self.a, "B": self.b}
        for database in (self.a, self.b):
            database.start("SLAVE")
        self.run()
        self.a.open(1)
        self.b.follow("A")
        self.a.semi_sync(True)
        self.run()

    def run(self, seconds: float = 10.0) -> None:
        self.world.run(self.world.now + seconds)

    def write(self, *rows: str) -> None:
        for row in rows:
            self.a.commit(row, lambda done: None)
        self.run(1.0)

    def restart(self, database: Database, role: str) -> None:
        database.kill()
        database.start(role)
        self.run()


@pytest.fixture
def two() -> Two:
    two = Two()
    two.write("first")
    assert two.acknowledged == ["first"]
    two.run(5.0)
    return two


def test_fact_1_a_master_commits_what_nobody_acknowledged_and_cannot_follow(two: Two) -> None:
    two.b.stop_io()
    two.write("doubtful")
    two.restart(two.a, "MASTER")
    assert two.a.disk.rows() == ["first", "doubtful"]
    two.b.stop_following()
    two.b.open(2)
    two.b.commit("other", lambda done: None)
    two.a.follow("B")
    two.run()
    assert two.a.error == DIVERGED


def test_fact_1_a_slave_forgets_it_and_follows(two: Two) -> None:
    two.b.stop_io()
    two.write("doubtful")
    two.restart(two.a, "SLAVE")
    two.b.stop_following()
    two.b.open(2)
    two.b.commit("other", lambda done: None)
    two.a.follow("B")
    two.run()
    assert two.a.disk.rows() == two.b.disk.rows() == ["first", "other"]


def test_fact_2_a_slave_that_goes_on_as_the_master_differs_and_nobody_says_so(two: Two) -> None:
    two.network.cuts["B", "A"] += 1
    two.write("received")
    assert two.acknowledged == ["first"]
    two.restart(two.a, "SLAVE")
    two.a.open(1)
    two.write("another")
    two.network.cuts.clear()
    two.run()
    assert two.a.disk.rows() == ["first", "another"]
    assert two.b.disk.rows() == ["first", "received"]
    assert (two.b.io, two.b.sql, two.b.error) == ("Yes", True, 0)


def test_fact_4_a_waiting_commit_keeps_the_database_open(two: Two) -> None:
    two.b.stop_io()
    two.write("waiting")
    with pytest.raises(DatabaseError):
        two.a.close()
    assert not two.a.read_only


def test_fact_9_a_stranger_acknowledges_what_the_backup_never_got(two: Two) -> None:
    two.b.stop_io()
    two.run(1.0)
    assert isinstance(two.a.serve(Stranger(two.network, "W"), two.a.disk.last(), semi_sync=True), Dump)
    two.write("lost")
    assert two.acknowledged == ["first", "lost"]
    assert two.b.disk.rows() == ["first"]


@pytest.mark.parametrize(
    "purge",
    [lambda two: two.restart(two.b, "SLAVE"), lambda two: two.b.stop_following()],
    ids=["a restart", "both threads stopped"],
)
def test_fact_11_what_was_received_and_not_applied_is_gone_after(two: Two, purge: Callable[[Two], None]) -> None:
    two.b.apply_delay = 100.0
    two.write("received")
    assert two.acknowledged == ["first", "received"]
    two.a.host.lose_power()
    purge(two)
    assert two.b.has() == {"first"}


def test_a_frozen_backup_acknowledges_when_it_goes_on(two: Two) -> None:
    two.b.host.freeze(clock_stops=False)
    two.write("patient")
    assert two.acknowledged == ["first"]
    two.b.host.thaw()
    two.run(1.0)
    assert two.acknowledged == ["first", "patient"]
