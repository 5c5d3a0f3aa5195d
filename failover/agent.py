"""The agent of a database host: the only one that starts and stops mariadbd.

It looks, decides (decide.py; fixed.py where there is no quorum) and acts, once a second and at once while something
is under way. What it decides is logged as one sentence whenever the sentence changes. A guard beside the loop fences
on time even if the loop hangs, and systemd's watchdog ends an agent whose loop hangs. A restart of the agent leaves
mariadbd alone.
"""

from __future__ import annotations

import logging
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from failover.addresses import Addresses
from failover.beat import Beat
from failover.clock import now
from failover.config import AgentConfig, agent_config, tls_context
from failover.decide import decide
from failover.etcd import Etcd, EtcdError
from failover.facts import Decision, Me, Report, Seen, Wish, fence_at
from failover.fence import Fence, FenceError
from failover.fixed import decide_fixed
from failover.hands import ETCD_TIMEOUT, PEER_TIMEOUT, Hands, NotDoneError, not_done
from failover.https import Writer
from failover.mariadb import DatabaseError, MariaDb, Status
from failover.memory import Memory
from failover.mover_client import MoverClient, MoverError
from failover.peer import PORT, PeerClient, PeerError, PeerServer
from failover.people import People
from failover.probe import who_answers
from failover.record import View
from failover.reseed import quarantine, quarantines, reseed, stream_backup
from failover.unit import UnitError

CONFIG = Path("/etc/m2/agent.json")
TICK = 1.0
SOON = 0.02
ASK_SOON = 0.05
GUARD = 0.05
LOOK_TIMEOUT = 1.0
WISH_LASTS = 60.0
LEAVING_LASTS = 60.0
NEWS = 0.3
LOOK_AROUND = 10.0
QUORUM_TIMEOUT = 2.0
PROBE_TIMEOUT = 4.0

log = logging.getLogger("agent")


@dataclass(frozen=True)
class Asked:
    """A person's wish and when it is forgotten."""

    wish: Wish
    until: float


@dataclass(frozen=True)
class Heard:
    """The other member's last report and when it was asked for."""

    report: Report | None = None
    asked_at: float = -1e9


