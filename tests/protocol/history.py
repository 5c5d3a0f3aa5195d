"""One history: a pair is born, things break, everything heals, and it has to be whole again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from failover.facts import Wish
from tests.protocol.faults import Fault, random_fault, strike
from tests.protocol.member import Member
from tests.protocol.pair import Build, Pair

BIRTH = 30.0
WHOLE_WITHIN = 200.0
PERSON_TRIES, PERSON_TRIES_EVERY = 8, 10.0
DRAIN = 3.0
TRIGGERS = (
    "SWAP", "RENEW", "OPEN", "STOP_RECEIVING", "START_RECEIVING", "STOP_FOLLOWING", "FOLLOW", "WAIT_FOR_BACKUP",
    "GO_ON_ALONE", "STAMP", "UNFENCE", "CLOSE", "REJECT", "START_MASTER", "START_SLAVE", "ASK_PROMISE", "BEAT",
)  # fmt: skip
"""Actions just before which a fault may strike."""


@dataclass(frozen=True)
class Strike:
    """A fault at a time after birth; with a trigger at the next such action of that member after it."""

    at: float
    fault: Fault
    member: str = ""
    trigger: str = ""

    def __str__(self) -> str:
        return f"{self.at:.2f}: {self.fault}{f' when {self.member} begins {self.trigger}' if self.trigger else ''}"


@dataclass(frozen=True)
class Outcome:
    """`person`: what a person was called for; empty when the pair got whole by itself, after `seconds`."""

    seconds: float
    written: int
    person: str = ""


Situation = Callable[[Random], list[Strike]]


def random_strikes(seed: int, *situations: Situation) -> tuple[Strike, ...]:
    """Some are anything at any time; others one of the situations that the protocol is about, disturbed."""
    rng = Random(f"strikes of {seed}")  # noqa: S311
    situation = rng.choice(situations or SITUATIONS) if situations or rng.random() < 0.7 else None
    begun = situation(rng) if situation else []
    at = 0.0
    for _ in range(rng.randint(0, 3) if begun else rng.randint(1, 7)):
        at += rng.choice((0.01, 0.5, 3.0, 10.0, 30.0)) * rng.random()
        begun.append(_somewhere(rng, at, random_fault(rng)))
    return tuple(begun)


def _somewhere(rng: Random, at: float, fault: Fault) -> Strike:
    if rng.random() < 0.5:
        return Strike(at, fault)
    return Strike(at, fault, rng.choice("AB"), rng.choice(TRIGGERS))


def _fault(words: str, seconds: float) -> Fault:
    kind, where = words.split()
    return Fault(kind, where, seconds)


def silence(rng: Random) -> list[Strike]:
    """The holder says nothing for about as long as the other waits, and somebody is slow just then."""
    silences = (["cut A"], ["freeze A"], ["freeze_clock A"], ["pause_agent A"], ["cut A-W", "cut A-B"], ["power A"])
    seconds = rng.choice((rng.uniform(6.0, 13.0), rng.uniform(9.0, 12.0), rng.uniform(15.0, 40.0)))
    begun = [Strike(1.0, _fault(words, seconds)) for words in rng.choice(silences)]
    where = rng.choice("ABB")
    stall = Fault(rng.choice(STALLS), where, rng.uniform(0.1, 16.0))
    trigger = rng.choice(("SWAP", "SWAP", "STOP_RECEIVING", "OPEN", "START_RECEIVING", "STAMP", "START_MASTER"))
    return [*begun, Strike(rng.uniform(0.0, 8.0), stall, where, trigger)]


def late_bid(rng: Random) -> list[Strike]:
    """The holder comes back while the other one's bid is held up on its way out."""
    begun = [Strike(1.0, Fault("cut", "A", rng.uniform(10.5, 13.0)))]
    held_up = Fault(rng.choice(("pause_agent", "freeze", "freeze_clock")), "B", rng.uniform(4.0, 15.0))
    return [*begun, Strike(5.0, held_up, "B", "SWAP")]


