"""Connections are encrypted, verified and limited; errors say whether the member or the statement is at fault."""

from __future__ import annotations

import ssl
import time
from datetime import date
from pathlib import Path
from typing import Any

import pymysql
import pytest
from gui import database
from gui.config import Member
from gui.database import MariaDbSession, TooSlowError, UnavailableError, connector

from stacks.secrets import StackSecrets

MEMBER = Member("database-2", "10.0.0.22", "backup")


class StagedConnection:
    """Answers every statement with the same rows, or fails."""

    def __init__(self, rows: list[dict[str, object]] | None = None, fault: Exception | None = None) -> None:
        self.rows = rows or []
        self.fault = fault
        self.asked: list[tuple[str, tuple[object, ...]]] = []

    def cursor(self) -> StagedConnection:
        return self

    def __enter__(self) -> StagedConnection:
        return self

    def __exit__(self, *_: object) -> None: ...

    def execute(self, sql: str, parameters: tuple[object, ...]) -> None:
        self.asked.append((sql, parameters))
        if self.fault:
            raise self.fault

    def fetchall(self) -> list[dict[str, object]]:
        return self.rows


def session(connection: Any, seconds: float = 2.0) -> MariaDbSession:
    return MariaDbSession(connection, time.monotonic() + seconds)


def test_the_member_has_to_prove_who_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.write_text(StackSecrets("x" * 32, "full-test", 1, date(2026, 1, 31)).authority)
    monkeypatch.setattr(database, "AUTHORITY", str(authority))
    opened: list[pymysql.Connection[Any]] = []

    def connect(**options: Any) -> pymysql.Connection[Any]:
        opened.append(pymysql.Connection(**options, defer_connect=True))
        return opened[0]

    monkeypatch.setattr(pymysql, "connect", connect)
    monkeypatch.setattr(pymysql.Connection, "close", lambda _: None)
    with connector("password")(MEMBER, 2.0):
        context = opened[0].ctx  # type: ignore[attr-defined]
    assert (opened[0].host, opened[0].user) == ("10.0.0.22", "gui")
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_a_member_that_refuses_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> None:
        raise pymysql.err.OperationalError(2003, "Can't connect to MySQL server on '10.0.0.22'")

    monkeypatch.setattr(pymysql, "connect", refuse)
    with pytest.raises(UnavailableError, match=r"^Can.t connect"), connector("password")(MEMBER, 2.0):
        pass


def test_every_statement_has_the_time_that_is_left() -> None:
    connection = StagedConnection()
    session(connection).rows("SELECT %s", [7])
    (sql, parameters) = connection.asked[0]
    limit = sql.removeprefix("SET STATEMENT max_statement_time=").removesuffix(" FOR SELECT %s")
    assert 1.5 < float(limit) <= 2.0
    assert parameters == (7,)


def test_no_statement_starts_when_the_time_is_up() -> None:
    connection = StagedConnection()
    with pytest.raises(TooSlowError):
        session(connection, seconds=0.0).rows("SELECT 1")
    assert connection.asked == []


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (pymysql.err.OperationalError(1969, "Query execution was interrupted"), TooSlowError),
        (pymysql.err.OperationalError(1317, "Query execution was interrupted"), UnavailableError),
        (pymysql.err.OperationalError(2013, "Lost connection"), UnavailableError),
        (pymysql.err.ProgrammingError(1146, "Table 'm2.heartbeat' doesn't exist"), UnavailableError),
        (ConnectionResetError(104, "Connection reset by peer"), UnavailableError),
        (TimeoutError("timed out"), UnavailableError),
    ],
)
def test_a_slow_statement_is_told_from_a_dead_member(fault: Exception, told: type[Exception]) -> None:
    with pytest.raises(told):
        session(StagedConnection(fault=fault)).rows("SELECT 1")


def test_bytes_become_text_whatever_they_are() -> None:
    rows = session(StagedConnection([{"call_id": b"a\xff\xc3\xa9", "id": 1}])).rows("SELECT 1")
    assert rows == [{"call_id": "a\\xffé", "id": 1}]
