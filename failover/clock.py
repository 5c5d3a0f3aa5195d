"""The clock by which all waiting is done: it goes on while the machine sleeps, and nobody sets it."""

from __future__ import annotations

import time


def now() -> float:
    """Seconds of CLOCK_BOOTTIME (clock_gettime(2)); comparable on one host, from one boot to the next."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
