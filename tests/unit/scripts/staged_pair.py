"""A database pair behind the fake ssh, as its two agents would describe it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from components.logins import Logins
from scripts.database_pair import Pair
from scripts.hosts import Hosts
from tests.unit.fake_ssh import FakeSsh

ROLES = {
    "database-1": ["database", "quorum"],
    "database-2": ["database", "quorum"],
    "gui": ["gui", "quorum"],
    "core-1": ["core"],
}
HOSTS = Hosts(
    "full-test",
    Logins(dict.fromkeys(ROLES, "198.51.100.9"), dict.fromkeys(ROLES, "ecdsa-1 AAAA")),
    ROLES,
    {"database_address": "10.0.128.1", "hosts": dict.fromkeys(ROLES, "198.51.100.9")},
)
PAIR = Pair(HOSTS)


def record(**changes: Any) -> dict[str, Any]:
    usual = {"holder": "database-1", "epoch": 3, "mode": "SYNC", "paused": False, "since": 1_790_000_000.0}
    return {**usual, **changes}


def status(me: str, **changes: Any) -> dict[str, Any]:
    """What one agent says."""
    peer = "database-2" if me == "database-1" else "database-1"
    return {
        "me": me,
        "peer": peer,
        "role": "main" if me == "database-1" else "backup",
        "record": record(),
        "quorum": True,
        "sentence": f"{me} does its work",
        "ready_in": None if me == (changes.get("record", record()) or {}).get("holder") else 0.0,
        "alarms": [],
        "database": {},
        "addresses": {"database": "database-1"},
        "peer_report": None,
        **changes,
    }


@dataclass
class Stage:
    """Sets what the members answer."""

    ssh: FakeSsh

    def says(self, me: str, **changes: Any) -> None:
        self.ssh.answer(me, "failover.pair status", status(me, **changes))

    def both(self, **changes: Any) -> None:
        for me in ("database-1", "database-2"):
            self.says(me, **changes)

    def takes(self, me: str, words: str, said: str = "done") -> None:
        self.ssh.answer(me, f"failover.pair {words}", {"ok": True, "said": said})

    def refuses(self, me: str, words: str, why: str) -> None:
        self.ssh.answer(me, f"failover.pair {words}", {"ok": False, "why": why}, code=1)

    def asked(self, me: str) -> list[str]:
        """What the agent of a host was asked, looks apart."""
        words = [command.partition("failover.pair ")[2] for command in self.ssh.asked(me) if "failover.pair" in command]
        return [word for word in words if word != "status"]
