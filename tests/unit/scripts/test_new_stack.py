"""A new stack file: right, commented, encrypted, and never in place of another."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
import typer
import yaml
from typer.testing import CliRunner

from localcloud.engine.crypter import Crypter
from localcloud.engine.stackfile import load_project, load_stack_file, salt_of, settings, wire
from scripts import new_stack
from scripts.new_stack import PROJECT, Answers, NewStackError, Sealed, text
from stacks.settings import Region, Settings, TopologyName, parse
from tests.unit.stacks.example import SSH_KEY

PASSPHRASE = "correct horse battery staple"
ADMINS = ("203.0.113.7/32",)


@pytest.fixture
def stacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where stack files are, in a project of its own."""
    folder = tmp_path / "stacks"
    folder.mkdir()
    monkeypatch.setattr(new_stack, "PROJECT", tmp_path)
    monkeypatch.setattr(new_stack, "STACKS", folder)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", PASSPHRASE)
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE_FILE", raising=False)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / "key.pub").write_text(f"{SSH_KEY}\n")
    return folder


def run(stacks: Path, *words: str, admins: bool = True) -> str:
    """What is said. Raises what the command raises."""
    app = typer.Typer()
    app.command()(new_stack.main)
    flags = ["--ssh-from", "203.0.113.0/28", "--ssh-key", str(stacks.parent / "key.pub")] if admins else []
    done = CliRunner().invoke(app, [*words, *flags])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


def read(file: Path) -> Settings:
    """As the engine reads it."""
    given = load_stack_file(file, Crypter(str(salt_of(file)), PASSPHRASE)).config
    config, secret_keys = wire(settings(load_project(PROJECT), "some-stack", given))
    return parse(config, frozenset(secret_keys))


@pytest.mark.parametrize("topology", get_args(TopologyName))
def test_the_file_is_what_was_asked_for_with_a_root_secret_of_its_own(topology: str, stacks: Path) -> None:
    run(stacks, topology, "hel1", "--cc", "400", "--cps", "30")
    file = stacks / f"Pulumi.{topology}-hel1.yaml"
    made = read(file)
    assert (made.topology, made.region, made.concurrent_calls, made.cps) == (topology, "hel1", 400, 30)
    assert [str(network) for network in made.admins.ssh_from] == ["203.0.113.0/28"]
    assert made.admins.ssh_keys == [SSH_KEY]
    assert len(made.root_secret) == 64
    assert made.root_secret not in file.read_text()


def test_every_file_has_another_root_secret(stacks: Path) -> None:
    for name in ("a", "b"):
        run(stacks, "full", "fsn1", "--name", name)
    assert read(stacks / "Pulumi.a.yaml").root_secret != read(stacks / "Pulumi.b.yaml").root_secret


def test_a_file_that_is_there_stays_as_it_is(stacks: Path) -> None:
    file = stacks / "Pulumi.full-fsn1.yaml"
    file.write_text("somebody's\n")
    with pytest.raises(NewStackError, match=r"full-fsn1.yaml is there already .* --name"):
        run(stacks, "full", "fsn1")
    assert file.read_text() == "somebody's\n"


def test_a_token_comes_from_a_file_and_is_encrypted(stacks: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t" * 64 + "\n")
    run(stacks, "full", "fsn1", "--token-file", str(tmp_path / "token"))
    written = (stacks / "Pulumi.full-fsn1.yaml").read_text()
    assert "t" * 64 not in written
    given = load_stack_file(
        stacks / "Pulumi.full-fsn1.yaml", Crypter(yaml.safe_load(written)["encryptionsalt"], PASSPHRASE)
    )
    assert wire(given.config)[0]["hcloud:token"] == "t" * 64


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("tiny", "fsn1"), "TOPOLOGY: tiny; allowed: one-server, "),
        (("full", "mars"), "REGION: mars; allowed: fsn1, "),
        (("one-server", "fsn1", "--cc", "2000"), "concurrent_calls: 2000; allowed: at most 1000 "),
        (("full", "fsn1", "--codec", "mp3"), "codec: 'mp3'; allowed: g711, "),
    ],
)
def test_what_is_wrong_is_told_and_no_file_is_made(words: tuple[str, ...], said: str, stacks: Path) -> None:
    with pytest.raises(NewStackError) as refused:
        run(stacks, *words)
    assert str(refused.value).startswith(said)
    assert list(stacks.iterdir()) == []


def test_where_nobody_can_be_asked_the_missing_flag_is_named(stacks: Path) -> None:
    with pytest.raises(NewStackError, match=r"^--ssh-from: missing, and nobody is there to ask"):
        run(stacks, "full", "fsn1", admins=False)


def test_without_a_passphrase_and_nobody_to_ask_no_file_is_made(stacks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE")
    with pytest.raises(NewStackError, match="PULUMI_CONFIG_PASSPHRASE_FILE"):
        run(stacks, "full", "fsn1")
    assert list(stacks.iterdir()) == []


@pytest.mark.parametrize("topology", get_args(TopologyName))
@pytest.mark.parametrize("region", get_args(Region))
def test_there_is_a_right_file_for_every_topology_and_region(topology: str, region: str) -> None:
    written = text(Answers(topology, region, ADMINS, (SSH_KEY,)), Sealed())
    assert all(len(line) <= 150 for line in written.splitlines())
    config = yaml.safe_load(written)["config"]
    assert parse(wire({**config, "m2:root_secret": "x" * 64})[0]).topology == topology


@pytest.mark.parametrize("topology", get_args(TopologyName))
def test_what_the_file_offers_in_comments_is_right_too(topology: str) -> None:
    """Every commented setting, taken in on its own."""
    lines = text(Answers(topology, "fsn1", ADMINS, (SSH_KEY,)), Sealed()).splitlines()
    offered = [line.replace("# ", "", 1) for line in lines if line.startswith("  # m2:")]
    types = [line.replace("#", " ", 1) for line in lines if re.match(r"  #   \w", line)]
    assert offered
    assert types
    for line in offered:
        settled = yaml.safe_load("\n".join([line, *(types if "server_types" in line else [])]))
        config = yaml.safe_load("\n".join(lines))["config"] | settled
        assert parse(wire({**config, "m2:root_secret": "x" * 64})[0])
