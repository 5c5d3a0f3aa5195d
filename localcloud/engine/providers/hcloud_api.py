"""The Hetzner API as the real provider calls it: its retries, its waiting for actions, and only on this machine."""

from __future__ import annotations

import ipaddress
import re
import socket
import time
from collections.abc import Callable, Collection
from typing import Any
from urllib.parse import urlsplit

import hcloud
import requests

from localcloud.engine.errors import EngineError
from localcloud.engine.providers import ProviderError, UnknownOutcomeError

Json = dict[str, Any]
TRIES = 5
"""terraform-provider-hcloud, internal/util/control: 1, 2, 4, 8 s between them."""
REPLY_SECONDS = 60.0
SLOWEST_POLL = 60.0
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class ApiError(ProviderError):
    """The API said no; `code` is its word for why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code


class Api:
    """Retries of `conflict`, `rate_limit_exceeded`, 502 and 504 are hcloud-python's own, the same as hcloud-go's."""

    def __init__(self, token: str, endpoint: str, poll: Callable[[int], float]) -> None:
        """`poll` gives the seconds before the nth look at running actions, from 0."""
        self._client = hcloud.Client(
            token, api_endpoint=endpoint.rstrip("/"), application_name="embedded-engine", timeout=REPLY_SECONDS
        )
        self._poll = poll

    def call(self, method: str, path: str, body: Json | None = None) -> Json:
        """`path` without a leading slash. UnknownOutcomeError when the reply to a change was lost."""
        arguments = {} if body is None else {"json": body}
        try:
            return self._client.request(method, f"/{path}", **arguments)
        except hcloud.APIException as error:
            raise ApiError(str(error.code), f"{method} {path.partition('?')[0]}: {error.message}") from error
        except requests.RequestException as error:
            kind = ProviderError if method == "GET" else UnknownOutcomeError
            raise kind(f"{method} {path}: no reply ({type(error).__name__})") from error

    def get(self, path: str) -> Json | None:
        """The object, without its name around it; None when there is none."""
        try:
            (found,) = self.call("GET", path).values()
        except ApiError as error:
            if error.code == "not_found":
                return None
            raise
        return dict(found)

    def list(self, collection: str, query: str) -> list[Json]:
        return list(self.call("GET", f"{collection}?{query}")[collection])

    def act(self, path: str, body: Json, retry: Collection[str] = (), tries: int = TRIES) -> None:
        """POST and wait for its actions; errors in `retry` are tried again."""
        self.wait(self.persist(lambda: self.call("POST", path, body), retry, tries))

    def persist(self, call: Callable[[], Json], retry: Collection[str], tries: int = TRIES) -> Json:
        for attempt in range(tries - 1):
            try:
                return call()
            except ApiError as error:
                if error.code not in retry:
                    raise
            time.sleep(2**attempt)
        return call()

    def wait(self, reply: Json) -> None:
        """ProviderError when one of the reply's actions ends in an error."""
        found = [reply.get("action"), *(reply.get("actions") or ()), *(reply.get("next_actions") or ())]
        running = {action["id"]: action for action in found if action}
        attempt = 0
        while running := {id_: action for id_, action in running.items() if _runs(action)}:
            time.sleep(self._poll(attempt))
            attempt += 1
            query = "&".join(f"id={id_}" for id_ in sorted(running))
            running = {action["id"]: action for action in self.list("actions", f"{query}&page=1&sort=status&sort=id")}


def _runs(action: Json) -> bool:
    if action["status"] == "error":
        error = action.get("error") or {}
        raise ApiError(str(error.get("code")), f"{action['command']}: {error.get('message')}")
    return bool(action["status"] == "running")


def polling(interval: str, function: str) -> Callable[[int], float]:
    """From the provider's settings `pollInterval` ("500ms") and `pollFunction` ("exponential", "constant")."""
    parts = re.findall(r"([\d.]+)(ms|s|m|h)", interval)
    if not parts or "".join(map("".join, parts)) != interval:
        raise EngineError(f"hcloud:pollInterval: {interval!r} is not allowed; allowed: a duration as 500ms or 2s")
    seconds = sum(float(number) * UNITS[unit] for number, unit in parts)
    if function == "constant":
        return lambda _: seconds
    if function == "exponential":
        return lambda attempt: min(seconds * 2.0**attempt, SLOWEST_POLL)
    raise EngineError(f"hcloud:pollFunction: {function!r} is not allowed; allowed: exponential, constant")


def refuse_foreign(endpoint: str | None) -> str:
    """The endpoint, if it is on this machine; EngineError otherwise."""
    advice = "the embedded engine serves the local cloud only; for a real cloud install the pulumi CLI"
    if not endpoint:
        raise EngineError(f"hcloud:endpoint and HCLOUD_ENDPOINT are not set: {advice}")
    if not is_here(urlsplit(endpoint).hostname or ""):
        raise EngineError(f"hcloud:endpoint: {endpoint} is not an address of this machine: {advice}")
    return endpoint


def is_here(host: str) -> bool:
    """Whether a literal address is a loopback or on an interface of this machine; names but localhost are not."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    if address.is_loopback:
        return True
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, 9))  # sends nothing: the kernel only chooses the source address
        except OSError:
            return False
        return bool(ipaddress.ip_address(probe.getsockname()[0].split("%")[0]) == address)
