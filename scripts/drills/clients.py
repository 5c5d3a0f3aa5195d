"""Clients on the stack's hosts that write through the database's address, and the journal of what was acknowledged."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.hosts import Hosts

PROGRAM = Path(__file__).parent / "writer.py"
START = (
    "sudo python3 -c 'import sys; "
    'exec(compile(sys.stdin.buffer.read(int(sys.stdin.buffer.readline())), "writer", "exec"))\''
)
PATIENT = ("-o", "ServerAliveCountMax=60")
"""For ssh: a client that is cut off with its host for two minutes tells afterwards what it was told meanwhile."""

INTERVAL = 0.03
STOP_TIMEOUT = 15.0
FIRST_WRITES = 20
FIRST_TIMEOUT = 30.0


class ClientError(Exception):
    """The clients cannot write, or not as they should; one sentence."""


@dataclass(frozen=True)
class Ack:
    """One acknowledged insert: when it was sent and acknowledged (seconds since 1970), and by which server id."""

    writer: str
    id: int
    sent: float
    acked: float
    server: int


@dataclass
class Client:
    """One writer on one host; `acks` grows while it runs."""

    host: str
    writer: str
    acks: list[Ack] = field(default_factory=list)
    losses: list[tuple[float, str]] = field(default_factory=list)

    @contextmanager
    def running(self, hosts: Hosts, database: dict[str, Any]) -> Iterator[None]:
        """It writes as long as the block lasts; what it was told until then is in `acks`."""
        ssh, *words = hosts.logins.words(self.host, START)
        process = subprocess.Popen(
            [ssh, *PATIENT, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdin and process.stdout  # noqa: S101 - for the type checker
        call = f"\nsys.exit(main(json.loads({json.dumps(json.dumps(database))}), {self.writer!r}, {INTERVAL}))\n"
        program = (PROGRAM.read_text() + call).encode()
        process.stdin.write(f"{len(program)}\n".encode() + program)
        process.stdin.flush()
        reader = threading.Thread(target=self._read, args=(process.stdout,), daemon=True)
        reader.start()
        try:
            yield
        finally:
            process.stdin.close()
            reader.join(STOP_TIMEOUT)
            process.kill()
            process.wait()

    def _read(self, lines: Any) -> None:
        for line in lines:
            said = json.loads(line)
            if isinstance(said, list):
                self.acks.append(Ack(self.writer, *said))
            else:
                self.losses.append((said["at"], said["lost"]))


@dataclass(frozen=True)
class Clients:
    """The client that is measured, on a host that no fault strikes, and one on each member of the pair.

    Those on the members reach a database that has the address on their own host, also while it is cut off: should two
    members take writes, they see it.
    """

    measured: Client
    local: Sequence[Client]

    @property
    def acks(self) -> list[Ack]:
        """Of all of them, in the order of acknowledgement."""
        return sorted(
            (ack for client in (self.measured, *self.local) for ack in client.acks), key=lambda ack: ack.acked
        )


@contextmanager
def writing(hosts: Hosts, run: str, members: Sequence[str]) -> Iterator[Clients]:
    """Clients that write; the block begins when the measured one does so steadily. Raises ClientError."""
    core = hosts.with_role("core")[-1]
    host = next((name for name in hosts.with_role("core") if name not in members), core)
    clients = Clients(Client(host, f"{run}/{host}"), [Client(name, f"{run}/{name}") for name in members])
    database = _access(hosts, core)
    with ExitStack() as stack:
        for client in (clients.measured, *clients.local):
            stack.enter_context(client.running(hosts, database))
        _wait_for_first_writes(clients.measured)
        yield clients


def _access(hosts: Hosts, core: str) -> dict[str, Any]:
    """How a core reaches the database; a secret that stays in memory."""
    return dict(json.loads(hosts.logins.output(core, "sudo cat /etc/m2/core.json"))["database"])


def _wait_for_first_writes(client: Client) -> None:
    deadline = time.monotonic() + FIRST_TIMEOUT
    while len(client.acks) < FIRST_WRITES:
        if time.monotonic() > deadline:
            why = client.losses[-1][1] if client.losses else "no answer"
            raise ClientError(f"the client on {client.host} cannot write: {why}")
        time.sleep(0.1)


def make_table(hosts: Hosts, holder: str) -> None:
    """What clients write to, on `holder` and by replication on its peer. Raises LoginError."""
    sql(hosts, holder, "CREATE TABLE IF NOT EXISTS m2.drill (writer VARCHAR(64), id BIGINT, PRIMARY KEY (writer, id))")


def drop_table(hosts: Hosts, holder: str) -> None:
    """Nothing is left of the drill."""
    sql(hosts, holder, "DROP TABLE IF EXISTS m2.drill")


def sql(hosts: Hosts, member: str, statement: str, timeout: float = 60.0) -> str:
    """What MariaDB on a member answers, as root on its socket. Raises LoginError."""
    return hosts.logins.output(member, "sudo mariadb -N", stdin=statement, timeout=timeout)
