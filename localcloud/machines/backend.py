"""The `machines` backend: systemd-nspawn containers in a network of namespaces, on this host."""

from __future__ import annotations

from pathlib import Path

from localcloud.backend import BackendError, Disk, Machine, World
from localcloud.machines import ballast, firewall, image, remains, shared
from localcloud.machines.machine import Guest
from localcloud.machines.network import Network, powered
from localcloud.machines.volumes import Volumes
from localcloud.machines.wiring import ROUTER

IMAGE = "debian-12"


class MachinesBackend:
    """Needs root on Linux and a built image (`image.build`); `state` is the directory that holds all data."""

    def __init__(self, state: Path) -> None:
        self._state = state.resolve()
        self._network = Network(self._state)
        self._volumes = Volumes(self._state)

    def open(self) -> None:
        self._state.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._network.open()
        self._volumes.open()
        for server_id in powered():
            if not self.is_running(server_id):
                self._network.remove(server_id)

    def close(self) -> None:
        if shared.owner() in (None, self._state):
            remains.remove(self._state)
        self._volumes.release_all()

    def rewire(self, world: World) -> None:
        self._network.rewire(world)

    def create(self, machine: Machine) -> None:
        if machine.image != IMAGE:
            raise BackendError(f"image {machine.image} is not available here; the local cloud has {IMAGE} only")
        self._guest(machine.server_id).create(image.find(), machine)

    def start(self, server_id: int) -> None:
        guest = self._guest(server_id)
        if guest.running():
            return
        self._network.plug_in(server_id)
        try:
            guest.start(self._volumes.show_all(server_id), self._network.reset_file(server_id))
        except BackendError:
            self.cut_power(server_id)
            raise

    def cut_power(self, server_id: int) -> None:
        self._network.silence(server_id)
        self._guest(server_id).cgroup.kill()
        self._network.remove(server_id)

    def shut_down(self, server_id: int, timeout: float) -> bool:
        return self._guest(server_id).power_off(timeout)

    def freeze(self, server_id: int) -> None:
        if self.is_running(server_id):
            self._guest(server_id).cgroup.set_frozen(True)

    def thaw(self, server_id: int) -> None:
        if self.is_running(server_id):
            self._guest(server_id).cgroup.set_frozen(False)

    def fill(self, server_id: int, disk: Disk) -> None:
        for place in self._places(server_id, disk):
            ballast.fill(place)

    def free(self, server_id: int, disk: Disk) -> None:
        for place in self._places(server_id, disk):
            ballast.free(place)

    def is_running(self, server_id: int) -> bool:
        return self._guest(server_id).running()

    def delete(self, server_id: int) -> None:
        self.cut_power(server_id)
        self._guest(server_id).delete()

    def create_volume(self, volume_id: int, size_gb: int, format: str | None) -> None:
        self._volumes.create(volume_id, size_gb, format)

    def attach_volume(self, volume_id: int, server_id: int) -> None:
        self._volumes.attach(volume_id, server_id)

    def detach_volume(self, volume_id: int) -> None:
        self._volumes.detach(volume_id)

    def resize_volume(self, volume_id: int, size_gb: int) -> None:
        self._volumes.resize(volume_id, size_gb)

    def delete_volume(self, volume_id: int) -> None:
        self._volumes.delete(volume_id)

    def metadata_address(self) -> tuple[str, str]:
        return ROUTER, firewall.METADATA

    def _places(self, server_id: int, disk: Disk) -> list[Path]:
        """The directories of this host where the running machine's disk is mounted."""
        process = self._guest(server_id).first_process()
        if process is None:
            raise BackendError("the machine is off: its disk can be filled and emptied while it runs")
        if disk == "root":
            return [Path(f"/proc/{process}/root")]
        found = [ballast.mounted_at(process, device) for device in self._volumes.numbers(server_id)]
        places = [place for place in found if place]
        if not places:
            raise BackendError("the machine has no volume mounted")
        return places

    def _guest(self, server_id: int) -> Guest:
        return Guest(self._state, server_id)
