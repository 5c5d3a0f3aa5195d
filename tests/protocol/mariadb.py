"""MariaDB as dangerous as it is: the facts of the failover design, and only what they need.

One domain of GTIDs, one row a transaction, and what a crash leaves of it. A disk outlives its server.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from failover.mariadb import DatabaseError, Replica, Status
from tests.protocol.world import Host, Network, Process, Steps, Stream

FLUSHED_AFTER = 1.0
"""Seconds within which InnoDB forgets in a crash that a transaction was committed; it is in doubt then."""

NOTICED_AFTER = 6.0
"""slave_net_timeout."""

CONNECT_RETRY = 1.0
CHUNK = 5
"""Transactions of a backlog that are sent together."""

DIVERGED, OUT_OF_ORDER = 1236, 1950


class Gtid(NamedTuple):
    server: int
    sequence: int

    def __str__(self) -> str:
        return f"0-{self.server}-{self.sequence}" if self.sequence else ""


NOTHING = Gtid(0, 0)


@dataclass(frozen=True)
class Transaction:
    """What is replicated; two of the same GTID need not be the same."""

    gtid: Gtid
    row: str
    stamp: tuple[str, int] | None = None


@dataclass
class Entry:
    """A transaction in the binary log; `committed_at` is None while it waits or is in doubt."""

    transaction: Transaction
    replicated: bool
    committed_at: float | None = None


@dataclass
class Disk:
    """What a server leaves: the log, of which a prefix is the table, and the position as a replica."""

    log: list[Entry] = field(default_factory=list)
    committed: int = 0
    purged: int = 0
    forgettable: int = 0
    stamps: list[tuple[int, tuple[str, int]]] = field(default_factory=list)
    slave_position: Gtid = NOTHING
    master: str | None = None

    def rows(self) -> list[str]:
        return [entry.transaction.row for entry in self.log[: self.committed]]

    def last(self) -> Gtid:
        return self.log[-1].transaction.gtid if self.log else NOTHING

    def append(self, entry: Entry) -> None:
        self.log.append(entry)
        if entry.transaction.stamp:
            self.stamps.append((len(self.log), entry.transaction.stamp))

    def crash(self, now: float) -> None:
        """How many transactions may be in doubt although they were committed."""
        self.forgettable = 0
        for entry in reversed(self.log[max(0, self.committed - 100) : self.committed]):
            if entry.committed_at is None or entry.committed_at < now - FLUSHED_AFTER:
                break
            self.forgettable += 1

    def stamp(self) -> tuple[str, int] | None:
        return next((stamp for sequence, stamp in reversed(self.stamps) if sequence <= self.committed), None)

    def recover(self, role: str, forgotten: int) -> None:
        """MASTER commits what is in doubt (fact 1); SLAVE truncates it, acknowledged or not (fact 2)."""
        if role == "MASTER":
            self.committed = len(self.log)
            return
        kept = max(0, self.committed - forgotten)
        del self.log[kept:]
        self.stamps = [(sequence, stamp) for sequence, stamp in self.stamps if sequence <= kept]
        self.committed = kept
        replicated = [entry.transaction.gtid for entry in self.log if entry.replicated]
        last = replicated[-1] if replicated else NOTHING
        self.slave_position = max(last, min(self.slave_position, self.last(), key=_sequence), key=_sequence)


def _sequence(gtid: Gtid) -> int:
    return gtid.sequence


class Dump:
    """A replication connection as its two ends see it. The first thing that the replica hears is None: a welcome."""

    def __init__(self, network: Network, master: Database, replica: Database | Stranger, semi_sync: bool, number: int):
        self.replica = replica
        self.semi_sync = semi_sync
        self.number = number
        self.at_master = True
        where = replica.where
        self.down = Stream(network, master.name, where, lambda batch: replica.receive(self, batch), replica.is_stuck)
        self.up = Stream(
            network, where, master.name, lambda sequence: master.acknowledge(self, sequence), master.is_stopped
        )

    def break_off(self) -> None:
        self.down.close()
        self.up.close()


class Stranger:
    """Another server that replicates, and acknowledges although nobody should have let it (fact 9)."""

    def __init__(self, network: Network, where: str) -> None:
        self.name = "stranger"
        self.where = where
        self.number = 9
        self.dump: Dump | None = None

    def receive(self, dump: Dump, batch: list[Transaction] | None) -> None:
        if batch:
            dump.up.send(batch[-1].gtid.sequence)

    def is_stopped(self) -> bool:
        return False

    def is_stuck(self) -> bool:
        return False

    def cut_off(self, dump: Dump) -> None:
        self.dump = None


Done = Callable[[bool], None]


class Database:
    """One server. `acknowledged` is told of every commit of a client in the moment it is released, `began` of every
    start and its role."""

    def __init__(
        self,
        host: Host,
        network: Network,
        number: int,
        acknowledged: Callable[[Database, str], None],
        began: Callable[[Database, str], None],
    ) -> None:
        self.host = host
        self.world = host.world
        self.network = network
        self.name = self.where = host.name
        self.number = number
        self.acknowledged = acknowledged
        self.began = began
        self.disk = Disk()
        self.peers: dict[str, Database] = {}
        self.process: Process | None = None
        self.full = False
        self.apply_delay = 0.001
        self.starts = 0
        self.dumps: list[Dump] = []
        self.dump: Dump | None = None
        self.instance: str | None = None
        self.io = "No"
        self.generation = 0
        self._connection = 0
        self._die()

    # What the agent does and sees

    def start(self, role: str) -> None:
        """Takes a while; then it is up, read-only, and its threads as a replica are stopped."""
        if self.process is not None:
            return
        self._die()
        process = self.process = Process(self.host)
        process.at_power_cut = self._lose_power
        self.starts += 1
        self.instance = f"{self.name}{self.starts}"
        self.starting = True
        process.spawn(self._starting(role))
        self.began(self, role)

    def kill(self, why: str = "SIGKILL") -> None:
        """The kernel closes its connections, unless it is the machine that dies."""
        if self.process is None:
            return
        self.world.say(self.name, "mariadbd dies:", why)
        crashed, self.process = self.process, None
        crashed.kill()
        if not self.starting:
            self.disk.crash(self.world.now)
        for dump in list(self.dumps):
            self._tell(dump.replica.where, dump.replica.cut_off, dump)
        if self.dump is not None:
            master = self.peers[self.disk.master or ""]
            self._tell(master.name, master.forget, self.dump)
        self._die()

    def shut_down(self) -> None:
        """SIGTERM: what waits is committed, and nobody is told (fact 4)."""
        self.disk.recover("MASTER", 0)
        self.waiting.clear()
        for entry in self.disk.log:
            entry.committed_at = 0.0
        self.kill("shut down")

    def status(self) -> Status | None:
        """None while it does not answer."""
        if self.process is None or self.starting or self.process.stopped:
            return None
        disk = self.disk
        last = disk.last()
        stamp = disk.stamp()
        return Status(
            read_only=self.read_only,
            semi_sync_on=self.semi_sync_on,
            semi_sync_clients=sum(dump.semi_sync for dump in self.dumps),
            replica=self._replica(),
            semi_sync_waiting=len(self.waiting) if self.semi_sync_on else 0,
            acknowledging=self.io == "Yes" and self.acknowledging,
            binlog_gtid=str(last),
            applied_gtid=str(self._current_position()),
            cluster=stamp[0] if stamp else None,
            epoch=stamp[1] if stamp else 0,
        )

    def open(self, epoch: int) -> None:
        self._answering()
        self.read_only = False
        self.epoch = epoch

    def close(self) -> None:
        """Raises DatabaseError while a commit waits (fact 4)."""
        self._answering()
        if self.waiting:
            raise DatabaseError("a commit waits for an acknowledgement")
        self.read_only = True

    def drop_clients(self) -> None:
        self.generation += 1

    def semi_sync(self, on: bool) -> None:
        self._answering()
        self.semi_sync_on = on
        if not on:
            self._release(len(self.disk.log))
            for dump in list(self.dumps):
                self._cut(dump)

    def kick_strangers(self, backup: str) -> None:
        self._answering()
        for dump in [dump for dump in self.dumps if dump.replica.name != backup]:
            self._cut(dump)

    def follow(self, master: str) -> None:
        """What was received and not applied is fetched again (fact 11)."""
        self._answering()
        self.semi_sync_on = False
        self._release(len(self.disk.log))
        self._stop_io()
        self.disk.master = master
        self.acknowledging = True
        self.disk.slave_position = max(self.disk.slave_position, self.disk.last(), key=_sequence)
        self._purge_relay_log()
        self.sql, self.error = True, 0
        self.start_io()

    def stop_io(self) -> None:
        self._answering()
        self._stop_io()

    def start_io(self) -> None:
        self._answering()
        if self.disk.master is None:
            raise DatabaseError("no master is known")
        if self.io == "No":
            if not self.sql:
                self._purge_relay_log()
            self.io = "Connecting"
            self.error = 0
            self._connect(self.process, self._connection)

    def stop_following(self) -> None:
        self._answering()
        self._stop_io()
        self.sql = False
        self.disk.master = None
        self.acknowledging = False
        self._purge_relay_log()

    # What clients and other servers do

    def commit(self, row: str, done: Done, root: bool = False, stamp: tuple[str, int] | None = None) -> None:
        """One transaction. `done` hears False when it is refused, True when it is acknowledged, nothing after a crash.

        AFTER_SYNC: it is in the binary log, sent, and waits; only then it is in the table and acknowledged.
        """
        if self.process is None or self.starting:
            return done(False)
        if self.process.stopped:
            return self.process.park(lambda: self.commit(row, done, root, stamp))
        if (self.read_only and not root) or self.full:
            return done(False)
        sequence = len(self.disk.log) + 1
        transaction = Transaction(Gtid(self.number, sequence), row, stamp)
        self.disk.append(Entry(transaction, replicated=False))
        self.waiting.append((sequence, row, done, root))
        self._publish(transaction)
        if not self.semi_sync_on:
            self._release(sequence)
        return None

    def receive(self, dump: Dump, batch: list[Transaction] | None) -> None:
        """From the master; into the relay log and acknowledged, not yet applied."""
        if self.process is None:
            return
        if batch is None:
            self._welcome(self.process, dump)
            return
        if dump is not self.dump:
            return
        self.relay.extend(batch)
        self.received = batch[-1].gtid
        if self.acknowledging:
            dump.up.send(self.received.sequence)
        self._apply_soon()

    def acknowledge(self, dump: Dump, sequence: int) -> None:
        """From a replica: everything up to there is received."""
        if self.process is not None and dump in self.dumps and self.semi_sync_on and dump.semi_sync:
            self._release(sequence)

    def serve(self, replica: Database | Stranger, position: Gtid, semi_sync: bool, number: int = 0) -> Dump | int:
        """A replica connects: its connection, on which what it has not follows, or the number of the error."""
        log = self.disk.log
        if not self.disk.purged <= position.sequence <= len(log):
            return DIVERGED
        if position.sequence and log[position.sequence - 1].transaction.gtid != position:
            return DIVERGED
        for old in [dump for dump in self.dumps if dump.replica.number == replica.number]:
            self._cut(old)
        dump = Dump(self.network, self, replica, semi_sync, number)
        self.dumps.append(dump)
        dump.down.send(None)
        backlog = [entry.transaction for entry in log[position.sequence :]]
        for start in range(0, len(backlog), CHUNK):
            dump.down.send(backlog[start : start + CHUNK])
        return dump

    def is_stopped(self) -> bool:
        return self.process is not None and self.process.stopped

    def is_stuck(self) -> bool:
        """It cannot write what it receives."""
        return self.full or self.is_stopped()

    def forget(self, dump: Dump) -> None:
        """The replica's connection has ended."""
        dump.at_master = False
        if dump in self.dumps:
            self.dumps.remove(dump)

    def cut_off(self, dump: Dump) -> None:
        """The master has ended the connection: try again."""
        if self.process is not None and dump is self.dump:
            self._lose_connection()

    @property
    def answers(self) -> bool:
        return self.process is not None and not self.starting and not self.process.stopped

    def has(self) -> set[str]:
        """Every row that is in the table or will be by itself."""
        rows = {entry.transaction.row for entry in self.disk.log}
        rows.update(transaction.row for transaction in self.relay)
        return rows

    # Inside

    def _die(self) -> None:
        self.instance = None
        self.starting = False
        self.read_only = True
        self.epoch = 0
        self.semi_sync_on = False
        self.acknowledging = False
        self.generation = self.generation + 1
        self.waiting: deque[tuple[int, str, Done, bool]] = deque()
        for dump in self.dumps:
            dump.at_master = False
        self.dumps.clear()
        self.dump = None
        self.io = "No"
        self.sql = False
        self.error = 0
        self.relay: deque[Transaction] = deque()
        self.received = NOTHING
        self.heard_at = 0.0
        self._applying = False
        self._connection = self._connection + 1

    def _starting(self, role: str) -> Steps:
        yield self.world.between(0.2, 1.0) if self.world.random() < 0.9 else self.world.between(1.0, 8.0)
        forgettable, self.disk.forgettable = self.disk.forgettable, 0
        self.disk.recover(role, self.world.rng.randint(0, forgettable))
        self.world.say(self.name, f"mariadbd is up, {role}, {self.disk.last() or 'empty'}")
        self._purge_relay_log()
        self.starting = False

    def _answering(self) -> None:
        if not self.answers:
            raise DatabaseError("mariadbd does not answer")

    def _current_position(self) -> Gtid:
        last = self.disk.last()
        own = last.server == self.number and last.sequence > self.disk.slave_position.sequence
        return last if own else self.disk.slave_position

    def _replica(self) -> Replica | None:
        if self.disk.master is None:
            return None
        lag = 0.0 if len(self.relay) < 2 else self.apply_delay * len(self.relay)
        return Replica(
            io_running=self.io == "Yes",
            sql_running=self.sql,
            error=f"error {self.error}" if self.error else "",
            error_number=self.error,
            master_ip=self.disk.master,
            received_gtid=str(self.received),
            delay=lag if self.io == "Yes" and self.sql else None,
            io_stopped=self.io == "No",
        )

    def _publish(self, transaction: Transaction) -> None:
        for dump in self.dumps:
            dump.down.send([transaction])

    def _release(self, up_to: int) -> None:
        """Commits are in the order of the log."""
        while self.waiting and self.waiting[0][0] <= up_to:
            sequence, row, done, root = self.waiting.popleft()
            entry = self.disk.log[sequence - 1]
            entry.committed_at = self.world.now
            self.disk.committed = sequence
            if not root:
                self.acknowledged(self, row)
            done(True)

    def _cut(self, dump: Dump) -> None:
        self.forget(dump)
        self._tell(dump.replica.where, dump.replica.cut_off, dump)

    def _lose_power(self) -> None:
        self.process = None
        if not self.starting:
            self.disk.crash(self.world.now)
        self._die()

    def _tell(self, other: str, hear: Callable[[Dump], None], dump: Dump) -> None:
        """This end closes; the other end hears of it if the network lets it."""
        self.network.send(self.name, other, lambda: hear(dump))

    def _purge_relay_log(self) -> None:
        self.relay.clear()
        self.received = self._current_position() if self.disk.master is None else self.disk.slave_position

    def _stop_io(self) -> None:
        self._connection += 1
        self.io = "No"
        if self.dump is not None:
            master, dump = self.peers[self.disk.master or ""], self.dump
            dump.down.close()
            self.dump = None
            self._tell(master.name, master.forget, dump)

    def _lose_connection(self) -> None:
        if self.dump is not None:
            self.dump.break_off()
        self.dump = None
        self.io = "Connecting"
        self._connection += 1
        process, connection = self.process, self._connection
        self.world.after(CONNECT_RETRY, lambda: self._connect(process, connection))

    def _is_current(self, process: Process | None, connection: int) -> bool:
        return process is not None and process is self.process and process.alive and connection == self._connection

    def _connect(self, process: Process | None, connection: int) -> None:
        if not self._is_current(process, connection):
            return
        master = self.peers[self.disk.master or ""]
        self.network.send(self.name, master.name, lambda: self._greeted(master, process, connection))
        self.world.after(CONNECT_RETRY + self.world.random(), lambda: self._connect(process, connection))

    def _greeted(self, master: Database, process: Process | None, connection: int) -> None:
        """The master looks at the position; its answer travels back."""
        if self._is_current(process, connection) and self.io == "Connecting" and master.answers:
            served = master.serve(self, self.received, self.acknowledging, connection)
            if isinstance(served, int):
                self.network.send(master.name, self.name, lambda: self._refused(process, connection, served))

    def _refused(self, process: Process | None, connection: int, error: int) -> None:
        if self._is_current(process, connection):
            self.error, self.io = error, "No"

    def _welcome(self, process: Process, dump: Dump) -> None:
        if self.io == "Connecting" and self._is_current(process, dump.number):
            self.dump, self.io, self.heard_at = dump, "Yes", self.world.now
            self._connection += 1
            self._listen(process, dump)

    def _listen(self, process: Process, dump: Dump) -> None:
        """Once a second: the master's heartbeats come, or have not come for too long."""
        if process is not self.process or dump is not self.dump:
            return
        master = self.peers[self.disk.master or ""]
        if master.answers and dump.at_master and self.network.both_ways(self.name, master.name):
            self.heard_at = self.world.now
        if self.world.now - self.heard_at > NOTICED_AFTER and not process.stopped:
            self._lose_connection()
        else:
            self.world.after(1.0, lambda: self._listen(process, dump))

    def _apply_soon(self) -> None:
        if not self._applying and self.relay and self.sql:
            self._applying = True
            process = self.process
            self.world.after(self.apply_delay * (0.5 + self.world.random()), lambda: self._apply(process))

    def _apply(self, process: Process | None) -> None:
        if process is None or process is not self.process:
            return
        if process.stopped:
            process.park(lambda: self._apply(process))
            return
        self._applying = False
        if not self.relay or not self.sql:
            return
        if self.full:
            self._applying = True
            self.world.after(1.0, lambda: self._apply(process))
            return
        transaction = self.relay.popleft()
        if transaction.gtid.sequence != len(self.disk.log) + 1:
            self.sql, self.error = False, OUT_OF_ORDER
            return
        self.disk.append(Entry(transaction, replicated=True, committed_at=self.world.now))
        self.disk.committed = len(self.disk.log)
        self.disk.slave_position = transaction.gtid
        self._publish(transaction)
        self._apply_soon()
