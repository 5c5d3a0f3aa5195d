"""The database pair of a stack, for people: how it is, and planned or forced moves.

The pair looks after itself: after a fault nobody has to do anything but read `status`. Each command says why when it
refuses.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from components.logins import LoginError
from scripts import hosts, patching
from scripts.database_pair import Look, Pair, PairError
from scripts.engines import StackError
from scripts.localcloud import LocalCloudError

MOVE_TIMEOUT = 60.0
NOT_WHOLE = 3
"""Exit code of `status` when the pair serves and is not whole, for monitoring."""

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)
say = Console(stderr=True, highlight=False)

Stack = Annotated[str, typer.Argument(help="the stack, such as full-fsn1")]
ConfigFile = Annotated[Path | None, typer.Option(help="instead of stacks/Pulumi.STACK.yaml")]
Host = Annotated[str | None, typer.Option(help="a member of the pair; needed when nobody knows who holds the database")]


@app.command()
def status(
    stack: Stack,
    config_file: ConfigFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="what both agents say, for programs")] = False,
) -> None:
    """Who holds the database, whether nothing can be lost, what is wrong. Exit code 3: it serves, and is not whole."""
    look = _pair(stack, config_file).look()
    if as_json:
        print(json.dumps({"members": look.said, "silent": look.silent, "troubles": look.troubles}, indent=2))
    else:
        for line in describe(look):
            Console(highlight=False).print(line, markup=False, soft_wrap=True)
    if look.troubles:
        raise typer.Exit(NOT_WHOLE)


@app.command()
def switchover(stack: Stack, config_file: ConfigFile = None) -> None:
    """Move the database to the other member; it stays there until `failback`."""
    _move(_pair(stack, config_file), "switchover")


@app.command()
def failback(stack: Stack, config_file: ConfigFile = None) -> None:
    """Move the database back to the main now; by itself it returns after the hold-down."""
    _move(_pair(stack, config_file), "failback")


@app.command()
def takeover(
    stack: Stack,
    config_file: ConfigFile = None,
    to: Host = None,
    accept_data_loss: Annotated[
        bool, typer.Option("--accept-data-loss", help="acknowledged writes that only the other member has are lost")
    ] = False,
) -> None:
    """Force the other member to take over: its peer is powered off through the cloud first."""
    pair = _pair(stack, config_file)
    look = pair.look()
    member = to or look.standby
    if member is None:
        raise PairError("nobody knows who holds the database: say with --to which member shall take over")
    if not accept_data_loss:
        raise PairError(
            f"this powers the other member off and makes {member} the holder with the data that it has, which may lack "
            "acknowledged writes; if that is what you want: --accept-data-loss. Without losses: scripts/pair switchover"
        )
    say.print(pair.ask(member, "takeover --accept-data-loss", timeout=120))
    _wait_for(pair, member)


@app.command()
def rejoin(stack: Stack, config_file: ConfigFile = None, member: Host = None) -> None:
    """Set aside the data of the member that is not the holder and fetch everything anew."""
    pair = _pair(stack, config_file)
    say.print(pair.ask(_needed(member or pair.look().standby), "rejoin"))


@app.command()
def pause(stack: Stack, config_file: ConfigFile = None) -> None:
    """No takeover and no failback by itself until `resume`."""
    _ask_holder(_pair(stack, config_file), "pause")


@app.command()
def resume(stack: Stack, config_file: ConfigFile = None) -> None:
    """The pair looks after itself again."""
    _ask_holder(_pair(stack, config_file), "resume")


@app.command()
def init(
    stack: Stack,
    primary: Annotated[str, typer.Option(help="the member whose data counts")],
    config_file: ConfigFile = None,
) -> None:
    """Make PRIMARY the holder where there is no record of one, such as after all quorum members were lost."""
    say.print(_pair(stack, config_file).ask(primary, "init --primary"))


@app.command()
def patch(
    stack: Stack,
    config_file: ConfigFile = None,
    reboot: Annotated[bool, typer.Option("--reboot", help="also where no upgrade asks for it")] = False,
) -> None:
    """Upgrade and reboot: the third quorum member, the backup, then after a switchover the main. Safe to run again."""
    patching.patch(_pair(stack, config_file), always_reboot=reboot, tell=lambda line: say.print(line, markup=False))


def describe(look: Look) -> Iterator[str]:
    """One look in words; the first line says what matters."""
    yield _headline(look)
    for name in look.members:
        yield f"  {name:14} {look.silent.get(name) or _member(look.said[name])}"
    addresses = {name: holder for status in look.said.values() for name, holder in status["addresses"].items()}
    for name, holder in addresses.items():
        yield f"  {'address':14} {name} -> {holder or 'nobody'}"
    for trouble in look.troubles:
        yield f"  {'trouble':14} {trouble}"


def _headline(look: Look) -> str:
    if look.record is None:
        return "no record of a holder: the pair was not born yet, or nobody answers"
    held = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(look.record["since"]))
    safe = {"SYNC": "no acknowledged write can be lost", "SINGLE": "it writes alone"}[look.record["mode"]]
    paused = ", paused" if look.record["paused"] else ""
    return f"{look.holder} holds the database since {held} UTC: {safe} (epoch {look.record['epoch']}{paused})"


def _member(status: Mapping[str, Any]) -> str:
    ready = status["ready_in"]
    could = "" if ready is None else f"; ready to take over in {ready:.0f} s"
    return f"{status['role']}: {status['sentence']}{could}"


def _move(pair: Pair, how: str) -> None:
    look = pair.look()
    holder, target = _needed(look.holder), look.standby
    began = time.monotonic()
    say.print(pair.ask(holder, how))
    _wait_for(pair, _needed(target))
    say.print(f"{target} has the database after {time.monotonic() - began:.1f} s")


def _wait_for(pair: Pair, member: str) -> None:
    pair.until(lambda look: look.holder == member, MOVE_TIMEOUT, f"{member} takes the database")


def _ask_holder(pair: Pair, words: str) -> None:
    look = pair.look()
    answering = [name for name in (look.holder, *look.said) if name in look.said]
    if not answering:
        raise PairError("; ".join(look.silent.values()))
    say.print(pair.ask(str(answering[0]), words))


def _needed(member: str | None) -> str:
    if member is None:
        raise PairError("nobody knows who holds the database; see: scripts/pair status")
    return member


def _pair(stack: str, config_file: Path | None) -> Pair:
    return Pair(hosts.of_stack(stack, config_file))


def main() -> None:
    """Ends the process."""
    try:
        app()
    except (PairError, LoginError, StackError, LocalCloudError) as error:
        say.print(str(error), style="red", markup=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
