"""The agent's hold on mariadbd, as far as it can be told without one; tests/machines has the real ones."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failover import mariadb
from failover.mariadb import DatabaseError, MariaDb, gtid_covers
from failover.unit import Unit

positions = st.dictionaries(st.integers(0, 3), st.tuples(st.integers(1, 3), st.integers(0, 99)))


def written(position: dict[int, tuple[int, int]]) -> str:
    return ",".join(f"{domain}-{server}-{sequence}" for domain, (server, sequence) in position.items())


@given(positions)
def test_a_position_covers_itself_and_nothing_is_always_covered(position: dict[int, tuple[int, int]]) -> None:
    assert gtid_covers(written(position), written(position))
    assert gtid_covers(written(position), "")


@given(positions, positions)
def test_a_position_is_covered_when_every_domain_is_reached(
    have: dict[int, tuple[int, int]], want: dict[int, tuple[int, int]]
) -> None:
    reached = all(domain in have and have[domain][1] >= sequence for domain, (_, sequence) in want.items())
    assert gtid_covers(written(have), written(want)) is reached


def test_positions_are_compared_as_numbers_whoever_wrote_them() -> None:
    assert gtid_covers("0-2-10", "0-1-9")
    assert not gtid_covers("0-1-9", "0-2-10")
    assert not gtid_covers("", "0-1-1")
    assert gtid_covers("0-1-5, 1-1-3", "1-2-3")


@pytest.mark.parametrize(
    "order",
    [
        lambda database: database.status(0.3),
        lambda database: database.close(),
        lambda database: database.open(),
        lambda database: database.stop_io(),
        lambda database: database.semi_sync(False),
        lambda database: database.beat("database-1"),
        lambda database: database.kick_strangers("10.0.0.22"),
    ],
)
def test_a_server_that_takes_connections_and_says_nothing_holds_nothing_up(
    order: Callable[[MariaDb], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("failover.mariadb.DEADLINE", 0.3)
    monkeypatch.setattr("failover.mariadb.CLOSE_DEADLINE", 0.3)
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(path)
        silent.listen()
        began = time.monotonic()
        with pytest.raises(DatabaseError, match="timed out"):
            order(MariaDb(tmp_path / "mysql", path))
        assert time.monotonic() - began < 2


def test_a_server_that_is_not_there_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="mariadbd: Can't connect"):
        MariaDb(tmp_path / "mysql", str(tmp_path / "nothing")).status()


def test_a_half_made_installation_is_not_taken_for_a_database(tmp_path: Path) -> None:
    database = MariaDb(tmp_path / "mysql")
    (tmp_path / "mysql.new" / "mysql").mkdir(parents=True)
    assert not database.is_installed()
    (tmp_path / "mysql.new").rename(tmp_path / "mysql")
    assert database.is_installed()


@pytest.mark.parametrize(("followed", "role"), [(False, "SLAVE"), (True, "MASTER")])
def test_only_who_wrote_last_takes_back_what_nobody_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, followed: bool, role: str
) -> None:
    started: list[str] = []
    monkeypatch.setattr(mariadb, "ARGUMENTS", tmp_path / "m2" / "mariadbd.env")
    monkeypatch.setattr(Unit, "start", lambda unit: started.append(unit.name))
    (tmp_path / "mysql" / "mysql").mkdir(parents=True)
    if followed:
        (tmp_path / "mysql" / "master.info").touch()
    MariaDb(tmp_path / "mysql").start("SLAVE")
    assert started == ["m2-mariadbd.service"]
    assert f"--init-rpl-role={role} " in mariadb.ARGUMENTS.read_text()
