"""The agent of a database host: the only one that starts and stops mariadbd.

Every second it looks, decides (decide.py) and acts. What it decides is logged as one sentence whenever the
sentence changes. Restarting the agent leaves mariadbd alone.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from failover.config import AgentConfig, agent_config, tls_context
from failover.decide import Action, Decision, Observation, State, decide
from failover.mariadb import DatabaseError, MariaDb, Status
from failover.mover_client import MoverClient, MoverError

CONFIG = Path("/etc/m2/agent.json")
TICK = 1.0
RECHECK = 15.0
"""Seconds between two looks at the cloud while nothing changes: 3600 requests an hour are a project's limit."""

log = logging.getLogger("agent")


@dataclass
class Vips:
    """The pair's addresses: configured on the host that has them, and sent to it by the cloud."""

    config: AgentConfig
    mover: MoverClient
    next_look: float = 0.0
    owned: bool | None = None

    def are_owned(self, now: float) -> bool | None:
        """True when this host has all, False when one is free, None when unknown or somebody else has one."""
        if now >= self.next_look:
            self.next_look = now + RECHECK
            self.owned = self._look()
        return self.owned and all(_has_address(address.ip) for address in self.config.addresses)

    def take(self) -> None:
        """First each address on this host, then the way to it; somebody else's is left alone. Raises MoverError."""
        self.next_look = 0.0
        for address in self.config.addresses:
            if not _has_address(address.ip):
                subprocess.run(["ip", "address", "replace", f"{address.ip}/32", "dev", "lo"], check=True)
            self.mover.claim(address.name, only_if_free=True)

    def _look(self) -> bool | None:
        if not self.config.addresses:
            return None
        try:
            holders = self.mover.holders()
        except MoverError as error:
            log.warning("the cloud's view of the addresses is unknown: %s", error)
            self.next_look = 0.0
            return None
        mine = {address.name: holders.get(address.name) for address in self.config.addresses}
        for name, holder in mine.items():
            if holder not in (None, self.config.me):
                log.warning("the cloud sends packets for %s to %s", name, holder)
                return None
        return None not in mine.values()


@dataclass
class Agent:
    """Looks, decides and acts."""

    config: AgentConfig
    database: MariaDb
    vips: Vips
    state: State
    said: str = ""
    last_beat: float | None = None

    def step(self, now: float) -> Decision:
        """One round."""
        if self.last_beat is None:
            self.last_beat = now
        decision = decide(self.state, self._look(now), now)
        if decision.sentence != self.said:
            log.info(decision.sentence)
            self.said = decision.sentence
        try:
            for action in decision.actions:
                self._do(action, now)
            self.state = decision.state
        except (DatabaseError, MoverError, OSError, subprocess.SubprocessError) as error:
            log.warning("%s did not work, trying again: %s", action.name.lower(), error)
        return decision

    def _look(self, now: float) -> Observation:
        mounted = self.database.is_mounted()
        running = mounted and self.database.is_running()
        return Observation(
            mounted=mounted,
            running=running,
            database=self._status() if running else None,
            owns_address=self.vips.are_owned(now) if self.config.role == "main" else None,
            last_beat=now if self.last_beat is None else self.last_beat,
        )

    def _status(self) -> Status | None:
        try:
            return self.database.status()
        except DatabaseError:
            return None

    def _do(self, action: Action, now: float) -> None:
        effects: dict[Action, Callable[[], None]] = {
            Action.START: lambda: self.database.start("MASTER" if self.config.role == "main" else "SLAVE"),
            Action.RELOAD_TLS: self.database.reload_tls,
            Action.PREPARE: self.database.prepare,
            Action.ALLOW_WRITES: self.database.allow_writes,
            Action.FOLLOW: self._follow,
            Action.WAIT_FOR_BACKUP: self.database.wait_for_backup,
            Action.GO_ON_ALONE: self.database.go_on_alone,
            Action.BEAT: lambda: self._beat(now),
            Action.TAKE_ADDRESS: self.vips.take,
        }
        effects[action]()

    def _follow(self) -> None:
        if self.config.peer_ip:
            self.database.follow(self.config.peer_ip, self.config.replication_password)

    def _beat(self, now: float) -> None:
        self.database.beat(self.config.me)
        self.last_beat = now


def _has_address(address: str) -> bool:
    found = subprocess.run(["ip", "-json", "address"], capture_output=True, check=True).stdout
    wanted = str(ipaddress.ip_address(address))
    return any(entry.get("local") == wanted for link in json.loads(found) for entry in link["addr_info"])


def main() -> int:
    """Look after the database until stopped."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    config = agent_config(CONFIG)
    mover = MoverClient(config.movers, tls_context(ssl.Purpose.SERVER_AUTH))
    agent = Agent(config, MariaDb(config.data_folder), Vips(config, mover), State(config.role))
    while True:
        agent.step(time.clock_gettime(time.CLOCK_BOOTTIME))
        time.sleep(TICK)


if __name__ == "__main__":
    sys.exit(main())
