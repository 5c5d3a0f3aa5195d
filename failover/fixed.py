"""A database without a quorum: it stays in its configured role, and only a person moves it.

For a database that is alone, and for a pair without a witness. The main writes and has the addresses, the backup
follows; commits wait for the backup while it is there.
"""

from __future__ import annotations

from dataclasses import replace

from failover.facts import FRESH, Decision, Do, Me, Seen, State
from failover.mariadb import Status


def decide_fixed(me: Me, state: State, seen: Seen, now: float) -> Decision:
    """The next step of a member whose role is fixed."""
    if not seen.mounted:
        return Decision(state, (), "the data disk is not mounted: mariadbd stays off", alarm=True)
    if seen.instance is None:
        start = Do.START_MASTER if me.main else Do.START_SLAVE
        return Decision(State(), (start,), f"mariadbd is not running: starting it as {'main' if me.main else 'backup'}")
    if seen.database is None:
        return Decision(state, (), "mariadbd is starting" if seen.starting else "mariadbd runs and does not answer")
    return _main(me, state, seen, seen.database, now) if me.main else _backup(state, seen.database)


def _main(me: Me, state: State, seen: Seen, database: Status, now: float) -> Decision:
    """Commits that wait for a dead backup are released before anything else that commits."""
    actions: list[Do] = [Do.OPEN] if database.read_only else []
    silence = now - (now if seen.beat_at is None else seen.beat_at)
    sentence = f"main: {me.peer} has every write" if database.semi_sync_on else "main: alone"
    if database.semi_sync_on and silence > FRESH:
        state = replace(state, alone_since=now)
        actions.append(Do.GO_ON_ALONE)
        sentence = f"main: {me.peer} acknowledged nothing for {silence:.0f} s, going on alone"
    elif not database.semi_sync_on and database.semi_sync_clients:
        actions.append(Do.WAIT_FOR_BACKUP)
    if not seen.prepared:
        actions.append(Do.PREPARE)
    if not (seen.has_address and seen.routed == me.name):
        actions.append(Do.TAKE_ADDRESS)
    return Decision(state, (*actions, Do.BEAT), sentence)


def _backup(state: State, database: Status) -> Decision:
    """Threads that run are left alone: a restart of both purges what was received and not yet applied."""
    replica = database.replica
    if replica is not None and replica.io_running and replica.sql_running:
        return Decision(state, (), "backup: following")
    if replica is None or not replica.sql_running:
        return Decision(state, (Do.FOLLOW,), "backup: beginning to follow")
    if replica.io_stopped:
        return Decision(state, (Do.START_RECEIVING,), "backup: receiving again")
    return Decision(state, (), f"backup: not receiving: {replica.error or 'connecting'}", alarm=True)
