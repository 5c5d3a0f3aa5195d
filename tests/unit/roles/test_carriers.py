"""Who may make calls: carriers of the stack file and of the database, remembered on disk."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pymysql
import pytest

from roles.balancer.files.usr.local.lib.m2 import carriers
from roles.balancer.files.usr.local.lib.m2.carriers import Carrier, accepted, address_list, kernel_set
from tests.unit.stacks.example import bundles

ALPHA = Carrier("alpha", ("192.0.2.10/32", "192.0.2.64/26"), 50)
GAMMA = Carrier("gamma", ("203.0.113.0/24", "sip.gamma.example"))
CONFIG: dict[str, Any] = {
    "carriers": [{"name": "alpha", "identities": ["192.0.2.10/32"], "cps": 0}],
    "cores": "10.0.64.0/18",
    "pair": ["10.0.0.11", "10.0.0.12"],
    "database": {"host": "10.0.128.1"},
}


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(carriers, "STATE", tmp_path)
    return tmp_path


def test_each_identity_is_a_line_with_the_carriers_name_and_limit() -> None:
    assert address_list(CONFIG, [ALPHA, GAMMA]).splitlines() == [
        "2 10.0.64.0 18 0 core",
        "3 10.0.0.11 32 0 pair",
        "3 10.0.0.12 32 0 pair",
        "1 192.0.2.10 32 0 alpha/50",
        "1 192.0.2.64 26 0 alpha/50",
        "1 203.0.113.0 24 0 gamma/0",
        "4 sip.gamma.example 32 0 gamma/0",
    ]


def test_the_kernel_knows_networks_without_overlaps_and_no_names() -> None:
    rules = kernel_set([ALPHA, GAMMA, Carrier("beta", ("192.0.2.70/32",))])
    assert rules == (
        "flush set inet m2_flood carriers\n"
        "add element inet m2_flood carriers { 192.0.2.10/32, 192.0.2.64/26, 203.0.113.0/24 }\n"
    )
    assert kernel_set([]) == "flush set inet m2_flood carriers\n\n"


@pytest.mark.parametrize(
    "row",
    [
        ("gamma", "0.0.0.0/0", 0),
        ("gamma", "192.0.0.0/15", 0),
        ("gamma", "192.0.2.10/24", 0),
        ("gamma", "localhost", 0),
        ("gamma", "core-1", 0),
        ("gamma", "192.0.2.10/32 0 x\n1 0.0.0.0 0", 0),
        ("Gamma", "192.0.2.10/32", 0),
        ("ga mma", "192.0.2.10/32", 0),
        ("gamma'", "192.0.2.10/32", 0),
        ("gamma\r\nX-ORIG-IP: 1.2.3.4", "192.0.2.10/32", 0),
        ("gamma", "192.0.2.10/32", -1),
    ],
)
def test_a_row_of_the_database_that_is_wrong_makes_nobody_a_carrier(
    row: tuple[str, str, int], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        assert accepted([row, ("delta", "198.51.100.7", 3)]) == [Carrier("delta", ("198.51.100.7",), 3)]
    assert repr(row[1]) in caplog.text


def follow(monkeypatch: pytest.MonkeyPatch, *answers: list[Carrier] | pymysql.MySQLError) -> list[str]:
    """The names in Kamailio's list after each look at the database, and before the first."""
    waiting = list(answers)

    def ask(_: object) -> list[Carrier]:
        answer = waiting.pop(0)
        if isinstance(answer, pymysql.MySQLError):
            raise answer
        return answer

    monkeypatch.setattr(carriers, "in_database", ask)
    monkeypatch.setattr(carriers, "reload", lambda _: None)
    following = carriers.follow(CONFIG)
    names = []
    for _ in range(len(answers) + 1):
        next(following)
        lines = (carriers.STATE / "address.list").read_text().splitlines()
        names.append(",".join(sorted({line.split()[4].partition("/")[0] for line in lines if line[0] in "14"})))
    return names


def test_the_databases_carriers_come_go_and_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    away = pymysql.OperationalError(2003, "no route to host")
    assert follow(monkeypatch, [GAMMA], away, []) == ["alpha", "alpha,gamma", "alpha,gamma", "alpha"]


def test_after_a_restart_without_the_database_its_carriers_are_no_strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    away = pymysql.OperationalError(2003, "no route to host")
    follow(monkeypatch, [GAMMA])
    assert follow(monkeypatch, away) == ["alpha,gamma", "alpha,gamma"]


def test_only_a_change_is_told_to_kamailio(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    monkeypatch.setattr(carriers, "in_database", lambda _: [GAMMA])
    monkeypatch.setattr(carriers, "reload", lambda known: told.append(len(known)))
    following = carriers.follow(CONFIG)
    for _ in range(4):
        next(following)
    assert told == [1, 2]


def test_kamailio_gets_a_list_before_it_starts_and_no_database_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    written = tmp_path / "carriers.json"
    written.write_text(json.dumps(CONFIG))
    monkeypatch.setattr(carriers, "CONFIG", written)
    assert carriers.main(["--once"]) == 0
    assert "1 192.0.2.10 32 0 alpha/0" in (tmp_path / "address.list").read_text()


def test_the_program_reads_what_the_template_writes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gamma = {"name": "gamma", "certificate": "sip.gamma.example", "cps": 7}
    for database in (False, True):
        made = bundles(
            carriers=[{"name": "alpha", "addresses": ["192.0.2.10/32"]}, gamma], carriers_in_database=database
        )
        content = next(f.content for f in made["balancer-1"].files if f.path == "/etc/m2/carriers.json")
        config = json.loads(content)
        lines = address_list(config, carriers.in_stack_file(config)).splitlines()
        assert lines[3:] == ["1 192.0.2.10 32 0 alpha/0", "4 sip.gamma.example 32 0 gamma/7"]
        assert (config["database"] is not None) is database
