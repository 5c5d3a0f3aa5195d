"""How things are broken: on the local cloud by its fault panel, on a real one by ssh and the provider's API.

Every fault is a context: what it broke works again after the block, or by itself a while later should this program
die in between.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Protocol

import hcloud

from components.clouds.hetzner import ENDPOINT
from components.logins import UnreachableError
from scripts import faults
from scripts.hosts import Hosts

LONGEST = 600
"""Seconds after which a fault ends by itself."""

HEAL_TIMEOUT = 60.0
MARIADB = "m2-mariadbd.service"
BALLAST = "/srv/database/m2-drill-ballast"

Broken = AbstractContextManager[object]


class BreakingError(Exception):
    """A fault cannot be made here; one sentence that says what to do."""


class Breaker(Protocol):
    """Breaks hosts of one stack, by their names."""

    def power(self, host: str) -> Broken:
        """No power."""

    def freeze(self, host: str) -> Broken:
        """It stands still and does not know it."""

    def isolate(self, host: str) -> Broken:
        """No packet to or from anybody."""

    def split(self, host: str, other: str) -> Broken:
        """No packet between the two."""

    def fill(self, host: str) -> Broken:
        """Not a byte is free for the database."""

    def fail_api(self, members: Sequence[str]) -> Broken:
        """The provider's API does not work for the movers on these hosts."""


@dataclass(frozen=True)
class LocalBreaker:
    """By the local cloud's fault panel."""

    stack: str

    def power(self, host: str) -> Broken:
        return faults.power(self._server(host), seconds=LONGEST)

    def freeze(self, host: str) -> Broken:
        return faults.freeze(self._server(host), seconds=LONGEST)

    def isolate(self, host: str) -> Broken:
        return faults.cut(self._server(host), "everything", seconds=LONGEST)

    def split(self, host: str, other: str) -> Broken:
        return faults.cut(self._server(host), self._server(other), seconds=LONGEST)

    def fill(self, host: str) -> Broken:
        return faults.fill(self._server(host), seconds=LONGEST)

    @contextmanager
    def fail_api(self, members: Sequence[str]) -> Iterator[None]:
        with ExitStack() as stack:
            for member in members:
                stack.enter_context(faults.api(status=503, caller=self._server(member), seconds=LONGEST))
            yield

    def _server(self, host: str) -> str:
        return f"{self.stack}-{host}"


@dataclass(frozen=True)
class RealBreaker:
    """By ssh, and by the provider's API where nothing else can: for power. Links of one host are cut by its own nft."""

    hosts: Hosts
    token: str
    endpoint: str = ENDPOINT

    @contextmanager
    def power(self, host: str) -> Iterator[None]:
        api = hcloud.Client(self.token, self.endpoint, timeout=10.0)
        server = api.servers.get_by_name(f"{self.hosts.stack}-{host}")
        if server is None:
            raise BreakingError(f"the project of HCLOUD_TOKEN has no server {self.hosts.stack}-{host}")
        server.power_off().wait_until_finished()
        try:
            yield
        finally:
            server.power_on().wait_until_finished()

    def freeze(self, host: str) -> Broken:
        """mariadbd only: nothing freezes a real server from outside."""
        return self._until_later(
            host, f"systemctl kill --signal=STOP {MARIADB}", f"systemctl kill --signal=CONT {MARIADB}"
        )

    def isolate(self, host: str) -> Broken:
        """From all but ssh, by which it is healed."""
        return self._filtered(
            host, "tcp dport 22 accept; iif lo accept; drop", "tcp sport 22 accept; oif lo accept; drop"
        )

    def split(self, host: str, other: str) -> Broken:
        address = self.hosts.logins.output(
            other, 'python3 -c \'import json; print(json.load(open("/etc/m2/mover.json"))["listen"])\''
        ).strip()
        return self._filtered(host, f"ip saddr {address} drop", f"ip daddr {address} drop")

    def fill(self, host: str) -> Broken:
        free = f"$(( $(stat -f -c '%a * %S' {BALLAST.rpartition('/')[0]}) ))"
        return self._until_later(host, f'sh -c "fallocate -l {free} {BALLAST}"', f"rm -f {BALLAST}")

    @contextmanager
    def fail_api(self, members: Sequence[str]) -> Iterator[None]:
        with ExitStack() as stack:
            for member in members:
                stack.enter_context(self._filtered(member, "", "meta skuid root tcp dport 443 drop"))
            yield

    def _filtered(self, host: str, incoming: str, outgoing: str) -> Broken:
        hook = "type filter hook {} priority -200; policy accept;"
        table = (
            f"table inet m2drill {{ chain i {{ {hook.format('input')} {incoming} }} "
            f"chain o {{ {hook.format('output')} {outgoing} }} }}"
        )
        return self._until_later(host, f"nft '{table}'", "nft delete table inet m2drill")

    @contextmanager
    def _until_later(self, host: str, begin: str, end: str) -> Iterator[None]:
        """The end is set before the beginning, and waits on the host itself."""
        unit = "m2-drill-heals"
        later = f"systemd-run --quiet --unit={unit} --on-active={LONGEST} {end}"
        self.hosts.logins.output(host, f"sudo systemctl stop {unit}.timer 2>/dev/null; sudo {later} && sudo {begin}")
        try:
            yield
        finally:
            heal(self.hosts, host, f"sudo systemctl stop {unit}.timer; sudo {end}")


@contextmanager
def killed(hosts: Hosts, host: str) -> Iterator[None]:
    """mariadbd dies while its host lives."""
    hosts.logins.output(host, "sudo pkill --signal KILL --exact mariadbd", timeout=10)
    yield


@contextmanager
def without_quorum(hosts: Hosts, gone: Sequence[str]) -> Iterator[None]:
    """etcd stands still on these hosts."""
    later = f"sudo systemd-run --quiet --unit=m2-drill-quorum --on-active={LONGEST} systemctl start etcd"
    with ExitStack() as stack:
        for host in gone:
            hosts.logins.output(host, f"{later}; sudo systemctl stop etcd", timeout=20)
            stack.callback(heal, hosts, host, "sudo systemctl stop m2-drill-quorum.timer; sudo systemctl start etcd")
        yield


def heal(hosts: Hosts, host: str, command: str) -> None:
    """Run it as soon as the host takes ssh again. Raises LoginError when it does not for `HEAL_TIMEOUT` seconds."""
    deadline = time.monotonic() + HEAL_TIMEOUT
    while True:
        try:
            hosts.logins.run(host, command, timeout=30)
            return
        except UnreachableError:
            if time.monotonic() > deadline:
                raise
        time.sleep(1.0)


def breaker(hosts: Hosts, is_local: bool) -> Breaker:
    """The way to break this stack. Raises BreakingError for a real one without a token."""
    if is_local:
        return LocalBreaker(hosts.stack)
    token = os.environ.get("HCLOUD_TOKEN", "")
    if not token:
        raise BreakingError("HCLOUD_TOKEN is not set: a drill on a real cloud cuts power through the API")
    return RealBreaker(hosts, token)
