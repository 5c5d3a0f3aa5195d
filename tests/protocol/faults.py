"""What breaks, for how long, and how it heals. A fault that is over leaves nothing but what it did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from failover.facts import Wish
from tests.protocol.clients import HOST
from tests.protocol.cloud import API, Trouble
from tests.protocol.mariadb import Dump, Stranger
from tests.protocol.pair import Pair

Heal = Callable[[], None]
Link = tuple[str, str]

NODES = ("A", "B", "W")
MEMBERS = ("A", "B")
LAG = 0.4
SLOW_HANDS = 2.5


@dataclass(frozen=True)
class Fault:
    """`where`: a member, or the ends of a link; `seconds` until it heals."""

    kind: str
    where: str
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.kind} {self.where} {self.seconds:.2f}s"


def strike(pair: Pair, fault: Fault) -> None:
    """It happens now, and heals by itself after its seconds."""
    if pair.healed:
        return
    pair.world.say("fault", fault)
    heal = KINDS[fault.kind](pair, fault.where)
    if heal is not None:
        pair.world.after(fault.seconds, lambda: _heal(pair, fault, heal))


def _heal(pair: Pair, fault: Fault, heal: Heal) -> None:
    if not pair.healed:
        pair.world.say("fault", fault.kind, fault.where, "is over")
        heal()


def _kill_database(pair: Pair, where: str) -> None:
    if pair.hosts[where].runs:
        pair.databases[where].kill("crash")


def _hang_database(pair: Pair, where: str) -> Heal | None:
    process = pair.databases[where].process
    if process is None:
        return None
    process.paused = True
    return process.resume


def _power(pair: Pair, where: str) -> Heal:
    pair.power_off(where)
    return lambda: pair.power_on(where)


def _reboot(pair: Pair, where: str) -> Heal:
    """Orderly: SIGTERM commits what waits, and tells nobody (fact 4)."""
    database = pair.databases[where]
    if database.answers:
        database.shut_down()
    return _power(pair, where)


def _freeze(clock_stops: bool) -> Callable[[Pair, str], Heal]:
    def freeze(pair: Pair, where: str) -> Heal:
        host = pair.hosts[where]
        if host.runs:
            host.freeze(clock_stops)
        return host.thaw

    return freeze


def _pause_agent(pair: Pair, where: str) -> Heal | None:
    run = pair.members[where].run
    if run is None:
        return None
    run.process.paused = True
    return run.process.resume


def _kill_agent(pair: Pair, where: str) -> Heal:
    pair.members[where].kill_agent()
    return pair.members[where].start_agent


def _counted(counter: str) -> Callable[[Pair, str], Heal]:
    """A property of a link "A>B" one way, "A-B" both ways, or of all links of a node."""

    def begin(pair: Pair, where: str) -> Heal:
        links = _links(where)
        counts = getattr(pair.network, counter)
        for link in links:
            counts[link] += 1

        def heal() -> None:
            for link in links:
                counts[link] -= 1

        return heal

    return begin


def _links(where: str) -> list[Link]:
    if ">" in where:
        one, other = where.split(">")
        return [(one, other)]
    if "-" in where:
        one, other = where.split("-")
        return [(one, other), (other, one)]
    others = [name for name in (*NODES, HOST, API) if name != where]
    return [link for other in others for link in ((where, other), (other, where))]


def _stop_etcd(pair: Pair, where: str) -> Heal:
    pair.quorum.stopped.update(where)
    return lambda: pair.quorum.stopped.difference_update(where)


def _api(trouble: Trouble) -> Callable[[Pair, str], Heal]:
    def begin(pair: Pair, where: str) -> Heal:
        pair.cloud.trouble = trouble

        def heal() -> None:
            pair.cloud.trouble = ""

        return heal

    return begin


def _disk_full(pair: Pair, where: str) -> Heal:
    database = pair.databases[where]
    database.full = True

    def heal() -> None:
        database.full = False

    return heal


def _lag(pair: Pair, where: str) -> Heal:
    database = pair.databases[where]
    before, database.apply_delay = 0.001, LAG

    def heal() -> None:
        database.apply_delay = before

    return heal


def _slow_hands(pair: Pair, where: str) -> Heal:
    member = pair.members[where]
    member.slow_hands = SLOW_HANDS

    def heal() -> None:
        member.slow_hands = 0.0

    return heal


def _stranger(pair: Pair, where: str) -> Heal:
    """A server on the third host replicates from this one and acknowledges; cut off, it comes back."""
    stranger = Stranger(pair.network, "W")
    goes_on = [True]

    def connect() -> None:
        database = pair.databases[where]
        here = [dump for dump in database.dumps if dump.replica is stranger]
        if pair.healed:
            heal()
        others = any(dump.semi_sync for dump in database.dumps)
        if goes_on[0] and database.answers and others and not here:
            served = database.serve(stranger, database.disk.last(), semi_sync=True)
            if isinstance(served, Dump):
                pair.invariants.stranger_since = pair.world.now
        if goes_on[0]:
            pair.world.after(4.0, connect)

    def heal() -> None:
        goes_on[0] = False
        pair.invariants.stranger_since = None
        for dump in [dump for dump in pair.databases[where].dumps if dump.replica is stranger]:
            pair.databases[where].forget(dump)

    connect()
    return heal


def _wish(wish: Wish) -> Callable[[Pair, str], None]:
    def ask(pair: Pair, where: str) -> None:
        record = pair.quorum.record
        if wish is Wish.REJOIN and record and record.holder == where:
            return
        pair.members[where].ask(wish)

    return ask


def _release(pair: Pair, where: str) -> None:
    """As `up` does: away from this host, then the other alone; `people.py`."""
    member = pair.members[where]
    until = pair.world.now + 30.0

    def look() -> None:
        record = pair.quorum.record
        if record is None or pair.world.now > until:
            return
        if record.holder == where:
            if member.run and member.run.asked is None:
                member.ask(Wish.RELEASE)
            pair.world.after(0.2, look)
        elif member.peer.database.answers and not member.peer.database.read_only:
            member.ask(Wish.RELEASE)
        else:
            pair.world.after(0.2, look)

    look()


KINDS: dict[str, Callable[[Pair, str], Heal | None]] = {
    "kill_database": _kill_database,
    "hang_database": _hang_database,
    "power": _power,
    "reboot": _reboot,
    "freeze": _freeze(clock_stops=False),
    "freeze_clock": _freeze(clock_stops=True),
    "pause_agent": _pause_agent,
    "kill_agent": _kill_agent,
    "cut": _counted("cuts"),
    "slow": _counted("slow"),
    "lossy": _counted("lossy"),
    "stop_etcd": _stop_etcd,
    "api_down": _api("down"),
    "api_slow": _api("slow"),
    "api_lost": _api("lost"),
    "disk_full": _disk_full,
    "lag": _lag,
    "slow_hands": _slow_hands,
    "stranger": _stranger,
    "switchover": _wish(Wish.SWITCHOVER),
    "failback": _wish(Wish.FAILBACK),
    "rejoin": _wish(Wish.REJOIN),
    "takeover": _wish(Wish.TAKEOVER),
    "pause": _wish(Wish.PAUSE),
    "resume": _wish(Wish.RESUME),
    "release": _release,
}

LINKS = ("A-B", "A>B", "B>A", "A-W", "A>W", "B-W", "W>B")
ISOLATED = ("A", "B", "W")
WHERE: dict[str, tuple[str, ...]] = {
    "kill_database": MEMBERS,
    "hang_database": MEMBERS,
    "power": NODES,
    "reboot": NODES[:2],
    "freeze": NODES,
    "freeze_clock": MEMBERS,
    "pause_agent": MEMBERS,
    "kill_agent": MEMBERS,
    "cut": (*LINKS, *ISOLATED, *ISOLATED, "C-A", "A-api"),
    "slow": LINKS[:4],
    "lossy": (*LINKS[:4], "A", "B"),
    "stop_etcd": ("A", "W", "AW", "AB", "BW", "ABW"),
    "api_down": (API,),
    "api_slow": (API,),
    "api_lost": (API,),
    "disk_full": MEMBERS,
    "lag": MEMBERS,
    "slow_hands": MEMBERS,
    "stranger": MEMBERS,
    "switchover": MEMBERS,
    "failback": MEMBERS,
    "rejoin": MEMBERS,
    "takeover": MEMBERS,
    "pause": MEMBERS,
    "resume": MEMBERS,
    "release": MEMBERS,
}
WEIGHTS = {
    "kill_database": 5,
    "power": 6,
    "cut": 12,
    "freeze": 4,
    "stop_etcd": 4,
    "lag": 3,
    "slow": 3,
    "slow_hands": 3,
    "pause_agent": 3,
    "kill_agent": 2,
    "switchover": 2,
    "takeover": 1,
    "pause": 1,
}


def random_fault(rng: Random) -> Fault:
    """Some last a moment, some half a minute."""
    kinds = list(KINDS)
    (kind,) = rng.choices(kinds, [WEIGHTS.get(kind, 2) for kind in kinds])
    return Fault(kind, rng.choice(WHERE[kind]), 0.05 * 800 ** rng.random())
