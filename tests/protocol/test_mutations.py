"""Builds that are broken on purpose are found out in a few histories, which do not accuse the sound one."""

from __future__ import annotations

import pytest

from tests.protocol.history import NotWholeError, live, random_strikes
from tests.protocol.invariants import ViolationError
from tests.protocol.mutations import MUTATIONS, Mutation

HISTORIES = 150


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_broken_build_is_found_out(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    mutation.patch(monkeypatch)
    seed = next((seed for seed in range(HISTORIES) if _violates(seed, mutation)), None)
    assert seed is not None, f"{HISTORIES} histories with {mutation.name} and no violation"
    monkeypatch.undo()
    live(seed, random_strikes(seed, *mutation.situations))


def _violates(seed: int, mutation: Mutation) -> bool:
    try:
        live(seed, random_strikes(seed, *mutation.situations), mutation.build)
    except ViolationError:
        return True
    except NotWholeError:
        return False
    return False