class Agent:
    """Looks, decides and acts."""

    def __init__(self, me: Me, config: AgentConfig, memory: Memory, hands: Hands) -> None:
        self.me = me
        self.config = config
        self.memory = memory
        self.hands = hands
        self.woken = threading.Event()
        self.heard = Heard()
        self.asked: Asked | None = None
        self.decision = Decision(memory.state, (), "")
        self.seen = Seen()
        self._changed_at = self._answered_at = now()
        self._started_at = 0.0
        self._instance: str | None = None
        self._has_tls: str | None = None
        self.quorum_missing: tuple[str, ...] = ()
        self.path_trouble = ""
        self._promises = threading.Lock()
        hands.wish_done = self._forget_wish

    def step(self) -> Decision:
        """One round."""
        self._read_record()
        seen = self._look(now())
        rule = decide if self.hands.etcd else decide_fixed
        with self._promises:
            self.seen = replace(seen, promised_until=self.memory.promised_until)
            decision = rule(self.me, self.memory.state, self.seen, now())
            self._say(decision)
            self._act(decision)
        self.memory.save()
        return decision

    def report(self) -> Report:
        """What the other member is told; looked up when asked, so that it is never older than the question."""
        return Report(
            name=self.me.name,
            installed=self.hands.database.is_installed(),
            database=self._status(LOOK_TIMEOUT / 2),
            fit=self.memory.state.fit is not None and self.memory.state.fit == self.seen.instance,
            leaving=now() - self.memory.state.left_at < LEAVING_LASTS,
            free_bytes=self.seen.free_bytes,
            used_bytes=self.seen.used_bytes,
            sentence=self.decision.sentence,
        )

    def promise(self, seconds: float) -> bool:
        """Not to bid for so long; never while a bid is under way, or to a former holder."""
        with self._promises:
            if self.memory.state.bid_at is not None or self._holds():
                return False
            self.memory.promised_until = max(self.memory.promised_until, now() + seconds)
            self.memory.save()
            return True

    def ask(self, wish: Wish) -> None:
        """Take a person's wish; it is forgotten after a minute."""
        self.asked = Asked(wish, now() + WISH_LASTS)
        self.woken.set()

    def guard(self) -> None:
        """Fence when the time has come, whatever the loop is doing."""
        while True:
            due = fence_at(self.me, self._lease_now())
            if self.hands.etcd and due is not None and now() >= due:
                log.critical("the lease has run out while the loop was busy: fencing")
                self.hands.fence_off()
                self.memory.state = replace(self.memory.state, fenced_at=now(), leaving=None)
                self._instance = None
                self.woken.set()
            time.sleep(GUARD)

    def listen_to_peer(self) -> None:
        """Ask the other member for its report, more often while something is under way."""
        while self.hands.peer is not None:
            began = now()
            try:
                self.heard = Heard(Report.from_dict(self.hands.peer.report(PEER_TIMEOUT)), began)
            except (PeerError, TypeError, KeyError) as error:
                log.debug("%s does not answer: %s", self.me.peer, error)
            time.sleep(ASK_SOON if self.decision.soon else max(0.0, began + TICK - now()))

    def watch_record(self) -> None:
        """Wake the loop when the holder has renewed: who sees the last sign of life late takes over late."""
        while self.hands.etcd is not None:
            if not self._holds() and self._has_news(self.hands.etcd):
                self.woken.set()
            time.sleep(NEWS)

    def look_around(self) -> None:
        """What changes slowly: who of the quorum is well, who leads it, and where clients' packets really go."""
        while self.hands.etcd is not None:
            well = self.hands.etcd.healthy(QUORUM_TIMEOUT)
            self.quorum_missing = tuple(member for member in self.config.quorum if member not in well)
            holds = self.seen.record is not None and self.seen.record.holder == self.me.name
            if holds:
                self._lead_elsewhere(self.hands.etcd)
            self.path_trouble = self._path() if holds and self.seen.routed == self.me.name else ""
            time.sleep(LOOK_AROUND)

    def _has_news(self, etcd: Etcd) -> bool:
        try:
            return _revisions(etcd.read(ETCD_TIMEOUT)) != _revisions(self.memory.view)
        except EtcdError:
            return False

    def _lead_elsewhere(self, etcd: Etcd) -> None:
        """A quorum that has to elect a leader when the holder dies costs the takeover a second."""
        try:
            etcd.lead_elsewhere(ETCD_TIMEOUT)
        except EtcdError as error:
            log.debug("the lead was not moved: %s", error)

    def _path(self) -> str:
        """The cloud says that the address is here; whether it is so, only somebody else can see."""
        address = self.config.addresses[0].ip
        try:
            answers = self.hands.peer.probe(address, PROBE_TIMEOUT) if self.hands.peer else self.me.name
        except PeerError:
            return ""
        return (
            "" if answers == self.me.name else f"seen from {self.me.peer}, {answers or 'nobody'} answers at {address}"
        )

    def _lease_now(self) -> Seen:
        memory = self.memory
        return Seen(
            view=memory.view,
            doubt=memory.doubt != "",
            lease_from=memory.lease_from,
            promise_from=memory.promise_from,
            instance=self._instance,
        )

    def _read_record(self) -> None:
        etcd = self.hands.etcd
        if etcd is None:
            return
        sent = now()
        try:
            view = etcd.read(ETCD_TIMEOUT)
            if self.memory.doubt == "write":
                if view.record is not None and not etcd.swap(view.record, view.record_revision, ETCD_TIMEOUT):
                    return
                self.memory.doubt = "read"
                sent = now()
                view = etcd.read(ETCD_TIMEOUT)
        except EtcdError as error:
            log.debug("the record was not read: %s", error)
            return
        if _revisions(view) != _revisions(self.memory.view):
            self._changed_at = now()
        self.memory.learn(view, sent)

    def _look(self, at: float) -> Seen:
        hands, memory = self.hands, self.memory
        mounted = hands.database.is_mounted()
        instance, starting = self._process() if mounted else (None, False)
        database = self._status(LOOK_TIMEOUT) if instance and not starting else None
        self._account(instance, database, at)
        self._reload_tls(instance, database)
        where = hands.addresses.look()
        wish = self.asked.wish if self.asked and at < self.asked.until else None
        installed = mounted and hands.database.is_installed()
        return Seen(
            mounted=mounted,
            installed=installed,
            aside=mounted and not installed and bool(quarantines(self.config.data_folder)),
            view=memory.view,
            view_at=memory.view_at,
            doubt=memory.doubt != "",
            changed_at=self._changed_at,
            lease_from=memory.lease_from,
            promise_from=memory.promise_from,
            promised_until=memory.promised_until,
            instance=instance,
            starting=starting,
            failed_starts=hands.failed_starts,
            database=database,
            answered_at=self._answered_at,
            beat_at=hands.beat.at,
            peer=self.heard.report,
            peer_at=self.heard.asked_at,
            has_address=where.all_here,
            has_some=where.some_here,
            routed=where.routed,
            fenced=memory.gate == "drop",
            rejecting=memory.gate == "reject",
            forwarding=memory.gate == "forward",
            prepared=instance is not None and hands.prepared == instance,
            reseeding=hands.reseeding,
            free_bytes=hands.database.free_bytes() if mounted else 0,
            used_bytes=hands.database.used_bytes() if mounted else 0,
            wish=wish,
            powered_off=hands.powered_off,
            wall=time.time(),
        )

    def _process(self) -> tuple[str | None, bool]:
        try:
            look = self.hands.database.service.look()
        except UnitError:
            return self._instance, False
        return look.instance, look.starting

    def _status(self, timeout: float) -> Status | None:
        try:
            return self.hands.database.status(timeout)
        except DatabaseError:
            return None

    def _account(self, instance: str | None, database: Status | None, at: float) -> None:
        """Counts starts that came to nothing; an answer ends the count."""
        if instance != self._instance:
            if self._instance is not None and self._answered_at < self._started_at:
                self.hands.failed_starts += 1
            self._started_at = at
            if instance is None:
                self.hands.beat.forget()
        self._instance = instance
        if database is not None:
            self._answered_at = at
            self.hands.failed_starts = 0

    def _reload_tls(self, instance: str | None, database: Status | None) -> None:
        """Certificates may have been renewed since mariadbd was started, which is when this agent was restarted."""
        if database is not None and self._has_tls != instance:
            try:
                self.hands.database.reload_tls()
                self._has_tls = instance
            except DatabaseError as error:
                log.warning("certificates were not read again: %s", error)

    def _say(self, decision: Decision) -> None:
        if decision.sentence != self.decision.sentence:
            log.log(logging.WARNING if decision.alarm else logging.INFO, decision.sentence)
        self.decision = decision

    def _act(self, decision: Decision) -> None:
        state = self.memory.state
        for action in decision.actions:
            try:
                self.hands.do(action)
            except (NotDoneError, DatabaseError, MoverError, FenceError, OSError, subprocess.SubprocessError) as error:
                log.warning(not_done(action, error))
                return
        if self.memory.state is state:
            self.memory.state = decision.state

    def _holds(self) -> bool:
        record = self.memory.view.record if self.memory.view else None
        return record is not None and record.holder == self.me.name

    def _forget_wish(self) -> None:
        self.asked = None


