"""A host's way to the movers: one, then the other."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from failover import mover_client
from failover.cloud import CloudError
from failover.mover_client import MoverClient, MoverError
from tests.unit.failover.movers import DATABASE_1, DATABASE_2, Certificates, FakeCloud, serving

QUICK = 5.0
"""Seconds that a host may lose to a mover that is powered off: the shortest takeover that can be set."""


@contextmanager
def both(certificates: Certificates, first: FakeCloud, second: FakeCloud) -> Iterator[int]:
    """Two movers on one port, as the two database hosts have them."""
    with (
        serving(first, certificates.server("database-1"), DATABASE_1) as port,
        serving(second, certificates.server("database-2"), DATABASE_2, port),
    ):
        yield port


def client(
    certificates: Certificates, port: int, monkeypatch: pytest.MonkeyPatch, host: str = "balancer-1"
) -> MoverClient:
    monkeypatch.setattr(mover_client, "PORT", port)
    return MoverClient((DATABASE_1, DATABASE_2), certificates.client(host))


def test_the_first_mover_is_asked_first(certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = FakeCloud(), FakeCloud()
    with both(certificates, first, second) as port:
        asking = client(certificates, port, monkeypatch)
        assert asking.holders() == {"sip": None, "database": None}
        assert asking.claim("sip") == "balancer-1"
    assert (first.moves, second.moves) == ([("sip", "balancer-1")], [])


def test_the_second_mover_is_asked_when_nobody_listens_at_the_first(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = FakeCloud()
    with serving(cloud, certificates.server("database-2"), DATABASE_2) as port:
        assert client(certificates, port, monkeypatch).claim("sip") == "balancer-1"
    assert cloud.moves == [("sip", "balancer-1")]


def test_the_second_mover_is_asked_when_the_first_does_not_reach_the_cloud(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = FakeCloud(error=CloudError("the API did not answer")), FakeCloud()
    with both(certificates, first, second) as port:
        assert client(certificates, port, monkeypatch).claim("sip") == "balancer-1"
    assert second.moves == [("sip", "balancer-1")]


def test_the_second_mover_is_asked_when_the_first_is_somebody_else(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = FakeCloud()
    with serving(cloud, certificates.server("database-2"), DATABASE_2) as port, plain_http(port):
        assert client(certificates, port, monkeypatch).claim("sip") == "balancer-1"


@contextmanager
def plain_http(port: int) -> Iterator[None]:
    """Somebody at the first mover's address who speaks no TLS."""
    server = http.server.ThreadingHTTPServer((DATABASE_1, port), http.server.BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_what_every_mover_said_is_told_when_none_does_it(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = FakeCloud(error=CloudError("it is locked")), FakeCloud(error=CloudError("it is slow"))
    with both(certificates, first, second) as port, pytest.raises(MoverError) as raised:
        client(certificates, port, monkeypatch).claim("sip")
    assert str(raised.value) == f"{DATABASE_1}: it is locked; {DATABASE_2}: it is slow"


def test_a_claim_only_if_free_says_so(certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = FakeCloud(owners={"database": "database-2"}), FakeCloud()
    with both(certificates, first, second) as port:
        asking = client(certificates, port, monkeypatch, "database-1")
        assert asking.claim("database", only_if_free=True) == "database-2"
        assert first.moves == []
        assert asking.claim("database") == "database-1"
    assert first.moves == [("database", "database-1")]


def test_a_mover_that_is_powered_off_costs_seconds_and_not_the_time_of_a_move(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing answers a dead machine's address: the connect itself has to give up."""
    waits: list[float | None] = []
    connect = socket.create_connection

    def remembering(address: tuple[str, int], timeout: float | None = None, *more: object) -> socket.socket:
        waits.append(timeout)
        return connect(address, timeout)

    monkeypatch.setattr(socket, "create_connection", remembering)
    with serving(FakeCloud(), certificates.server("database-2"), DATABASE_2) as port:
        client(certificates, port, monkeypatch).holders()
    assert len(waits) == 2
    assert all(wait is not None and wait <= QUICK for wait in waits)
