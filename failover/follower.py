"""What the member does that does not hold the database: follow, stay able to take over, take over."""

from __future__ import annotations

from dataclasses import replace

from failover.facts import FRESH, Decision, Do, Me, Seen, State, Swap, Wish, enough_disk
from failover.mariadb import Replica, Status, gtid_covers
from failover.record import Mode, Record

HOUR = 3600.0
STOP_RECEIVING = 0.75
"""Share of `takeover_after`; more than facts.SELF_FENCE."""

BROKEN_STARTS = 2
"""Starts that fail one after the other before the data is moved aside and filled again."""

DIVERGED = {1032, 1062, 1236, 1950}
"""Errors of a replica whose past is not the holder's: row missing, row there already, position unknown to the holder,
GTID out of order (mariadb.com/kb, MariaDB Error Codes)."""


def follow(me: Me, state: State, seen: Seen, record: Record, now: float) -> Decision:
    """The next step of the member that is not the record's holder."""
    state = replace(state, leaving=None, waiting_from=None, fenced_at=None)
    if seen.database and not seen.database.read_only:
        return Decision(state, (Do.FENCE,), f"writable, but {record.holder} holds epoch {record.epoch}: fencing")
    if seen.reseeding:
        return Decision(state, (), f"being filled again from {record.holder}", alarm=True)
    if seen.wish is Wish.REJOIN:
        return Decision(_unfit(state), (Do.RESEED, Do.WISH_DONE), "as asked: filling this member again")
    if seen.wish is Wish.TAKEOVER:
        return _forced(me, state, seen, record, now)
    if seen.instance is None:
        return _off(state, seen, record, now)
    if seen.database is None:
        return Decision(state, _forward(seen, record), "mariadbd does not answer", alarm=not seen.starting)
    if seen.wish is Wish.RELEASE:
        return _release(state, seen, record, now)
    state = _fitness(state, seen, seen.database, record, now)
    return _takeover(me, state, seen, record, now) or _replicate(me, state, seen, seen.database, record, now)


def is_eligible(me: Me, state: State, seen: Seen, record: Record) -> str | None:
    """None if this member may take over by itself; else why not."""
    if record.mode is not Mode.SYNC:
        return f"{record.holder} wrote alone, writes may be missing here"
    if state.fit is None or state.fit != seen.instance:
        return "mariadbd was restarted or stopped to replicate since it was in SYNC: received writes may be gone"
    if seen.database is None or seen.database.replica is None or not seen.database.replica.sql_running:
        return "replication does not run here"
    if record.paused:
        return "the pair is paused"
    if seen.peer and not enough_disk(seen.free_bytes, seen.peer.used_bytes):
        return "there is too little disk here"
    return None


def _takeover(me: Me, state: State, seen: Seen, record: Record, now: float) -> Decision | None:
    """Nothing more is received before the bid, and well before: the stop itself may take two seconds.

    By then the holder has fenced itself, unless it lives by a promise.
    """
    silence = now - seen.changed_at
    due = silence >= STOP_RECEIVING * me.takeover_after or record.released
    if not due or not seen.is_fresh(now) or now < seen.promised_until:
        return None
    if is_eligible(me, state, seen, record) is not None:
        return None
    replica = seen.database.replica if seen.database else None
    if replica is None or not replica.io_stopped:
        state = replace(state, bid_at=now)
        sentence = f"no sign of {record.holder} for {silence:.1f} s: receiving nothing more"
        return Decision(state, (Do.STOP_RECEIVING,), sentence, soon=True)
    if silence < me.takeover_after and not record.released:
        return Decision(state, (), f"no sign of {record.holder}: taking over soon", soon=True)
    bid = replace(
        record,
        epoch=record.epoch + 1,
        holder=me.name,
        mode=Mode.SINGLE,
        gtid=replica.received_gtid,
        released=False,
        stay=False,
        since=seen.wall,
        takeovers=(*(at for at in record.takeovers if seen.wall - at < HOUR), seen.wall),
    )
    sentence = f"no sign of {record.holder} for {silence:.1f} s: taking over with epoch {bid.epoch}"
    return Decision(replace(state, bid_at=now), (Swap(bid, alive=True),), sentence, soon=True)


def _replicate(me: Me, state: State, seen: Seen, database: Status, record: Record, now: float) -> Decision:
    """Keeps replication going; threads that run are left alone, a restart of both purges what was received."""
    before: list[Do] = [*_forward(seen, record)]
    if database.semi_sync_on:
        before.append(Do.GO_ON_ALONE)
    replica = database.replica
    if replica is None or replica.master_ip != me.peer_ip:
        state = _unfit(state)
        return Decision(state, (*before, Do.FOLLOW), f"following {record.holder}", soon=True)
    if replica.error_number in DIVERGED:
        return _diverged(state, seen, record, replica, before, now)
    if not replica.sql_running:
        return Decision(_unfit(state), (*before, Do.FOLLOW), f"following {record.holder} again")
    if replica.io_stopped and _may_receive(state, seen, now):
        return Decision(replace(state, bid_at=None), (*before, Do.START_RECEIVING), f"receiving from {record.holder}")
    return _standing_by(me, state, seen, record, tuple(before), now)


def _standing_by(me: Me, state: State, seen: Seen, record: Record, actions: tuple[Do, ...], now: float) -> Decision:
    """A holder that is silent while this one may not take over needs a person."""
    why_not = is_eligible(me, state, seen, record)
    if why_not is None:
        return Decision(state, actions, f"following {record.holder}, able to take over")
    silence = now - seen.changed_at
    if seen.is_fresh(now) and silence >= me.takeover_after:
        sentence = f"no sign of {record.holder} for more than {me.takeover_after:.0f} s, not taking over: {why_not}"
        return Decision(state, actions, sentence, alarm=True)
    return Decision(state, actions, f"following {record.holder}, not able to take over: {why_not}")


