"""A stack of its own for each test: a program, a state, and a cloud of files."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from localcloud.engine import backend, crypter, run
from localcloud.engine.events import Event
from localcloud.engine.preview import Plan
from localcloud.engine.values import Properties
from tests.unit.localcloud.engine.fake import FakeCloud
from tests.unit.localcloud.engine.ssh_server import SshServer

PASSPHRASE = "correct horse"
TOKEN = "t" * 64
PRELUDE = """
import pulumi

class Thing(pulumi.CustomResource):
    def __init__(self, name, opts=None, **props):
        super().__init__("fake:index:Thing", name, {**props, "out": None}, opts)

Opts, config = pulumi.ResourceOptions, pulumi.Config()
"""
CHILD = """
import sys
from pathlib import Path
from localcloud.engine import run
from tests.unit.localcloud.engine.fake import FakeCloud
project, cloud, command = sys.argv[1:]
request = run.Request(Path(project), "dev", providers={"fake": FakeCloud(Path(cloud)).configure})
try:
    outcome = getattr(run, command)(request, lambda event: print(type(event).__name__, event, flush=True))
except run.EngineError as error:
    print(error)
    sys.exit(error.exit_code)
sys.exit(len(outcome.failures))
"""


@dataclass
class Stack:
    """A project on disk and what happened to it."""

    directory: Path
    cloud: FakeCloud
    events: list[Event] = field(default_factory=list)

    def program(self, *parts: str) -> None:
        (self.directory / "__main__.py").write_text("\n".join(map(textwrap.dedent, (PRELUDE, *parts))))

    def configure(self, **values: Any) -> None:
        """Plain settings; the salt stays as it is."""
        lines = [f"  demo:{key}: {json.dumps(value)}" for key, value in values.items()]
        salt = f"encryptionsalt: {SALT}"
        (self.directory / "stacks" / "Pulumi.dev.yaml").write_text("\n".join([salt, "config:", *lines]) + "\n")

    def request(self, **options: Any) -> run.Request:
        return run.Request(self.directory, "dev", providers={"fake": self.cloud.configure}, **options)

    def preview(self) -> Plan:
        return run.preview(self.request(), self.events.append)

    def up(self, **options: Any) -> run.Outcome:
        return run.up(self.request(**options), self.events.append)

    def destroy(self) -> run.Outcome:
        return run.destroy(self.request(), self.events.append)

    def refresh(self) -> run.Outcome:
        return run.refresh(self.request(), self.events.append)

    def outputs(self, show_secrets: bool = False) -> Properties:
        return run.outputs(self.request(), show_secrets)

    def child(self, command: str) -> subprocess.Popen[str]:
        """The same in a process of its own, to be killed."""
        words = [sys.executable, "-c", CHILD, str(self.directory), str(self.cloud.directory), command]
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    @property
    def checkpoint(self) -> Path:
        return self.directory / "state" / ".pulumi" / "stacks" / "demo" / "dev.json"

    def latest(self) -> dict[str, Any]:
        return dict(json.loads(self.checkpoint.read_text())["checkpoint"]["latest"])

    def resource(self, name: str) -> dict[str, Any]:
        return next(r for r in self.latest()["resources"] if r["urn"].endswith(f"::{name}"))

    def names(self) -> set[str]:
        """Of the objects in the cloud."""
        return {found["name"] for found in self.cloud.objects().values()}


SALT = crypter.new_salt(PASSPHRASE)


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    for directory in ("project/stacks", "project/state", "cloud"):
        (tmp_path / directory).mkdir(parents=True)
    project = tmp_path / "project"
    (project / "Pulumi.yaml").write_text("name: demo\nruntime: python\nstackConfigDir: stacks\n")
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{project}/state")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", PASSPHRASE)
    _check_every_save(monkeypatch)
    stack = Stack(project, FakeCloud(tmp_path / "cloud"))
    stack.configure()
    yield stack
    if stack.checkpoint.exists():
        assert_valid(stack.latest())


def _check_every_save(monkeypatch: pytest.MonkeyPatch) -> None:
    write: Callable[[Path, str], None] = backend.Backend._write

    def checked(path: Path, text: str) -> None:
        assert_valid(json.loads(text)["checkpoint"]["latest"])
        write(path, text)

    monkeypatch.setattr(backend.Backend, "_write", staticmethod(checked))


def assert_valid(latest: dict[str, Any]) -> None:
    """What the CLI wants of a checkpoint (pkg/resource/deploy/snapshot.go): nothing twice, and no loose ends."""
    seen: set[str] = set()
    for resource in latest["resources"]:
        provider = resource.get("provider", "").rsplit("::", 1)[0]
        properties = [urn for urns in resource.get("propertyDependencies", {}).values() for urn in urns]
        for urn in [resource.get("parent"), provider, *resource.get("dependencies", ()), *properties]:
            assert not urn or urn in seen, f"{resource['urn']} comes before {urn}"
        assert resource.get("delete") or resource["urn"] not in seen, f"{resource['urn']} twice"
        seen.add(resource["urn"])


@contextmanager
def running_cloud(directory: Path) -> Iterator[str]:
    """The endpoint of a local cloud without machines; it allows as many requests an hour as the provider does."""
    port = free_port()
    (directory / "token").write_text(TOKEN)
    (directory / "token").chmod(0o600)
    options = ["--state", str(directory), "--backend", "records", "--listen", f"127.0.0.1:{port}"]
    with subprocess.Popen([sys.executable, "-m", "localcloud.daemon", *options], stderr=subprocess.DEVNULL) as daemon:
        wait_for_port(port)
        yield f"http://127.0.0.1:{port}/v1"
        daemon.terminate()


@pytest.fixture(scope="module")
def local_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as endpoint:
        yield endpoint


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < deadline, f"nothing listens on port {port}"
            time.sleep(0.05)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def server(loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshServer]:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    server = SshServer()
    acceptor = asyncio.run_coroutine_threadsafe(server.listen(), loop).result(5)
    yield server
    loop.call_soon_threadsafe(acceptor.close)
