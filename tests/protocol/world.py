"""Virtual time: events in their order, hosts with clocks of their own, processes that stop and die, and a network.

A process is made of generators. They yield a number of seconds of the host's clock, or a future with a timeout, and go
on when it has passed or is done. Nothing runs at the same time and nothing waits in real time.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from random import Random
from typing import Any

Act = Callable[[], None]
Steps = Generator[Any, Any, Any]

LATENCY = 0.001
"""Seconds from host to host on a good day, times 0.3 to 2."""


class World:
    """The events to come, the one source of chance, and what is told of them."""

    def __init__(self, seed: int, traced: bool = False) -> None:
        self.now = 0.0
        self.rng = Random(seed)  # noqa: S311
        self.random = self.rng.random
        self.story: list[str] | None = [] if traced else None
        self._events: list[tuple[float, int, Act]] = []
        self._count = 0

    def after(self, seconds: float, act: Act) -> None:
        self._count += 1
        heapq.heappush(self._events, (self.now + seconds, self._count, act))

    def run(self, until: float) -> None:
        """Everything that happens until then."""
        events = self._events
        while events and events[0][0] <= until:
            self.now, _, act = heapq.heappop(events)
            act()
        self.now = until

    def say(self, who: str, *what: object) -> None:
        if self.story is not None:
            self.story.append(f"{self.now:9.3f}  {who:<9} {' '.join(str(word) for word in what)}")

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self.random()


class Host:
    """A machine: on, off or frozen. Its clock has a rate and, while it is frozen, may stand still."""

    def __init__(self, world: World, name: str, rate: float = 1.0) -> None:
        self.world = world
        self.name = name
        self.rate = rate
        self.on = True
        self.frozen = False
        self.thawed_at = -1e9
        self.processes: list[Process] = []
        self.mailbox: list[Act] = []
        self._offset = world.between(0.0, 1e5)
        self._frozen_at: float | None = None

    @property
    def runs(self) -> bool:
        return self.on and not self.frozen

    def clock(self) -> float:
        return self.world.now * self.rate + self._offset

    def freeze(self, clock_stops: bool) -> None:
        self.frozen = True
        self._frozen_at = self.clock() if clock_stops else None

    def thaw(self) -> None:
        """Packets that arrived meanwhile and everybody who was at work go on, in any order."""
        if not self.frozen:
            return
        self.frozen = False
        self.thawed_at = self.world.now
        if self._frozen_at is not None:
            self._offset -= self.clock() - self._frozen_at
        letters, self.mailbox = self.mailbox, []
        for letter in letters:
            self.world.after(self.world.between(0.0, 0.005), letter)
        for process in self.processes:
            process.go_on()

    def lose_power(self) -> None:
        self.on, self.frozen = False, False
        self.mailbox.clear()
        processes, self.processes = self.processes, []
        for process in processes:
            process.alive = False
            if process.at_power_cut:
                process.at_power_cut()


class Process:
    """Something on a host that can be stopped and killed on its own."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.world = host.world
        self.alive = True
        self.paused = False
        self.resumed_at = -1e9
        self.at_power_cut: Act | None = None
        self._parked: list[Act] = []
        host.processes.append(self)

    @property
    def stopped(self) -> bool:
        return self.paused or self.host.frozen

    def spawn(self, steps: Steps) -> None:
        Task(self, steps).go(None)

    def park(self, act: Act) -> None:
        self._parked.append(act)

    def resume(self) -> None:
        self.paused = False
        self.resumed_at = self.world.now
        self.go_on()

    def go_on(self) -> None:
        if self.stopped:
            return
        parked, self._parked = self._parked, []
        for act in parked:
            self.world.after(self.world.between(0.0, 0.005), act)

    def kill(self) -> None:
        self.alive = False
        if self in self.host.processes:
            self.host.processes.remove(self)


class Future:
    """A value that comes later or never; one waits for it."""

    __slots__ = ("_wake", "done", "value")

    def __init__(self) -> None:
        self.done = False
        self.value: Any = None
        self._wake: Act | None = None

    def resolve(self, value: Any) -> None:
        if not self.done:
            self.done, self.value = True, value
            if self._wake:
                self._wake()

    def wait(self, wake: Act) -> None:
        self._wake = wake


