"""The program of a client: what it says, and that it comes back."""

from __future__ import annotations

import io
import json
import sys
import threading
from typing import Any

import pymysql
import pytest

from scripts.drills import writer

DATABASE = {"host": "10.0.128.1", "user": "core", "password": "secret"}


class FakeDatabase:
    """Stands for pymysql: connections in their order; a number is how many inserts work before it breaks."""

    def __init__(self, *connections: int | pymysql.MySQLError) -> None:
        self.connections = list(connections)
        self.rows: list[int] = []
        self.asked: list[dict[str, Any]] = []

    def connect(self, **options: Any) -> FakeDatabase:
        self.asked.append(options)
        now = self.connections.pop(0) if self.connections else self._end()
        if isinstance(now, pymysql.MySQLError):
            raise now
        self.left = now
        return self

    def _end(self) -> pymysql.MySQLError:
        stdin: Any = sys.stdin
        stdin.buffer.close_gate.set()
        return pymysql.err.OperationalError(2003, "over")

    def cursor(self) -> FakeDatabase:
        return self

    def __enter__(self) -> FakeDatabase:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def execute(self, statement: str, values: tuple[Any, ...] = ()) -> None:
        if statement.startswith("INSERT"):
            if not self.left:
                raise pymysql.err.OperationalError(2013, "Lost connection")
            self.left -= 1
            self.rows.append(values[1])

    def fetchone(self) -> tuple[int]:
        return (21,)


class Gate(io.RawIOBase):
    """A standard input that ends when the test says so."""

    def __init__(self) -> None:
        self.close_gate = threading.Event()

    def read(self, size: int = -1) -> bytes:
        self.close_gate.wait(10)
        return b""


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], database: FakeDatabase) -> list[Any]:
    class Stdin:
        buffer = Gate()

    monkeypatch.setattr(sys, "stdin", Stdin)
    monkeypatch.setattr(writer, "PAUSE", 0.01)
    monkeypatch.setattr(pymysql, "connect", database.connect)
    assert writer.main(DATABASE, "run/core-1", 0.0) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_it_says_each_write_that_was_acknowledged_and_comes_back_by_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    database = FakeDatabase(2, pymysql.err.OperationalError(2003, "refused"), 3)
    said = run(monkeypatch, capsys, database)
    told = [line for line in said if isinstance(line, list)]
    assert [number for number, *_ in told] == database.rows
    assert len(set(database.rows)) == 5
    assert {server for *_, server in told} == {21}
    assert all(sent <= acked for _, sent, acked, _ in told)
    assert [line["lost"] for line in said if isinstance(line, dict)][:2] == ["Lost connection", "refused"]


def test_a_number_whose_fate_is_unknown_is_not_used_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    database = FakeDatabase(1, 1)
    run(monkeypatch, capsys, database)
    assert database.rows[1] > database.rows[0] + 1


def test_it_verifies_whom_it_talks_to_and_waits_a_short_time_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    database = FakeDatabase(1)
    run(monkeypatch, capsys, database)
    asked = database.asked[0]
    assert asked["ssl_verify_cert"] and asked["ssl_verify_identity"] and asked["autocommit"]
    assert asked["connect_timeout"] <= 2 and asked["read_timeout"] <= 2
