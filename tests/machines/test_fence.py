"""The fence with real packets between bare hosts that have the project's own nftables rules."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from jinja2 import Environment, StrictUndefined

from failover.fence import PORT, Fence
from tests.machines.bare_hosts import PROJECT, Host, hosts
from tests.machines.lab import until

pytestmark = pytest.mark.machines

VIP = "10.78.0.1"
ADDRESSES = {"old": "10.77.0.1", "new": "10.77.0.2", "client": "10.77.0.3"}
ROLES = PROJECT / "roles"
SAYS_ITS_NAME = """
import socket, socketserver, sys

class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        while self.request.recv(1):
            self.request.sendall(socket.gethostname().encode() + b" to " + self.client_address[0].encode())

socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(("", int(sys.argv[1])), Handler).serve_forever()
"""


@dataclass
class Pair:
    """The member that has the VIP, the other one, and somebody who wants the database."""

    old: Host
    new: Host
    client: Host
    fence: Fence

    def ask(self, address: str, port: int = PORT, of: Host | None = None) -> str:
        """Which host answers to whom. Raises OSError: ConnectionRefusedError when reset, TimeoutError after 1 s."""
        with (of or self.client).network(), socket.create_connection((address, port), 1) as connection:
            return said(connection)

    def connected(self, address: str) -> socket.socket:
        with self.client.network():
            return socket.create_connection((address, PORT), 1)


def said(connection: socket.socket) -> str:
    connection.sendall(b"?")
    return connection.recv(100).decode()


@pytest.fixture(scope="module")
def pair(no_cloud: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with hosts(tmp_path_factory.mktemp("fence"), ADDRESSES) as made:
        old, new, client = made.values()
        client.run("ip", "route", "add", VIP, "via", old.address)
        old.run("ip", "route", "add", VIP, "via", client.address)
        old.run("ip", "address", "add", f"{VIP}/32", "dev", "lo")
        for host in (old, new):
            host.run("sysctl", "-q", "-p", "-", stdin=sysctl("base", "60-m2") + sysctl("database", "61-m2-forwarding"))
            load_rules(host)
            for port in (PORT, 3307):
                host.start("/usr/bin/python3", "-c", SAYS_ITS_NAME, str(port))
        found = Pair(old, new, client, Fence(VIP))
        until(lambda: answers(found, VIP) and answers(found, new.address), 10, "servers")
        yield found


@pytest.fixture(autouse=True)
def afterwards(pair: Pair) -> Iterator[None]:
    yield
    with pair.old.network():
        pair.fence.clear()
    assert pair.ask(VIP) == f"old to {ADDRESSES['client']}"


def test_a_dropping_fence_answers_nobody_on_any_address(pair: Pair) -> None:
    open_before = pair.connected(VIP)
    with pair.old.network():
        pair.fence.drop()
    for address, host in ((VIP, pair.client), (VIP, pair.old), (ADDRESSES["old"], pair.new)):
        with pytest.raises(TimeoutError):
            pair.ask(address, of=host)
    with open_before, pytest.raises(TimeoutError):
        said(open_before)
    assert pair.ask(ADDRESSES["old"], 3307).startswith("old")


def test_a_fence_stands_when_the_host_s_rules_are_loaded_again(pair: Pair) -> None:
    with pair.old.network():
        pair.fence.drop()
    load_rules(pair.old)
    with pytest.raises(TimeoutError):
        pair.ask(VIP)


def test_a_rejecting_fence_resets_new_clients_of_the_vip_only(pair: Pair) -> None:
    with pair.connected(VIP) as open_before:
        said(open_before)
        with pair.old.network():
            pair.fence.reject()
        for host in (pair.client, pair.old):
            began = time.monotonic()
            with pytest.raises(ConnectionRefusedError):
                pair.ask(VIP, of=host)
            assert time.monotonic() - began < 0.5
        assert said(open_before).startswith("old")
        assert pair.ask(ADDRESSES["old"]).startswith("old")


@pytest.mark.parametrize("address_is_gone", [False, True])
def test_a_former_holder_sends_clients_on_until_the_route_has_moved(pair: Pair, address_is_gone: bool) -> None:
    with pair.old.network():
        pair.fence.forward(ADDRESSES["new"])
    if address_is_gone:
        pair.old.run("ip", "address", "del", f"{VIP}/32", "dev", "lo")
    try:
        assert pair.ask(VIP) == f"new to {ADDRESSES['old']}"
        assert pair.ask(VIP, of=pair.old) == f"new to {ADDRESSES['old']}"
        assert pair.ask(ADDRESSES["old"]).startswith("old")
    finally:
        pair.old.run("ip", "address", "replace", f"{VIP}/32", "dev", "lo")


def test_nothing_else_is_forwarded(pair: Pair) -> None:
    pair.client.run("ip", "route", "add", "10.79.0.1", "via", ADDRESSES["old"])
    pair.new.run("ip", "address", "add", "10.79.0.1/32", "dev", "lo")
    pair.old.run("ip", "route", "add", "10.79.0.1", "via", ADDRESSES["new"])
    with pytest.raises(TimeoutError):
        pair.ask("10.79.0.1")


def answers(pair: Pair, address: str) -> bool:
    try:
        return bool(pair.ask(address))
    except OSError:
        return False


def sysctl(role: str, name: str) -> str:
    return (ROLES / role / "files/etc/sysctl.d" / f"{name}.conf").read_text()


def load_rules(host: Host) -> None:
    """What the base role makes of two openings."""
    openings = [SimpleNamespace(protocol="tcp", ports=f"{PORT}-3307", sources=["10.77.0.0/24"], at=at) for at in "pv"]
    for opening in openings:
        opening.stateless = False
    source = (ROLES / "base/files/etc/nftables.conf.j2").read_text()
    template = Environment(undefined=StrictUndefined, autoescape=False).from_string(source)  # noqa: S701 - no HTML
    rules = template.render(openings=openings, address_of=lambda at: host.address if at == "p" else VIP)
    done = host.run("nft", "-f", "-", stdin=rules)
    assert done.returncode == 0, done.stderr