def unanswered(rng: Random) -> list[Strike]:
    """The holder's agent hangs, the database does not; the bid is heard and its answer is not."""
    begun = [Strike(1.0, Fault("pause_agent", "A", rng.uniform(9.0, 30.0)))]
    if rng.random() < 0.5:
        begun.append(Strike(rng.uniform(0.0, 10.0), Fault("lag", "B", 20.0)))
    lost = Fault("cut", rng.choice(("W>B", "B-W", "W")), rng.uniform(0.5, 12.0))
    return [*begun, Strike(rng.uniform(0.0, 9.0), lost, "B", "SWAP")]


def blind(rng: Random) -> list[Strike]:
    """The quorum is lost or out of the holder's reach, and the two may see each other."""
    begun = [Strike(1.0, _fault(rng.choice(BLIND), rng.uniform(5.0, 40.0)))]
    for _ in range(rng.randint(0, 2)):
        fault = _fault(rng.choice((*BLIND, "cut A-B", "slow A-B", "lossy A-B")), rng.uniform(0.5, 15.0))
        begun.append(Strike(rng.uniform(1.0, 20.0), fault))
    return begun


def comes_back(rng: Random) -> list[Strike]:
    """The backup loses what it had not applied and comes back, and the holder dies about then."""
    begun = [Strike(rng.uniform(0.0, 4.0), Fault("lag", "B", rng.uniform(5.0, 20.0)))] if rng.random() < 0.6 else []
    begun.append(Strike(5.0, Fault(rng.choice(("kill_database", "power", "reboot")), "B", rng.uniform(0.2, 3.0))))
    if rng.random() < 0.5:
        begun.append(Strike(rng.uniform(5.0, 9.0), Fault(rng.choice(("slow", "cut")), "A-B", rng.uniform(0.5, 15.0))))
    death = Fault(rng.choice(("power", "freeze", "cut")), "A", rng.uniform(12.0, 30.0))
    if rng.random() < 0.5:
        return [*begun, Strike(5.0, death, "B", rng.choice(("FOLLOW", "START_RECEIVING")))]
    return [*begun, Strike(rng.uniform(5.0, 20.0), death)]


def lose_each_other(rng: Random) -> list[Strike]:
    """The two lose each other, one goes on alone, and then dies or is cut from the quorum."""
    begun = [Strike(1.0, Fault("cut", rng.choice(("A-B", "A>B", "B>A", "B")), rng.uniform(3.0, 30.0)))]
    death = Fault(rng.choice(("power", "freeze", "cut", "kill_database")), "A", rng.uniform(5.0, 30.0))
    trigger = rng.choice(("SWAP", "GO_ON_ALONE", "WAIT_FOR_BACKUP", ""))
    return [*begun, Strike(rng.uniform(1.0, 12.0), death, "A" if trigger else "", trigger)]


def planned_move(rng: Random) -> list[Strike]:
    """A planned move, and something happens in a step of it."""
    begun = [Strike(1.0, Fault(rng.choice(("switchover", "switchover", "release")), "A"))]
    if rng.random() < 0.5:
        begun.append(Strike(0.5, Fault("lag", "B", 10.0)))
    if rng.random() < 0.5:
        begun.append(Strike(rng.uniform(8.0, 20.0), Fault("failback", "B")))
    trigger = rng.choice(("REJECT", "CLOSE", "SWAP", "OPEN", "STOP_FOLLOWING", "STAMP", "STOP_RECEIVING"))
    fault = Fault(rng.choice(STALLS), rng.choice("AB"), rng.uniform(0.1, 20.0))
    return [*begun, Strike(0.9, fault, rng.choice("AB"), trigger)]


def strangers(rng: Random) -> list[Strike]:
    """Another server acknowledges, and the backup does not."""
    begun = [Strike(1.0, Fault("stranger", "A", rng.uniform(10.0, 40.0)))]
    begun.append(Strike(rng.uniform(4.0, 8.0), Fault("cut", "A-B", rng.uniform(10.0, 30.0))))
    return [*begun, Strike(rng.uniform(8.0, 20.0), Fault(rng.choice(("power", "cut")), "A", rng.uniform(12.0, 30.0)))]


