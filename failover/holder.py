"""What the member does that the record names as holder: open, renew, keep the backup in step, hand over."""

from __future__ import annotations

from dataclasses import replace

from failover.facts import (
    FRESH,
    Decision,
    Do,
    Leaving,
    Me,
    Report,
    Seen,
    State,
    Swap,
    Wish,
    enough_disk,
    lease_until,
    needs_lease,
)
from failover.follower import BROKEN_STARTS, HOUR
from failover.mariadb import Status, gtid_covers
from failover.record import Mode, Record

NOT_SEEN_WAITING = (-1e9, "")
"""Commits were told to wait for the backup; from when on they do is known once that is seen."""

ALONE_AFTER = 3.0
"""Seconds without an acknowledged commit after which the holder gives SYNC up."""

TRY_SYNC_AGAIN = 10.0
"""Seconds after commits had to be released because the backup did not acknowledge."""

CLOSE_WITHIN = 5.0
"""Seconds for every step of a planned move; then it is called off."""

LET_BID = 0.6
"""Share of `takeover_after` in which a holder that fenced itself lets the other bid: a hang may come again here."""

STAY = 60.0
"""Seconds after a planned move that was called off in which none is tried again."""

MOST_TAKEOVERS = 3
"""Unplanned takeovers in an hour after which the return is a person's."""


def hold(me: Me, state: State, seen: Seen, record: Record, now: float) -> Decision:
    """The next step of the record's holder."""
    state = replace(state, fit=None, joined=None, bid_at=None)
    if needs_lease(seen) and seen.instance is not None and now >= lease_until(me, seen):
        why = f"could not renew for {me.self_fence_after:.1f} s and {me.peer} promised nothing: fencing"
        return Decision(replace(state, fenced_at=now, leaving=None), (Do.FENCE,), why, alarm=True)
    if record.released:
        return _released(me, state, seen, record, now)
    if seen.instance is None:
        return _off(me, state, seen, record, now)
    if seen.database is None:
        return _silent(me, state, seen, now)
    if not seen.database.read_only:
        return _open(me, state, seen, seen.database, record, now)
    if state.leaving:
        return _leaving(me, state, seen, seen.database, record, state.leaving, now)
    return _opening(me, state, seen, seen.database, record, now)


def _off(me: Me, state: State, seen: Seen, record: Record, now: float) -> Decision:
    """mariadbd is dead. In the role of a master it starts only under a lease of the same epoch (fact 2)."""
    state = replace(state, leaving=None)
    if not needs_lease(seen):
        if seen.failed_starts >= BROKEN_STARTS:
            why = f"mariadbd failed to start {seen.failed_starts} times and {me.peer} has not every write: trying again"
            return Decision(state, (Do.START_MASTER,), why, alarm=True)
        return Decision(state, (Do.START_MASTER,), "starting mariadbd as holder, alone")
    if state.fenced_at is not None and now < state.fenced_at + LET_BID * me.takeover_after:
        return Decision(state, (), f"fenced: {me.peer} may take over first", alarm=True)
    if seen.failed_starts >= BROKEN_STARTS and _peer_can(seen, now):
        why = f"mariadbd failed to start {seen.failed_starts} times: asking {me.peer} to take over"
        return Decision(state, (Swap(replace(record, released=True)),), why, alarm=True)
    if seen.lease_from is None or now - seen.lease_from > 0.3 * me.takeover_after:
        return Decision(state, (Do.RENEW,), "mariadbd is not running: renewing before it is started")
    return Decision(replace(state, fenced_at=None), (Do.START_MASTER,), f"starting mariadbd in epoch {record.epoch}")


def _peer_can(seen: Seen, now: float) -> bool:
    peer = seen.peer_now(now)
    return peer is not None and peer.fit


def _released(me: Me, state: State, seen: Seen, record: Record, now: float) -> Decision:
    """Given up for the other to take; taken back when the other cannot."""
    if seen.instance is not None:
        return Decision(state, (Do.FENCE,), f"given up to {me.peer}: mariadbd stays off", alarm=True)
    unknown = seen.peer_now(now) is None and now - seen.peer_at < 2 * me.takeover_after
    if _peer_can(seen, now) or unknown:
        return Decision(state, (), f"given up: waiting for {me.peer} to take over", alarm=True)
    back = replace(record, released=False)
    return Decision(state, (Swap(back),), f"{me.peer} cannot take over: trying here again", alarm=True)


