"""Checkpoints and plans as they were accepted, so that no change of them goes unseen where there is no CLI.

After a change: ACCEPT=1 .venv/bin/python -m pytest tests/unit/localcloud/engine/test_goldens.py, and look at the
difference.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localcloud.engine import run
from tests.unit.localcloud.engine.project import Project, made_project
from tests.unit.localcloud.engine.ssh_server import SshServer

GOLDENS = Path(__file__).parent / "goldens"
CHANGE = {"env": "prod", "type": "cx33", "file": "b", "rule": True, "protect": True}
VOLATILE = {
    *("id", "created", "modified", "time", "duration", "magic", "ciphertext", "salt", "networkId", "serverId"),
    *("volumeId", "placementGroupId", "firewallIds", "assigneeId", "ipv4", "ipv4Address", "ipAddress", "linuxDevice"),
    *("macAddress", "sshKeys", "triggers", "fingerprint", "publicKey", "hcloud:endpoint", "endpoint", "m2:ssh"),
    *("m2:publicKey", "address", "servers"),
}
"""What is another one in each run."""


@pytest.fixture
def project(tmp_path: Path, local_cloud: str, server: SshServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    with made_project(tmp_path, local_cloud, server, monkeypatch) as project:
        project.change({"servers": 1})
        yield project


def lasting(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: f"<{key}>" if key in VOLATILE else lasting(item) for key, item in sorted(value.items())}
    if isinstance(value, list):
        return [lasting(item) for item in value]
    return re.sub(r"::[0-9a-f]{8}-[0-9a-f-]{27}$", "::<id>", value) if isinstance(value, str) else value


def in_order(document: dict[str, Any], key: str) -> dict[str, Any]:
    """Resources register in the order in which their inputs come to be known."""
    return {**document, key: sorted(document[key], key=lambda entry: entry["urn"])}


def accepted(name: str, document: dict[str, Any]) -> None:
    """It must be what was accepted; with ACCEPT that is what there is now."""
    file, text = GOLDENS / f"{name}.json", json.dumps(lasting(document), indent=1) + "\n"
    if os.environ.get("ACCEPT"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    assert text == file.read_text()


def test_plans_and_checkpoints_are_as_they_were_accepted(project: Project) -> None:
    accepted("preview-create", in_order(run.preview(project.request, lambda _: None).to_json(), "steps"))
    project.apply(with_cli=False)
    accepted("checkpoint", in_order(project.latest(), "resources"))
    project.change(CHANGE)
    accepted("preview-change", in_order(run.preview(project.request, lambda _: None).to_json(), "steps"))
    project.change({"rebuild": 1})
    accepted("preview-rebuild", in_order(run.preview(project.request, lambda _: None).to_json(), "steps"))
    project.change({"protect": False})
    project.apply(with_cli=False)
