"""Packets that are lost on purpose, as rules of each router."""

from __future__ import annotations

import pytest

from localcloud.backend import Loss
from localcloud.machines.losses import render

PRIVATE, PUBLIC = "m2-net-7", "m2-cloud"


@pytest.mark.parametrize(
    ("loss", "router", "chain", "rule"),
    [
        (Loss(1, 2, 100), PRIVATE, "passing", 'iifname "n1" oifname "n2" drop'),
        (Loss(1, 2, 100), PUBLIC, "passing", 'iifname "p1" oifname "p2" drop'),
        (Loss(1, 2, 30), PRIVATE, "passing", 'iifname "n1" oifname "n2" numgen random mod 100 < 30 drop'),
        (Loss(1, "everything", 100), PRIVATE, "arriving", 'iifname "n1" drop'),
        (Loss("everything", 1, 5), PUBLIC, "leaving", 'oifname "p1" numgen random mod 100 < 5 drop'),
        (
            Loss(1, "api", 100),
            PUBLIC,
            "passing",
            'iifname "p1" oifname "host" ip daddr 100.64.255.1 tcp dport 8080 drop',
        ),
        (
            Loss("api", 1, 100),
            PUBLIC,
            "passing",
            'iifname "host" ip saddr 100.64.255.1 tcp sport 8080 oifname "p1" drop',
        ),
    ],
)
def test_a_rule_for_each_loss(loss: Loss, router: str, chain: str, rule: str) -> None:
    assert rules(render([loss], router)) == {chain: [rule]}


def test_the_way_to_the_api_is_no_private_one() -> None:
    assert rules(render([Loss(1, "api", 100), Loss("api", 1, 100)], PRIVATE)) == {}


def test_without_losses_the_table_goes() -> None:
    assert render([], PRIVATE).split("\n") == ["table inet losses", "delete table inet losses"]


def rules(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    chain = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("chain "):
            chain = line.split()[1]
        if line.endswith("drop"):
            found.setdefault(chain, []).append(line)
    return found
