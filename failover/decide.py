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
    RELOAD_TLS = auto()
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
    tls_reloaded: bool = False
    prepared: bool = False
    followed: bool = False


@dataclass(frozen=True)
class Observation:
    """What one look found; `database` is None when mariadbd did not answer, `owns_address` None when unknown.

    `last_beat` is when a sign of life was last committed, or when the agent began to look.
    """

    mounted: bool
    running: bool
    database: Status | None
    owns_address: bool | None
    last_beat: float


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
        return Decision(State(state.role), (Action.START,), f"mariadbd is not running: starting it as {state.role}")
    if seen.database is None:
        return Decision(state, (), "mariadbd runs and does not answer")
    tls = () if state.tls_reloaded else (Action.RELOAD_TLS,)
    state = replace(state, tls_reloaded=True)
    decision = _main(state, seen, seen.database, now) if state.role == "main" else _backup(state, seen.database)
    return replace(decision, actions=(*tls, *decision.actions))


def _main(state: State, seen: Observation, database: Status, now: float) -> Decision:
    """Commits that wait for a dead backup are released before anything else that commits."""
    replication, sentence = _replication(database, now - seen.last_beat)
    actions = (*((Action.ALLOW_WRITES,) if database.read_only else ()), *replication)
    if not state.prepared:
        sentence += "; bringing schema and users up to date"
        return Decision(replace(state, prepared=True), (*actions, Action.PREPARE), sentence)
    if seen.owns_address is False:
        actions += (Action.TAKE_ADDRESS,)
        sentence += "; nobody has the address, taking it"
    return Decision(state, (*actions, Action.BEAT), sentence)


def _replication(database: Status, silence: float) -> tuple[tuple[Action, ...], str]:
    if not database.semi_sync_on:
        if database.semi_sync_clients == 0:
            return (), "main: alone, commits are not replicated"
        return (Action.WAIT_FOR_BACKUP,), "main: the backup is here, no commit without it from now on"
    if silence <= ALONE_AFTER:
        return (), "main: the backup acknowledges every commit"
    return (Action.GO_ON_ALONE,), f"main: no commit was acknowledged for {ALONE_AFTER:.0f} s, going on alone"


def _backup(state: State, database: Status) -> Decision:
    """Threads that run are left alone: a restart of both purges what was received and not yet applied."""
    replica = database.replica
    if replica is not None and replica.io_running and replica.sql_running:
        return Decision(state, (), "backup: replicating")
    if not state.followed:
        return Decision(replace(state, followed=True), (Action.FOLLOW,), "backup: following the main")
    why = replica.error if replica and replica.error else "threads are not running"
    return Decision(state, (), f"backup: not replicating: {why}")
