"""A stack of the programs beside this file on a local cloud without machines, for either engine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from localcloud.engine import run
from localcloud.engine.crypter import new_salt
from localcloud.engine.providers.hcloud_api import Api, polling
from tests.unit.localcloud.engine.conftest import PASSPHRASE, TOKEN, assert_valid
from tests.unit.localcloud.engine.ssh_server import SshServer
from tests.unit.localcloud.engine.test_hcloud import ssh_key

PROGRAM = Path(__file__).with_name("program.py")


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
        assert_valid(self.latest())

    def latest(self) -> dict[str, Any]:
        checkpoint = self.directory / "state/.pulumi/stacks/m2/dev.json"
        return dict(json.loads(checkpoint.read_text())["checkpoint"]["latest"])


@contextmanager
def made_project(
    directory: Path, endpoint: str, server: SshServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Project]:
    """Everything of it is destroyed at the end."""
    environment = {
        "PULUMI_BACKEND_URL": f"file://{directory}/state",
        "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_PYTHON_CMD": sys.executable,
        "HCLOUD_TOKEN": TOKEN,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (directory / "state").mkdir()
    (directory / "Pulumi.yaml").write_text("name: m2\nruntime: python\n")
    (directory / "Pulumi.dev.yaml").write_text(f"encryptionsalt: {new_salt(PASSPHRASE)}\n")
    shutil.copy(PROGRAM, directory / "__main__.py")
    project = Project(directory, dict(os.environ))
    ssh = {key: value for key, value in server.connection().items() if key in ("port", "privateKey", "hostKey")}
    project.change({"ssh": ssh, "publicKey": ssh_key(), "hcloud:endpoint": endpoint})
    project.change({"hcloud:pollInterval": "50ms", "hcloud:pollFunction": "constant"})
    yield project
    run.destroy(project.request, lambda _: None)


class ByHand:
    """Somebody with the provider's console."""

    def __init__(self, endpoint: str) -> None:
        self.api = Api(TOKEN, endpoint, polling("50ms", "constant"))

    def make(self, collection: str, **body: Any) -> int:
        (made,) = (
            v for v in self.api.call("POST", collection, body).values() if isinstance(v, dict) and "created" in v
        )
        return int(made["id"])

    def relabel(self, collection: str) -> None:
        for found in self.api.list(collection, "name=m2-engine"):
            self.api.call("PUT", f"{collection}/{found['id']}", {"labels": {"by": "hand"}})