SITUATIONS: tuple[Situation, ...] = (
    silence, late_bid, unanswered, blind, comes_back, lose_each_other, planned_move, strangers,
)  # fmt: skip
STALLS = ("pause_agent", "kill_agent", "freeze", "freeze_clock", "kill_database", "cut", "power", "slow_hands")
BLIND = (
    "cut A-W",
    "stop_etcd ABW",
    "stop_etcd ABW",
    "stop_etcd AW",
    "stop_etcd BW",
    "stop_etcd ABW",
    "cut W",
    "cut A>W",
    "cut B-W",
)


def live(seed: int, strikes: tuple[Strike, ...], build: Build | None = None, story: list[str] | None = None) -> Outcome:
    """From birth to the end. Raises ViolationError; `story` is told, also then."""
    pair = Pair(seed, story is not None, build)
    if story is not None:
        pair.world.story = story
    assert pair.run(BIRTH, pair.is_whole), "the pair was not born"
    for strike_ in strikes:
        _plan(pair, strike_)
    last = max((planned.at + planned.fault.seconds for planned in strikes), default=0.0)
    pair.run(last + 1.0)
    return _heal(pair)


def _plan(pair: Pair, planned: Strike) -> None:
    if not planned.trigger:
        pair.world.after(planned.at, lambda: strike(pair, planned.fault))
        return
    pair.world.after(planned.at, lambda: _arm(pair, pair.members[planned.member], planned))


def _arm(pair: Pair, member: Member, planned: Strike) -> None:
    """Not while the action is being begun: in the moment after it."""

    def hook(action: str) -> None:
        if action == planned.trigger and hook in member.hooks:
            member.hooks.remove(hook)
            pair.world.after(0.0, lambda: strike(pair, planned.fault))

    member.hooks.append(hook)
    pair.world.after(20.0, lambda: member.hooks.remove(hook) if hook in member.hooks else None)


def _heal(pair: Pair) -> Outcome:
    began = pair.world.now
    pair.world.say("fault", "all is well from now on")
    pair.heal()
    person = _get_whole(pair)
    seconds = pair.world.now - began
    pair.clients.stopped = True
    pair.run(DRAIN)
    person = _get_whole(pair) or person
    pair.run(DRAIN)
    pair.invariants.at_the_end()
    return Outcome(seconds, pair.clients.written, person)


def _get_whole(pair: Pair) -> str:
    """Alone, or with a person; what they were called for."""
    began = pair.world.now
    pair.run(WHOLE_WITHIN, lambda: pair.is_whole() or pair.waits_for_a_person())
    person = "" if pair.is_whole() else _call_a_person(pair)
    if not pair.is_whole():
        raise NotWholeError(f"not whole after {pair.world.now - began:.0f} s: {'; '.join(pair.sentences())}")
    return person


def _call_a_person(pair: Pair) -> str:
    """They look at `pair status` and do what it asks for until it is done; what they were called for."""
    alarms = pair.alarms()
    if pair.waits_for_a_person():
        alarms = ("the backup holds, and the database returns when a person says so",)
    if not alarms:
        raise NotWholeError(f"not whole, and nobody was called: {'; '.join(pair.sentences())}")
    for _ in range(PERSON_TRIES):
        if pair.waits_for_a_person():
            record = pair.quorum.record
            pair.members["B"].ask(Wish.RESUME if record and record.paused else Wish.FAILBACK)
        if pair.run(PERSON_TRIES_EVERY, pair.is_whole):
            break
    return "; ".join(alarms)


class NotWholeError(AssertionError):
    """Everything healed, and the pair did not."""


__all__ = ["NotWholeError", "Outcome", "Strike", "Wish", "live", "random_strikes"]
