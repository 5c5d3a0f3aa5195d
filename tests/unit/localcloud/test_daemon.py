"""The daemon as a process: what it needs, that there is one only, and that it forgets nothing."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from hcloud import Client
from hcloud.images import Image
from hcloud.server_types import ServerType

from localcloud.daemon import StartError, lock, read_token
from tests.acknowledged import acknowledged, settled, writers, writing
from tests.unit.localcloud.hetzner.running_api import eventually

ROOT = Path(__file__).resolve().parents[3]
TOKEN = "s" * 64
DEADLINE_S = 40.0
SECRET = "#cloud-config with a secret"


@dataclass
class Daemon:
    state: Path
    port: int
    process: subprocess.Popen[str]

    @property
    def client(self) -> Any:
        return Client(token=TOKEN, api_endpoint=f"http://127.0.0.1:{self.port}/v1", poll_interval=0.01)

    @property
    def log(self) -> str:
        return (self.state / "daemon.log").read_text()

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_S)

    def again(self) -> None:
        self.process = launch(self.state, self.port)
        self.wait_until_it_answers()

    def wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                requests.get(f"http://127.0.0.1:{self.port}/v1/nothing", timeout=1)
                return
            except requests.ConnectionError:
                time.sleep(0.02)
        raise AssertionError(f"the daemon does not answer: {self.process.communicate(timeout=DEADLINE_S)}")


def launch(state: Path, port: int) -> subprocess.Popen[str]:
    command = ["-m", "localcloud.daemon", "--state", str(state), "--backend", "records"]
    return subprocess.Popen(
        [sys.executable, *command, "--listen", f"127.0.0.1:{port}"], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def write_token(state: Path, token: str = TOKEN, mode: int = 0o600) -> None:
    path = state / "token"
    path.write_text(token)
    path.chmod(mode)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    state, port = tmp_path_factory.mktemp("daemon"), free_port()
    write_token(state)
    daemon = Daemon(state, port, launch(state, port))
    try:
        daemon.wait_until_it_answers()
        yield daemon
    finally:
        daemon.process.kill()
        daemon.process.communicate()


def create_server(daemon: Daemon, name: str) -> Any:
    return daemon.client.servers.create(
        name=name, server_type=ServerType(name="cx23"), image=Image(name="debian-12"), user_data=SECRET
    )


@pytest.mark.parametrize(
    ("token", "mode", "message"),
    [(None, 0, "there is no token"), ("s" * 64, 0o640, "mode 0600"), ("s" * 63, 0o600, "63 characters")],
)
def test_a_token_that_is_none(tmp_path: Path, token: str | None, mode: int, message: str) -> None:
    if token:
        write_token(tmp_path, token, mode)
    with pytest.raises(StartError, match=message):
        read_token(tmp_path)


def test_one_daemon_a_state(tmp_path: Path) -> None:
    with lock(tmp_path), pytest.raises(StartError, match=f"process {os.getpid()} already runs"):
        lock(tmp_path)
    lock(tmp_path).close()


def test_a_second_daemon_refuses(daemon: Daemon) -> None:
    second = launch(daemon.state, free_port())
    _, errors = second.communicate(timeout=DEADLINE_S)
    assert second.returncode == 1
    assert f"process {daemon.process.pid} already runs the local cloud" in errors
    assert (daemon.state / "daemon.pid").read_text() == f"{daemon.process.pid}\n"


def test_a_log_without_secrets_and_secrets_for_the_owner_only(daemon: Daemon) -> None:
    create_server(daemon, "two")
    assert "POST /v1/servers 201" in daemon.log
    assert SECRET not in daemon.log
    assert TOKEN not in daemon.log
    for name in ("token", "daemon.log", "records.sqlite3", "records.sqlite3-wal"):
        assert stat.S_IMODE((daemon.state / name).stat().st_mode) == 0o600
    assert TOKEN not in Path(f"/proc/{daemon.process.pid}/cmdline").read_text()


def test_a_taken_address_is_a_sentence(daemon: Daemon, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    write_token(other)
    second = launch(other, daemon.port)
    _, errors = second.communicate(timeout=DEADLINE_S)
    assert second.returncode == 1
    assert "does not start" in errors
    assert "Traceback" not in errors


def test_nothing_is_forgotten_whatever_ends_it(daemon: Daemon) -> None:
    created = create_server(daemon, "one")
    for action in (created.action, *created.next_actions):
        action.wait_until_finished()
    for number, code in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 0), (signal.SIGINT, 0)):
        assert daemon.end(number) == code
        daemon.again()
        server = daemon.client.servers.get_by_name("one")
        assert (server.id, server.status) == (created.server.id, "running")
        assert server.public_net.ipv4.ip == created.server.public_net.ipv4.ip


def test_kill_9_under_load_forgets_nothing(daemon: Daemon) -> None:
    servers = [create_server(daemon, name).server for name in ("left", "right")]
    clients = writers(lambda: daemon.client, servers)
    for seconds in (0.0, 0.05, 0.1):
        enough = acknowledged(clients) + 20
        with writing(clients):
            assert eventually(lambda enough=enough: acknowledged(clients) > enough)  # type: ignore[misc]
            time.sleep(seconds)
            daemon.end(signal.SIGKILL)
        daemon.again()
        assert eventually(lambda: settled(daemon.client))
        assert [wrong for client in clients if (wrong := client.forgotten())] == []
