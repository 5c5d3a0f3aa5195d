"""Random faults that anybody can repeat."""

from __future__ import annotations

from itertools import islice
from typing import Any

from scripts.drills.nemesis import KINDS, Strike, strikes
from scripts.drills.scenes import Scene
from tests.unit.scripts.staged_pair import PAIR

NO_BREAKER: Any = None
SCENE = Scene(PAIR, NO_BREAKER, "database-1", "database-2", "gui")


def first(count: int, seed: int) -> list[Strike]:
    return list(islice(strikes(SCENE, seed), count))


def test_the_same_seed_is_the_same_course_and_another_one_is_not() -> None:
    assert first(50, 7) == first(50, 7)
    assert first(50, 7) != first(50, 8)


def test_every_kind_strikes_every_host_sooner_or_later() -> None:
    struck = {(strike.kind, strike.host) for strike in first(2000, 1)}
    assert struck == {(kind, host) for kind in KINDS for host in ("database-1", "database-2", "gui")}


def test_faults_are_short_enough_to_happen_often_and_long_enough_to_matter() -> None:
    lasts = [strike.lasts for strike in first(500, 3)]
    assert min(lasts) >= 2
    assert max(lasts) <= 25
    assert max(lasts) > 12, "longer than it takes to take over"
