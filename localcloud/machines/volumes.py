"""Volumes: sparse files behind loop devices, shown to machines by the provider's names.

A machine's /dev/disk/by-id is a directory of this host's /dev: a device node made there appears in the machine
at once, and a reboot or a power cut changes nothing.
"""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

from localcloud.backend import BackendError
from localcloud.machines.commands import run
from localcloud.machines.disks import GIGABYTE, loops, make_disk, release


def devices(state: Path) -> Path:
    """Where the nodes of a cloud's volumes are: a device cannot be opened on every file system."""
    return Path("/dev") / state.name


class Volumes:
    """Data in `state`/volumes; who is attached to what in `state`/attached as one file a volume."""

    def __init__(self, state: Path) -> None:
        self._files = state / "volumes"
        self._attached = state / "attached"
        self._devices = devices(state)
        self._lock = threading.Lock()

    def open(self) -> None:
        self._files.mkdir(parents=True, exist_ok=True)
        self._attached.mkdir(parents=True, exist_ok=True)

    def create(self, volume_id: int, size_gb: int, format: str | None) -> None:
        """Nothing happens when it exists."""
        data = self._data(volume_id)
        if data.exists():
            return
        unfinished = data.with_suffix(".new")
        make_disk(unfinished, size_gb, format)
        unfinished.rename(data)

    def attach(self, volume_id: int, server_id: int) -> None:
        with self._lock:
            if not self._data(volume_id).exists():
                raise BackendError(f"volume {volume_id} does not exist")
            (self._attached / str(volume_id)).write_text(str(server_id))
            self._show(volume_id, server_id)

    def detach(self, volume_id: int) -> None:
        with self._lock:
            for node in self._devices.glob(f"*/{_name(volume_id)}"):
                node.unlink()
            (self._attached / str(volume_id)).unlink(missing_ok=True)
            release(self._data(volume_id))

    def resize(self, volume_id: int, size_gb: int) -> None:
        os.truncate(self._data(volume_id), size_gb * GIGABYTE)
        if loop := loops().get(self._data(volume_id)):
            run(["losetup", "--set-capacity", str(loop)])

    def numbers(self, server_id: int) -> list[int]:
        """The device numbers of a machine's volumes."""
        with self._lock:
            return [node.stat().st_rdev for node in sorted((self._devices / str(server_id)).glob("*"))]

    def delete(self, volume_id: int) -> None:
        self.detach(volume_id)
        self._data(volume_id).unlink(missing_ok=True)

    def show_all(self, server_id: int) -> Path:
        """The directory for the machine's /dev/disk/by-id, complete also after this host's restart."""
        with self._lock:
            directory = self._devices / str(server_id)
            directory.mkdir(parents=True, exist_ok=True)
            directory.chmod(0o755)
            for record in self._attached.iterdir():
                if int(record.read_text()) == server_id:
                    self._show(int(record.name), server_id)
            return directory

    def release_all(self) -> None:
        """No device is left; data and attachments stay."""
        with self._lock:
            for backing in loops():
                if backing.parent == self._files:
                    release(backing)

    def _data(self, volume_id: int) -> Path:
        return self._files / str(volume_id)

    def _show(self, volume_id: int, server_id: int) -> None:
        loop = loops().get(self._data(volume_id)) or _loop(self._data(volume_id))
        node = self._devices / str(server_id) / _name(volume_id)
        node.parent.mkdir(parents=True, exist_ok=True)
        number = loop.stat().st_rdev
        if node.exists() and node.stat().st_rdev == number:
            return
        node.unlink(missing_ok=True)
        os.mknod(node, stat.S_IFBLK | 0o660, number)


def _loop(backing: Path) -> Path:
    return Path(run(["losetup", "--find", "--show", str(backing)]).strip())


def _name(volume_id: int) -> str:
    return f"scsi-0HC_Volume_{volume_id}"
