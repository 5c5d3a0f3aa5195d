"""Calls are found by what was asked and nothing else, page by page, with no word of a person in a statement."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest
from gui import calls
from gui.search import Outcome, Search
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.roles.gui.staged_database import StagedPair, StagedSession, later

HOSTILE = "x' OR '1'='1' --%s {} \\"


def session(pair: StagedPair) -> StagedSession:
    return StagedSession(pair, "database-2")


def ids(pair: StagedPair, search: Search) -> list[int]:
    return [row["id"] for row in calls.find(session(pair), search).calls]


def all_pages(pair: StagedPair, search: Search) -> list[list[int]]:
    """Every page, each by the end of the one before."""
    pages: list[list[int]] = []
    wanted: Search | None = search
    while wanted:
        page = calls.find(session(pair), wanted)
        pages.append([row["id"] for row in page.calls])
        wanted = replace(wanted, before=page.after) if page.after else None
    return pages


def test_newest_first() -> None:
    pair = StagedPair()
    for seconds in (20, 0, 10):
        pair.add_call(began=later(seconds))
    assert ids(pair, Search()) == [1, 3, 2]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        (Search(number="493"), [3, 1]),
        (Search(number="4930111"), [1]),
        (Search(number="30111"), []),
        (Search(carrier="gamma"), [4, 3]),
        (Search(call_id="other"), [2]),
        (Search(call_id="othe"), []),
        (Search(outcome="answered"), [4, 3, 1]),
        (Search(outcome="failed"), [2]),
        (Search(since=later(1), until=later(3)), [3, 2]),
        (Search(number="493", carrier="gamma", outcome="answered", since=later(1)), [3]),
        (Search(number="493", carrier="beta", outcome="failed"), []),
        (Search(call_id="other", outcome="answered"), []),
    ],
)
def test_each_condition(search: Search, found: list[int]) -> None:
    pair = StagedPair()
    pair.add_call(caller="4930111", callee="44200")
    pair.add_call(caller="1", callee="2", began=later(1), answered=None, call_id=b"other")
    pair.add_call(caller="1", callee="4932222", began=later(2), carrier_in="gamma")
    pair.add_call(caller="1", callee="2", began=later(3), carrier_out="gamma")
    assert ids(pair, search) == found


@pytest.mark.parametrize("number", ["49%", "49_", "\\", "%"])
def test_signs_of_patterns_stand_for_themselves(number: str) -> None:
    pair = StagedPair()
    pair.add_call(caller="4930111", callee="1")
    pair.add_call(caller=f"{number}1", callee="1", began=later(1))
    assert ids(pair, Search(number=number)) == [2]


@pytest.mark.parametrize(
    "search", [Search(number=HOSTILE), Search(carrier=HOSTILE), Search(call_id=HOSTILE), Search(outcome="failed")]
)
@pytest.mark.parametrize("rare", [0, 1000])
def test_nothing_that_a_person_wrote_is_in_a_statement(
    search: Search, rare: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "RARE", rare)
    pair = StagedPair()
    pair.add_call(caller=HOSTILE)
    calls.find(session(pair), search)
    assert pair.statements
    assert not [sql for _, sql, _ in pair.statements if "OR '1'" in sql or "--" in sql]


def test_a_frequent_beginning_is_looked_for_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "RARE", 2)
    pair = StagedPair()
    for seconds in range(3):
        pair.add_call(caller="4930", began=later(seconds))
    assert ids(pair, Search(number="49")) == [3, 2, 1]
    assert "FORCE INDEX (by_time)" in pair.statements[-1][1]


def test_a_rare_beginning_is_looked_up() -> None:
    pair = StagedPair()
    pair.add_call(caller="4930")
    assert ids(pair, Search(number="49")) == [1]
    assert "by_time" not in pair.statements[-1][1]


def test_a_search_that_runs_out_of_time_says_how_far_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "SPAN", 2)
    pair = StagedPair()
    for seconds in range(6):
        pair.add_call(began=later(seconds), carrier_in="rare" if seconds == 0 else "alpha")
    ticks = iter((0.0, 1.0, 9.0))
    first = calls.find(session(pair), Search(carrier="rare"), clock=lambda: next(ticks))
    assert (first.calls, first.searched_to) == ((), later(2))
    second = calls.find(session(pair), Search(carrier="rare", before=first.after))
    assert [row["id"] for row in second.calls] == [1]
    assert second.searched_to is None


@pytest.mark.parametrize("span", [1, 3, 1000])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    moments=st.lists(st.integers(min_value=0, max_value=4), max_size=12),
    outcome=st.sampled_from([None, "answered"]),
    limit=st.integers(min_value=1, max_value=4),
)
def test_pages_together_are_everything_once(
    span: int, moments: list[int], outcome: Outcome | None, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when many calls began in the same millisecond."""
    monkeypatch.setattr(calls, "SPAN", span)
    pair = StagedPair()
    for number, seconds in enumerate(moments):
        pair.add_call(began=later(seconds), answered=later(seconds) if number % 2 else None)
    pages = all_pages(pair, Search(outcome=outcome, limit=limit))
    wanted = sorted(((s, n + 1) for n, s in enumerate(moments) if outcome is None or n % 2), reverse=True)
    assert [number for page in pages for number in page] == [number for _, number in wanted]
    assert all(len(page) == limit for page in pages[:-1])


def test_one_call() -> None:
    pair = StagedPair()
    pair.add_call(call_id=b"one")
    found = calls.one(session(pair), 1)
    assert found is not None
    assert (found["call_id"], found["began"]) == ("one", datetime(2026, 1, 31, 18, 30))
    assert calls.one(session(pair), 2) is None
