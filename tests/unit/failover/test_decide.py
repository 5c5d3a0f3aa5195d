"""The rows of the state table, each as one decision; whole histories are in tests/protocol."""

from __future__ import annotations

from dataclasses import replace

from failover.decide import decide
from failover.facts import Decision, Do, Leaving, Me, Report, Seen, State, Swap, Wish, fence_at
from failover.mariadb import Replica, Status
from failover.record import Mode, Record, View

NOW = 1000.0
MAIN = Me("database-1", "database-2", "10.0.0.22", main=True)
BACKUP = Me("database-2", "database-1", "10.0.0.21", main=False)
SYNC = Record("cluster", 3, "database-1", Mode.SYNC, since=0.0)
SINGLE = replace(SYNC, mode=Mode.SINGLE)
THREADS = Replica(
    io_running=True,
    io_stopped=False,
    sql_running=True,
    error="",
    master_ip="10.0.0.21",
    received_gtid="0-1-9",
    delay=0.0,
)
OPEN = Status(False, True, 1, None, binlog_gtid="0-1-9", applied_gtid="0-1-9", cluster="cluster", epoch=3)
FOLLOWING = Status(
    True, False, 0, THREADS, acknowledging=True, binlog_gtid="0-1-9", applied_gtid="0-1-9", cluster="cluster", epoch=3
)
STOPPED = replace(FOLLOWING, replica=replace(THREADS, io_running=False, io_stopped=True), acknowledging=False)
NEW = State()
FIT = State(fit="mariadbd")
THEIRS = Report("database-2", True, FOLLOWING, fit=True, leaving=False, free_bytes=1 << 40, used_bytes=0, sentence="")


def view(record: Record | None) -> View:
    return View(record, 7 if record else 0, "alive", 8)


def holder(**changes: object) -> Seen:
    usual = Seen(
        view=view(SYNC),
        view_at=NOW,
        changed_at=NOW,
        lease_from=NOW - 1,
        instance="mariadbd",
        database=OPEN,
        answered_at=NOW,
        beat_at=NOW - 0.5,
        peer=THEIRS,
        peer_at=NOW,
        has_address=True,
        routed="database-1",
        prepared=True,
        wall=1_000_000.0,
    )
    return replace(usual, **changes)  # type: ignore[arg-type]


def follower(**changes: object) -> Seen:
    ours = replace(THEIRS, name="database-1", database=OPEN, fit=False)
    usual = holder(database=FOLLOWING, lease_from=None, beat_at=None, has_address=False, peer=ours, peer_at=NOW)
    return replace(usual, **changes)  # type: ignore[arg-type]


def main(seen: Seen, state: State = NEW) -> Decision:
    return decide(MAIN, state, seen, NOW)


def backup(seen: Seen, state: State = FIT) -> Decision:
    return decide(BACKUP, state, seen, NOW)


def swapped(decision: Decision) -> Record | None:
    return next((action.record for action in decision.actions if isinstance(action, Swap)), None)


def test_a_holder_in_sync_renews_and_beats_and_does_nothing_else() -> None:
    assert main(holder()).actions == (Do.RENEW, Do.BEAT)


def test_a_holder_that_could_not_renew_fences_itself() -> None:
    assert main(holder(lease_from=NOW - 7.0)).actions == (Do.FENCE,)
    assert fence_at(MAIN, holder(lease_from=NOW - 7.0)) == NOW
    assert main(holder(lease_from=NOW - 6.9)).actions != (Do.FENCE,)


def test_a_promise_of_the_backup_stands_for_the_quorum() -> None:
    assert Do.FENCE not in main(holder(lease_from=NOW - 30, promise_from=NOW - 1)).actions
    assert Do.ASK_PROMISE in main(holder(lease_from=NOW - 3, promise_from=NOW - 1)).actions


def test_a_holder_alone_needs_no_lease() -> None:
    seen = holder(view=view(SINGLE), lease_from=NOW - 99, database=replace(OPEN, semi_sync_on=False))
    assert Do.FENCE not in main(seen).actions
    assert fence_at(MAIN, seen) is None


def test_a_change_to_sync_without_an_answer_counts_as_sync() -> None:
    assert main(holder(view=view(SINGLE), doubt=True, lease_from=NOW - 7)).actions == (Do.FENCE,)


def test_mariadbd_is_restarted_as_master_only_under_a_lease_of_this_epoch() -> None:
    dead = holder(instance=None, database=None)
    assert main(dead).actions == (Do.START_MASTER,)
    assert main(replace(dead, lease_from=NOW - 5)).actions == (Do.RENEW,)


