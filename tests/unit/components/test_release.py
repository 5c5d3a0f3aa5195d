"""The hooks of the database pair: when they ask it, what they let through, and what they stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pulumi
import pytest

from components import release
from components.logins import Logins
from components.release import ACCEPT_DEGRADED, Release, ReleaseError, is_rebuild, stops
from tests.unit.components.test_protection import labels
from tests.unit.fake_ssh import FakeSsh
from tests.unit.stacks.example import plan

NAMES = ("database-1", "database-2")
LOGINS = Logins(dict.fromkeys(NAMES, "198.51.100.21"), dict.fromkeys(NAMES, "ecdsa-1 AAAA"))
YES = {"ok": True, "said": "database-2 serves alone"}
NO = {"ok": False, "why": "etcd has two of three members"}
SERVER = {"serverType": "ccx23", "labels": labels("database-1", 0), "firewallIds": [1], "userData": "x"}


def ask(host: str = "database-1", accept_degraded: bool = False) -> None:
    Release(LOGINS, NAMES, accept_degraded)(host)


def installed(ssh: FakeSsh, *hosts: str) -> None:
    for host in hosts:
        ssh.answer(host, "test -e /etc/m2/agent.json")


def test_it_asks_the_host_that_is_about_to_change_and_waits(ssh: FakeSsh) -> None:
    installed(ssh, *NAMES)
    ssh.answer("database-2", "release", YES)
    ask("database-2")
    assert "release --wait 1200" in ssh.asked("database-2")[-1]
    assert "--accept-degraded" not in ssh.asked("database-2")[-1]
    assert ssh.asked("database-1") == []


def test_a_refusal_says_why_and_what_to_do(ssh: FakeSsh) -> None:
    installed(ssh, *NAMES)
    ssh.answer("database-1", "release", NO, code=1)
    with pytest.raises(ReleaseError, match=r"database-1 .*two of three.*--accept-degraded"):
        ask()


def test_a_repair_is_told_to_the_agent_which_decides(ssh: FakeSsh) -> None:
    installed(ssh, *NAMES)
    ssh.answer("database-1", "release", NO, code=1)
    with pytest.raises(ReleaseError):
        ask(accept_degraded=True)
    assert ssh.asked("database-1")[-1].endswith("--accept-degraded")


def test_a_host_whose_roles_were_never_installed_is_not_asked(ssh: FakeSsh) -> None:
    ssh.answer("database-1", "test -e", code=1)
    ask()
    assert len(ssh.asked()) == 1


def test_a_dead_host_is_left_alone_until_a_person_says_that_this_repairs_the_pair(ssh: FakeSsh) -> None:
    installed(ssh, "database-2")
    ssh.answer("database-2", "status", {"record": {"holder": "database-2"}})
    with pytest.raises(ReleaseError, match=r"database-1: .*timed out.*--accept-degraded"):
        ask()
    ask(accept_degraded=True)


def test_a_dead_host_of_a_pair_that_nobody_knows_is_left_alone(ssh: FakeSsh) -> None:
    with pytest.raises(ReleaseError):
        ask()


@pytest.mark.parametrize("born", [False, True])
def test_a_dead_host_of_a_pair_that_was_never_born_may_go(ssh: FakeSsh, born: bool) -> None:
    ssh.answer("database-2", "test -e", code=0 if born else 1)
    ssh.answer("database-2", "status", {"record": None})
    ask()


def test_an_agent_that_is_stopped_is_not_taken_for_a_host_without_one(ssh: FakeSsh) -> None:
    installed(ssh, *NAMES)
    ssh.answer("database-1", "release", {"ok": False, "why": "the agent does not answer"}, code=2)
    ssh.answer("database-2", "status", {"record": {"holder": "database-1"}})
    with pytest.raises(ReleaseError, match="does not answer"):
        ask()


@pytest.mark.parametrize(
    ("changes", "stopping"),
    [
        ({}, False),
        ({"labels": {}, "firewallIds": [2], "name": "other"}, False),
        ({"userData": "y", "image": "debian-13", "sshKeys": [7]}, False),
        ({"serverType": "ccx33"}, True),
        ({"placementGroupId": 3}, True),
        ({"publicNets": []}, True),
        ({"__defaults": ["name"]}, False),
    ],
    ids=str,
)
def test_only_a_change_that_stops_the_server_needs_a_release(changes: Mapping[str, Any], stopping: bool) -> None:
    assert stops(SERVER, {**SERVER, **changes}) == stopping


def test_a_secret_that_is_ignored_is_no_change() -> None:
    """Each time it comes in another wrapping."""
    assert not stops({**SERVER, "userData": object()}, {**SERVER, "userData": object()})


@pytest.mark.parametrize(
    ("values", "made_for", "rebuild"),
    [
        ({"rebuild": {"database-1": 1}}, labels("database-1", 0), True),
        ({"rebuild": {"database-1": 1}}, labels("database-1", 1), False),
        ({}, labels("database-1", 0), False),
        ({}, labels("node-9", 0), False),
        ({}, {}, False),
    ],
    ids=["raised count", "destroy", "unprotected destroy", "left the plan", "no labels"],
)
def test_a_deletion_needs_a_release_only_when_a_new_server_follows(
    values: dict[str, object], made_for: Mapping[str, str], rebuild: bool
) -> None:
    assert is_rebuild(plan(**values), made_for) == rebuild


@dataclass
class Hook:
    """Stands for Pulumi's, which wants an engine to register itself with."""

    name: str
    callback: Callable[[Any], Any]


