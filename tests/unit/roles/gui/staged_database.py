"""Two databases that are as a test says: calls are searched by a real SQL engine, everything else is canned."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Event, Lock
from typing import Any

from gui.config import Member
from gui.database import Row, Session, UnavailableError

TIMES = ("began", "answered", "ended")
CALL = {
    "server_id": 51,
    "call_id": b"call-1@192.0.2.10",
    "from_tag": b"from",
    "to_tag": b"to",
    "leg": 0,
    "began": datetime(2026, 1, 31, 18, 30),
    "answered": datetime(2026, 1, 31, 18, 30, 3, 250000),
    "ended": datetime(2026, 1, 31, 18, 32, 3),
    "code": 200,
    "caller": "4930111",
    "callee": "4940222",
    "carrier_in": "alpha",
    "carrier_out": "beta",
    "source": "192.0.2.10",
    "packets": 12000,
}
CORE = {"server_id": 51, "name": "core-1", "calls": 7, "cps": 1.5, "load1": 0.5, "journal": 0, "media": "kernel"}
REPLICA = {
    "Slave_IO_Running": "Yes",
    "Slave_SQL_Running": "Yes",
    "Master_Host": "10.0.0.21",
    "Last_IO_Error": "",
    "Last_SQL_Error": "",
}


@dataclass
class StagedMember:
    """What one database says; with `fault` it says that instead, and while `frozen` it says nothing."""

    read_only: int
    replica: dict[str, str] | None = None
    beats: list[dict[str, Any]] = field(default_factory=list)
    fault: Exception | None = None
    frozen: Event | None = None
    asked: int = 0


class StagedPair:
    """database-1 writes, database-2 replicates; both have the same calls and cores."""

    def __init__(self) -> None:
        beat = {"writer": "database-1", "beat": datetime(2026, 1, 31, 19), "age": 0.4}
        self.members = {
            "database-1": StagedMember(read_only=0, beats=[beat]),
            "database-2": StagedMember(read_only=1, beats=[beat], replica=REPLICA),
        }
        self.cores = [{**CORE, "age": 1.0}]
        self.hours = [{"hour": 18, "attempts": 10, "answered": 4, "talked": 480.0}]
        self.slow: Exception | None = None
        self.statements: list[tuple[str, str, tuple[object, ...]]] = []
        self._lock = Lock()
        self._calls = sqlite3.connect(":memory:", check_same_thread=False)
        self._calls.row_factory = sqlite3.Row
        self._calls.execute("ATTACH ':memory:' AS m2")
        self._calls.execute(f"CREATE TABLE m2.calls (id INTEGER PRIMARY KEY, {', '.join(CALL)})")

    def add_call(self, **changes: object) -> None:
        """One more call; its id is the next number."""
        values = [_stored(value) for value in {**CALL, **changes}.values()]
        self._calls.execute(
            f"INSERT INTO m2.calls ({', '.join(CALL)}) VALUES ({', '.join('?' * len(CALL))})",  # noqa: S608
            values,
        )

    def close(self) -> None:
        for member in self.members.values():
            if member.frozen:
                member.frozen.set()
        self._calls.close()

    @contextmanager
    def connect(self, member: Member, seconds: float) -> Iterator[Session]:
        """What gui.database.connector gives."""
        staged = self.members[member.name]
        staged.asked += 1
        if staged.frozen:
            staged.frozen.wait(seconds + 5)
        if staged.fault:
            raise staged.fault
        yield StagedSession(self, member.name)

    def rows(self, name: str, sql: str, parameters: Sequence[object]) -> list[Row]:
        """What the member of that name answers to a statement."""
        member = self.members[name]
        self.statements.append((name, sql, tuple(parameters)))
        if "read_only" in sql:
            return [{"read_only": member.read_only}]
        if "m2.heartbeat" in sql:
            return list(member.beats)
        if sql == "SHOW SLAVE STATUS":
            return [member.replica] if member.replica else []
        if "m2.cores" in sql:
            return list(self.cores)
        if "GROUP BY HOUR" in sql:
            if self.slow:
                raise self.slow
            return list(self.hours)
        return self._search(sql, parameters)

    def _search(self, sql: str, parameters: Sequence[object]) -> list[Row]:
        sql = sql.replace(" FORCE INDEX (by_time)", "").replace("STRAIGHT_JOIN", "JOIN")
        sql = sql.replace("LIKE %s", r"LIKE ? ESCAPE '\'").replace("%s", "?")
        with self._lock:
            found = self._calls.execute(sql, [_stored(value) for value in parameters]).fetchall()
        return [{name: _loaded(name, row[name]) for name in row.keys()} for row in found]  # noqa: SIM118


@dataclass(frozen=True)
class StagedSession:
    """A session with one member of the pair."""

    pair: StagedPair
    member: str

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        return self.pair.rows(self.member, sql, parameters)


def later(seconds: float) -> datetime:
    """So long after the usual call."""
    return datetime(2026, 1, 31, 18, 30) + timedelta(seconds=seconds)


def refused() -> UnavailableError:
    return UnavailableError("connection refused")


def _stored(value: object) -> object:
    return value.isoformat(" ", "milliseconds") if isinstance(value, datetime) else value


def _loaded(name: str, value: Any) -> object:
    if isinstance(value, bytes):
        return value.decode()
    return datetime.fromisoformat(value) if name in TIMES and value is not None else value
