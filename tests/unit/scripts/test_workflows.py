"""The workflows of CI: valid, pinned, with the least rights, and nothing of a branch in a shell's text."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).parents[3]
WORKFLOWS = sorted((PROJECT / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"[a-z-]+/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
WRITES = {("pull-request.yml", "comment", "pull-requests")}
"""What may be written, by workflow and job."""

RUNS_FOREIGN_CODE = ("pull_request_target", "workflow_run", "issue_comment")


def jobs(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from load(file)["jobs"].items()


def load(file: Path) -> dict[str, Any]:
    """`on` is a word for true in YAML 1.1."""
    document: dict[Any, Any] = yaml.safe_load(file.read_text())
    return {("on" if key is True else key): value for key, value in document.items()}


@pytest.fixture(params=WORKFLOWS, ids=lambda file: file.name)
def workflow(request: pytest.FixtureRequest) -> Path:
    file: Path = request.param
    return file


def test_there_are_some() -> None:
    assert [file.name for file in WORKFLOWS] == ["drift.yml", "pull-request.yml", "tests.yml"]


def test_they_are_valid_by_githubs_schema() -> None:
    words = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    done = subprocess.run([*words, *map(str, WORKFLOWS)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_schema_refuses_what_is_wrong(tmp_path: Path) -> None:
    wrong = tmp_path / "w.yml"
    wrong.write_text((PROJECT / ".github/workflows/tests.yml").read_text().replace("runs-on:", "run-on:"))
    words = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(wrong)]
    assert subprocess.run(words, capture_output=True, check=False).returncode == 1


def test_actionlint_finds_nothing() -> None:
    if not shutil.which("actionlint"):
        pytest.skip("actionlint is not installed: go install github.com/rhysd/actionlint/cmd/actionlint@latest")
    done = subprocess.run(["actionlint", *map(str, WORKFLOWS)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_action_is_pinned_to_a_commit(workflow: Path) -> None:
    used = re.findall(r"uses: (.*)", workflow.read_text())
    assert used
    assert [use for use in used if not PINNED.fullmatch(use)] == []


def test_rights_are_the_least(workflow: Path) -> None:
    assert load(workflow)["permissions"] == {}
    for name, job in jobs(workflow):
        for right, level in job["permissions"].items():
            allowed = "write" if (workflow.name, name, right) in WRITES else "read"
            assert level == allowed, f"{workflow.name}: {name} may {level} {right}"


def test_no_secret_is_where_foreign_code_runs(workflow: Path) -> None:
    assert not set(RUNS_FOREIGN_CODE) & set(load(workflow)["on"])


def test_a_job_that_may_write_runs_the_code_of_the_base_and_holds_no_secret() -> None:
    job = dict(jobs(PROJECT / ".github/workflows/pull-request.yml"))["comment"]
    [checkout] = [step for step in job["steps"] if str(step.get("uses", "")).startswith("actions/checkout@")]
    assert checkout["with"]["ref"] == "${{ github.event.pull_request.base.sha }}"
    assert "secrets." not in str(job)


def test_a_job_with_access_to_state_is_not_for_forks() -> None:
    job = dict(jobs(PROJECT / ".github/workflows/pull-request.yml"))["preview"]
    assert "PULUMI_CONFIG_PASSPHRASE" in str(job)
    assert "github.event.pull_request.head.repo.full_name == github.repository" in job["if"]


def test_no_checkout_leaves_its_token_behind(workflow: Path) -> None:
    for _, job in jobs(workflow):
        for step in job["steps"]:
            if str(step.get("uses", "")).startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


def test_nothing_of_an_event_is_pasted_into_a_shell(workflow: Path) -> None:
    for _, job in jobs(workflow):
        assert [step["run"] for step in job["steps"] if "${{" in step.get("run", "")] == []


def test_no_job_runs_for_ever(workflow: Path) -> None:
    assert [name for name, job in jobs(workflow) if "timeout-minutes" not in job] == []
