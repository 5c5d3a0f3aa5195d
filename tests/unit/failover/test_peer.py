"""Agent to agent over real TLS on loopback: who is let in, what is asked, and peers that fail in every way."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from failover.https import Writer
from failover.peer import PeerClient, PeerError, PeerServer
from tests.unit.failover.movers import DATABASE_1, Certificates, stack

VIP = "10.0.128.1"
DATA = bytes(range(256)) * 20_000


@dataclass
class Agent:
    """The agent on database-1."""

    promises: bool = True
    asked: list[object] = field(default_factory=list)
    breaks_off: bool = False
    go_on: threading.Event = field(default_factory=threading.Event)

    def report(self) -> dict[str, Any]:
        return {"name": "database-1", "database": None}

    def promise(self, seconds: float) -> bool:
        self.asked.append(seconds)
        return self.promises

    def wake(self) -> None:
        self.asked.append("wake")

    def probe(self, address: str) -> str | None:
        return "database-2" if address == VIP else None

    def backup(self, to: Writer) -> None:
        to.write(DATA[:1000])
        assert self.go_on.wait(5)
        if self.breaks_off:
            raise OSError("the disk is gone")
        to.write(DATA[1000:])


@pytest.fixture
def agent() -> Agent:
    made = Agent()
    made.go_on.set()
    return made


@pytest.fixture
def port(agent: Agent, certificates: Certificates) -> Iterator[int]:
    server = PeerServer(DATABASE_1, 0, certificates.server("database-1"), "database-2", agent)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def peer(port: int, certificates: Certificates) -> PeerClient:
    """As database-2 sees it."""
    return PeerClient(DATABASE_1, certificates.client("database-2"), port)


def test_the_other_member_is_told_what_it_asks(peer: PeerClient, agent: Agent) -> None:
    assert peer.report(2) == {"name": "database-1", "database": None}
    assert peer.promise(10, 2)
    agent.promises = False
    assert not peer.promise(7.5, 2)
    peer.wake(2)
    assert agent.asked == [10, 7.5, "wake"]
    assert peer.probe(VIP, 2) == "database-2"
    assert peer.probe("10.0.128.2", 2) is None


@pytest.mark.parametrize("host", ["gui", "balancer-1", "database-1"])
def test_nobody_else_is_listened_to(port: int, agent: Agent, certificates: Certificates, host: str) -> None:
    stranger = PeerClient(DATABASE_1, certificates.client(host), port)
    orders: list[Callable[[], object]] = [
        lambda: stranger.promise(10, 2),
        lambda: stranger.wake(2),
        lambda: stranger.report(2),
        lambda: stranger.backup(io.BytesIO()),
    ]
    for order in orders:
        with pytest.raises(PeerError, match=f"{host} is not the other member"):
            order()
    assert agent.asked == []


def test_a_certificate_of_another_authority_gets_no_answer(port: int, agent: Agent, certificates: Certificates) -> None:
    stranger = PeerClient(DATABASE_1, certificates.client("database-2", stack("x" * 32)), port)
    with pytest.raises(PeerError):
        stranger.promise(10, 2)
    assert agent.asked == []


@pytest.mark.parametrize("seconds", [0, -1, 1e9, float("nan")])
def test_a_promise_that_makes_no_sense_is_refused(peer: PeerClient, agent: Agent, seconds: float) -> None:
    with pytest.raises(PeerError, match="seconds"):
        peer.promise(seconds, 2)
    assert agent.asked == []


def test_only_an_address_can_be_probed(peer: PeerClient) -> None:
    with pytest.raises(PeerError, match="address"):
        peer.probe("example.org", 2)


def test_a_backup_arrives_whole(peer: PeerClient) -> None:
    got = io.BytesIO()
    peer.backup(got)
    assert got.getvalue() == DATA


def test_a_backup_that_breaks_off_is_not_taken_for_a_whole_one(peer: PeerClient, agent: Agent) -> None:
    agent.breaks_off = True
    with pytest.raises(PeerError):
        peer.backup(io.BytesIO())
    agent.breaks_off = False
    peer.backup(io.BytesIO())


def test_one_backup_is_made_at_a_time(peer: PeerClient, agent: Agent) -> None:
    agent.go_on.clear()
    got = io.BytesIO()
    first = threading.Thread(target=lambda: peer.backup(got))
    first.start()
    while not got.getvalue():
        time.sleep(0.01)
    with pytest.raises(PeerError, match="being made already"):
        peer.backup(io.BytesIO())
    agent.go_on.set()
    first.join()
    assert got.getvalue() == DATA


def test_an_agent_that_takes_the_connection_and_says_nothing_holds_nothing_up(certificates: Certificates) -> None:
    with socket.create_server((DATABASE_1, 0)) as silent:
        peer = PeerClient(DATABASE_1, certificates.client("database-2"), silent.getsockname()[1])
        began = time.monotonic()
        with pytest.raises(PeerError, match="the other agent at"):
            peer.report(0.3)
        assert time.monotonic() - began < 1.5


def test_an_agent_that_is_not_there_is_told_in_a_sentence(certificates: Certificates) -> None:
    with pytest.raises(PeerError, match=r"the other agent at 127\.0\.0\.21: .*refused"):
        PeerClient(DATABASE_1, certificates.client("database-2"), 9).report(1)
