"""What the clients' journals and both members' tables say: was anything lost, did two members acknowledge."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from scripts.drills.clients import Ack

SAME_STRETCH = 1.0
"""Seconds; acknowledgements of one server that are no farther apart belong together."""


@dataclass(frozen=True)
class Stretch:
    """One server acknowledged from `begin` to `end` (seconds since 1970)."""

    server: int
    begin: float
    end: float


@dataclass(frozen=True)
class Verdict:
    """`lost` are acknowledged ids that a member has not got, by member; `differ` names tables that are not the same."""

    acknowledged: int
    lost: dict[str, list[str]] = field(default_factory=dict)
    differ: tuple[str, ...] = ()
    both_seconds: float = 0.0
    changes: int = 0
    epochs: int | None = None

    @property
    def lost_count(self) -> int:
        """Acknowledged writes that at least one member has not got."""
        return len({name for names in self.lost.values() for name in names})

    @property
    def failures(self) -> list[str]:
        """What must not be; nothing when all is well."""
        found = [
            f"{member} lacks {len(names)} of {self.acknowledged} acknowledged writes, such as {names[0]}"
            for member, names in self.lost.items()
            if names
        ]
        found += [f"the members' tables differ: {name}" for name in self.differ]
        if self.both_seconds:
            found.append(f"two members acknowledged at once for {self.both_seconds:.2f} s")
        if self.epochs is not None and self.changes > self.epochs:
            found.append(f"the acknowledging member changed {self.changes} times in {self.epochs} epochs")
        return found


def lost(acks: Iterable[Ack], present: dict[str, set[tuple[str, int]]]) -> dict[str, list[str]]:
    """The acknowledged ids that a member's table has not got."""
    wanted = sorted({(ack.writer, ack.id) for ack in acks})
    return {
        member: [f"{writer} {number}" for writer, number in wanted if (writer, number) not in rows]
        for member, rows in present.items()
    }


def stretches(acks: Iterable[Ack]) -> list[Stretch]:
    """When each server acknowledged, in the order of their begin."""
    by_server: dict[int, list[float]] = defaultdict(list)
    for ack in acks:
        by_server[ack.server].append(ack.acked)
    found = []
    for server, moments in by_server.items():
        begin = last = min(moments)
        for moment in sorted(moments):
            if moment - last > SAME_STRETCH:
                found.append(Stretch(server, begin, last))
                begin = moment
            last = moment
        found.append(Stretch(server, begin, last))
    return sorted(found, key=lambda stretch: stretch.begin)


def both_seconds(acks: Iterable[Ack]) -> float:
    """For how long two servers acknowledged at once."""
    found = stretches(acks)
    pairs = ((one, other) for n, one in enumerate(found) for other in found[n + 1 :] if one.server != other.server)
    return sum(max(0.0, min(one.end, other.end) - max(one.begin, other.begin)) for one, other in pairs)


def changes(acks: Iterable[Ack]) -> int:
    """How often the acknowledging server was another one than before."""
    servers = [ack.server for ack in sorted(acks, key=lambda ack: ack.acked)]
    return sum(before != after for before, after in pairwise(servers))


def longest_silence(acks: Sequence[Ack], begin: float, end: float) -> float:
    """The longest time without an acknowledgement between two moments, in seconds."""
    moments = [begin, *sorted(ack.acked for ack in acks if begin <= ack.acked <= end), end]
    return max(after - before for before, after in pairwise(moments))
