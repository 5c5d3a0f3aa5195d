"""Holds what clients were told against what both members have, once the faults are over."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from scripts.drills.clients import Ack, sql
from scripts.drills.verdict import Verdict, both_seconds, changes, lost
from scripts.hosts import Hosts

TRIES = 40
PAUSE = 1.0
CHECKSUMS = """
SET @tables = (SELECT GROUP_CONCAT('m2.', table_name) FROM information_schema.tables
    WHERE table_schema = 'm2' AND table_type = 'BASE TABLE' AND table_name <> 'heartbeat');
PREPARE checksums FROM CONCAT('CHECKSUM TABLE ', @tables);
EXECUTE checksums;
"""
"""Of all tables but the sign of life, which is never the same on both for long."""


def judge(hosts: Hosts, run: str, members: Sequence[str], acks: Sequence[Ack], epochs: int | None) -> Verdict:
    """The verdict on a run; `epochs` is how often the record says that the holder changed. Raises LoginError."""
    differ = _differ(hosts, members)
    present = {member: rows(hosts, member, run) for member in members}
    missing = {member: names for member, names in lost(acks, present).items() if names}
    return Verdict(len(acks), missing, differ, both_seconds(acks), changes(acks), epochs)


def rows(hosts: Hosts, member: str, run: str) -> set[tuple[str, int]]:
    """What a member's table has of a run: writer and number. Raises LoginError."""
    text = sql(hosts, member, f"SELECT writer, id FROM m2.drill WHERE writer LIKE '{run}/%'")  # noqa: S608
    rows = (line.split("\t") for line in text.splitlines())
    return {(writer, int(number)) for writer, number in rows}


def _differ(hosts: Hosts, members: Sequence[str]) -> tuple[str, ...]:
    """Tables whose content stays different; some change while they are looked at, so one look is not enough."""
    differing: set[str] | None = None
    for _ in range(TRIES):
        one, other = _at_once(hosts, members)
        now = {name for name in {*one, *other} if one.get(name) != other.get(name)}
        differing = now if differing is None else differing & now
        if not differing:
            return ()
        time.sleep(PAUSE)
    return tuple(sorted(differing or ()))


def _at_once(hosts: Hosts, members: Sequence[str]) -> list[dict[str, str]]:
    """Cores write a line of their own every few seconds: looks that are apart never agree on it."""
    with ThreadPoolExecutor(len(members)) as pool:
        return list(pool.map(lambda member: _checksums(hosts, member), members))


def _checksums(hosts: Hosts, member: str) -> dict[str, str]:
    return dict(line.split("\t", 1) for line in sql(hosts, member, CHECKSUMS).splitlines())
