"""Ships call records from the core's journal to the database, and says how the core is.

A record leaves the journal only after the database has committed it. The database's unique key makes it harmless
to insert one twice, so whatever dies between the two, nothing is lost and nothing is doubled.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pymysql

BATCH = 500
IDLE_PAUSE = 0.5
STATUS_EVERY = 5.0
CONNECT_TRIES = 10
CONNECT_PAUSE = 10.0
"""The reference behaviour of a core: ten tries, ten seconds apart, then it exits (system.conf of the vendor)."""

RECONNECT_PAUSE = 1.0
DEADLINE = 30
KAMCMD_DEADLINE = 2
LEG = 0
KERNEL_TABLE = Path("/proc/rtpengine/0")

INSERT = (
    "INSERT INTO calls (server_id, call_id, from_tag, to_tag, leg, began, answered, ended, code, caller, callee, "
    "carrier_in, carrier_out, source, packets) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) "
    "ON DUPLICATE KEY UPDATE server_id = server_id"
)
BEGIN = (
    "INSERT INTO calls_in_progress (server_id, call_id, from_tag, began, answered, caller, callee, carrier_in, "
    "carrier_out, source) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) "
    "ON DUPLICATE KEY UPDATE server_id = server_id"
)
END = "DELETE FROM calls_in_progress WHERE server_id = %s AND call_id = %s AND from_tag = %s"
STATUS = (
    "INSERT INTO cores VALUES (%s, %s, UTC_TIMESTAMP(3), %s, %s, %s, %s, %s) ON DUPLICATE KEY UPDATE "
    "name = VALUES(name), said = VALUES(said), calls = VALUES(calls), cps = VALUES(cps), load1 = VALUES(load1), "
    "journal = VALUES(journal), media = VALUES(media)"
)

log = logging.getLogger("shipper")


@dataclass(frozen=True)
class Config:
    """Who this core is, its journal, and how to reach the database."""

    name: str
    server_id: int
    journal: str
    database: dict[str, Any]


@dataclass(frozen=True)
class Load:
    """What the SIP server says of itself: calls in progress, and all calls since it started."""

    calls: int
    started: int


class Journal:
    """The core's own records; the SIP server writes them, this program removes them once shipped."""

    def __init__(self, path: str) -> None:
        self._file = sqlite3.connect(path, timeout=10.0, isolation_level=None)

    def oldest(self) -> list[tuple[Any, ...]]:
        """The next records to ship; the first column is their number in the journal."""
        return self._file.execute(
            "SELECT id, call_id, from_tag, to_tag, began, answered, ended, code, caller, callee, carrier_in, "
            "carrier_out, source, packets FROM calls ORDER BY id LIMIT ?",
            (BATCH,),
        ).fetchall()

    def remove(self, numbers: Iterable[int]) -> None:
        """Forget records that the database has."""
        with self._file:
            self._file.execute("BEGIN IMMEDIATE")
            self._file.executemany("DELETE FROM calls WHERE id = ?", ((number,) for number in numbers))

    def set_aside(self, number: int, reason: str) -> None:
        """Keep a record that cannot be shipped where a person finds it."""
        columns = "call_id, from_tag, to_tag, began, answered, ended, code, caller, callee, carrier_in, carrier_out"
        self._file.execute(
            f"INSERT OR IGNORE INTO refused SELECT id, ?, {columns}, source, packets FROM calls WHERE id = ?",  # noqa: S608
            (reason, number),
        )

    def size(self) -> int:
        """How many records wait."""
        return int(self._file.execute("SELECT COUNT(*) FROM calls").fetchone()[0])


def has_ended(record: tuple[Any, ...]) -> bool:
    """False for the record of a call's beginning."""
    return record[6] is not None


def key(server_id: int, record: tuple[Any, ...]) -> tuple[Any, ...]:
    """What tells a call in progress from all others; its To tag is not known yet when it begins."""
    return (server_id, *record[1:3])


def beginning(server_id: int, record: tuple[Any, ...]) -> tuple[Any, ...]:
    """A journal record as a row of the table `calls_in_progress`."""
    _, _, _, _, began, answered, _, _, caller, callee, carrier_in, carrier_out, source, _ = record
    parties = (_text(caller), _text(callee), carrier_in, carrier_out, source)
    return (*key(server_id, record), _time(began), _time(answered), *parties)


def to_database(server_id: int, record: tuple[Any, ...]) -> tuple[Any, ...]:
    """A journal record as a row of the table `calls`."""
    _, call_id, from_tag, to_tag, began, answered, ended, code, caller, callee, *rest = record
    times = (_time(began), None if answered is None else _time(answered), _time(ended))
    return (server_id, call_id, from_tag, to_tag, LEG, *times, code, _text(caller), _text(callee), *rest)


