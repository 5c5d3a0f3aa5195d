"""Asks the movers: the first that answers, in the order of the configuration."""

from __future__ import annotations

import http.client
import json
import ssl
from dataclasses import dataclass
from typing import Any

PORT = 8443
CONNECT_TIMEOUT = 2.0
ANSWER_TIMEOUT = 35.0
"""Seconds; a move has 30 at the mover, a mover that is powered off costs a moment."""


class MoverError(Exception):
    """No mover did what was asked; one sentence."""


@dataclass(frozen=True)
class MoverClient:
    """A host's way to the movers."""

    movers: tuple[str, ...]
    context: ssl.SSLContext

    def holders(self) -> dict[str, str | None]:
        """Who holds each address; "?" is a server that is no member. Raises MoverError."""
        answer: dict[str, str | None] = self._ask("GET", "/addresses", None)
        return answer

    def heard(self) -> dict[str, float]:
        """Seconds since each host has asked who holds what, as a mover knows it. Raises MoverError."""
        answer: dict[str, float] = self._ask("GET", "/heard", None)
        return answer

    def claim(self, address: str, only_if_free: bool = False) -> str:
        """Have the address given to this host; who holds it afterwards. Raises MoverError."""
        return str(self._ask("POST", f"/addresses/{address}", {"only_if_free": only_if_free})["holder"])

    def power_off(self, peer: str) -> None:
        """Have the other member of this host's pair powered off; the cloud says that it is. Raises MoverError."""
        self._ask("POST", f"/servers/{peer}/power_off", {})

    def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        reasons = []
        for mover in self.movers:
            try:
                return self._once(mover, method, path, body)
            except (OSError, http.client.HTTPException, ValueError, MoverError) as error:
                reasons.append(f"{mover}: {error}")
        raise MoverError("; ".join(reasons))

    def _once(self, mover: str, method: str, path: str, body: dict[str, Any] | None) -> Any:
        connection = http.client.HTTPSConnection(mover, PORT, context=self.context, timeout=CONNECT_TIMEOUT)
        try:
            connection.connect()
            connection.sock.settimeout(ANSWER_TIMEOUT)
            connection.request(method, path, body=None if body is None else json.dumps(body))
            reply = connection.getresponse()
            answer = json.loads(reply.read())
        finally:
            connection.close()
        if reply.status != http.client.OK:
            raise MoverError(answer.get("error", str(reply.status)))
        return answer
