"""Everything that the first page shows, gathered from whoever answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock
from typing import TypeVar

from gui import status
from gui.banners import Banner, banners
from gui.database import Session, TooSlowError
from gui.members import View
from gui.reading import NothingToReadError, Reader

CORES_SECONDS = 1.0
COUNT_SECONDS = 1.5
COUNT_EVERY = 10.0
COUNT_AGAIN = 60.0
"""Seconds between two counts of today's calls, and after one that took too long: its cost grows with the day."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Overview:
    """What could not be read in time is None."""

    view: View
    cores: tuple[status.Core, ...] | None
    today: status.Today | None

    @property
    def speaking(self) -> tuple[status.Core, ...]:
        return tuple(core for core in self.cores or () if not status.is_silent(core, self.view.delay))

    @property
    def banners(self) -> list[Banner]:
        return banners(self.view, self.cores or ())


class DayCount:
    """Counts today's calls, now and then for all visitors together."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._due = 0.0
        self._last: tuple[datetime, status.Today | None] | None = None

    def today(self, reader: Reader) -> status.Today | None:
        """None when it takes too long, or nobody answers."""
        day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
        with self._lock:
            if self._last is None or self._last[0] != day or self._clock() >= self._due:
                found = _in_time(reader, lambda session: status.today(session, day), COUNT_SECONDS)
                self._last = day, found
                self._due = self._clock() + (COUNT_EVERY if found else COUNT_AGAIN)
            return self._last[1]


def look(reader: Reader, count: DayCount) -> Overview:
    """Whatever the databases do, within 5 s."""
    cores = _in_time(reader, status.cores, CORES_SECONDS)
    today = count.today(reader) if cores is not None else None
    return Overview(reader.view(), cores, today)


def _in_time(reader: Reader, work: Callable[[Session], Result], seconds: float) -> Result | None:
    try:
        return reader.read(work, seconds)
    except (NothingToReadError, TooSlowError):
        return None
