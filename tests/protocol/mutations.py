"""Builds that are broken on purpose, to see that the simulation would have told.

Each takes one precaution away. Where the design has two against the same danger, both go.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from failover import decide as decisions
from failover import follower, holder
from failover.facts import Action, Decision, Do, Me, Seen, State, Swap
from failover.mariadb import Replica, Status
from failover.record import Mode
from tests.protocol.history import (
    Situation,
    blind,
    comes_back,
    late_bid,
    lose_each_other,
    planned_move,
    silence,
    strangers,
    unanswered,
)
from tests.protocol.mariadb import Database, Done
from tests.protocol.member import Decide, Member
from tests.protocol.pair import Build
from tests.protocol.world import Steps

Patch = Callable[[pytest.MonkeyPatch], None]


SOUND = Build()


@dataclass(frozen=True)
class Mutation:
    """What is broken, how, and the situations in which it matters."""

    name: str
    situations: tuple[Situation, ...]
    build: Build = SOUND
    patch: Patch = lambda _: None


def seeing(change: Callable[[Me, Seen], Seen]) -> Build:
    """The member is shown something else."""

    def decide(me: Me, state: State, seen: Seen, now: float) -> Decision:
        return decisions.decide(me, state, change(me, seen), now)

    return Build(decide=decide)


def doing(change: Callable[[Me, Seen, Decision], Decision]) -> Build:
    """The member does something else."""

    def decide(me: Me, state: State, seen: Seen, now: float) -> Decision:
        return change(me, seen, decisions.decide(me, state, seen, now))

    return Build(decide=decide)


class Unfenced(Member):
    """Nothing is killed and nobody is kept out."""

    lease_guard = False

    def fence_off(self) -> Steps:
        yield 0.001


class Overwriting(Member):
    """Puts the record without a comparison."""

    def _swap(self, swap: Swap) -> Steps:
        def put(quorum):  # type: ignore[no-untyped-def]
            return quorum.swap(swap.record, quorum.record_revision, None)

        if not swap.record.cluster or not swap.alive:
            yield from super()._swap(swap)
        else:
            yield from self._etcd(put)


class Restarted(Database):
    """systemd starts it again 5 s after it was killed, as a master (fact 12)."""

    def kill(self, why: str = "SIGKILL") -> None:
        super().kill(why)
        host = self.host

        def restart() -> None:
            if host.runs and self.process is None:
                self.start("MASTER")

        self.world.after(5.0, restart)


class Impatient(Database):
    """rpl_semi_sync_master_timeout at its default: after 10 s nothing waits any more (fact 3)."""

    def commit(self, row: str, done: Done, root: bool = False, stamp: tuple[str, int] | None = None) -> None:
        super().commit(row, done, root, stamp)
        sequence, process = len(self.disk.log), self.process

        def give_up() -> None:
            if process is not None and process is self.process and self.waiting and self.waiting[0][0] <= sequence:
                process.park(lambda: self._release(sequence)) if process.stopped else self._release(sequence)

        if self.waiting:
            self.world.after(10.0, give_up)


def _with_database(seen: Seen, change: Callable[[Status], Status]) -> Seen:
    return seen if seen.database is None else replace(seen, database=change(seen.database))


def _with_replica(seen: Seen, change: Callable[[Replica], Replica]) -> Seen:
    def changed(status: Status) -> Status:
        return status if status.replica is None else replace(status, replica=change(status.replica))

    return _with_database(seen, changed)


def _always_fit() -> Decide:
    def decide(me: Me, state: State, seen: Seen, now: float) -> Decision:
        fit = seen.instance if seen.record and seen.record.mode is Mode.SYNC else None
        decision = decisions.decide(me, replace(state, fit=fit), seen, now)
        if seen.record is None or seen.record.holder == me.name:
            return decision
        return replace(decision, state=replace(decision.state, fit=fit))

    return decide


def _hand_over_at_once(me: Me, seen: Seen, decision: Decision) -> Decision:
    record, leaving = seen.record, decision.state.leaving
    closed = seen.database is not None and seen.database.read_only and leaving is not None
    if record is None or record.holder != me.name or not closed:
        return decision
    to = replace(record, epoch=record.epoch + 1, holder=me.peer, mode=Mode.SINGLE, gtid="")
    return replace(decision, actions=(Swap(to), Do.WISH_DONE))


def _alone_without_asking(me: Me, seen: Seen, decision: Decision) -> Decision:
    def gives_sync_up(action: Action) -> bool:
        record = action.record if isinstance(action, Swap) else None
        return record is not None and record.holder == me.name and record.mode is Mode.SINGLE and is_sync

    is_sync = seen.record is not None and seen.record.mode is Mode.SYNC
    actions = tuple(Do.GO_ON_ALONE if gives_sync_up(action) else action for action in decision.actions)
    return replace(decision, actions=actions)


def _one_client(_: Me, seen: Seen) -> Seen:
    return _with_database(seen, lambda status: replace(status, semi_sync_clients=min(1, status.semi_sync_clients)))


def _says_stopped(_: Me, seen: Seen) -> Seen:
    return _with_replica(seen, lambda replica: replace(replica, io_stopped=True))


def _as_slave(me: Me, seen: Seen, decision: Decision) -> Decision:
    actions = tuple(Do.START_SLAVE if action is Do.START_MASTER else action for action in decision.actions)
    return replace(decision, actions=actions)


def _receives_at_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(follower, "_may_receive", lambda state, seen, now: True)


def _opens_incomplete(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(holder, "gtid_covers", lambda have, want: True)


def _bids_from_single(patch: pytest.MonkeyPatch) -> None:
    def eligible(me, state, seen, record):  # type: ignore[no-untyped-def]
        return None if seen.database and seen.database.replica and seen.database.replica.sql_running else "off"

    patch.setattr(follower, "is_eligible", eligible)


MUTATIONS = (
    Mutation("no fencing", (silence,), Build(member=Unfenced)),
    Mutation("promotion without the CAS", (late_bid,), Build(member=Overwriting)),
    Mutation("failback without catching up", (planned_move,), doing(_hand_over_at_once)),
    Mutation("B bids after its own restart", (comes_back,), Build(decide=_always_fit())),
    Mutation("a second semi-sync client allowed", (strangers,), seeing(_one_client)),
    Mutation("systemd restarts mariadbd", (silence,), Build(database=Restarted)),
    Mutation("receives before the bid's outcome is known", (unanswered,), patch=_receives_at_once),
    Mutation("bids while it receives", (unanswered,), seeing(_says_stopped)),
    Mutation("a promise ignored", (blind,), seeing(lambda _, seen: replace(seen, promised_until=-1e9))),
    Mutation("SINGLE without the CAS", (lose_each_other,), doing(_alone_without_asking)),
    Mutation("semi-sync with a timeout", (silence,), Build(database=Impatient)),
    Mutation("the holder recovers as a slave", (silence,), doing(_as_slave)),
    Mutation("opens before it has everything", (planned_move, silence), patch=_opens_incomplete),
    Mutation("takes over from SINGLE", (lose_each_other,), patch=_bids_from_single),
)
