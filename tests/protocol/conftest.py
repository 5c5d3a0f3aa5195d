"""How many histories, and which."""

from __future__ import annotations

import pytest

HISTORIES = 300


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("protocol")
    group.addoption("--histories", type=int, default=HISTORIES, help="how many random histories (default: %(default)s)")
    group.addoption("--seed", type=int, default=None, help="only the random history of this seed, with its story")
    group.addoption("--from-seed", type=int, default=0, help="seed of the first random history")
