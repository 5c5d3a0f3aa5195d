"""The pair's record in etcd, through the JSON gateway of Debian 12's etcd 3.4 (its gRPC needs a package more).

Keys below `prefix`: `record` (record.py), `alive` (rewritten by the holder every second) and `lock`. Every call has a
deadline; one that fails leaves open whether it changed anything.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from failover.record import Record, View

PORT = 2379
PREFIX = "/m2/database/"
PATIENCE = 0.4
"""Seconds for a member that is asked first, twice as long in each further round: one that is cut off costs little,
and one that is slow is not given up for ever."""

PAUSE = 0.02
"""Seconds between two rounds."""


class EtcdError(Exception):
    """No member did what was asked in time; whether it was done is not known. One sentence."""


@dataclass
class Etcd:
    """The members, this host's own first, the one without a database last. Threads may share it: each has
    connections of its own."""

    endpoints: tuple[str, ...]
    context: ssl.SSLContext
    prefix: str = PREFIX
    port: int = PORT
    _answered_last: str = ""
    _connections: threading.local = field(default_factory=threading.local, repr=False)

    def read(self, timeout: float) -> View:
        """Record and sign of life as they are now: one linearizable transaction. Raises EtcdError."""
        reply = self._txn([], [self._get("record"), self._get("alive")], [], timeout)
        (text, revision), (alive, alive_revision) = (_entry(part) for part in reply["responses"])
        return View(_record(text) if revision else None, revision, alive, alive_revision)

    def renew(self, record_revision: int, alive: str, timeout: float) -> bool:
        """Write a sign of life; False when the record has changed. Raises EtcdError."""
        reply = self._txn([self._unchanged("record", record_revision)], [self._put("alive", alive)], [], timeout)
        return bool(reply.get("succeeded"))

    def swap(self, record: Record, record_revision: int, timeout: float, alive_revision: int | None = None) -> bool:
        """Change the record if nobody else did; revision 0: create it. Raises EtcdError.

        With `alive_revision` only if the sign of life has not changed either. A try whose reply was lost is repeated:
        then the record that is found may be the one that was to be written.
        """
        text = record.to_json()
        unchanged = [self._unchanged("record", record_revision)]
        if alive_revision is not None:
            unchanged.append(self._unchanged("alive", alive_revision))
        reply = self._txn(unchanged, [self._put("record", text)], [self._get("record")], timeout)
        if reply.get("succeeded"):
            return True
        found, revision = _entry(reply["responses"][0])
        return revision > record_revision and found == text

    def healthy(self, timeout: float) -> tuple[str, ...]:
        """The members that answer a linearizable read themselves; all are asked at once."""
        deadline = time.monotonic() + timeout
        body = {"key": _encoded(f"{self.prefix}record")}

        def answers(endpoint: str) -> bool:
            try:
                with _Connection(endpoint, self.port, self.context) as connection:
                    connection.post("/v3/kv/range", body, deadline)
            except (OSError, http.client.HTTPException, ValueError, EtcdError):
                return False
            return True

        with ThreadPoolExecutor(len(self.endpoints)) as pool:
            found = pool.map(answers, self.endpoints)
            return tuple(endpoint for endpoint, well in zip(self.endpoints, found, strict=True) if well)

    def lead_elsewhere(self, timeout: float) -> None:
        """If the member on this host leads, let the third one lead: an election is not for the moment when this host
        dies. Raises EtcdError."""
        deadline = time.monotonic() + timeout
        own = self.endpoints[0]
        try:
            with _Connection(own, self.port, self.context) as connection:
                status = connection.post("/v3/maintenance/status", {}, deadline)
                if status["leader"] != status["header"]["member_id"]:
                    return
                members = connection.post("/v3/cluster/member/list", {}, deadline)["members"]
                third = next(m["ID"] for m in members if f"https://{self.endpoints[-1]}:{self.port}" in m["clientURLs"])
                connection.post("/v3/maintenance/transfer-leadership", {"targetID": third}, deadline)
        except (OSError, http.client.HTTPException, ValueError, KeyError, StopIteration) as error:
            raise EtcdError(f"etcd's leadership could not be moved: {error!r}") from None

    def lock(self, owner: str, seconds: float, timeout: float) -> str | None:
        """Take the pair's maintenance lock for so long, again to prolong it; who has it if it is somebody else.

        Raises EtcdError.
        """
        deadline = time.monotonic() + timeout
        text, revision = _entry(self._txn([], [self._get("lock")], [], timeout)["responses"][0])
        if revision and text != owner:
            return text
        lease = self._call("/v3/lease/grant", {"TTL": str(max(1, round(seconds)))}, deadline)["ID"]
        put = self._put("lock", owner)
        put["request_put"]["lease"] = lease
        reply = self._txn([self._unchanged("lock", revision)], [put], [self._get("lock")], deadline - time.monotonic())
        if reply.get("succeeded"):
            return None
        text, revision = _entry(reply["responses"][0])
        return None if text == owner else text or "somebody"

    def unlock(self, owner: str, timeout: float) -> None:
        """Give the lock back, if this owner has it. Raises EtcdError."""
        key = _encoded(f"{self.prefix}lock")
        mine = {"key": key, "target": "VALUE", "result": "EQUAL", "value": _encoded(owner)}
        self._txn([mine], [{"request_delete_range": {"key": key}}], [], timeout)

    def members(self, timeout: float) -> list[dict[str, Any]]:
        """All members, as etcd describes them; one that has never started has no `name`. Raises EtcdError."""
        found: list[dict[str, Any]] = self._call("/v3/cluster/member/list", {}, time.monotonic() + timeout)["members"]
        return found

    def remove_member(self, ident: str, timeout: float) -> None:
        """It takes part no more. Raises EtcdError."""
        self._call("/v3/cluster/member/remove", {"ID": ident}, time.monotonic() + timeout)

    def add_member(self, peer_url: str, timeout: float) -> None:
        """A member that is going to start at this address. Raises EtcdError."""
        self._call("/v3/cluster/member/add", {"peerURLs": [peer_url]}, time.monotonic() + timeout)

    def _get(self, name: str) -> dict[str, Any]:
        return {"request_range": {"key": _encoded(self.prefix + name)}}

    def _put(self, name: str, value: str) -> dict[str, Any]:
        return {"request_put": {"key": _encoded(self.prefix + name), "value": _encoded(value)}}

    def _unchanged(self, name: str, revision: int) -> dict[str, Any]:
        """An absent key has the modification revision 0."""
        key = _encoded(self.prefix + name)
        return {"key": key, "target": "MOD", "result": "EQUAL", "mod_revision": str(revision)}

    def _txn(
        self,
        compare: list[dict[str, Any]],
        success: list[dict[str, Any]],
        failure: list[dict[str, Any]],
        timeout: float,
    ) -> dict[str, Any]:
        body = {"compare": compare, "success": success, "failure": failure}
        return self._call("/v3/kv/txn", body, time.monotonic() + timeout)

    def _call(self, path: str, body: dict[str, Any], deadline: float) -> dict[str, Any]:
        """The first answer that any member gives."""
        reasons: dict[str, str] = {}
        for endpoint, patience in self._tries():
            now = time.monotonic()
            if now >= deadline:
                break
            try:
                reply = self._connection(endpoint).post(path, body, min(now + patience, deadline))
            except (OSError, http.client.HTTPException, ValueError, EtcdError) as error:
                reasons[endpoint] = f"{endpoint}: {error or type(error).__name__}"
                continue
            self._answered_last = endpoint
            return reply
        raise EtcdError(f"etcd does not answer ({'; '.join(reasons.values()) or 'no time was left'})")

    def _tries(self) -> Iterator[tuple[str, float]]:
        """Members in turn, first the one that answered last, each with its patience; without an end."""
        order = sorted(self.endpoints, key=lambda endpoint: endpoint != self._answered_last)
        patience = PATIENCE
        while True:
            yield from ((endpoint, patience) for endpoint in order)
            time.sleep(PAUSE)
            patience *= 2

    def _connection(self, endpoint: str) -> _Connection:
        mine: dict[str, _Connection] = self._connections.__dict__
        if endpoint not in mine:
            mine[endpoint] = _Connection(endpoint, self.port, self.context)
        return mine[endpoint]


class _Connection:
    """A connection to one member that is kept while it works."""

    def __init__(self, endpoint: str, port: int, context: ssl.SSLContext) -> None:
        self._make: Callable[[], http.client.HTTPSConnection] = lambda: http.client.HTTPSConnection(
            endpoint, port, context=context
        )
        self._http: http.client.HTTPSConnection | None = None

    def __enter__(self) -> _Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._http is not None:
            self._http.close()
        self._http = None

    def post(self, path: str, body: dict[str, Any], deadline: float) -> dict[str, Any]:
        """The answer. Raises OSError, HTTPException, ValueError, EtcdError; the next call connects again."""
        try:
            connection = self._connected(deadline)
            connection.request("POST", path, body=json.dumps(body), headers={"Content-Type": "application/json"})
            _limit(connection, deadline)
            reply = connection.getresponse()
            text = reply.read()
            answer: dict[str, Any] = json.loads(text)
        except BaseException:
            self.close()
            raise
        if reply.status != http.client.OK:
            raise EtcdError(str(answer.get("error", reply.status)))
        return answer

    def _connected(self, deadline: float) -> http.client.HTTPSConnection:
        if self._http is None:
            self._http = self._make()
        _limit(self._http, deadline)
        if self._http.sock is None:
            self._http.connect()
        return self._http


def _limit(connection: http.client.HTTPSConnection, deadline: float) -> None:
    connection.timeout = max(deadline - time.monotonic(), 0.001)
    if connection.sock is not None:
        connection.sock.settimeout(connection.timeout)


def _record(text: str) -> Record:
    try:
        return Record.from_json(text)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise EtcdError(f"what stands in the record's place is no record: {error!r}") from None


def _entry(response: dict[str, Any]) -> tuple[str, int]:
    """Value and modification revision of a key; ("", 0) when it is absent."""
    found = response["response_range"].get("kvs", [])
    if not found:
        return "", 0
    return base64.b64decode(found[0].get("value", "")).decode(), int(found[0]["mod_revision"])


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
