"""The embedded engine held to the pulumi CLI: the same plans, and each goes on where the other stopped."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from localcloud.engine import run
from localcloud.engine.crypter import new_salt
from tests.unit.localcloud.engine.conftest import PASSPHRASE, TOKEN, assert_valid, running_cloud
from tests.unit.localcloud.engine.ssh_server import SshServer
from tests.unit.localcloud.engine.test_hcloud import ssh_key

NEEDED = ("pulumi", "pulumi-resource-hcloud", "pulumi-resource-command")
missing = [name for name in NEEDED if not shutil.which(name)]
pytestmark = pytest.mark.skipif(bool(missing), reason=f"not on PATH: {', '.join(missing)}")

PROGRAM = Path(__file__).with_name("program.py")
CHANGES: dict[str, dict[str, Any]] = {
    "create": {},
    "labels, rules, a file, ignored user-data": {"env": "prod", "rule": True, "file": "b", "userData": "b"},
    "another type, a larger volume": {"type": "cx33", "size": 20},
    "rebuild, protect": {"rebuild": 1, "protect": True},
    "one more server, hooks": {"servers": 3, "hooks": True},
    "labels under hooks, unprotect": {"env": "stage", "protect": False},
    "one server less, rebuild under hooks": {"servers": 2, "rebuild": 2},
}


@dataclass
class Project:
    """One stack that both engines work on."""

    directory: Path
    environment: dict[str, str]
    settings: dict[str, Any] = field(default_factory=dict)

    def change(self, settings: dict[str, Any]) -> None:
        self.settings |= settings
        file = self.directory / "Pulumi.dev.yaml"
        before = yaml.safe_load(file.read_text())
        config = {key if ":" in key else f"m2:{key}": value for key, value in self.settings.items()}
        file.write_text(yaml.safe_dump({"encryptionsalt": before["encryptionsalt"], "config": config}))

    def cli(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["pulumi", *words, "--stack", "dev", "--non-interactive"],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    @property
    def request(self) -> run.Request:
        return run.Request(self.directory, "dev")

    def apply(self, with_cli: bool) -> None:
        if with_cli:
            done = self.cli("up", "--yes", "--skip-preview")
            assert done.returncode == 0, done.stdout + done.stderr
        else:
            outcome = run.up(self.request, lambda _: None)
            assert outcome.failures == ()

    def assert_nothing_to_do(self) -> None:
        for words in (["preview"], ["refresh", "--preview-only"]):
            done = self.cli(*words, "--expect-no-changes")
            assert done.returncode == 0, done.stdout + done.stderr
        plan = run.preview(self.request, lambda _: None)
        assert set(plan.change_summary) == {"same"}
        checkpoint = self.directory / "state/.pulumi/stacks/m2/dev.json"
        assert_valid(json.loads(checkpoint.read_text())["checkpoint"]["latest"])


@pytest.fixture
def local_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One for each test: each makes many of the requests that an hour allows."""
    with running_cloud(tmp_path_factory.mktemp("cloud")) as endpoint:
        yield endpoint


@pytest.fixture
def project(tmp_path: Path, local_cloud: str, server: SshServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    environment = {
        "PULUMI_BACKEND_URL": f"file://{tmp_path}/state",
        "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_PYTHON_CMD": sys.executable,
        "HCLOUD_TOKEN": TOKEN,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / "state").mkdir()
    (tmp_path / "Pulumi.yaml").write_text("name: m2\nruntime: python\n")
    (tmp_path / "Pulumi.dev.yaml").write_text(f"encryptionsalt: {new_salt(PASSPHRASE)}\n")
    shutil.copy(PROGRAM, tmp_path / "__main__.py")
    project = Project(tmp_path, dict(os.environ))
    ssh = {key: value for key, value in server.connection().items() if key in ("port", "privateKey", "hostKey")}
    project.change({"ssh": ssh, "publicKey": ssh_key(), "hcloud:endpoint": local_cloud})
    project.change({"hcloud:pollInterval": "50ms", "hcloud:pollFunction": "constant"})
    yield project
    run.destroy(project.request, lambda _: None)


def operations(plan: dict[str, Any]) -> dict[str, tuple[str, list[str], list[str]]]:
    """What is done to each resource, and for which properties."""
    return {
        step["urn"]: (step["op"], sorted(step.get("diffReasons") or []), sorted(step.get("replaceReasons") or []))
        for step in plan["steps"]
    }


@pytest.mark.parametrize("first", ["embedded", "cli"])
def test_both_engines_see_the_same_and_go_on_from_one_another(project: Project, first: str) -> None:
    project.cli("stack", "init")
    with_cli = first == "cli"
    for name, settings in CHANGES.items():
        project.change(settings)
        theirs = json.loads(project.cli("preview", "--json", "--show-sames").stdout)
        ours = run.preview(project.request, lambda _: None)
        assert operations(ours.to_json(show_sames=True)) == operations(theirs), name
        assert dict(ours.change_summary) == {op: n for op, n in theirs["changeSummary"].items() if n}, name
        project.apply(with_cli)
        project.assert_nothing_to_do()
        with_cli = not with_cli


def test_what_the_embedded_engine_has_destroyed_is_gone_for_the_cli(project: Project) -> None:
    project.cli("stack", "init")
    project.apply(with_cli=True)
    assert run.destroy(project.request, lambda _: None).failures == ()
    plan = json.loads(project.cli("preview", "--json").stdout)
    assert set(plan["changeSummary"]) == {"create"}


def test_both_refuse_to_destroy_what_is_protected(project: Project) -> None:
    project.change({"protect": True})
    project.cli("stack", "init")
    project.apply(with_cli=False)
    assert project.cli("destroy", "--yes").returncode
    assert run.destroy(project.request, lambda _: None).failures
    project.assert_nothing_to_do()
    project.change({"protect": False})
    project.apply(with_cli=True)


def test_secrets_are_read_both_ways(project: Project) -> None:
    project.cli("stack", "init")
    project.apply(with_cli=False)
    theirs = json.loads(project.cli("stack", "output", "--json", "--show-secrets").stdout)
    assert theirs == run.outputs(project.request, show_secrets=True)
    assert theirs["token"] == "s3cret"
    masked = json.loads(project.cli("stack", "output", "--json").stdout)
    assert masked == run.outputs(project.request)
