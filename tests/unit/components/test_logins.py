"""How hosts are logged in to: pinned keys, nothing of the user's settings, and what is told when it does not work."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from components.logins import Bastion, LoginError, Logins, UnreachableError
from tests.unit.fake_ssh import FakeSsh

LOGINS = Logins(
    {"database-1": "198.51.100.21", "gui": "198.51.100.31"}, {"database-1": "ecdsa-1 AAAA", "gui": "ecdsa-2 BBBB"}
)


def options(words: list[str]) -> dict[str, str]:
    return dict(word.split("=", 1) for before, word in pairwise(words) if before == "-o")


def test_only_the_pinned_key_of_that_very_host_is_believed(ssh: FakeSsh) -> None:
    ssh.answer("database-1", "hostname", "database-1\n")
    assert LOGINS.output("database-1", "hostname") == "database-1\n"
    [asked] = ssh.log()
    given = options(asked["words"])
    assert given["StrictHostKeyChecking"] == "yes"
    assert given["GlobalKnownHostsFile"] == "none"
    assert "database-1 ecdsa-1 AAAA" in Path(given["UserKnownHostsFile"]).read_text().splitlines()
    assert "admin@198.51.100.21" in asked["words"]


def test_a_bastion_is_gone_through_with_its_own_key(ssh: FakeSsh) -> None:
    ssh.answer("gui", "true")
    through = Logins(LOGINS.addresses, LOGINS.host_keys, Bastion("jump.test", "me", 2222, "ecdsa-3 CCCC"))
    through.output("gui", "true")
    given = options(ssh.log()[0]["words"])
    assert "me@jump.test" in given["ProxyCommand"]
    assert "-p 2222 -W %h:%p" in given["ProxyCommand"]
    assert "bastion ecdsa-3 CCCC" in Path(given["UserKnownHostsFile"]).read_text().splitlines()


def test_a_secret_goes_through_standard_input(ssh: FakeSsh) -> None:
    ssh.answer("gui", "cat")
    LOGINS.output("gui", "cat > /dev/null", stdin="secret")
    [asked] = ssh.log()
    assert asked["stdin"] == "secret"
    assert "secret" not in asked["command"]


def test_a_host_that_does_not_answer_is_another_error_than_a_command_that_fails(ssh: FakeSsh) -> None:
    ssh.answer("gui", "false", code=1, err="no such thing\n")
    with pytest.raises(LoginError, match="gui: no such thing") as failed:
        LOGINS.output("gui", "false")
    assert not isinstance(failed.value, UnreachableError)
    with pytest.raises(UnreachableError, match=r"database-1: .*timed out"):
        LOGINS.output("database-1", "true")


def test_the_agent_is_asked_as_root_and_its_refusal_is_an_answer(ssh: FakeSsh) -> None:
    refusal = {"ok": False, "why": "the pair is not in SYNC"}
    ssh.answer("gui", "failover.pair failback", refusal, code=1)
    assert LOGINS.ask_agent("gui", "failback") == refusal
    assert ssh.asked()[0].startswith("sudo ")


@pytest.mark.parametrize(
    ("out", "code", "err", "why"),
    [
        ({"ok": False, "why": "the agent does not answer"}, 2, "", "does not answer"),
        ("", 1, "Traceback\nModuleNotFoundError: failover", "ModuleNotFoundError"),
    ],
)
def test_a_host_without_an_agent_is_unreachable(ssh: FakeSsh, out: object, code: int, err: str, why: str) -> None:
    ssh.answer("gui", "status", out, code, err)
    with pytest.raises(UnreachableError, match=why):
        LOGINS.ask_agent("gui", "status")
