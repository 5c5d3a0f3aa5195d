"""A stack file that is right, and what follows from it; every test changes what it is about."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date

from components.bundle import Bundle, Renderer
from components.clouds.hetzner import Hetzner
from components.plan import SitePlan
from stacks.secrets import StackSecrets
from stacks.settings import Settings, parse
from stacks.topologies import TOPOLOGIES

STACK = "full-test"
TODAY = date(2026, 11, 22)
ROOT_SECRET = "0123456789abcdef" * 4
TOKEN = "token-of-the-provider".ljust(64, "x")
SSH_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl someone"

REQUIRED: Mapping[str, object] = {
    "topology": "full",
    "region": "fsn1",
    "root_secret": ROOT_SECRET,
    "admins": {"ssh_from": ["203.0.113.7/32"], "ssh_keys": [SSH_KEY]},
}
CARRIERS = [
    {"name": "alpha", "addresses": ["192.0.2.10/32"]},
    {"name": "beta", "addresses": ["192.0.2.20/32"], "gateway": "192.0.2.20", "prefixes": ["49", "4930"]},
]
USUAL: Mapping[str, object] = {**REQUIRED, "carriers": CARRIERS, "gui_from": ["203.0.113.64/26"]}


def config(values: Mapping[str, object]) -> dict[str, str]:
    """As Pulumi hands it over: objects and lists as JSON, everything else as text."""
    return {f"m2:{key}": as_text(value) for key, value in values.items()}


def as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def settings(**changes: object) -> Settings:
    return parse(config({**USUAL, **changes}))


def plan(**changes: object) -> SitePlan:
    chosen = settings(**changes)
    return TOPOLOGIES[chosen.topology].plan(STACK, chosen)


def secrets_of(chosen: Settings) -> StackSecrets:
    return StackSecrets(chosen.root_secret, STACK, chosen.secrets_epoch, TODAY)


def renderer(**changes: object) -> Renderer:
    """With the public addresses of the documentation's network, one for each host and moving address."""
    chosen = settings(**changes)
    plan = TOPOLOGIES[chosen.topology].plan(STACK, chosen)
    public = {host.name: f"198.51.100.{host.number}" for host in plan.hosts}
    public |= {vip.name: f"198.51.100.{5 + n}" for n, vip in enumerate(plan.vips) if vip.scope == "public"}
    return Renderer(plan, secrets_of(chosen), public, Hetzner(TOKEN).platform(plan))


def bundles(**changes: object) -> dict[str, Bundle]:
    """The bundle of every host, by name."""
    rendering = renderer(**changes)
    return {host.name: rendering.bundle(host) for host in rendering.plan.hosts}
