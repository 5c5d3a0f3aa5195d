"""Preview, bring up, look at and destroy a stack.

With the pulumi CLI where it is installed; else, for stacks on the local cloud, with the embedded engine.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console

from components.release import ACCEPT_DEGRADED
from scripts import report
from scripts.engines import Engine, StackError, choose
from scripts.localcloud import LocalCloudError, environment, is_local

PROJECT = Path(__file__).parent.parent
CHANGES = 7
"""Exit code of a preview that was to find none, as the pulumi CLI's."""

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)
say = Console(stderr=True, highlight=False)

Name = Annotated[str, typer.Argument(help="the stack, such as full-fsn1")]
ConfigFile = Annotated[Path | None, typer.Option(help="instead of stacks/Pulumi.STACK.yaml")]
Yes = Annotated[bool, typer.Option("--yes", help="do not ask")]


@app.command()
def preview(
    stack: Name,
    config_file: ConfigFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="the plan as `pulumi preview --json`")] = False,
    expect_no_changes: Annotated[bool, typer.Option(help=f"exit {CHANGES} when there are changes")] = False,
) -> None:
    """Say what `up` would change; nothing is touched."""
    plan = _engine(stack, config_file).preview()
    if as_json:
        print(json.dumps(plan, indent=2))
    else:
        _show(plan)
    if expect_no_changes and report.has_changes(plan):
        raise typer.Exit(CHANGES)


@app.command()
def up(
    stack: Name,
    config_file: ConfigFile = None,
    yes: Yes = False,
    accept_degraded: Annotated[
        bool, typer.Option("--accept-degraded", help="change a database host although its pair is not whole: a repair")
    ] = False,
) -> None:
    """Make the stack what its settings say. A half-finished one can simply be run again."""
    if accept_degraded:
        os.environ[ACCEPT_DEGRADED] = "1"
    bring_up(stack, config_file, None if yes else lambda: _confirm(f"Bring {stack} up?"))
    _show_outputs(read_outputs(stack, config_file, show_secrets=False))


@app.command()
def destroy(stack: Name, config_file: ConfigFile = None, yes: Yes = False) -> None:
    """Delete everything of the stack; a protected one refuses before anything is deleted."""
    engine = _engine(stack, config_file)
    if not yes:
        _confirm(f"Delete everything of {stack}?")
    engine.destroy(say)


@app.command()
def outputs(
    stack: Name,
    config_file: ConfigFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
    show_secrets: Annotated[bool, typer.Option(help="in plain text")] = False,
) -> None:
    """Addresses, the GUI's URL and login."""
    values = read_outputs(stack, config_file, show_secrets)
    if as_json:
        print(json.dumps(values, indent=2))
    else:
        _show_outputs(values)


def bring_up(stack: str, config_file: Path | None = None, confirm: Callable[[], None] | None = None) -> None:
    """Preview, and when something changes show it and ask, if there is whom to ask, and do it. Raises StackError."""
    engine = _engine(stack, config_file)
    plan = engine.preview()
    if confirm and report.has_changes(plan):
        _show(plan)
        confirm()
    else:
        _warn(plan)
        say.print(report.summary(plan))
    if report.has_changes(plan):
        engine.up(say)


def read_outputs(stack: str, config_file: Path | None = None, show_secrets: bool = True) -> dict[str, Any]:
    """The stack's outputs. Raises StackError."""
    return _engine(stack, config_file).outputs(show_secrets)


def is_on_local_cloud(stack: str, config_file: Path | None = None) -> bool:
    """Whether the stack's machines are this machine's. Raises StackError for a stack without settings."""
    file = config_file or PROJECT / "stacks" / f"Pulumi.{stack}.yaml"
    if not file.exists():
        raise StackError(f'{stack}: there is no {file}; README.md, "A real deployment", says how to make one')
    return is_local(_endpoint(file))


def _engine(stack: str, config_file: Path | None) -> Engine:
    local = is_on_local_cloud(stack, config_file)
    if local:
        use_local_cloud()
    return choose(PROJECT, stack, config_file, local)


def use_local_cloud() -> None:
    """Point this process's Pulumi at the local cloud. Raises LocalCloudError when it was never brought up."""
    os.environ.pop("PULUMI_CONFIG_PASSPHRASE", None)
    os.environ.update(environment())


def _endpoint(file: Path) -> str:
    config = (yaml.safe_load(file.read_text()) or {}).get("config") or {}
    return str(config.get("hcloud:endpoint") or os.environ.get("HCLOUD_ENDPOINT", ""))


def _warn(plan: report.Plan) -> None:
    for sentence in report.warnings(plan):
        say.print(sentence, style="yellow", markup=False, soft_wrap=True)


def _show(plan: report.Plan) -> None:
    for line in report.lines(plan):
        say.print(line, markup=False, soft_wrap=True)
    _warn(plan)
    say.print(report.summary(plan))


def _show_outputs(values: dict[str, Any]) -> None:
    """One line a value; what has many, like a certificate, is for `--json`."""
    for name, value in sorted(values.items()):
        parts = sorted(value.items()) if isinstance(value, dict) else [("", value)]
        for part, text in parts:
            first, *more = str(text).splitlines() if isinstance(text, str | int) else ["", ""]
            say.print(f"  {f'{name} {part}'.strip():24} {first}{' ...' if more else ''}", markup=False, soft_wrap=True)


def _confirm(question: str) -> None:
    if not sys.stdin.isatty():
        raise StackError("nobody is there to ask; use --yes")
    typer.confirm(question, abort=True, err=True)


def main() -> None:
    """Ends the process."""
    try:
        app()
    except (StackError, LocalCloudError) as error:
        say.print(str(error), style="red", markup=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
