"""What a person and CI get from `cost_preview`: forms, baselines, exit codes, errors."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt

from scripts import cost_preview
from tests.unit.costs import samples
from tests.unit.stacks import example

STACK = "full-nbg1"


@pytest.fixture(autouse=True)
def without_access(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test asks a provider, whatever the person who runs it has access to."""
    for name in ("HCLOUD_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one stack of two cores, committed, and a local one, which costs nothing."""
    folder = tmp_path / "project"
    (folder / "stacks").mkdir(parents=True)
    write(folder, STACK, cores=2)
    write(folder, "full-local", cores=2)
    for words in (
        ["init", "-q", "-b", "main"],
        ["add", "."],
        ["-c", "user.name=me", "-c", "user.email=me@example.net", "commit", "-qm", "one"],
    ):
        subprocess.run(["git", "-C", str(folder), *words], check=True)
    monkeypatch.setattr(cost_preview, "PROJECT", folder)
    return folder


def write(folder: Path, stack: str, **changes: object) -> None:
    types = {"balancer": "ccx13", "core": "ccx23", "database": "ccx23", "gui": "cx23"}
    values = {**example.USUAL, "region": "nbg1", "server_types": types, "database_disk_gb": 100, **changes}
    config = {f"m2:{key}": value for key, value in values.items()}
    config["m2:root_secret"] = {"secure": "v1:nobody-can-read-this"}
    (folder / "stacks" / f"Pulumi.{stack}.yaml").write_text(yaml.safe_dump({"config": config}))


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["cost_preview", "--offline", *words])
    with pytest.raises(SystemExit) as ended:
        cost_preview.run()
    return int(ended.value.code or 0)


def sample(name: str) -> str:
    return str(samples.FOLDER / f"{name}.json")


def test_a_change_of_settings_against_a_commit(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(project, STACK, cores=4)
    assert run(monkeypatch, "--baseline", "HEAD") == 0
    headline = capsys.readouterr().out.splitlines()[0]
    assert headline.startswith(f"{STACK} will cost EUR ")
    assert headline.endswith("more, because of 2 more core hosts.")


def test_a_change_of_settings_against_another_checkout(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    (other / "stacks").mkdir(parents=True)
    write(other, STACK, cores=3)
    assert run(monkeypatch, "--baseline", str(other), "--format", "json") == 0
    document = json.loads(capsys.readouterr().out)
    assert "1 fewer core host" in document["headline"]
    assert [stack["stack"] for stack in document["stacks"]] == [STACK], "a local stack costs nothing"


def test_a_stack_that_the_branch_removes_is_told(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "stacks" / f"Pulumi.{STACK}.yaml").unlink()
    assert run(monkeypatch, "--baseline", "HEAD") == 0
    assert f"{STACK} goes away and will cost nothing" in capsys.readouterr().out


def test_a_preview_comes_before_the_settings_of_its_stack(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(project, STACK, cores=4)
    words = ["--preview", sample("full-cores"), "--baseline", "HEAD", "--format", "json", STACK, "full-local"]
    assert run(monkeypatch, *words) == 0
    stacks = json.loads(capsys.readouterr().out)["stacks"]
    assert [(stack["stack"], stack["source"]) for stack in stacks] == [("full-local", "preview"), (STACK, "settings")]


def test_a_report_goes_into_a_file(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "comment.md"
    words = ["--preview", sample("full-cores"), "--format", "markdown", "--output", str(file)]
    assert run(monkeypatch, *words) == 0
    assert file.read_text().startswith("<!-- m2-cost-comment -->\n**full-local will cost EUR ")


def test_a_crossed_threshold_is_exit_code_3_and_the_report_is_there_all_the_same(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--preview", sample("full-cores")]
    assert run(monkeypatch, *words, "--fail-above", "+10%") == 3
    told = capsys.readouterr()
    assert "full-local will cost" in told.out
    assert "--fail-above +10%: from EUR" in told.err
    assert run(monkeypatch, *words, "--fail-above", "+90%", "--fail-above", "EUR 9000") == 0


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--fail-above", "a lot"], 2, "--fail-above: 'a lot'; allowed:"),
        (["--hours", "800"], 2, "--hours: '800'; allowed: a number from 0 to 744"),
        (["--vat", "nineteen"], 2, "--vat: 'nineteen'; allowed"),
        (["no-such-stack"], 1, "no-such-stack: there is no stacks/Pulumi.no-such-stack.yaml"),
        (["--baseline", "no-such-commit"], 1, "--baseline: neither a folder nor a commit"),
        (["--preview", "/dev/null"], 1, "/dev/null: no preview"),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    told: str,
) -> None:
    assert run(monkeypatch, *words) == code
    assert told in " ".join(capsys.readouterr().err.split())


def test_wrong_settings_are_told_with_their_file(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(project, STACK, cores=1)
    assert run(monkeypatch) == 1
    assert f"stacks/Pulumi.{STACK}.yaml:\ncores: 1; allowed" in capsys.readouterr().err.replace("'1'", "1")


def test_vat_is_added_where_it_is_asked_for(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, STACK, "--format", "json") == 0
    net = float(json.loads(capsys.readouterr().out)["total"]["after"]["EUR"])
    assert run(monkeypatch, STACK, "--vat", "19", "--format", "json") == 0
    gross = float(json.loads(capsys.readouterr().out)["total"]["after"]["EUR"])
    assert gross == pytest.approx(net * 1.19)


def test_a_picture_of_the_stack_is_part_of_the_comment(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(project, STACK, cores=3)
    assert run(monkeypatch, STACK, "--format", "markdown") == 0
    text = capsys.readouterr().out
    assert "```mermaid\nflowchart LR\n" in text
    assert 'n_core["3 x core<br>ccx23<br>core"]' in text
    assert "n_sip_address -.-> n_balancer" in text
    assert run(monkeypatch, STACK, "--format", "markdown", "--no-pictures") == 0
    assert "mermaid" not in capsys.readouterr().out


def test_a_hostile_name_of_a_stack_file_is_text_in_the_comment(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = "<img src=x>@everyone"
    write(project, hostile, cores=2)
    assert run(monkeypatch, hostile, "--format", "markdown") == 0
    rendered = MarkdownIt("commonmark", {"html": True}).enable("table").render(capsys.readouterr().out)
    assert "everyone" in rendered
    assert "<img" not in rendered
    assert "@everyone" not in rendered
