"""Figures side by side."""

from __future__ import annotations

import pytest
from rich.console import Console

from scripts.benchmarks import table, up


def shown(columns: dict[str, dict[str, float]]) -> list[list[str]]:
    console = Console(width=200, record=True, quiet=False)
    with console.capture() as captured:
        console.print(table("bench", columns, "s"))
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in captured.get().splitlines() if "│" in line]


def test_each_peer_has_its_figures_and_a_ratio_to_the_first() -> None:
    rows = shown({"embedded": {"up": 20.0, "preview": 1.0}, "CLI": {"up": 25.0, "more": 3.0}})
    assert rows == [["up", "20.00", "25.00", "1.25"], ["preview", "1.00", "-", "-"], ["more", "-", "3.00", "-"]]


def test_without_a_peer_there_are_no_ratios() -> None:
    assert shown({"embedded": {"up": 20.0}}) == [["up", "20.00"]]


def test_growth_is_of_servers_and_of_time() -> None:
    growth = up._growth({"up, 2 cores": 20.0, "up, 4 cores": 24.0, "up, 8 cores": 30.0})
    assert growth == {"servers": pytest.approx(13 / 7), "time of up": pytest.approx(1.5)}


def test_phases_are_read_from_what_the_engine_has_written() -> None:
    made = [
        {"custom": True, "type": "pulumi:providers:hcloud", "created": "2026-01-01T00:00:00Z"},
        {"custom": False, "type": "m2:index:Site", "created": "2026-01-01T00:00:01Z"},
        {"custom": True, "type": "hcloud:index/network:Network", "created": "2026-01-01T00:00:02.5Z"},
        {"custom": True, "type": "hcloud:index/server:Server", "created": "2026-01-01T00:00:04.123456789Z"},
    ]
    began = up._seconds(made, "", min)
    assert up._seconds(made, "hcloud:index/server:Server", max) - began == pytest.approx(1.623456, abs=1e-5)
