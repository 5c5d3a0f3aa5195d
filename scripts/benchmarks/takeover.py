"""The same faults on this project's database pair and on a classic Heartbeat pair, on the same machines."""

from __future__ import annotations

import json
import secrets
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from components.logins import LoginError
from scripts import local_stack, localcloud
from scripts.benchmarks import BenchmarkError, apart, packages_for_machines, say, table
from scripts.benchmarks.classic import PACKAGES, Classic, classic
from scripts.drills import checking, clients, timeline
from scripts.drills.clients import Ack
from scripts.drills.course import Course, run_drill
from scripts.drills.scenes import DRILLS, Drill, Scene, of_local_stack
from scripts.drills.verdict import both_seconds, lost
from scripts.local_stack import STACK
from scripts.stack import bring_up

FAULTS = ("power", "freeze", "split", "kill")
CALM = 2.0
CATCH_UP = 60.0
AFTER = 15.0
"""Seconds of writing before a fault, and after the classic pair is as it was."""

OURS, CLASSIC = "this pair", "Heartbeat"
SILENCE, LOST, BOTH = "without service [s]", "acknowledged writes lost", "both acknowledging [s]"


@dataclass(frozen=True)
class Outcome:
    """One try: seconds without a write, acknowledged writes that clients cannot read any more, seconds of both.

    `why` is what replication says where something is missing.
    """

    silence: float
    lost: int
    both: float
    why: str = ""


Tries = Mapping[str, Sequence[Outcome]]
"""By fault."""


def main(
    tries: Annotated[int, typer.Option(min=1, help="of each fault on each pair")] = 3,
    fault: Annotated[list[str] | None, typer.Option(help=f"only these: {', '.join(FAULTS)}")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="the figures as JSON on standard output")] = False,
) -> None:
    """Time without service, acknowledged writes lost, and seconds with both acknowledging: this pair and Heartbeat."""
    chosen = fault or list(FAULTS)
    for name in (name for name in chosen if name not in FAULTS):
        raise BenchmarkError(f"there is no fault {name!r} here; there are: {', '.join(FAULTS)}")
    apart(for_machines=PACKAGES)
    try:
        scene = _bring_up()
        measured = {OURS: _try_all(chosen, tries, lambda drill: _ours(scene, drill))}
        peer = classic(scene, packages_for_machines(PACKAGES))
        peer.install()
        peer.begin()
        measured[CLASSIC] = _try_all(chosen, tries, lambda drill: _classic(peer, drill))
        api = peer.api_seconds()
    finally:
        localcloud.down()
    _show(measured, api)
    if as_json:
        print(json.dumps({"tries": _plain(measured), "api_seconds": api}, indent=2))


def _bring_up() -> Scene:
    """The smallest stack with a pair, three quorum members and a client."""
    say.rule("stack", align="left")
    localcloud.up(lambda _: None)
    file = localcloud.STATE.parent / f"Pulumi.{STACK}.yaml"
    local_stack.ensure(file)
    local_stack.change(file, cores=2)
    bring_up(STACK, file)
    return of_local_stack(file)


def _try_all(faults: Sequence[str], tries: int, work: Callable[[Drill], Outcome]) -> dict[str, list[Outcome]]:
    found: dict[str, list[Outcome]] = {}
    for name in faults:
        say.rule(DRILLS[name].what, align="left")
        for number in range(tries):
            outcome = work(DRILLS[name])
            found.setdefault(name, []).append(outcome)
            say.print(f"  try {number + 1}: {outcome}", markup=False)
    return found


def _ours(scene: Scene, drill: Drill) -> Outcome:
    result = run_drill(Course(scene, secrets.token_hex(4), lambda _: None), drill)
    return Outcome(result.service.silence, result.verdict.lost_count, result.verdict.both_seconds)


def _classic(peer: Classic, drill: Drill) -> Outcome:
    """From a fresh pair until it is at home again.

    What is lost is what the member with the address has not got, once replication has had time to bring it.
    """
    scene, run = peer.scene, secrets.token_hex(4)
    peer.begin()
    with clients.writing(scene.hosts, run, scene.members) as journal:
        time.sleep(CALM)
        fault_at = time.time()
        with drill.strike(scene):
            time.sleep(drill.lasts)
        late = _waited_for(peer)
        time.sleep(AFTER)
    seen = timeline.service(journal.measured.acks, fault_at, time.time())
    missing = _missing(peer, run, journal.acks)
    why = [*late, *([peer.replication()] if missing else [])]
    return Outcome(seen.silence, missing, both_seconds(journal.acks), "; ".join(why))


def _waited_for(peer: Classic) -> list[str]:
    """A pair that does not come home by itself is a result, too."""
    try:
        peer.wait_until_home()
    except BenchmarkError as error:
        return [str(error)]
    return []


def _missing(peer: Classic, run: str, acks: Sequence[Ack]) -> int:
    main, deadline = peer.scene.main, time.monotonic() + CATCH_UP
    while True:
        missing = lost(acks, {main: _rows(peer, main, run)})[main]
        if not missing or time.monotonic() > deadline:
            return len(missing)
        time.sleep(1.0)


def _rows(peer: Classic, main: str, run: str) -> set[tuple[str, int]]:
    """Started anew when it stands still: what is lost is not what cannot be read for a while."""
    try:
        return checking.rows(peer.scene.hosts, main, run)
    except LoginError:
        peer.restart(main)
        return checking.rows(peer.scene.hosts, main, run)


def _show(measured: Mapping[str, Tries], api: Sequence[float]) -> None:
    figures: dict[str, Callable[[Sequence[Outcome]], float]] = {
        SILENCE: lambda outcomes: statistics.median(outcome.silence for outcome in outcomes),
        LOST: lambda outcomes: sum(outcome.lost for outcome in outcomes),
        BOTH: lambda outcomes: sum(outcome.both for outcome in outcomes),
    }
    for title, figure in figures.items():
        columns = {
            name: {DRILLS[fault].what: figure(outcomes) for fault, outcomes in tries.items()}
            for name, tries in measured.items()
        }
        say.print(table(title, columns, "median" if figure is figures[SILENCE] else "sum"))
    say.print(f"of a takeover, the API's own time to move the address: {statistics.median(api):.2f} s (median)")


def _plain(measured: Mapping[str, Tries]) -> dict[str, dict[str, list[dict[str, float | str]]]]:
    return {
        name: {fault: [vars(outcome) for outcome in outcomes] for fault, outcomes in tries.items()}
        for name, tries in measured.items()
    }
