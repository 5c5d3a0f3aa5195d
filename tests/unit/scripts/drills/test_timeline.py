"""What the clients saw, and what the hosts said about it."""

from __future__ import annotations

import json

from scripts.drills.timeline import Entry, journals, labelled, service
from tests.unit.fake_ssh import FakeSsh
from tests.unit.scripts.drills.test_verdict import BACKUP, MAIN, acks, every
from tests.unit.scripts.staged_pair import HOSTS


def test_the_first_write_after_the_outage_counts_and_not_the_last_one_before() -> None:
    told = acks(MAIN, *every(0, 10.02)) + acks(BACKUP, *every(21.5, 30))
    seen = service(told, 10.0, 30.0)
    assert (round(seen.silence, 1), seen.first_server) == (11.5, BACKUP)
    assert seen.first_write is not None
    assert round(seen.first_write, 1) == 11.5


def test_a_fault_that_clients_do_not_notice_has_no_first_write() -> None:
    seen = service(acks(MAIN, *every(0, 30)), 10.0, 30.0)
    assert seen.first_write is None
    assert seen.silence < 0.1


def test_service_that_never_came_back_is_silent_to_the_end() -> None:
    seen = service(acks(MAIN, *every(0, 10)), 10.0, 40.0)
    assert seen.first_write is None
    assert seen.silence > 29


def test_both_hosts_journals_are_read_from_the_fault_on_and_a_dead_host_says_nothing(ssh: FakeSsh) -> None:
    lines = [
        {"__REALTIME_TIMESTAMP": "99500000", "MESSAGE": "before"},
        {"__REALTIME_TIMESTAMP": "101250000", "MESSAGE": "opening in epoch 4"},
        {"__REALTIME_TIMESTAMP": "100500000", "MESSAGE": [1, 2]},
    ]
    ssh.answer("database-2", "journalctl", "\n".join(map(json.dumps, lines)))
    assert journals(HOSTS, ("database-1", "database-2"), 100.0) == [Entry(101.25, "database-2", "opening in epoch 4")]
    assert "--since @99" in ssh.asked("database-2")[0]


def test_what_matters_is_labelled() -> None:
    said = [
        "no sign of database-1 for 10.2 s: bidding",
        "opening in epoch 4",
        "database moved from database-1 to database-2",
        "following database-1, able to take over",
    ]
    shown = [entry.what for entry in labelled([Entry(1.0, "database-2", what) for what in said])]
    assert [what.partition(":")[0] for what in shown[:3]] == ["detected", "promoted", "address moved"]
    assert shown[3] == said[3]
