"""Whatever the databases do, the reader answers in time and reads whom it can."""

from __future__ import annotations

import time
from threading import Event

import pytest
from gui import reading
from gui.config import Config
from gui.database import Row, Session, TooSlowError
from gui.overview import DayCount, look
from gui.reading import NothingToReadError, Reader

from tests.unit.roles.gui.staged_database import StagedPair, refused


def who(session: Session) -> list[Row]:
    return session.rows("SELECT @@GLOBAL.read_only AS read_only")


class Clock:
    """Stands still until told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_backup_is_read(reader: Reader) -> None:
    assert reader.read(who) == [{"read_only": 1}]


def test_the_main_is_read_when_the_backup_is_gone(reader: Reader, pair: StagedPair) -> None:
    pair.members["database-2"].fault = refused()
    assert reader.read(who) == [{"read_only": 0}]


def test_a_backup_that_dies_between_look_and_read_costs_nothing(reader: Reader, pair: StagedPair) -> None:
    assert reader.view().reading is not None
    pair.members["database-2"].fault = refused()
    assert reader.read(who) == [{"read_only": 0}]
    assert [seen.problem for seen in reader.view().all][1] == "connection refused"


def test_nobody_answers(reader: Reader, pair: StagedPair) -> None:
    for member in pair.members.values():
        member.fault = refused()
    with pytest.raises(NothingToReadError):
        reader.read(who)


def test_frozen_databases_hold_nobody_up(reader: Reader, pair: StagedPair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "OBSERVE_SECONDS", 0.05)
    for member in pair.members.values():
        member.frozen = Event()
    began = time.monotonic()
    seen = look(reader, DayCount())
    assert time.monotonic() - began < 4
    assert (seen.cores, seen.today) == (None, None)
    assert [one.problem for one in seen.view.all] == [reading.NO_ANSWER] * 2


def test_a_database_that_freezes_while_it_is_read_is_left(
    reader: Reader, pair: StagedPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "GRACE", 0.0)
    assert reader.view().reading is not None
    pair.members["database-2"].frozen = Event()
    assert reader.read(who, 0.05) == [{"read_only": 0}]
    assert [seen.problem for seen in reader.view().all][1] == reading.NO_ANSWER


def test_members_are_asked_once_a_second_and_dead_ones_less_often(config: Config, pair: StagedPair) -> None:
    clock = Clock()
    reader = Reader(config, pair.connect, clock)
    pair.members["database-1"].fault = refused()
    for step in (0.0, 0.9, 0.2, 4.0):
        clock.now += step
        reader.view()
    assert (pair.members["database-1"].asked, pair.members["database-2"].asked) == (2, 3)


def test_a_slow_count_spoils_nothing_else(reader: Reader, pair: StagedPair) -> None:
    pair.slow = TooSlowError()
    seen = look(reader, DayCount())
    assert seen.today is None
    assert [core.name for core in seen.cores or ()] == ["core-1"]
    assert seen.banners == []


def test_a_count_that_took_too_long_is_not_tried_again_at_once(reader: Reader, pair: StagedPair) -> None:
    clock = Clock()
    count = DayCount(clock)
    pair.slow = TooSlowError()
    for step in (0.0, 59.0, 2.0):
        clock.now += step
        look(reader, count)
    assert counts(pair) == 2


def counts(pair: StagedPair) -> int:
    return len([sql for _, sql, _ in pair.statements if "GROUP BY HOUR" in sql])


def test_calls_are_counted_for_all_visitors_together(reader: Reader, pair: StagedPair) -> None:
    clock = Clock()
    count = DayCount(clock)
    for step in (0.0, 9.9, 0.2):
        clock.now += step
        assert look(reader, count).today is not None
    assert counts(pair) == 2