def test_a_holder_that_fenced_itself_lets_the_other_bid_first() -> None:
    dead = holder(instance=None, database=None)
    assert main(dead, State(fenced_at=NOW - 5)).actions == ()
    assert main(dead, State(fenced_at=NOW - 7)).actions == (Do.START_MASTER,)


def test_a_hung_mariadbd_is_not_renewed_for() -> None:
    assert Do.RENEW not in main(holder(database=None)).actions
    full_disk = main(holder(beat_at=NOW - 4, lease_from=NOW - 4)).actions
    assert Do.RENEW not in full_disk
    assert Do.ASK_PROMISE not in full_disk, "the other one is free to take over"


def test_commits_that_only_wait_for_the_backup_are_no_hang() -> None:
    blocked = replace(OPEN, semi_sync_waiting=1)
    assert Do.RENEW in main(holder(database=blocked, beat_at=NOW - 2)).actions


def test_a_backup_that_does_not_acknowledge_ends_sync_after_three_seconds() -> None:
    blocked = replace(OPEN, semi_sync_waiting=1)
    assert swapped(main(holder(database=blocked, beat_at=NOW - 2.9))) is None
    assert swapped(main(holder(database=blocked, beat_at=NOW - 3.1))) == SINGLE


def test_commits_are_released_only_once_the_record_says_so() -> None:
    blocked = replace(OPEN, semi_sync_waiting=1)
    assert Do.GO_ON_ALONE not in main(holder(database=blocked, beat_at=NOW - 3.1)).actions
    assert Do.GO_ON_ALONE in main(holder(view=view(SINGLE), database=blocked, beat_at=NOW - 3.1)).actions


def test_a_second_semi_sync_client_ends_sync() -> None:
    for strange in (replace(OPEN, semi_sync_clients=2), replace(OPEN, backup_connected=False)):
        decision = main(holder(database=strange))
        assert Do.KICK_STRANGERS in decision.actions
        assert swapped(decision) == SINGLE


def test_sync_begins_when_the_backup_has_everything_and_acknowledges() -> None:
    joining = holder(view=view(SINGLE))
    assert swapped(main(joining, State(waiting_from=(NOW - 1, "0-1-9")))) == SYNC
    assert swapped(main(joining, State(waiting_from=(NOW - 1, "0-1-10")))) is None
    assert swapped(main(joining, State(waiting_from=(NOW - 0.1, "0-1-9")))) is None


def test_the_backup_takes_over_after_ten_seconds_of_silence_and_receives_nothing_before_it_bids() -> None:
    assert backup(follower(changed_at=NOW - 7.4)).actions == ()
    assert backup(follower(changed_at=NOW - 7.5)).actions == (Do.STOP_RECEIVING,)
    assert backup(follower(changed_at=NOW - 9.9, database=STOPPED)).actions == ()
    bid = backup(follower(changed_at=NOW - 10, database=STOPPED)).actions
    expected = replace(SINGLE, epoch=4, holder="database-2", gtid="0-1-9", since=1_000_000.0, takeovers=(1_000_000.0,))
    assert bid == (Swap(expected, alive=True),)


def test_a_backup_whose_mariadbd_was_restarted_does_not_take_over() -> None:
    assert backup(follower(changed_at=NOW - 60), State(fit="another")).actions == ()


def test_a_backup_that_came_back_is_able_to_take_over_once_it_has_what_the_holder_had_then() -> None:
    came_back = backup(follower(), State(fit="another")).state
    assert came_back.fit is None
    later = replace(came_back, joined=("mariadbd", NOW - 1))
    assert backup(follower(peer_at=NOW - 2), later).state.fit is None
    ahead = replace(THEIRS, database=replace(OPEN, binlog_gtid="0-1-10"))
    assert backup(follower(peer=ahead), later).state.fit is None
    assert backup(follower(), later).state.fit == "mariadbd"


def test_a_backup_that_promised_does_not_take_over() -> None:
    assert backup(follower(changed_at=NOW - 60, promised_until=NOW + 1)).actions == ()


def test_a_backup_that_does_not_see_the_quorum_does_not_take_over() -> None:
    assert backup(follower(changed_at=NOW - 60, view_at=NOW - 5)).actions == ()


def test_nobody_takes_over_from_a_holder_that_wrote_alone() -> None:
    assert swapped(backup(follower(view=view(SINGLE), changed_at=NOW - 60, database=STOPPED))) is None


