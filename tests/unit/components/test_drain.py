"""The hooks of cores: when they wait for calls and records, and what they stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pulumi
import pytest

from components import drain
from components.drain import Drain, DrainError, leaves
from components.logins import Logins
from tests.unit.components.test_protection import labels
from tests.unit.fake_ssh import FakeSsh
from tests.unit.stacks.example import plan

LOGINS = Logins({"core-1": "198.51.100.51"}, {"core-1": "ecdsa-1 AAAA"})
SERVER = {"serverType": "ccx23", "labels": labels("core-1", 0), "firewallIds": [1]}


def empty(accept_loss: bool = False) -> None:
    Drain(LOGINS, 30, accept_loss)("core-1")


def test_it_asks_the_core_that_is_about_to_go_and_waits(ssh: FakeSsh) -> None:
    ssh.answer("core-1", "test -e")
    ssh.answer("core-1", "m2-drain leave")
    empty()
    assert ssh.asked("core-1")[-1] == "sudo /usr/local/sbin/m2-drain leave"


def test_a_core_that_keeps_its_records_is_left_alone_until_a_person_gives_them_up(ssh: FakeSsh) -> None:
    ssh.answer("core-1", "test -e")
    ssh.answer("core-1", "m2-drain leave", code=1)
    with pytest.raises(DrainError, match=r"core-1 is left alone: .*--accept-degraded"):
        empty()
    empty(accept_loss=True)


def test_a_core_that_does_not_answer_is_left_alone_until_a_person_gives_its_records_up(ssh: FakeSsh) -> None:
    with pytest.raises(DrainError, match=r"core-1: .*timed out.*--accept-degraded"):
        empty()
    empty(accept_loss=True)


def test_a_core_whose_roles_were_never_installed_has_nothing_to_lose(ssh: FakeSsh) -> None:
    ssh.answer("core-1", "test -e", code=1)
    empty()
    assert len(ssh.asked()) == 1


@pytest.mark.parametrize(
    ("changes", "host", "gone"),
    [
        ({}, "core-1", False),
        ({"rebuild": {"core-1": 1}}, "core-1", True),
        ({"rebuild": {"core-2": 1}}, "core-1", False),
        ({"cores": 2}, "core-3", True),
    ],
)
def test_a_core_leaves_when_the_settings_say_so_and_not_when_all_is_destroyed(
    changes: dict[str, Any], host: str, gone: bool
) -> None:
    assert leaves(plan(**changes), labels(host, 0)) is gone


Hook = Callable[[Any], Any]


def hooks_of(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> dict[str, Hook]:
    """The callbacks, by name."""
    made: dict[str, Hook] = {}
    monkeypatch.setattr(pulumi, "ResourceHook", lambda name, callback: made.setdefault(name, callback))
    monkeypatch.setattr(pulumi, "ResourceHookBinding", lambda **_: None)

    async def logins() -> Logins:
        return Logins({}, {})

    drain.hooks(plan(**changes), logins, lambda name: f"key of {name}")
    return made


def arguments(old: Mapping[str, Any], new: Mapping[str, Any] | None = None) -> Any:
    return SimpleNamespace(old_inputs=old, new_inputs=new, old_outputs={"ipv4Address": "198.51.100.51"})


def test_a_core_that_the_plan_no_longer_has_is_reached_at_the_address_it_had(
    ssh: FakeSsh, monkeypatch: pytest.MonkeyPatch
) -> None:
    ssh.answer("core-1", "test -e")
    ssh.answer("core-1", "m2-drain leave")
    gone = {**SERVER, "labels": labels("core-1", 7)}
    asyncio.run(hooks_of(monkeypatch)["drain-before-delete"](arguments(gone)))
    assert "leave" in ssh.asked("core-1")[-1]


def test_only_what_stops_a_core_waits_for_its_calls(ssh: FakeSsh, monkeypatch: pytest.MonkeyPatch) -> None:
    update = hooks_of(monkeypatch)["drain-before-update"]
    asyncio.run(update(arguments(SERVER, {**SERVER, "firewallIds": [1, 2]})))
    assert ssh.asked() == []
    ssh.answer("core-1", "test -e")
    ssh.answer("core-1", "m2-drain leave")
    asyncio.run(update(arguments(SERVER, {**SERVER, "serverType": "ccx33"})))
    assert "leave" in ssh.asked("core-1")[-1]


def test_a_destroyed_stack_waits_for_nobody(ssh: FakeSsh, monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(hooks_of(monkeypatch)["drain-before-delete"](arguments(SERVER)))
    assert ssh.asked() == []
