"""The balancers' `ensure`: the cloud's owner of the SIP addresses becomes who VRRP says, and never flips for ever."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from failover import sip_address
from failover.config import SipAddressConfig
from failover.mover_client import MoverError
from failover.sip_address import RECHECK, TICK, State, after_vrrp, step, wanted

MAIN = SipAddressConfig("balancer-1", True, ("sip", "sip-private"), ("10.0.0.21", "10.0.0.22"), "10.0.0.12", 5060)
BACKUP = replace(MAIN, me="balancer-2", preferred=False, peer="10.0.0.11")
MASTER = State(master=True)
CLAIMED = State(master=True, claimed=frozenset({"sip", "sip-private"}))


def held_by(holder: str | None) -> dict[str, str | None]:
    return {"sip": holder, "sip-private": holder, "database": "database-1"}


@pytest.mark.parametrize(
    ("config", "state", "holders", "names"),
    [
        (MAIN, MASTER, held_by("balancer-1"), []),
        (MAIN, MASTER, held_by("balancer-2"), ["sip", "sip-private"]),
        (MAIN, MASTER, held_by(None), ["sip", "sip-private"]),
        (MAIN, MASTER, held_by("?"), ["sip", "sip-private"]),
        (MAIN, MASTER, {"sip": "balancer-1", "sip-private": "balancer-2"}, ["sip-private"]),
        (MAIN, CLAIMED, held_by("balancer-2"), ["sip", "sip-private"]),
        (BACKUP, MASTER, held_by("balancer-2"), []),
        (BACKUP, MASTER, held_by("balancer-1"), ["sip", "sip-private"]),
        (BACKUP, MASTER, held_by(None), ["sip", "sip-private"]),
        (BACKUP, CLAIMED, held_by("balancer-1"), []),
        (BACKUP, CLAIMED, held_by(None), ["sip", "sip-private"]),
        (BACKUP, CLAIMED, {"sip": "balancer-2", "sip-private": None}, ["sip-private"]),
        (BACKUP, State(master=True, claimed=frozenset({"sip"})), held_by("balancer-1"), ["sip-private"]),
        (MAIN, MASTER, {}, ["sip", "sip-private"]),
    ],
    ids=str,
)
def test_a_master_wants_what_it_has_not_and_the_backup_wants_it_once(
    config: SipAddressConfig, state: State, holders: dict[str, str | None], names: list[str]
) -> None:
    assert wanted(config, state, holders) == names


@pytest.mark.parametrize(
    ("before", "vrrp", "after"),
    [
        (State(), "MASTER", State(master=True, next_look=50.0)),
        (State(), "BACKUP", State()),
        (State(), "", State()),
        (State(), "FAULT", State()),
        (replace(CLAIMED, next_look=60.0), "MASTER", replace(CLAIMED, next_look=60.0)),
        (CLAIMED, "BACKUP", replace(CLAIMED, master=False)),
        (CLAIMED, "FAULT", replace(CLAIMED, master=False)),
        (CLAIMED, "STOP", replace(CLAIMED, master=False)),
        (replace(CLAIMED, master=False, next_look=99.0), "MASTER", State(master=True, next_look=50.0)),
    ],
    ids=str,
)
def test_becoming_master_means_an_immediate_look_and_a_new_claim(before: State, vrrp: str, after: State) -> None:
    assert after_vrrp(before, vrrp, 50.0) == after


@dataclass
class Cloud:
    """The holders as the movers tell and change them; `failures` are the errors of the next requests."""

    holders: dict[str, str | None] = field(default_factory=lambda: held_by("balancer-1"))
    moves: list[tuple[float, str, str]] = field(default_factory=list)
    looks: int = 0
    failures: list[str] = field(default_factory=list)
    now: float = 0.0


@dataclass
class Host:
    """One balancer: its state and its way to the movers."""

    config: SipAddressConfig
    cloud: Cloud
    state: State = field(default_factory=State)
    vrrp: str = "BACKUP"
    heard: float = 0.0
    frozen: bool = False
    peer_answers: bool = True

    def holders(self) -> dict[str, str | None]:
        self.cloud.looks += 1
        return dict(self.cloud.holders)

    def claim(self, name: str) -> str:
        if self.cloud.failures:
            raise MoverError(self.cloud.failures.pop(0))
        if self.cloud.holders[name] != self.config.me:
            self.cloud.moves.append((self.cloud.now, name, self.config.me))
            self.cloud.holders[name] = self.config.me
        return self.config.me

    def tick(self, now: float) -> None:
        """One second of the program's loop."""
        if self.frozen:
            return
        mover: Any = self
        self.cloud.now = now
        self.state = after_vrrp(self.state, self.vrrp, now, self.heard)
        if self.state.master and now >= self.state.next_look:
            self.state = step(self.config, self.state, mover, now, lambda _: self.peer_answers)


