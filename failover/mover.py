"""The mover: moves the addresses of a fixed list to the host that asks, powers a dead database off, and nothing else.

Runs on the database hosts, which alone have the cloud's token. A host proves who it is with its certificate and
can only claim an address for itself, and only one that lists it as a member. A member of the database pair can have
the other member powered off, which a forced takeover needs.

    GET  /addresses              who holds what: {"sip": "balancer-1", "database": null}
    GET  /heard                  seconds since each host asked that, at most since this mover began: {"balancer-1": 2.5}
    POST /addresses/NAME         give it to me; {"only_if_free": true} leaves it where it is when somebody has it
    POST /servers/NAME/power_off cut the power of the other member of my pair, and answer once the cloud says `off`
"""

from __future__ import annotations

import logging
import os
import ssl
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

from failover.cloud import CloudError, Hetzner
from failover.config import Address, Member, MoverConfig, mover_config, tls_context
from failover.https import JsonHandler, RefusedError, TlsServer

CONFIG = Path("/etc/m2/mover.json")
READ_DEADLINE = 5.0
MOVE_DEADLINE = 30.0
PAIR = "database"
"""The address whose two members may have each other powered off."""

log = logging.getLogger("mover")


@dataclass
class Mover:
    """The fixed list in front of the cloud; one move at a time for each address."""

    config: MoverConfig
    cloud: Hetzner
    locks: dict[str, threading.Lock] = field(default_factory=dict)
    asked: dict[str, float] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)

    def hear(self, host: str) -> None:
        """A holder asks again and again: the others may have to know that it lives."""
        self.asked[host] = time.monotonic()

    def heard(self) -> dict[str, float]:
        """Seconds since each host that may hold an address has asked who does."""
        now = time.monotonic()
        members = {member.name for address in self.config.addresses for member in address.members}
        return {name: now - self.asked.get(name, self.began) for name in sorted(members)}

    def holders(self) -> dict[str, str | None]:
        """Who holds each address. Raises CloudError."""
        deadline = time.monotonic() + READ_DEADLINE
        return {address.name: self.cloud.holder(address, deadline) for address in self.config.addresses}

    def claim(self, name: str, host: str, only_if_free: bool) -> str:
        """Give the address to `host`; who holds it afterwards. Raises RefusedError and CloudError."""
        address, member = self._allowed(name, host)
        deadline = time.monotonic() + MOVE_DEADLINE
        with self.locks.setdefault(name, threading.Lock()):
            before = self.cloud.holder(address, deadline)
            holder = self.cloud.assign(address, member, deadline, only_if_free)
        if holder != before:
            log.info("%s moved from %s to %s", name, before or "nobody", holder)
        return holder

    def power_off(self, name: str, host: str) -> None:
        """Cut the power of `name` for the other member of its pair. Raises RefusedError and CloudError."""
        address = next((a for a in self.config.addresses if a.name == PAIR), None)
        member, peer = (address.member(name), address.member(host)) if address else (None, None)
        if member is None or peer is None or member == peer:
            raise RefusedError(HTTPStatus.FORBIDDEN, f"{host} may not power off {name}")
        log.warning("%s has %s powered off", host, name)
        self.cloud.power_off(member.server, peer.server, time.monotonic() + MOVE_DEADLINE)

    def _allowed(self, name: str, host: str) -> tuple[Address, Member]:
        address = next((a for a in self.config.addresses if a.name == name), None)
        member = address.member(host) if address else None
        if address is None or member is None:
            raise RefusedError(HTTPStatus.FORBIDDEN, f"{host} may not hold {name}")
        return address, member


class Handler(JsonHandler):
    """One connection of a host."""

    not_ours = (CloudError,)
    mover: Mover

    def post(self) -> dict[str, str | None]:
        return self._power_off() if self.path.startswith("/servers/") else self._claim()

    def get(self) -> Mapping[str, str | float | None]:
        if self.path == "/heard":
            return self.mover.heard()
        if self.path != "/addresses":
            raise RefusedError(HTTPStatus.NOT_FOUND, "there is nothing here")
        self.mover.hear(self.host())
        return self.mover.holders()

    def _claim(self) -> dict[str, str | None]:
        prefix, _, name = self.path.rpartition("/")
        if prefix != "/addresses":
            raise RefusedError(HTTPStatus.NOT_FOUND, "there is nothing here")
        return {"holder": self.mover.claim(name, self.host(), bool(self.body().get("only_if_free")))}

    def _power_off(self) -> dict[str, str | None]:
        name, _, verb = self.path.removeprefix("/servers/").partition("/")
        if verb != "power_off":
            raise RefusedError(HTTPStatus.NOT_FOUND, "there is nothing here")
        self.body()
        self.mover.power_off(name, self.host())
        return {"power": "off"}


class Server(TlsServer):
    """The mover, where its configuration says."""

    def __init__(self, mover: Mover, context: ssl.SSLContext) -> None:
        handler = type("BoundHandler", (Handler,), {"mover": mover})
        super().__init__((mover.config.listen, mover.config.port), context, handler)


def main() -> int:
    """Serve until stopped. The token comes as a systemd credential."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    config = mover_config(CONFIG)
    token = (Path(os.environ["CREDENTIALS_DIRECTORY"]) / "token").read_text().strip()
    Server(Mover(config, Hetzner(config.endpoint, token)), tls_context(ssl.Purpose.CLIENT_AUTH)).serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
