"""Makes the cloud's owner of the SIP addresses be who VRRP says: the balancers' `ensure`.

keepalived's notify script writes its state to a file and nothing more; this program reads the file every second
and reconciles, so a lost or doubled notification changes nothing. The member that is not preferred claims once
for each time it becomes master: with VRRP cut both are master, and a second claim would make the address flip
for ever (the preferred member takes it back, once).
"""

from __future__ import annotations

import logging
import ssl
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

from failover.config import SipAddressConfig, sip_address_config, tls_context
from failover.mover_client import MoverClient, MoverError

CONFIG = Path("/etc/m2/sip-address.json")
VRRP_STATE = Path("/run/m2/vrrp")
TICK = 1.0
RECHECK = 10.0
"""Seconds between two looks at the cloud while nothing changes: 3600 requests an hour are a project's limit."""

log = logging.getLogger("sip-address")


@dataclass(frozen=True)
class State:
    """`claimed` are the addresses claimed since this host became master."""

    master: bool = False
    next_look: float = 0.0
    claimed: frozenset[str] = frozenset()


def after_vrrp(state: State, vrrp: str, now: float) -> State:
    """The state after reading what VRRP says; a transition to master means an immediate look."""
    master = vrrp == "MASTER"
    if master and not state.master:
        return State(master=True, next_look=now)
    return replace(state, master=master)


def wanted(config: SipAddressConfig, state: State, holders: dict[str, str | None]) -> list[str]:
    """The addresses that this host, being master, has to claim."""
    others = [name for name in config.addresses if holders.get(name) != config.me]
    if config.preferred:
        return others
    return [name for name in others if holders.get(name) is None or name not in state.claimed]


def step(config: SipAddressConfig, state: State, mover: MoverClient, now: float) -> State:
    """One look at the cloud and the claims that follow from it."""
    state = replace(state, next_look=now + RECHECK)
    try:
        for name in wanted(config, state, mover.holders()):
            log.info("%s is master and %s is elsewhere: claiming it", config.me, name)
            mover.claim(name)
            state = replace(state, claimed=state.claimed | {name})
    except MoverError as error:
        log.warning("could not make the cloud follow VRRP, trying again: %s", error)
        return replace(state, next_look=now + TICK)
    return state


def vrrp_state() -> str:
    """MASTER, BACKUP, FAULT or STOP as keepalived's notify wrote it; empty before it did."""
    return VRRP_STATE.read_text().strip() if VRRP_STATE.exists() else ""


def main() -> int:
    """Reconcile until stopped."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    config = sip_address_config(CONFIG)
    mover = MoverClient(config.movers, tls_context(ssl.Purpose.SERVER_AUTH))
    state = State()
    while True:
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        state = after_vrrp(state, vrrp_state(), now)
        if state.master and now >= state.next_look:
            state = step(config, state, mover, now)
        time.sleep(TICK)


if __name__ == "__main__":
    sys.exit(main())