def pair() -> tuple[Cloud, Host, Host]:
    cloud = Cloud()
    return cloud, Host(MAIN, cloud, vrrp="MASTER"), Host(BACKUP, cloud)


def run(seconds: int, *hosts: Host, begin: int = 0) -> int:
    for now in range(begin, begin + seconds):
        for host in hosts:
            host.tick(float(now))
    return begin + seconds


def moved_to(cloud: Cloud) -> list[tuple[str, str]]:
    return [(name, host) for _, name, host in cloud.moves]


def test_the_first_master_gets_addresses_that_nobody_has() -> None:
    cloud, main, backup = pair()
    cloud.holders = held_by(None)
    run(3, main, backup)
    assert moved_to(cloud) == [("sip", "balancer-1"), ("sip-private", "balancer-1")]


def test_a_takeover_and_a_return_move_each_address_once() -> None:
    cloud, main, backup = pair()
    begin = run(20, main, backup)
    main.frozen, backup.vrrp = True, "MASTER"
    begin = run(60, main, backup, begin=begin)
    assert {cloud.holders["sip"], cloud.holders["sip-private"]} == {"balancer-2"}
    assert cloud.moves[0][0] <= 21
    main.frozen, main.vrrp, backup.vrrp = False, "MASTER", "BACKUP"
    run(60, main, backup, begin=begin)
    assert {cloud.holders["sip"], cloud.holders["sip-private"]} == {"balancer-1"}
    assert len(cloud.moves) == 4


def test_with_vrrp_cut_for_ten_minutes_each_address_moves_at_most_twice() -> None:
    """Both are master: the backup claims once, the main takes it back, and that is all."""
    cloud, main, backup = pair()
    begin = run(20, main, backup)
    backup.vrrp = "MASTER"
    run(600, main, backup, begin=begin)
    for name in MAIN.addresses:
        assert len([move for move in cloud.moves if move[1] == name]) <= 2
    assert cloud.holders["sip"] == "balancer-1"


def test_a_backup_that_was_frozen_while_it_was_master_claims_nothing_when_it_thaws() -> None:
    cloud, main, backup = pair()
    main.frozen, backup.vrrp = True, "MASTER"
    begin = run(30, main, backup)
    backup.frozen, main.frozen = True, False
    begin = run(300, main, backup, begin=begin)
    assert cloud.holders["sip"] == "balancer-1"
    before = list(cloud.moves)
    backup.frozen = False
    run(30, main, backup, begin=begin)
    assert cloud.moves == before


def test_each_time_it_becomes_master_the_backup_claims_again() -> None:
    cloud, main, backup = pair()
    begin = 0
    for _ in range(3):
        main.vrrp, backup.vrrp = "FAULT", "MASTER"
        begin = run(30, main, backup, begin=begin)
        assert cloud.holders["sip"] == "balancer-2"
        main.vrrp, backup.vrrp = "MASTER", "BACKUP"
        begin = run(30, main, backup, begin=begin)
        assert cloud.holders["sip"] == "balancer-1"


@pytest.mark.parametrize("config", [MAIN, BACKUP], ids=lambda c: c.me)
@pytest.mark.parametrize("failures", [1, 3, 20])
def test_a_claim_that_failed_is_tried_again_until_it_works(config: SipAddressConfig, failures: int) -> None:
    """The other balancer is dead and still the cloud's holder; the API is locked for a while."""
    other = "balancer-2" if config is MAIN else "balancer-1"
    cloud = Cloud(holders=held_by(other), failures=["the API answered 423 locked"] * failures)
    host = Host(config, cloud, vrrp="MASTER")
    run(failures * 2 + 5, host)
    assert cloud.holders["sip"] == cloud.holders["sip-private"] == config.me


def test_a_failed_claim_of_one_address_does_not_keep_the_other_from_being_tried_again() -> None:
    cloud = Cloud(holders=held_by("balancer-1"), failures=["slow"])
    host = Host(BACKUP, cloud, vrrp="MASTER")
    run(10, host)
    assert cloud.holders["sip-private"] == "balancer-2"


def test_a_movers_silence_is_told_and_asked_about_again_a_second_later(caplog: pytest.LogCaptureFixture) -> None:
    class Silent:
        def holders(self) -> dict[str, str | None]:
            raise MoverError("10.0.0.21: timed out; 10.0.0.22: timed out")

    silent: Any = Silent()
    after = step(MAIN, MASTER, silent, 100.0, lambda _: True)
    assert after.next_look == 100.0 + TICK
    assert "10.0.0.21: timed out" in caplog.text


def test_a_quiet_pair_looks_no_oftener_than_every_ten_seconds() -> None:
    """3600 requests an hour are what a project has."""
    cloud, main, backup = pair()
    run(600, main, backup)
    assert cloud.looks <= 600 / RECHECK + 1
    assert cloud.moves == []


