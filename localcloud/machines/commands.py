"""Programs of the host that the backend runs."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from localcloud.backend import BackendError


def run(argv: Sequence[str], given: str | None = None) -> str:
    """Standard output of a finished program; BackendError with its own words when it fails or is missing."""
    try:
        done = subprocess.run(argv, input=given, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise BackendError(f"this host has no {argv[0]}; scripts/localcloud up installs what is needed") from None
    if done.returncode:
        words = (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
        raise BackendError(f"{' '.join(argv)}: {words}")
    return done.stdout


def inside(namespace: str, *argv: str) -> list[str]:
    """The same program in a network namespace; unlike `ip netns exec` it leaves /sys alone."""
    return ["nsenter", f"--net=/run/netns/{namespace}", "--", *argv]
