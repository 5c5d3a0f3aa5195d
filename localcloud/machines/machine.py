"""A machine: a systemd-nspawn container over the golden image that outlives whoever started it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from localcloud.backend import BackendError, Machine
from localcloud.machines import wiring
from localcloud.machines.cgroups import machine_cgroup, mounted
from localcloud.machines.disks import GIGABYTE, grow_disk, loops, make_disk

BOOT = Path(__file__).parent / "files" / "boot"
SEED = Path("var/lib/cloud/seed/nocloud")
"""Where cloud-init's NoCloud datasource looks, in the machine."""
START_DEADLINE_S = 20.0
POLL_S = 0.005
POWER_BUTTON = signal.SIGRTMIN + 4
"""systemd's own signal for an orderly power-off (systemd(1))."""
PRESS_AGAIN_S = 1.0
"""A machine that has only just begun to boot does not hear the button yet."""


class Guest:
    """One machine by its server's id; all of it is found again from the file system after a restart."""

    def __init__(self, state: Path, server_id: int) -> None:
        self.server_id = server_id
        self.directory = state / "machines" / str(server_id)
        self.cgroup = machine_cgroup(server_id)

    def create(self, image: Path, machine: Machine) -> None:
        """An empty disk over `image`; one that is already there stays, and grows to what the machine has now."""
        if self.directory.exists():
            self._grow(machine.disk_gb)
            return
        new = self.directory.with_suffix(".new")
        shutil.rmtree(new, ignore_errors=True)
        for part in ("mounted", "root", "seed"):
            (new / part).mkdir(parents=True)
            (new / part).chmod(0o755)
        (new / "image").symlink_to(image)
        (new / "name").write_text(machine.name)
        _seed(new / "seed", machine)
        make_disk(new / "disk", machine.disk_gb, "ext4")
        new.rename(self.directory)

    def _grow(self, disk_gb: int) -> None:
        if self._disk.stat().st_size < disk_gb * GIGABYTE:
            self._wait_for_disk()
            grow_disk(self._disk, disk_gb)

    def start(self, devices: Path, reset: Path) -> None:
        """Returns when the machine's first process runs."""
        if not self.directory.exists():
            raise BackendError(f"server {self.server_id} has no disk: it was never created, or it was deleted")
        self._wait_for_disk()
        self.cgroup.make()
        console = self.directory / "console.log"
        with console.open("w") as output:
            subprocess.run(
                [BOOT],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environment(devices, reset),
                cwd="/",
                check=False,
            )
        self._wait_for_first_process(console)

    def running(self) -> bool:
        return self.cgroup.populated()

    def power_off(self, timeout: float) -> bool:
        """Presses the power button; whether the machine is off within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        pressed = 0.0
        while self.running() and time.monotonic() < deadline:
            if time.monotonic() - pressed > PRESS_AGAIN_S:
                pressed = time.monotonic()
                self._signal(POWER_BUTTON)
            time.sleep(POLL_S)
        return not self.running()

    def delete(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)

    def first_process(self) -> int | None:
        """The id of the machine's process 1 on this host."""
        for place in ("payload/init.scope", "payload"):
            processes = self.cgroup.path / place / "cgroup.procs"
            if processes.exists() and (found := processes.read_text().split()):
                return int(found[0])
        return None

    @property
    def _disk(self) -> Path:
        return self.directory / "disk"

    def _wait_for_disk(self) -> None:
        """The kernel lets go of a disk a moment after the last process that saw it is dead."""
        deadline = time.monotonic() + START_DEADLINE_S
        while self._disk in loops():
            if time.monotonic() > deadline:
                raise BackendError(f"the disk of server {self.server_id} is still in use: {self._disk}")
            time.sleep(POLL_S)

    def _signal(self, number: int) -> None:
        if process := self.first_process():
            os.kill(process, number)

    def _environment(self, devices: Path, reset: Path) -> dict[str, str]:
        return {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "MACHINE": self.cgroup.path.name,
            "NAMESPACE": wiring.machine_namespace(self.server_id),
            "DIRECTORY": str(self.directory),
            "IMAGE": str((self.directory / "image").readlink()),
            "HOSTNAME": (self.directory / "name").read_text(),
            "DEVICES": str(devices),
            "RESET": str(reset),
            "CGROUPS": str(mounted()),
        }

    def _wait_for_first_process(self, console: Path) -> None:
        deadline = time.monotonic() + START_DEADLINE_S
        while self.first_process() is None:
            if not self.running() or time.monotonic() > deadline:
                raise BackendError(f"server {self.server_id} did not start; its console says: {_end_of(console)}")
            time.sleep(POLL_S)


def _seed(disk: Path, machine: Machine) -> None:
    """For a machine that cannot reach the metadata service because it has no public address."""
    place = disk
    for part in SEED.parts:
        place /= part
        place.mkdir()
        # Over the image's own directories: whoever runs this may have a narrow umask.
        place.chmod(0o755)
    (place / "meta-data").write_text(f"instance-id: {machine.server_id}\nlocal-hostname: {machine.name}\n")
    (place / "user-data").touch(mode=0o600)
    (place / "user-data").write_text(machine.user_data)


def _end_of(console: Path) -> str:
    return " / ".join(console.read_text(errors="replace").split("\n")[-4:]).strip(" /")
