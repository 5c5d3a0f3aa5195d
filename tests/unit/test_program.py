"""The program as `pulumi up` runs it: right settings become a stack, wrong ones one message and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
import pytest

from tests.unit.components.deployment import Deployment, deploy
from tests.unit.stacks.example import REQUIRED, STACK, TOKEN, USUAL


def refused(values: Mapping[str, Any], provider: Mapping[str, str] | None = None) -> tuple[list[str], Deployment]:
    """The lines of the message, and what was registered before it."""
    deployment = deploy(values, provider if provider is not None else {"hcloud:token": TOKEN})
    assert isinstance(deployment.error, pulumi.RunError), repr(deployment.error)
    first, *lines = str(deployment.error).splitlines()
    assert first == f"stack {STACK}:"
    return lines, deployment


@pytest.fixture(autouse=True)
def _no_token_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HCLOUD_TOKEN", raising=False)
    monkeypatch.delenv("HCLOUD_ENDPOINT", raising=False)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"cores": "two"}, ["cores"]),
        ({"core": 2, "cores": 1, "regoin": "fsn1"}, ["core", "regoin", "cores"]),
        ({"admins": {"ssh_from": ["0.0.0.0/0"]}, "protected": "perhaps"}, ["admins.ssh_from", "admins.ssh_keys"]),
    ],
    ids=str,
)
def test_wrong_settings_are_told_at_once_before_anything_is_registered(
    changes: dict[str, object], named: list[str]
) -> None:
    lines, deployment = refused({**USUAL, **changes})
    assert deployment.resources == []
    for name in named:
        assert any(line.startswith(name) for line in lines), lines


def test_a_wrong_token_is_told_before_anything_is_registered() -> None:
    lines, deployment = refused(USUAL, {"hcloud:token": "short"})
    assert deployment.resources == []
    assert [line.partition(":")[0] for line in lines] == ["hcloud"]
    assert "short" not in lines[0].partition("allowed")[0]


def test_a_missing_token_is_told_with_both_places_where_it_may_be() -> None:
    lines, _ = refused(USUAL, {})
    assert "pulumi config set --secret hcloud:token" in lines[0]
    assert "HCLOUD_TOKEN" in lines[0]


def test_wrong_settings_and_a_wrong_token_are_told_in_one_message() -> None:
    lines, _ = refused({**USUAL, "cores": 1}, {"hcloud:token": "short"})
    assert {line.split(":")[0] for line in lines} == {"cores", "hcloud"}


def test_software_of_the_vendor_that_is_not_there_is_told_before_any_provider_is_asked() -> None:
    missing = {"core": {"script": "vendor/no-such-file", "sha256": "0" * 64}}
    lines, deployment = refused({**USUAL, "vendor": missing})
    assert deployment.custom() == []
    assert lines[0].startswith("vendor.core.script: 'vendor/no-such-file'; allowed:")


def test_a_wrong_setting_is_not_reported_as_a_failure_of_the_program() -> None:
    """RunError prints without a traceback."""
    lines, deployment = refused({**USUAL, "cores": 1})
    assert deployment.error is not None
    assert deployment.error.__suppress_context__ or deployment.error.__context__ is None
    assert len(lines) == 1


def test_the_token_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HCLOUD_TOKEN", "e" * 64)
    deployment = deploy(USUAL, {})
    assert deployment.error is None
    assert "e" * 64 in deployment.one("Command", "-database-1-apply").inputs["stdin"]


@pytest.mark.parametrize("where", ["configuration", "environment"])
def test_the_movers_use_the_endpoint_that_the_program_uses(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stack on the local cloud differs from a real one by its endpoint and nothing else."""
    endpoint = "http://cloud.test:8080/v1"
    provider = {"hcloud:token": TOKEN}
    if where == "configuration":
        provider["hcloud:endpoint"] = endpoint
    else:
        monkeypatch.setenv("HCLOUD_ENDPOINT", endpoint)
    deployment = deploy(USUAL, provider)
    assert deployment.error is None
    holders = [r.name for r in deployment.of("Command") if endpoint in r.inputs["stdin"]]
    assert sorted(holders) == ["fsn1-database-1-apply", "fsn1-database-2-apply"]


def test_the_required_settings_alone_make_a_stack() -> None:
    deployment = deploy(REQUIRED)
    assert deployment.error is None
    assert len(deployment.of("Server")) == 7
