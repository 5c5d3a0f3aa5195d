"""The agent's hold on mariadbd: starts and stops it, and talks to it as root over the socket, with deadlines."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pymysql

from failover.unit import Unit, UnitError

UNIT = "m2-mariadbd.service"
DEFAULTS = Path("/etc/m2/mariadb.cnf")
ARGUMENTS = Path("/run/m2/mariadbd.env")
SOCKET = "/run/mysqld/mysqld.sock"
PREPARATIONS = (Path("/usr/local/lib/m2/schema.sql"), Path("/etc/m2/database-users.sql"))
SEEDED = "seeded_from"
"""The file in a data folder that says at which GTID position a copy of the other's data was made (reseed.py)."""

DEADLINE = 3.0
"""Seconds for one look or order; a TCP or socket check alone passes against a stopped server (failover.md, fact 6)."""

CLOSE_DEADLINE = 1.0
PREPARE_DEADLINE = 10.0
INSTALL_DEADLINE = 120.0
MEMORY_SHARE = 0.25
FOREIGN_EVERY = 60.0
"""Seconds between two searches for tables of other engines."""

NO_SUCH = {1049, 1146}
"""ER_BAD_DB_ERROR and ER_NO_SUCH_TABLE: the schema is not there yet."""

NO_SUCH_THREAD = 1094
"""ER_NO_SUCH_THREAD: it has ended by itself."""

LOCKED = 1205
"""ER_LOCK_WAIT_TIMEOUT."""

SETTINGS = """
    SELECT @@read_only AS read_only, @@rpl_semi_sync_master_enabled AS semi_sync_on,
        @@gtid_binlog_pos AS binlog_gtid, @@gtid_current_pos AS applied_gtid
"""
"""Of no table: beside an aggregate, boolean variables read 0 whatever they are (measured on 10.11.19)."""

COUNTERS = "SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync_%'"
FOREIGN_TABLES = """
    SELECT CONCAT(table_schema, '.', table_name) AS name FROM information_schema.tables
    WHERE table_type = 'BASE TABLE' AND engine <> 'InnoDB'
        AND table_schema NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema')
    ORDER BY name
"""
DUMPS = "SELECT id, host FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'"
CLIENTS = """
    SELECT id FROM information_schema.processlist
    WHERE user NOT IN ('root', 'replication', 'system user', 'event_scheduler')
"""


class DatabaseError(Exception):
    """mariadbd did not do what was asked, or not in time; one sentence."""


@dataclass(frozen=True)
class Replica:
    """What a replica says of its two threads; all measured on 10.11.19.

    `io_running` is false while it tries to connect ("Connecting"), which it notices 6 s after a cut
    (slave_net_timeout); `io_stopped` is true only when it does not try either. `received_gtid` is Gtid_IO_Pos: what
    is in the relay log, in the form "0-1-7"; it stays when the IO thread is stopped. `delay`: seconds behind the
    master, None while a thread does not run.
    """

    io_running: bool
    io_stopped: bool
    sql_running: bool
    error: str
    error_number: int = 0
    master_ip: str = ""
    received_gtid: str = ""
    delay: float | None = None


@dataclass(frozen=True)
class Status:
    """mariadbd as one look found it; all measured on 10.11.19.

    semi_sync_clients   replicas that acknowledge. One that lost its network stays counted until it connects again or
                        its dump thread is killed; one that stopped its IO thread is gone at once.
    backup_connected    one of those who replicate from here, in whatever way, is the pair's other member.
    semi_sync_waiting   commits that wait for an acknowledgement. Of commits that were grouped only the leader counts,
                        so more than 0 says that something waits, not how much.
    acknowledging       this replica's IO thread acknowledges: Rpl_semi_sync_slave_status, which stays ON while the
                        thread tries to connect, and so counts only with the thread running.
    binlog_gtid         the last transaction in the own binary log, acknowledged or not.
    applied_gtid        @@gtid_current_pos: on a replica what it has applied, on a writer its last own transaction.
    cluster, epoch      the stamp; None and 0 without one.
    foreign_tables      tables that a crash may leave different on the two members: no InnoDB (fact 13).
    """

    read_only: bool
    semi_sync_on: bool
    semi_sync_clients: int
    replica: Replica | None
    backup_connected: bool = True
    semi_sync_waiting: int = 0
    acknowledging: bool = False
    binlog_gtid: str = ""
    applied_gtid: str = ""
    cluster: str | None = None
    epoch: int = 0
    foreign_tables: tuple[str, ...] = ()


