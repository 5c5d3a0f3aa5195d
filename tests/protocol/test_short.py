"""Every sequence of up to two faults, at the moments that matter: apart, on top of each other, in the middle of a
takeover, and just after a return; and every sequence of three of the worst."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import product

from tests.protocol.faults import Fault
from tests.protocol.history import NotWholeError, Strike, live
from tests.protocol.invariants import ViolationError

ALPHABET = tuple(
    Fault(kind, where, float(seconds))
    for kind, where, seconds in (
        ("kill_database", "A", 0),
        ("kill_database", "B", 0),
        ("power", "A", 13),
        ("power", "B", 2),
        ("freeze", "A", 12),
        ("freeze_clock", "A", 12),
        ("pause_agent", "A", 12),
        ("pause_agent", "B", 9),
        ("kill_agent", "A", 2),
        ("cut", "A", 13),
        ("cut", "B", 5),
        ("cut", "A-B", 5),
        ("cut", "A>B", 8),
        ("cut", "A-W", 12),
        ("stop_etcd", "W", 12),
        ("stop_etcd", "ABW", 14),
        ("disk_full", "A", 12),
        ("lag", "B", 15),
        ("stranger", "A", 10),
        ("api_down", "api", 10),
        ("switchover", "A", 0),
        ("release", "B", 0),
    )
)
GAPS = (0.0, 3.1, 10.2)
"""Seconds from one fault to the next: at once, when SYNC is given up, when the other one takes over."""

WORST = tuple(
    fault
    for fault in ALPHABET
    if (fault.kind, fault.where)
    in (
        ("kill_database", "A"),
        ("kill_database", "B"),
        ("power", "A"),
        ("power", "B"),
        ("cut", "A"),
        ("cut", "A-B"),
        ("stop_etcd", "ABW"),
    )
)

CHUNK = 20


def sequences() -> Iterator[tuple[Strike, ...]]:
    for first in ALPHABET:
        yield (Strike(1.0, first),)
        for second in ALPHABET:
            for gap in GAPS:
                yield Strike(1.0, first), Strike(1.0 + gap, second)
    for faults in product(WORST, repeat=3):
        for gap, next_gap in product(GAPS[1:], repeat=2):
            moments = (1.0, 1.0 + gap, 1.0 + gap + next_gap)
            yield tuple(Strike(at, fault) for at, fault in zip(moments, faults, strict=True))


def _failure(strikes: tuple[Strike, ...]) -> str | None:
    try:
        live(1, strikes)
    except (ViolationError, NotWholeError) as error:
        return f"{' then '.join(map(str, strikes))}: {error}"
    return None


def test_every_short_sequence_keeps_the_invariants_and_ends_whole() -> None:
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        failed = [failure for failure in pool.map(_failure, sequences(), chunksize=CHUNK) if failure]
    assert not failed, "\n".join(failed)
