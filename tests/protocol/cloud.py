"""The cloud's API as far as the pair needs it: who has the address, and the power of servers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from tests.protocol.world import World

API = "api"
Trouble = Literal["", "down", "slow", "lost"]
Answer = Callable[[Any], None]


@dataclass
class Cloud:
    """`trouble`: calls fail, take long, or work and lose their answer."""

    world: World
    power_off: Callable[[str], None]
    routed: str = ""
    trouble: Trouble = ""

    def holders(self) -> Callable[[Answer], None]:
        return lambda answer: self._work(0.02, 0.2, lambda: self.routed, answer)

    def claim(self, member: str) -> Callable[[Answer], None]:
        return lambda answer: self._work(0.2, 1.0, lambda: self._route(member), answer)

    def cut_power(self, member: str) -> Callable[[Answer], None]:
        return lambda answer: self._work(0.5, 1.5, lambda: self._off(member), answer)

    def _work(self, low: float, high: float, work: Callable[[], Any], answer: Answer) -> None:
        if self.trouble == "down":
            return
        seconds = self.world.between(low, high) + (self.world.between(1.0, 8.0) if self.trouble == "slow" else 0.0)
        lost = self.trouble == "lost" and self.world.random() < 0.7

        def finish() -> None:
            value = work()
            if not lost:
                answer(value)

        self.world.after(seconds, finish)

    def _route(self, member: str) -> str:
        self.routed = member
        self.world.say("cloud", "the address goes to", member)
        return member

    def _off(self, member: str) -> bool:
        self.power_off(member)
        return True
