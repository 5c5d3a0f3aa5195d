"""Movers on loopback addresses that speak real TLS with the stack's own certificates."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from failover import config as host_config
from failover.config import Address, Member, MoverConfig
from failover.mover import Mover, Server
from stacks.secrets import Certificate, StackSecrets

DATABASE_1, DATABASE_2 = "127.0.0.21", "127.0.0.22"
PATIENCE = 5.0
"""Seconds after which a test takes a silent connection for one that stays silent."""

BALANCERS = (Member("balancer-1", "s-balancer-1", "10.0.0.11"), Member("balancer-2", "s-balancer-2", "10.0.0.12"))
DATABASES = (Member("database-1", "s-database-1", "10.0.0.21"), Member("database-2", "s-database-2", "10.0.0.22"))
SIP = Address("sip", "floating_ip", {"name": "s-sip"}, BALANCERS)
DATABASE = Address("database", "route", {"network": "s", "destination": "10.0.128.1/32"}, DATABASES)
HOSTS = {"balancer-1": "127.0.0.11", "balancer-2": "127.0.0.12", "gui": "127.0.0.31"}
HOSTS |= {"database-1": DATABASE_1, "database-2": DATABASE_2}


@cache
def stack(root_secret: str = "r" * 32) -> StackSecrets:
    """Certificates that are valid now."""
    return StackSecrets(root_secret, "s", 1, datetime.now(UTC).date())


@cache
def certificate(secrets: StackSecrets, host: str) -> Certificate:
    return secrets.certificate(host, HOSTS[host])


@dataclass
class Certificates:
    """The TLS folder of each host, and contexts made from it by the code of the hosts."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch

    def context(self, host: str, purpose: ssl.Purpose, secrets: StackSecrets | None = None) -> ssl.SSLContext:
        made = secrets or stack()
        tls = self.folder / f"{host}-{made.root_secret[:1]}"
        tls.mkdir(exist_ok=True)
        pair = certificate(made, host)
        for name, text in (("ca.pem", made.authority), ("host.pem", pair.certificate), ("host.key", pair.key)):
            (tls / name).write_text(text)
        self.monkeypatch.setattr(host_config, "TLS", tls)
        return host_config.tls_context(purpose)

    def client(self, host: str, secrets: StackSecrets | None = None) -> ssl.SSLContext:
        return self.context(host, ssl.Purpose.SERVER_AUTH, secrets)

    def server(self, host: str, secrets: StackSecrets | None = None) -> ssl.SSLContext:
        return self.context(host, ssl.Purpose.CLIENT_AUTH, secrets)


@dataclass
class FakeCloud:
    """Who holds what; moves take as long as `go_on` is clear."""

    owners: dict[str, str | None] = field(default_factory=dict)
    moves: list[tuple[str, str]] = field(default_factory=list)
    powered_off: list[tuple[str, str]] = field(default_factory=list)
    go_on: threading.Event = field(default_factory=threading.Event)
    error: Exception | None = None
    at_once: int = 0
    most_at_once: int = 0

    def __post_init__(self) -> None:
        self.go_on.set()

    def holder(self, address: Address, deadline: float) -> str | None:
        if self.error:
            raise self.error
        return self.owners.get(address.name)

    def assign(self, address: Address, member: Member, deadline: float, only_if_free: bool = False) -> str:
        holder = self.owners.get(address.name)
        if holder == member.name or (only_if_free and holder is not None):
            return holder
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.moves.append((address.name, member.name))
        assert self.go_on.wait(PATIENCE)
        self.owners[address.name] = member.name
        self.at_once -= 1
        return member.name

    def power_off(self, server: str, asked_by: str, deadline: float) -> None:
        if self.error:
            raise self.error
        self.powered_off.append((server, asked_by))


@contextmanager
def serving(cloud: Any, context: ssl.SSLContext, listen: str = DATABASE_1, port: int = 0) -> Iterator[int]:
    """A mover with both addresses; the port it listens on."""
    config = MoverConfig(listen, port, "https://api.test/v1", (SIP, DATABASE))
    server = Server(Mover(config, cloud), context)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Connection:
    """One host's connection to a mover."""

    port: int
    context: ssl.SSLContext
    mover: str = DATABASE_1

    def __post_init__(self) -> None:
        self.http = http.client.HTTPSConnection(self.mover, self.port, context=self.context, timeout=PATIENCE)

    def get(self, path: str = "/addresses") -> tuple[int, Any]:
        return self.ask("GET", path)

    def post(self, path: str, body: object = None) -> tuple[int, Any]:
        return self.ask("POST", path, None if body is None else json.dumps(body))

    def ask(self, method: str, path: str, body: str | None = None, **headers: str) -> tuple[int, Any]:
        self.http.request(method, path, body=body, headers={k.replace("_", "-"): v for k, v in headers.items()})
        reply = self.http.getresponse()
        return reply.status, json.loads(reply.read())
