"""Faults by ssh: what heals them is set before they begin, and always happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from components.logins import LoginError
from scripts import faults
from scripts.drills.breaking import BreakingError, LocalBreaker, RealBreaker, breaker, killed, without_quorum
from tests.unit.fake_ssh import FakeSsh
from tests.unit.scripts.staged_pair import HOSTS

REAL = RealBreaker(HOSTS, "token")
BY_SSH: dict[str, Callable[[], Any]] = {
    "freeze": lambda: REAL.freeze("database-1"),
    "isolate": lambda: REAL.isolate("database-1"),
    "split": lambda: REAL.split("database-1", "database-2"),
    "fill": lambda: REAL.fill("database-1"),
    "api": lambda: REAL.fail_api(["database-1"]),
}
HEALS = {
    "freeze": "--signal=CONT",
    "isolate": "nft delete table inet m2drill",
    "split": "nft delete table inet m2drill",
    "fill": "rm -f /srv/database/m2-drill-ballast",
    "api": "nft delete table inet m2drill",
}


@pytest.mark.parametrize("name", BY_SSH)
def test_a_fault_heals_by_itself_should_nobody_be_left_to_heal_it(ssh: FakeSsh, name: str) -> None:
    ssh.answer("*", "", "10.0.0.22\n")
    with BY_SSH[name]():
        begin = ssh.asked("database-1")[-1]
        assert begin.index("systemd-run") < begin.index("&& sudo ")
        assert HEALS[name] in begin.partition("&&")[0]
    assert HEALS[name] in ssh.asked("database-1")[-1]


@pytest.mark.parametrize("name", BY_SSH)
def test_a_fault_ends_however_the_block_ends(ssh: FakeSsh, name: str) -> None:
    ssh.answer("*", "", "10.0.0.22\n")
    with pytest.raises(KeyboardInterrupt), BY_SSH[name]():
        raise KeyboardInterrupt
    assert HEALS[name] in ssh.asked("database-1")[-1]


def test_an_isolated_host_still_takes_ssh(ssh: FakeSsh) -> None:
    ssh.answer("*", "")
    with REAL.isolate("database-1"):
        begin = ssh.asked("database-1")[-1]
    assert begin.index("tcp dport 22 accept") < begin.index(" drop")


def test_two_members_are_split_by_the_address_of_the_other(ssh: FakeSsh) -> None:
    ssh.answer("*", "")
    ssh.answer("database-2", "mover.json", "10.0.0.22\n")
    with REAL.split("database-1", "database-2"):
        assert "ip saddr 10.0.0.22 drop" in ssh.asked("database-1")[-1]


def test_killing_a_dead_host_s_database_is_an_error_and_nothing_else(ssh: FakeSsh) -> None:
    with pytest.raises(LoginError), killed(HOSTS, "database-1"):
        pytest.fail("nothing was killed")


def test_quorum_members_come_back_one_and_all(ssh: FakeSsh) -> None:
    ssh.answer("*", "etcd")
    with without_quorum(HOSTS, ["database-2", "gui"]):
        assert all("systemctl stop etcd" in ssh.asked(host)[-1] for host in ("database-2", "gui"))
    assert all("systemctl start etcd" in ssh.asked(host)[-1] for host in ("database-2", "gui"))


def test_the_local_cloud_is_broken_by_its_fault_panel(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def begin(fault: Any, seconds: float | None) -> faults.Fault:
        asked.append((fault, seconds))
        return faults.Fault(1, "", "")

    monkeypatch.setattr(faults, "_begin", begin)
    local = breaker(HOSTS, is_local=True)
    assert isinstance(local, LocalBreaker)
    local.power("database-1")
    local.split("database-1", "gui")
    assert asked[0] == ({"type": "power", "server": "full-test-database-1"}, 600)
    assert {asked[1][0]["source"], asked[1][0]["destination"]} == {"full-test-database-1", "full-test-gui"}


def test_a_real_cloud_is_not_touched_without_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HCLOUD_TOKEN", raising=False)
    with pytest.raises(BreakingError, match="HCLOUD_TOKEN"):
        breaker(HOSTS, is_local=False)
