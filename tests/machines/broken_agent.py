"""The agent without precautions: `python3 broken_agent.py NAME...` takes the named ones away and runs what is left.

Sent to hosts, which have `failover` and no tests. It hangs as it begins a bid if the file `HANGS` is there: no fault
from outside strikes in just that moment.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from failover import agent
from failover.etcd import Etcd
from failover.facts import Seen, State, Swap
from failover.hands import Hands
from failover.mariadb import Status
from failover.record import Record

HANGS = Path("/run/m2/agent-hangs-before-its-bid")

sound_swap, sound_hands_swap = Etcd.swap, Hands._swap


def fence() -> None:
    """Nothing is killed and nobody is kept out."""
    patch.object(Hands, "fence_off", lambda hands: None).start()


def comparison() -> None:
    """A bid puts the record, whatever stands there by now."""

    def swap(etcd: Etcd, record: Record, revision: int, timeout: float, alive: int | None = None) -> bool:
        if alive is None:
            return sound_swap(etcd, record, revision, timeout)
        etcd._txn([], [etcd._put("record", record.to_json())], [], timeout)
        return True

    patch.object(Etcd, "swap", swap).start()


def catching_up() -> None:
    """The holder hands over, and the other opens, before everything has been applied there."""
    patch("failover.holder.gtid_covers", lambda have, want: True).start()


def fitness() -> None:
    """In SYNC everybody may bid, whatever became of what was received."""

    def fitness(state: State, seen: Seen, database: Status, record: Record, now: float) -> State:
        return replace(state, fit=seen.instance)

    patch("failover.follower._fitness", fitness).start()


def only_client() -> None:
    """Whoever acknowledges is taken for the backup."""
    patch("failover.holder._has_stranger", lambda database: False).start()


PRECAUTIONS: dict[str, Callable[[], None]] = {
    precaution.__name__: precaution for precaution in (fence, comparison, catching_up, fitness, only_client)
}


def can_hang() -> None:
    """Once, in front of the bid that is about to be sent."""

    def swap(hands: Hands, swap: Swap) -> None:
        if swap.alive and HANGS.exists():
            HANGS.unlink()
            os.kill(os.getpid(), signal.SIGSTOP)
        sound_hands_swap(hands, swap)

    patch.object(Hands, "_swap", swap).start()


if __name__ == "__main__":
    can_hang()
    for name in sys.argv[1:]:
        PRECAUTIONS[name]()
    sys.exit(agent.main())
