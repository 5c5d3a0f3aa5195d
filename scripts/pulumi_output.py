"""What the pulumi CLI prints, less what a person cannot use."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

NOISE = re.compile(r"warning: (using pulumi-\S+ from \$PATH|resource plugin \S+ is expected to have version)")
APPLY = re.compile(r'running "sudo python3 -.*?(?<!\\)":')
"""A failed Command quotes its whole text, which for an apply is one entry a file."""

ECHOES = ("error: update failed", "error: preview failed", "error: an unhandled error occurred")
HEADINGS = ("Outputs:", "Resources:", "Policies:", "Duration:")


def without_noise(lines: Iterable[str]) -> Iterator[str]:
    """Without plug-ins on PATH, without Python's tracebacks around the one good sentence, and apply in short."""
    in_traceback = False
    for line in lines:
        if "Traceback (most recent call last)" in line:
            in_traceback = True
        elif in_traceback and line.strip() and not line.startswith((" " * 6, "\t")):
            in_traceback = False
        if not in_traceback and not NOISE.search(line):
            yield APPLY.sub("apply:", line)


def failures(lines: Iterable[str]) -> list[str]:
    """What went wrong, each once: the sentences under `Diagnostics:`, with the resource that they are about."""
    found: dict[str, None] = {}
    about = ""
    for line in _diagnostics(lines):
        heading = re.fullmatch(r"\s*\S+ \((.+)\):", line)
        text = line.strip()
        if heading:
            about = f"{heading[1]}: "
        elif text and not text.startswith(("warning:", *ECHOES)):
            found[f"{about}{text.removeprefix('error: ')}"] = None
    return list(found)


def _diagnostics(lines: Iterable[str]) -> Iterator[str]:
    inside = False
    for line in lines:
        if line.startswith("Diagnostics:"):
            inside = True
        elif line.startswith(HEADINGS):
            inside = False
        elif inside:
            yield line.rstrip()
