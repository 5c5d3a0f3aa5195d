"""What decisions are made from and what they are made of: plain values, no effects.

Times are seconds of CLOCK_BOOTTIME of this host, which goes on while a machine sleeps; they are never compared
between hosts.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum, auto
from typing import Any

from failover.mariadb import Replica, Status
from failover.record import Mode, Record, View

SELF_FENCE = 0.7
"""Share of `takeover_after` after which a holder that could not renew fences itself."""

FRESH = 3.0
"""Seconds for which a report of the other member, a look or a sign of life counts."""


@dataclass(frozen=True)
class Me:
    """This member as configured. `takeover_after` and `hold_down` in seconds."""

    name: str
    peer: str
    peer_ip: str
    main: bool
    takeover_after: float = 10.0
    hold_down: float = 300.0

    @property
    def self_fence_after(self) -> float:
        return SELF_FENCE * self.takeover_after


@dataclass(frozen=True)
class Report:
    """What a member tells the other, once a second and when asked."""

    name: str
    installed: bool
    database: Status | None
    fit: bool
    leaving: bool
    free_bytes: int
    used_bytes: int
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Report:
        """Raises TypeError and KeyError when it is not a report."""
        database = raw["database"]
        if database is not None:
            replica = database["replica"]
            foreign = tuple(database["foreign_tables"])
            replica = None if replica is None else Replica(**replica)
            database = Status(**{**database, "foreign_tables": foreign, "replica": replica})
        return cls(**{**raw, "database": database})


class Wish(Enum):
    """What a person asked of this member."""

    SWITCHOVER = auto()
    RELEASE = auto()
    FAILBACK = auto()
    REJOIN = auto()
    TAKEOVER = auto()
    INIT = auto()
    PAUSE = auto()
    RESUME = auto()


@dataclass(frozen=True)
class Seen:
    """What this member knows when it decides. None: not known, or not seen in time.

    aside                      there are no data here because they were moved aside to be filled again
    view, view_at, doubt       the record at the last successful read, when that was sent, and whether a change was
                               asked for since whose outcome is not known
    changed_at                 when `alive` was last seen to change, or when this member began to look
    lease_from, promise_from   when the last renewal was sent that succeeded; when the last promise was asked for
    promised_until             this member has promised not to bid before
    instance, starting         the running mariadbd, and whether it is still starting
    answered_at, beat_at       when it last answered; when a sign of life was last committed by this instance, or when
                               the first was begun
    peer_at                    when the report was asked for
    has_address, has_some      this host has every address that moves with the database; it has one of them
    rejecting, forwarding      new clients are reset; clients are sent on to the new holder
    routed                     who has the address at the cloud: a member's name, "" for nobody
    """

    mounted: bool = True
    installed: bool = True
    aside: bool = False
    view: View | None = None
    view_at: float = 0.0
    doubt: bool = False
    changed_at: float = 0.0
    lease_from: float | None = None
    promise_from: float | None = None
    promised_until: float = 0.0
    instance: str | None = None
    starting: bool = False
    failed_starts: int = 0
    database: Status | None = None
    answered_at: float = 0.0
    beat_at: float | None = None
    peer: Report | None = None
    peer_at: float = -1e9
    has_address: bool = False
    has_some: bool = False
    routed: str | None = None
    fenced: bool = False
    rejecting: bool = False
    forwarding: bool = False
    prepared: bool = False
    reseeding: bool = False
    free_bytes: int = 1 << 40
    used_bytes: int = 0
    wish: Wish | None = None
    powered_off: bool = False
    wall: float = 0.0

    @property
    def record(self) -> Record | None:
        return self.view.record if self.view else None

    def is_fresh(self, now: float) -> bool:
        """The record was read a moment ago and nothing was asked of it since."""
        return self.view is not None and not self.doubt and now - self.view_at < FRESH

    def peer_now(self, now: float) -> Report | None:
        """The other member's report, if it is fresh."""
        return self.peer if now - self.peer_at < FRESH else None


@dataclass(frozen=True)
class Leaving:
    """A planned move under way: since when, whether the database was closed for it, and why."""

    began: float
    why: str
    closed_at: float | None = None


@dataclass(frozen=True)
class State:
    """What a member remembers from one decision to the next; kept over a restart of the agent, not of the host.

    fit             the mariadbd that has received and kept everything acknowledged since it was connected in SYNC
    joined          the mariadbd that acknowledges to the holder, and since when
    fenced_at       when this holder fenced itself; it lets the other bid first
    waiting_from    SINGLE: commits wait for the backup since, and the position that the backup has to reach
    alone_since     when commits had to be released because the backup did not acknowledge
    stay_until      no planned move and no joining before
    left_at         when a person or `up` asked this host to prepare for a change
    bid_at          when a takeover was begun: the receiving thread stays stopped until it is known who won
    """

    fit: str | None = None
    joined: tuple[str, float] | None = None
    fenced_at: float | None = None
    waiting_from: tuple[float, str] | None = None
    alone_since: float = -1e9
    bid_at: float | None = None
    leaving: Leaving | None = None
    stay_until: float = -1e9
    left_at: float = -1e9


class Do(Enum):
    """Effects without a value, in the order in which the agent can be asked for them."""

    START_MASTER = auto()
    START_SLAVE = auto()
    FENCE = auto()
    UNFENCE = auto()
    RENEW = auto()
    ASK_PROMISE = auto()
    WAIT_FOR_BACKUP = auto()
    GO_ON_ALONE = auto()
    KICK_STRANGERS = auto()
    STOP_RECEIVING = auto()
    START_RECEIVING = auto()
    STOP_FOLLOWING = auto()
    FOLLOW = auto()
    STAMP = auto()
    OPEN = auto()
    PREPARE = auto()
    BEAT = auto()
    STOP_BEAT = auto()
    REJECT = auto()
    CLOSE = auto()
    FORWARD = auto()
    TAKE_ADDRESS = auto()
    DROP_ADDRESS = auto()
    RESEED = auto()
    POWER_OFF_PEER = auto()
    WISH_DONE = auto()


@dataclass(frozen=True)
class Swap:
    """Change the record by compare-and-set; with `alive` only if the holder has not renewed meanwhile either."""

    record: Record
    alive: bool = False


Action = Do | Swap


@dataclass(frozen=True)
class Decision:
    """The state to go on with, the actions in their order, and a sentence that says what and why.

    `soon`: look again at once, not in a second. `alarm`: a person should know.
    """

    state: State
    actions: tuple[Action, ...]
    sentence: str
    soon: bool = False
    alarm: bool = False


def lease_until(me: Me, seen: Seen) -> float:
    """When this holder has to be fenced in SYNC unless it renews or gets another promise."""
    last = max(seen.lease_from or -1e9, seen.promise_from or -1e9)
    return last + me.self_fence_after


def needs_lease(seen: Seen) -> bool:
    """In SYNC the other may take over; so may it if a change to SYNC was asked for whose outcome is not known."""
    return seen.record is not None and (seen.record.mode is Mode.SYNC or seen.doubt)


def fence_at(me: Me, seen: Seen) -> float | None:
    """When this member fences itself if nothing changes; None: it need not."""
    record = seen.record
    if record is None or record.holder != me.name or seen.instance is None or not needs_lease(seen):
        return None
    return lease_until(me, seen)


def enough_disk(free: int, used: int) -> bool:
    """A member may take over if it has room for a tenth of what the other holds, and at least 100 MB."""
    return free >= max(100 << 20, used // 10)
