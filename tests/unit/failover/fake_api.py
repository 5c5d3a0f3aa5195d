"""The provider's API as far as the mover calls it, in virtual time and with faults at will.

Written after docs.hetzner.cloud (Floating IPs, Networks, Servers, Actions, Errors). A destination has one route, so
adding it is a compare-and-set; assigning to the server that has it already is an error.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import requests

from failover.cloud import Hetzner
from failover.config import Address, Member

TOKEN = "the-token".ljust(64, "x")
NETWORK_DESTINATION = "10.0.128.1/32"
MAIN = Member("database-1", "s-database-1", "10.0.0.21")
BACKUP = Member("database-2", "s-database-2", "10.0.0.22")
ROUTE = Address("database", "route", {"network": "s", "destination": NETWORK_DESTINATION}, (MAIN, BACKUP))
FLOATING = Address("sip", "floating_ip", {"name": "s-sip"}, (MAIN, BACKUP))
KEPT = Address("sip", "floating_ip", {"ip": "203.0.113.77"}, (MAIN, BACKUP))
ADDRESSES = {"floating_ip": FLOATING, "kept floating_ip": KEPT, "route": ROUTE}

QUICK = 0.05
"""Seconds that a request takes when nothing is wrong."""

TIMED_OUT = 4.0
"""Seconds until the client gives up: one to connect, three to read."""

Reply = tuple[int, Mapping[str, Any]]


@dataclass(frozen=True)
class Fault:
    """What happens instead of a good answer. `lost` is when: before the work was done, or after it."""

    status: int | None = None
    code: str = "conflict"
    lost: str | None = None
    text: str | None = None
    action_fails: bool = False
    action_takes: float = 0.0


LOCKED, CONFLICT = Fault(423, "locked"), Fault(409, "conflict")
RATE_LIMIT, BROKEN = Fault(429, "rate_limit_exceeded"), Fault(500, "server_error")
GATEWAY, UNAVAILABLE, TIMEOUT = Fault(502, "bad_gateway"), Fault(503, "unavailable"), Fault(504, "timeout")
LOST_BEFORE, LOST_AFTER = Fault(lost="before"), Fault(lost="after")
ACTION_ERROR = Fault(action_fails=True)
SLOW_ACTION = Fault(action_takes=3.0)
UNAUTHORIZED = Fault(401, "unauthorized")
TRANSIENT = {
    "locked": LOCKED,
    "conflict": CONFLICT,
    "rate limit": RATE_LIMIT,
    "500": BROKEN,
    "502": GATEWAY,
    "503": UNAVAILABLE,
    "504": TIMEOUT,
    "lost before the work": LOST_BEFORE,
    "lost after the work": LOST_AFTER,
    "action error": ACTION_ERROR,
    "slow action": SLOW_ACTION,
}


class RefusedError(Exception):
    """The API says no."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.reply: Reply = (status, {"error": {"code": code, "message": code}})


