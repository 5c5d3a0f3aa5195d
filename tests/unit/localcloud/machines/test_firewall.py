"""The cloud's firewall as nft rules."""

from __future__ import annotations

import re

import pytest

from localcloud.backend import FirewallRule, World
from localcloud.machines.firewall import match, render

ANYWHERE = ("0.0.0.0/0",)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (FirewallRule("tcp", "22", ANYWHERE), "meta nfproto ipv4 tcp dport 22"),
        (FirewallRule("udp", "16384-32768", ("192.0.2.0/24",)), "ip saddr { 192.0.2.0/24 } udp dport 16384-32768"),
        (FirewallRule("tcp", None, ("192.0.2.1/32",)), "ip saddr { 192.0.2.1/32 } meta l4proto tcp"),
        (FirewallRule("icmp", None, ANYWHERE), "meta nfproto ipv4 ip protocol icmp"),
        (FirewallRule("gre", None, ("10.0.0.0/8",)), "ip saddr { 10.0.0.0/8 } ip protocol gre"),
    ],
)
def test_match(rule: FirewallRule, text: str) -> None:
    assert match(rule) == text


def test_overlapping_sources_are_merged() -> None:
    rule = FirewallRule("tcp", "22", ("10.1.0.0/16", "10.0.0.0/8", "192.0.2.0/25", "192.0.2.128/25"))
    assert match(rule) == "ip saddr { 10.0.0.0/8, 192.0.2.0/24 } tcp dport 22"


def test_a_firewall_without_rules_drops_everything() -> None:
    assert chain(render(World(inbound=((4, ()),))), "p4") == ["drop"]


def test_a_server_without_a_firewall_is_not_mentioned() -> None:
    assert "p4" not in render(World())


def test_each_server_has_its_own_rules() -> None:
    rules = render(World(inbound=((4, (FirewallRule("tcp", "22", ANYWHERE),)), (5, ()))))
    assert chain(rules, "p4") == ["meta nfproto ipv4 tcp dport 22 accept", "drop"]
    assert chain(rules, "p5") == ["drop"]
    assert 'oifname "p4" goto p4' in rules and 'oifname "p5" goto p5' in rules


def test_rules_replace_those_before_in_one_step() -> None:
    assert render(World()).startswith("table inet cloud\ndelete table inet cloud\ntable inet cloud {\n")


def chain(rules: str, name: str) -> list[str]:
    found = re.search(rf"chain {name} {{\n(.*?)\n\t}}", rules, re.DOTALL)
    assert found
    return [line.strip() for line in found.group(1).splitlines()]
