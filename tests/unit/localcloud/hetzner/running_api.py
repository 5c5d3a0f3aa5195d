"""A local cloud without machines on a loopback port, and the provider's own client for it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from aiohttp import web
from hcloud import APIException, Client
from hcloud.images import Image
from hcloud.locations import Location
from hcloud.server_types import ServerType

from localcloud.backend import BackendError, Disk, World
from localcloud.hetzner.api import build_app
from localcloud.hetzner.cloud import Cloud
from localcloud.hetzner.records import Records
from localcloud.records_backend import RecordsBackend

# hcloud-python declares every attribute of every object optional; a test that reads one wants it to be there.
HcloudClient = Any
HcloudServer = Any

TOKEN = "t" * 64
DEADLINE_S = 20.0
FSN1 = Location(name="fsn1")


class StagedBackend(RecordsBackend):
    """Remembers what it was asked; waits while `go_on` is clear, in one verb if `held` names it; fails in one."""

    def __init__(self, state: Path) -> None:
        super().__init__(state)
        self.go_on = threading.Event()
        self.go_on.set()
        self.held: str | None = None
        self.fault: str | None = None
        self.calls: list[tuple[str, int]] = []

    def rewire(self, world: World) -> None:
        self._play("rewire", 0)
        super().rewire(world)

    def start(self, server_id: int) -> None:
        self._play("start", server_id)
        super().start(server_id)

    def cut_power(self, server_id: int) -> None:
        self._play("cut_power", server_id)
        super().cut_power(server_id)

    def free(self, server_id: int, disk: Disk) -> None:
        self._play("free", server_id)
        super().free(server_id, disk)

    def delete_volume(self, volume_id: int) -> None:
        self._play("delete_volume", volume_id)
        super().delete_volume(volume_id)

    def _play(self, verb: str, ident: int) -> None:
        self.calls.append((verb, ident))
        if self.held in (None, verb):
            assert self.go_on.wait(DEADLINE_S)
        if self.fault == verb:
            raise BackendError(f"{verb} was told to fail")


@dataclass
class Api:
    """A running API; `stop` and `start` are a daemon's restart."""

    loop: asyncio.AbstractEventLoop
    state: Path
    backend: StagedBackend
    url: str = ""
    _cloud: Cloud | None = None
    _runner: web.AppRunner | None = None

    def start(self) -> None:
        self.url = self._call(self._start())

    def stop(self) -> None:
        """As abrupt as a kill: nothing is waited for."""
        self._call(self._stop())

    def client(self) -> HcloudClient:
        return Client(token=TOKEN, api_endpoint=f"{self.url}/v1", poll_interval=0.005, timeout=DEADLINE_S)

    def raw(self, method: str, path: str, token: str | None = TOKEN, **more: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return requests.request(method, self.url + path, headers=headers, timeout=DEADLINE_S, **more)

    def _call(self, coroutine: Any) -> Any:
        future: Future[Any] = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        return future.result(DEADLINE_S)

    async def _start(self) -> str:
        self._cloud = Cloud(Records(self.state / "records.sqlite3"), self.backend)
        self.backend.open()
        self._cloud.resume()
        self._runner = web.AppRunner(build_app(self._cloud, TOKEN), access_log=None, shutdown_timeout=0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _stop(self) -> None:
        assert self._cloud and self._runner
        await self._cloud.close(patience=0)
        await self._runner.cleanup()
        self._cloud.work.close()
        self._cloud.records.close()


def make_server(client: HcloudClient, name: str = "one", **more: Any) -> HcloudServer:
    """A running server."""
    given = {"server_type": ServerType(name="cx23"), "image": Image(name="debian-12"), "location": FSN1, **more}
    created = client.servers.create(name=name, **given)
    [created.action, *created.next_actions][-1].wait_until_finished()
    return client.servers.get_by_id(created.server.id)


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + DEADLINE_S
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.001)
    return condition()


def refusal(error: pytest.ExceptionInfo[APIException]) -> str | int:
    """The provider's error code."""
    return error.value.code
