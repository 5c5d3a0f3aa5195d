"""Killed, stopped, locked: what the next run finds."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from localcloud.engine.errors import EngineError
from localcloud.engine.events import Diagnostic
from tests.unit.localcloud.engine.conftest import Stack

PROGRAM = """
server = Thing("server", label="server-label", size=config.get_int("size") or 1, opts=Opts(delete_before_replace=True))
Thing("nic", on=server.id, label="nic-label")
Thing("beside", text=server.out, label=config.get("label") or "z")
"""


def kill_at(stack: Stack, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_KILL", call)
    process = stack.child("up")
    output, _ = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL, output
    monkeypatch.delenv("FAKE_KILL")


@pytest.mark.parametrize("call", ["server before", "server after", "nic after", "beside after"])
def test_killed_while_it_creates(stack: Stack, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """Trap 6: what was made is adopted, nothing is made twice, nothing is forgotten."""
    stack.program(PROGRAM)
    kill_at(stack, f"create {call}", monkeypatch)
    assert [op["type"] for op in stack.latest()["pending_operations"]]
    assert stack.up().failures == ()
    assert sorted(o["name"] for o in stack.cloud.objects().values()) == ["beside", "nic", "server"]
    assert "pending_operations" not in stack.latest()
    assert stack.up().change_summary == {"same": 4}


@pytest.mark.parametrize(
    "call",
    [
        "delete nic after",
        "delete server before",
        "delete server after",
        "create server before",
        "create server after",
        "update beside after",
    ],
)
def test_killed_while_it_replaces(stack: Stack, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    stack.program(PROGRAM)
    stack.up()
    stack.configure(size=2, label="changed")
    kill_at(stack, call, monkeypatch)
    assert stack.up().failures == ()
    objects = {o["name"]: o for o in stack.cloud.objects().values()}
    assert sorted(o["name"] for o in stack.cloud.objects().values()) == ["beside", "nic", "server"]
    assert (objects["server"]["size"], objects["beside"]["label"]) == (2, "changed")
    assert stack.up().change_summary == {"same": 4}


def test_a_lost_reply_is_looked_for_by_the_next_run(stack: Stack) -> None:
    stack.program('Thing("a", label="x", fault=config.get("fault"))')
    stack.configure(fault="lost reply")
    assert stack.up().failures[0].message == "the reply was lost"
    stack.configure(fault="")
    assert stack.up().failures == ()
    assert len(stack.cloud.objects()) == 1


def test_only_an_exact_match_is_adopted(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    stack.program(PROGRAM)
    kill_at(stack, "create server before", monkeypatch)
    stack.cloud.write("foreign", {"name": "server", "label": "another label", "size": 1})
    stack.up()
    assert stack.resource("server")["id"] != "foreign"
    assert len(stack.cloud.objects()) == 4


def test_the_lock_of_a_dead_process_is_removed_with_a_word(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    stack.program(PROGRAM)
    kill_at(stack, "create server before", monkeypatch)
    assert len(list(locks(stack))) == 1
    stack.up()
    warnings = [e.message for e in stack.events if isinstance(e, Diagnostic)]
    assert any(w.startswith("removed the lock of process ") for w in warnings)
    assert list(locks(stack)) == []


def test_the_lock_of_a_living_process_refuses(stack: Stack) -> None:
    stack.program(PROGRAM)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        write_lock(stack, process.pid, socket.gethostname())
        with pytest.raises(EngineError, match=f"the stack is in use by process {process.pid} of "):
            stack.up()
        stack.preview()
        process.communicate(b"\n")
    assert stack.up().failures == ()


def test_the_lock_of_another_machine_refuses(stack: Stack) -> None:
    stack.program(PROGRAM)
    write_lock(stack, 1, "elsewhere")
    with pytest.raises(EngineError, match="on elsewhere since"):
        stack.up()


def test_the_lock_of_a_process_whose_number_was_given_away_is_stale(stack: Stack) -> None:
    stack.program(PROGRAM)
    write_lock(stack, os.getpid(), socket.gethostname(), "2020-01-01T00:00:00.123456789Z")
    assert stack.up().failures == ()


def test_ctrl_c_lets_what_runs_end_and_begins_nothing_new(stack: Stack) -> None:
    stack.program("""
        first = Thing("first", slow=0.6)
        Thing("second", text=first.out)
    """)
    process = stack.child("up")
    assert process.stdout is not None
    line = next(line for line in process.stdout if line.startswith("StepStarted"))
    assert "first" in line
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130, output
    assert "stopped by Ctrl-C" in output
    assert stack.names() == {"first"}
    assert stack.resource("first")["id"]
    assert list(locks(stack)) == []
    assert "pending_operations" not in stack.latest()
    assert stack.up().change_summary == {"same": 2, "create": 1}


def locks(stack: Stack) -> list[Path]:
    return list((stack.directory / "state" / ".pulumi" / "locks").rglob("*.json"))


def write_lock(stack: Stack, pid: int, host: str, timestamp: str | None = None) -> None:
    directory = stack.directory / "state" / ".pulumi" / "locks" / "organization" / "demo" / "dev"
    directory.mkdir(parents=True)
    when = timestamp or datetime.now(UTC).isoformat().replace("+00:00", "Z")
    lock = {"pid": pid, "username": "somebody", "hostname": host, "timestamp": when}
    (directory / "one.json").write_text(json.dumps(lock))
