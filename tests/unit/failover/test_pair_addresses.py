"""Addresses that move with the database: on the holder first, then the cloud's way to them, read back."""

from __future__ import annotations

import json
import subprocess
import time
from types import SimpleNamespace
from typing import Any

import pytest

from failover.addresses import Addresses, Where
from failover.config import HeldAddress
from failover.mover_client import MoverError

ADDRESSES = (HeldAddress("database", "10.0.128.1", "private"), HeldAddress("gui", "198.51.100.9", "public"))


class Host:
    """The addresses on `lo`; stands for `ip`."""

    def __init__(self) -> None:
        self.has: set[str] = set()

    def run(self, words: list[str], **_: Any) -> Any:
        if words[1:3] == ["address", "replace"]:
            self.has.add(words[3].removesuffix("/32"))
        if words[1:3] == ["address", "delete"]:
            self.has.discard(words[3].removesuffix("/32"))
        shown = [{"addr_info": [{"local": address} for address in sorted(self.has)]}]
        return SimpleNamespace(stdout=json.dumps(shown).encode(), returncode=0)


class Mover:
    """Who holds what at the cloud."""

    def __init__(self, **held: str | None) -> None:
        self.held = held
        self.claims: list[str] = []
        self.down = False

    def holders(self) -> dict[str, str | None]:
        if self.down:
            raise MoverError("no mover answers")
        return dict(self.held)

    def claim(self, name: str) -> str:
        self.claims.append(name)
        self.held[name] = "database-1"
        return "database-1"


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host()
    monkeypatch.setattr(subprocess, "run", made.run)
    return made


def until(true: Any) -> None:
    deadline = time.monotonic() + 5
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def made(mover: Mover) -> Addresses:
    return Addresses("database-1", ADDRESSES, mover)  # type: ignore[arg-type]


def test_the_holder_has_its_addresses_and_claims_those_that_are_elsewhere(host: Host) -> None:
    mover = Mover(database="database-2", gui="database-1")
    addresses = made(mover)
    until(lambda: addresses.look().routed == "database-2")
    assert addresses.look() == Where(False, False, "database-2")
    addresses.take()
    until(lambda: addresses.look() == Where(True, True, "database-1"))
    assert mover.claims == ["database"]


def test_nobody_else_claims_anything(host: Host) -> None:
    mover = Mover(database=None, gui=None)
    addresses = made(mover)
    until(lambda: addresses.look().routed == "")
    assert mover.claims == []


def test_what_is_dropped_is_off_this_host_and_is_not_claimed_again(host: Host) -> None:
    mover = Mover(database=None, gui=None)
    addresses = made(mover)
    addresses.take()
    until(lambda: len(mover.claims) == 2)
    addresses.drop()
    mover.held = {"database": "database-2", "gui": "database-2"}
    addresses.watch(True)
    until(lambda: addresses.look() == Where(False, False, "database-2"))
    assert len(mover.claims) == 2


def test_a_cloud_that_does_not_answer_is_told_and_asked_again(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("failover.addresses.RETRY", 0.01)
    mover = Mover(database=None, gui=None)
    mover.down = True
    addresses = made(mover)
    addresses.take()
    until(lambda: "no mover answers" in addresses.trouble)
    assert addresses.look().routed is None
    mover.down = False
    until(lambda: addresses.look().routed == "database-1")
    assert addresses.trouble == ""


def test_a_database_that_is_alone_is_always_where_it_is() -> None:
    assert Addresses("node-1", (), Mover()).look() == Where(True, False, "node-1")  # type: ignore[arg-type]
