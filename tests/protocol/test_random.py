"""Random long histories. One that fails says its seed: `python -m tests.protocol.replay SEED` tells its story."""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

import pytest

from tests.protocol.history import NotWholeError, Outcome, live, random_strikes
from tests.protocol.invariants import ViolationError

MOST_CALLS = 0.15
"""Share of histories that may end with a person; a forced takeover and a switchover want one by themselves."""

CHUNK = 20


def _end(seed: int) -> Outcome | str:
    try:
        return live(seed, random_strikes(seed))
    except (ViolationError, NotWholeError) as error:
        return f"seed {seed}: {error}"


def test_every_history_keeps_the_invariants_and_ends_whole(request: pytest.FixtureRequest) -> None:
    seed = request.config.getoption("--seed")
    if seed is not None:
        _replay(seed)
        return
    first, count = request.config.getoption("--from-seed"), request.config.getoption("--histories")
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        ends = list(pool.map(_end, range(first, first + count), chunksize=CHUNK))
    failed = [end for end in ends if isinstance(end, str)]
    assert not failed, "\n".join((*failed, "replay with: python -m tests.protocol.replay SEED"))
    outcomes = [end for end in ends if isinstance(end, Outcome)]
    people = Counter(outcome.person for outcome in outcomes if outcome.person)
    slowest = max(outcome.seconds for outcome in outcomes)
    written = sum(outcome.written for outcome in outcomes)
    print(f"\n{count} histories, {written} writes, none lost; whole within {slowest:.0f} s; people: {dict(people)}")
    assert people.total() <= MOST_CALLS * count, people


def _replay(seed: int) -> None:
    story: list[str] = []
    try:
        live(seed, random_strikes(seed), story=story)
    finally:
        print("\n".join((*map(str, random_strikes(seed)), *story)))
