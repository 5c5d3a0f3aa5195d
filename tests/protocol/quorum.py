"""Three etcd members: linearizable, by compare-and-set, useless without a majority, and late at times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from failover.record import Record, View
from tests.protocol.world import Network, World

MEMBERS = ("A", "B", "W")
ELECTION = (0.5, 3.2)
"""Seconds, as measured."""

GIVES_UP = 7.0
"""Seconds after which a member drops a request that it could not put to a leader."""

LOST = 0.003
"""Share of answers that get lost although the work was done."""

REFUSED = "refused"
"""The host answers that nobody listens there."""

Operation = Callable[["Quorum"], Any]


@dataclass
class Quorum:
    """`changed` hears of every change of the record, in the moment in which it happens."""

    world: World
    network: Network
    changed: Callable[[Record | None, Record], None]
    record: Record | None = None
    record_revision: int = 0
    alive: str = ""
    alive_revision: int = 0
    stopped: set[str] = field(default_factory=set)
    _revision: int = 0
    _leader: str = "W"
    _elected_at: float = 0.0

    def serve(self, member: str, operation: Operation) -> Callable[[Callable[[Any], None]], None]:
        """How this member answers: at once, late, or never."""
        return lambda answer: self._try(member, operation, answer, self.world.now + GIVES_UP)

    def read(self) -> View:
        return View(self.record, self.record_revision, self.alive, self.alive_revision)

    def renew(self, record_revision: int, alive: str) -> bool:
        if self.record_revision != record_revision:
            return False
        self._revision += 1
        self.alive, self.alive_revision = alive, self._revision
        return True

    def swap(self, record: Record, record_revision: int, alive_revision: int | None) -> bool:
        """True as well when an earlier try of the same client did it."""
        unchanged = self.record_revision == record_revision and alive_revision in (None, self.alive_revision)
        if not unchanged:
            return self.record_revision > record_revision and self.record == record
        self._revision += 1
        old, self.record, self.record_revision = self.record, record, self._revision
        self.changed(old, record)
        return True

    def works(self, member: str) -> bool:
        """Whether it can answer a linearizable read now."""
        if not self._runs(member):
            return False
        if not self._leads(self._leader):
            candidates = [name for name in MEMBERS if self._leads(name)]
            if not candidates:
                return False
            self._leader = self.world.rng.choice(candidates)
            self._elected_at = self.world.now + self.world.between(*ELECTION)
        if self.world.now < self._elected_at:
            return False
        return self.network.both_ways(member, self._leader)

    def _try(self, member: str, operation: Operation, answer: Callable[[Any], None], until: float) -> None:
        """What meets a member without a leader may be done when there is one again, however late that is."""
        if member in self.stopped:
            answer(REFUSED)
        elif self.works(member):
            self.world.after(
                0.0 if member == self._leader else self.network.latency(member, self._leader),
                lambda: self._execute(member, operation, answer, until),
            )
        elif self._runs(member) and self.world.now < until:
            self._later(member, operation, answer, until)

    def _execute(self, member: str, operation: Operation, answer: Callable[[Any], None], until: float) -> None:
        leader = self._leader
        if not self._leads(leader) or not self.network.passes(member, leader):
            self._later(member, operation, answer, until)
            return
        result = operation(self)
        if self.network.passes(leader, member) and self.world.random() > LOST:
            self.world.after(self.network.latency(leader, member) if member != leader else 0.0, lambda: answer(result))

    def _later(self, member: str, operation: Operation, answer: Callable[[Any], None], until: float) -> None:
        self.world.after(self.world.between(0.1, 1.5), lambda: self._try(member, operation, answer, until))

    def _runs(self, member: str) -> bool:
        return self.network.hosts[member].runs and member not in self.stopped

    def _leads(self, member: str) -> bool:
        others = (other for other in MEMBERS if other != member)
        return self._runs(member) and any(self._runs(o) and self.network.both_ways(member, o) for o in others)
