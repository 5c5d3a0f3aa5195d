"""Which database is read, and what a person is told about the two."""

from __future__ import annotations

from datetime import datetime

import pytest
from gui.banners import banners
from gui.config import Config
from gui.members import Observation, Replication, State, View, observe
from gui.status import Core, Hour, Today, cores, is_silent

from tests.unit.roles.gui.staged_database import CORE, StagedPair, StagedSession

RUNS = Replication("Yes", "Yes", "10.0.0.21", "")
BEAT = datetime(2026, 1, 31, 19)
HOLDER = State(read_only=False, writer="database-1", beat=BEAT, delay=0.4, replication=None)
FOLLOWER = State(read_only=True, writer="database-1", beat=BEAT, delay=0.4, replication=RUNS)


def view(config: Config, main: State | str, backup: State | str) -> View:
    """A text is why a member says nothing."""

    def seen(name: str, said: State | str) -> Observation:
        member = getattr(config, name)
        return Observation(member, None, said) if isinstance(said, str) else Observation(member, said)

    return View(seen("main", main), seen("backup", backup))


def follower(**changes: object) -> State:
    return State(**{**vars(FOLLOWER), **changes})


def core(**changes: object) -> Core:
    usual = {"server_id": 51, "name": "core-1", "age": 2.0, "calls": 7, "cps": 1.5, "load": 0.5, "journal": 0}
    return Core(**{**usual, "media": "kernel", **changes})  # type: ignore[arg-type]


def told(seen: View, *found: Core) -> list[tuple[str, str]]:
    return [(banner.level, banner.text) for banner in banners(seen, found)]


@pytest.mark.parametrize(
    ("main", "backup", "read"),
    [
        (HOLDER, FOLLOWER, "database-2"),
        (FOLLOWER, HOLDER, "database-1"),
        (FOLLOWER, FOLLOWER, "database-2"),
        (HOLDER, HOLDER, "database-2"),
        (HOLDER, "refused", "database-1"),
        (FOLLOWER, "refused", "database-1"),
        ("refused", HOLDER, "database-2"),
        ("refused", FOLLOWER, "database-2"),
        ("refused", "refused", None),
    ],
)
def test_the_member_that_does_not_hold_is_read(
    config: Config, main: State | str, backup: State | str, read: str | None
) -> None:
    reading = view(config, main, backup).reading
    assert (reading.member.name if reading else None) == read


def test_when_all_is_well_there_is_nothing_to_tell(config: Config) -> None:
    assert told(view(config, HOLDER, FOLLOWER), core()) == []


def test_a_member_that_does_not_answer_is_named_with_the_reason(config: Config) -> None:
    assert told(view(config, "connection refused", HOLDER))[0] == (
        "alarm",
        "database-1 (the main) does not answer: connection refused.",
    )


@pytest.mark.parametrize(
    ("main", "backup", "said"),
    [
        (HOLDER, "refused", "database-1 (the main), which accepts the writes, because nobody else answers."),
        ("refused", HOLDER, "database-2 (the backup), which accepts the writes, because nobody else answers."),
        (FOLLOWER, HOLDER, "database-1 (the main), because database-2 accepts the writes."),
        (FOLLOWER, "refused", "database-1 (the main), because database-2 does not answer."),
    ],
)
def test_reading_elsewhere_is_said(config: Config, main: State | str, backup: State | str, said: str) -> None:
    assert ("warning", f"This page reads {said}") in told(view(config, main, backup))


def test_a_takeover_is_said(config: Config) -> None:
    assert told(view(config, FOLLOWER, HOLDER))[0] == (
        "warning",
        "database-2 (the backup) has taken over and accepts the writes.",
    )


def test_nobody_answers(config: Config) -> None:
    levels = {level for level, _ in told(view(config, "refused", "refused"))}
    assert levels == {"alarm"}
    assert "Neither database answers" in told(view(config, "refused", "refused"))[0][1]


def test_two_writers_are_an_alarm(config: Config) -> None:
    assert "Both databases accept writes (database-1 and database-2)" in told(view(config, HOLDER, HOLDER))[0][1]


def test_no_writer_is_an_alarm(config: Config) -> None:
    assert any("No database accepts writes" in text for _, text in told(view(config, FOLLOWER, FOLLOWER)))