def _silent(me: Me, state: State, seen: Seen, now: float) -> Decision:
    """No answer. Under a lease its end fences; without one the same patience applies, but not to a recovery."""
    silence = now - seen.answered_at
    if seen.starting:
        return Decision(state, (), "mariadbd is starting")
    if not needs_lease(seen) and silence >= me.self_fence_after:
        return Decision(state, (Do.FENCE,), f"mariadbd has not answered for {silence:.0f} s: killing it", alarm=True)
    return Decision(state, (), "mariadbd runs and does not answer", alarm=True)


def _opening(me: Me, state: State, seen: Seen, database: Status, record: Record, now: float) -> Decision:
    """From a closed database to a writable one, with everything in it that was acknowledged."""
    if needs_lease(seen) and seen.lease_from is None:
        return Decision(state, (Do.RENEW,), "holder, closed: renewing first")
    replica = database.replica
    if replica is not None and not replica.io_stopped:
        return Decision(state, (Do.RENEW, Do.STOP_RECEIVING), "taking over: no longer receiving", soon=True)
    if not gtid_covers(database.applied_gtid, record.gtid):
        if replica is not None and replica.sql_running:
            return Decision(
                state, (Do.RENEW,), f"taking over: applying what was received, up to {record.gtid}", soon=True
            )
        return _incomplete(me, state, seen, database, record, now)
    actions: list[Do] = [Do.RENEW]
    if replica is not None:
        actions.append(Do.STOP_FOLLOWING)
    if record.mode is Mode.SYNC:
        actions += [Do.WAIT_FOR_BACKUP]
    else:
        actions += [Do.GO_ON_ALONE] if database.semi_sync_on else []
        actions += [Do.STAMP]
    state = replace(state, waiting_from=None)
    return Decision(
        state, (*actions, Do.UNFENCE, Do.OPEN, Do.BEAT, Do.TAKE_ADDRESS), f"opening in epoch {record.epoch}", soon=True
    )


def _incomplete(me: Me, state: State, seen: Seen, database: Status, record: Record, now: float) -> Decision:
    """What was received was lost in a restart before it was applied. The other one may have it all."""
    sentence = f"closed: writes up to {record.gtid} were acknowledged, here are only {database.applied_gtid}"
    peer = seen.peer_now(now)
    theirs = peer.database if peer else None
    if theirs and theirs.read_only and gtid_covers(theirs.applied_gtid, record.gtid) and seen.is_fresh(now):
        back = replace(record, epoch=record.epoch + 1, holder=me.peer, since=seen.wall)
        return Decision(state, (Swap(back),), f"{sentence}; {me.peer} has them: giving epoch {back.epoch} to it")
    return Decision(state, (Do.RENEW,), sentence, alarm=True)


def _open(me: Me, state: State, seen: Seen, database: Status, record: Record, now: float) -> Decision:
    """The usual second of a holder."""
    if state.leaving:
        return _closing(me, state, state.leaving, now)
    actions = _usual(me, seen, record, now)
    if not _is_healthy(seen, now):
        why = f"mariadbd answers and has committed nothing for {now - (seen.beat_at or now):.0f} s"
        decision = Decision(state, (), why, alarm=True)
    elif needs_lease(seen):
        decision = _in_sync(me, state, seen, database, record, now)
    else:
        decision = _single(me, state, seen, database, record, now)
    return replace(decision, actions=(*actions, *decision.actions))


def _usual(me: Me, seen: Seen, record: Record, now: float) -> tuple[Do, ...]:
    actions: list[Do] = []
    healthy = _is_healthy(seen, now)
    if healthy:
        actions.append(Do.RENEW)
    if healthy and needs_lease(seen) and now - (seen.lease_from or -1e9) > FRESH - 1.0:
        actions.append(Do.ASK_PROMISE)
    if seen.fenced or seen.rejecting or seen.forwarding:
        actions.append(Do.UNFENCE)
    if not (seen.has_address and seen.routed == me.name):
        actions.append(Do.TAKE_ADDRESS)
    if not seen.prepared:
        actions.append(Do.PREPARE)
    return (*actions, Do.BEAT)


