"""Asks all members at once and reads one of them; every answer comes within a fixed time."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotInTime
from threading import Lock
from typing import TypeVar

from gui.config import Config, Member
from gui.database import GRACE, Connect, Session, TooSlowError, UnavailableError
from gui.members import Observation, State, View, observe

OBSERVE_SECONDS = 1.7
READ_SECONDS = 2.0
"""Together below 5 s: a page takes no longer, whatever the members do."""

FRESH_SECONDS = 1.0
SILENT_SECONDS = 5.0
"""How long a member that did not answer is left alone."""

THREADS = 16
NO_ANSWER = "nothing came in time"

Result = TypeVar("Result")


class NothingToReadError(Exception):
    """No member gave an answer in time."""


class Reader:
    """Looks at the members and reads the right one; shared by all threads of a process."""

    def __init__(self, config: Config, connect: Connect, clock: Callable[[], float] = time.monotonic) -> None:
        self._members = config.members
        self._connect = connect
        self._clock = clock
        self._threads = ThreadPoolExecutor(THREADS, "database")
        self._seen: dict[Member, tuple[float, Observation]] = {}
        self._lock = Lock()

    def view(self) -> View:
        """All members as they are, at most FRESH_SECONDS ago; takes at most OBSERVE_SECONDS."""
        with self._lock:
            asked = {member: self._ask(member) for member in self._members if self._is_stale(member)}
            until = self._clock() + OBSERVE_SECONDS
            for member, answer in asked.items():
                self._note(self._observation(member, answer, until))
            return View(*(self._seen[member][1] for member in self._members))

    def read(self, work: Callable[[Session], Result], seconds: float = READ_SECONDS) -> Result:
        """Do `work` with the member to read, or with the other one if that fails; so many seconds for each.

        Raises NothingToReadError, TooSlowError.
        """
        while reading := self.view().reading:
            try:
                return _result(self._start(reading.member, seconds, work), seconds + GRACE)
            except UnavailableError as error:
                with self._lock:
                    self._note(Observation(reading.member, None, str(error)))
        raise NothingToReadError

    def _ask(self, member: Member) -> Future[State]:
        return self._start(member, OBSERVE_SECONDS, observe)

    def _start(self, member: Member, seconds: float, work: Callable[[Session], Result]) -> Future[Result]:
        def run() -> Result:
            with self._connect(member, seconds) as session:
                return work(session)

        return self._threads.submit(run)

    def _observation(self, member: Member, answer: Future[State], until: float) -> Observation:
        try:
            return Observation(member, _result(answer, until - self._clock()))
        except UnavailableError as error:
            return Observation(member, None, str(error))
        except TooSlowError:
            return Observation(member, None, NO_ANSWER)

    def _note(self, observation: Observation) -> None:
        self._seen[observation.member] = (self._clock(), observation)

    def _is_stale(self, member: Member) -> bool:
        if member not in self._seen:
            return True
        when, observation = self._seen[member]
        return self._clock() - when > (FRESH_SECONDS if observation.state else SILENT_SECONDS)


def _result(answer: Future[Result], seconds: float) -> Result:
    try:
        return answer.result(max(0.0, seconds))
    except NotInTime:
        answer.cancel()
        raise UnavailableError(NO_ANSWER) from None
