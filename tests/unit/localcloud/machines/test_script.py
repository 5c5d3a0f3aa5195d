"""scripts/localcloud as far as it needs no machines."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_ssh_private_key, load_ssh_public_key

from scripts import cloud_api, localcloud
from scripts.localcloud import LocalCloudError


@pytest.fixture(autouse=True)
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for module in (localcloud, cloud_api):
        monkeypatch.setattr(module, "STATE", tmp_path / "state")
    return tmp_path / "state"


def test_before_up_everything_says_what_to_do() -> None:
    for ask in (localcloud.environment, localcloud.public_key, localcloud.servers):
        with pytest.raises(LocalCloudError, match="bring it up with: scripts/localcloud up"):
            ask()


def test_state_is_made_once_and_for_its_owner_only(state: Path) -> None:
    localcloud._make_state()
    before = {path.name: path.read_bytes() for path in state.iterdir() if path.is_file()}
    localcloud._make_state()
    assert before == {path.name: path.read_bytes() for path in state.iterdir() if path.is_file()}
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert {stat.S_IMODE((state / name).stat().st_mode) for name in before} == {0o600}
    assert len(localcloud.environment()["HCLOUD_TOKEN"]) == 64


def test_the_public_key_is_the_private_keys(state: Path) -> None:
    localcloud._make_state()
    private = load_ssh_private_key((state / "key").read_bytes(), None)
    public = load_ssh_public_key(localcloud.public_key().encode())
    assert private.public_key().public_bytes_raw() == public.public_bytes_raw()  # type: ignore[union-attr]


def test_the_token_never_leaves_for_an_address_that_is_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    localcloud._make_state()
    monkeypatch.setattr("localcloud.machines.shared.owner", lambda: None)
    monkeypatch.setattr(cloud_api._without_proxy, "open", lambda *_: pytest.fail("asked the network"))
    with pytest.raises(LocalCloudError, match="not up"):
        localcloud.servers()


def test_environment_keeps_the_users_own_exceptions_from_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    localcloud._make_state()
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("no_proxy", "internal.example")
    assert localcloud.environment()["NO_PROXY"] == "internal.example,100.64.255.1"


def test_is_local() -> None:
    assert localcloud.is_local("http://100.64.255.1:8080/v1")
    assert localcloud.is_local("http://100.64.255.1:8080/v1/")
    assert not localcloud.is_local("https://api.hetzner.cloud/v1")
    assert not localcloud.is_local("")


def test_a_daemon_that_died_is_not_running(state: Path) -> None:
    state.mkdir()
    assert not localcloud._daemon_runs()
    (state / "daemon.pid").write_text("1\n")
    assert not localcloud._daemon_runs()


def test_missing_packages_are_those_that_dpkg_does_not_have() -> None:
    if subprocess.run(["which", "dpkg-query"], capture_output=True, check=False).returncode:
        pytest.skip("this host has no dpkg")
    assert localcloud._missing(["dpkg", "no-such-package-anywhere"]) == ["no-such-package-anywhere"]
