"""What a local cloud has on this host, whoever made it, and its removal without anybody's memory."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from localcloud.backend import BackendError
from localcloud.machines import cgroups, namespaces, shared
from localcloud.machines.commands import run
from localcloud.machines.disks import loops
from localcloud.machines.volumes import devices

DEADLINE_S = 20.0
POLL_S = 0.02
NSPAWN = Path("/run/systemd/nspawn")


def remove(state: Path) -> None:
    """Every machine, namespace and route of the cloud of `state` goes; files stay.

    The host's link is the first to go: nobody hears a dying machine, and this host's routes go with it.
    """
    shared.unlink_host()
    cgroups.all_machines().kill()
    for pid in processes():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    _wait_for(processes, "processes {} of the local cloud do not end; look at them with: ps -fp")
    _wait_for(lambda: _disks(state), "the disks {} stay in use; look at them with: losetup --list")
    for namespace in namespaces.names():
        namespaces.delete(namespace)
    for directory in _nspawn_directories():
        directory.rmdir()
    shutil.rmtree(devices(state), ignore_errors=True)


def listed(state: Path) -> list[str]:
    """Everything that is left, one line each; empty when this host is as it was before."""
    cgroup = cgroups.all_machines().path
    return [
        *(f"network namespace {name}" for name in namespaces.names()),
        *(f"process {pid}" for pid in processes()),
        *(f"loop device {device} of {backing}" for backing, device in loops().items() if state in backing.parents),
        *(f"mount {line.split()[1]}" for line in Path("/proc/mounts").read_text().splitlines() if str(state) in line),
        *([f"network link {shared.HOST_LINK}"] if shared.host_link().exists() else []),
        *([f"nft table {shared.HOST_TABLE}"] if shared.host_rules_exist() else []),
        *(f"directory {path}" for path in (cgroup, devices(state), *_nspawn_directories()) if path.exists()),
    ]


def processes() -> list[int]:
    """Of machines, and of anybody in the cloud's namespaces; not this one."""
    found = set(_machine_processes())
    for namespace in namespaces.names():
        found |= set(map(int, run(["ip", "netns", "pids", namespace]).split()))
    return sorted(found - {os.getpid()})


def _machine_processes() -> Iterator[int]:
    """nspawn itself can outlive its cgroup by a second. What a sandbox on this host runs is its own."""
    here = Path("/proc/self/ns/pid").readlink()
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = command.read_bytes().split(b"\0")
            ours = (command.parent / "ns" / "pid").readlink() == here
        except OSError:
            continue
        is_nspawn = words[0].endswith(b"systemd-nspawn")
        if ours and is_nspawn and any(word.startswith(b"--machine=m2-") for word in words):
            yield int(command.parent.name)


def _disks(state: Path) -> list[str]:
    """Machines' own, which go with the last process that sees them."""
    return [str(backing) for backing in loops() if state / "machines" in backing.parents]


def _wait_for(left: Callable[[], Sequence[object]], words: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while still := left():
        if time.monotonic() > deadline:
            raise BackendError(words.format(still))
        time.sleep(POLL_S)


def _nspawn_directories() -> list[Path]:
    return sorted(NSPAWN.glob("*/m2-*"))
