"""All tests: style and types, the pure parts, and whole stacks on real machines on this one.

The machines run in a network of their own: a local cloud that is up here is left alone.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from typing import Annotated

import typer
from rich.console import Console

from localcloud.machines import image
from scripts import localcloud

PROJECT = localcloud.PROJECT
PYTEST = (sys.executable, "-m", "pytest", "-q")
SANDBOX = str(PROJECT / "tests" / "machines" / "sandbox")
PAIR = "tests/machines/test_database_pair.py"
LOAD = "tests/machines/test_under_load.py"
PACKAGES = (*localcloud.HOST_PACKAGES, "sip-tester", "chromium", "graphviz")
STATIC = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy", "."),
)

say = Console(stderr=True, highlight=False)


def main(quick: Annotated[bool, typer.Option("--quick", help="no machines, no root: a few minutes")] = False) -> None:
    if not quick:
        localcloud.become_root("test")
        localcloud.require_packages(PACKAGES, say.print)
    for words in STATIC:
        _run(" ".join(words), [sys.executable, "-m", *words])
    _run("unit tests", [*PYTEST, "tests/unit"])
    _run("protocol tests", [*PYTEST, "tests/protocol"])
    if not quick:
        image.build(lambda stage: say.print(f"image of the machines (once): {stage}"))
        _run_machines()


def _run_machines() -> None:
    """In two hosts of their own at once, as those of the database pair mostly wait for a takeover; load comes alone."""
    with tempfile.TemporaryFile("w+") as said:
        pair = subprocess.Popen([SANDBOX, *PYTEST, PAIR], cwd=PROJECT, stdout=said, stderr=subprocess.STDOUT)
        try:
            _run("machines tests", [SANDBOX, *PYTEST, "tests/machines", f"--ignore={PAIR}", f"--ignore={LOAD}"])
        finally:
            code = pair.wait()
            said.seek(0)
            say.rule("machines tests of the database pair", align="left")
            print(said.read(), flush=True)
    if code:
        raise typer.Exit(code)
    _run("machines tests under load", [SANDBOX, *PYTEST, "-s", LOAD])


def _run(what: str, words: list[str]) -> None:
    say.rule(what, align="left")
    began = time.monotonic()
    code = subprocess.run(words, cwd=PROJECT, check=False).returncode
    say.print(f"{what}: {'passed' if code == 0 else 'failed'} after {time.monotonic() - began:.0f} s")
    if code:
        raise typer.Exit(code)


if __name__ == "__main__":
    try:
        typer.run(main)
    except localcloud.LocalCloudError as error:
        say.print(str(error), style="red", markup=False)
        sys.exit(1)