def test_a_takeover_without_an_answer_keeps_the_receiving_thread_stopped() -> None:
    stopped = follower(database=STOPPED, doubt=True)
    assert backup(stopped, replace(FIT, bid_at=NOW - 1)).actions == ()
    assert backup(replace(stopped, doubt=False), replace(FIT, bid_at=NOW - 1)).actions == (Do.START_RECEIVING,)


def test_a_writable_database_that_does_not_hold_is_fenced() -> None:
    assert backup(follower(database=OPEN)).actions == (Do.FENCE,)
    assert main(Seen(database=OPEN, instance="mariadbd")).actions == (Do.FENCE,)


def test_a_new_holder_opens_only_with_everything_that_was_acknowledged() -> None:
    record = replace(SINGLE, epoch=4, holder="database-2", gtid="0-1-9")
    seen = follower(view=view(record), database=STOPPED)
    assert Do.OPEN in backup(seen).actions
    behind = replace(STOPPED, applied_gtid="0-1-8")
    assert Do.OPEN not in backup(replace(seen, database=behind)).actions
    lost = replace(behind, replica=None)
    assert backup(replace(seen, database=lost)).alarm


def test_a_replica_that_diverged_is_filled_again() -> None:
    broken = replace(FOLLOWING, replica=replace(THREADS, error_number=1236, io_running=False, io_stopped=True))
    assert Do.RESEED in backup(follower(database=broken)).actions


def test_a_failback_waits_for_its_hold_down_which_doubles() -> None:
    record = replace(SYNC, holder="database-2", takeovers=(999_700.0,), since=999_700.0)
    assert decide(BACKUP, State(), holder(view=view(record), routed="database-2"), NOW).state.leaving is not None
    early = replace(record, since=999_701.0)
    assert decide(BACKUP, State(), holder(view=view(early), routed="database-2"), NOW).state.leaving is None
    second = replace(record, takeovers=(999_000.0, 999_700.0))
    assert decide(BACKUP, State(), holder(view=view(second), routed="database-2"), NOW).state.leaving is None


def test_a_planned_move_closes_then_hands_over_what_the_other_has_applied() -> None:
    closed = replace(OPEN, read_only=True)
    leaving = State(leaving=Leaving(NOW - 0.2, "as asked", NOW - 0.1))
    decision = main(holder(database=closed, wish=Wish.SWITCHOVER), leaving)
    moved = swapped(decision)
    assert moved is not None
    assert (moved.holder, moved.epoch, moved.mode, moved.gtid) == ("database-2", 4, Mode.SINGLE, "0-1-9")
    behind = replace(THEIRS, database=replace(FOLLOWING, applied_gtid="0-1-8"))
    assert swapped(main(holder(database=closed, peer=behind), leaving)) is None
    assert swapped(main(holder(database=closed, peer_at=NOW - 0.2), leaving)) is None


def test_a_planned_move_that_takes_too_long_is_called_off() -> None:
    closed = replace(OPEN, read_only=True)
    behind = replace(THEIRS, database=replace(FOLLOWING, applied_gtid="0-1-8"))
    slow = State(leaving=Leaving(NOW - 5.1, "as asked", NOW - 5))
    assert Do.OPEN in main(holder(database=closed, peer=behind), slow).actions
    assert Do.OPEN not in main(holder(database=closed, peer=behind, doubt=True), slow).actions


def test_the_first_record_needs_two_databases_without_a_past() -> None:
    new = Seen(
        view=view(None), view_at=NOW, installed=False, peer=replace(THEIRS, installed=False, database=None), peer_at=NOW
    )
    assert swapped(main(new)) == Record("", 1, "database-1", Mode.SINGLE)
    assert swapped(backup(new)) is None
    assert swapped(main(replace(new, peer_at=NOW - 9))) is None
    assert swapped(main(replace(new, installed=True, instance="mariadbd", database=FOLLOWING))) is None
    assert swapped(main(replace(new, peer=THEIRS))) is None


def test_data_that_were_moved_aside_are_filled_again_and_never_begun_anew() -> None:
    gone = follower(instance=None, database=None, installed=False, aside=True)
    assert Do.RESEED in backup(gone).actions
    silent = backup(replace(gone, peer=None))
    assert not {Do.RESEED, Do.START_SLAVE} & set(silent.actions)
    assert silent.alarm
    assert Do.START_SLAVE in backup(replace(gone, aside=False)).actions, "the first start of a new pair"


def test_nobody_takes_over_without_data() -> None:
    dead = follower(instance=None, database=None, installed=False, wish=Wish.TAKEOVER, changed_at=NOW - 60)
    assert backup(dead).actions == (Do.WISH_DONE,)
