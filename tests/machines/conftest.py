"""Real machines for tests; without root on Linux these tests are skipped."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcloud.machines import MachinesBackend, image, remains, shared
from tests.machines.lab import Lab, metadata_service


@pytest.fixture(scope="session")
def no_cloud(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A host that can have machines, and has none yet."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("machines need root on Linux")
    if shared.owner() or remains.listed(tmp_path_factory.getbasetemp()):
        pytest.skip("a local cloud is up on this host; take it down first: scripts/localcloud down")
    image.build(lambda stage: print(f"image: {stage}"))


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


@pytest.fixture(scope="module")
def empty_lab(no_cloud: None, key: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """An open cloud without machines; nothing of it is left afterwards."""
    state = tmp_path_factory.mktemp("state")
    lab = Lab(MachinesBackend(state), state, key)
    try:
        lab.backend.open()
        with metadata_service(lab):
            yield lab
    finally:
        lab.backend.close()
    assert remains.listed(state) == []
