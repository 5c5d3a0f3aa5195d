"""The quorum, from one of its hosts: `python3 -m failover.quorum COMMAND`.

    lock OWNER      take the pair's maintenance lock, waiting for its present owner
    unlock OWNER    give it back once as many members answer as when it was taken
    join            before etcd starts: a member that has lost its data becomes a new member of the old cluster

Prints one JSON object. Exit code 0: done, 1: refused, 2: etcd does not answer.
"""

from __future__ import annotations

import argparse
import json
import ssl
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from failover.etcd import Etcd, EtcdError

CONFIG = Path("/etc/m2/quorum.json")
AUTHORITY = Path("/etc/m2/tls/ca.pem")
CERTIFICATE, KEY = Path("/etc/m2/etcd/tls.pem"), Path("/etc/m2/etcd/tls.key")
DATA = Path("/var/lib/etcd/m2/member")
ENVIRONMENT = Path("/run/m2/etcd.env")
TAKEN_WITH = Path("/run/m2/maintenance.json")
"""How many members answered when this host took the lock."""

TIMEOUT = 3.0
LOOK_TIMEOUT = 1.0
POLL = 2.0
BIRTH_PATIENCE = 60.0
"""Seconds that a rebuilt host looks for the old cluster before it takes itself for a member of a new one: a member
without memory that comes back under its old number may vote a second time, and break promises that it made."""

JOIN_PATIENCE = 90.0
"""Seconds; a cluster takes no new member in its first moments."""

PEER_PORT = 2380
DONE, REFUSED, NO_QUORUM = 0, 1, 2


@dataclass(frozen=True)
class Config:
    """`endpoints` are private addresses, this host's own first. `rebuilt`: the server is not the first of its name."""

    endpoints: tuple[str, ...]
    rebuilt: bool


class RefusedError(Exception):
    """It was not done; one sentence."""


def lock(etcd: Etcd, owner: str, seconds: float, wait: float) -> dict[str, Any]:
    """Take the lock. Raises EtcdError, and RefusedError when its owner does not give it back in time."""
    deadline = time.monotonic() + wait
    while (holder := etcd.lock(owner, seconds, TIMEOUT)) is not None:
        if time.monotonic() + POLL > deadline:
            raise RefusedError(f"{holder} is being changed and has the pair's lock")
        time.sleep(POLL)
    healthy = len(etcd.healthy(TIMEOUT))
    TAKEN_WITH.parent.mkdir(exist_ok=True)
    TAKEN_WITH.write_text(json.dumps(healthy))
    return {"ok": True, "healthy": healthy}


def unlock(etcd: Etcd, owner: str, wait: float) -> dict[str, Any]:
    """Give the lock back. Raises EtcdError, and RefusedError, keeping it, while members are missing."""
    deadline = time.monotonic() + wait
    wanted = json.loads(TAKEN_WITH.read_text()) if TAKEN_WITH.exists() else 0
    while len(healthy := etcd.healthy(TIMEOUT)) < wanted:
        if time.monotonic() + POLL > deadline:
            raise RefusedError(f"of {wanted} members of the quorum only these answer: {', '.join(healthy) or 'none'}")
        time.sleep(POLL)
    etcd.unlock(owner, TIMEOUT)
    return {"ok": True, "healthy": len(healthy)}


def join(config: Config, others: Etcd) -> dict[str, Any]:
    """Say in etcd's environment whether it begins a cluster or comes to one that exists. Raises EtcdError."""
    state = "new" if DATA.exists() or not _joined(config, others) else "existing"
    ENVIRONMENT.parent.mkdir(exist_ok=True)
    ENVIRONMENT.write_text(f"ETCD_INITIAL_CLUSTER_STATE={state}\n")
    return {"ok": True, "state": state}


def _joined(config: Config, others: Etcd) -> bool:
    """Whether there is a cluster; then this host is a member that has never voted."""
    if _members(others, BIRTH_PATIENCE if config.rebuilt else 0.0) is None:
        return False
    deadline = time.monotonic() + JOIN_PATIENCE
    while True:
        try:
            _become_new(others, f"https://{config.endpoints[0]}:{PEER_PORT}")
            return True
        except EtcdError:
            if time.monotonic() > deadline:
                raise
        time.sleep(POLL)


def _become_new(others: Etcd, url: str) -> None:
    """A member that has never started says nothing of clients; one that has goes, and another takes its place."""
    mine = next((member for member in others.members(LOOK_TIMEOUT) if url in member["peerURLs"]), None)
    if mine is not None and mine.get("clientURLs"):
        others.remove_member(mine["ID"], TIMEOUT)
        mine = None
    if mine is None:
        others.add_member(url, TIMEOUT)


def _members(others: Etcd, patience: float) -> list[dict[str, Any]] | None:
    deadline = time.monotonic() + patience
    while True:
        try:
            return others.members(LOOK_TIMEOUT)
        except EtcdError:
            if time.monotonic() >= deadline:
                return None
        time.sleep(POLL)


def _config() -> Config:
    raw = json.loads(CONFIG.read_text())
    return Config(tuple(raw["endpoints"]), raw["rebuilt"])


def _context() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(AUTHORITY))
    context.load_cert_chain(CERTIFICATE, KEY)
    return context


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="failover.quorum", description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="do", required=True)
    commands.add_parser("join")
    for name in ("lock", "unlock"):
        command = commands.add_parser(name)
        command.add_argument("owner")
        command.add_argument("--wait", type=float, default=0.0, help="seconds")
    commands.choices["lock"].add_argument("--seconds", type=float, default=600.0, help="then it is given back")
    return parser


def main(words: Sequence[str] | None = None) -> int:
    """One command; the exit code."""
    asked = _parser().parse_args(words)
    config = _config()
    context = _context()
    etcd = Etcd(config.endpoints, context)
    commands: dict[str, Callable[[], dict[str, Any]]] = {
        "lock": lambda: lock(etcd, asked.owner, asked.seconds, asked.wait),
        "unlock": lambda: unlock(etcd, asked.owner, asked.wait),
        "join": lambda: join(config, Etcd(config.endpoints[1:], context)),
    }
    try:
        answer, code = commands[asked.do](), DONE
    except RefusedError as refusal:
        answer, code = {"ok": False, "why": str(refusal)}, REFUSED
    except EtcdError as error:
        answer, code = {"ok": False, "why": str(error)}, NO_QUORUM
    print(json.dumps(answer))
    return code


if __name__ == "__main__":
    sys.exit(main())
