"""The local stack's file fits the local cloud that is up, and keeps what a person wrote into it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from localcloud.engine.crypter import Crypter
from localcloud.engine.stackfile import load_project, load_stack_file, settings, wire
from scripts import local_stack, localcloud
from stacks.settings import parse


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The passphrase of a local cloud; another content is another cloud."""
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("first\n")
    environment = {"PULUMI_CONFIG_PASSPHRASE_FILE": str(passphrase), "HCLOUD_ENDPOINT": "http://100.64.255.1:8080/v1"}
    monkeypatch.setattr(localcloud, "environment", lambda: environment)
    monkeypatch.setattr(localcloud, "public_key", lambda: f"ssh-ed25519 AAAA {passphrase.read_text().strip()}")
    return passphrase


def read(file: Path, passphrase: Path) -> dict[str, str]:
    crypter = Crypter(yaml.safe_load(file.read_text())["encryptionsalt"], passphrase.read_text().strip())
    config, secret = wire(
        settings(load_project(localcloud.PROJECT), "full-local", load_stack_file(file, crypter).config)
    )
    assert secret == ["m2:root_secret"]
    return config


def test_a_new_file_is_valid_and_its_root_secret_is_not_plain(cloud: Path, tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.full-local.yaml"
    local_stack.ensure(file)
    config = read(file, cloud)
    chosen = parse(config)
    assert chosen.root_secret not in file.read_text()
    assert chosen.admins.ssh_keys == ["ssh-ed25519 AAAA first"]


def test_a_file_that_fits_is_not_touched(cloud: Path, tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.full-local.yaml"
    local_stack.ensure(file)
    before = file.read_text()
    local_stack.ensure(file)
    assert file.read_text() == before


def test_another_cloud_gets_new_keys_and_the_settings_of_the_person_stay(cloud: Path, tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.full-local.yaml"
    local_stack.ensure(file)
    old = read(file, cloud)
    file.write_text(file.read_text().replace("m2:cores: 3", "m2:cores: 5"))
    cloud.write_text("second\n")
    local_stack.ensure(file)
    new = read(file, cloud)
    assert new["m2:cores"] == "5"
    assert new["m2:root_secret"] != old["m2:root_secret"]
    assert parse(new).admins.ssh_keys == ["ssh-ed25519 AAAA second"]


def test_changed_settings_leave_the_others_and_whoever_reads_meanwhile_alone(cloud: Path, tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.full-local.yaml"
    local_stack.ensure(file)
    old = read(file, cloud)
    with file.open() as reader:
        local_stack.change(file, cores=7, probe_interval=3)
        assert yaml.safe_load(reader)["config"]["m2:cores"] == 3
    assert read(file, cloud) == {**old, "m2:cores": "7", "m2:probe_interval": "3"}
    assert list(tmp_path.glob("*.new")) == []
