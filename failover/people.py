"""What people and `up` ask of the agent, over a socket that only root reaches: one JSON object a line, both ways.

`status`, `switchover`, `failback`, `pause`, `resume`, `rejoin`, `takeover`, `init`; `release` before this host is
changed; `lock` and `unlock`, the pair's maintenance lock. An answer has `ok` and `said` or `why`.
"""

from __future__ import annotations

import json
import logging
import os
import socketserver
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from failover.clock import now
from failover.etcd import EtcdError
from failover.facts import Report, Wish
from failover.record import Mode, Record

if TYPE_CHECKING:
    from failover.agent import Agent

SOCKET = Path("/run/m2/agent.sock")
POLL = 0.1
PATIENCE = 3.0
QUORUM_TIMEOUT = 2.0
MEMBERS = 3

log = logging.getLogger("people")
Answer = dict[str, Any]


class RefusedError(Exception):
    """What was asked cannot be done now; one sentence."""


class People:
    """Answers for one agent."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def serve(self) -> None:
        """Until the agent ends."""
        SOCKET.parent.mkdir(exist_ok=True)
        SOCKET.unlink(missing_ok=True)
        people = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.wfile.write(json.dumps(people.answer(self.rfile.readline())).encode() + b"\n")

        mask = os.umask(0o177)
        try:
            server = socketserver.ThreadingUnixStreamServer(str(SOCKET), Handler)
        finally:
            os.umask(mask)
        server.daemon_threads = True
        server.serve_forever()

    def answer(self, line: bytes) -> Answer:
        """Never raises: an answer that is no good is an answer too."""
        try:
            asked = json.loads(line)
            return self._commands()[asked["do"]](asked)
        except (RefusedError, EtcdError) as error:
            return {"ok": False, "why": str(error)}
        except (ValueError, KeyError, TypeError) as error:
            return {"ok": False, "why": f"not understood: {error!r}"}

    def _commands(self) -> dict[str, Callable[[Answer], Answer]]:
        return {
            "status": lambda _: self.status(),
            "switchover": lambda _: self._move(Wish.SWITCHOVER),
            "failback": lambda _: self._failback(),
            "pause": lambda _: self._wish(Wish.PAUSE, "no move by itself from now on"),
            "resume": lambda _: self._wish(Wish.RESUME, "moves by itself again"),
            "rejoin": lambda _: self._rejoin(),
            "takeover": self._takeover,
            "init": self._init,
            "release": self._release,
            "lock": self._lock,
            "unlock": self._unlock,
        }

    def status(self) -> Answer:
        """Everything that a person wants to know of this member."""
        agent = self._agent
        seen, record = agent.seen, agent.seen.record
        peer = seen.peer_now(now())
        return {
            "me": agent.me.name,
            "peer": agent.me.peer,
            "role": "main" if agent.me.main else "backup",
            "record": None if record is None else asdict(record),
            "quorum": seen.is_fresh(now()),
            "sentence": agent.decision.sentence,
            "alarms": self._alarms(),
            "ready_in": _ready_in(agent.report()),
            "database": None if seen.database is None else asdict(seen.database),
            "addresses": agent.hands.addresses.holders(),
            "peer_report": None if peer is None else peer.to_dict(),
        }

    def _alarms(self) -> list[str]:
        agent = self._agent
        alarms = [agent.decision.sentence] if agent.decision.alarm else []
        if agent.quorum_missing:
            alarms.append(f"of the quorum are missing: {', '.join(agent.quorum_missing)}")
        return [*alarms, *filter(None, (agent.hands.addresses.trouble, agent.path_trouble))]

    def _move(self, wish: Wish) -> Answer:
        self._ready_to_hand_over()
        return self._wish(wish, f"moving to {self._agent.me.peer}")

    def _failback(self) -> Answer:
        if self._agent.me.main:
            raise RefusedError("a failback goes to the main, which this member is; ask the backup while it holds")
        return self._move(Wish.FAILBACK)

    def _ready_to_hand_over(self) -> None:
        record, peer = self._record(), self._agent.me.peer
        if record.holder != self._agent.me.name:
            raise RefusedError(f"{self._agent.me.name} is not the holder, {record.holder} is: ask there")
        if record.mode is not Mode.SYNC:
            raise RefusedError(f"{peer} has not every write yet: {self._agent.decision.sentence}")
        report = self._peer_once_fit()
        if report is None or not report.fit:
            raise RefusedError(f"{peer} cannot take over now: {report.sentence if report else 'it does not answer'}")

    def _peer_once_fit(self) -> Report | None:
        """What the other says of itself is a second old here: whoever has asked it may know better."""
        deadline = now() + PATIENCE
        while True:
            report = self._agent.seen.peer_now(now())
            if (report and report.fit) or now() > deadline:
                return report
            time.sleep(POLL)

    def _rejoin(self) -> Answer:
        if self._record().holder == self._agent.me.name:
            raise RefusedError("this member holds the database: only the other one can be filled again from it")
        return self._wish(Wish.REJOIN, "moving this member's data aside and filling it again")

    def _takeover(self, asked: Answer) -> Answer:
        if not asked.get("accept_data_loss"):
            raise RefusedError("a forced takeover may lose writes: it needs --accept-data-loss")
        record = self._record()
        if record.holder == self._agent.me.name:
            raise RefusedError("this member is the holder already")
        return self._wish(Wish.TAKEOVER, f"powering {record.holder} off and taking over")

    def _init(self, asked: Answer) -> Answer:
        if not asked.get("primary"):
            raise RefusedError("init makes this member's data the truth: it needs --primary")
        if self._agent.seen.record is not None:
            raise RefusedError(f"there is a record already: {self._agent.seen.record.holder} holds")
        return self._wish(Wish.INIT, "this member's data is the truth from now on")

    def _release(self, asked: Answer) -> Answer:
        """Returns when the other member serves alone, so that this host can be changed."""
        deadline = now() + float(asked.get("wait", 60.0))
        degraded = bool(asked.get("accept_degraded"))
        if self._agent.hands.etcd is None:
            return {"ok": True, "said": "roles are fixed here: nothing moves"}
        try:
            self._until(deadline, self._quorum_is_whole, f"the quorum has all {MEMBERS} members")
            self._leave(deadline)
        except (RefusedError, EtcdError) as error:
            if not degraded:
                raise
            return {"ok": True, "said": f"degraded, as accepted: {error}"}
        return {"ok": True, "said": f"{self._agent.me.peer} serves alone"}

    def _quorum_is_whole(self) -> bool:
        etcd = self._agent.hands.etcd
        return etcd is None or len(etcd.healthy(QUORUM_TIMEOUT)) >= MEMBERS

    def _leave(self, deadline: float) -> None:
        agent = self._agent
        if self._record().holder == agent.me.name:
            self._until(deadline, self._can_hand_over, f"{agent.me.peer} is able to take over")
            agent.ask(Wish.RELEASE)
            self._until(deadline, lambda: self._record().holder == agent.me.peer, f"{agent.me.peer} is the holder")
        self._until(deadline, self._other_serves, f"{agent.me.peer} serves")
        agent.ask(Wish.RELEASE)
        self._until(deadline, lambda: agent.asked is None, f"{agent.me.peer} serves alone")

    def _can_hand_over(self) -> bool:
        try:
            self._ready_to_hand_over()
        except RefusedError:
            return False
        return True

    def _other_serves(self) -> bool:
        report = self._agent.seen.peer_now(now())
        return report is not None and report.database is not None and not report.database.read_only

    def _until(self, deadline: float, true: Callable[[], bool], what: str) -> None:
        while not true():
            if now() > deadline:
                raise RefusedError(f"waited for: {what}. Now: {self._agent.decision.sentence}")
            time.sleep(POLL)

    def _lock(self, asked: Answer) -> Answer:
        etcd = self._agent.hands.etcd
        if etcd is None:
            return {"ok": True, "said": "alone: no lock is needed"}
        owner = etcd.lock(str(asked["owner"]), float(asked["seconds"]), QUORUM_TIMEOUT)
        if owner is not None:
            raise RefusedError(f"{owner} is being changed")
        return {"ok": True, "said": "locked"}

    def _unlock(self, asked: Answer) -> Answer:
        if self._agent.hands.etcd is not None:
            self._agent.hands.etcd.unlock(str(asked["owner"]), QUORUM_TIMEOUT)
        return {"ok": True, "said": "unlocked"}

    def _wish(self, wish: Wish, said: str) -> Answer:
        self._agent.ask(wish)
        log.info("asked for %s", wish.name.lower())
        return {"ok": True, "said": said}

    def _record(self) -> Record:
        record = self._agent.seen.record
        if record is None:
            raise RefusedError(f"there is no record: {self._agent.decision.sentence}")
        return record


def _ready_in(report: Report) -> float | None:
    """Seconds until this member could serve if it took over: what it has still to apply; None: it may not."""
    replica = report.database.replica if report.database else None
    return replica.delay if report.fit and replica else None
