"""The cloud's firewall for public traffic, as the nft rules of the public router."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from localcloud.backend import FirewallRule, World
from localcloud.machines.wiring import public_device

METADATA = "169.254.169.254"
API = ("100.64.255.1", 8080)
"""Where the cloud's API listens: this host's end of the link to the public router."""

templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "files"),
    undefined=StrictUndefined,
    autoescape=False,  # noqa: S701 - nft rules, not HTML
)


@dataclass(frozen=True)
class Guarded:
    """A server with a firewall: its public device and the nft matches of what may come in."""

    device: str
    matches: tuple[str, ...]


def render(world: World) -> str:
    """The complete rules; loading them replaces those before in one step."""
    guarded = [Guarded(public_device(server_id), tuple(map(match, rules))) for server_id, rules in world.inbound]
    return templates.get_template("firewall.nft.j2").render(guarded=guarded, metadata=METADATA, api=API)


def match(rule: FirewallRule) -> str:
    """The nft match of one inbound rule."""
    if rule.protocol in ("tcp", "udp"):
        destination = f"{rule.protocol} dport {rule.ports}" if rule.ports else f"meta l4proto {rule.protocol}"
    else:
        destination = f"ip protocol {rule.protocol}"
    return f"{_from(rule.sources)} {destination}"


def _from(sources: Iterable[str]) -> str:
    """Overlapping sources are merged because nft refuses them in one set."""
    networks = list(ipaddress.collapse_addresses(map(ipaddress.IPv4Network, sources)))
    if networks == [ipaddress.IPv4Network("0.0.0.0/0")]:
        return "meta nfproto ipv4"
    return "ip saddr { " + ", ".join(map(str, networks)) + " }"