def ship(config: Config, journal: Journal, database: pymysql.Connection[Any]) -> int:
    """Move one batch; how many records it had."""
    records = journal.oldest()
    try:
        _insert(config, database, records)
    except pymysql.DataError:
        database.rollback()
        records = records[:1]
        _insert_or_set_aside(config, journal, database, records[0])
    journal.remove(record[0] for record in records)
    return len(records)


def _insert(config: Config, database: pymysql.Connection[Any], records: list[tuple[Any, ...]]) -> None:
    """Beginnings before ends, so that none is left of a call that is over."""
    if not records:
        return
    me = config.server_id
    ended = [record for record in records if has_ended(record)]
    over = {key(me, record) for record in ended}
    with database.cursor() as cursor:
        cursor.executemany(BEGIN, [beginning(me, r) for r in records if not has_ended(r) and key(me, r) not in over])
        cursor.executemany(INSERT, [to_database(me, record) for record in ended])
        cursor.executemany(END, [key(me, record) for record in ended if record[5] is not None])
    database.commit()


def _insert_or_set_aside(
    config: Config, journal: Journal, database: pymysql.Connection[Any], record: tuple[Any, ...]
) -> None:
    """One record that the database refuses must not hold up all others; it stays in the journal, apart."""
    try:
        _insert(config, database, [record])
    except pymysql.DataError as error:
        database.rollback()
        log.critical("the database refuses record %d, which is set aside: %s", record[0], error.args[-1])
        journal.set_aside(record[0], str(error.args[-1]))


def say_status(
    config: Config, journal: Journal, database: pymysql.Connection[Any], before: Load, seconds: float
) -> Load:
    """Write this core's line; the load it said, for the next time."""
    load = sip_load()
    cps = max(0, load.started - before.started) / seconds
    line = (config.server_id, config.name, load.calls, cps, os.getloadavg()[0], journal.size(), media_path())
    with database.cursor() as cursor:
        cursor.execute(STATUS, line)
    database.commit()
    return load


def sip_load() -> Load:
    """Ask the SIP server; zeros when it does not answer."""
    words = ["kamcmd", "stats.get_statistics", "active_dialogs", "processed_dialogs"]
    try:
        answer = subprocess.run(words, capture_output=True, text=True, check=False, timeout=KAMCMD_DEADLINE).stdout
    except (OSError, subprocess.TimeoutExpired):
        return Load(0, 0)
    found = dict(re.findall(r"(active_dialogs|processed_dialogs) = (\d+)", answer))
    return Load(int(found.get("active_dialogs", 0)), int(found.get("processed_dialogs", 0)))


def media_path() -> str:
    """How media is relayed; on real hardware anything but the kernel is an alarm."""
    if KERNEL_TABLE.exists():
        return "kernel"
    in_container = subprocess.run(["systemd-detect-virt", "--quiet", "--container"], check=False).returncode == 0
    if not in_container:
        log.critical("rtpengine relays media in user space: the kernel module is missing (see dkms status)")
    return "container" if in_container else "userspace"


def connect(config: Config) -> pymysql.Connection[Any]:
    """Ten tries, ten seconds apart. Raises the last error."""
    for attempt in range(1, CONNECT_TRIES + 1):
        try:
            return pymysql.connect(
                **config.database,
                ssl_verify_cert=True,
                ssl_verify_identity=True,
                connect_timeout=5,
                read_timeout=DEADLINE,
                write_timeout=DEADLINE,
                init_command="SET time_zone = '+00:00'",
            )
        except pymysql.MySQLError as error:
            log.warning("try %d of %d: the database does not answer: %s", attempt, CONNECT_TRIES, error.args[-1])
            if attempt == CONNECT_TRIES:
                raise
            time.sleep(CONNECT_PAUSE)
    raise AssertionError


def run(config: Config, journal: Journal, database: pymysql.Connection[Any]) -> None:
    """Ship until the connection fails."""
    load, said = sip_load(), time.monotonic()
    while True:
        shipped = ship(config, journal, database)
        now = time.monotonic()
        if now - said >= STATUS_EVERY:
            load, said = say_status(config, journal, database, load, now - said), now
        if shipped < BATCH:
            time.sleep(IDLE_PAUSE)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def main() -> int:
    """Ship until stopped; a lost connection is made again."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    config = Config(**json.loads((Path(os.environ["CREDENTIALS_DIRECTORY"]) / "core.json").read_text()))
    journal = Journal(config.journal)
    while True:
        try:
            database = connect(config)
        except pymysql.MySQLError:
            return 1
        try:
            run(config, journal, database)
        except pymysql.MySQLError as error:
            log.warning("the connection to the database is lost: %s", error.args[-1])
            time.sleep(RECONNECT_PAUSE)
        finally:
            database.close()


if __name__ == "__main__":
    sys.exit(main())