@dataclass
class Hooks:
    """The two hooks of a plan."""

    update: Hook
    delete: Hook

    def run(self, hook: Hook, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None = None) -> None:
        asyncio.run(hook.callback(SimpleNamespace(old_inputs=old, new_inputs=new)))


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> Hooks:
    """Of a plan that rebuilds database-1."""
    monkeypatch.setattr(pulumi, "ResourceHook", Hook)
    monkeypatch.delenv(ACCEPT_DEGRADED, raising=False)

    async def logins() -> Logins:
        return LOGINS

    made: Any = release.hooks(plan(rebuild={"database-1": 1}), logins)
    return Hooks(made.before_update[0], made.before_delete[0])


def test_the_hooks_ask_for_the_host_that_the_labels_name(hooks: Hooks, ssh: FakeSsh) -> None:
    installed(ssh, *NAMES)
    ssh.answer("database-1", "release", YES)
    hooks.run(hooks.update, SERVER, {**SERVER, "serverType": "ccx33"})
    hooks.run(hooks.delete, SERVER)
    assert len([command for command in ssh.asked("database-1") if "release" in command]) == 2


def test_the_hooks_ask_nobody_about_what_stops_no_server(hooks: Hooks, ssh: FakeSsh) -> None:
    hooks.run(hooks.update, SERVER, {**SERVER, "firewallIds": []})
    hooks.run(hooks.delete, {**SERVER, "labels": labels("database-2", 0)})
    hooks.run(hooks.delete, None)
    assert ssh.asked() == []


def test_the_environment_says_that_a_change_is_a_repair(
    hooks: Hooks, ssh: FakeSsh, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ReleaseError):
        hooks.run(hooks.delete, SERVER)
    monkeypatch.setenv(ACCEPT_DEGRADED, "1")
    hooks.run(hooks.delete, SERVER)


def test_the_program_goes_on_while_a_pair_is_asked(hooks: Hooks, ssh: FakeSsh) -> None:
    """The other member's roles are installed meanwhile, which is what the pair waits for."""
    installed(ssh, *NAMES)
    ssh.answer("database-1", "release", YES)
    moments: list[float] = []

    async def both() -> None:
        loop = asyncio.get_running_loop()
        asked = asyncio.ensure_future(hooks.delete.callback(SimpleNamespace(old_inputs=SERVER, new_inputs=None)))
        while not asked.done():
            moments.append(loop.time())
            await asyncio.sleep(0.005)
        await asked

    asyncio.run(both())
    assert len(moments) > 3


def test_a_plan_whose_database_is_alone_has_no_hooks() -> None:
    alone: Any = SimpleNamespace(vips=())
    assert release.hooks(alone, lambda: asyncio.sleep(0, LOGINS)) is None


def test_an_apply_says_what_it_was_made_for_as_labels_do() -> None:
    host = plan(rebuild={"database-1": 2}).host("database-1")
    create = f"sudo python3 -  {release.apply_line(host)}\n# /etc/a=1"
    assert release.labels_of({"create": create}) == {"m2-host": "database-1", "m2-rebuild": "2"}
    assert release.labels_of(SERVER) == SERVER["labels"]
    assert release.labels_of({}) == {}
