"""The course of a drill: a whole pair, clients that write, a fault, healing, the return to the main, a verdict."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from scripts.database_pair import Look
from scripts.drills import checking, clients, timeline
from scripts.drills.clients import Clients
from scripts.drills.scenes import Drill, Scene
from scripts.drills.timeline import Entry, Service
from scripts.drills.verdict import Verdict

WHOLE_BEFORE = 180.0
WHOLE_AFTER = 900.0
RETURN_BY_ITSELF = 3600.0
CALM = 2.0
"""Seconds of undisturbed writing before the fault and after the return."""


@dataclass(frozen=True)
class Course:
    """One run on one scene; `run` is its name in the table that clients write to."""

    scene: Scene
    run: str
    tell: Callable[[str], None]
    own_return: bool = False


@dataclass(frozen=True)
class Result:
    """What came of it; moments are seconds since 1970."""

    what: str
    fault_at: float
    timeline: tuple[Entry, ...]
    service: Service
    verdict: Verdict

    @property
    def failures(self) -> list[str]:
        """What must not be; nothing when the drill passed."""
        return self.verdict.failures


def run_drill(course: Course, drill: Drill) -> Result:
    """Raises PairError when the pair is not whole before, or does not heal."""
    scene = course.scene
    before = return_home(course, [], WHOLE_BEFORE)
    clients.make_table(scene.hosts, scene.main)
    notes: list[Entry] = []
    with clients.writing(scene.hosts, course.run, scene.members) as journal:
        time.sleep(CALM)
        fault_at = _note(course, notes, f"fault: {drill.what}")
        with drill.strike(scene):
            _wait(course, drill.lasts)
        _note(course, notes, "the fault is over")
        after = return_home(course, notes)
        time.sleep(CALM)
    epochs = epochs_between(before, after)
    return conclude(course, drill.what, fault_at, notes, journal, epochs)


def return_home(course: Course, notes: list[Entry], timeout: float = WHOLE_AFTER) -> Look:
    """Wait until the pair is whole, and until the database is on the main again. Raises PairError."""
    pair, main = course.scene.pair, course.scene.main
    look = pair.until(lambda look: not look.troubles, timeout, "the pair is whole")
    _note(course, notes, "the pair is whole")
    if look.holder != main:
        if not course.own_return:
            pair.ask(str(look.holder), "failback")
        look = pair.until(_at_home, RETURN_BY_ITSELF, f"the database returns to {main}")
        _note(course, notes, f"failed back to {main}")
    return look


def conclude(
    course: Course, what: str, fault_at: float, notes: list[Entry], journal: Clients, epochs: int | None
) -> Result:
    """Judge what was written, and put the timeline together. Leaves nothing behind."""
    scene, end = course.scene, time.time()
    verdict = checking.judge(scene.hosts, course.run, scene.members, journal.acks, epochs)
    said = timeline.journals(scene.hosts, scene.members, fault_at)
    service = timeline.service(journal.measured.acks, fault_at, end)
    notes += _first_write(scene, fault_at, service, journal)
    entries = sorted([*notes, *timeline.labelled(said)], key=lambda entry: entry.at)
    if not verdict.failures:
        clients.drop_table(scene.hosts, scene.main)
    return Result(what, fault_at, tuple(entries), service, verdict)


def epochs_between(before: Look, after: Look) -> int | None:
    """How often the record's holder changed."""
    return after.record["epoch"] - before.record["epoch"] if before.record and after.record else None


def _first_write(scene: Scene, fault_at: float, service: Service, journal: Clients) -> list[Entry]:
    if service.first_write is None:
        return []
    what = f"first write: {service.first_write:.2f} s after the fault, by server {service.first_server}"
    return [Entry(fault_at + service.first_write, journal.measured.host, what)]


def _note(course: Course, notes: list[Entry], what: str) -> float:
    now = time.time()
    notes.append(Entry(now, "drill", what))
    course.tell(what)
    return now


def _wait(course: Course, seconds: float) -> None:
    course.tell(f"for {seconds:.0f} s")
    time.sleep(seconds)


def _at_home(look: Look) -> bool:
    return not look.troubles and look.holder == look.main
