"""What may be deleted: what the settings no longer ask for, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pulumi
import pytest

from components.protection import ProtectedError, Protection, refusal
from tests.unit.stacks.example import STACK, plan


def labels(host: str, rebuild: int) -> dict[str, str]:
    return {"m2-stack": STACK, "m2-host": host, "m2-rebuild": str(rebuild)}


@pytest.mark.parametrize(
    ("values", "made_for", "refused"),
    [
        ({}, labels("core-1", 0), True),
        ({}, labels("database-1", 0), True),
        ({"rebuild": {"core-1": 1}}, labels("core-1", 0), False),
        ({"rebuild": {"core-1": 1}}, labels("core-1", 1), True),
        ({"rebuild": {"core-1": 1}}, labels("core-2", 0), True),
        ({"rebuild": {"core-1": 2}}, labels("core-1", 3), False),
        ({"cores": 2}, labels("core-3", 0), False),
        ({"cores": 3}, labels("core-3", 0), True),
        ({}, {}, False),
    ],
    ids=str,
)
def test_a_deletion_is_refused_exactly_when_the_settings_still_ask_for_it(
    values: dict[str, object], made_for: Mapping[str, str], refused: bool
) -> None:
    assert (refusal(plan(**values), made_for) is not None) == refused


def test_a_refusal_names_the_host_and_says_what_to_do() -> None:
    sentence = refusal(plan(rebuild={"core-1": 4}), labels("core-1", 4))
    assert sentence is not None
    for words in ("core-1", "rebuild.core-1", "now 4", "protected to false", "destroy"):
        assert words in sentence


def test_what_a_server_is_labelled_with_is_what_the_refusal_reads() -> None:
    chosen = plan(protected=False, rebuild={"core-1": 4})
    for host in chosen.hosts:
        made = Protection(chosen).labels(host)
        assert refusal(chosen, made) is not None
        assert refusal(plan(rebuild={"core-1": 4, host.name: host.rebuild + 1}), made) is None


@dataclass
class Hook:
    """Stands for Pulumi's, which wants an engine to register itself with."""

    name: str
    callback: Callable[[Any], None]


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Hook:
    """The hook of a protected stack with two cores."""
    monkeypatch.setattr(pulumi, "ResourceHook", Hook)
    hooks = Protection(plan()).asked_for(pulumi.ResourceOptions()).hooks
    assert hooks is not None
    assert hooks.before_delete is not None
    [made] = hooks.before_delete
    assert isinstance(made, Hook)
    return made


def deletion(old_inputs: dict[str, Any] | None) -> SimpleNamespace:
    return SimpleNamespace(old_inputs=old_inputs)


def test_the_hook_stops_the_deletion_of_what_is_asked_for_with_a_sentence(hook: Hook) -> None:
    with pytest.raises(ProtectedError, match=r"core-1 is protected"):
        hook.callback(deletion({"labels": labels("core-1", 0)}))


@pytest.mark.parametrize("old", [None, {}, {"labels": None}, {"labels": labels("core-3", 0)}])
def test_the_hook_lets_everything_else_go(hook: Hook, old: dict[str, Any] | None) -> None:
    hook.callback(deletion(old))


def test_without_protection_nothing_is_kept() -> None:
    assert not Protection(plan(protected=False)).kept(pulumi.ResourceOptions()).protect
