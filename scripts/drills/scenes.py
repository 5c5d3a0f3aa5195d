"""The drills: what each breaks, and for how long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.database_pair import Pair
from scripts.drills.breaking import Breaker, Broken, LocalBreaker, killed, without_quorum
from scripts.hosts import Hosts, of_stack
from scripts.local_stack import STACK


@dataclass(frozen=True)
class Scene:
    """A stack's pair and the third member of its quorum."""

    pair: Pair
    breaker: Breaker
    main: str
    backup: str
    third: str

    @property
    def hosts(self) -> Hosts:
        return self.pair.hosts

    @property
    def members(self) -> tuple[str, str]:
        """Main and backup."""
        return self.main, self.backup


def of_local_stack(file: Path) -> Scene:
    """The full topology on the local cloud. Raises StackError, LoginError."""
    pair = Pair(of_stack(STACK, file))
    return Scene(pair, LocalBreaker(STACK), "database-1", "database-2", "gui")


@dataclass(frozen=True)
class Drill:
    """`strike` breaks something for `lasts` seconds."""

    what: str
    strike: Callable[[Scene], Broken]
    lasts: float = 30.0


@contextmanager
def _power_without_api(scene: Scene) -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(scene.breaker.power(scene.main))
        with scene.breaker.fail_api(scene.members):
            yield


@contextmanager
def _switched_over(scene: Scene) -> Iterator[None]:
    scene.pair.ask(scene.main, "switchover")
    yield


DRILLS = {
    "power": Drill("the main loses its power", lambda scene: scene.breaker.power(scene.main)),
    "freeze": Drill("the main stands still, and goes on later", lambda scene: scene.breaker.freeze(scene.main)),
    "cut": Drill("the main is cut from everybody", lambda scene: scene.breaker.isolate(scene.main)),
    "split": Drill("main and backup are cut from each other", lambda scene: scene.breaker.split(*scene.members)),
    "kill": Drill("the main's mariadbd is killed", lambda scene: killed(scene.hosts, scene.main), 15.0),
    "fill": Drill("the main's disk is full", lambda scene: scene.breaker.fill(scene.main)),
    "quorum": Drill(
        "two of three quorum members are gone",
        lambda scene: without_quorum(scene.hosts, [scene.backup, scene.third]),
    ),
    "api": Drill("the main loses its power while the cloud's API fails", _power_without_api, 45.0),
    "backup": Drill("the backup loses its power", lambda scene: scene.breaker.power(scene.backup)),
    "switchover": Drill("a planned move to the backup", _switched_over, 10.0),
}