class Task:
    """A generator at work in a process."""

    __slots__ = ("_process", "_steps", "_turn")

    def __init__(self, process: Process, steps: Steps) -> None:
        self._process = process
        self._steps = steps
        self._turn = 0

    def go(self, value: Any) -> None:
        process = self._process
        if not process.alive:
            self._steps.close()
            return
        if process.paused or process.host.frozen:
            turn = self._turn
            process.park(lambda: self._wake(turn, value))
            return
        self._turn += 1
        try:
            wanted = self._steps.send(value)
        except StopIteration:
            return
        self._wait(wanted)

    def _wait(self, wanted: Any) -> None:
        turn = self._turn
        world, rate = self._process.world, self._process.host.rate
        if isinstance(wanted, tuple):
            future, seconds = wanted
            if future.done:
                world.after(0.0, lambda: self._wake(turn, future.value))
                return
            future.wait(lambda: self._wake(turn, future.value))
        else:
            seconds = wanted
        world.after(seconds / rate, lambda: self._wake(turn, None))

    def _wake(self, turn: int, value: Any) -> None:
        if turn == self._turn:
            self.go(value)


@dataclass
class Network:
    """Links between hosts, each direction on its own: cut, slow or losing.

    What meets a cut may still arrive when it has healed, as TCP does: late, long after its sender gave up.
    """

    world: World
    hosts: dict[str, Host]
    cuts: Counter[tuple[str, str]] = field(default_factory=Counter)
    slow: Counter[tuple[str, str]] = field(default_factory=Counter)
    lossy: Counter[tuple[str, str]] = field(default_factory=Counter)

    def passes(self, source: str, target: str) -> bool:
        return source == target or not self.cuts or not self.cuts[source, target]

    def both_ways(self, one: str, other: str) -> bool:
        return self.passes(one, other) and self.passes(other, one)

    def latency(self, source: str, target: str) -> float:
        random = self.world.random
        seconds = LATENCY * (0.3 + 1.7 * random())
        if source == target:
            return seconds * 0.1
        if self.slow and self.slow[source, target]:
            seconds += 1.5 * random() ** 2
        if random() < 0.002:
            seconds += 0.3 * random()
        return seconds

    def send(self, source: str, target: str, arrive: Act) -> None:
        """One message; it may come late or never."""
        if self.hosts[source].on and not (self.lossy and self.lossy[source, target] and self.world.random() < 0.3):
            self.world.after(self.latency(source, target), lambda: self._arrive(source, target, arrive, 0))

    def _arrive(self, source: str, target: str, arrive: Act, tries: int) -> None:
        host = self.hosts[target]
        if not host.on:
            return
        if not self.passes(source, target):
            if tries < 20 and self.hosts[source].on and self.world.random() < 0.9:
                self.world.after(0.3 * 1.3**tries, lambda: self._arrive(source, target, arrive, tries + 1))
        elif host.frozen:
            host.mailbox.append(arrive)
        else:
            arrive()

    def ask(self, asker: Host, target: str, serve: Callable[[Callable[[Any], None]], None], seconds: float) -> Steps:
        """A request and its answer, None when it did not come in time. What was asked may be done all the same."""
        answer = Future()

        def arrive() -> None:
            serve(lambda value: self.send(target, asker.name, lambda: answer.resolve(value)))

        self.send(asker.name, target, arrive)
        return (yield answer, seconds)


class Stream:
    """One direction of a TCP connection: in order, late rather than lost, until it is closed.

    `busy`: the process at its end is there and does not read.
    """

    def __init__(
        self, network: Network, source: str, target: str, receive: Callable[[Any], None], busy: Callable[[], bool]
    ) -> None:
        self._busy = busy
        self._network = network
        self._world = network.world
        self._source, self._target = source, target
        self._receive = receive
        self._queue: deque[tuple[float, Any]] = deque()
        self._pumping = False
        self._last = 0.0
        self.closed = False

    def send(self, message: Any) -> None:
        self._last = max(self._last, self._world.now + self._network.latency(self._source, self._target))
        self._queue.append((self._last, message))
        if not self._pumping:
            self._pumping = True
            self._world.after(self._last - self._world.now, self._pump)

    def close(self) -> None:
        self.closed = True
        self._queue.clear()

    def _pump(self) -> None:
        self._pumping = False
        host = self._network.hosts[self._target]
        if self.closed or not host.on:
            return
        if not self._network.passes(self._source, self._target) or self._busy():
            self._again(self._world.between(0.2, 0.8))
        elif host.frozen:
            host.mailbox.append(self._pump)
            self._pumping = True
        else:
            while self._queue and self._queue[0][0] <= self._world.now + 1e-9:
                self._receive(self._queue.popleft()[1])
            if self._queue:
                self._again(self._queue[0][0] - self._world.now)

    def _again(self, seconds: float) -> None:
        self._pumping = True
        self._world.after(seconds, self._pump)