def _revisions(view: View | None) -> tuple[int, int] | None:
    return None if view is None else (view.record_revision, view.alive_revision)


@dataclass(frozen=True)
class ForPeer:
    """What the other agent may ask of this one (peer.Handlers)."""

    agent: Agent
    database: MariaDb
    to_server: ssl.SSLContext

    def report(self) -> dict[str, Any]:
        return self.agent.report().to_dict()

    def promise(self, seconds: float) -> bool:
        return self.agent.promise(seconds)

    def wake(self) -> None:
        self.agent.woken.set()

    def probe(self, address: str) -> str | None:
        return who_answers(address, self.to_server)

    def backup(self, to: Writer) -> None:
        stream_backup(to)


def _build(config: AgentConfig) -> Agent:
    to_server = tls_context(ssl.Purpose.SERVER_AUTH)
    me = Me(config.me, config.peer or "", config.peer_ip or "", config.main, config.takeover_after, config.hold_down)
    mover = MoverClient(config.movers, to_server)
    database = MariaDb(config.data_folder, peer_ip=config.peer_ip or "")
    peer = PeerClient(config.peer_ip, to_server) if config.peer_ip else None
    memory = Memory.load()

    def fill_again() -> None:
        if peer is None:
            raise DatabaseError("there is no other member to fill this one from")
        database.kill()
        if database.is_installed():
            log.warning("the old data are in %s", quarantine(config.data_folder))
        position = reseed(peer, config.data_folder)
        log.info("filled again, up to %s", position)

    hands = Hands(
        me=me,
        config=config,
        memory=memory,
        database=database,
        etcd=Etcd(config.quorum, to_server) if config.quorum else None,
        peer=peer,
        mover=mover,
        fence=Fence(config.addresses[0].ip if config.addresses else config.listen),
        addresses=Addresses(config.me, config.addresses, mover),
        beat=Beat(lambda: database.beat(config.me), now),
        now=now,
        reseed=fill_again,
    )
    return Agent(me, config, memory, hands)


def _in_background(*works: Callable[[], None]) -> None:
    for work in works:
        threading.Thread(target=work, name=work.__name__, daemon=True).start()


def _tell_watchdog(address: str) -> None:
    """systemd.service(5), WatchdogSec=; sd_notify(3) for the message."""
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stream:
            stream.sendto(b"WATCHDOG=1", address.replace("@", "\0", 1))


def main() -> int:
    """Look after the database until stopped."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    # Children that believe it is for them would be heard as this service.
    watchdog = os.environ.pop("NOTIFY_SOCKET", "")
    config = agent_config(CONFIG)
    agent = _build(config)
    people = People(agent)
    _in_background(agent.guard, agent.listen_to_peer, agent.watch_record, agent.look_around, people.serve)
    if config.peer:
        asked = ForPeer(agent, agent.hands.database, tls_context(ssl.Purpose.SERVER_AUTH))
        server = PeerServer(config.listen, PORT, tls_context(ssl.Purpose.CLIENT_AUTH), config.peer, asked)
        _in_background(server.serve_forever)
    while True:
        began = now()
        decision = agent.step()
        _tell_watchdog(watchdog)
        agent.woken.wait(SOON if decision.soon else max(SOON, began + TICK - now()))
        agent.woken.clear()


if __name__ == "__main__":
    sys.exit(main())
