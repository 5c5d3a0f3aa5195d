"""The cores of a stack, for people: out of service and back without losing a call.

A drained core gets no new calls; those that it has go on. `scripts/stack up` drains by itself before it removes or
rebuilds a core.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from components.logins import LoginError
from scripts import hosts
from scripts.engines import StackError
from scripts.localcloud import LocalCloudError

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)
say = Console(stderr=True, highlight=False)

Stack = Annotated[str, typer.Argument(help="the stack, such as full-fsn1")]
Name = Annotated[str, typer.Argument(help="the core, such as core-2")]
ConfigFile = Annotated[Path | None, typer.Option(help="instead of stacks/Pulumi.STACK.yaml")]


@app.command()
def drain(
    stack: Stack,
    core: Name,
    config_file: ConfigFile = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="until it has no call and no record; Ctrl-C only stops waiting")
    ] = False,
) -> None:
    """No new calls to CORE, also after a restart of it."""
    known = _core(stack, core, config_file)
    known.logins.output(core, "sudo m2-drain on")
    say.print(f"{core} gets no new calls; undo it with: scripts/core undrain {stack} {core}", markup=False)
    if wait and subprocess.run(known.logins.words(core, "sudo m2-drain wait"), check=False).returncode:
        raise LoginError(f"{core} still has records that could not be shipped")


@app.command()
def undrain(stack: Stack, core: Name, config_file: ConfigFile = None) -> None:
    """New calls to CORE again."""
    _core(stack, core, config_file).logins.output(core, "sudo m2-drain off")
    say.print(f"{core} gets new calls", markup=False)


def _core(stack: str, core: str, config_file: Path | None) -> hosts.Hosts:
    known = hosts.of_stack(stack, config_file)
    if core not in known.with_role("core"):
        raise LoginError(f"{stack} has no core {core!r}; it has {', '.join(known.with_role('core'))}")
    return known


def main() -> None:
    """Ends the process."""
    try:
        app()
    except (StackError, LoginError, LocalCloudError) as error:
        say.print(str(error), style="red", markup=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
