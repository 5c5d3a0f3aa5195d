"""Calls of the local cloud's API that the provider's has not, for the scripts and for the machines tests."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal

from localcloud.machines import shared
from localcloud.machines.firewall import API

STATE = Path(os.environ.get("M2_LOCALCLOUD_STATE", "/var/lib/m2-localcloud"))
"""Tests set another place, in a network of their own."""

URL = f"http://{API[0]}:{API[1]}"
CALL_TIMEOUT_S = 60.0
NOT_UP = "the local cloud is not up; bring it up with: scripts/localcloud up"

_without_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))

Power = Literal["cut", "on", "off", "freeze", "thaw"]


class LocalCloudError(Exception):
    """The local cloud cannot do it; the message says what to do."""


class NotThereError(LocalCloudError):
    """What was asked about does not exist."""


def servers() -> list[dict[str, Any]]:
    """`id`, `name`, `state` and `addresses` (public, floating, private) of each."""
    found: list[dict[str, Any]] = ask("GET", "/local/servers")["servers"]
    return found


def power(name: str, what: Power) -> str:
    """The state that a server is in afterwards. Raises LocalCloudError."""
    return str(ask("POST", f"/local/servers/{name}/power", {"what": what})["state"])


def read(name: str) -> str:
    """A file of the local cloud's state. Raises LocalCloudError."""
    try:
        return (STATE / name).read_text().strip()
    except FileNotFoundError:
        raise LocalCloudError(NOT_UP) from None
    except PermissionError:
        raise LocalCloudError(f"{STATE} can be read by root only; run this as root") from None


def ask(method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the API answers. Raises LocalCloudError.

    Never beyond this host: without the link of the local cloud its address would be looked for elsewhere.
    """
    headers = {"Authorization": f"Bearer {read('token')}"}
    if shared.owner() != STATE:
        raise LocalCloudError(NOT_UP)
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(URL + path, data, headers, method=method)  # noqa: S310 - our own address
    try:
        with _without_proxy.open(request, timeout=CALL_TIMEOUT_S) as reply:
            answer: dict[str, Any] = json.load(reply)
            return answer
    except urllib.error.HTTPError as error:
        kind = NotThereError if error.code == HTTPStatus.NOT_FOUND else LocalCloudError
        raise kind(json.load(error)["error"]["message"]) from None
    except OSError as error:
        raise LocalCloudError(f"the API does not answer ({error}); start it with: scripts/localcloud up") from None
