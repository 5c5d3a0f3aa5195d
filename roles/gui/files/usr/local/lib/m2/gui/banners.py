"""What a person has to know at once, in sentences. No effects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from gui.members import Observation, State, View
from gui.show import age, seconds
from gui.status import Core, is_silent

Level = Literal["alarm", "warning"]
LATE_AFTER = 5.0


@dataclass(frozen=True)
class Banner:
    """An alarm is something to act on now; a warning explains what is shown."""

    level: Level
    text: str


def banners(view: View, cores: Sequence[Core]) -> list[Banner]:
    """Everything that is not as it should be, alarms first."""
    found = [*_of_members(view), *_of_roles(view), *_of_reading(view), *_of_replication(view), *_of_cores(view, cores)]
    return sorted(found, key=lambda banner: banner.level != "alarm")


def _of_members(view: View) -> Iterator[Banner]:
    if not view.answering:
        nobody = "Neither database answers" if view.backup else "The database does not answer"
        yield Banner("alarm", f"{nobody}: this page can show no calls and no cores.")
    for seen in view.all:
        if not seen.state:
            yield Banner("alarm", f"{_named(seen)} does not answer: {seen.problem}.")


def _of_roles(view: View) -> Iterator[Banner]:
    names = [seen.member.name for seen in view.writers]
    if len(names) > 1:
        yield Banner("alarm", f"Both databases accept writes ({' and '.join(names)}): only the holder may.")
    if len(view.answering) == len(view.all) and not names:
        yield Banner("alarm", "No database accepts writes: call records wait in the journals of the cores.")
    if view.backup and names == [view.backup.member.name]:
        yield Banner("warning", f"{_named(view.backup)} has taken over and accepts the writes.")


def _of_reading(view: View) -> Iterator[Banner]:
    if not view.reading or not view.backup:
        return
    named = _named(view.reading)
    if view.reading in view.writers:
        yield Banner("warning", f"This page reads {named}, which accepts the writes, because nobody else answers.")
    elif view.reading is view.main:
        name = view.backup.member.name
        reason = f"{name} accepts the writes" if view.backup in view.writers else f"{name} does not answer"
        yield Banner("warning", f"This page reads {named}, because {reason}.")


def _of_replication(view: View) -> Iterator[Banner]:
    for seen, state in view.answering:
        if not state.read_only:
            continue
        yield from _of_threads(seen, state)
        if state.delay is None:
            yield Banner("warning", f"{_named(seen)} has no heartbeat yet: its delay is unknown.")
        elif state.delay > LATE_AFTER:
            yield Banner("warning", f"{_named(seen)} is {seconds(state.delay)} late: newer calls are not shown yet.")


def _of_threads(seen: Observation, state: State) -> Iterator[Banner]:
    replication = state.replication
    if replication is None:
        yield Banner("alarm", f"{_named(seen)} does not replicate from anybody.")
    elif not replication.runs:
        threads = f"IO thread: {replication.io}, SQL thread: {replication.sql}"
        reason = f": {replication.error}" if replication.error else ""
        yield Banner("alarm", f"Replication to {_named(seen)} has stopped ({threads}){reason}.")


def _of_cores(view: View, cores: Sequence[Core]) -> Iterator[Banner]:
    for core in cores:
        if is_silent(core, view.delay):
            yield Banner("alarm", f"{core.name} has been silent for {age(core.age)}.")
        if core.media == "userspace":
            yield Banner("warning", f"{core.name} relays media in user space: its kernel module is missing.")


def _named(seen: Observation) -> str:
    return f"{seen.member.name} (the {seen.member.role})"
