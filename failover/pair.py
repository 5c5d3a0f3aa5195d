"""Asks the agent on this host, over its socket: `python3 -m failover.pair status`.

Prints the agent's answer as one JSON object. Exit code 0: done, 1: refused, 2: no agent answers. People use
scripts/pair on their own machine, which runs this by ssh.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SOCKET = Path("/run/m2/agent.sock")
ANSWER_TIMEOUT = 10.0
"""Seconds that the agent may take over the work itself."""

LOCK_PAUSE = 2.0
DONE, REFUSED, NO_AGENT = 0, 1, 2


class NoAgentError(Exception):
    """Nobody answers on the socket; one sentence."""


def ask(request: Mapping[str, Any], timeout: float = ANSWER_TIMEOUT) -> dict[str, Any]:
    """The agent's answer to one request. Raises NoAgentError."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout)
            connection.connect(str(SOCKET))
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile() as lines:
                answer = json.loads(lines.readline())
    except (OSError, ValueError) as error:
        raise NoAgentError(f"the agent does not answer on {SOCKET}: {error}") from None
    if not isinstance(answer, dict):
        raise NoAgentError(f"the agent answered {answer!r}")
    return answer


def lock(owner: str, seconds: float, wait: float) -> dict[str, Any]:
    """Take the pair's maintenance lock, waiting for its present owner. Raises NoAgentError."""
    deadline = time.monotonic() + wait
    while True:
        answer = ask({"do": "lock", "owner": owner, "seconds": seconds})
        if answer.get("ok") or time.monotonic() + LOCK_PAUSE > deadline:
            return answer
        time.sleep(LOCK_PAUSE)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="failover.pair", description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="do", required=True)
    for name in ("status", "switchover", "failback", "pause", "resume", "rejoin"):
        commands.add_parser(name)
    takeover = commands.add_parser("takeover")
    takeover.add_argument("--accept-data-loss", action="store_true", required=True)
    init = commands.add_parser("init")
    init.add_argument("--primary", action="store_true", required=True)
    release = commands.add_parser("release", help="return once the other member serves alone")
    release.add_argument("--wait", type=float, default=600.0, help="seconds")
    release.add_argument("--accept-degraded", action="store_true")
    for name in ("lock", "unlock"):
        commands.add_parser(name).add_argument("owner")
    lock_parser = commands.choices["lock"]
    lock_parser.add_argument("--seconds", type=float, default=600.0)
    lock_parser.add_argument("--wait", type=float, default=0.0, help="seconds to wait for its present owner")
    return parser


def _perform(request: dict[str, Any]) -> dict[str, Any]:
    if request["do"] == "lock":
        return lock(request["owner"], request["seconds"], request["wait"])
    return ask(request, ANSWER_TIMEOUT + request.get("wait", 0.0))


def main(words: Sequence[str] | None = None) -> int:
    """One question; the exit code."""
    request = vars(_parser().parse_args(words))
    try:
        answer = _perform(request)
    except NoAgentError as error:
        print(json.dumps({"ok": False, "why": str(error)}))
        return NO_AGENT
    print(json.dumps(answer))
    return DONE if answer.get("ok", True) else REFUSED


if __name__ == "__main__":
    sys.exit(main())
