"""Fixtures: certificates, and a mover that serves with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.failover.movers import Certificates, Connection, FakeCloud, serving

Connect = Callable[[str], Connection]


@pytest.fixture
def certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Certificates:
    return Certificates(tmp_path, monkeypatch)


@pytest.fixture
def cloud() -> FakeCloud:
    return FakeCloud()


@pytest.fixture
def port(cloud: FakeCloud, certificates: Certificates) -> Iterator[int]:
    with serving(cloud, certificates.server("database-1")) as port:
        yield port


@pytest.fixture
def connect(port: int, certificates: Certificates) -> Iterator[Connect]:
    """Connects as the host of that name."""
    made: list[Connection] = []

    def connect(host: str) -> Connection:
        made.append(Connection(port, certificates.client(host)))
        return made[-1]

    yield connect
    for connection in made:
        connection.http.close()