def _may_receive(state: State, seen: Seen, now: float) -> bool:
    """After a bid only when the record has been read again: else a winner would go on acknowledging for the loser."""
    if now < state.stay_until:
        return False
    return not seen.doubt and (state.bid_at is None or seen.view_at > state.bid_at)


def _fitness(state: State, seen: Seen, database: Status, record: Record, now: float) -> State:
    """Able to take over from when everything is here that the holder had after this mariadbd joined.

    What was acknowledged before a restart and not applied is fetched again (fact 11), which takes its time.
    """
    replica = database.replica
    if record.mode is not Mode.SYNC or replica is None or not replica.sql_running:
        return _unfit(state)
    if state.fit == seen.instance:
        return state
    if not (replica.io_running and database.acknowledging):
        return replace(state, fit=None)
    if state.joined is None or state.joined[0] != seen.instance:
        return replace(state, fit=None, joined=(seen.instance or "", now))
    holder = seen.peer_now(now)
    asked_since = seen.peer_at > state.joined[1]
    if asked_since and holder and holder.database and gtid_covers(replica.received_gtid, holder.database.binlog_gtid):
        return replace(state, fit=seen.instance)
    return replace(state, fit=None)


def _unfit(state: State) -> State:
    return replace(state, fit=None, joined=None)


def _diverged(state: State, seen: Seen, record: Record, replica: Replica, before: list[Do], now: float) -> Decision:
    """This one's past is not the holder's; only a holder that has opened is known to have everything."""
    state = _unfit(state)
    sentence = f"not replicating ({replica.error_number}: {replica.error})"
    holder = seen.peer_now(now)
    if record.paused or not (holder and holder.database and not holder.database.read_only):
        why = "the pair is paused" if record.paused else f"{record.holder} is not open"
        return Decision(state, tuple(before), f"{sentence}; left as it is: {why}", alarm=True)
    return Decision(state, (*before, Do.RESEED), f"{sentence}: moving the data aside and filling it again", alarm=True)


def _off(state: State, seen: Seen, record: Record, now: float) -> Decision:
    state = _unfit(state)
    if seen.aside:
        return _refill(state, seen, record, now)
    if seen.failed_starts >= BROKEN_STARTS and not record.paused and seen.peer_now(now) is not None:
        why = f"mariadbd failed to start {seen.failed_starts} times: moving the data aside and filling it again"
        return Decision(state, (*_forward(seen, record), Do.RESEED), why, alarm=True)
    return Decision(state, (*_forward(seen, record), Do.START_SLAVE), f"starting mariadbd to follow {record.holder}")


def _refill(state: State, seen: Seen, record: Record, now: float) -> Decision:
    """Filling was interrupted. An empty database would follow, too, and never get what is no longer in binary logs."""
    if record.paused or seen.peer_now(now) is None:
        why = "the pair is paused" if record.paused else f"{record.holder} does not answer"
        return Decision(state, _forward(seen, record), f"the data were moved aside, filling waits: {why}", alarm=True)
    actions = (*_forward(seen, record), Do.RESEED)
    return Decision(state, actions, f"filling this member from {record.holder}", alarm=True)


def _forward(seen: Seen, record: Record) -> tuple[Do, ...]:
    """After a planned move the clients are sent on until the cloud's route has moved; then nothing is left here."""
    moved = seen.routed == record.holder
    actions: list[Do] = []
    if seen.rejecting and not moved and not seen.forwarding:
        actions.append(Do.FORWARD)
    if seen.has_some:
        actions.append(Do.DROP_ADDRESS)
    if moved and (seen.rejecting or seen.forwarding or seen.fenced):
        actions.append(Do.UNFENCE)
    return tuple(actions)


def _release(state: State, seen: Seen, record: Record, now: float) -> Decision:
    """This host is about to change. The holder is told, and goes on alone without waiting for it."""
    replica = seen.database.replica if seen.database else None
    receiving = replica is not None and not replica.io_stopped
    state = replace(state, left_at=now, stay_until=now + 60.0, fit=None)
    stop = (Do.STOP_RECEIVING,) if receiving and record.mode is Mode.SINGLE else ()
    if record.mode is Mode.SYNC:
        return Decision(state, (), f"about to change: {record.holder} goes on alone", soon=True)
    return Decision(state, (*stop, Do.WISH_DONE), f"about to change: {record.holder} serves alone")


def _forced(me: Me, state: State, seen: Seen, record: Record, now: float) -> Decision:
    """A person accepts that writes are lost. The holder has to be off for certain: it is not asked, it is cut."""
    silence = now - seen.changed_at
    if silence < FRESH:
        return Decision(state, (Do.WISH_DONE,), f"refused: {record.holder} is alive; use `pair switchover`")
    if not seen.installed:
        return Decision(state, (Do.WISH_DONE,), "refused: there are no data here", alarm=True)
    if seen.instance is None:
        return Decision(state, (Do.START_SLAVE,), "forced takeover: starting mariadbd first", soon=True)
    if not seen.powered_off:
        return Decision(state, (Do.POWER_OFF_PEER,), f"forced takeover: powering {record.holder} off first", soon=True)
    takeover = replace(
        record,
        epoch=record.epoch + 1,
        holder=me.name,
        mode=Mode.SINGLE,
        gtid="",
        released=False,
        stay=True,
        since=seen.wall,
    )
    return Decision(state, (Swap(takeover, alive=True), Do.WISH_DONE), "forced takeover, writes may be lost", soon=True)
