"""A backend without machines: it remembers what runs, and does nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Lock

from localcloud.backend import BackendError, Disk, Machine, World


class RecordsBackend:
    """What runs is kept in a file, so that a restart of the API finds its machines as real ones are found."""

    def __init__(self, state: Path) -> None:
        self.world = World()
        self.volumes: dict[int, int | None] = {}
        self.full: set[tuple[int, Disk]] = set()
        self._path = state / "running.json"
        self._running: dict[int, bool] = {}
        self._lock = Lock()

    def open(self) -> None:
        if self._path.exists():
            found = json.loads(self._path.read_text())
            self._running = {int(ident): running for ident, running in found.items()}

    def close(self) -> None:
        self._path.unlink(missing_ok=True)
        self._running = {}

    def rewire(self, world: World) -> None:
        self.world = world

    def create(self, machine: Machine) -> None:
        self._remember(machine.server_id, running=self._running.get(machine.server_id, False))

    def start(self, server_id: int) -> None:
        if server_id not in self._running:
            raise BackendError(f"machine {server_id} has no disk")
        self._remember(server_id, running=True)

    def cut_power(self, server_id: int) -> None:
        if server_id in self._running:
            self._remember(server_id, running=False)

    def shut_down(self, server_id: int, timeout: float) -> bool:
        self.cut_power(server_id)
        return True

    def freeze(self, server_id: int) -> None:
        pass

    def thaw(self, server_id: int) -> None:
        pass

    def fill(self, server_id: int, disk: Disk) -> None:
        self.full.add((server_id, disk))

    def free(self, server_id: int, disk: Disk) -> None:
        self.full.discard((server_id, disk))

    def is_running(self, server_id: int) -> bool:
        return self._running.get(server_id, False)

    def delete(self, server_id: int) -> None:
        self._remember(server_id, running=None)

    def create_volume(self, volume_id: int, size_gb: int, format: str | None) -> None:
        self.volumes.setdefault(volume_id, None)

    def attach_volume(self, volume_id: int, server_id: int) -> None:
        self.volumes[volume_id] = server_id

    def detach_volume(self, volume_id: int) -> None:
        self.volumes[volume_id] = None

    def resize_volume(self, volume_id: int, size_gb: int) -> None:
        pass

    def delete_volume(self, volume_id: int) -> None:
        self.volumes.pop(volume_id, None)

    def metadata_address(self) -> tuple[str, str] | None:
        return None

    def _remember(self, server_id: int, *, running: bool | None) -> None:
        with self._lock:
            self._running.pop(server_id, None)
            if running is not None:
                self._running[server_id] = running
            draft = self._path.with_suffix(".new")
            draft.write_text(json.dumps(self._running))
            draft.rename(self._path)
