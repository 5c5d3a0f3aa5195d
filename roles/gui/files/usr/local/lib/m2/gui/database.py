"""Connections to one member, each with a deadline: a dead or frozen database never holds a page up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import pymysql
import pymysql.cursors

from gui.config import Member

PORT = 3306
USER = "gui"
AUTHORITY = "/etc/m2/tls/ca.pem"
CONNECT_SECONDS = 1.5
GRACE = 0.3
"""Seconds that the socket waits beyond the server's own limit, so that a slow statement is told from a dead server."""

STATEMENT_TOO_LONG = 1969
"""ER_STATEMENT_TIMEOUT of MariaDB: max_statement_time exceeded."""

Row = Mapping[str, Any]


class UnavailableError(Exception):
    """A member gives no answer; the message says why, without the member's name."""


class TooSlowError(Exception):
    """A statement needed more than its time; the member is well."""


class Session(Protocol):
    """A connection to one member."""

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """Read. Raises UnavailableError, TooSlowError."""


Connect = Callable[[Member, float], AbstractContextManager[Session]]
"""Opens a session that has to be done within so many seconds."""


class MariaDbSession:
    """A session whose statements share the seconds that are left until `deadline` (time.monotonic)."""

    def __init__(self, connection: pymysql.Connection[Any], deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        seconds = self._deadline - time.monotonic()
        if seconds <= 0:
            raise TooSlowError
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(f"SET STATEMENT max_statement_time={seconds:.3f} FOR {sql}", tuple(parameters))
                return [{name: _text(value) for name, value in row.items()} for row in cursor.fetchall()]
        except (pymysql.MySQLError, OSError) as error:
            raise _explained(error) from None


def connector(password: str) -> Connect:
    """Opens sessions over TLS as the read-only user, to members that the stack's authority vouches for."""

    @contextmanager
    def connect(member: Member, seconds: float) -> Iterator[Session]:
        deadline = time.monotonic() + seconds
        connection = _open(member, password, seconds)
        try:
            yield MariaDbSession(connection, deadline)
        finally:
            connection.close()

    return connect


def _open(member: Member, password: str, seconds: float) -> pymysql.Connection[Any]:
    try:
        return pymysql.connect(
            host=member.address,
            port=PORT,
            user=USER,
            password=password,
            charset="utf8mb4",
            autocommit=True,
            cursorclass=pymysql.cursors.DictCursor,
            connect_timeout=min(CONNECT_SECONDS, seconds),
            read_timeout=seconds + GRACE,
            write_timeout=seconds,
            ssl_ca=AUTHORITY,
            ssl_verify_cert=True,
            ssl_verify_identity=True,
        )
    except (pymysql.MySQLError, OSError) as error:
        raise _explained(error) from None


def _text(value: object) -> object:
    """Call-IDs and tags are bytes in the database: anything may stand in them."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value


def _explained(error: Exception) -> Exception:
    if error.args[:1] == (STATEMENT_TOO_LONG,):
        return TooSlowError()
    return UnavailableError(str(error.args[-1]) if error.args else type(error).__name__)
