"""JSON over mutual TLS between the stack's own hosts: what the mover's and the agent's servers share."""

from __future__ import annotations

import json
import logging
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

LARGEST_BODY = 1024

log = logging.getLogger("https")


class RefusedError(Exception):
    """A request that is not answered as wished: an HTTP status and a sentence."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


class Writer(Protocol):
    """Takes bytes."""

    def write(self, data: bytes, /) -> int:
        """All of them are taken."""


@dataclass(frozen=True)
class Stream:
    """An answer of unknown length, written by `write`; an error in it cuts the connection."""

    write: Callable[[Writer], None]


class JsonHandler(BaseHTTPRequestHandler):
    """One connection of a host; stays open between requests. Errors in `not_ours` are those of somebody behind us."""

    protocol_version = "HTTP/1.1"
    timeout = 60
    not_ours: tuple[type[Exception], ...] = ()

    def do_GET(self) -> None:
        self._answer(self.get)

    def do_POST(self) -> None:
        self._answer(self.post)

    def get(self) -> object:
        """What to answer: an object for JSON, or a Stream. Raises RefusedError."""
        raise RefusedError(HTTPStatus.NOT_FOUND, "there is nothing here")

    def post(self) -> object:
        """As `get`."""
        raise RefusedError(HTTPStatus.NOT_FOUND, "there is nothing here")

    def host(self) -> str:
        """Who asks, by the certificate."""
        connection: Any = self.connection
        subject = connection.getpeercert()["subject"]
        return next(str(value) for part in subject for key, value in part if key == "commonName")

    def body(self) -> dict[str, Any]:
        """The request's object. Raises RefusedError."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            self.close_connection = True
            raise RefusedError(HTTPStatus.BAD_REQUEST, "the request does not say how long it is")
        if int(length) > LARGEST_BODY:
            self.close_connection = True
            self.rfile.read(min(int(length), 64 * LARGEST_BODY))
            raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the request is too long")
        try:
            body = json.loads(self.rfile.read(int(length)) or b"{}")
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            raise RefusedError(HTTPStatus.BAD_REQUEST, "the request is no JSON object")
        return body

    def _answer(self, work: Callable[[], object]) -> None:
        status, body = self._result(work)
        if isinstance(body, Stream):
            self._send_stream(body)
            return
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _send_stream(self, stream: Stream) -> None:
        """In chunks; without the last one the receiver knows that it is not whole."""
        self.close_connection = True
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            stream.write(_Chunks(self.wfile))
        except Exception:
            log.exception("a stream for %s broke off", self.host())
            return
        self.wfile.write(b"0\r\n\r\n")

    def _result(self, work: Callable[[], object]) -> tuple[HTTPStatus, object]:
        try:
            return HTTPStatus.OK, work()
        except RefusedError as refusal:
            return refusal.status, {"error": str(refusal)}
        except self.not_ours as error:
            return HTTPStatus.BAD_GATEWAY, {"error": str(error)}
        except Exception:
            log.exception("a request of %s failed", self.host())
            return HTTPStatus.INTERNAL_SERVER_ERROR, {"error": "the program has failed; see its journal"}

    def log_message(self, format: str, *args: Any) -> None:
        """What happens is logged by who does it; polls are not worth a line."""


@dataclass(frozen=True)
class _Chunks:
    """Writes what it is given as chunks of HTTP/1.1."""

    to: Writer

    def write(self, data: bytes, /) -> int:
        self.to.write(b"%x\r\n" % len(data) + data + b"\r\n")
        return len(data)


class TlsServer(ThreadingHTTPServer):
    """TLS is spoken in the connection's own thread, so a silent peer cannot stop the others."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], context: ssl.SSLContext, handler: type[JsonHandler]) -> None:
        self._context = context
        super().__init__(address, handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        request.settimeout(JsonHandler.timeout)
        try:
            secured = self._context.wrap_socket(request, server_side=True)
        except (OSError, ssl.SSLError) as error:
            log.warning("refused a connection from %s: %s", client_address[0], error)
            return
        with secured:
            super().finish_request(secured, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A peer that hangs up early is no fault of this program."""
        log.info("%s hung up: %s", client_address[0], sys.exc_info()[1])
