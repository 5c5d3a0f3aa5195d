"""The quorum's host command: the lock that hosts restart under, and members that come back without memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from failover import quorum
from failover.etcd import Etcd
from failover.quorum import Config, RefusedError, join, lock, unlock
from tests.unit.failover.fake_etcd import MEMBERS, Store, members
from tests.unit.failover.movers import Certificates

OWN, *OTHERS = MEMBERS
LOCK = "/m2/database/lock"


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def port(store: Store, certificates: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    for name in ("TAKEN_WITH", "ENVIRONMENT"):
        monkeypatch.setattr(quorum, name, tmp_path / "run" / name)
    monkeypatch.setattr(quorum, "DATA", tmp_path / "member")
    monkeypatch.setattr(quorum, "POLL", 0.02)
    monkeypatch.setattr(quorum, "TIMEOUT", 1.0)
    monkeypatch.setattr(quorum, "LOOK_TIMEOUT", 0.3)
    with members(store, certificates) as port:
        yield port


@pytest.fixture
def etcd(port: int, certificates: Certificates) -> Etcd:
    return Etcd(tuple(MEMBERS), certificates.client("database-1"), port=port)


@pytest.fixture
def others(port: int, certificates: Certificates) -> Etcd:
    return Etcd(tuple(OTHERS), certificates.client("database-1"), port=port)


def test_one_owner_at_a_time_and_the_other_is_named(etcd: Etcd, store: Store) -> None:
    assert lock(etcd, "database-1", 600, 0)["ok"]
    assert lock(etcd, "database-1", 600, 0)["ok"], "again, after a run that failed"
    with pytest.raises(RefusedError, match="database-1"):
        lock(etcd, "gui", 600, 0)
    unlock(etcd, "database-1", 0)
    assert lock(etcd, "gui", 600, 0)["ok"]
    assert store.values[LOCK][0] == "gui"


def test_the_lock_is_kept_while_a_member_that_answered_before_is_missing(etcd: Etcd, store: Store) -> None:
    lock(etcd, "database-1", 600, 0)
    store.faults["127.0.0.31"] = "error"
    with pytest.raises(RefusedError, match=r"only these answer: 127\.0\.0\.21, 127\.0\.0\.22"):
        unlock(etcd, "database-1", 0)
    assert store.values[LOCK][0] == "database-1"


def test_a_member_that_was_missing_before_is_not_waited_for(etcd: Etcd, store: Store) -> None:
    store.faults["127.0.0.31"] = "error"
    lock(etcd, "database-1", 600, 0)
    unlock(etcd, "database-1", 0)
    assert LOCK not in store.values


def joined(others: Etcd, rebuilt: bool = False) -> Any:
    answer = join(Config(tuple(MEMBERS), rebuilt), others)
    assert quorum.ENVIRONMENT.read_text() == f"ETCD_INITIAL_CLUSTER_STATE={answer['state']}\n"
    return answer["state"]


def test_a_member_with_its_data_is_left_as_it_is(others: Etcd, store: Store) -> None:
    quorum.DATA.mkdir()
    assert joined(others) == "new", "etcd does not read it then"
    assert store.asked == []


def test_a_member_that_has_lost_its_data_becomes_another_member(others: Etcd, store: Store) -> None:
    assert joined(others) == "existing"
    assert store.members is not None
    mine = [member for member in store.members if member["peerURLs"] == [f"https://{OWN}:2380"]]
    assert [member["ID"] for member in mine] == ["9"]


def test_a_member_that_was_added_and_has_not_started_yet_is_not_added_again(others: Etcd, store: Store) -> None:
    joined(others)
    before = store.members
    assert joined(others) == "existing"
    assert store.members == before


def test_a_member_that_comes_late_to_the_birth_keeps_its_place(others: Etcd, store: Store) -> None:
    """The two that came first list it with its name: it has never voted."""
    mine = next(member for member in store._members() if OWN in member["peerURLs"][0])
    store.members = [*(m for m in store._members() if m != mine), {**mine, "clientURLs": []}]
    before = store.members
    assert joined(others) == "existing"
    assert store.members == before


def test_what_was_interrupted_between_the_two_steps_goes_on(others: Etcd, store: Store) -> None:
    store.members = [m for m in store._members() if OWN not in m["peerURLs"][0]]
    assert joined(others) == "existing"
    assert len(store.members) == 3


def test_at_the_birth_of_a_cluster_nobody_answers(others: Etcd, store: Store) -> None:
    store.faults = dict.fromkeys(OTHERS, "error")
    assert joined(others) == "new"


def test_a_rebuilt_host_looks_longer_for_the_cluster_that_it_was_in(
    others: Etcd, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without memory under its old number it could vote a second time."""
    monkeypatch.setattr(quorum, "BIRTH_PATIENCE", 10.0)
    store.faults = dict.fromkeys(OTHERS, "error")
    tries: list[float] = []

    def heal(seconds: float) -> None:
        tries.append(seconds)
        store.faults = {} if len(tries) > 2 else store.faults

    monkeypatch.setattr(time, "sleep", heal)
    assert joined(others, rebuilt=True) == "existing"
