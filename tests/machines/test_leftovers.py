"""What is left of a local cloud whose owner was killed: nothing, once somebody closes it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcloud.backend import Machine, World
from localcloud.machines import MachinesBackend, remains
from localcloud.machines.shared import HOST_LINK
from tests.machines.lab import NETWORK, attachment, until

pytestmark = pytest.mark.machines

VOLUME = 7


@pytest.fixture
def state(no_cloud: None, tmp_path: Path) -> Iterator[Path]:
    """Of a cloud that is taken down whatever the test finds."""
    yield tmp_path
    MachinesBackend(tmp_path).close()


def test_everything_goes_after_kill_9(state: Path) -> None:
    """A process of its own opens a cloud, starts a machine with a volume and dies; its machine lives on."""
    with owner_of_its_own(state) as owner:
        assert owner.stdout and owner.stdout.readline() == "ready\n"
        owner.kill()
    found = MachinesBackend(state)
    found.open()
    assert found.is_running(1)
    kinds = {line.split()[0] for line in remains.listed(state)}
    assert {"network", "process", "loop", "directory"} <= kinds
    found.close()
    assert remains.listed(state) == []
    assert HOST_LINK not in subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("seconds", [0.1, 0.3, 0.6])
def test_everything_goes_after_kill_9_in_the_middle(state: Path, seconds: float) -> None:
    with owner_of_its_own(state) as owner:
        until(lambda: (state / "volumes").exists(), 20, "begun")
        time.sleep(seconds)
        owner.kill()
    MachinesBackend(state).close()
    assert remains.listed(state) == []


def owner_of_its_own(state: Path) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "tests.machines.test_leftovers", str(state)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])


def _open_and_wait(state: Path) -> None:
    backend = MachinesBackend(state)
    backend.open()
    backend.rewire(World((attachment(1),), (NETWORK,)))
    backend.create(Machine(1, "host-1", "debian-12", 2, 4.0, 40, ""))
    backend.create_volume(VOLUME, 1, "ext4")
    backend.attach_volume(VOLUME, 1)
    backend.start(1)
    print("ready", flush=True)
    time.sleep(600)


if __name__ == "__main__":
    _open_and_wait(Path(sys.argv[1]))
