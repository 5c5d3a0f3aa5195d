"""The fence's errors and the last resort; what its rules do is seen with real packets in tests/machines."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path
from typing import Any

import pytest

from failover import fence
from failover.fence import Fence, FenceError, reboot_hard

FENCE = Fence("10.0.128.1")


def nft(monkeypatch: pytest.MonkeyPatch, code: int = 0, error: Exception | None = None) -> list[str]:
    scripts: list[str] = []

    def run(words: list[str], input: str, timeout: float, **more: Any) -> subprocess.CompletedProcess[str]:
        scripts.append(input)
        if error:
            raise error
        return subprocess.CompletedProcess(words, code, "", "syntax error, unexpected newline\n")

    monkeypatch.setattr(subprocess, "run", run)
    return scripts


def test_every_way_replaces_the_one_before_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = nft(monkeypatch)
    FENCE.drop()
    FENCE.reject()
    FENCE.forward("10.0.0.22")
    FENCE.clear()
    for script in scripts:
        assert script.startswith("table inet m2fence\ndelete table inet m2fence\n")
        assert script.count("table inet m2 ") == 0
    assert [script.count("{") for script in scripts] == [2, 2, 4, 0]


@pytest.mark.parametrize(
    "how", [{"code": 1}, {"error": subprocess.TimeoutExpired("nft", 2)}, {"error": FileNotFoundError("nft")}]
)
def test_rules_that_are_not_there_are_told(monkeypatch: pytest.MonkeyPatch, how: dict[str, Any]) -> None:
    nft(monkeypatch, **how)
    with pytest.raises(FenceError, match="nft"):
        FENCE.drop()


@pytest.fixture
def reboots(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """reboot(2) as asked of the C library; neither it nor the real sysrq is ever reached."""
    asked: list[int] = []

    class Library:
        def __init__(self, *_: object, **__: object) -> None:
            pass

        def reboot(self, command: int) -> int:
            asked.append(command)
            return 0

    monkeypatch.setattr(ctypes, "CDLL", Library)
    monkeypatch.setattr(fence, "SYSRQ", tmp_path / "sysrq-trigger")
    monkeypatch.setattr(fence, "CONTAINER", tmp_path / "container")
    return asked


def test_a_host_is_restarted_by_its_kernel(reboots: list[int]) -> None:
    reboot_hard()
    assert fence.SYSRQ.read_text() == "b"
    assert reboots == []


def test_a_container_never_restarts_the_host_that_it_runs_on(reboots: list[int]) -> None:
    fence.CONTAINER.write_text("systemd-nspawn")
    reboot_hard()
    assert reboots == [0x01234567]
    assert not fence.SYSRQ.exists()
