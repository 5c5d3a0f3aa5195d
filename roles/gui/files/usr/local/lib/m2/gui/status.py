"""What the cores and today's calls look like."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gui.database import Session

SILENT_AFTER = 15.0
"""A core speaks every 5 s."""

GONE_AFTER = 7 * 86400.0
"""A core that was removed leaves its last line behind; after a week nobody needs to be told."""


@dataclass(frozen=True)
class Core:
    """What a core said of itself last, `age` seconds ago."""

    server_id: int
    name: str
    age: float
    calls: int
    cps: float
    load: float
    journal: int
    media: str


@dataclass(frozen=True)
class Hour:
    """Calls that began in one hour of the day (UTC); `talked` is the sum of their answered seconds."""

    hour: int
    attempts: int
    answered: int
    talked: float


@dataclass(frozen=True)
class Today:
    """Calls that began on `day`, UTC."""

    day: datetime
    hours: tuple[Hour, ...]

    @property
    def attempts(self) -> int:
        return sum(hour.attempts for hour in self.hours)

    @property
    def answered(self) -> int:
        return sum(hour.answered for hour in self.hours)

    @property
    def asr(self) -> float | None:
        """Answer-seizure ratio, percent."""
        return 100 * self.answered / self.attempts if self.attempts else None

    @property
    def acd(self) -> float | None:
        """Average call duration of answered calls, seconds."""
        return sum(hour.talked for hour in self.hours) / self.answered if self.answered else None


def cores(session: Session) -> tuple[Core, ...]:
    """All cores that ever spoke and are not long gone. Raises UnavailableError, TooSlowError."""
    rows = session.rows(
        "SELECT server_id, name, calls, cps, load1, journal, media,"
        " TIMESTAMPDIFF(MICROSECOND, said, UTC_TIMESTAMP(6)) / 1000000 AS age FROM m2.cores ORDER BY server_id"
    )
    found = (
        Core(
            server_id=row["server_id"],
            name=row["name"],
            age=float(row["age"]),
            calls=row["calls"],
            cps=float(row["cps"]),
            load=float(row["load1"]),
            journal=row["journal"],
            media=row["media"],
        )
        for row in rows
    )
    return tuple(core for core in found if core.age < GONE_AFTER)


def today(session: Session, day: datetime) -> Today:
    """Calls since midnight. Raises UnavailableError, TooSlowError."""
    rows = session.rows(
        "SELECT HOUR(began) AS hour, COUNT(*) AS attempts, COUNT(answered) AS answered,"
        " COALESCE(SUM(TIMESTAMPDIFF(MICROSECOND, answered, ended)), 0) / 1000000 AS talked"
        " FROM m2.calls FORCE INDEX (by_time) WHERE began >= %s AND began < %s + INTERVAL 1 DAY GROUP BY HOUR(began)",
        (day, day),
    )
    hours = (Hour(row["hour"], row["attempts"], row["answered"], float(row["talked"])) for row in rows)
    return Today(day, tuple(sorted(hours, key=lambda hour: hour.hour)))


def is_silent(core: Core, delay: float | None) -> bool:
    """Whether it was silent while the database was written; a copy that is `delay` seconds late silences nobody."""
    return core.age - max(0.0, delay or 0.0) > SILENT_AFTER