def _is_healthy(seen: Seen, now: float) -> bool:
    """It commits, or it answers and only the backup's acknowledgement is missing."""
    committed = seen.beat_at is None or now - seen.beat_at < FRESH
    return committed or (seen.database is not None and seen.database.semi_sync_waiting > 0)


def _in_sync(me: Me, state: State, seen: Seen, database: Status, record: Record, now: float) -> Decision:
    silence = now - (now if seen.beat_at is None else seen.beat_at)
    peer = seen.peer_now(now)
    alone = replace(record, mode=Mode.SINGLE)
    if _has_stranger(database):
        actions = (Do.KICK_STRANGERS, Swap(alone))
        return Decision(state, actions, "somebody else than the backup acknowledges: no longer in SYNC", alarm=True)
    if peer and peer.leaving:
        return Decision(state, (Swap(alone),), f"{me.peer} is about to change: going on alone", soon=True)
    if database.semi_sync_waiting and silence > ALONE_AFTER:
        why = f"no commit was acknowledged by {me.peer} for {silence:.1f} s: going on alone"
        return Decision(state, (Swap(alone),), why, soon=True, alarm=True)
    semi_sync = () if database.semi_sync_on else (Do.WAIT_FOR_BACKUP,)
    move = _why_leave(me, seen, record, peer)
    if move and now >= state.stay_until:
        return _begin_to_leave(me, state, seen, peer, move, now)
    alarm = not seen.is_fresh(now)
    sentence = f"holder in SYNC, epoch {record.epoch}: {me.peer} has every write"
    return Decision(state, semi_sync, f"{sentence}; the quorum does not answer" if alarm else sentence, alarm=alarm)


def _has_stranger(database: Status) -> bool:
    """Somebody acknowledges who is not the backup: nobody may, for then the backup need not have what is written."""
    return database.semi_sync_clients > int(database.backup_connected)


def _single(me: Me, state: State, seen: Seen, database: Status, record: Record, now: float) -> Decision:
    """Alone. When the backup is back, first commits wait for it, and when it has everything the record says so."""
    if database.semi_sync_on:
        return _joining(me, state, seen, database, record, now)
    why_not = _why_not_sync(me, state, seen, database, seen.peer_now(now), now)
    if why_not:
        return Decision(state, (), f"holder alone, epoch {record.epoch}: {why_not}", alarm=True)
    state = replace(state, waiting_from=NOT_SEEN_WAITING)
    return Decision(state, (Do.WAIT_FOR_BACKUP,), f"{me.peer} is back: no commit without it from now on", soon=True)


def _why_not_sync(me: Me, state: State, seen: Seen, database: Status, peer: Report | None, now: float) -> str | None:
    if database.foreign_tables:
        return f"tables that are not InnoDB cannot be kept in step: {', '.join(database.foreign_tables)}"
    if _has_stranger(database):
        return "somebody else than the backup acknowledges"
    if now - state.alone_since < TRY_SYNC_AGAIN:
        return f"{me.peer} did not acknowledge a moment ago"
    return _why_peer_not_ready(me, peer)


def _why_peer_not_ready(me: Me, peer: Report | None) -> str | None:
    if peer is None:
        return f"{me.peer} does not answer"
    if peer.leaving:
        return f"{me.peer} is about to change"
    replica = peer.database.replica if peer.database else None
    if replica is None or not (replica.io_running and replica.sql_running):
        return f"{me.peer} does not replicate"
    if replica.delay is None or replica.delay > 1.0:
        return f"{me.peer} catches up"
    return None


