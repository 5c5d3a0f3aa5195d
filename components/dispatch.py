"""Which core gets which call: the order of slots that the balancers hash Call-IDs to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import gcd

from components.plan import HostPlan

ROUNDS = 4


def slots(cores: Sequence[HostPlan]) -> list[HostPlan]:
    """Each core as often as its size asks for.

    The next slot takes the calls of one whose core is dead. Rounds in several orders spread them over several cores.
    """
    unit = gcd(*(core.size for core in cores)) or 1
    entries = [core for core in cores for _ in range(core.size // unit)]
    count = len(entries)
    return [entries[index * stride % count] for stride in _strides(count) for index in range(count)]


def _strides(count: int) -> list[int]:
    """Steps that visit each of `count` entries once."""
    return list(_coprimes(count))[:ROUNDS] or [1]


def _coprimes(count: int) -> Iterator[int]:
    return (stride for stride in range(1, count) if gcd(stride, count) == 1)
