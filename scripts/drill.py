"""Break something on a running stack on purpose, and measure from the clients' side what comes of it.

Clients write through the database's address all the while and keep a journal of what was acknowledged. In the end both
members must have all of it, must have the same tables, and must never have acknowledged at once.
"""

from __future__ import annotations

import json
import secrets
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from components.logins import LoginError
from scripts import hosts, stack
from scripts.database_pair import Pair, PairError
from scripts.drills.breaking import BreakingError, breaker
from scripts.drills.clients import ClientError
from scripts.drills.course import Course, Result, run_drill
from scripts.drills.nemesis import run_nemesis
from scripts.drills.scenes import DRILLS, Scene
from scripts.engines import StackError
from scripts.localcloud import LocalCloudError

FAILED = 1
ERRORS = (BreakingError, ClientError, LoginError, PairError, StackError, LocalCloudError)

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)
say = Console(stderr=True, highlight=False)

Stack = Annotated[str, typer.Argument(help="the stack, such as full-local")]
ConfigFile = Annotated[Path | None, typer.Option(help="instead of stacks/Pulumi.STACK.yaml")]
Yes = Annotated[bool, typer.Option("--yes", help="do not ask before breaking a real cloud's stack")]
AsJson = Annotated[bool, typer.Option("--json", help="for programs")]


@app.command("list")
def list_drills() -> None:
    """What can be broken."""
    for name, drill in DRILLS.items():
        print(f"{name:12} {drill.what}, for {drill.lasts:.0f} s")


@app.command()
def run(
    stack_name: Stack,
    name: Annotated[str, typer.Argument(metavar="DRILL", help="see `list`")],
    config_file: ConfigFile = None,
    yes: Yes = False,
    as_json: AsJson = False,
    own_return: Annotated[
        bool, typer.Option("--own-return", help="let the database return by itself, after the hold-down")
    ] = False,
) -> None:
    """One fault, its timeline and a verdict; the database is back on the main afterwards. Exit code 1: it failed."""
    if name not in DRILLS:
        raise BreakingError(f"there is no drill {name!r}; there are: {', '.join(DRILLS)}")
    scene = _scene(stack_name, config_file, yes, DRILLS[name].what)
    course = Course(scene, secrets.token_hex(4), _tell, own_return)
    _finish(run_drill(course, DRILLS[name]), as_json)


@app.command()
def nemesis(
    stack_name: Stack,
    minutes: Annotated[float, typer.Option(min=0.1, help="how long random faults strike")] = 5.0,
    seed: Annotated[int | None, typer.Option(help="the same seed is the same sequence of faults")] = None,
    config_file: ConfigFile = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Random faults, one after another and at once; then everything has to heal, and nothing may be lost."""
    chosen = secrets.randbelow(2**31) if seed is None else seed
    scene = _scene(stack_name, config_file, yes, f"random faults for {minutes:g} minutes")
    say.print(f"seed {chosen}")
    _finish(run_nemesis(Course(scene, secrets.token_hex(4), _tell), minutes * 60, chosen), as_json)


def _scene(name: str, config_file: Path | None, yes: bool, what: str) -> Scene:
    local = stack.is_on_local_cloud(name, config_file)
    if not (local or yes):
        say.print(
            f"{name} is on a real cloud: {what}. Calls go on; what cannot be stored meanwhile waits on the cores."
        )
        if not sys.stdin.isatty():
            raise BreakingError("nobody is there to ask; use --yes")
        typer.confirm("Break it?", abort=True, err=True)
    pair = Pair(hosts.of_stack(name, config_file))
    look = pair.look()
    main = look.main
    if main is None:
        raise PairError("; ".join(look.silent.values()))
    backup = next(member for member in look.members if member != main)
    third = next((host for host in pair.hosts.with_role("quorum") if host not in look.members), None)
    if third is None:
        raise BreakingError(f"{name} has no quorum: nothing takes over by itself there")
    return Scene(pair, breaker(pair.hosts, local), main, backup, third)


def _tell(line: str) -> None:
    say.print(line, markup=False, soft_wrap=True)


def _finish(result: Result, as_json: bool) -> None:
    if as_json:
        print(json.dumps({**asdict(result), "failures": result.failures}, indent=2))
    else:
        show(result, say.print)
    if result.failures:
        raise typer.Exit(FAILED)


def show(result: Result, put: Callable[[object], object]) -> None:
    """Timeline and verdict."""
    table = Table("seconds", "who", "what", title=f"{result.what}, at {_clock(result.fault_at)} UTC", box=None)
    for entry in result.timeline:
        table.add_row(f"{entry.at - result.fault_at:+.2f}", entry.who, entry.what)
    put(table)
    verdict, service = result.verdict, result.service
    put(f"longest time without a write: {service.silence:.2f} s")
    put(
        f"{verdict.acknowledged} writes acknowledged, {verdict.lost_count} of them lost; both members acknowledged for "
        f"{verdict.both_seconds:.2f} s"
    )
    for failure in result.failures:
        put(f"FAILED: {failure}")
    if not result.failures:
        put("passed: nothing lost, both members the same, never two acknowledging")


def _clock(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at))


def main() -> None:
    """Ends the process. What was broken is healed first, also when somebody ends it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        app()
    except ERRORS as error:
        say.print(str(error), style="red", markup=False, soft_wrap=True)
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