@dataclass
class _Remembered:
    """What a look may take from an earlier one while a table is locked."""

    stamp: tuple[str | None, int] | None = None
    foreign_tables: tuple[str, ...] = ()
    next_search: float = 0.0


@dataclass
class _Session:
    """A connection whose statements share one deadline."""

    connection: Any
    deadline: float

    def rows(self, statement: str, *values: object) -> list[dict[str, Any]]:
        # pymysql sets this timeout on the socket before each read.
        self.connection._read_timeout = max(self.deadline - time.monotonic(), 0.001)
        with self.connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return list(cursor.fetchall())


@dataclass(frozen=True)
class MariaDb:
    """The local server; its data lives in `data_folder`, which must be on a mounted data disk."""

    data_folder: Path
    socket: str = SOCKET
    peer_ip: str = ""
    service: Unit = field(default_factory=lambda: Unit(UNIT))
    _remembered: _Remembered = field(default_factory=_Remembered, repr=False, compare=False)

    def is_mounted(self) -> bool:
        """False keeps a database from being born on the system's disk."""
        return os.path.ismount(self.data_folder.parent)

    def is_installed(self) -> bool:
        """There is a database, whole or damaged."""
        return (self.data_folder / "mysql").exists()

    def was_following(self) -> bool:
        """It replicated when it ended: this file comes with CHANGE MASTER and goes with RESET SLAVE ALL."""
        return (self.data_folder / "master.info").exists()

    def instance(self) -> str | None:
        """Names the running mariadbd, from its start to its end; another one has another name. Raises DatabaseError."""
        with _unit_errors():
            return self.service.look().instance

    def start(self, role: Literal["MASTER", "SLAVE"]) -> None:
        """Begin to start it, read-only, with this role for recovery; a data folder that is not there is filled first.

        Returns before it answers, which may take minutes after a crash: `service.look()` says how it goes.

        SLAVE takes back what this server wrote last and nobody acknowledged. One that was following wrote nothing:
        there it would take back what it has received, acknowledged and applied (measured: three rows of three).
        """
        if not self.is_installed():
            self._install()
        if self.was_following():
            role = "MASTER"
        ARGUMENTS.parent.mkdir(exist_ok=True)
        ARGUMENTS.write_text(f"M2_ARGUMENTS=--init-rpl-role={role} --innodb-buffer-pool-size={_buffer_pool()}\n")
        with _unit_errors():
            self.service.start()

    def kill(self) -> bool:
        """SIGKILL; True when it is dead, False when it is still there after 2 s (an unkillable wait for its disk)."""
        return self.service.kill()

    def free_bytes(self) -> int:
        """Room on the data disk."""
        disk = os.statvfs(self.data_folder.parent)
        return disk.f_bavail * disk.f_frsize

    def used_bytes(self) -> int:
        """What is on the data disk."""
        disk = os.statvfs(self.data_folder.parent)
        return (disk.f_blocks - disk.f_bfree) * disk.f_frsize

    def reload_tls(self) -> None:
        """Use the certificate that is on the disk now; connections that exist keep theirs."""
        self._execute("FLUSH SSL")

    def prepare(self) -> None:
        """Bring schema and users up to date; harmless to repeat."""
        for path in PREPARATIONS:
            with path.open() as statements:
                _run("mariadb", f"--socket={self.socket}", "--user=root", stdin=statements, timeout=PREPARE_DEADLINE)

    def status(self, timeout: float = DEADLINE) -> Status:
        """One look. Raises DatabaseError when it does not answer within `timeout` seconds.

        Waits for no lock: a statement of somebody who waits for an acknowledgement may hold one for ever.
        """
        with self._session(timeout) as session:
            session.rows("SET SESSION lock_wait_timeout = 0")
            (settings,) = session.rows(SETTINGS)
            counters = {row["Variable_name"]: row["Value"] for row in session.rows(COUNTERS)}
            replica = _replica(session)
            cluster, epoch = self._stamp(session)
            return Status(
                read_only=bool(settings["read_only"]),
                semi_sync_on=bool(settings["semi_sync_on"]),
                semi_sync_clients=int(counters["Rpl_semi_sync_master_clients"]),
                replica=replica,
                backup_connected=self._has_backup(session),
                semi_sync_waiting=int(counters["Rpl_semi_sync_master_wait_sessions"]),
                acknowledging=bool(replica and replica.io_running and counters["Rpl_semi_sync_slave_status"] == "ON"),
                binlog_gtid=settings["binlog_gtid"],
                applied_gtid=settings["applied_gtid"],
                cluster=cluster,
                epoch=epoch,
                foreign_tables=self._foreign_tables(session),
            )

    def beat(self, writer: str) -> None:
        """Commit a sign of life. Raises DatabaseError."""
        self._replicated(
            "INSERT INTO m2.heartbeat VALUES (1, %s, UTC_TIMESTAMP(6)) "
            "ON DUPLICATE KEY UPDATE writer = VALUES(writer), beat = VALUES(beat)",
            writer,
        )

    def stamp(self, cluster: str, epoch: int) -> None:
        """Write whose database this is into it; replicated."""
        self._replicated(
            "INSERT INTO m2.pair VALUES (1, %s, %s) "
            "ON DUPLICATE KEY UPDATE cluster = VALUES(cluster), epoch = VALUES(epoch)",
            cluster,
            epoch,
        )

    def open(self) -> None:
        """Let applications write; only the holder does this."""
        self._execute("SET GLOBAL read_only = 0")

    def close(self) -> None:
        """Let nobody but root write, once all commits are through. Raises DatabaseError after 1 s.

        That is what happens while a commit waits for an acknowledgement (fact 4). It may then still close by itself
        when the acknowledgement comes, or not (both measured): look again, or kill.
        """
        with self._session(CLOSE_DEADLINE) as session:
            session.rows("SET GLOBAL read_only = 1")

    def drop_clients(self) -> None:
        """Cut the applications' connections. Never while a commit waits: it would be committed (fact 4)."""
        with self._session(DEADLINE) as session:
            _kill(session, (row["id"] for row in session.rows(CLIENTS)))

    def semi_sync(self, on: bool) -> None:
        """On: from now on no commit is acknowledged before the backup has it.

        Off: waiting commits are released, and the backup's connection is dropped: of a dead host it would look alive
        for hours.
        """
        self._execute("SET GLOBAL rpl_semi_sync_master_enabled = %s", int(on))
        if not on:
            with self._session(DEADLINE) as session:
                _kill(session, (row["id"] for row in session.rows(DUMPS)))

    def kick_strangers(self, backup_ip: str) -> tuple[str, ...]:
        """Cut everybody who replicates from here but the backup; their addresses."""
        with self._session(DEADLINE) as session:
            hosts = {row["id"]: row["host"].rpartition(":")[0] for row in session.rows(DUMPS)}
            strangers = {number: host for number, host in hosts.items() if host != backup_ip}
            _kill(session, strangers)
            return tuple(sorted(set(strangers.values())))

    def follow(self, master_ip: str, password: str, demote: bool = False) -> None:
        """Replicate from the other member, acknowledging what is received.

        What was received before and is not applied is fetched again (fact 11), so it must not be the only copy.
        A copy of the other's data begins where it was made. `demote`: this one has written since it last followed,
        and its own transactions count as applied.
        """
        seeded = self.data_folder / SEEDED
        with self._session(DEADLINE) as session:
            session.rows("SET GLOBAL rpl_semi_sync_master_enabled = 0")
            session.rows("STOP SLAVE")
            if seeded.exists():
                session.rows("SET GLOBAL gtid_slave_pos = %s", seeded.read_text())
            session.rows("SET GLOBAL rpl_semi_sync_slave_enabled = 1")
            session.rows(
                "CHANGE MASTER TO MASTER_HOST = %s, MASTER_USER = 'replication', MASTER_PASSWORD = %s, MASTER_SSL = 1, "
                "MASTER_SSL_CA = '/etc/m2/tls/ca.pem', MASTER_SSL_VERIFY_SERVER_CERT = 1, "
                "MASTER_USE_GTID = slave_pos, MASTER_DEMOTE_TO_SLAVE = %s, "
                "MASTER_CONNECT_RETRY = 1, MASTER_HEARTBEAT_PERIOD = 1",
                master_ip,
                password,
                int(demote),
            )
            session.rows("START SLAVE")
        seeded.unlink(missing_ok=True)

    def stop_io(self) -> None:
        """Receive and acknowledge nothing more; what was received goes on being applied.

        Takes 6 ms, and 2 s while it tries to connect to a master that is frozen or gone (measured).
        """
        self._execute("STOP SLAVE IO_THREAD")

    def start_io(self) -> None:
        """Receive and acknowledge again."""
        self._execute("START SLAVE IO_THREAD")

    def stop_following(self) -> None:
        """Forget the other member. What was received and not applied is lost (fact 11): look before."""
        with self._session(DEADLINE) as session:
            session.rows("STOP SLAVE")
            session.rows("RESET SLAVE ALL")
            session.rows("SET GLOBAL rpl_semi_sync_slave_enabled = 0")

    def _has_backup(self, session: _Session) -> bool:
        return self.peer_ip in {row["host"].rpartition(":")[0] for row in session.rows(DUMPS)}

    def _stamp(self, session: _Session) -> tuple[str | None, int]:
        try:
            rows = session.rows("SELECT cluster, epoch FROM m2.pair WHERE id = 1")
            self._remembered.stamp = (rows[0]["cluster"], rows[0]["epoch"]) if rows else (None, 0)
        except pymysql.MySQLError as error:
            if error.args[0] in NO_SUCH:
                self._remembered.stamp = None, 0
            elif error.args[0] != LOCKED or self._remembered.stamp is None:
                raise
        return self._remembered.stamp

    def _foreign_tables(self, session: _Session) -> tuple[str, ...]:
        now = time.monotonic()
        if now >= self._remembered.next_search:
            self._remembered.foreign_tables = tuple(row["name"] for row in session.rows(FOREIGN_TABLES))
            self._remembered.next_search = now + FOREIGN_EVERY
        return self._remembered.foreign_tables

    def _install(self) -> None:
        """In a folder of another name first: a half-made database is never taken for one."""
        unfinished = self.data_folder.with_name(f"{self.data_folder.name}.new")
        _run("rm", "-rf", str(unfinished), timeout=INSTALL_DEADLINE)
        _run(
            "mariadb-install-db",
            f"--defaults-file={DEFAULTS}",
            f"--datadir={unfinished}",
            "--user=mysql",
            "--auth-root-authentication-method=socket",
            "--skip-test-db",
            timeout=INSTALL_DEADLINE,
        )
        unfinished.rename(self.data_folder)

    def _execute(self, statement: str, *values: object) -> None:
        with self._session(DEADLINE) as session:
            session.rows(statement, *values)

    def _replicated(self, statement: str, *values: object) -> None:
        with self._session(DEADLINE, log=1) as session:
            session.rows(statement, *values)

    @contextmanager
    def _session(self, timeout: float, log: int = 0) -> Iterator[_Session]:
        """Off the binary log, unless asked: even a FLUSH on the backup is an errant transaction there."""
        deadline = time.monotonic() + timeout
        try:
            connection = pymysql.connect(
                unix_socket=self.socket,
                user="root",
                autocommit=True,
                cursorclass=pymysql.cursors.DictCursor,
                init_command=f"SET SESSION sql_log_bin = {log}",
                connect_timeout=timeout,
                read_timeout=timeout,
                write_timeout=timeout,
            )
            try:
                yield _Session(connection, deadline)
            finally:
                connection.close()
        except pymysql.MySQLError as error:
            raise DatabaseError(f"mariadbd: {error.args[-1]}") from None


