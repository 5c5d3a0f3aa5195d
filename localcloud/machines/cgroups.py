"""Control groups (version 2): one for each machine, so that all of its processes stop, freeze or die as one."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from localcloud.backend import BackendError

PARENT = "m2"
DEADLINE_S = 20.0
POLL_S = 0.005


@cache
def mounted() -> Path:
    """Where cgroup2 is: on its own, or beside version 1."""
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split(" ")
        if kind == "cgroup2":
            return Path(place)
    raise BackendError("no cgroup2 file system is mounted; machines need one: mount -t cgroup2 cgroup2 /sys/fs/cgroup")


@dataclass(frozen=True)
class Cgroup:
    """A control group that may or may not exist."""

    path: Path

    def make(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)

    def populated(self) -> bool:
        """Whether any process is in it or below it."""
        return "populated 1" in self._events()

    def set_frozen(self, frozen: bool) -> None:
        """Returns when every process has stopped, or may go on."""
        (self.path / "cgroup.freeze").write_text(str(int(frozen)))
        self._wait(f"frozen {int(frozen)}")

    def kill(self) -> None:
        """All processes at once, frozen ones too, and the group with them."""
        if self.path.exists():
            (self.path / "cgroup.kill").write_text("1")
            self._wait("populated 0")
            self.remove()

    def remove(self) -> None:
        """The empty group and those below it."""
        for group in sorted(self.path.rglob("*/"), reverse=True):
            group.rmdir()
        if self.path.exists():
            self.path.rmdir()

    def _wait(self, event: str) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while event not in self._events():
            if time.monotonic() > deadline:
                raise BackendError(f"{self.path} did not reach '{event}' within {DEADLINE_S:.0f} s")
            time.sleep(POLL_S)

    def _events(self) -> str:
        try:
            return (self.path / "cgroup.events").read_text()
        except OSError:
            return "populated 0\nfrozen 0\n"


def machine_cgroup(server_id: int) -> Cgroup:
    return Cgroup(mounted() / PARENT / f"m2-{server_id}")


def all_machines() -> Cgroup:
    return Cgroup(mounted() / PARENT)
