"""The stacks that a change touches, as JSON: `existing` for a preview each, and `all` with those that it removes.

A changed stack file touches its stack; a change to the program touches all of them; one to anything else, such as
tests or documentation, none. Stacks of the local cloud are nobody's money and left out.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

PROJECT = Path(__file__).parent.parent
STACK_FILE = re.compile(r"stacks/Pulumi\.([a-z0-9][a-z0-9.-]*)\.yaml")
LOCAL = "-local"
PROGRAM = ("__main__.py", "Pulumi.yaml", "components/", "failover/", "requirements.txt", "roles/", "stacks/")

say = Console(stderr=True, highlight=False)


def touched(files: Iterable[str], stacks: Iterable[str]) -> dict[str, list[str]]:
    """What a change of these paths of the repository touches; `stacks` exist after it."""
    matches = {file: STACK_FILE.fullmatch(file) for file in files}
    program = any(match is None and file.startswith(PROGRAM) for file, match in matches.items())
    existing = set(stacks)
    named = {match[1] for match in matches.values() if match} | (existing if program else set())
    billed = sorted(stack for stack in named if not stack.endswith(LOCAL))
    return {"existing": [stack for stack in billed if stack in existing], "all": billed}


def stacks_of(project: Path) -> list[str]:
    """Stacks that have a file whose name is one that a stack may have."""
    names = (f"stacks/{file.name}" for file in (project / "stacks").glob("Pulumi.*.yaml"))
    return [match[1] for name in names if (match := STACK_FILE.fullmatch(name))]


def main(baseline: Annotated[str, typer.Argument(help="the commit to compare with")]) -> None:
    words = ["git", "-C", str(PROJECT), "diff", "--name-only", baseline, "--"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        say.print(f"{baseline}: {done.stderr.strip()}", style="red", markup=False)
        sys.exit(1)
    print(json.dumps(touched(done.stdout.splitlines(), stacks_of(PROJECT))))


def run() -> None:
    """Ends the process."""
    app = typer.Typer(add_completion=False)
    app.command(help=__doc__)(main)
    app()


if __name__ == "__main__":
    run()
