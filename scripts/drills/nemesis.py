"""Random faults, reproducible by their seed: what strikes, whom, for how long, alone or with another."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from components.logins import LoginError
from scripts.database_pair import PairError
from scripts.drills import clients
from scripts.drills.breaking import Broken, killed, without_quorum
from scripts.drills.course import Course, Result, conclude, epochs_between, return_home
from scripts.drills.scenes import Scene
from scripts.drills.timeline import Entry
from scripts.localcloud import LocalCloudError

TOGETHER = 0.3
"""How often two faults strike at once."""

REST = 0.7
"""How often the next fault waits until the pair is whole, for at most `LONGEST_REST` seconds."""

LONGEST_REST = 90.0
LASTS = (2.0, 25.0)
PAUSE = (1.0, 15.0)


@dataclass(frozen=True)
class Strike:
    """One fault of a plan: seconds that it lasts and that follow it; `with_next` strikes while the next one does."""

    kind: str
    host: str
    lasts: float
    pause: float
    with_next: bool
    rests: bool


def strikes(scene: Scene, seed: int) -> Iterator[Strike]:
    """Endless, the same for the same seed."""
    dice = random.Random(seed)  # noqa: S311 - not cryptography
    while True:
        yield Strike(
            kind=dice.choice(list(KINDS)),
            host=dice.choice([scene.main, scene.main, scene.backup, scene.third]),
            lasts=dice.uniform(*LASTS),
            pause=dice.uniform(*PAUSE),
            with_next=dice.random() < TOGETHER,
            rests=dice.random() < REST,
        )


@contextmanager
def _mariadbd(scene: Scene, host: str) -> Iterator[None]:
    with killed(scene.hosts, host if host in scene.members else scene.backup):
        yield


@contextmanager
def _moved(scene: Scene, host: str) -> Iterator[None]:
    holder = scene.pair.look().holder
    if holder:
        scene.pair.ask(holder, "switchover")
    yield


@contextmanager
def _agent(scene: Scene, host: str) -> Iterator[None]:
    member = host if host in scene.members else scene.backup
    scene.hosts.logins.output(member, "sudo systemctl kill --signal=KILL m2-agent", timeout=10)
    yield


KINDS: dict[str, Callable[[Scene, str], Broken]] = {
    "power": lambda scene, host: scene.breaker.power(host),
    "freeze": lambda scene, host: scene.breaker.freeze(host),
    "isolate": lambda scene, host: scene.breaker.isolate(host),
    "split": lambda scene, host: scene.breaker.split(*scene.members),
    "split-third": lambda scene, host: scene.breaker.split(scene.third, host if host != scene.third else scene.main),
    "fill": lambda scene, host: scene.breaker.fill(host if host in scene.members else scene.backup),
    "kill": _mariadbd,
    "kill-agent": _agent,
    "quorum": lambda scene, host: without_quorum(scene.hosts, [h for h in _quorum(scene) if h != host]),
    "api": lambda scene, host: scene.breaker.fail_api(scene.members),
    "move": _moved,
}


def run_nemesis(course: Course, seconds: float, seed: int) -> Result:
    """Strike for so long, then heal. Raises PairError when the pair does not become whole again."""
    scene = course.scene
    before = scene.pair.until(lambda look: not look.troubles, 60.0, "a nemesis begins with a whole pair")
    clients.make_table(scene.hosts, str(before.holder))
    notes: list[Entry] = []
    with clients.writing(scene.hosts, course.run, scene.members) as journal:
        began = time.time()
        plan = strikes(scene, seed)
        while time.time() - began < seconds:
            _strike(course, plan, notes)
        after = return_home(course, notes)
        time.sleep(2.0)
    what = f"random faults for {seconds / 60:g} minutes, seed {seed}"
    return conclude(course, what, began, notes, journal, epochs_between(before, after))


def _strike(course: Course, plan: Iterator[Strike], notes: list[Entry]) -> None:
    strike = next(plan)
    try:
        with ExitStack() as stack:
            _begin(course, strike, stack, notes)
            while strike.with_next:
                time.sleep(strike.lasts / 4)
                strike = next(plan)
                _begin(course, strike, stack, notes)
            time.sleep(strike.lasts)
    except (LoginError, LocalCloudError) as error:
        course.tell(f"     heals by itself later: {error}")
    time.sleep(strike.pause)
    if strike.rests:
        _rest(course)


def _begin(course: Course, strike: Strike, stack: ExitStack, notes: list[Entry]) -> None:
    """A fault that cannot strike now, such as one that needs ssh to a host without power, is left out."""
    what = f"{strike.kind} {strike.host} for {strike.lasts:.0f} s"
    try:
        stack.enter_context(KINDS[strike.kind](course.scene, strike.host))
    except (LoginError, PairError, LocalCloudError) as error:
        what = f"left out: {what}: {error}"
    notes.append(Entry(time.time(), "nemesis", what))
    course.tell(f"{len(notes):4} {what}")


def _rest(course: Course) -> None:
    try:
        course.scene.pair.until(lambda look: not look.troubles, LONGEST_REST, "rest")
    except PairError as error:
        course.tell(f"     going on: {error}")


def _quorum(scene: Scene) -> tuple[str, ...]:
    return (scene.main, scene.backup, scene.third)
