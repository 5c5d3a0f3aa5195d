"""A database host with its agent: the real decisions and the real memory, in virtual time.

What agent.py and hands.py do with threads, sockets and deadlines is done here in the same order with the model's
database, quorum, cloud and peer. /run outlives the agent and not the host.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from failover.facts import Action, Decision, Do, Me, Report, Seen, State, Swap, Wish, fence_at
from failover.mariadb import DatabaseError, Status
from failover.memory import Memory
from failover.record import View
from tests.protocol.cloud import API, Cloud
from tests.protocol.mariadb import Database, Disk, Entry
from tests.protocol.quorum import REFUSED, Operation, Quorum
from tests.protocol.world import Future, Host, Network, Process, Steps, World

Decide = Callable[[Me, State, Seen, float], Decision]

TICK = 1.0
SOON = 0.1
NEWS = 0.3
ETCD_TIMEOUT = 1.0
ETCD_PATIENCE = 0.4
PEER_TIMEOUT = 0.5
LOOK_TIMEOUT = 1.0
DATABASE_DEADLINE = 3.0
CLOSE_DEADLINE = 1.0
BEAT_EVERY = 1.0
WISH_LASTS = 60.0
LEAVING_LASTS = 60.0
RECHECK, WATCH = 15.0, 1.0
FREE, USED = 1 << 40, 1 << 30
WALL = 1.7e9


class NotDoneError(Exception):
    """An action did not work; the rest of its decision is dropped."""


@dataclass
class Beat:
    """As in beat.py."""

    at: float | None = None
    on: bool = False
    running: bool = False
    writing: bool = False
    instance: str | None = None
    count: int = 0


@dataclass
class Run:
    """What one run of the agent knows and a restart forgets."""

    process: Process
    changed_at: float
    answered_at: float
    started_at: float = 0.0
    instance: str | None = None
    peer: Report | None = None
    peer_at: float = -1e9
    routed: str | None = None
    wants_address: bool = False
    asked: Wish | None = None
    asked_until: float = 0.0
    failed_starts: int = 0
    prepared: str | None = None
    tried: str | None = None
    powered_off: bool = False
    reseeding: bool = False
    deciding: bool = False
    decision: Decision = field(default_factory=lambda: Decision(State(), (), ""))
    seen: Seen = field(default_factory=Seen)
    beat: Beat = field(default_factory=Beat)
    wake: Future = field(default_factory=Future)
    address_wake: Future = field(default_factory=Future)
    promises: list[Callable[[], None]] = field(default_factory=list)


class Member:
    """One of the two; `opened` hears when something may have become writable, `decided` when a round is over."""

    lease_guard: ClassVar[bool] = True

    def __init__(
        self,
        me: Me,
        host: Host,
        network: Network,
        quorum: Quorum,
        cloud: Cloud,
        database: Database,
        decide: Decide,
        opened: Callable[[Member], None],
        decided: Callable[[Member], None],
    ) -> None:
        self.me = me
        self.name = me.name
        self.host = host
        self.world: World = host.world
        self.network = network
        self.quorum = quorum
        self.cloud = cloud
        self.database = database
        self.decide = decide
        self.opened = opened
        self.decided = decided
        self.peer: Member = self
        self.memory = Memory()
        self.installed = False
        self.has_address = False
        self.quarantined: list[Disk] = []
        self.run: Run | None = None
        self.slow_hands = 0.0
        self.hooks: list[Callable[[str], None]] = []
        self._saved = Memory()
        self._endpoints = [me.name, *(name for name in ("A", "B", "W") if name != me.name)]
        self._guard_at: float | None = None

    # Life

    def boot(self) -> None:
        """The host has power again: /run is empty, the address is not here, mariadbd is not running."""
        self.host.on = True
        self.memory = Memory()
        self._saved = Memory()
        self.has_address = False
        self.start_agent()

    def start_agent(self) -> None:
        if self.run is not None or not self.host.on:
            return
        process = Process(self.host)
        process.at_power_cut = self._gone
        process.resumed_at = self.world.now
        now = self.host.clock()
        self.memory = _reloaded(self._saved)
        self._guard_at = None
        self.run = Run(process, now, now)
        process.spawn(self._loop(self.run))
        process.spawn(self._listen(self.run))
        process.spawn(self._watch_record(self.run))
        process.spawn(self._addresses(self.run))
        self._arm_guard()

    def kill_agent(self) -> None:
        """mariadbd goes on."""
        if self.run is not None:
            self.world.say(self.name, "agent killed")
            self.run.process.kill()
            self._gone()

    def ask(self, wish: Wish) -> None:
        if self.run is not None:
            self.world.say(self.name, "asked for", wish.name)
            self.run.asked, self.run.asked_until = wish, self.host.clock() + WISH_LASTS
            self.run.wake.resolve(True)

    def heal(self) -> None:
        """Whatever was stopped or full goes on."""
        self.slow_hands = 0.0
        self.hooks.clear()
        self.database.full = False
        self.database.apply_delay = 0.001
        for process in (self.run.process if self.run else None, self.database.process):
            if process is not None and process.paused:
                process.resume()

    @property
    def writable(self) -> bool:
        """Somebody could write here now."""
        database = self.database
        return self.host.runs and database.answers and not database.read_only and self.memory.gate != "drop"

    def _gone(self) -> None:
        self.run = None

    def _save(self) -> None:
        self._saved = replace(self.memory)

    # The loop

    def _loop(self, run: Run) -> Steps:
        while True:
            began = self.host.clock()
            decision = yield from self._step(run)
            pause = SOON if decision.soon else max(SOON, began + TICK - self.host.clock())
            run.wake = Future()
            yield run.wake, pause

    def _step(self, run: Run) -> Steps:
        yield from self._read_record(run)
        at = self.host.clock()
        instance, starting = self.database.instance, self.database.starting
        status = (yield from self._status(LOOK_TIMEOUT)) if instance and not starting else None
        self._account(run, instance, status, at)
        run.deciding = True
        run.seen = self._seen(run, instance, starting, status, at)
        decision = self.decide(self.me, self.memory.state, run.seen, self.host.clock())
        self._say(run, decision)
        yield from self._act(decision)
        run.deciding = False
        promises, run.promises = run.promises, []
        for promise in promises:
            promise()
        self._save()
        self.decided(self)
        return decision

    def _say(self, run: Run, decision: Decision) -> None:
        if self.world.story is not None and decision.sentence != run.decision.sentence:
            self.world.say(self.name, "*", decision.sentence, "!" if decision.alarm else "")
        run.decision = decision

    def _read_record(self, run: Run) -> Steps:
        sent = self.host.clock()
        view = yield from self._etcd(Quorum.read)
        if view is None:
            return
        if self.memory.doubt == "write":
            sent = self.host.clock()
            view = yield from self._overtake(view)
            if view is None:
                return
        known = self.memory.view
        if known is None or _revisions(known) != _revisions(view):
            run.changed_at = self.host.clock()
        self.memory.learn(view, sent)
        self._arm_guard()

    def _overtake(self, view: View) -> Steps:
        """A change that may still be on its way comes to nothing after this one."""
        if view.record is not None:
            record, revision = view.record, view.record_revision
            if not (yield from self._etcd(lambda quorum: quorum.swap(record, revision, None))):
                return None
        self.memory.doubt = "read"
        return (yield from self._etcd(Quorum.read))

    def _account(self, run: Run, instance: str | None, status: Status | None, at: float) -> None:
        if instance != run.instance:
            if run.instance is not None and run.answered_at < run.started_at:
                run.failed_starts += 1
            run.started_at = at
            if instance is None:
                self._forget_beat(run)
            run.instance = instance
            self._arm_guard()
        if status is not None:
            run.answered_at = at
            run.failed_starts = 0

    def _seen(self, run: Run, instance: str | None, starting: bool, status: Status | None, at: float) -> Seen:
        memory = self.memory
        return Seen(
            installed=self.installed,
            aside=not self.installed and bool(self.quarantined),
            view=memory.view,
            view_at=memory.view_at,
            doubt=memory.doubt != "",
            changed_at=run.changed_at,
            lease_from=memory.lease_from,
            promise_from=memory.promise_from,
            promised_until=memory.promised_until,
            instance=instance,
            starting=starting,
            failed_starts=run.failed_starts,
            database=status,
            answered_at=run.answered_at,
            beat_at=run.beat.at,
            peer=run.peer,
            peer_at=run.peer_at,
            has_address=self.has_address,
            has_some=self.has_address,
            routed=run.routed,
            fenced=memory.gate == "drop",
            rejecting=memory.gate == "reject",
            forwarding=memory.gate == "forward",
            prepared=instance is not None and run.prepared == instance,
            reseeding=run.reseeding,
            free_bytes=0 if self.database.full else FREE,
            used_bytes=USED,
            wish=run.asked if at < run.asked_until else None,
            powered_off=run.powered_off,
            wall=WALL + self.world.now,
        )

    def _act(self, decision: Decision) -> Steps:
        state = self.memory.state
        for action in decision.actions:
            for hook in self.hooks:
                hook("SWAP" if isinstance(action, Swap) else action.name)
            try:
                yield from self._do(action)
            except (NotDoneError, DatabaseError) as error:
                self.world.say(self.name, f"could not {getattr(action, 'name', 'swap')}: {error}")
                return
        if self.memory.state is state:
            self.memory.state = decision.state

    # The hands

    def _do(self, action: Action) -> Steps:
        if self.slow_hands and self.world.random() < 0.3:
            yield self.world.between(0.0, self.slow_hands)
        if isinstance(action, Swap):
            yield from self._swap(action)
        elif action in ORDERS:
            yield from self._order(ORDERS[action])
        else:
            yield from EFFECTS[action](self)

    def _order(self, order: Callable[[Member], None]) -> Steps:
        """To the database; it may have ended or not answer."""
        if self.database.process is None:
            raise DatabaseError("mariadbd is not running")
        yield self.world.between(0.001, 0.01)
        if not self.database.answers:
            yield DATABASE_DEADLINE
            raise DatabaseError("mariadbd does not answer")
        order(self)

    def _swap(self, swap: Swap) -> Steps:
        view = self.memory.view or View(None, 0, "", 0)
        record = swap.record if swap.record.cluster else replace(swap.record, cluster=f"pair-of-{self.name}")
        self.memory.doubt = "write"
        self._save()
        self._arm_guard()
        alive = view.alive_revision if swap.alive else None
        self.world.say(self.name, f"asks for epoch {record.epoch} {record.holder} {record.mode} {record.gtid}")
        done = yield from self._etcd(lambda quorum: quorum.swap(record, view.record_revision, alive))
        if done is None:
            raise NotDoneError("whether the record changed is not known")
        self.memory.doubt = "read"
        if not done:
            raise NotDoneError("somebody else changed the record first")
        if record.holder == self.peer.name:
            yield from self.network.ask(self.host, self.peer.name, self.peer.serve_wake, PEER_TIMEOUT)

    def _renew(self) -> Steps:
        view, sent = self.memory.view, self.host.clock()
        if view is None:
            return
        word = f"{self.name} {sent:.3f}"
        done = yield from self._etcd(lambda quorum: quorum.renew(view.record_revision, word))
        if done:
            self.memory.lease_from = sent
            self._arm_guard()

    def _ask_promise(self) -> Steps:
        sent = self.host.clock()
        seconds = self.me.takeover_after
        promised = yield from self.network.ask(
            self.host, self.peer.name, lambda answer: self.peer.serve_promise(seconds, answer), PEER_TIMEOUT
        )
        if promised:
            self.memory.promise_from = sent
            self._arm_guard()

    def fence_off(self) -> Steps:
        """Nobody reaches the database and it is dead."""
        run = self._running()
        self._forget_beat(run)
        self.memory.gate = "drop"
        yield 0.005 if self.world.random() < 0.95 else self.world.between(0.1, 1.9)
        self.database.kill("fenced")
        self._drop_address()
        yield 0.001

    def _gate(self, gate: Any) -> Steps:
        yield 0.002
        self.memory.gate = gate
        self._running().address_wake.resolve(True)
        self.opened(self)

    def _open(self) -> None:
        record = self.memory.view.record if self.memory.view else None
        self.database.open(record.epoch if record else 0)
        self.opened(self)

    def _close(self) -> Steps:
        """It waits for commits that wait, but not for long."""
        deadline = self.host.clock() + CLOSE_DEADLINE
        while True:
            try:
                yield from self._order(lambda member: member.database.close())
            except DatabaseError:
                if self.host.clock() > deadline or not self.database.answers:
                    raise
                yield 0.05
            else:
                break
        self.database.drop_clients()

    def _start(self, role: str) -> Steps:
        yield 0.01
        self.installed = True
        self.database.start(role)

    def _take_address(self) -> Steps:
        yield 0.005
        self.has_address = True
        run = self._running()
        if not run.wants_address:
            run.wants_address = True
            run.address_wake.resolve(True)

    def _drop_address_now(self) -> Steps:
        yield 0.005
        self._drop_address()

    def _drop_address(self) -> None:
        self.has_address = False
        if self.run is not None:
            self.run.wants_address = False

    def _power_off_peer(self) -> Steps:
        done = yield from self.network.ask(self.host, API, self.cloud.cut_power(self.peer.name), 10.0)
        if not done:
            raise NotDoneError("the cloud does not answer")
        self._running().powered_off = True

    def _wish_done(self) -> Steps:
        yield 0.0
        self._running().asked = None

    # Writes of the agent itself

    def _stamp(self) -> Steps:
        record = self.memory.view.record if self.memory.view else None
        if record is None:
            raise NotDoneError("there is no record")
        if self.database.disk.stamp() is None:
            yield from self._prepare_now()
        yield from self._write(f"stamp:{record.epoch}:{self.world.now:.3f}", (record.cluster, record.epoch))

    def _write(self, row: str, stamp: tuple[str, int] | None = None) -> Steps:
        """As root: a closed database does not refuse it."""
        done = Future()
        self.database.commit(row, done.resolve, root=True, stamp=stamp)
        committed = yield done, DATABASE_DEADLINE
        if not committed:
            raise DatabaseError("not committed")

    def _prepare(self) -> Steps:
        yield 0.0
        run = self._running()
        if run.tried != self.database.instance:
            run.tried = self.database.instance
            run.process.spawn(self._prepare_beside(run))

    def _prepare_beside(self, run: Run) -> Steps:
        instance = run.tried
        try:
            yield from self._prepare_now()
            run.prepared = instance
        except DatabaseError:
            run.tried = None

    def _prepare_now(self) -> Steps:
        for number in range(2):
            yield self.world.between(0.02, 0.1)
            yield from self._write(f"schema:{self.name}:{number}:{self.world.now:.3f}")

    def _begin_beat(self) -> Steps:
        yield 0.0
        run = self._running()
        beat = run.beat
        if beat.at is None or beat.instance != self.database.instance:
            beat.at, beat.instance = self.host.clock(), self.database.instance
        beat.on = True
        if not beat.running:
            beat.running = True
            run.process.spawn(self._beating(beat))

    def _beating(self, beat: Beat) -> Steps:
        while beat.on:
            began, instance = self.host.clock(), beat.instance
            beat.writing = True
            beat.count += 1
            try:
                yield from self._write(f"beat:{self.name}:{self.world.now:.3f}")
                if instance == beat.instance and beat.at is not None:
                    beat.at = began
            except DatabaseError:
                pass
            beat.writing = False
            yield max(0.01, began + BEAT_EVERY - self.host.clock())
        beat.running = False

    def _stop_beat(self) -> Steps:
        beat = self._running().beat
        beat.on = False
        for _ in range(20):
            if not beat.writing:
                return
            yield 0.05
        raise NotDoneError("a sign of life still waits for the backup")

    def _forget_beat(self, run: Run) -> None:
        run.beat.on = False
        run.beat.at = None

    # Filling again

    def _reseed(self) -> Steps:
        yield 0.0
        run = self._running()
        if not run.reseeding:
            run.reseeding = True
            run.process.spawn(self._reseeding(run))

    def _reseeding(self, run: Run) -> Steps:
        self.database.kill("to be filled again")
        yield 0.1
        self.quarantined.append(self.database.disk)
        self.database.disk = Disk()
        self.installed = False
        yield self.world.between(1.0, 4.0)
        peer = self.peer.database
        if peer.answers and self.network.both_ways(self.name, peer.name):
            self.database.disk = _copy(peer.disk)
            self.installed = True
            run.failed_starts = 0
        run.reseeding = False

    def _watch_record(self, run: Run) -> Steps:
        while True:
            if not self._holds():
                view = yield from self._etcd(Quorum.read)
                if view is not None and (known := self.memory.view) and _revisions(view) != _revisions(known):
                    run.wake.resolve(True)
            yield NEWS

    # The other member

    def _listen(self, run: Run) -> Steps:
        while True:
            began = self.host.clock()
            report = yield from self.network.ask(self.host, self.peer.name, self.peer.serve_report, PEER_TIMEOUT)
            if report is not None:
                run.peer, run.peer_at = report, began
            yield SOON if run.decision.soon else max(0.0, began + TICK - self.host.clock())

    def serve_report(self, answer: Callable[[Any], None]) -> None:
        if self.run is not None:
            self.run.process.spawn(self._reporting(self.run, answer))

    def _reporting(self, run: Run, answer: Callable[[Any], None]) -> Steps:
        status = yield from self._status(LOOK_TIMEOUT / 2)
        fit = self.memory.state.fit
        answer(
            Report(
                name=self.name,
                installed=self.installed,
                database=status,
                fit=fit is not None and fit == run.seen.instance,
                leaving=self.host.clock() - self.memory.state.left_at < LEAVING_LASTS,
                free_bytes=run.seen.free_bytes,
                used_bytes=run.seen.used_bytes,
                sentence=run.decision.sentence,
            )
        )

    def serve_promise(self, seconds: float, answer: Callable[[Any], None]) -> None:
        run = self.run
        if run is None:
            return
        if run.process.stopped:
            run.process.park(lambda: self.serve_promise(seconds, answer))
        elif run.deciding:
            run.promises.append(lambda: self.serve_promise(seconds, answer))
        elif self.memory.state.bid_at is not None or self._holds():
            answer(False)
        else:
            self.memory.promised_until = max(self.memory.promised_until, self.host.clock() + seconds)
            self._save()
            answer(True)

    def _holds(self) -> bool:
        record = self.memory.view.record if self.memory.view else None
        return record is not None and record.holder == self.name

    def serve_wake(self, answer: Callable[[Any], None]) -> None:
        if self.run is not None:
            self.run.wake.resolve(True)
            answer(True)

    # The address

    def _addresses(self, run: Run) -> Steps:
        while True:
            routed = yield from self.network.ask(self.host, API, self.cloud.holders(), 3.0)
            if routed is not None and run.wants_address and routed != self.name:
                routed = yield from self.network.ask(self.host, API, self.cloud.claim(self.name), 10.0)
            run.routed = routed
            closely = self.memory.gate in ("reject", "forward", "drop")
            run.address_wake = Future()
            yield run.address_wake, WATCH if routed is None or closely else RECHECK

    # The guard

    def _arm_guard(self) -> None:
        """At the moment in which the lease ends, whatever the loop is doing."""
        due = self._lease_ends()
        if due is None or self.run is None or due == self._guard_at:
            return
        self._guard_at = due
        self.run.process.spawn(self._guard(self.run, due))

    def _guard(self, run: Run, due: float) -> Steps:
        yield max(0.0, due - self.host.clock())
        if self._guard_at == due:
            self._guard_at = None
        ends = self._lease_ends()
        if not self.lease_guard or ends is None or self.host.clock() < ends or self.run is not run:
            return
        self.world.say(self.name, "guard: the lease has run out: fencing")
        self.memory.state = replace(self.memory.state, fenced_at=self.host.clock(), leaving=None)
        run.instance = None
        yield from self.fence_off()
        run.wake.resolve(True)

    def _lease_ends(self) -> float | None:
        memory, run = self.memory, self.run
        if run is None:
            return None
        return fence_at(
            self.me,
            Seen(
                view=memory.view,
                doubt=memory.doubt != "",
                lease_from=memory.lease_from,
                promise_from=memory.promise_from,
                instance=run.instance,
            ),
        )

    # Below

    def _running(self) -> Run:
        if self.run is None:
            raise NotDoneError("the agent has ended")
        return self.run

    def _status(self, seconds: float) -> Steps:
        yield self.world.between(0.001, 0.005)
        if self.database.process is not None and not self.database.answers:
            yield seconds
        return self.database.status()

    def _etcd(self, operation: Operation) -> Steps:
        """The first answer of a member; None when there was none in time."""
        deadline = self.host.clock() + ETCD_TIMEOUT
        patience = ETCD_PATIENCE
        while True:
            for member in tuple(self._endpoints):
                left = deadline - self.host.clock()
                if left <= 0:
                    return None
                serve = self.quorum.serve(member, operation)
                answer = yield from self.network.ask(self.host, member, serve, min(patience, left))
                if answer is not None and answer is not REFUSED:
                    self._endpoints.sort(key=lambda name: name != member)
                    return answer
            yield 0.02
            patience *= 2


def _revisions(view: View) -> tuple[int, int]:
    return view.alive_revision, view.record_revision


def _reloaded(memory: Memory) -> Memory:
    return replace(memory, state=replace(memory.state, joined=None, waiting_from=None))


def _copy(disk: Disk) -> Disk:
    """A backup's copy: the table and its position; the log before it is not there."""
    entries = [Entry(entry.transaction, True, -1e9) for entry in disk.log[: disk.committed]]
    last = entries[-1].transaction.gtid if entries else disk.slave_position
    stamps = [stamp for stamp in disk.stamps if stamp[0] <= disk.committed]
    return Disk(entries, len(entries), len(entries), stamps=stamps, slave_position=last)


