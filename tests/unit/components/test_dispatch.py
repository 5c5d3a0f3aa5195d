"""Each core gets calls by its size, and the calls of a dead one are spread."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from components.dispatch import slots
from components.plan import HostPlan
from tests.unit.stacks.example import plan

CORE = plan().host("core-1")


def cores(*sizes: int) -> list[HostPlan]:
    return [replace(CORE, name=f"core-{number}", size=size) for number, size in enumerate(sizes, 1)]


@pytest.mark.parametrize("sizes", [(1,), (1, 1), (4, 4, 4), (1,) * 200, (4, 8), (4, 8, 16, 4)], ids=str)
def test_each_core_has_slots_by_its_size(sizes: tuple[int, ...]) -> None:
    counts = Counter(core.name for core in slots(cores(*sizes)))
    shares = {core.name: core.size / sum(sizes) for core in cores(*sizes)}
    total = sum(counts.values())
    assert {name: count / total for name, count in counts.items()} == pytest.approx(shares)


@pytest.mark.parametrize("count", [3, 4, 5, 7, 8, 12])
def test_the_slots_of_a_dead_core_fall_to_more_than_one(count: int) -> None:
    order = [core.name for core in slots(cores(*(1,) * count))]
    for dead in set(order):
        heirs = set()
        for start, name in enumerate(order):
            if name == dead:
                after = order[start:] + order[:start]
                heirs.add(next(other for other in after if other != dead))
        assert len(heirs) > 1


def test_the_order_is_the_same_in_every_preview() -> None:
    assert slots(cores(1, 2, 3)) == slots(cores(1, 2, 3))


def test_without_cores_there_are_no_slots() -> None:
    assert slots([]) == []
