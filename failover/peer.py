"""One agent's word to the other of its pair: mutual TLS on the private address, and nobody else is listened to.

GET  /report              what the other says of itself
POST /promise             {"seconds": 10}: will you not bid for so long? -> {"promised": true}
POST /wake                look again at once
GET  /probe?address=IP    who answers as a database there, seen from you -> {"server": "database-1" or null}
GET  /backup              the whole database, as mariabackup streams it; one at a time
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

from failover.https import JsonHandler, RefusedError, Stream, TlsServer, Writer

PORT = 8444
STALL = 60.0
"""Seconds without a byte after which a backup is given up."""

BLOCK = 1 << 20


class PeerError(Exception):
    """The other agent did not answer, not in time, or not as asked; one sentence."""


class Handlers(Protocol):
    """What an agent does when the other asks; called from threads of the server."""

    def report(self) -> dict[str, Any]:
        """What this member says of itself."""

    def promise(self, seconds: float) -> bool:
        """Promise not to bid for so long, or not."""

    def wake(self) -> None:
        """Look again at once."""

    def probe(self, address: str) -> str | None:
        """Who answers as a database at this address."""

    def backup(self, to: Writer) -> None:
        """Write the database to a stream."""


class _Handler(JsonHandler):
    handlers: Handlers
    peer_name: str
    backup: threading.Lock

    def get(self) -> object:
        self._know()
        where = urlsplit(self.path)
        match where.path:
            case "/report":
                return self.handlers.report()
            case "/probe":
                return {"server": self.handlers.probe(_address(parse_qs(where.query)))}
            case "/backup":
                return self._backup_stream()
        return super().get()

    def post(self) -> object:
        body = self.body()
        self._know()
        match self.path:
            case "/promise":
                return {"promised": self.handlers.promise(_seconds(body))}
            case "/wake":
                self.handlers.wake()
                return {}
        return super().post()

    def _know(self) -> None:
        if self.host() != self.peer_name:
            self.close_connection = True
            raise RefusedError(HTTPStatus.FORBIDDEN, f"{self.host()} is not the other member of this pair")

    def _backup_stream(self) -> Stream:
        if self.backup.locked():
            raise RefusedError(HTTPStatus.CONFLICT, "a backup is being made already")
        return Stream(self._backup)

    def _backup(self, to: Writer) -> None:
        self.connection.settimeout(STALL)
        with self.backup:
            self.handlers.backup(to)


class PeerServer(TlsServer):
    """Answers the agent of `peer_name`, the common name of its certificate."""

    def __init__(self, listen: str, port: int, context: ssl.SSLContext, peer_name: str, handlers: Handlers) -> None:
        bound = {"handlers": handlers, "peer_name": peer_name, "backup": threading.Lock()}
        super().__init__((listen, port), context, type("BoundHandler", (_Handler,), bound))


@dataclass(frozen=True)
class PeerClient:
    """The other agent, at its private address. Every call connects anew: a cut is noticed by the next one."""

    ip: str
    context: ssl.SSLContext
    port: int = PORT

    def report(self, timeout: float) -> dict[str, Any]:
        """What it says of itself. Raises PeerError."""
        return self._ask("GET", "/report", None, timeout)

    def promise(self, seconds: float, timeout: float) -> bool:
        """Whether it will not bid for so long, from some moment during this call on. Raises PeerError."""
        return self._ask("POST", "/promise", {"seconds": seconds}, timeout).get("promised") is True

    def wake(self, timeout: float) -> None:
        """Let it look again at once. Raises PeerError."""
        self._ask("POST", "/wake", {}, timeout)

    def probe(self, address: str, timeout: float) -> str | None:
        """Who answers as a database at that address, seen from there; None: nobody. Raises PeerError."""
        server = self._ask("GET", f"/probe?address={address}", None, timeout).get("server")
        return None if server is None else str(server)

    def backup(self, to: Writer) -> None:
        """Its whole database as a stream. Raises PeerError when it is not whole, and after a minute without a byte."""
        with self._reply("GET", "/backup", None, STALL) as reply:
            while block := reply.read1(BLOCK):
                to.write(block)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None, timeout: float) -> dict[str, Any]:
        with self._reply(method, path, body, timeout) as reply:
            answer = json.loads(reply.read())
            if not isinstance(answer, dict):
                raise ValueError("the answer is no JSON object")
            return answer

    @contextmanager
    def _reply(
        self, method: str, path: str, body: dict[str, Any] | None, timeout: float
    ) -> Iterator[http.client.HTTPResponse]:
        deadline = time.monotonic() + timeout
        connection = http.client.HTTPSConnection(self.ip, self.port, context=self.context, timeout=timeout)
        try:
            connection.connect()
            connection.sock.settimeout(max(deadline - time.monotonic(), 0.001))
            connection.request(method, path, body=None if body is None else json.dumps(body))
            connection.sock.settimeout(max(deadline - time.monotonic(), 0.001))
            reply = connection.getresponse()
            if reply.status != HTTPStatus.OK:
                raise PeerError(_why(reply))
            yield reply
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise PeerError(f"the other agent at {self.ip}: {error or type(error).__name__}") from None
        finally:
            connection.close()


def _why(reply: http.client.HTTPResponse) -> str:
    answer = json.loads(reply.read())
    return str(answer["error"]) if isinstance(answer, dict) and "error" in answer else str(reply.status)


def _seconds(body: dict[str, Any]) -> float:
    seconds = body.get("seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= 3600:
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"seconds: {seconds!r}; allowed: more than 0, at most 3600")
    return float(seconds)


def _address(query: dict[str, list[str]]) -> str:
    given = query.get("address", [""])[0]
    try:
        return str(ipaddress.IPv4Address(given))
    except ValueError:
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"address: {given!r}; allowed: an IPv4 address") from None
