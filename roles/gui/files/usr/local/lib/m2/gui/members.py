"""The databases as seen at one moment, and which of them to read. No effects."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gui.config import Member
from gui.database import Session


@dataclass(frozen=True)
class Replication:
    """What SHOW SLAVE STATUS says; `io` and `sql` are the two threads' own words ("Yes" when they run)."""

    io: str
    sql: str
    source: str
    error: str

    @property
    def runs(self) -> bool:
        return self.io == self.sql == "Yes"


@dataclass(frozen=True)
class State:
    """What a member said. `delay` is the age of its heartbeat row, in seconds; None when it has no such row."""

    read_only: bool
    writer: str | None
    beat: datetime | None
    delay: float | None
    replication: Replication | None


@dataclass(frozen=True)
class Observation:
    """A member and what it said, or why it said nothing."""

    member: Member
    state: State | None
    problem: str = ""


@dataclass(frozen=True)
class View:
    """All members, main first; a single database has no backup."""

    main: Observation
    backup: Observation | None = None

    @property
    def all(self) -> tuple[Observation, ...]:
        return (self.main, self.backup) if self.backup else (self.main,)

    @property
    def answering(self) -> tuple[tuple[Observation, State], ...]:
        return tuple((seen, seen.state) for seen in self.all if seen.state)

    @property
    def reading(self) -> Observation | None:
        """Whom to read: not the holder, to spare it; of two such the backup; the holder when nobody else answers."""
        return min((seen for seen, _ in self.answering), key=_last_resort, default=None)

    @property
    def delay(self) -> float | None:
        """How old what is read may be, in seconds; None when that is not known."""
        return self.reading.state.delay if self.reading and self.reading.state else None

    @property
    def writers(self) -> tuple[Observation, ...]:
        """Who accepts writes; more than one is a fault."""
        return tuple(seen for seen, state in self.answering if not state.read_only)

    @property
    def last_writer(self) -> str | None:
        """Who wrote the newest heartbeat that any member has."""
        beats = [(state.beat, state.writer) for _, state in self.answering if state.beat]
        return max(beats)[1] if beats else None


def observe(session: Session) -> State:
    """Ask one member. Raises UnavailableError, TooSlowError."""
    mode = session.rows("SELECT @@GLOBAL.read_only AS read_only")[0]
    beats = session.rows(
        "SELECT writer, beat, TIMESTAMPDIFF(MICROSECOND, beat, UTC_TIMESTAMP(6)) / 1000000 AS age"
        " FROM m2.heartbeat ORDER BY beat DESC LIMIT 1"
    )
    beat = beats[0] if beats else None
    return State(
        read_only=bool(mode["read_only"]),
        writer=beat["writer"] if beat else None,
        beat=beat["beat"] if beat else None,
        delay=float(beat["age"]) if beat else None,
        replication=_replication(session),
    )


def _replication(session: Session) -> Replication | None:
    for row in session.rows("SHOW SLAVE STATUS"):
        return Replication(
            io=row["Slave_IO_Running"],
            sql=row["Slave_SQL_Running"],
            source=row["Master_Host"],
            error=row["Last_IO_Error"] or row["Last_SQL_Error"],
        )
    return None


def _last_resort(seen: Observation) -> tuple[bool, bool]:
    holds = seen.state is not None and not seen.state.read_only
    return holds, seen.member.role != "backup"
