"""Applications: each writes a row of its own name after the other, to whoever has the address and takes it.

A session outlives every move of the address until its server ends it or does not answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.protocol.cloud import Cloud
from tests.protocol.member import Member
from tests.protocol.world import Host, Network, Process, Steps

HOST = "C"
PACE = 0.5
PATIENCE = 6.0
RETRY = 0.7

Session = tuple[str, int]
Serve = Callable[[Member, Callable[[Any], None]], None]


class Clients:
    """They stop when `stopped` is set; `written` counts what they were told is done."""

    def __init__(self, host: Host, network: Network, cloud: Cloud, members: dict[str, Member], count: int) -> None:
        self._host = host
        self._world = host.world
        self._network = network
        self._cloud = cloud
        self._members = members
        self.written = 0
        self.stopped = False
        process = Process(host)
        for number in range(count):
            process.spawn(self._write(number))

    def _write(self, number: int) -> Steps:
        count = 0
        yield self._world.between(0.0, PACE)
        while not self.stopped:
            target = self._cloud.routed
            session = (yield from self._ask(target, _connect)) if target else None
            while session and not self.stopped:
                count += 1
                done = yield from self._ask(target, _insert(session, f"row-{number}-{count}"))
                self.written += bool(done)
                session = session if done else None
                yield self._world.between(0.5, 1.5) * PACE
            yield self._world.between(0.5, 1.5) * RETRY

    def _ask(self, target: str, serve: Serve) -> Steps:
        member = self._members[target]
        return (yield from self._network.ask(self._host, target, lambda answer: serve(member, answer), PATIENCE))


def _connect(member: Member, answer: Callable[[Any], None]) -> None:
    """The session, False for a reset, nothing for a fence."""
    gate = member.memory.gate
    if gate == "forward":
        _connect_directly(member.peer, answer)
    elif gate == "reject":
        answer(False)
    elif gate == "" and member.has_address:
        _connect_directly(member, answer)


def _connect_directly(member: Member, answer: Callable[[Any], None]) -> None:
    answer((member.name, member.database.generation) if member.database.answers else False)


def _insert(session: Session, row: str) -> Serve:
    """On the server where the session is, which another one may only forward to."""
    name, generation = session

    def serve(member: Member, answer: Callable[[Any], None]) -> None:
        server = member if member.name == name else member.peer
        if server.memory.gate == "drop":
            return
        if server.database.generation != generation:
            answer(False)
            return
        server.database.commit(row, lambda done: None if server.memory.gate == "drop" else answer(done))

    return serve
