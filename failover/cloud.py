"""Moves addresses through the Hetzner API; the only code on a host that knows the token.

Every call has a deadline, every move is read back: a reply that says success is not yet an address that moved.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import requests

from failover.config import Address, Member

CONNECT_TIMEOUT = 1.0
READ_TIMEOUT = 3.0
"""Seconds; hcloud-python has none of its own."""

POLL = 0.25
WORTH_ANOTHER_TRY = {409, 423, 429, 500, 502, 503, 504}
"""conflict, locked, rate_limit_exceeded and server errors (docs.hetzner.cloud, Errors)."""

NOBODY = None
OFF = "off"


class CloudError(Exception):
    """The API refused or did not answer in time; one sentence."""


class OutOfTimeError(CloudError):
    """The deadline came first: says nothing of why it was needed."""


@dataclass
class Hetzner:
    """One project's API. `sleep` and `now` can be replaced in tests."""

    endpoint: str
    token: str
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.monotonic
    session: requests.Session = field(default_factory=requests.Session)
    ids: dict[tuple[str, str], int] = field(default_factory=dict)

    def holder(self, address: Address, deadline: float) -> str | None:
        """Who holds the address: a member's name, NOBODY, or "?" for a server that is no member."""
        if address.kind == "route":
            gateway = self._gateway(address, deadline)
            return next((m.name for m in address.members if m.ip == gateway), "?" if gateway else NOBODY)
        server = self._floating_ip(address, deadline)["server"]
        if server is None:
            return NOBODY
        found = self._member_by_server(address, server, deadline)
        if found == "?":
            # A rebuilt server keeps its name and gets another number.
            self.ids.clear()
            found = self._member_by_server(address, server, deadline)
        return found

    def assign(self, address: Address, member: Member, deadline: float, only_if_free: bool = False) -> str:
        """Give the address to the member; who holds it afterwards, read back. Raises CloudError at the deadline.

        With `only_if_free` nobody loses it. For a route that is a compare-and-set: the API refuses a second one.
        """

        def attempt() -> str | None:
            holder = self.holder(address, deadline)
            if holder != member.name and not (only_if_free and holder is not NOBODY):
                self._move(address, member, deadline, take=not only_if_free)
                holder = self.holder(address, deadline)
            return holder if holder == member.name or only_if_free else NOBODY

        doubt = "the API says yes and the address has not moved"
        return self._insist(attempt, f"{address.name} could not be given to {member.name}", doubt, deadline)

    def power_off(self, server: str, asked_by: str, deadline: float) -> None:
        """Cut the server's power and read `off` back. Raises CloudError at the deadline.

        One that the project no longer has is off too, if the project is the right one: it has who asks.
        """

        def attempt() -> str | None:
            found = self._look("servers", server, deadline)
            if found is None:
                self._find("servers", asked_by, deadline)
                return OFF
            if found["status"] != OFF:
                self._act(f"servers/{found['id']}/actions/poweroff", {}, deadline)
                found = self._find("servers", server, deadline)
            return OFF if found["status"] == OFF else None

        doubt = "the API says yes and the server is not off"
        self._insist(attempt, f"{server} could not be powered off", doubt, deadline)

    def _insist(self, attempt: Callable[[], str | None], failure: str, doubt: str, deadline: float) -> str:
        """Try until there is a result. CloudError at the deadline: `failure` and why, `doubt` if nothing went wrong."""
        pause, why = 0.2, ""
        while True:
            try:
                result = attempt()
                if result is not None:
                    return result
                why = doubt
            except CloudError as error:
                why = why if why and isinstance(error, OutOfTimeError) else str(error)
                self.ids.clear()
            if self.now() + pause > deadline:
                raise CloudError(f"{failure}: {why}")
            self.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not cryptography
            pause = min(pause * 2, 2.0)

    def _move(self, address: Address, member: Member, deadline: float, take: bool) -> None:
        if address.kind == "floating_ip":
            name = address.where.get("name")
            known = self._id("floating_ips", name, deadline) if name else None
            floating = known or self._floating_ip(address, deadline)["id"]
            server = self._id("servers", member.server, deadline)
            self._act(f"floating_ips/{floating}/actions/assign", {"server": server}, deadline)
            return
        network = self._id("networks", address.where["network"], deadline)
        destination = address.where["destination"]
        gateway = self._gateway(address, deadline) if take else None
        if gateway:
            route = {"destination": destination, "gateway": gateway}
            self._act(f"networks/{network}/actions/delete_route", route, deadline)
        route = {"destination": destination, "gateway": member.ip}
        self._act(f"networks/{network}/actions/add_route", route, deadline)

    def _floating_ip(self, address: Address, deadline: float) -> dict[str, Any]:
        """By the name that the stack gave it, or one that was there before, by the address itself."""
        if "name" in address.where:
            return self._find("floating_ips", address.where["name"], deadline)
        page: int | None = 1
        while page is not None:
            reply = self._call("GET", "floating_ips", deadline, params={"page": page})
            for floating in reply["floating_ips"]:
                if floating["ip"] == address.where["ip"]:
                    return dict(floating)
            page = reply["meta"]["pagination"]["next_page"]
        raise CloudError(f"the project has no floating IP {address.where['ip']}")

    def _gateway(self, address: Address, deadline: float) -> str | None:
        network = self._find("networks", address.where["network"], deadline)
        routes = (r for r in network["routes"] if r["destination"] == address.where["destination"])
        return next((route["gateway"] for route in routes), None)

    def _member_by_server(self, address: Address, server: int, deadline: float) -> str:
        for member in address.members:
            if self._id("servers", member.server, deadline) == server:
                return member.name
        return "?"

    def _id(self, kind: str, name: str, deadline: float) -> int:
        if (kind, name) not in self.ids:
            self.ids[kind, name] = self._find(kind, name, deadline)["id"]
        return self.ids[kind, name]

    def _find(self, kind: str, name: str, deadline: float) -> dict[str, Any]:
        found = self._look(kind, name, deadline)
        if found is None:
            raise CloudError(f"the project has no {kind} called {name}")
        return found

    def _look(self, kind: str, name: str, deadline: float) -> dict[str, Any] | None:
        found: list[dict[str, Any]] = self._call("GET", kind, deadline, params={"name": name})[kind]
        return found[0] if found else None

    def _act(self, path: str, body: dict[str, Any], deadline: float) -> None:
        action = self._call("POST", path, deadline, json=body)["action"]
        while action["status"] == "running":
            if self.now() + POLL >= deadline:
                raise OutOfTimeError(f"{action['command']} was still running at the deadline")
            self.sleep(POLL)
            action = self._call("GET", f"actions/{action['id']}", deadline)["action"]
        if action["status"] == "error":
            raise CloudError(f"{action['command']} failed: {action['error']['message']}")

    def _call(self, method: str, path: str, deadline: float, **more: Any) -> dict[str, Any]:
        pause = 0.2
        while True:
            try:
                return self._once(method, path, deadline, **more)
            except TransientError as error:
                if method == "POST" or self.now() + pause > deadline:
                    raise CloudError(str(error)) from None
            self.sleep(pause)
            pause = min(pause * 2, 2.0)

    def _once(self, method: str, path: str, deadline: float, **more: Any) -> dict[str, Any]:
        left = deadline - self.now()
        if left <= 0:
            raise OutOfTimeError(f"no time was left for {method} {path}")
        timeout = (min(CONNECT_TIMEOUT, left), min(READ_TIMEOUT, left))
        headers = {"Authorization": f"Bearer {self.token}"}
        try:
            reply = self.session.request(
                method, f"{self.endpoint}/{path}", headers=headers, timeout=timeout, allow_redirects=False, **more
            )
        except requests.RequestException as error:
            raise TransientError(f"the API did not answer: {type(error).__name__}") from None
        if reply.status_code in WORTH_ANOTHER_TRY:
            raise TransientError(f"the API answered {reply.status_code} {_code(reply)}")
        if not reply.ok:
            raise CloudError(f"the API refused {method} {path}: {reply.status_code} {_code(reply)}")
        return _object(reply, method, path)


class TransientError(Exception):
    """A fault that may be gone in a moment."""


class _Answer(dict[str, Any]):
    """An object of the API; what it lacks is an error of the cloud and not of this program."""

    def __missing__(self, key: str) -> Any:
        raise CloudError(f"the API's answer has no {key!r}")


def _object(reply: requests.Response, method: str, path: str) -> dict[str, Any]:
    try:
        answer = json.loads(reply.text, object_hook=_Answer)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise CloudError(f"the API answered {method} {path} with something that is no JSON object")
    return answer


def _code(reply: requests.Response) -> str:
    try:
        return str(reply.json()["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return ""
