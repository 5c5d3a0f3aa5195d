"""A client that writes: inserts unique ids through the database's address and says which of them were acknowledged.

Sent to a host and started there as Python's standard input. It comes back by itself whatever happens to the database,
and ends when its standard input does. Prints one JSON list an acknowledged insert: [id, sent, acknowledged, server],
in seconds since 1970; and one object when it lost its connection.
"""

from __future__ import annotations

import itertools
import json
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pymysql

INSERT = "INSERT INTO m2.drill (writer, id) VALUES (%s, %s)"
CONNECT_TIMEOUT = 1
ANSWER_TIMEOUT = 2
"""Seconds; short, so that the end of an outage is not missed. A real client is more patient."""

PAUSE = 0.05


def main(database: dict[str, Any], writer: str, interval: float) -> int:
    """Write every `interval` seconds until standard input ends. No number is used twice, whatever became of it."""
    stopped = threading.Event()
    threading.Thread(target=_wait_for_end, args=(stopped,), daemon=True).start()
    numbers = itertools.count(1)
    while not stopped.is_set():
        try:
            _write(database, writer, interval, numbers, stopped)
        except (pymysql.MySQLError, OSError) as error:
            _say({"lost": str(error.args[-1] if error.args else error), "at": time.time()})
            stopped.wait(PAUSE)
    return 0


def _write(
    database: dict[str, Any], writer: str, interval: float, numbers: Iterator[int], stopped: threading.Event
) -> None:
    connection = pymysql.connect(
        **database,
        ssl_verify_cert=True,
        ssl_verify_identity=True,
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=ANSWER_TIMEOUT,
        write_timeout=ANSWER_TIMEOUT,
        autocommit=True,
    )
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT @@server_id")
        (server,) = cursor.fetchone()
        while not stopped.is_set():
            number, sent = next(numbers), time.time()
            cursor.execute(INSERT, (writer, number))
            _say([number, sent, time.time(), server])
            stopped.wait(interval)


def _say(what: object) -> None:
    print(json.dumps(what), flush=True)


def _wait_for_end(stopped: threading.Event) -> None:
    sys.stdin.buffer.read()
    stopped.set()
