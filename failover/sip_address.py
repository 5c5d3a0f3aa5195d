"""Makes the cloud's owner of the SIP addresses be who VRRP says: the balancers' `ensure`.

keepalived's notify script writes its state to a file and nothing more; this program reads the file and reconciles,
so a lost or doubled notification changes nothing. The member that is not preferred claims once for each time it
becomes master: with VRRP cut both are master, and a second claim would make the address flip for ever (the preferred
member takes it back, once). It claims again only from a member that is silent, to it and to the movers, ever more
rarely.

    python3 -m failover.sip_address              for ever
    python3 -m failover.sip_address hand-over    before Kamailio stops: until the other member has the addresses
"""

from __future__ import annotations

import logging
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from failover import clock
from failover.config import SipAddressConfig, sip_address_config, tls_context
from failover.mover_client import MoverClient, MoverError

CONFIG = Path("/etc/m2/sip-address.json")
VRRP_STATE = Path("/run/m2/vrrp")
HANDING_OVER = Path("/run/m2/hand-over")
"""keepalived watches it: with 1 in it this host is no candidate."""

READ = 0.2
TICK = 1.0
RECHECK = 10.0
"""Seconds between two looks at the cloud while nothing changes: 3600 requests an hour are a project's limit."""

RECLAIM_PAUSE = 60.0
"""Seconds from one claim against a silent holder to the next, doubled each time."""

HEARD_LATELY = 3 * RECHECK
"""Seconds; a holder asks the movers every `RECHECK` seconds whether it still is one."""

OPTIONS_DEADLINE = 2.0
OPTIONS_TRIES = 3
HAND_OVER_DEADLINE = 15.0
PEER_SILENCE = 6.0
"""Seconds; who is silent longer than that will not take over, and one who was restarted a moment ago will."""

MASTER = ("MASTER", "MASTER_RX_LOWER_PRI")
"""The second: another host thinks so too, for instance because this one was frozen."""

log = logging.getLogger("sip-address")


@dataclass(frozen=True)
class State:
    """`claimed` are the addresses claimed since this host became master; `heard` is when keepalived last spoke."""

    master: bool = False
    heard: float = 0.0
    next_look: float = 0.0
    claimed: frozenset[str] = frozenset()
    next_reclaim: float = 0.0
    reclaim_pause: float = RECLAIM_PAUSE


def after_vrrp(state: State, vrrp: str, now: float, heard: float = 0.0) -> State:
    """The state after reading what VRRP says; anything that it says to a master means a look, soon or at once."""
    master = vrrp in MASTER
    if master and not state.master:
        return State(master=True, heard=heard, next_look=now)
    if heard != state.heard:
        return replace(state, master=master, heard=heard, next_look=min(state.next_look, now + TICK))
    return replace(state, master=master)


def elsewhere(config: SipAddressConfig, holders: dict[str, str | None]) -> list[str]:
    """The addresses that another host has, or nobody."""
    return [name for name in config.addresses if holders.get(name) != config.me]


def wanted(config: SipAddressConfig, state: State, holders: dict[str, str | None]) -> list[str]:
    """The addresses that this host, being master, has to claim whatever the other member does."""
    others = elsewhere(config, holders)
    if config.preferred:
        return others
    return [name for name in others if holders.get(name) is None or name not in state.claimed]


def step(
    config: SipAddressConfig, state: State, mover: MoverClient, now: float, lives: Callable[[str | None], bool]
) -> State:
    """One look at the cloud and the claims that follow from it; `lives` says whether that holder does."""
    state = replace(state, next_look=now + RECHECK)
    try:
        holders = mover.holders()
        names = wanted(config, state, holders)
        lost = elsewhere(config, holders)
        if lost and not names and now >= state.next_reclaim and not lives(holders.get(lost[0])):
            names, pause = lost, state.reclaim_pause
            state = replace(state, next_reclaim=now + pause, reclaim_pause=2 * pause)
    except MoverError as error:
        return _again(state, now, error)
    return claim(config, state, mover, now, names)


def claim(config: SipAddressConfig, state: State, mover: MoverClient, now: float, names: Sequence[str]) -> State:
    """Claim them all at the same time; what fails is tried again soon."""
    if not names:
        return state
    log.info("%s is master and %s elsewhere: claiming", config.me, ", ".join(names))
    with ThreadPoolExecutor(len(names)) as pool:
        claims: dict[str, Future[str]] = {name: pool.submit(mover.claim, name) for name in names}
    for name, outcome in claims.items():
        try:
            outcome.result()
            state = replace(state, claimed=state.claimed | {name})
        except MoverError as error:
            state = _again(state, now, error)
    return state


def _again(state: State, now: float, error: MoverError) -> State:
    log.warning("could not make the cloud follow VRRP, trying again: %s", error)
    return replace(state, next_look=now + TICK)


def vrrp_state() -> tuple[str, float]:
    """MASTER, BACKUP, FAULT or STOP as keepalived's notify wrote it, and when; empty before it did."""
    try:
        return VRRP_STATE.read_text().strip(), VRRP_STATE.stat().st_mtime
    except FileNotFoundError:
        return "", 0.0


def answers(config: SipAddressConfig) -> bool:
    """Whether the other member's Kamailio answers an OPTIONS."""
    words = ["sipsak", "-s", f"sip:check@{config.peer}:{config.port}"]
    try:
        return subprocess.run(words, capture_output=True, check=False, timeout=OPTIONS_DEADLINE).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def lives(config: SipAddressConfig, mover: MoverClient, holder: str | None) -> bool:
    """Whether the other member answers here or was heard elsewhere: a cut between the two is no death."""
    if any(answers(config) for _ in range(OPTIONS_TRIES)):
        return True
    return holder is not None and mover.heard().get(holder, HEARD_LATELY) < HEARD_LATELY


def hand_over(config: SipAddressConfig, mover: MoverClient) -> bool:
    """Let the other member have the addresses; whether it has them. Gives up on one that is silent, and in the end."""
    HANDING_OVER.write_text("1\n")
    began = heard = time.monotonic()
    while time.monotonic() - began < HAND_OVER_DEADLINE:
        try:
            if config.me not in _holders_of(config, mover.holders()):
                return True
        except MoverError as error:
            log.warning("nobody says who has the addresses: %s", error)
        if answers(config):
            heard = time.monotonic()
        elif time.monotonic() - heard > PEER_SILENCE:
            return False
        time.sleep(READ)
    return False


def _holders_of(config: SipAddressConfig, holders: dict[str, str | None]) -> set[str | None]:
    return {holders.get(name) for name in config.addresses}


def follow(config: SipAddressConfig, mover: MoverClient) -> None:
    """Reconcile until stopped."""
    state = State()
    while True:
        at = clock.now()
        vrrp, heard = vrrp_state()
        state = after_vrrp(state, vrrp, at, heard)
        if state.master and at >= state.next_look:
            state = step(config, state, mover, at, partial(lives, config, mover))
        time.sleep(READ)


def main(words: Sequence[str]) -> int:
    """Either of the two."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    config = sip_address_config(CONFIG)
    mover = MoverClient(config.movers, tls_context(ssl.Purpose.SERVER_AUTH))
    if list(words) == ["hand-over"]:
        log.info("the addresses are %s", "handed over" if hand_over(config, mover) else "still here: nobody took them")
        return 0
    follow(config, mover)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
