"""etcd members on loopback addresses that speak the JSON gateway over TLS, share one store, and fail as told."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.unit.failover.movers import Certificates

MEMBERS = {"127.0.0.21": "database-1", "127.0.0.22": "database-2", "127.0.0.31": "gui"}
MEMBER_IDS = {address: str(number) for number, address in enumerate(MEMBERS, 1)}


@dataclass
class Store:
    """What the members agree on, and what is wrong with each: "silent", "slow", "lost" (done, no reply) or "error"."""

    values: dict[str, tuple[str, int]] = field(default_factory=dict)
    revision: int = 1
    leader: str = "127.0.0.21"
    faults: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    lease_seconds: list[str] = field(default_factory=list)
    members: list[dict[str, Any]] | None = None
    """As etcd lists them; None: all three, who have started."""

    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, member: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        with self.lock:
            self.asked.append(member)
            match path:
                case "/v3/kv/txn":
                    return self._txn(body)
                case "/v3/kv/range":
                    return self._range(body)
                case "/v3/lease/grant":
                    self.lease_seconds.append(body["TTL"])
                    return {"ID": "77", "TTL": body["TTL"]}
                case "/v3/maintenance/status":
                    return {"header": {"member_id": MEMBER_IDS[member]}, "leader": MEMBER_IDS[self.leader]}
                case "/v3/maintenance/transfer-leadership":
                    self.leader = next(a for a, number in MEMBER_IDS.items() if number == body["targetID"])
                    return {}
        return self._membership(path, body)

    def _membership(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        match path:
            case "/v3/cluster/member/list":
                return {"members": self._members()}
            case "/v3/cluster/member/remove":
                self.members = [member for member in self._members() if member["ID"] != body["ID"]]
                return {}
            case "/v3/cluster/member/add":
                self.members = [*self._members(), {"ID": "9", "peerURLs": body["peerURLs"]}]
                return {}
        raise AssertionError(path)

    def _members(self) -> list[dict[str, Any]]:
        if self.members is not None:
            return self.members
        return [
            {
                "ID": number,
                "name": MEMBERS[address],
                "peerURLs": [f"https://{address}:2380"],
                "clientURLs": [f"https://{address}:{PORTS[0]}"],
            }
            for address, number in MEMBER_IDS.items()
        ]

    def put(self, key: str, value: str) -> None:
        self.revision += 1
        self.values[key] = (value, self.revision)

    def _txn(self, body: dict[str, Any]) -> dict[str, Any]:
        succeeded = all(self._holds(compare) for compare in body["compare"])
        done = [self._operation(operation) for operation in body["success" if succeeded else "failure"]]
        return {"succeeded": True, "responses": done} if succeeded else {"responses": done}

    def _holds(self, compare: dict[str, Any]) -> bool:
        value, revision = self.values.get(_decoded(compare["key"]), ("", 0))
        if compare["target"] == "MOD":
            return revision == int(compare["mod_revision"])
        return bool(revision) and value == _decoded(compare["value"])

    def _operation(self, operation: dict[str, Any]) -> dict[str, Any]:
        ((kind, body),) = operation.items()
        if kind == "request_range":
            return {"response_range": self._range(body)}
        if kind == "request_put":
            self.put(_decoded(body["key"]), _decoded(body["value"]))
            return {"response_put": {}}
        self.values.pop(_decoded(body["key"]), None)
        return {"response_delete_range": {}}

    def _range(self, body: dict[str, Any]) -> dict[str, Any]:
        value, revision = self.values.get(_decoded(body["key"]), ("", 0))
        kvs = [{"key": body["key"], "value": _encoded(value), "mod_revision": str(revision)}]
        return {"kvs": kvs, "count": "1"} if revision else {}


PORTS = [0]
"""The one port of all members; chosen by the first."""


@contextmanager
def members(store: Store, certificates: Certificates) -> Iterator[int]:
    """All members serve; their port."""
    with ExitStack() as stack:
        port = 0
        for address, host in MEMBERS.items():
            port = stack.enter_context(_serving(store, address, port, certificates.server(host)))
        PORTS[0] = port
        yield port


@contextmanager
def _serving(store: Store, address: str, port: int, context: ssl.SSLContext) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            fault = store.faults.get(address, "")
            if fault == "silent":
                time.sleep(1.5)
                return
            if fault == "slow":
                time.sleep(0.6)
            answer = store.answer(address, self.path, body) if fault != "error" else {"error": "etcdserver: no leader"}
            if fault == "lost":
                self.close_connection = True
                return
            self._reply(503 if fault == "error" else 200, json.dumps(answer).encode())

        def _reply(self, status: int, data: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((address, port), Handler, bind_and_activate=False)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.server_bind()
    server.server_activate()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode()


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
