"""From nothing to the first answered call, phase by phase: the embedded engine and, where it is on PATH, the CLI."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from localcloud.engine.run import Request
from scripts import calls, local_stack, localcloud
from scripts.benchmarks import BenchmarkError, apart, say, table
from scripts.engines import Embedded, Engine, choose
from scripts.local_stack import STACK
from scripts.stack import use_local_cloud

PLUGINS = ("pulumi", "pulumi-resource-hcloud", "pulumi-resource-command")
SIZES = (2, 4, 8)
"""Cores."""

OTHER_SERVERS = 5
"""Of the topology `full`: two balancers, two databases, a GUI."""

FIRST_CALL_DEADLINE_S = 120.0
PHASES = {
    "until the first resource": ("", min),
    "until all servers": ("hcloud:index/server:Server", max),
    "until all roles": ("command:remote:Command", max),
}
"""Parts of an up: when the first, or the last, resource of a type was made, as the state has it."""

Figures = dict[str, float]


@dataclass
class Course:
    """One engine's way through the benchmark; `seconds` by what was done."""

    engine: Engine
    file: Path
    seconds: Figures

    def timed(self, what: str, work: Callable[[], Any]) -> float:
        began = time.monotonic()
        work()
        self.seconds[what] = time.monotonic() - began
        say.print(f"  {what}: {self.seconds[what]:.1f} s", markup=False)
        return self.seconds[what]

    def set_cores(self, cores: int) -> None:
        local_stack.change(self.file, cores=cores)

    def up(self, cores: int) -> None:
        """From an empty stack."""
        self.set_cores(cores)
        began = time.time()
        self.timed(_up(cores), lambda: self.engine.up(say))
        made = _made()
        for phase, (type_, which) in PHASES.items():
            self.seconds[f"  {phase}, {cores} cores"] = _seconds(made, type_, which) - began

    def first_call(self) -> float:
        address = self.engine.outputs(show_secrets=True)["sip_address"]
        with calls.callee():
            return self.timed("from there to the first answered call", lambda: _wait_for_call(address))


def main(
    as_json: Annotated[bool, typer.Option("--json", help="the figures as JSON on standard output")] = False,
) -> None:
    """How long a whole cluster takes: local cloud, stack, first call, a run without changes, 2, 4 and 8 cores."""
    apart("sip-tester")
    measured = {name: _run(name, engine) for name, engine in _engines().items()}
    say.print(table("bench up", measured, "s"))
    growth = {name: _growth(figures) for name, figures in measured.items()}
    say.print(table(f"{SIZES[-1]} cores against {SIZES[0]}", growth, "times"))
    if as_json:
        print(json.dumps({"seconds": measured, "growth": growth}, indent=2))


def _engines() -> dict[str, Callable[[Path], Engine]]:
    """Each made from the stack's file."""
    missing = [name for name in PLUGINS if not shutil.which(name)]
    if missing:
        say.print(f"without the pulumi CLI as a peer: not on PATH: {', '.join(missing)}")
    return {"embedded": _embedded} if missing else {"embedded": _embedded, "CLI": _cli}


def _embedded(file: Path) -> Engine:
    return Embedded(Request(localcloud.PROJECT, STACK, file))


def _cli(file: Path) -> Engine:
    return choose(localcloud.PROJECT, STACK, file, local=True)


def _run(name: str, make: Callable[[Path], Engine]) -> Figures:
    """All of it on a new local cloud, which is gone afterwards."""
    say.rule(name, align="left")
    file = localcloud.STATE.parent / f"Pulumi.{STACK}.yaml"
    file.unlink(missing_ok=True)
    seconds: Figures = {}
    try:
        began = time.monotonic()
        localcloud.up(lambda _: None)
        seconds["local cloud"] = time.monotonic() - began
        local_stack.ensure(file)
        use_local_cloud()
        _measure(Course(make(file), file, seconds))
    finally:
        localcloud.down()
    return seconds


def _measure(course: Course) -> None:
    smallest, *larger = SIZES
    course.up(smallest)
    course.first_call()
    parts = ("local cloud", _up(smallest), "from there to the first answered call")
    course.seconds["zero to the first answered call"] = sum(course.seconds[part] for part in parts)
    course.timed("preview without changes", course.engine.preview)
    course.timed("up without changes", lambda: course.engine.up(say))
    course.timed("destroy", lambda: course.engine.destroy(say))
    for size in larger:
        course.up(size)
        course.engine.destroy(say)


def _wait_for_call(sip_address: str) -> None:
    deadline = time.monotonic() + FIRST_CALL_DEADLINE_S
    while calls.make(sip_address, 1, 1, talk=0.0, timeout=4.0).answered == 0:
        if time.monotonic() > deadline:
            raise BenchmarkError(f"no call was answered for {FIRST_CALL_DEADLINE_S:.0f} s")


def _growth(seconds: Mapping[str, float]) -> Figures:
    first, last = SIZES[0], SIZES[-1]
    return {
        "servers": (OTHER_SERVERS + last) / (OTHER_SERVERS + first),
        "time of up": seconds[_up(last)] / seconds[_up(first)],
    }


def _up(cores: int) -> str:
    return f"up, {cores} cores"


def _made() -> list[dict[str, Any]]:
    folder = Path(localcloud.environment()["PULUMI_BACKEND_URL"].removeprefix("file://"))
    state = json.loads((folder / ".pulumi" / "stacks" / "m2" / f"{STACK}.json").read_text())
    return list(state["checkpoint"]["latest"]["resources"])


def _seconds(made: Iterable[Mapping[str, Any]], type_: str, which: Callable[[Iterable[float]], float]) -> float:
    """Since the epoch, of what a provider has made."""
    ours = (r for r in made if r["custom"] and not r["type"].startswith("pulumi:") and r["type"].startswith(type_))
    return which(datetime.fromisoformat(r["created"]).timestamp() for r in ours)