@dataclass
class FakeApi:
    """Stands for a `requests.Session`. Faults come in their order: `posts` at POSTs, `gets` at GETs."""

    servers: dict[str, int] = field(default_factory=lambda: {MAIN.server: 1, BACKUP.server: 2, "s-gui": 3})
    off: set[int] = field(default_factory=set)
    floating_server: int | None = None
    routes: dict[str, str] = field(default_factory=dict)
    posts: list[Fault | None] = field(default_factory=list)
    gets: list[Fault | None] = field(default_factory=list)
    always: Fault | None = None
    latency: float = QUICK
    deaf: bool = False
    clock: float = 1000.0
    asked: list[tuple[str, str]] = field(default_factory=list)
    options: list[Mapping[str, Any]] = field(default_factory=list)
    actions: dict[int, tuple[float, Callable[[], None], bool]] = field(default_factory=dict)
    meanwhile: Callable[[FakeApi], None] | None = None
    """Done once, right before the first POST: somebody else was quicker."""

    def client(self) -> Hetzner:
        """The code under test, talking to this, its sleeps in this one's time."""
        session: Any = self
        return Hetzner("https://api.test/v1", TOKEN, sleep=self.sleep, now=lambda: self.clock, session=session)

    def sleep(self, seconds: float) -> None:
        self.clock += seconds

    @property
    def moves(self) -> list[str]:
        """The POSTs, without their answers."""
        return [path.rpartition("/")[2] for method, path in self.asked if method == "POST"]

    def gives(self, address: Address, holder: Member | None) -> None:
        """Start with this holder."""
        if address.kind == "floating_ip":
            self.floating_server = self.servers[holder.server] if holder else None
        elif holder:
            self.routes[NETWORK_DESTINATION] = holder.ip

    def holder(self, address: Address) -> str | None:
        """Who has it in truth."""
        if address.kind == "floating_ip":
            names = {number: name for name, number in self.servers.items()}
            return next((m.name for m in address.members if m.server == names.get(self.floating_server or 0)), None)
        gateway = self.routes.get(NETWORK_DESTINATION)
        return next((m.name for m in address.members if m.ip == gateway), gateway)

    def request(self, method: str, url: str, **options: Any) -> requests.Response:
        path = url.removeprefix("https://api.test/v1/")
        self.asked.append((method, path))
        self.options.append(options)
        fault = self._fault(method)
        self.clock += TIMED_OUT if fault.lost == "before" else self.latency
        if fault.lost == "before":
            raise requests.ConnectTimeout("no answer")
        if fault.status:
            return response(fault.status, json.dumps({"error": {"code": fault.code, "message": fault.code}}))
        if method == "POST" and self.meanwhile:
            self.meanwhile(self)
            self.meanwhile = None
        status, body = self._work(method, path, options, fault)
        if fault.lost == "after":
            self.clock += TIMED_OUT
            raise requests.ReadTimeout("no answer")
        return response(status, json.dumps(body) if fault.text is None else fault.text)

    def _fault(self, method: str) -> Fault:
        script = self.posts if method == "POST" else self.gets
        return (script.pop(0) if script else self.always) or Fault()

    def _work(self, method: str, path: str, options: Mapping[str, Any], fault: Fault) -> Reply:
        self._finish_actions()
        kind, _, rest = path.partition("/")
        try:
            if method == "GET" and kind == "actions":
                return 200, {"action": self._action(int(rest))}
            if method == "GET":
                return 200, self._listed(kind, options["params"])
            return 201, {"action": self._begin(path, options["json"], fault)}
        except RefusedError as refusal:
            return refusal.reply

    def _listed(self, kind: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """By name, or page by page: the first one has somebody else's."""
        if "name" in params:
            return {kind: self._found(kind, params["name"])}
        first = params["page"] == 1
        entries = [{"id": 66, "ip": "203.0.113.66", "server": None}] if first else self._found(kind, "s-sip")
        return {kind: entries, "meta": {"pagination": {"next_page": 2 if first else None}}}

    def _found(self, kind: str, name: str) -> list[dict[str, Any]]:
        known: dict[str, list[dict[str, Any]]] = {
            "servers": [
                {"id": number, "name": server, "status": "off" if number in self.off else "running"}
                for server, number in self.servers.items()
            ],
            "floating_ips": [{"id": 77, "name": "s-sip", "ip": "203.0.113.77", "server": self.floating_server}],
            "networks": [
                {"id": 88, "name": "s", "routes": [{"destination": d, "gateway": g} for d, g in self.routes.items()]}
            ],
        }
        return [entry for entry in known[kind] if entry["name"] == name]

    def _begin(self, path: str, body: Mapping[str, Any], fault: Fault) -> dict[str, Any]:
        if any(self.clock < done_at for done_at, _, _ in self.actions.values()):
            raise RefusedError(423, "locked")
        work = self._judged(path, body)
        number = len(self.actions) + 1
        done_at = self.clock + max(fault.action_takes, 0.4)
        self.actions[number] = (done_at, work, fault.action_fails)
        return {"id": number, "status": "running", "command": path.rpartition("/")[2], "error": None}

    def _judged(self, path: str, body: Mapping[str, Any]) -> Callable[[], None]:
        """The work of a POST, or a refusal."""
        verb = path.rpartition("/")[2]
        if verb == "assign":
            return self._assign(int(body["server"]))
        if verb == "poweroff":
            return lambda: self.off.add(int(path.split("/")[1]))
        destination, gateway = body["destination"], body["gateway"]
        if verb == "add_route":
            if destination in self.routes:
                raise RefusedError(422, "invalid_input")
            return lambda: self.routes.update({destination: gateway})
        if self.routes.get(destination) != gateway:
            raise RefusedError(404, "not_found")
        return lambda: self.routes.clear()

    def _assign(self, server: int) -> Callable[[], None]:
        if server not in self.servers.values():
            raise RefusedError(422, "invalid_input")
        if self.floating_server == server:
            raise RefusedError(422, "floating_ip_assigned")

        def work() -> None:
            self.floating_server = server

        return work

    def _finish_actions(self) -> None:
        for number, (done_at, work, fails) in list(self.actions.items()):
            if self.clock >= done_at:
                if not fails and not self.deaf:
                    work()
                self.actions[number] = (done_at, lambda: None, fails)

    def _action(self, number: int) -> dict[str, Any]:
        done_at, _, fails = self.actions[number]
        status = "running" if self.clock < done_at else "error" if fails else "success"
        error = {"code": "action_failed", "message": "it did not work"} if status == "error" else None
        return {"id": number, "status": status, "command": "move", "error": error}


def response(status: int, text: str) -> requests.Response:
    reply = requests.Response()
    reply.status_code = status
    reply._content = text.encode()
    return reply
