"""What a database host does next: a pure function of what it is, what it sees and what time it is.

So far each member stays in its configured role: the main writes, the backup follows. `decide` returns sentences
with its actions, and nothing here has an effect.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Literal

from failover.mariadb import Status

ALONE_AFTER = 3.0
"""Seconds without the backup after which the main stops waiting for its acknowledgements."""


class Action(Enum):
    """What the agent can do."""

    START = auto()
    PREPARE = auto()
    ALLOW_WRITES = auto()
    FOLLOW = auto()
    WAIT_FOR_BACKUP = auto()
    GO_ON_ALONE = auto()
    BEAT = auto()
    TAKE_ADDRESS = auto()


@dataclass(frozen=True)
class State:
    """What the agent remembers of the running mariadbd."""

    role: Literal["main", "backup"]
    prepared: bool = False
    following: bool = False


@dataclass(frozen=True)
class Observation:
    """What one look found; `database` is None when mariadbd did not answer, `owns_address` None when unknown.

    `last_beat` is when the last sign of life was committed, None before the first.
    """

    mounted: bool
    running: bool
    database: Status | None
    owns_address: bool | None
    last_beat: float | None


@dataclass(frozen=True)
class Decision:
    """The state to go on with, the actions in their order, and a sentence that says what and why."""

    state: State
    actions: tuple[Action, ...]
    sentence: str


def decide(state: State, seen: Observation, now: float) -> Decision:
    """The next step of one member."""
    if not seen.mounted:
        return Decision(state, (), "the data disk is not mounted: mariadbd stays off")
    if not seen.running:
        fresh = replace(state, prepared=False, following=False)
        return Decision(fresh, (Action.START,), f"mariadbd is not running: starting it as {state.role}")
    if seen.database is None:
        return Decision(state, (), "mariadbd runs and does not answer")
    if state.role == "main":
        return _main(state, seen, seen.database, now)
    return _backup(state, seen.database)


def _main(state: State, seen: Observation, database: Status, now: float) -> Decision:
    if not state.prepared:
        opening = (Action.ALLOW_WRITES, Action.PREPARE)
        return Decision(replace(state, prepared=True), opening, "main: bringing schema and users up to date")
    writes = (Action.ALLOW_WRITES,) if database.read_only else ()
    replication, sentence = _replication(database, seen.last_beat, now)
    address = (Action.TAKE_ADDRESS,) if seen.owns_address is False else ()
    if address:
        sentence += "; nobody has the address, taking it"
    return Decision(state, (*writes, *replication, *address, Action.BEAT), sentence)


def _replication(database: Status, last_beat: float | None, now: float) -> tuple[tuple[Action, ...], str]:
    if not database.semi_sync_on:
        if database.semi_sync_clients == 0:
            return (), "main: alone, commits are not replicated"
        return (Action.WAIT_FOR_BACKUP,), "main: the backup is here, no commit without it from now on"
    silence = now - last_beat if last_beat is not None else 0.0
    if silence <= ALONE_AFTER:
        return (), "main: the backup acknowledges every commit"
    return (Action.GO_ON_ALONE,), f"main: no commit was acknowledged for {silence:.0f} s, going on alone"


def _backup(state: State, database: Status) -> Decision:
    if not state.following:
        return Decision(replace(state, following=True), (Action.FOLLOW,), "backup: following the main")
    replica = database.replica
    if replica is None or not (replica.io_running and replica.sql_running):
        why = replica.error if replica and replica.error else "threads are not running"
        return Decision(state, (), f"backup: not replicating: {why}")
    return Decision(state, (), "backup: replicating")
