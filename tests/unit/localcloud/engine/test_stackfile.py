"""Pulumi.yaml, stack files and their secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from localcloud.engine.crypter import Crypter, new_salt, passphrase_of
from localcloud.engine.errors import EngineError
from localcloud.engine.stackfile import (
    Project,
    add_salt,
    load_project,
    load_stack_file,
    salt_of,
    save_stack_file,
    settings,
    wire,
)
from localcloud.engine.values import Secret
from tests.unit.localcloud.engine.conftest import PASSPHRASE, SALT

OF_THE_CLI = """
encryptionsalt: v1:XpSoiCBd83Y=:v1:jAs458MyeagkR54I:mmQ++lGZw7SRJuyDbOTvHBv9/yrh6A==
config:
  demo:a:
    b:
      - secure: v1:1fmtn+eXTbX3WHpr:lFd9YSMx/YxMFKf3nEqWbeXZ01Y=
    c: 5
  demo:plainsecret:
    secure: v1:rNhDzljH8OX2ieFi:vLiPItKrkogab06HHuFdmrSSWuFiuXV3Wg==
"""
"""Written by the pulumi CLI 3.260 with the passphrase "test"."""


def project(tmp_path: Path, text: str = "") -> Project:
    (tmp_path / "Pulumi.yaml").write_text("name: demo\nruntime: {name: python}\nstackConfigDir: stacks\n" + text)
    return load_project(tmp_path)


def test_a_stack_file_of_the_cli_is_read_and_a_wrong_passphrase_refused(tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.dev.yaml"
    file.write_text(OF_THE_CLI)
    salt = salt_of(file) or ""
    config = load_stack_file(file, Crypter(salt, "test")).config
    assert config == {"demo:a": {"b": [Secret("hush")], "c": 5}, "demo:plainsecret": Secret("two words")}
    with pytest.raises(EngineError, match="PULUMI_CONFIG_PASSPHRASE is not the passphrase of this stack"):
        Crypter(salt, "guess")


def test_the_passphrase_may_be_empty_or_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "p").write_text("from a file\n")
    assert passphrase_of({"PULUMI_CONFIG_PASSPHRASE": ""}) == ""
    assert passphrase_of({"PULUMI_CONFIG_PASSPHRASE_FILE": str(tmp_path / "p")}) == "from a file"
    with pytest.raises(EngineError, match="PULUMI_CONFIG_PASSPHRASE is not set"):
        passphrase_of({})
    with pytest.raises(EngineError, match=r"PULUMI_CONFIG_PASSPHRASE_FILE: .* cannot be read"):
        passphrase_of({"PULUMI_CONFIG_PASSPHRASE_FILE": str(tmp_path / "absent")})


def test_a_stack_file_that_is_written_is_read(tmp_path: Path) -> None:
    crypter, file = Crypter(SALT, PASSPHRASE), tmp_path / "Pulumi.dev.yaml"
    config = {"demo:a": 1, "demo:s": Secret("hush"), "demo:o": {"list": [{"deep": Secret("hush-2")}], "n": 2}}
    save_stack_file(file, config, crypter)
    assert "hush" not in file.read_text()
    assert load_stack_file(file, crypter).config == config
    assert salt_of(file) == SALT


def test_a_salt_is_added_without_touching_the_rest(tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.dev.yaml"
    file.write_text("# a comment\nconfig:\n  demo:a: 1 # and another\n")
    salt = new_salt("x")
    add_salt(file, salt)
    assert file.read_text().endswith("# a comment\nconfig:\n  demo:a: 1 # and another\n")
    assert salt_of(file) == salt
    Crypter(salt, "x")


def test_a_secret_without_a_salt_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.dev.yaml"
    file.write_text("config:\n  demo:s: {secure: v1:x:y}\n")
    with pytest.raises(EngineError, match="has a secure value but no encryptionsalt"):
        load_stack_file(file, None)


def test_defaults_are_filled_in_and_values_become_text(tmp_path: Path) -> None:
    declared = project(tmp_path, "config: {cores: {type: integer, default: 2}, enabled: true, 'hcloud:x': {value: y}}")
    config = settings(declared, "dev", {"demo:s": Secret("hush"), "demo:o": {"a": [True]}})
    texts, secrets = wire(config)
    expected = {"demo:cores": "2", "demo:enabled": "true", "hcloud:x": "y", "demo:s": "hush", "demo:o": '{"a":[true]}'}
    assert texts == expected
    assert secrets == ["demo:s"]


def test_every_missing_and_mistyped_setting_is_named_at_once(tmp_path: Path) -> None:
    declared = project(
        tmp_path, "config: {a: {type: string}, b: {type: integer}, c: {type: boolean}, d: {type: array}}"
    )
    with pytest.raises(EngineError) as caught:
        settings(declared, "dev", {"b": "many", "demo:c": 1, "d": "x"})
    for text in ("a: is missing", "b: 'many' is not allowed; allowed: integer", "c: 1 is", "d: 'x' is"):
        assert text in str(caught.value)
    assert settings(declared, "dev", {"a": 1, "b": "7", "c": "true", "d": []})


def test_only_python_programs_run(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: demo\nruntime: nodejs\n")
    with pytest.raises(EngineError, match="runtime: 'nodejs' is not supported; allowed: python"):
        load_project(tmp_path)
    with pytest.raises(EngineError, match=r"absent/Pulumi.yaml does not exist"):
        load_project(tmp_path / "absent")
