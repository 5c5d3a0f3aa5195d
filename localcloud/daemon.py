"""The local cloud's one process: the API, the metadata service, and the machines behind them.

`python -m localcloud.daemon --state DIR --backend machines`. DIR holds the token (a file of 64 characters that only
its owner can read), the records, the log and the pid file. SIGTERM and SIGINT stop the API only: machines go on, and
the next daemon finds them and finishes what this one had begun.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from pkgutil import resolve_name
from typing import TextIO

from aiohttp import web

from localcloud.backend import Backend, BackendError
from localcloud.hetzner.api import build_app
from localcloud.hetzner.cloud import Cloud
from localcloud.hetzner.metadata import build_metadata_app, listen_in
from localcloud.hetzner.records import Records

log = logging.getLogger("localcloud")

BACKENDS = {
    "machines": "localcloud.machines:MachinesBackend",
    "records": "localcloud.records_backend:RecordsBackend",
}
LISTEN = "100.64.255.1:8080"
TOKEN_LENGTH = 64
PATIENCE_S = 5.0


class StartError(Exception):
    """The daemon cannot start; the message is for a person."""


def main(argv: Sequence[str] | None = None) -> int:
    options = _options(argv)
    try:
        token = read_token(options.state)
        with lock(options.state):
            _log_to(options.state / "daemon.log")
            backend: Backend = resolve_name(BACKENDS[options.backend])(options.state)
            asyncio.run(serve(options.state, backend, token, options.listen))
    except (StartError, BackendError, OSError) as error:
        log.error("%s", error)
        print(f"The local cloud does not start: {error}", file=sys.stderr)
        return 1
    return 0


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m localcloud.daemon", description="The local cloud's process.")
    parser.add_argument("--state", type=Path, required=True, metavar="DIR", help="where its state is kept")
    parser.add_argument("--backend", choices=sorted(BACKENDS), required=True)
    parser.add_argument("--listen", type=_address, default=LISTEN, metavar="IP:PORT", help="default: %(default)s")
    return parser.parse_args(argv)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is not IP:PORT")
    return host, int(port)


def read_token(state: Path) -> str:
    """The API's token; raises StartError where it is missing, readable by others, or of another length."""
    path = state / "token"
    if not path.is_file():
        raise StartError(f"there is no token in {path}; `scripts/localcloud up` makes one")
    if path.stat().st_mode & 0o077:
        raise StartError(f"{path} can be read by others; it must have mode 0600")
    token = path.read_text().strip()
    if len(token) != TOKEN_LENGTH:
        raise StartError(f"the token in {path} has {len(token)} characters; it must have {TOKEN_LENGTH}")
    return token


def lock(state: Path) -> TextIO:
    """The pid file, held until it is closed; raises StartError when another daemon holds it."""
    path = state / "daemon.pid"
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        running = file.read().strip()
        file.close()
        raise StartError(f"process {running} already runs the local cloud of {state}") from None
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def _log_to(path: Path) -> None:
    path.touch(mode=0o600)
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
    log.setLevel(logging.INFO)


async def serve(state: Path, backend: Backend, token: str, listen: tuple[str, int]) -> None:
    """Until a signal: the API, and the metadata service where there are machines."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        records = Records(state / "records.sqlite3")
        stack.callback(records.close)
        cloud = Cloud(records, backend)
        stack.callback(cloud.work.close)
        await cloud.work.do(backend.open)
        await cloud.work.rewire()
        cloud.resume()
        stack.push_async_callback(cloud.close, PATIENCE_S)
        await _listen(stack, build_app(cloud, token), socket.create_server(listen))
        if place := backend.metadata_address():
            await _listen(stack, build_metadata_app(records), listen_in(*place))
        log.info("listening on %s:%d", *listen)
        await stop.wait()
    log.info("stopped")


async def _listen(stack: AsyncExitStack, app: web.Application, listener: socket.socket) -> None:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=PATIENCE_S)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.SockSite(runner, listener).start()


if __name__ == "__main__":
    sys.exit(main())
