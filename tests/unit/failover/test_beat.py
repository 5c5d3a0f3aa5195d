"""The sign of life: committed once a second, counted from when it was begun."""

from __future__ import annotations

import threading
import time

from failover.beat import Beat
from failover.mariadb import DatabaseError


class Table:
    """Takes rows, holds them up, or fails."""

    def __init__(self) -> None:
        self.rows = 0
        self.free = threading.Event()
        self.free.set()
        self.broken = False

    def write(self) -> None:
        self.free.wait()
        if self.broken:
            raise DatabaseError("no")
        self.rows += 1


def until(true: object) -> None:
    deadline = time.monotonic() + 5
    while not true():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_nothing_is_written_before_it_is_started() -> None:
    table = Table()
    beat = Beat(table.write, time.monotonic)
    time.sleep(0.05)
    assert (table.rows, beat.at) == (0, None)


def test_a_row_counts_from_when_it_was_begun_and_only_if_it_was_committed() -> None:
    table = Table()
    table.free.clear()
    beat = Beat(table.write, time.monotonic)
    beat.start("first")
    started = beat.at
    time.sleep(0.05)
    assert beat.at == started
    table.free.set()
    until(lambda: table.rows == 1 and beat.at != started)
    assert beat.at is not None and beat.at < time.monotonic()


def test_stopping_waits_for_the_row_that_is_being_written() -> None:
    table = Table()
    table.free.clear()
    beat = Beat(table.write, time.monotonic)
    beat.start("first")
    time.sleep(0.05)
    assert not beat.stop(0.05)
    table.free.set()
    assert beat.stop(1.0)
    rows = table.rows
    time.sleep(0.05)
    assert table.rows == rows


def test_another_mariadbd_has_committed_nothing_yet() -> None:
    table = Table()
    beat = Beat(table.write, time.monotonic)
    beat.start("first")
    until(lambda: table.rows == 1)
    table.broken = True
    before = beat.at
    time.sleep(0.01)
    beat.start("second")
    assert before is not None and beat.at is not None and beat.at > before
    beat.forget()
    assert beat.at is None
