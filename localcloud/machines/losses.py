"""Packets that are lost on purpose, as nft rules of the routers: every packet between two machines passes one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from localcloud.backend import Loss, Place
from localcloud.machines.firewall import API, templates
from localcloud.machines.wiring import ROUTER, private_device, public_device

EVERYTHING = "everything"


@dataclass(frozen=True)
class Rule:
    """An nft match for packets of one chain, and how many of them it is about."""

    chain: Literal["arriving", "passing", "leaving"]
    match: str
    chance: str


def render(losses: Iterable[Loss], router: str) -> str:
    """The complete rules of one router; loading them replaces those before in one step."""
    public = router == ROUTER
    rules = [_rule(loss, public_device if public else private_device) for loss in losses if public or not _of_api(loss)]
    return templates.get_template("losses.nft.j2").render(rules=rules)


def _of_api(loss: Loss) -> bool:
    """The API is beyond the public router."""
    return "api" in (loss.source, loss.destination)


def _rule(loss: Loss, device: Callable[[int], str]) -> Rule:
    chance = "" if loss.percent == 100 else f" numgen random mod 100 < {loss.percent}"
    if loss.source == EVERYTHING:
        return Rule("leaving", _to(loss.destination, device), chance)
    if loss.destination == EVERYTHING:
        return Rule("arriving", _from(loss.source, device), chance)
    return Rule("passing", f"{_from(loss.source, device)} {_to(loss.destination, device)}", chance)


def _from(place: Place, device: Callable[[int], str]) -> str:
    if isinstance(place, int):
        return f'iifname "{device(place)}"'
    return f'iifname "host" ip saddr {API[0]} tcp sport {API[1]}'


def _to(place: Place, device: Callable[[int], str]) -> str:
    if isinstance(place, int):
        return f'oifname "{device(place)}"'
    return f'oifname "host" ip daddr {API[0]} tcp dport {API[1]}'
