"""A service of a host through a systemctl that says what the test wants."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from failover import unit
from failover.unit import Look, Unit, UnitError

SERVICE = Unit("m2-mariadbd.service")


class Systemctl:
    """Records words; answers `show` with `state`."""

    def __init__(self) -> None:
        self.state = "ActiveState=inactive\nInvocationID=\nResult=success\n"
        self.words: list[str] = []
        self.refused: set[str] = set()
        self.hangs = False

    def __call__(self, words: list[str], timeout: float, **more: Any) -> subprocess.CompletedProcess[str]:
        self.words.append(" ".join(words[1:]))
        if self.hangs:
            raise subprocess.TimeoutExpired(words, timeout)
        if words[1] in self.refused:
            return subprocess.CompletedProcess(words, 1, "", "Unit not loaded.\n")
        return subprocess.CompletedProcess(words, 0, self.state if words[1] == "show" else "", "")


@pytest.fixture
def systemctl(monkeypatch: pytest.MonkeyPatch) -> Systemctl:
    made = Systemctl()
    monkeypatch.setattr(subprocess, "run", made)
    return made


@pytest.mark.parametrize(
    ("state", "look"),
    [
        ("ActiveState=active\nInvocationID=abc\nResult=success\n", Look("abc")),
        ("ActiveState=activating\nInvocationID=abc\nResult=success\n", Look("abc", starting=True)),
        ("ActiveState=deactivating\nInvocationID=abc\nResult=success\n", Look("abc")),
        ("ActiveState=inactive\nInvocationID=abc\nResult=success\n", Look(None)),
        (
            "ActiveState=failed\nInvocationID=abc\nResult=exit-code\n",
            Look(None, failure="m2-mariadbd.service ended: exit-code"),
        ),
    ],
)
def test_an_instance_has_a_name_as_long_as_it_has_a_process(systemctl: Systemctl, state: str, look: Look) -> None:
    systemctl.state = state
    assert SERVICE.look() == look


def test_starting_and_stopping_do_not_wait(systemctl: Systemctl) -> None:
    SERVICE.start()
    SERVICE.stop()
    assert systemctl.words[1:] == [f"start --no-block {SERVICE.name}", f"stop --no-block {SERVICE.name}"]


def test_a_start_is_not_refused_for_the_starts_before_it(systemctl: Systemctl) -> None:
    systemctl.refused = {"reset-failed"}
    SERVICE.start()
    assert systemctl.words[0] == f"reset-failed {SERVICE.name}"


@pytest.mark.parametrize("fault", ["hangs", "refuses"])
def test_what_systemd_does_not_do_is_told(systemctl: Systemctl, fault: str) -> None:
    systemctl.hangs = fault == "hangs"
    systemctl.refused = {"show", "start"}
    for order in (SERVICE.look, SERVICE.start):
        with pytest.raises(UnitError, match="systemctl"):
            order()


def test_killing_needs_no_systemd(systemctl: Systemctl, tmp_path: Path) -> None:
    systemctl.hangs = True
    group = tmp_path / SERVICE.name
    group.mkdir()
    (group / "cgroup.events").write_text("populated 0\nfrozen 0\n")
    assert Unit(SERVICE.name, tmp_path).kill()
    assert (group / "cgroup.kill").read_text() == "1"


def test_what_does_not_die_is_told(systemctl: Systemctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit, "DEATH", 0.1)
    group = tmp_path / SERVICE.name
    group.mkdir()
    (group / "cgroup.events").write_text("populated 1\nfrozen 0\n")
    assert not Unit(SERVICE.name, tmp_path).kill()


def test_killing_what_does_not_run_takes_a_coming_start_back(systemctl: Systemctl, tmp_path: Path) -> None:
    assert Unit(SERVICE.name, tmp_path).kill()
    assert systemctl.words[0] == f"stop --no-block {SERVICE.name}"