def _joining(me: Me, state: State, seen: Seen, database: Status, record: Record, now: float) -> Decision:
    if state.waiting_from is None and not seen.doubt:
        return Decision(
            replace(state, alone_since=now), (Do.GO_ON_ALONE,), f"no longer waiting for {me.peer}", soon=True
        )
    if state.waiting_from in (None, NOT_SEEN_WAITING):
        state = replace(state, waiting_from=(now, database.binlog_gtid))
    began, gtid = state.waiting_from or NOT_SEEN_WAITING
    if _has_stranger(database):
        return Decision(state, (Do.KICK_STRANGERS,), "somebody else than the backup acknowledges: cut", alarm=True)
    last = max(began, seen.beat_at or -1e9)
    if now - last > ALONE_AFTER and not seen.doubt:
        state = replace(state, waiting_from=None, alone_since=now)
        return Decision(state, (Do.GO_ON_ALONE,), f"{me.peer} does not acknowledge: going on alone", alarm=True)
    acknowledged = seen.beat_at is not None and seen.beat_at > began and database.semi_sync_clients == 1
    peer = seen.peer_now(now)
    theirs = peer.database if peer else None
    has_all = theirs is not None and theirs.acknowledging and gtid_covers(theirs.applied_gtid, gtid)
    renewed = seen.is_fresh(now) and now - (seen.lease_from or -1e9) < FRESH
    if acknowledged and has_all and renewed:
        sync = replace(record, mode=Mode.SYNC, gtid="")
        return Decision(state, (Swap(sync),), f"{me.peer} has every write: SYNC", soon=True)
    return Decision(state, (), f"waiting until {me.peer} has every write up to {gtid}", soon=True)


def _why_leave(me: Me, seen: Seen, record: Record, peer: Report | None) -> str | None:
    """Why the database should move to the other member now, according to plan."""
    if seen.wish in (Wish.SWITCHOVER, Wish.RELEASE, Wish.FAILBACK):
        return "as asked"
    if me.main or record.paused or record.stay or peer is None or not peer.fit:
        return None
    recent = [at for at in record.takeovers if seen.wall - at < HOUR]
    if len(recent) >= MOST_TAKEOVERS:
        return None
    if seen.wall - record.since < me.hold_down * 2 ** max(0, len(recent) - 1):
        return None
    if not enough_disk(peer.free_bytes, seen.used_bytes):
        return None
    return f"{me.peer} is the main and is ready again"


def _begin_to_leave(me: Me, state: State, seen: Seen, peer: Report | None, why: str, now: float) -> Decision:
    if peer is None or not peer.fit:
        done = (Do.WISH_DONE,) if seen.wish else ()
        return Decision(state, done, f"not moving to {me.peer}: it is not able to take over now", alarm=True)
    return Decision(replace(state, leaving=Leaving(now, why)), (), f"moving to {me.peer}, {why}", soon=True)


def _closing(me: Me, state: State, leaving: Leaving, now: float) -> Decision:
    """New clients are reset, so that they come back at once; then nothing more is written."""
    if now - leaving.began > CLOSE_WITHIN:
        return _stay(me, state, now)
    return Decision(state, (Do.RENEW, Do.REJECT, Do.STOP_BEAT, Do.CLOSE), f"moving to {me.peer}: closing", soon=True)


def _stay(me: Me, state: State, now: float) -> Decision:
    state = replace(state, leaving=None, stay_until=now + STAY)
    actions = (Do.RENEW, Do.UNFENCE, Do.OPEN, Do.BEAT, Do.WISH_DONE)
    return Decision(state, actions, f"{me.peer} was not ready within {CLOSE_WITHIN:.0f} s: staying here", alarm=True)


def _leaving(
    me: Me, state: State, seen: Seen, database: Status, record: Record, leaving: Leaving, now: float
) -> Decision:
    """Closed. The other gets the record as soon as it has applied everything."""
    if leaving.closed_at is None:
        leaving = replace(leaving, closed_at=now)
        state = replace(state, leaving=leaving)
    theirs = seen.peer.database if seen.peer and seen.peer_at > (leaving.closed_at or now) else None
    everything = theirs is not None and gtid_covers(theirs.applied_gtid, database.binlog_gtid)
    if everything and not seen.doubt and record.mode is Mode.SYNC:
        stay = seen.wish is Wish.SWITCHOVER and me.main
        to = replace(
            record,
            epoch=record.epoch + 1,
            holder=me.peer,
            mode=Mode.SINGLE,
            gtid=database.binlog_gtid,
            stay=stay,
            since=seen.wall,
        )
        return Decision(
            state, (Swap(to), Do.WISH_DONE), f"{me.peer} has everything: handing epoch {to.epoch} over", soon=True
        )
    if now - leaving.began > CLOSE_WITHIN and not seen.doubt:
        return _stay(me, state, now)
    return Decision(state, (Do.RENEW,), f"closed: waiting until {me.peer} has everything", soon=True)
