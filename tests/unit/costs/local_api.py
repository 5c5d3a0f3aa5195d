"""The local cloud's API on a loopback port, for those who only read its prices."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.unit.localcloud.hetzner.running_api import Api, StagedBackend


@contextmanager
def running(folder: Path) -> Iterator[Api]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    api = Api(loop, folder, StagedBackend(folder))
    try:
        api.start()
        yield api
        api.stop()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
