"""Network namespaces of the local cloud, and `ip` inside them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from localcloud.machines.commands import inside, run
from localcloud.machines.wiring import Batch

PLACE = Path("/run/netns")

# rp_filter=1 is the provider's check of sources: whoever sends from an address must be the one it is routed to.
ROUTER_SETTINGS = (
    "net.ipv4.ip_forward=1",
    "net.ipv4.conf.all.send_redirects=0",
    "net.ipv4.conf.default.send_redirects=0",
    "net.ipv4.conf.all.rp_filter=1",
    "net.ipv6.conf.all.disable_ipv6=1",
    "net.ipv6.conf.default.disable_ipv6=1",
)


def names() -> list[str]:
    """All of them, sorted."""
    return sorted(path.name for path in PLACE.glob("m2-*"))


def numbered(prefix: str) -> frozenset[int]:
    """The numbers N of the namespaces named `prefix`N."""
    return frozenset(int(name.removeprefix(prefix)) for name in names() if name.startswith(prefix))


def add(namespace: str, *lines: str) -> None:
    """A new namespace, set up by lines of `ip -batch`."""
    run(["ip", "netns", "add", namespace])
    batch(Batch(namespace, ("link set lo up", *lines)))


def add_router(namespace: str, addresses: Sequence[str]) -> None:
    """A namespace that forwards IPv4 and answers to `addresses` on every link."""
    add(namespace)
    run(inside(namespace, "sysctl", "-qw", *ROUTER_SETTINGS))
    batch(Batch(namespace, tuple(f"addr add {address}/32 dev lo" for address in addresses)))


def delete(namespace: str) -> None:
    """Gone; no error when somebody else was faster."""
    if (PLACE / namespace).exists():
        subprocess.run(["ip", "netns", "delete", namespace], capture_output=True, check=False)


def batch(lines: Batch) -> None:
    """All lines, in order, in one process; BackendError at the first that fails."""
    run(inside(lines.namespace, "ip", "-batch", "-"), given=_text(lines))


def at_once(batches: Iterable[Batch]) -> None:
    """All namespaces side by side; a line about something that is already gone is no error."""
    running = []
    for lines in batches:
        argv = inside(lines.namespace, "ip", "-force", "-batch", "-")
        process = subprocess.Popen(argv, text=True, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        running.append((process, _text(lines)))
    for process, text in running:
        process.communicate(text)


def shown(namespace: str, *words: str) -> list[dict[str, Any]]:
    """What `ip` shows, as JSON."""
    found: list[dict[str, Any]] = json.loads(run(inside(namespace, "ip", "-json", *words)) or "[]")
    return [entry for entry in found if entry]


def _text(lines: Batch) -> str:
    return "\n".join((*lines.lines, ""))
