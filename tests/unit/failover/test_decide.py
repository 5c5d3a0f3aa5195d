"""What a database host does in each state, and what it never does in any."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failover.decide import ALONE_AFTER, Action, Observation, State, decide
from failover.mariadb import Replica, Status

NOW = 1000.0
MAIN = State("main", tls_reloaded=True, prepared=True)
BACKUP = State("backup", tls_reloaded=True, followed=True)
NEW_MAIN = State("main", tls_reloaded=True)
NEW_BACKUP = State("backup", tls_reloaded=True)
WRITABLE = Status(read_only=False, semi_sync_on=False, semi_sync_clients=0, replica=None)
IN_SYNC = replace(WRITABLE, semi_sync_on=True, semi_sync_clients=1)
REPLICATING = Status(True, False, 0, Replica(True, True, ""))
HEALTHY = Observation(True, True, IN_SYNC, True, NOW - 1)


def seen(database: Status | None, *, owns: bool | None = True, beat: float = NOW - 1) -> Observation:
    return Observation(True, True, database, owns, beat)


B, A = Action.BEAT, Action
TABLE: dict[str, tuple[State, Observation, tuple[Action, ...], str]] = {
    # what is seen: (state, observation, actions, a word of the sentence)
    "no disk": (MAIN, replace(HEALTHY, mounted=False), (), "not mounted"),
    "no disk on the backup": (BACKUP, replace(HEALTHY, mounted=False), (), "not mounted"),
    "mariadbd off": (MAIN, replace(HEALTHY, running=False), (A.START,), "starting it as main"),
    "mariadbd off on the backup": (BACKUP, replace(HEALTHY, running=False), (A.START,), "starting it as backup"),
    "no answer": (MAIN, seen(None), (), "does not answer"),
    "no answer on the backup": (BACKUP, seen(None), (), "does not answer"),
    "main, just started": (
        NEW_MAIN,
        seen(replace(WRITABLE, read_only=True)),
        (A.ALLOW_WRITES, A.PREPARE),
        "schema",
    ),
    "main, its agent restarted": (State("main"), seen(IN_SYNC), (A.RELOAD_TLS, A.PREPARE), "schema"),
    "main, its agent restarted while commits wait": (
        State("main"),
        seen(IN_SYNC, beat=NOW - ALONE_AFTER - 0.1),
        (A.RELOAD_TLS, A.GO_ON_ALONE, A.PREPARE),
        "alone",
    ),
    "main, in sync": (MAIN, seen(IN_SYNC), (B,), "acknowledges every commit"),
    "main, read-only": (MAIN, seen(replace(IN_SYNC, read_only=True)), (A.ALLOW_WRITES, B), "main"),
    "main, alone": (MAIN, seen(WRITABLE), (B,), "alone"),
    "main, the backup arrives": (
        MAIN,
        seen(replace(WRITABLE, semi_sync_clients=1)),
        (A.WAIT_FOR_BACKUP, B),
        "no commit without it",
    ),
    "main, quiet for as long as is bearable": (MAIN, seen(IN_SYNC, beat=NOW - ALONE_AFTER), (B,), "acknowledges"),
    "main, quiet for too long": (MAIN, seen(IN_SYNC, beat=NOW - ALONE_AFTER - 0.1), (A.GO_ON_ALONE, B), "alone"),
    "main, nobody has the address": (MAIN, seen(IN_SYNC, owns=False), (A.TAKE_ADDRESS, B), "nobody has the address"),
    "main, owner unknown": (MAIN, seen(IN_SYNC, owns=None), (B,), "acknowledges"),
    "main, read-only and without address": (
        MAIN,
        seen(replace(WRITABLE, read_only=True), owns=False),
        (A.ALLOW_WRITES, A.TAKE_ADDRESS, B),
        "taking it",
    ),
    "backup, its agent restarted": (State("backup"), seen(REPLICATING), (A.RELOAD_TLS,), "replicating"),
    "backup, just started": (NEW_BACKUP, seen(replace(WRITABLE, read_only=True)), (A.FOLLOW,), "following"),
    "backup, replicating": (BACKUP, seen(REPLICATING), (), "replicating"),
    "backup, no replica": (BACKUP, seen(replace(REPLICATING, replica=None)), (), "not replicating"),
    "backup, SQL thread stopped": (
        BACKUP,
        seen(replace(REPLICATING, replica=Replica(True, False, "Error 1236 diverged"))),
        (),
        "Error 1236 diverged",
    ),
    "backup, IO thread stopped": (
        BACKUP,
        seen(replace(REPLICATING, replica=Replica(False, True, ""))),
        (),
        "threads are not running",
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_each_state_has_its_actions_in_their_order_and_a_sentence_that_says_why(name: str) -> None:
    state, observation, actions, words = TABLE[name]
    decision = decide(state, observation, NOW)
    assert decision.actions == actions
    assert words in decision.sentence


def test_a_mariadbd_that_stopped_is_prepared_and_followed_anew() -> None:
    for state in (MAIN, BACKUP):
        after = decide(state, replace(HEALTHY, running=False), NOW).state
        assert (after.tls_reloaded, after.prepared, after.followed) == (False, False, False)


def test_preparing_and_following_are_done_once() -> None:
    prepared = decide(State("main"), seen(WRITABLE), NOW).state
    assert Action.PREPARE not in decide(prepared, seen(WRITABLE), NOW).actions
    stopped = seen(replace(REPLICATING, replica=None))
    followed = decide(State("backup"), stopped, NOW).state
    assert Action.FOLLOW not in decide(followed, stopped, NOW).actions


replicas = st.none() | st.builds(Replica, st.booleans(), st.booleans(), st.sampled_from(["", "Error 1236"]))
statuses = st.none() | st.builds(Status, st.booleans(), st.booleans(), st.integers(0, 2), replicas)
observations = st.builds(
    Observation,
    st.booleans(),
    st.booleans(),
    statuses,
    st.sampled_from([None, False, True]),
    st.floats(NOW - 100, NOW),
)
ONLY_MAIN = {A.PREPARE, A.ALLOW_WRITES, A.WAIT_FOR_BACKUP, A.GO_ON_ALONE, A.BEAT, A.TAKE_ADDRESS}


@given(observations, st.booleans())
def test_a_backup_never_writes_and_never_takes_the_address(observation: Observation, following: bool) -> None:
    assert not ONLY_MAIN & set(decide(State("backup", followed=following), observation, NOW).actions)


@given(observations, st.booleans())
def test_a_main_never_follows(observation: Observation, prepared: bool) -> None:
    assert Action.FOLLOW not in decide(State("main", prepared=prepared), observation, NOW).actions


@given(observations, st.sampled_from(["main", "backup"]), st.booleans(), st.booleans())
def test_nothing_is_done_without_a_disk_and_to_a_mariadbd_that_does_not_answer(
    observation: Observation, role: str, prepared: bool, following: bool
) -> None:
    state = State("main" if role == "main" else "backup", True, prepared, following)
    decision = decide(state, observation, NOW)
    assert decision.sentence
    assert decision.state.role == role
    if not observation.mounted or (observation.running and observation.database is None):
        assert decision.actions == ()
    if not observation.running:
        assert set(decision.actions) <= {Action.START}


@given(observations)
def test_the_address_is_taken_only_when_nobody_has_it_and_after_writes_are_allowed(observation: Observation) -> None:
    actions = decide(MAIN, observation, NOW).actions
    if Action.TAKE_ADDRESS in actions:
        assert observation.owns_address is False
        assert observation.database is not None
        allowed = Action.ALLOW_WRITES in actions[: actions.index(Action.TAKE_ADDRESS)]
        assert allowed or not observation.database.read_only
