"""A stack's database pair as its two agents describe it, and what can be asked of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from components.logins import LoginError, UnreachableError
from scripts.hosts import Hosts

POLL = 1.0
STATUS_TIMEOUT = 20.0


class PairError(Exception):
    """The pair does not do what was asked; one sentence that says what to do."""


@dataclass(frozen=True)
class Look:
    """One look at both members: what each agent says (failover's status), or why it says nothing."""

    said: Mapping[str, Mapping[str, Any]]
    silent: Mapping[str, str]

    @property
    def members(self) -> list[str]:
        """Both, by name."""
        return sorted([*self.said, *self.silent])

    @property
    def record(self) -> Mapping[str, Any] | None:
        """The pair's record; of two views the one with the higher epoch, a view with quorum first."""
        views = [(bool(s["quorum"]), s["record"]["epoch"], s["record"]) for s in self.said.values() if s["record"]]
        return max(views, key=lambda view: view[:2])[2] if views else None

    @property
    def holder(self) -> str | None:
        """Who the record says may write."""
        return str(self.record["holder"]) if self.record else None

    @property
    def standby(self) -> str | None:
        """The member that is not the holder."""
        return next((name for name in self.members if self.holder and name != self.holder), None)

    @property
    def main(self) -> str | None:
        """The member that is the main as configured."""
        roles = {self.said[name]["peer" if self.said[name]["role"] == "backup" else "me"] for name in self.said}
        return next(iter(roles), None)

    @property
    def alarms(self) -> list[str]:
        """What either member finds wrong."""
        return list(dict.fromkeys(alarm for status in self.said.values() for alarm in status["alarms"]))

    @property
    def troubles(self) -> list[str]:
        """Why the pair is not whole; nothing when it is."""
        found = [*self.silent.values()]
        found += [f"{name} does not see the quorum" for name, status in self.said.items() if not status["quorum"]]
        if self.record is None:
            found.append("there is no record of a holder")
        elif self.record["mode"] != "SYNC":
            found.append(f"{self.holder} writes alone ({self.record['mode']})")
        elif self.said.get(self.standby or "", {}).get("ready_in") is None:
            found.append(f"{self.standby} is not able to take over yet")
        return found + self.alarms


@dataclass(frozen=True)
class Pair:
    """Asks both agents by ssh."""

    hosts: Hosts

    def look(self) -> Look:
        """Both at once."""
        members = self.hosts.with_role("database")
        if len(members) != 2:
            raise PairError(
                f"{self.hosts.stack} has no database pair: {', '.join(members) or 'no host'} runs a database"
            )
        with ThreadPoolExecutor(len(members)) as pool:
            answers = dict(zip(members, pool.map(self._status, members), strict=True))
        return Look(
            {name: answer for name, answer in answers.items() if not isinstance(answer, str)},
            {name: answer for name, answer in answers.items() if isinstance(answer, str)},
        )

    def ask(self, member: str, words: str, timeout: float = STATUS_TIMEOUT) -> str:
        """What the agent of `member` says to a request that it takes. Raises PairError when it refuses."""
        answer = self.hosts.logins.ask_agent(member, words, timeout)
        if not answer.get("ok"):
            raise PairError(f"{member} refuses: {answer.get('why', answer)}")
        return str(answer.get("said", "done"))

    def until(self, reached: Callable[[Look], bool], seconds: float, what: str) -> Look:
        """Look until it is so. Raises PairError with what stands in the way at the end."""
        deadline = time.monotonic() + seconds
        while True:
            look = self.look()
            if reached(look):
                return look
            if time.monotonic() > deadline:
                why = "; ".join(look.troubles) or f"{look.holder} still has the database"
                raise PairError(f"{what}: not within {seconds:.0f} s: {why}")
            time.sleep(POLL)

    def _status(self, member: str) -> dict[str, Any] | str:
        try:
            return self.hosts.logins.ask_agent(member, "status", STATUS_TIMEOUT)
        except (UnreachableError, LoginError) as error:
            return str(error)
