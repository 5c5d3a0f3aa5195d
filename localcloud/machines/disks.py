"""Disks: sparse files of this host, which the kernel shows as block devices (loop devices)."""

from __future__ import annotations

import json
from pathlib import Path

from localcloud.machines.commands import run

GIGABYTE = 2**30


def make_disk(path: Path, size_gb: int, format: str | None) -> None:
    """A disk that takes no room before it is written to; `format` is "ext4", "xfs" or None."""
    with path.open("wb") as file:
        file.truncate(size_gb * GIGABYTE)
    if format:
        run([f"mkfs.{format}", "-q", str(path)])


def loops() -> dict[Path, Path]:
    """The loop devices of this host by their file."""
    found = json.loads(run(["losetup", "--list", "--json", "--output", "NAME,BACK-FILE"]) or "{}")
    devices = found.get("loopdevices", [])
    return {Path(device["back-file"].removesuffix(" (deleted)")): Path(device["name"]) for device in devices}


def release(backing: Path) -> None:
    """The loop device of this file goes; if something has it open still, with the last that does."""
    if device := loops().get(backing):
        run(["losetup", "--detach", str(device)])