@pytest.mark.parametrize(("delay", "late"), [(5.0, False), (5.001, True), (-0.2, False)])
def test_a_late_copy_is_said(config: Config, delay: float, late: bool) -> None:
    found = told(view(config, HOLDER, follower(delay=delay)))
    assert [text for _, text in found] == (
        ["database-2 (the backup) is 5.001 s late: newer calls are not shown yet."] if late else []
    )


def test_the_age_of_the_heartbeat_on_the_holder_itself_is_no_delay(config: Config) -> None:
    assert told(view(config, State(**{**vars(HOLDER), "delay": 60.0}), FOLLOWER)) == []


def test_stopped_replication_is_an_alarm_with_its_error(config: Config) -> None:
    stopped = follower(replication=Replication("No", "Yes", "10.0.0.21", "Fatal error 1236"))
    assert told(view(config, HOLDER, stopped)) == [
        (
            "alarm",
            "Replication to database-2 (the backup) has stopped (IO thread: No, SQL thread: Yes): Fatal error 1236.",
        )
    ]


def test_a_follower_of_nobody_is_an_alarm(config: Config) -> None:
    assert told(view(config, HOLDER, follower(replication=None)))[0][0] == "alarm"


@pytest.mark.parametrize(
    ("age", "delay", "silent"), [(15.0, 0.4, False), (15.5, 0.4, True), (70.0, 60.0, False), (13.0, -3.0, False)]
)
def test_a_core_is_silent_only_while_the_database_is_written(age: float, delay: float, silent: bool) -> None:
    assert is_silent(core(age=age), delay) is silent


def test_cores_are_named(config: Config) -> None:
    found = told(view(config, HOLDER, FOLLOWER), core(age=130.0), core(name="core-2", media="userspace"))
    assert found == [
        ("alarm", "core-1 has been silent for 2 min."),
        ("warning", "core-2 relays media in user space: its kernel module is missing."),
    ]


def test_media_in_a_container_is_as_it_should_be(config: Config) -> None:
    assert told(view(config, HOLDER, FOLLOWER), core(media="container")) == []


def test_alarms_come_first(config: Config) -> None:
    found = told(view(config, HOLDER, "refused"), core(media="userspace"), core(age=99.0))
    assert [level for level, _ in found] == sorted(level for level, _ in found)


def test_a_member_is_observed() -> None:
    pair = StagedPair()
    assert observe(StagedSession(pair, "database-2")) == FOLLOWER
    assert observe(StagedSession(pair, "database-1")) == HOLDER


def test_a_member_without_a_heartbeat_is_observed() -> None:
    pair = StagedPair()
    pair.members["database-1"].beats = []
    assert observe(StagedSession(pair, "database-1")) == State(False, None, None, None, None)


def test_a_core_that_was_removed_is_forgotten_after_a_week() -> None:
    pair = StagedPair()
    pair.cores = [{**CORE, "age": 7 * 86400.0 - 1}, {**CORE, "server_id": 52, "age": 7 * 86400.0}]
    assert [found.server_id for found in cores(StagedSession(pair, "database-2"))] == [51]


def test_the_last_writer_is_that_of_the_newest_beat(config: Config) -> None:
    newer = State(False, "database-2", datetime(2026, 1, 31, 20), 0.1, None)
    assert view(config, FOLLOWER, newer).last_writer == "database-2"


def test_figures_of_a_day() -> None:
    day = Today(BEAT, (Hour(18, 10, 4, 480.0), Hour(19, 10, 6, 120.0)))
    assert (day.attempts, day.answered, day.asr, day.acd) == (20, 10, 50.0, 60.0)


def test_a_day_without_calls_has_no_ratios() -> None:
    assert (Today(BEAT, ()).asr, Today(BEAT, (Hour(1, 3, 0, 0.0),)).acd) == (None, None)


def alone(config: Config, said: State | str) -> View:
    return View(view(config, said, FOLLOWER).main)


def test_a_single_database_is_read_although_it_writes_and_nothing_is_wrong_with_that(config: Config) -> None:
    seen = alone(config, HOLDER)
    assert seen.reading is seen.main
    assert told(seen, core()) == []


def test_a_single_database_that_does_not_answer_is_an_alarm(config: Config) -> None:
    assert ("alarm", "The database does not answer: this page can show no calls and no cores.") in told(
        alone(config, "connection refused")
    )
