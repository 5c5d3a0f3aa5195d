"""The agent's hold on mariadbd: starts and stops it, and talks to it as root over the socket, with deadlines."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pymysql

UNIT = "m2-mariadbd.service"
DEFAULTS = Path("/etc/m2/mariadb.cnf")
ARGUMENTS = Path("/run/m2/mariadbd.env")
SOCKET = "/run/mysqld/mysqld.sock"
PREPARATIONS = (Path("/usr/local/lib/m2/schema.sql"), Path("/etc/m2/database-users.sql"))
DEADLINE = 3
"""Seconds for one statement; a TCP or socket check alone passes against a stopped server (failover.md, fact 6)."""

PREPARE_DEADLINE = 10.0
MEMORY_SHARE = 0.25


class DatabaseError(Exception):
    """mariadbd did not do what was asked, or not in time; one sentence."""


@dataclass(frozen=True)
class Replica:
    """What a replica says of its two threads."""

    io_running: bool
    sql_running: bool
    error: str


@dataclass(frozen=True)
class Status:
    """mariadbd as one look found it."""

    read_only: bool
    semi_sync_on: bool
    semi_sync_clients: int
    replica: Replica | None


@dataclass(frozen=True)
class MariaDb:
    """The local server; its data lives in `data_folder`, which must be a mounted data disk."""

    data_folder: Path

    def is_mounted(self) -> bool:
        """False keeps a database from being born on the system's disk."""
        return os.path.ismount(self.data_folder.parent)

    def is_running(self) -> bool:
        """True while the unit has a process."""
        return subprocess.run(["systemctl", "is-active", "--quiet", UNIT], check=False).returncode == 0

    def start(self, role: Literal["MASTER", "SLAVE"]) -> None:
        """Start it, read-only, with this role for recovery; a new data folder is filled first."""
        if not (self.data_folder / "mysql").exists():
            self._install()
        ARGUMENTS.parent.mkdir(exist_ok=True)
        ARGUMENTS.write_text(f"M2_ARGUMENTS=--init-rpl-role={role} --innodb-buffer-pool-size={_buffer_pool()}\n")
        _run("systemctl", "start", UNIT)

    def reload_tls(self) -> None:
        """Use the certificate that is on the disk now; connections that exist keep theirs."""
        self._execute("FLUSH SSL")

    def prepare(self) -> None:
        """Bring schema and users up to date; harmless to repeat."""
        for path in PREPARATIONS:
            with path.open() as statements:
                _run("mariadb", f"--socket={SOCKET}", "--user=root", stdin=statements, timeout=PREPARE_DEADLINE)

    def status(self) -> Status:
        """One look. Raises DatabaseError when it does not answer in time."""
        with self._cursor() as cursor:
            cursor.execute("SELECT @@read_only, @@rpl_semi_sync_master_enabled")
            read_only, semi_sync_on = cursor.fetchone()
            cursor.execute("SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync_master_clients'")
            clients = int(cursor.fetchone()[1])
            return Status(bool(read_only), bool(semi_sync_on), clients, _replica(cursor))

    def beat(self, writer: str) -> None:
        """Commit a sign of life. Raises DatabaseError."""
        self._replicated(
            "INSERT INTO m2.heartbeat VALUES (1, %s, UTC_TIMESTAMP(6)) "
            "ON DUPLICATE KEY UPDATE writer = VALUES(writer), beat = VALUES(beat)",
            (writer,),
        )

    def allow_writes(self) -> None:
        """Only the holder does this."""
        self._execute("SET GLOBAL read_only = 0")

    def wait_for_backup(self) -> None:
        """From now on no commit is acknowledged before the backup has it."""
        self._execute("SET GLOBAL rpl_semi_sync_master_enabled = 1")

    def go_on_alone(self) -> None:
        """Release waiting commits, and drop the backup's connection: of a dead host it would look alive for hours."""
        self._execute("SET GLOBAL rpl_semi_sync_master_enabled = 0")
        with self._cursor() as cursor:
            cursor.execute("SELECT id FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'")
            for (connection,) in cursor.fetchall():
                cursor.execute("KILL %s", (connection,))

    def follow(self, master_ip: str, password: str) -> None:
        """Replicate from the other member, acknowledging what is received."""
        self._execute("SET GLOBAL rpl_semi_sync_slave_enabled = 1")
        self._execute("STOP SLAVE")
        self._execute(
            "CHANGE MASTER TO MASTER_HOST = %s, MASTER_USER = 'replication', MASTER_PASSWORD = %s, MASTER_SSL = 1, "
            "MASTER_SSL_CA = '/etc/m2/tls/ca.pem', MASTER_SSL_VERIFY_SERVER_CERT = 1, MASTER_USE_GTID = slave_pos, "
            "MASTER_CONNECT_RETRY = 1, MASTER_HEARTBEAT_PERIOD = 1",
            (master_ip, password),
        )
        self._execute("START SLAVE")

    def _install(self) -> None:
        _run(
            "mariadb-install-db",
            f"--defaults-file={DEFAULTS}",
            "--user=mysql",
            "--auth-root-authentication-method=socket",
            "--skip-test-db",
        )

    def _execute(self, statement: str, values: tuple[Any, ...] = ()) -> None:
        with self._cursor() as cursor:
            cursor.execute(statement, values or None)

    def _replicated(self, statement: str, values: tuple[Any, ...]) -> None:
        with self._cursor(log=1) as cursor:
            cursor.execute(statement, values)

    @contextmanager
    def _cursor(self, log: int = 0) -> Iterator[Any]:
        """Off the binary log, unless asked: even a FLUSH on the backup is an errant transaction there."""
        try:
            connection = pymysql.connect(
                unix_socket=SOCKET,
                user="root",
                autocommit=True,
                init_command=f"SET SESSION sql_log_bin = {log}",
                connect_timeout=DEADLINE,
                read_timeout=DEADLINE,
                write_timeout=DEADLINE,
            )
            try:
                with connection.cursor() as cursor:
                    yield cursor
            finally:
                connection.close()
        except pymysql.MySQLError as error:
            raise DatabaseError(f"mariadbd: {error.args[-1]}") from None


def _replica(cursor: Any) -> Replica | None:
    cursor.execute("SHOW SLAVE STATUS")
    row = cursor.fetchone()
    if row is None:
        return None
    status = dict(zip((column[0] for column in cursor.description), row, strict=True))
    error = status["Last_IO_Error"] or status["Last_SQL_Error"]
    return Replica(status["Slave_IO_Running"] == "Yes", status["Slave_SQL_Running"] == "Yes", error)


def _buffer_pool() -> int:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return int(memory * MEMORY_SHARE)


def _run(*words: str, stdin: Any = None, timeout: float | None = None) -> None:
    try:
        done = subprocess.run(words, stdin=stdin, capture_output=True, text=True, check=False, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise DatabaseError(f"{words[0]} did not end in {timeout:.0f} s") from None
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise DatabaseError(f"{words[0]}: {reason[0]}")
