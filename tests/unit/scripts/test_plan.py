"""The smallest stack that carries a traffic, as it is told to a person and to a program."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import date

import pytest
import typer
from typer.testing import CliRunner

from costs import sources
from scripts import plan
from scripts.plan import PlanError, propose
from stacks.sizing import Demand


@pytest.mark.parametrize(
    ("calls", "cps", "redundant", "topology"),
    [
        (300, 20, True, "two-server-ha"),
        (300, 20, False, "one-server"),
        (501, 20, True, "four-server-ha"),
        (2500, 400, False, "three-server"),
        (2500, 400, True, "full"),
        (8000, 700, True, "full"),
    ],
)
def test_the_smallest_topology_that_carries_it_is_proposed(
    calls: int, cps: int, redundant: bool, topology: str
) -> None:
    assert propose(Demand(calls, cps), "fsn1", redundant).topology == topology


def test_what_nothing_carries_is_refused_with_the_reason() -> None:
    with pytest.raises(PlanError, match=r"server_types.database: ccx63 has 48 vCPUs"):
        propose(Demand(100_000, 9_000), "fsn1", True)


def ask(*words: str) -> str:
    app = typer.Typer()
    app.command()(plan.main)
    done = CliRunner().invoke(app, words)
    if done.exception:
        raise done.exception
    return done.stdout


def test_a_person_is_told_servers_media_records_and_how_to_go_on() -> None:
    told = ask("--cc", "8000", "--cps", "700")
    for part in (
        "topology full in fsn1",
        "1,395 Mbit/s",
        "core      6",
        " a month net, by the prices of ",
        "scripts/new_stack full fsn1 --cc 8000 --cps 700",
    ):
        assert part in told


def test_a_program_is_told_the_same() -> None:
    told = json.loads(ask("--cc", "8000", "--cps", "700", "--json"))
    assert told["hosts"] == {"balancer": 2, "database": 2, "gui": 1, "core": told["size"]["cores"]}


@pytest.mark.parametrize("words", [("--codec", "g999"), ("--region", "mars")])
def test_what_there_is_not_is_named_with_what_there_is(words: tuple[str, str]) -> None:
    with pytest.raises(PlanError, match=rf"^{words[0]}: {words[1]}; allowed: "):
        ask("--cc", "10", "--cps", "1", *words)


def test_what_has_no_known_price_is_said_aloud(monkeypatch: pytest.MonkeyPatch) -> None:
    known, _ = sources.load(sources.hetzner_provider(), date(2026, 11, 22), sources.default_cache())
    dear = replace(known, net={key: price for key, price in known.net.items() if "ccx23" not in str(key)})
    monkeypatch.setattr(sources, "load", lambda *_: (dear, ""))
    told = ask("--cc", "300", "--cps", "20")
    assert re.search(r"a month net WITHOUT [1-9] parts that have no known price in fsn1", told)
