"""Words of a form become typed values, or one sentence for each mistake."""

from __future__ import annotations

from datetime import datetime

import pytest
from gui.search import Position, Search, SearchError, parse
from hypothesis import given
from hypothesis import strategies as st


def test_nothing_asked_is_the_newest_page() -> None:
    assert parse({}) == parse({"number": " ", "result": "", "from": ""}) == Search()


def test_every_word_is_understood() -> None:
    words = {
        "number": "49301",
        "carrier": "alpha",
        "call_id": "abc@192.0.2.10",
        "result": "failed",
        "from": "2026-01-31T18:00",
        "to": "2026-01-31T19:00",
        "before": "1769884200123-77",
        "limit": "200",
    }
    assert parse(words) == Search(
        number="49301",
        carrier="alpha",
        call_id="abc@192.0.2.10",
        outcome="failed",
        since=datetime(2026, 1, 31, 18),
        until=datetime(2026, 1, 31, 19),
        before=Position(datetime(2026, 1, 31, 18, 30, 0, 123000), 77),
        limit=200,
    )


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("+49 30 / 12-34", "+49301234"), ("(030) 12.34", "0301234"), ("bob.smith", "bob.smith"), ("a b", "a b")],
)
def test_numbers_are_taken_as_people_paste_them(typed: str, meant: str) -> None:
    assert parse({"number": typed}).number == meant


def test_a_time_with_a_zone_becomes_utc() -> None:
    assert parse({"from": "2026-01-31T18:00+02:00"}).since == datetime(2026, 1, 31, 16)


def test_all_mistakes_are_told_at_once() -> None:
    words = {"result": "maybe", "from": "yesterday", "limit": "1001", "before": "7", "colour": "red"}
    with pytest.raises(SearchError) as caught:
        parse(words)
    lines = str(caught.value).splitlines()
    assert sorted(line.split(":")[0] for line in lines) == sorted(words)
    assert all("allowed: " in line for line in lines)


@pytest.mark.parametrize("word", ["number", "carrier", "call_id"])
def test_what_no_record_can_hold_is_refused(word: str) -> None:
    with pytest.raises(SearchError, match=f"^{word}: "):
        parse({word: "9" * 256})


def test_a_range_that_is_empty_is_refused() -> None:
    with pytest.raises(SearchError, match="from: is not before to"):
        parse({"from": "2026-01-31T18:00", "to": "2026-01-31T18:00"})


@given(st.text(max_size=30))
def test_no_position_makes_anything_but_a_sentence(text: str) -> None:
    try:
        parse({"before": text, "from": text, "to": text, "limit": text})
    except SearchError as error:
        assert str(error)


@given(
    st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1)),
    st.integers(min_value=0, max_value=2**63),
)
def test_a_position_survives_an_address(moment: datetime, number: int) -> None:
    position = Position(moment.replace(microsecond=moment.microsecond // 1000 * 1000), number)
    assert Position.parse(str(position)) == position
