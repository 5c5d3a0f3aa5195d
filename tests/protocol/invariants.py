"""What must hold in every moment of every history, seen by somebody who sees everything at once."""

from __future__ import annotations

from collections.abc import Callable

from failover.record import Mode, Record
from tests.protocol.mariadb import Database
from tests.protocol.member import Member

EXCUSED = 11.0
"""Seconds in which somebody who was frozen, or whose agent was, may be writable without the epoch: it ends by itself,
and nothing is acknowledged."""

STRANGER_NOTICED = 6.0


class ViolationError(AssertionError):
    """An invariant does not hold."""


class Invariants:
    """`record` says what stands in etcd. Rows that a person agreed to lose are forgiven."""

    def __init__(self, record: Callable[[], Record | None]) -> None:
        self._record = record
        self.members: dict[str, Member] = {}
        self.acknowledged: dict[str, None] = {}
        self.forgiven: set[str] = set()
        self.stranger_since: float | None = None
        self._granted: dict[int, str] = {}
        self._last_epoch = 0
        self._loss_accepted = False

    def on_acknowledged(self, database: Database, row: str) -> None:
        """I1: by the holder in its epoch, one node an epoch, or late what the new holder has."""
        record = self._record()
        assert record is not None
        if self._only_a_stranger_has(database, row):
            return
        if record.holder == database.name and record.epoch == database.epoch:
            if self._granted.setdefault(record.epoch, database.name) != database.name:
                raise ViolationError(f"I1: {database.name} acknowledges in an epoch of another")
            if record.epoch < self._last_epoch:
                raise ViolationError(f"I1: {database.name} acknowledges in epoch {record.epoch} after a later one")
            self._last_epoch = record.epoch
        elif row not in self.members[record.holder].database.has():
            raise ViolationError(f"I1: {database.name} acknowledges {row}, {record.holder} holds and has it not")
        self.acknowledged[row] = None

    def on_record(self, old: Record | None, new: Record) -> None:
        """What the record may become; I3 at once."""
        if old is not None and new.holder != old.holder:
            member = self.members[new.holder]
            forced = member.run is not None and member.run.asked is not None and member.run.asked.name == "TAKEOVER"
            if new.epoch != old.epoch + 1:
                raise ViolationError(f"the epoch goes from {old.epoch} to {new.epoch}")
            # One that has never opened in its epoch wrote nothing alone: it may give the epoch back.
            if old.mode is Mode.SINGLE and old.epoch in self._granted and not forced:
                raise ViolationError(f"I2: {new.holder} takes over from {old.holder}, which wrote alone")
            self._loss_accepted = self._loss_accepted or forced
        self.check()

    def on_opened(self, member: Member) -> None:
        """I2: who opens has everything that was ever acknowledged."""
        record = self._record()
        if member.writable and record and (record.holder, record.epoch) == (member.name, member.database.epoch):
            missing = self.missing({entry.transaction.row for entry in member.database.disk.log})
            if self._loss_accepted:
                self.forgiven.update(missing)
                self._loss_accepted = False
            elif missing:
                raise ViolationError(f"I2: {member.name} opens without {_some(missing)}")
        self.check()

    def on_decided(self, member: Member) -> None:
        """I2: who may take over has received everything that was acknowledged."""
        record, state = self._record(), member.memory.state
        if record is None or record.mode is not Mode.SYNC or record.holder == member.name:
            return
        seen = member.run.seen.record if member.run else None
        if seen is None or seen != record or state.fit is None or state.fit != member.database.instance:
            return
        if next(reversed(self.acknowledged), "") in self.forgiven:
            return
        missing = self.missing(member.database.has())
        if missing:
            raise ViolationError(f"I2: {member.name} would take over without {_some(missing)}")

    def on_start(self, database: Database, role: str) -> None:
        """Fact 2: only the holder commits what was in doubt."""
        record, member = self._record(), self.members[database.name]
        if role == "MASTER" and record and record.holder != member.name and not self._is_excused(member):
            raise ViolationError(f"{member.name} starts as a master, {record.holder} holds epoch {record.epoch}")

    def check(self) -> None:
        """I3: nobody is writable without the current epoch."""
        record = self._record()
        if record is None:
            return
        for member in self.members.values():
            current = record.holder == member.name and record.epoch == member.database.epoch
            if member.writable and not current and not self._is_excused(member):
                raise ViolationError(f"I3: {member.name} is writable, {record.holder} holds epoch {record.epoch}")

    def missing(self, rows: set[str]) -> list[str]:
        return [row for row in self.acknowledged if row not in rows and row not in self.forgiven]

    def at_the_end(self) -> None:
        """Both tables are the same, and everything acknowledged is in them."""
        one, other = (self.members[name].database.disk.log for name in ("A", "B"))
        for mine, theirs in zip(one, other, strict=False):
            if mine.transaction != theirs.transaction:
                raise ViolationError(f"I2: the tables differ: {mine.transaction} and {theirs.transaction}")
        for log in (one, other):
            missing = self.missing({entry.transaction.row for entry in log})
            if missing:
                raise ViolationError(f"I2: at the end {_some(missing)} is missing")

    def _only_a_stranger_has(self, database: Database, row: str) -> bool:
        """Until it is noticed; a server that should not be configured so is a fault that nothing can undo at once."""
        if self.stranger_since is None or not database.semi_sync_on:
            return False
        run = self.members[database.name].run
        seen_since = max(self.stranger_since, run.process.resumed_at) if run and not run.process.stopped else 1e9
        young = database.world.now - seen_since < STRANGER_NOTICED
        return young and row not in self.members[database.name].peer.database.has()

    def _is_excused(self, member: Member) -> bool:
        run = member.run
        if run is None or run.process.stopped:
            return True
        now = member.world.now
        return now - max(member.host.thawed_at, run.process.resumed_at) < EXCUSED


def _some(rows: list[str]) -> str:
    return f"{', '.join(rows[:3])}{f' and {len(rows) - 3} more' if len(rows) > 3 else ''}"