ORDERS: dict[Do, Callable[[Member], None]] = {
    Do.WAIT_FOR_BACKUP: lambda member: member.database.semi_sync(True),
    Do.GO_ON_ALONE: lambda member: member.database.semi_sync(False),
    Do.KICK_STRANGERS: lambda member: member.database.kick_strangers(member.peer.name),
    Do.STOP_RECEIVING: lambda member: member.database.stop_io(),
    Do.START_RECEIVING: lambda member: member.database.start_io(),
    Do.STOP_FOLLOWING: lambda member: member.database.stop_following(),
    Do.FOLLOW: lambda member: member.database.follow(member.peer.name),
    Do.OPEN: lambda member: member._open(),
}

EFFECTS: dict[Do, Callable[[Member], Steps]] = {
    Do.START_MASTER: lambda member: member._start("MASTER"),
    Do.START_SLAVE: lambda member: member._start("SLAVE"),
    Do.FENCE: lambda member: member.fence_off(),
    Do.UNFENCE: lambda member: member._gate(""),
    Do.RENEW: Member._renew,
    Do.ASK_PROMISE: Member._ask_promise,
    Do.STAMP: Member._stamp,
    Do.PREPARE: Member._prepare,
    Do.BEAT: Member._begin_beat,
    Do.STOP_BEAT: Member._stop_beat,
    Do.REJECT: lambda member: member._gate("reject"),
    Do.CLOSE: Member._close,
    Do.FORWARD: lambda member: member._gate("forward"),
    Do.TAKE_ADDRESS: Member._take_address,
    Do.DROP_ADDRESS: Member._drop_address_now,
    Do.RESEED: Member._reseed,
    Do.POWER_OFF_PEER: Member._power_off_peer,
    Do.WISH_DONE: Member._wish_done,
}
