"""One service of this host, as its agent sees it: systemd starts and stops it, the kernel kills it."""

from __future__ import annotations

import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup/system.slice")
DEADLINE = 2.0
"""Seconds for one word with systemd."""

DEATH = 2.0
"""Seconds within which a killed process ends, unless it waits for its disk."""

POLL = 0.02
HAS_A_PROCESS = ("active", "activating", "deactivating", "reloading")


class UnitError(Exception):
    """systemd did not do what was asked, or not in time; one sentence."""


@dataclass(frozen=True)
class Look:
    """`instance` is systemd's InvocationID while there is a process. `failure`: how the last one ended, if badly."""

    instance: str | None
    starting: bool = False
    failure: str | None = None


@dataclass(frozen=True)
class Unit:
    """A service by its unit's name."""

    name: str
    cgroups: Path = CGROUPS

    def look(self) -> Look:
        """Raises UnitError."""
        names = ("ActiveState", "InvocationID", "Result")
        said = _systemctl("show", self.name, *(f"--property={name}" for name in names))
        found = dict(line.partition("=")[::2] for line in said.splitlines())
        state = found.get("ActiveState", "")
        failure = f"{self.name} ended: {found.get('Result')}" if state == "failed" else None
        return Look(found.get("InvocationID") if state in HAS_A_PROCESS else None, state == "activating", failure)

    def start(self) -> None:
        """Ask for a start and do not wait. Raises UnitError."""
        self._forget_failure()
        _systemctl("start", "--no-block", self.name)

    def stop(self) -> None:
        """Ask for an end and do not wait; takes a start back that has not happened. Raises UnitError."""
        _systemctl("stop", "--no-block", self.name)

    def kill(self) -> bool:
        """SIGKILL to all its processes, stopped or frozen; True when none is left.

        By the kernel's cgroup.kill (Linux 5.14), which needs neither systemd nor a process id. A start that was asked
        for and has not happened is taken back.
        """
        self.strike()
        with suppress(UnitError):
            self.stop()
        deadline = time.monotonic() + DEATH
        while self._has_processes():
            if time.monotonic() > deadline:
                return False
            self.strike()
            time.sleep(POLL)
        self._forget_failure()
        return True

    def _forget_failure(self) -> None:
        """Also forgets how often it was started: systemd refuses the sixth start in ten seconds."""
        with suppress(UnitError):
            _systemctl("reset-failed", self.name)

    def strike(self) -> None:
        """SIGKILL without waiting, and without another process: nothing is quicker."""
        with suppress(OSError):
            (self.cgroups / self.name / "cgroup.kill").write_text("1")

    def _has_processes(self) -> bool:
        try:
            return "populated 1" in (self.cgroups / self.name / "cgroup.events").read_text()
        except OSError:
            return False


def _systemctl(*words: str) -> str:
    try:
        done = subprocess.run(
            ["systemctl", *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=DEADLINE,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise UnitError(f"systemctl {words[0]} did not end in {DEADLINE:.0f} s") from None
    if done.returncode:
        raise UnitError(f"systemctl {words[0]}: {done.stderr.strip() or done.returncode}")
    return done.stdout
