"""Carries out what was decided: every effect of the agent on this host, the record and the other member."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from failover.addresses import Addresses
from failover.beat import Beat
from failover.config import AgentConfig
from failover.etcd import Etcd, EtcdError
from failover.facts import Action, Do, Me, Swap
from failover.fence import Fence, FenceError, reboot_hard
from failover.mariadb import DatabaseError, MariaDb
from failover.memory import Memory
from failover.peer import PeerClient, PeerError
from failover.record import Record, View
from failover.reseed import ReseedError

ETCD_TIMEOUT = 1.0
PEER_TIMEOUT = 0.5

log = logging.getLogger("agent")


class Mover(Protocol):
    """The part of the mover that cuts the other member's power."""

    def power_off(self, peer: str) -> None: ...


class NotDoneError(Exception):
    """An action did not work; the rest of its decision is dropped."""


@dataclass
class Hands:
    """The effects; what they leave for the next look is in `memory`."""

    me: Me
    config: AgentConfig
    memory: Memory
    database: MariaDb
    etcd: Etcd | None
    peer: PeerClient | None
    mover: Mover
    fence: Fence
    addresses: Addresses
    beat: Beat
    now: Callable[[], float]
    reseed: Callable[[], None]
    prepared: str | None = None
    tried: str | None = None
    failed_starts: int = 0
    powered_off: bool = False
    reseeding: bool = False
    wish_done: Callable[[], None] = lambda: None
    _fencing: threading.Lock = field(default_factory=threading.Lock)

    def do(self, action: Action) -> None:
        """One action. Raises NotDoneError, DatabaseError, OSError, subprocess errors."""
        if isinstance(action, Swap):
            self._swap(action)
        else:
            self._effects()[action]()

    def _effects(self) -> dict[Do, Callable[[], object]]:
        return {
            Do.START_MASTER: lambda: self.database.start("MASTER"),
            Do.START_SLAVE: lambda: self.database.start("SLAVE"),
            Do.FENCE: self.fence_off,
            Do.UNFENCE: lambda: self._gate(""),
            Do.RENEW: self._renew,
            Do.ASK_PROMISE: self._ask_promise,
            Do.WAIT_FOR_BACKUP: lambda: self.database.semi_sync(True),
            Do.GO_ON_ALONE: lambda: self.database.semi_sync(False),
            Do.KICK_STRANGERS: lambda: self.database.kick_strangers(self.me.peer_ip),
            Do.STOP_RECEIVING: self.database.stop_io,
            Do.START_RECEIVING: self.database.start_io,
            Do.STOP_FOLLOWING: self._stop_following,
            Do.FOLLOW: lambda: self.database.follow(self.me.peer_ip, self.config.replication_password, demote=True),
            Do.STAMP: self._stamp,
            Do.OPEN: self.database.open,
            Do.PREPARE: self._prepare,
            Do.BEAT: lambda: self.beat.start(self.database.instance()),
            Do.STOP_BEAT: self._stop_beat,
            Do.REJECT: lambda: self._gate("reject"),
            Do.CLOSE: self._close,
            Do.FORWARD: lambda: self._gate("forward"),
            Do.TAKE_ADDRESS: self.addresses.take,
            Do.DROP_ADDRESS: self.addresses.drop,
            Do.RESEED: self._reseed,
            Do.POWER_OFF_PEER: self._power_off_peer,
            Do.WISH_DONE: lambda: self.wish_done(),
        }

    def fence_off(self) -> None:
        """The database is dead and nobody reaches it; a process that cannot be killed takes the host with it.

        The blow comes first: after a thaw systemd's watchdog may end this agent at any moment.
        """
        with self._fencing:
            self.database.service.strike()
            self.beat.forget()
            try:
                self._gate("drop")
            except FenceError as error:
                log.error("clients are not kept out, mariadbd is killed all the same: %s", error)
            if not self.database.kill():
                log.critical("mariadbd cannot be killed: rebooting this host")
                reboot_hard()
            self.addresses.drop()

    def _gate(self, gate: str) -> None:
        if gate == "drop":
            self.fence.drop()
        elif gate == "reject":
            self.fence.reject()
        elif gate == "forward":
            self.fence.forward(self.me.peer_ip)
        else:
            self.fence.clear()
        self.memory.gate = gate  # type: ignore[assignment]
        self.addresses.watch(gate in ("reject", "forward", "drop"))

    def _renew(self) -> None:
        """Never an error: a lease that is not renewed runs out, and that is decided on elsewhere."""
        view, sent = self.memory.view, self.now()
        if self.etcd is None or view is None:
            return
        try:
            if self.etcd.renew(view.record_revision, f"{self.me.name} {sent:.3f}", ETCD_TIMEOUT):
                self.memory.lease_from = sent
        except EtcdError as error:
            log.debug("not renewed: %s", error)

    def _ask_promise(self) -> None:
        sent = self.now()
        if self.peer is None:
            return
        try:
            if self.peer.promise(self.me.takeover_after, PEER_TIMEOUT):
                self.memory.promise_from = sent
        except PeerError as error:
            log.debug("no promise: %s", error)

    def _swap(self, swap: Swap) -> None:
        """The view follows only by a read: what was asked for is not what is."""
        if self.etcd is None:
            raise NotDoneError("there is no record to change")
        view = self.memory.view or View(None, 0, "", 0)
        record = swap.record if swap.record.cluster else replace(swap.record, cluster=str(uuid.uuid4()))
        self.memory.doubt = "write"
        self.memory.save()
        try:
            done = self.etcd.swap(
                record, view.record_revision, ETCD_TIMEOUT, view.alive_revision if swap.alive else None
            )
        except EtcdError as error:
            raise NotDoneError(f"whether the record changed is not known: {error}") from None
        self.memory.doubt = "read"
        if not done:
            raise NotDoneError("somebody else changed the record first")
        if record.holder == self.me.peer:
            self._wake_peer()

    def _wake_peer(self) -> None:
        if self.peer is not None:
            try:
                self.peer.wake(PEER_TIMEOUT)
            except PeerError:
                log.debug("the other member looks once a second anyway")

    def _stamp(self) -> None:
        """A new database has no table for it yet."""
        record = self._record()
        if self.database.status().cluster is None:
            self.database.prepare()
        self.database.stamp(record.cluster, record.epoch)

    def _record(self) -> Record:
        if self.memory.view is None or self.memory.view.record is None:
            raise NotDoneError("there is no record")
        return self.memory.view.record

    def _stop_beat(self) -> None:
        if not self.beat.stop():
            raise NotDoneError("a sign of life still waits for the backup")

    def _close(self) -> None:
        self.database.close()
        self.database.drop_clients()

    def _stop_following(self) -> None:
        """Readers that came while this was the backup go where the backup is now."""
        self.database.drop_clients()
        self.database.stop_following()

    def _prepare(self) -> None:
        """Beside the loop: its statements wait for the backup as all do."""
        instance = self.database.instance()
        if self.tried == instance:
            return
        self.tried = instance
        threading.Thread(target=self._prepare_now, args=(instance,), name="prepare", daemon=True).start()

    def _prepare_now(self, instance: str | None) -> None:
        try:
            self.database.prepare()
            self.prepared = instance
        except DatabaseError as error:
            log.warning("schema and users were not brought up to date: %s", error)
            self.tried = None

    def _reseed(self) -> None:
        if self.reseeding:
            return
        self.reseeding = True
        threading.Thread(target=self._reseed_now, name="reseed", daemon=True).start()

    def _reseed_now(self) -> None:
        try:
            self.reseed()
            self.failed_starts = 0
        except (DatabaseError, ReseedError, PeerError, OSError) as error:
            log.error("this member could not be filled again: %s", error)
        finally:
            self.reseeding = False

    def _power_off_peer(self) -> None:
        self.mover.power_off(self.me.peer)
        self.powered_off = True


def not_done(action: Action, error: Exception) -> str:
    """The sentence for an action that did not work."""
    name = "change the record" if isinstance(action, Swap) else action.name.lower().replace("_", " ")
    return f"could not {name}, trying again: {error}"
