"""What a member of a database pair does next: a pure function of what it is, what it sees and what time it is.

The protocol and why it is safe: invariants I1 (at most one database acknowledges writes), I2 (no write that was
acknowledged in SYNC is lost), I3 (nobody writes without the current epoch). Nothing here has an effect; the agent
carries actions out in their order and drops the rest, and the new state, when one does not work.
"""

from __future__ import annotations

from dataclasses import replace

from failover.facts import Decision, Do, Me, Report, Seen, State, Swap, Wish
from failover.follower import follow
from failover.holder import hold
from failover.record import Mode, Record


def decide(me: Me, state: State, seen: Seen, now: float) -> Decision:
    """The next step of one member."""
    if not seen.mounted:
        return Decision(state, (), "the data disk is not mounted: mariadbd stays off", alarm=True)
    if seen.view is None:
        return _without_a_record(state, seen)
    if seen.record is None:
        return _birth(me, state, seen, now)
    if seen.database and seen.database.cluster not in (None, seen.record.cluster):
        return _foreign(state, seen, seen.record)
    paused = _pause(state, seen, seen.record)
    if paused:
        return paused
    if seen.record.holder == me.name:
        return hold(me, state, seen, seen.record, now)
    return follow(me, state, seen, seen.record, now)


def _without_a_record(state: State, seen: Seen) -> Decision:
    if seen.database and not seen.database.read_only:
        return Decision(state, (Do.FENCE,), "writable, and the record was never read since this host booted: fencing")
    return Decision(state, (), "the record was not read since this host booted: waiting for the quorum", alarm=True)


def _pause(state: State, seen: Seen, record: Record) -> Decision | None:
    wanted = {Wish.PAUSE: True, Wish.RESUME: False}.get(seen.wish) if seen.wish else None
    if wanted is None:
        return None
    if record.paused == wanted:
        return Decision(state, (Do.WISH_DONE,), "paused" if wanted else "resumed", soon=True)
    return Decision(
        state, (Swap(replace(record, paused=wanted)), Do.WISH_DONE), "as asked: no move by itself", soon=True
    )


def _foreign(state: State, seen: Seen, record: Record) -> Decision:
    cluster = seen.database.cluster if seen.database else None
    sentence = f"this database belongs to cluster {cluster}, the record to {record.cluster}: it stays apart"
    if seen.wish is Wish.REJOIN and not seen.reseeding:
        return Decision(state, (Do.RESEED, Do.WISH_DONE), f"{sentence}; as asked, it is moved aside and filled again")
    writable = seen.database is not None and not seen.database.read_only
    return Decision(state, (Do.FENCE,) if writable else (), sentence, alarm=True)


def _birth(me: Me, state: State, seen: Seen, now: float) -> Decision:
    """The first record: by itself only if neither database carries a cluster id."""
    if seen.database and not seen.database.read_only:
        return Decision(state, (Do.FENCE,), "writable, and there is no record: fencing")
    if seen.installed and seen.instance is None:
        return Decision(state, (Do.START_SLAVE,), "there is no record: starting read-only, to see whose data this is")
    if seen.installed and seen.database is None:
        return Decision(state, (), "there is no record: waiting for mariadbd to say whose data this is")
    cluster = seen.database.cluster if seen.database else None
    if seen.wish is Wish.INIT:
        return _init(me, state, seen, cluster)
    why_not = _why_no_birth(me, cluster, seen.peer_now(now))
    if why_not:
        return Decision(state, (), f"there is no record: {why_not}", alarm=True)
    record = Record("", 1, me.name, Mode.SINGLE, since=seen.wall)
    return Decision(state, (Swap(record),), "a new pair: writing the first record", soon=True)


def _why_no_birth(me: Me, cluster: str | None, peer: Report | None) -> str | None:
    if cluster is not None:
        return f"the database carries cluster {cluster}: `pair init --primary` on the member with the right data"
    if not me.main:
        return f"{me.peer} writes the first"
    if peer is None or (peer.installed and peer.database is None):
        return f"waiting for {me.peer}, whose database may be older"
    if peer.database and peer.database.cluster is not None:
        return f"{me.peer} carries a cluster: `pair init --primary` there"
    return None


def _init(me: Me, state: State, seen: Seen, cluster: str | None) -> Decision:
    known = [status.epoch for status in (seen.database, seen.peer.database if seen.peer else None) if status]
    record = Record(cluster or "", max([0, *known]) + 1, me.name, Mode.SINGLE, since=seen.wall)
    return Decision(state, (Swap(record), Do.WISH_DONE), "as asked: this database is the primary", soon=True)
