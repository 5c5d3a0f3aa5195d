"""Tell the story of one random history: `python -m tests.protocol.replay SEED`."""

from __future__ import annotations

import sys

from tests.protocol.history import NotWholeError, live, random_strikes
from tests.protocol.invariants import ViolationError


def main() -> int:
    seed = int(sys.argv[1])
    story: list[str] = []
    try:
        end = str(live(seed, random_strikes(seed), story=story))
    except (ViolationError, NotWholeError) as error:
        end = f"{type(error).__name__}: {error}"
    print("\n".join((*map(str, random_strikes(seed)), "", *story, "", end)))
    return 0 if end.startswith("Outcome") else 1


if __name__ == "__main__":
    sys.exit(main())
