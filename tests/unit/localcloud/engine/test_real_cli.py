"""The embedded engine held to the pulumi CLI: the same plans, and each goes on where the other stopped."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localcloud.engine import run
from tests.unit.localcloud.engine.conftest import running_cloud
from tests.unit.localcloud.engine.project import PROGRAM, ByHand, Project, made_project
from tests.unit.localcloud.engine.ssh_server import SshServer
from tests.unit.localcloud.engine.test_hcloud import ssh_key

NEEDED = ("pulumi", "pulumi-resource-hcloud", "pulumi-resource-command")
missing = [name for name in NEEDED if not shutil.which(name)]
pytestmark = pytest.mark.skipif(bool(missing), reason=f"not on PATH: {', '.join(missing)}")

CHANGES: dict[str, dict[str, Any]] = {
    "create": {},
    "labels, rules, a file, ignored user-data": {"env": "prod", "rule": True, "file": "b", "userData": "b"},
    "another type, a larger volume": {"type": "cx33", "size": 20},
    "rebuild, protect": {"rebuild": 1, "protect": True},
    "one more server, hooks": {"servers": 3, "hooks": True},
    "labels under hooks, unprotect": {"env": "stage", "protect": False},
    "one server less, rebuild under hooks": {"servers": 2, "rebuild": 2},
}


OPTIONS: dict[str, dict[str, Any]] = {
    "create, import, read": {},
    "rename, replace": {"renamed": True},
    "another key": {"publicKey": ""},
    "protect": {"protect": True},
    "unprotect": {"protect": False},
}


@pytest.fixture
def local_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One for each test: each makes many of the requests that an hour allows."""
    with running_cloud(tmp_path_factory.mktemp("cloud")) as endpoint:
        yield endpoint


@pytest.fixture
def project(tmp_path: Path, local_cloud: str, server: SshServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    with made_project(tmp_path, local_cloud, server, monkeypatch) as project:
        yield project


@pytest.fixture
def with_options(project: Project, local_cloud: str) -> Project:
    """The second program, what it looks at, and the stack that it refers to."""
    by_hand = ByHand(local_cloud)
    address = by_hand.make(
        "floating_ips", name="made-by-hand", type="ipv4", home_location="fsn1", description="by hand"
    )
    other = project.directory / "Pulumi.other.yaml"
    other.write_text((project.directory / "Pulumi.dev.yaml").read_text())
    (project.directory / "__main__.py").write_text(
        'import pulumi\npulumi.export("open", "sesame")\npulumi.export("token", pulumi.Output.secret("hush"))\n'
    )
    assert run.up(run.Request(project.directory, "other"), lambda _: None).failures == ()
    shutil.copy(PROGRAM.with_name("program_options.py"), project.directory / "__main__.py")
    project.change({"address": str(address)})
    return project


def operations(plan: dict[str, Any]) -> dict[str, tuple[str, list[str], list[str]]]:
    """What is done to each resource, and for which properties."""
    return {
        step["urn"]: (step["op"], sorted(step.get("diffReasons") or []), sorted(step.get("replaceReasons") or []))
        for step in plan["steps"]
    }


def take_turns(project: Project, changes: dict[str, dict[str, Any]], with_cli: bool) -> None:
    """Each change: both plan the same, one of them applies it, and neither sees anything to do."""
    project.cli("stack", "init")
    for name, settings in changes.items():
        project.change({key: value or ssh_key() if key == "publicKey" else value for key, value in settings.items()})
        theirs = json.loads(project.cli("preview", "--json", "--show-sames").stdout)
        ours = run.preview(project.request, lambda _: None)
        assert operations(ours.to_json(show_sames=True)) == operations(theirs), name
        assert dict(ours.change_summary) == {op: n for op, n in theirs["changeSummary"].items() if n}, name
        project.apply(with_cli)
        project.assert_nothing_to_do()
        with_cli = not with_cli


@pytest.mark.parametrize("first", ["embedded", "cli"])
def test_both_engines_see_the_same_and_go_on_from_one_another(project: Project, first: str) -> None:
    take_turns(project, CHANGES, with_cli=first == "cli")


@pytest.mark.parametrize("first", ["embedded", "cli"])
def test_both_engines_agree_on_every_option(with_options: Project, first: str) -> None:
    take_turns(with_options, OPTIONS, with_cli=first == "cli")
    theirs = json.loads(with_options.cli("stack", "output", "--json", "--show-secrets").stdout)
    assert theirs == run.outputs(with_options.request, show_secrets=True)
    assert (theirs["open"], theirs["token"], theirs["given"]) == ("sesame", "hush", "pw")


def test_what_is_only_looked_at_is_no_change(with_options: Project, local_cloud: str) -> None:
    """A refresh of the CLI does take over what its plug-in keeps for itself of such a resource."""
    project = with_options
    project.change({"firewall": str(ByHand(local_cloud).make("firewalls", name="elsewhere"))})
    project.cli("stack", "init")
    project.apply(with_cli=False)
    assert run.outputs(project.request)["firewall"] == "elsewhere"
    assert project.cli("preview", "--expect-no-changes").returncode == 0
    project.apply(with_cli=True)
    assert set(run.preview(project.request, lambda _: None).change_summary) == {"same"}


@pytest.mark.parametrize("refreshed_by", ["embedded", "cli"])
def test_both_refresh_the_same(project: Project, local_cloud: str, refreshed_by: str) -> None:
    """Labels that somebody changed, and a key that somebody deleted: what one takes over, the other puts right."""
    project.cli("stack", "init")
    project.apply(with_cli=False)
    by_hand = ByHand(local_cloud)
    by_hand.relabel("networks")
    by_hand.relabel("floating_ips")
    (group,) = by_hand.api.list("firewalls", "name=m2-engine")
    by_hand.api.call("PUT", f"firewalls/{group['id']}", {"name": "another"})
    if refreshed_by == "cli":
        assert project.cli("refresh", "--yes", "--skip-preview").returncode == 0
    else:
        assert run.refresh(project.request, lambda _: None).failures == ()
    theirs = json.loads(project.cli("preview", "--json", "--show-sames").stdout)
    ours = run.preview(project.request, lambda _: None)
    assert operations(ours.to_json(show_sames=True)) == operations(theirs)
    assert ours.change_summary["update"] == 3
    project.apply(with_cli=refreshed_by == "embedded")
    project.assert_nothing_to_do()


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