def gtid_covers(have: str, want: str) -> bool:
    """Whether a position ("0-1-7,1-2-3") has reached another: in every domain, whatever server wrote it."""
    reached = _sequences(have)
    return all(reached.get(domain, -1) >= sequence for domain, sequence in _sequences(want).items())


def _sequences(position: str) -> dict[int, int]:
    parts = (part.strip().split("-") for part in position.split(",") if part.strip())
    return {int(domain): int(sequence) for domain, _, sequence in parts}


def _kill(session: _Session, connections: Any) -> None:
    for connection in connections:
        try:
            session.rows("KILL CONNECTION %s", connection)
        except pymysql.MySQLError as error:
            if error.args[0] != NO_SUCH_THREAD:
                raise


def _replica(session: _Session) -> Replica | None:
    rows = session.rows("SHOW SLAVE STATUS")
    if not rows:
        return None
    (status,) = rows
    behind = status["Seconds_Behind_Master"]
    return Replica(
        io_running=status["Slave_IO_Running"] == "Yes",
        io_stopped=status["Slave_IO_Running"] == "No",
        sql_running=status["Slave_SQL_Running"] == "Yes",
        error=status["Last_IO_Error"] or status["Last_SQL_Error"],
        error_number=status["Last_IO_Errno"] or status["Last_SQL_Errno"],
        master_ip=status["Master_Host"],
        received_gtid=status["Gtid_IO_Pos"],
        delay=None if behind is None else float(behind),
    )


def _buffer_pool() -> int:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return int(memory * MEMORY_SHARE)


@contextmanager
def _unit_errors() -> Iterator[None]:
    try:
        yield
    except UnitError as error:
        raise DatabaseError(str(error)) from None


def _run(*words: str, timeout: float, stdin: Any = None) -> None:
    try:
        done = subprocess.run(words, stdin=stdin, capture_output=True, text=True, check=False, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise DatabaseError(f"{words[0]} did not end in {timeout:.0f} s") from None
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise DatabaseError(f"{words[0]}: {reason[0]}")
