"""What an agent remembers over its own restart, and what only of one reign."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from failover.facts import Leaving, State
from failover.memory import Memory
from failover.record import Mode, Record, View

RECORD = Record("cluster", 3, "database-1", Mode.SYNC, takeovers=(1.0, 2.0))


def view(record: Record | None, revision: int = 7) -> View:
    return View(record, revision, "alive", 8)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    memory = Memory(State(fit="mariadbd", bid_at=5.0, leaving=Leaving(1.0, "as asked", 2.0)), view(RECORD), 10.0)
    memory.lease_from, memory.promised_until, memory.doubt, memory.gate = 9.5, 20.0, "write", "drop"
    memory.save(tmp_path / "memory.json")
    assert Memory.load(tmp_path / "memory.json") == memory


def test_a_host_that_booted_remembers_nothing(tmp_path: Path) -> None:
    assert Memory.load(tmp_path / "memory.json") == Memory()


def test_joining_begins_anew(tmp_path: Path) -> None:
    Memory(State(waiting_from=(1.0, "0-1-1"), joined=("mariadbd", 1.0))).save(tmp_path / "memory.json")
    assert Memory.load(tmp_path / "memory.json").state == State()


def test_a_lease_ends_with_the_reign_that_it_was_for() -> None:
    memory = Memory(view=view(RECORD), lease_from=5.0, promise_from=6.0)
    memory.learn(view(replace(RECORD, mode=Mode.SINGLE), 9), 10.0)
    assert (memory.lease_from, memory.promise_from) == (5.0, 6.0)
    memory.learn(view(replace(RECORD, epoch=4), 11), 11.0)
    assert (memory.lease_from, memory.promise_from) == (None, None)


def test_a_read_ends_the_doubt_of_a_change_that_was_answered_and_of_no_other() -> None:
    memory = Memory(doubt="read")
    memory.learn(view(RECORD), 1.0)
    assert memory.doubt == ""
    memory.doubt = "write"
    memory.learn(view(RECORD), 2.0)
    assert memory.doubt == "write"
