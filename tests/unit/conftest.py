"""For tests of what reaches other hosts."""

from __future__ import annotations

import json
import os
import socketserver
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from failover import pair
from tests.unit.fake_agent import FakeAgent, Handler
from tests.unit.fake_ssh import PROGRAM, FakeSsh


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSsh:
    """The first `ssh` on PATH."""
    folder = tmp_path / "ssh"
    folder.mkdir()
    program = folder / "ssh"
    program.write_text(PROGRAM.format(python=sys.executable, folder=str(folder)))
    program.chmod(0o755)
    (folder / "answers").write_text(json.dumps([]))
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return FakeSsh(folder)


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAgent]:
    """An agent on the socket that failover.pair asks."""
    path = tmp_path / "agent.sock"
    monkeypatch.setattr(pair, "SOCKET", path)
    agent = FakeAgent()
    with socketserver.ThreadingUnixStreamServer(str(path), type("Bound", (Handler,), {"agent": agent})) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield agent
        server.shutdown()
