"""What counts as lost, as two members at once, and as one change of the acknowledging member."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scripts.drills.clients import Ack
from scripts.drills.verdict import Verdict, both_seconds, changes, longest_silence, lost, stretches

MAIN, BACKUP = 21, 22


def acks(server: int, *moments: float, writer: str = "run/core-1") -> list[Ack]:
    """One acknowledged insert at each moment, its number the moment in hundredths."""
    return [Ack(writer, round(moment * 100), moment - 0.01, moment, server) for moment in moments]


def every(begin: float, end: float, step: float = 0.05) -> list[float]:
    return [begin + n * step for n in range(round((end - begin) / step) + 1)]


def test_a_write_is_lost_when_one_member_has_not_got_it() -> None:
    told = acks(MAIN, 1.0, 2.0)
    whole = {(ack.writer, ack.id) for ack in told}
    missing = lost(told, {"database-1": whole, "database-2": whole - {("run/core-1", 200)}})
    assert missing == {"database-1": [], "database-2": ["run/core-1 200"]}
    verdict = Verdict(2, missing)
    assert verdict.lost_count == 1
    assert "database-2 lacks 1 of 2 acknowledged writes, such as run/core-1 200" in verdict.failures


def test_a_write_that_both_lack_is_lost_once() -> None:
    assert Verdict(1, {"a": ["x 1"], "b": ["x 1"]}).lost_count == 1


def test_rows_that_nobody_was_told_of_are_no_loss() -> None:
    assert lost([], {"database-1": {("run/core-1", 7)}}) == {"database-1": []}


def test_a_takeover_and_a_return_are_three_stretches_and_never_two_members_at_once() -> None:
    told = acks(MAIN, *every(0, 5)) + acks(BACKUP, *every(17, 30)) + acks(MAIN, *every(30.2, 35))
    assert [stretch.server for stretch in stretches(told)] == [MAIN, BACKUP, MAIN]
    assert both_seconds(told) == 0
    assert changes(told) == 2
    assert Verdict(len(told), changes=2, epochs=2).failures == []


def test_a_main_that_wakes_up_and_acknowledges_beside_the_backup_is_seen() -> None:
    told = acks(MAIN, *every(0, 5)) + acks(BACKUP, *every(17, 40)) + acks(MAIN, *every(30, 33), writer="run/database-1")
    assert 2.9 < both_seconds(told) < 3.1
    assert changes(told) > 2
    assert any("acknowledged at once" in failure for failure in Verdict(1, both_seconds=3.0).failures)


def test_more_changes_than_epochs_are_told_even_if_nobody_overlapped() -> None:
    told = acks(MAIN, 1.0) + acks(BACKUP, 5.0) + acks(MAIN, 9.0)
    assert both_seconds(told) == 0
    assert Verdict(3, changes=changes(told), epochs=1).failures != []
    assert Verdict(3, changes=changes(told), epochs=None).failures == []


def test_different_tables_are_a_failure() -> None:
    assert Verdict(1, differ=("m2.calls",)).failures == ["the members' tables differ: m2.calls"]


def test_the_longest_silence_includes_both_ends() -> None:
    told = acks(MAIN, 1.0, 1.1, 4.0)
    assert longest_silence(told, 0.0, 5.0) == 2.9
    assert longest_silence(told, 0.0, 10.0) == 6.0
    assert longest_silence([], 2.0, 5.0) == 3.0


@given(st.lists(st.tuples(st.floats(0, 100), st.sampled_from([MAIN, BACKUP])), min_size=1))
def test_no_order_of_journals_changes_a_verdict(moments: list[tuple[float, int]]) -> None:
    told = [Ack("w", n, at, at, server) for n, (at, server) in enumerate(moments)]
    assert both_seconds(told) == both_seconds(told[::-1]) >= 0
    assert len({ack.server for ack in told}) <= len(stretches(told))
    assert sum(stretch.end - stretch.begin for stretch in stretches(told)) <= 200
