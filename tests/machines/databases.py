"""Real mariadbd processes of the project's own my.cnf, one on each bare host, without an agent."""

from __future__ import annotations

import shutil
import signal
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pymysql
from jinja2 import Environment, StrictUndefined

from failover.mariadb import MariaDb
from stacks.secrets import StackSecrets
from tests.machines.bare_hosts import PROJECT, Host, hosts
from tests.machines.lab import until

FILES = PROJECT / "roles" / "database" / "files"
SECRETS = StackSecrets("r" * 32, "facts", 1, datetime.now(UTC).date())
PASSWORD = "password-of-the-test"
INSTALL = (
    "mariadb-install-db --defaults-file=/etc/m2/mariadb.cnf --user=mysql"
    " --auth-root-authentication-method=socket --skip-test-db"
)


@dataclass
class Server:
    """One mariadbd. `database` is the agent's own hold on it."""

    host: Host
    database: MariaDb
    process: int = 0

    @property
    def address(self) -> str:
        return self.host.address

    def start(self, role: str = "MASTER", *more: str) -> None:
        """Start it as the agent does, and wait until it answers."""
        self.launch(role, *more)
        until(self.answers, 30, f"mariadbd of {self.host.name}: {self.log()[-2000:]}")

    def launch(self, role: str = "MASTER", *more: str) -> None:
        words = ("--defaults-file=/etc/m2/mariadb.cnf", f"--init-rpl-role={role}", "--innodb-buffer-pool-size=32M")
        self.process = self.host.start("/usr/sbin/mariadbd", *words, *more, log="mariadbd.log")

    def let_replicate(self, hosts: str = "10.77.0.0/255.255.255.0") -> None:
        """The user that the other members replicate with."""
        user = f"replication@'{hosts}'"
        self.sql(f"GRANT REPLICATION SLAVE ON *.* TO {user} IDENTIFIED BY '{PASSWORD}' REQUIRE SSL")

    def kill(self) -> None:
        self.host.signal(self.process, signal.SIGKILL)

    def freeze(self) -> None:
        self.host.signal(self.process, signal.SIGSTOP)

    def thaw(self) -> None:
        self.host.signal(self.process, signal.SIGCONT)

    def answers(self) -> bool:
        try:
            return bool(self.sql("SELECT 1"))
        except (pymysql.MySQLError, OSError):
            return False

    def sql(self, statement: str, *values: object, log: bool = False, timeout: float = 10) -> list[dict[str, Any]]:
        """As root, off the binary log unless asked. Raises pymysql.MySQLError, also after `timeout` seconds."""
        with self.session(timeout) as cursor:
            cursor.execute(f"SET SESSION sql_log_bin = {int(log)}")
            cursor.execute(statement, values or None)
            return list(cursor.fetchall())

    def write(self, statement: str, timeout: float = 10) -> None:
        """A commit as an application's: replicated, and acknowledged when this returns."""
        self.sql(statement, log=True, timeout=timeout)

    def value(self, expression: str) -> Any:
        (row,) = self.sql(f"SELECT {expression} AS it")
        return row["it"]

    def state(self, name: str) -> str:
        """One of SHOW GLOBAL STATUS."""
        (row,) = self.sql("SHOW GLOBAL STATUS LIKE %s", name)
        return str(row["Value"])

    def rows(self) -> list[int]:
        """The test's table."""
        return [row["i"] for row in self.sql("SELECT i FROM m2.x ORDER BY i")]

    def rows_or_none(self) -> list[int]:
        """The same; empty while the table is not there."""
        try:
            return self.rows()
        except pymysql.MySQLError:
            return []

    def replica(self) -> dict[str, Any]:
        """SHOW SLAVE STATUS; empty without replication."""
        return dict(*self.sql("SHOW SLAVE STATUS"))

    @contextmanager
    def session(self, timeout: float = 10) -> Iterator[Any]:
        connection = self.connect(timeout)
        try:
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()

    def connect(self, timeout: float = 10) -> pymysql.Connection[Any]:
        return pymysql.connect(
            unix_socket=self.database.socket,
            user="root",
            autocommit=True,
            cursorclass=pymysql.cursors.DictCursor,
            connect_timeout=5,
            read_timeout=timeout,
        )

    def log(self) -> str:
        return (self.host.folder / "mariadbd.log").read_text()


@dataclass(frozen=True)
class Fleet:
    """Hosts on which servers can be born again and again from one installation."""

    hosts: Mapping[str, Host]
    template: Path

    def born(self, *names: str) -> tuple[Server, ...]:
        """Servers that have not been started, with empty databases; the n-th host has server_id n."""
        return tuple(self._born(self.hosts[name]) for name in names)

    def end(self) -> None:
        """Kill what runs, and let everybody reach everybody again."""
        for host in self.hosts.values():
            host.stop()
            host.link("up")

    def _born(self, host: Host) -> Server:
        data = host.folder / "srv/database/mysql"
        shutil.rmtree(data, ignore_errors=True)
        (host.folder / "mariadbd.log").unlink(missing_ok=True)
        subprocess.run(["cp", "-a", self.template, data], check=True)
        return Server(host, MariaDb(data, str(host.folder / "run/mysqld/mysqld.sock")))


@contextmanager
def fleet(folder: Path, addresses: Mapping[str, str]) -> Iterator[Fleet]:
    """Hosts by name with these addresses, each with its configuration."""
    with hosts(folder, addresses) as made:
        for number, host in enumerate(made.values(), 1):
            configure(host, number)
        first = next(iter(made.values()))
        done = first.run(*INSTALL.split())
        assert done.returncode == 0, done.stdout + done.stderr
        template = folder / "template"
        shutil.move(first.folder / "srv/database/mysql", template)
        yield Fleet(made, template)


def authority(host: Host) -> ssl.SSLContext:
    """For a client on this host."""
    return ssl.create_default_context(cafile=str(host.folder / "etc/m2/tls/ca.pem"))


def configure(host: Host, number: int) -> None:
    """The files of the role that mariadbd reads, and its certificate."""
    place = host.folder / "etc/m2"
    template = Environment(undefined=StrictUndefined, autoescape=False).from_string(  # noqa: S701 - no HTML
        (FILES / "etc/m2/mariadb.cnf.j2").read_text()
    )
    (place / "mariadb.cnf").write_text(template.render(host={"number": number}))
    pair = SECRETS.certificate(host.name, host.address)
    for name, text in (
        ("tls/ca.pem", SECRETS.authority),
        ("tls/host.pem", pair.certificate),
        ("tls/host.key", pair.key),
        ("database/tls.key", pair.key),
    ):
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_text(text)
    shutil.copy(FILES / "usr/local/lib/m2/schema.sql", place / "schema.sql")
    host.run("chown", "-R", "mysql:", "/run/mysqld", "/etc/m2/database", "/srv/database")
