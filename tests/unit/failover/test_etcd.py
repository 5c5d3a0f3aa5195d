"""The pair's record through the JSON gateway: compare-and-set, and members that fail in every way cost little."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from failover.etcd import Etcd, EtcdError
from failover.record import Mode, Record, View
from tests.unit.failover.fake_etcd import MEMBERS, Store, members
from tests.unit.failover.movers import Certificates

RECORD = Record("c", 1, "database-1", Mode.SINGLE)
FIRST, SECOND, THIRD = MEMBERS
RECORD_KEY = "/m2/database/record"
TIMEOUT = 3.0


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def etcd(store: Store, certificates: Certificates) -> Iterator[Etcd]:
    with members(store, certificates) as port:
        yield Etcd(tuple(MEMBERS), certificates.client("database-1"), port=port)


def test_a_record_is_created_once_and_changed_only_from_what_was_read(etcd: Etcd) -> None:
    assert etcd.read(TIMEOUT) == View(None, 0, "", 0)
    assert etcd.swap(RECORD, 0, TIMEOUT)
    assert not etcd.swap(replace(RECORD, holder="database-2"), 0, TIMEOUT)
    view = etcd.read(TIMEOUT)
    assert view.record == RECORD
    assert etcd.swap(replace(RECORD, epoch=2), view.record_revision, TIMEOUT)
    assert not etcd.swap(replace(RECORD, epoch=3), view.record_revision, TIMEOUT)
    assert etcd.read(TIMEOUT).record == replace(RECORD, epoch=2)


def test_a_sign_of_life_changes_its_revision_only(etcd: Etcd) -> None:
    etcd.swap(RECORD, 0, TIMEOUT)
    before = etcd.read(TIMEOUT)
    assert etcd.renew(before.record_revision, "1", TIMEOUT)
    after = etcd.read(TIMEOUT)
    assert (after.record_revision, after.alive) == (before.record_revision, "1")
    assert after.alive_revision > before.alive_revision


def test_nobody_renews_a_record_that_has_changed(etcd: Etcd) -> None:
    etcd.swap(RECORD, 0, TIMEOUT)
    view = etcd.read(TIMEOUT)
    etcd.swap(replace(RECORD, epoch=2), view.record_revision, TIMEOUT)
    assert not etcd.renew(view.record_revision, "late", TIMEOUT)
    assert etcd.read(TIMEOUT).alive == ""


def test_a_bid_loses_against_a_renewal(etcd: Etcd) -> None:
    etcd.swap(RECORD, 0, TIMEOUT)
    view = etcd.read(TIMEOUT)
    etcd.renew(view.record_revision, "1", TIMEOUT)
    bid = replace(RECORD, epoch=2, holder="database-2")
    assert not etcd.swap(bid, view.record_revision, TIMEOUT, alive_revision=view.alive_revision)
    view = etcd.read(TIMEOUT)
    assert etcd.swap(bid, view.record_revision, TIMEOUT, alive_revision=view.alive_revision)


def test_a_change_whose_reply_was_lost_is_known_to_be_ones_own(etcd: Etcd, store: Store) -> None:
    store.faults[FIRST] = "lost"
    assert etcd.swap(RECORD, 0, TIMEOUT)
    assert store.asked == [FIRST, SECOND]
    assert store.revision == 2


@pytest.mark.parametrize("fault", ["silent", "error", "lost"])
def test_a_member_that_fails_costs_little_and_is_then_asked_last(etcd: Etcd, store: Store, fault: str) -> None:
    etcd.swap(RECORD, 0, TIMEOUT)
    store.faults[FIRST] = fault
    began = time.monotonic()
    assert etcd.read(TIMEOUT).record == RECORD
    assert time.monotonic() - began < 1.2
    store.asked.clear()
    etcd.read(TIMEOUT)
    assert store.asked == [SECOND]


def test_members_that_are_all_slow_are_waited_for(etcd: Etcd, store: Store) -> None:
    store.faults = dict.fromkeys(MEMBERS, "slow")
    assert etcd.read(6).record is None


@pytest.mark.parametrize("fault", ["silent", "error", "lost"])
def test_without_a_quorum_the_deadline_holds_and_the_reason_is_told(etcd: Etcd, store: Store, fault: str) -> None:
    store.faults = dict.fromkeys(MEMBERS, fault)
    began = time.monotonic()
    with pytest.raises(EtcdError, match="etcd does not answer"):
        etcd.read(0.7)
    assert time.monotonic() - began < 1.5


def test_a_member_that_comes_back_is_used_again(etcd: Etcd, store: Store) -> None:
    store.faults = dict.fromkeys(MEMBERS, "error")
    with pytest.raises(EtcdError, match="no leader"):
        etcd.read(0.3)
    store.faults.clear()
    assert etcd.read(TIMEOUT).record is None


def test_a_member_is_healthy_that_answers_itself(etcd: Etcd, store: Store) -> None:
    assert etcd.healthy(TIMEOUT) == tuple(MEMBERS)
    store.faults = {SECOND: "silent"}
    began = time.monotonic()
    assert etcd.healthy(0.5) == (FIRST, THIRD)
    assert time.monotonic() - began < 1.2


def test_leadership_goes_to_the_third_member_and_only_from_this_one(etcd: Etcd, store: Store) -> None:
    etcd.lead_elsewhere(TIMEOUT)
    assert store.leader == THIRD
    store.leader = SECOND
    etcd.lead_elsewhere(TIMEOUT)
    assert store.leader == SECOND


def test_the_maintenance_lock_has_one_owner_who_may_prolong_it(etcd: Etcd, store: Store) -> None:
    assert etcd.lock("apply on database-1", 60, TIMEOUT) is None
    assert etcd.lock("patch", 60, TIMEOUT) == "apply on database-1"
    assert etcd.lock("apply on database-1", 90, TIMEOUT) is None
    assert store.lease_seconds == ["60", "90"]
    etcd.unlock("patch", TIMEOUT)
    assert etcd.lock("patch", 60, TIMEOUT) == "apply on database-1"
    etcd.unlock("apply on database-1", TIMEOUT)
    assert etcd.lock("patch", 60, TIMEOUT) is None


def test_a_stranger_in_the_record_s_place_is_no_record(etcd: Etcd, store: Store) -> None:
    store.put(RECORD_KEY, "{}")
    with pytest.raises(EtcdError, match="no record"):
        etcd.read(TIMEOUT)
