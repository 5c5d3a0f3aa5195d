"""The whole: two members, the third of the quorum, the cloud, applications, and what breaks them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from failover.decide import decide
from failover.facts import Me, Wish
from failover.holder import MOST_TAKEOVERS
from failover.record import Mode, Record
from tests.protocol.clients import HOST, Clients
from tests.protocol.cloud import API, Cloud
from tests.protocol.invariants import Invariants, ViolationError
from tests.protocol.mariadb import Database
from tests.protocol.member import Decide, Member
from tests.protocol.quorum import Quorum
from tests.protocol.world import Host, Network, World

HOLD_DOWN = 15.0
SKEW = 0.01
CLIENTS = 2


@dataclass(frozen=True)
class Build:
    """What is put together; a broken build has another part."""

    decide: Decide = decide
    member: type[Member] = Member
    database: type[Database] = Database


class Pair:
    """From birth on; `run` checks I3 once a second, and everything else when it happens."""

    def __init__(self, seed: int, traced: bool = False, build: Build | None = None) -> None:
        build = build or Build()
        self.healed = False
        self.world = World(seed, traced)
        rate = self.world.between
        self.hosts = {name: Host(self.world, name, rate(1 - SKEW, 1 + SKEW)) for name in ("A", "B", "W", HOST, API)}
        self.network = Network(self.world, self.hosts)
        self.quorum = Quorum(self.world, self.network, self._record_changed)
        self.invariants = Invariants(lambda: self.quorum.record)
        self.cloud = Cloud(self.world, self.power_off)
        self.databases = {
            name: build.database(
                self.hosts[name], self.network, number, self.invariants.on_acknowledged, self.invariants.on_start
            )
            for number, name in enumerate(("A", "B"), start=1)
        }
        for database in self.databases.values():
            database.peers = self.databases
        self.members = {name: self._member(build, name) for name in ("A", "B")}
        for member in self.members.values():
            member.peer = self.members[member.me.peer]
        self.invariants.members = self.members
        for member in self.members.values():
            member.boot()
        self.clients = Clients(self.hosts[HOST], self.network, self.cloud, self.members, CLIENTS)

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Whether it came true in time."""
        end = self.world.now + seconds
        while self.world.now < end:
            if until():
                return True
            self.world.run(min(end, self.world.now + 1.0))
            self.invariants.check()
        return until()

    def is_whole(self) -> bool:
        """In SYNC, the main is the holder and serves, and the backup is able to take over."""
        record = self.quorum.record
        if record is None or record.holder != "A" or record.mode is not Mode.SYNC or record.released:
            return False
        main, backup = self.members["A"], self.members["B"]
        fit = backup.memory.state.fit is not None and backup.memory.state.fit == backup.database.instance
        return main.writable and fit and self.cloud.routed == "A" and main.memory.gate == ""

    def heal(self) -> None:
        """Nothing is broken any more, and nobody wishes anything but that the pair moves by itself."""
        self.healed = True
        for counts in (self.network.cuts, self.network.slow, self.network.lossy):
            counts.clear()
        self.quorum.stopped.clear()
        self.cloud.trouble = ""
        for name, host in self.hosts.items():
            host.thaw()
            self.power_on(name)
        for member in self.members.values():
            member.start_agent()
            member.heal()
            if self.quorum.record and self.quorum.record.paused:
                member.ask(Wish.RESUME)

    def sentences(self) -> tuple[str, ...]:
        """What the two say now."""
        return tuple(f"{member.name}: {member.run.decision.sentence}" for member in self.members.values() if member.run)

    def waits_for_a_person(self) -> bool:
        """The backup holds and stays: a person put the database there, or it moved too often."""
        record = self.quorum.record
        if record is None or record.holder != "B" or record.mode is not Mode.SYNC:
            return False
        return record.stay or record.paused or len(record.takeovers) >= MOST_TAKEOVERS

    def alarms(self) -> tuple[str, ...]:
        runs = [member.run for member in self.members.values() if member.run]
        return tuple(run.decision.sentence for run in runs if run.decision.alarm)

    def power_off(self, name: str) -> None:
        if self.hosts[name].on and not self.healed:
            self.world.say(name, "loses power")
            self.hosts[name].lose_power()

    def power_on(self, name: str) -> None:
        host = self.hosts[name]
        if host.on:
            return
        self.world.say(name, "has power")
        host.on = True
        if name in self.members:
            self.members[name].boot()

    def _member(self, build: Build, name: str) -> Member:
        other = "B" if name == "A" else "A"
        me = Me(name, other, other, name == "A", hold_down=HOLD_DOWN)
        return build.member(
            me,
            self.hosts[name],
            self.network,
            self.quorum,
            self.cloud,
            self.databases[name],
            build.decide,
            self.invariants.on_opened,
            self.invariants.on_decided,
        )

    def _record_changed(self, old: Record | None, new: Record) -> None:
        self.world.say(
            "etcd", f"epoch {new.epoch} {new.holder} {new.mode} {new.gtid} {'released' if new.released else ''}"
        )
        self.invariants.on_record(old, new)


__all__ = ["Build", "Pair", "ViolationError"]
