"""Fixtures: a local cloud without machines on a loopback port, and the provider's own client for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.localcloud.hetzner.running_api import Api, HcloudClient, StagedBackend


@pytest.fixture(scope="session")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def api(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> Iterator[Api]:
    api = Api(loop, tmp_path, StagedBackend(tmp_path))
    api.start()
    yield api
    api.backend.go_on.set()
    api.stop()


@pytest.fixture
def client(api: Api) -> HcloudClient:
    return api.client()


@pytest.fixture
def backend(api: Api) -> StagedBackend:
    return api.backend
