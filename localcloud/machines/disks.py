"""Disks: sparse files of this host, which the kernel shows as block devices (loop devices)."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from localcloud.backend import BackendError
from localcloud.machines.commands import run

GIGABYTE = 2**30


def make_disk(path: Path, size_gb: int, format: str | None) -> None:
    """A disk that takes no room before it is written to; `format` is "ext4", "xfs" or None."""
    with path.open("wb") as file:
        file.truncate(size_gb * GIGABYTE)
    if format:
        run([f"mkfs.{format}", "-q", str(path)])


def grow_disk(path: Path, size_gb: int) -> None:
    """Make an ext4 disk this large that nobody uses: growing a mounted one is refused to root on some hosts."""
    # It also finishes what a power cut has left half done. Exit code 1: errors were corrected (e2fsck(8)).
    done = subprocess.run(["e2fsck", "-f", "-p", path], capture_output=True, text=True, check=False)
    if done.returncode > 1:
        raise BackendError(f"the disk {path} cannot be made larger: {done.stdout}{done.stderr}".strip())
    os.truncate(path, size_gb * GIGABYTE)
    run(["resize2fs", str(path)])


def loops() -> dict[Path, Path]:
    """The loop devices of this host by their file."""
    found = json.loads(run(["losetup", "--list", "--json", "--output", "NAME,BACK-FILE"]) or "{}")
    devices = found.get("loopdevices", [])
    return {Path(device["back-file"].removesuffix(" (deleted)")): Path(device["name"]) for device in devices}


def release(backing: Path) -> None:
    """The loop device of this file goes; if something has it open still, with the last that does."""
    if device := loops().get(backing):
        run(["losetup", "--detach", str(device)])