def test_a_host_that_is_not_master_neither_looks_nor_claims() -> None:
    cloud, _, backup = pair()
    run(100, backup)
    assert (cloud.looks, cloud.moves) == (0, [])


@pytest.mark.parametrize(
    ("text", "state"), [("MASTER\n", "MASTER"), ("BACKUP\n", "BACKUP"), ("", ""), (None, "")], ids=repr
)
def test_vrrps_state_is_what_the_notify_script_wrote(
    text: str | None, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sip_address, "VRRP_STATE", tmp_path / "vrrp")
    if text is not None:
        (tmp_path / "vrrp").write_text(text)
    assert sip_address.vrrp_state()[0] == state


def test_a_master_that_hears_of_another_one_looks_within_a_second() -> None:
    """A thawed main stays master without a transition while the addresses are at the backup."""
    cloud, main, _ = pair()
    run(3, main)
    cloud.holders |= held_by("balancer-2")
    main.vrrp, main.heard = "MASTER_RX_LOWER_PRI", 3.0
    run(2, main, begin=3)
    assert cloud.holders["sip"] == "balancer-1"


def test_a_burst_of_notifications_is_one_look_a_second() -> None:
    cloud, main, _ = pair()
    begin = run(3, main)
    looks = cloud.looks
    for now in range(40):
        main.vrrp, main.heard = "MASTER_RX_LOWER_PRI", float(now + 1)
        main.tick(begin + now / 10)
    assert cloud.looks - looks <= 5


def test_the_backup_claims_again_from_a_main_that_is_silent_and_ever_more_rarely() -> None:
    """VRRP is cut, the main took the addresses back, and then it dies: the backup sees no transition."""
    cloud, main, backup = pair()
    begin = run(20, main, backup)
    backup.vrrp = "MASTER"
    begin = run(60, main, backup, begin=begin)
    assert cloud.holders["sip"] == "balancer-1"
    main.frozen, backup.peer_answers = True, False
    begin = run(12, backup, begin=begin)
    assert cloud.holders["sip"] == cloud.holders["sip-private"] == "balancer-2"
    cloud.moves.clear()
    for _ in range(3600):
        cloud.holders |= held_by("balancer-1")
        begin = run(1, backup, begin=begin)
    assert 2 <= len({at for at, _, _ in cloud.moves}) <= 6


@pytest.mark.parametrize(
    ("options", "heard", "alive"),
    [(True, {}, True), (False, {"balancer-1": 9.0}, True), (False, {"balancer-1": 31.0}, False), (False, {}, False)],
)
def test_a_cut_between_the_two_is_no_death(
    monkeypatch: pytest.MonkeyPatch, options: bool, heard: dict[str, float], alive: bool
) -> None:
    """With the whole link cut, not only VRRP, the movers hear of the other one."""
    monkeypatch.setattr(sip_address, "answers", lambda _: options)
    mover: Any = SimpleNamespace(heard=lambda: heard)
    assert sip_address.lives(BACKUP, mover, "balancer-1") is alive


def handing_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, holders: list[dict[str, str | None]], peer_answers: bool
) -> tuple[bool, float]:
    """What comes of it, and after how many seconds."""
    clock = [0.0]

    class Mover:
        def holders(self) -> dict[str, str | None]:
            clock[0] += 0.5
            return holders.pop(0) if len(holders) > 1 else holders[0]

    mover: Any = Mover()
    monkeypatch.setattr(sip_address, "HANDING_OVER", tmp_path / "hand-over")
    monkeypatch.setattr(sip_address, "answers", lambda _: peer_answers)
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    done = sip_address.hand_over(MAIN, mover)
    assert (tmp_path / "hand-over").read_text() == "1\n"
    return done, clock[0]


def test_who_stops_waits_until_the_other_has_the_addresses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    on_the_way: list[dict[str, str | None]] = [
        held_by("balancer-1"),
        {"sip": "balancer-2", "sip-private": "balancer-1"},
        held_by("balancer-2"),
    ]
    done, seconds = handing_over(monkeypatch, tmp_path, on_the_way, peer_answers=True)
    assert done
    assert seconds < 3


def test_who_holds_nothing_stops_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert handing_over(monkeypatch, tmp_path, [held_by("balancer-2")], peer_answers=False) == (True, 0.5)


@pytest.mark.parametrize(("peer_answers", "limit"), [(False, 8.0), (True, 17.0)])
def test_who_stops_does_not_wait_for_ever(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, peer_answers: bool, limit: float
) -> None:
    done, seconds = handing_over(monkeypatch, tmp_path, [held_by("balancer-1")], peer_answers)
    assert not done
    assert seconds < limit
