"""The classic pair of `bench takeover`: what its hosts are given, and how figures are put side by side."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from scripts.benchmarks import say
from scripts.benchmarks.classic import FILES, Classic
from scripts.benchmarks.takeover import CLASSIC, OURS, Outcome, _plain, _show
from scripts.drills.scenes import Scene
from tests.unit.fake_ssh import FakeSsh
from tests.unit.scripts.staged_pair import PAIR

NO_BREAKER: Any = None


@pytest.fixture
def peer(ssh: FakeSsh, tmp_path: Path) -> Classic:
    (tmp_path / "heartbeat.deb").write_bytes(b"deb")
    for number, member in ((1, "database-1"), (2, "database-2")):
        ssh.answer(member, "uname", f"full-test-{member}\n")
        ssh.answer(member, "mover.json", {"listen": f"10.0.0.2{number}"})
        ssh.answer(member, "route get", "10.0.0.22 via 10.0.0.1 dev eth1 src 10.0.0.21\n")
    return Classic(Scene(PAIR, NO_BREAKER, "database-1", "database-2", "gui"), tmp_path, "k" * 32)


def given(peer: Classic, member: str) -> dict[str, str]:
    return {path: content.decode() for path, content in peer._files(member)}


def test_both_hosts_are_told_of_each_other(peer: Classic) -> None:
    one, other = given(peer, "database-1"), given(peer, "database-2")
    assert "ucast eth1 10.0.0.22" in one["etc/ha.d/ha.cf"]
    assert "ucast eth1 10.0.0.21" in other["etc/ha.d/ha.cf"]
    for name in ("etc/ha.d/haresources", "etc/ha.d/authkeys", "etc/ha.d/resource.d/m2address"):
        assert one[name] == other[name]
    assert one["etc/ha.d/haresources"] == "full-test-database-1 m2address\n"


def test_it_is_configured_as_the_comparison_says(peer: Classic) -> None:
    files = given(peer, "database-1")
    settings = dict(line.split(maxsplit=1) for line in files["etc/ha.d/ha.cf"].splitlines() if line[:1] != "#")
    assert settings["deadtime"] == "10"
    assert settings["auto_failback"] == "on"
    assert "rpl_semi_sync_master_timeout = 10000" in files["etc/m2/classic.cnf"]
    assert "rpl_semi_sync_master_wait_point = AFTER_COMMIT" in files["etc/m2/classic.cnf"]


def test_no_value_is_left_out(peer: Classic) -> None:
    for path, content in given(peer, "database-1").items():
        if not path.endswith("install"):
            assert not re.search(r"\$(main|backup|device|peer_ip|address|key)", content), path
    script = given(peer, "database-1")["etc/ha.d/resource.d/m2address"]
    assert "case $1 in" in script
    assert "10.0.128.1/32" in script


def test_everything_that_is_needed_is_sent(peer: Classic) -> None:
    names = set(given(peer, "database-1"))
    assert {"var/tmp/m2-heartbeat/heartbeat.deb", "var/tmp/m2-heartbeat/install", "etc/ha.d/claim"} <= names
    assert (FILES / "begin.sql").exists() and (FILES / "follow.sql").exists()


def test_the_figures_stand_side_by_side() -> None:
    measured = {
        OURS: {"power": [Outcome(11.0, 0, 0.0), Outcome(13.0, 0, 0.0), Outcome(12.0, 0, 0.0)]},
        CLASSIC: {"power": [Outcome(24.0, 3, 1.5), Outcome(24.0, 4, 0.5)]},
    }
    with say.capture() as shown:
        _show(measured, [0.5, 0.7])
    text = shown.get()
    assert re.search(r"loses its power\s+│?\s*12\.00\s+│?\s*24\.00\s+│?\s*2\.00", text), text
    assert re.search(r"0\.00\s+│?\s*7\.00", text), text
    assert "0.60 s" in text
    assert _plain(measured)[CLASSIC]["power"][0] == {"silence": 24.0, "lost": 3, "both": 1.5, "why": ""}
