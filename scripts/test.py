"""All tests: style and types, the pure parts, and whole stacks on real machines on this one.

The machines run in a network of their own: a local cloud that is up here is left alone.
"""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Annotated

import typer
from rich.console import Console

from localcloud.machines import image
from scripts import localcloud

PROJECT = localcloud.PROJECT
PYTHON = sys.executable
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
    for words in STATIC:
        _run(" ".join(words), [PYTHON, "-m", *words])
    _run("unit tests", [PYTHON, "-m", "pytest", "-q", "tests/unit"])
    _run("protocol tests", [PYTHON, "-m", "pytest", "-q", "tests/protocol"])
    if quick:
        return
    localcloud.require_packages(PACKAGES, say.print)
    image.build(lambda stage: say.print(f"image of the machines (once): {stage}"))
    sandbox = str(PROJECT / "tests" / "machines" / "sandbox")
    _run("machines tests", [sandbox, PYTHON, "-m", "pytest", "-q", "tests/machines"])


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
