"""What benchmarks share: a host of their own, and figures side by side."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from localcloud.machines import image
from scripts import localcloud

SANDBOX = localcloud.PROJECT / "tests" / "machines" / "sandbox"
INSIDE = "M2_BENCHMARK"

say = Console(stderr=True, highlight=False)


class BenchmarkError(Exception):
    """It could not be measured; one sentence."""


def packages_for_machines(wanted: Sequence[str]) -> Path:
    """Where `apart` has put these packages as files, with what they need."""
    return image.CACHE / f"packages-{'-'.join(sorted(wanted))}"


def apart(*packages: str, for_machines: Sequence[str] = ()) -> None:
    """Go on as root in a host of its own, from the beginning, with these Debian packages and the machines' image.

    The network ends here, so packages `for_machines` are fetched before. Raises LocalCloudError, BackendError.
    """
    if os.environ.get(INSIDE):
        return
    localcloud.become_root("bench")
    localcloud.require_packages([*localcloud.HOST_PACKAGES, *packages], say.print)
    image.build(lambda stage: say.print(f"image of the machines (once): {stage}"))
    if for_machines:
        image.fetch(for_machines, packages_for_machines(for_machines))
    words = [str(SANDBOX), sys.executable, "-m", "scripts.bench", *sys.argv[1:]]
    os.execve(words[0], words, {**os.environ, INSIDE: "1"})  # noqa: S606


def table(title: str, columns: Mapping[str, Mapping[str, float]], unit: str) -> Table:
    """One row a figure, one column a peer, and how each peer compares with the first of them."""
    first, *others = columns
    shown = Table("", *(f"{name} [{unit}]" for name in columns), *(f"{name} / {first}" for name in others), title=title)
    for row in _rows(columns):
        figures = [columns[name].get(row) for name in columns]
        ratios = [_ratio(figure, figures[0]) for figure in figures[1:]]
        shown.add_row(row, *("-" if figure is None else f"{figure:.2f}" for figure in figures), *ratios)
    return shown


def _rows(columns: Mapping[str, Mapping[str, float]]) -> Sequence[str]:
    return list(dict.fromkeys(row for figures in columns.values() for row in figures))


def _ratio(figure: float | None, reference: float | None) -> str:
    return f"{figure / reference:.2f}" if figure is not None and reference else "-"
