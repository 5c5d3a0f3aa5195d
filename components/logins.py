"""Commands on hosts by ssh: as `admin`, with the person's own key from the ssh agent and host keys that are pinned."""

from __future__ import annotations

import atexit
import json
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

LOGIN_USER = "admin"
OPTIONS = {
    "BatchMode": "yes",
    "ConnectTimeout": "5",
    "GlobalKnownHostsFile": "none",
    "LogLevel": "ERROR",
    "ServerAliveCountMax": "3",
    "ServerAliveInterval": "2",
    "StrictHostKeyChecking": "yes",
}
"""A host that lost its power is noticed within six seconds."""

ASK_AGENT = "sudo env PYTHONPATH=/usr/local/lib/m2 python3 -m failover.pair"
NO_SSH = 255
NO_AGENT = 2
"""Exit codes of ssh itself, and of failover.pair."""


class LoginError(Exception):
    """A host did not do what it was asked; one sentence."""


class UnreachableError(LoginError):
    """Nobody answers at a host's ssh port, or its agent does not."""


@dataclass(frozen=True)
class Bastion:
    """The host to go through."""

    host: str
    user: str
    port: int
    host_key: str


@dataclass(frozen=True)
class Logins:
    """Public addresses and ssh host keys of hosts, by name."""

    addresses: Mapping[str, str]
    host_keys: Mapping[str, str]
    bastion: Bastion | None = None

    def words(self, host: str, command: str) -> list[str]:
        """The command line of ssh, with nothing of the user's own settings but the agent."""
        options = self._options(host)
        if self.bastion:
            options["ProxyCommand"] = self._through(self.bastion)
        return ["ssh", "-F", "none", *_flags(options), f"{LOGIN_USER}@{self.addresses[host]}", command]

    def run(
        self, host: str, command: str, stdin: str = "", timeout: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Whatever its exit code is. Raises UnreachableError."""
        words = self.words(host, command)
        try:
            done = subprocess.run(words, input=stdin, capture_output=True, text=True, check=False, timeout=timeout)
        except subprocess.TimeoutExpired:
            raise UnreachableError(f"{host}: no answer for {timeout:.0f} s") from None
        if done.returncode == NO_SSH:
            raise UnreachableError(f"{host}: {_last_line(done.stderr, 'ssh failed')}")
        return done

    def output(self, host: str, command: str, stdin: str = "", timeout: float | None = None) -> str:
        """Standard output of a command that must succeed. Raises LoginError."""
        done = self.run(host, command, stdin, timeout)
        if done.returncode:
            raise LoginError(f"{host}: {_last_line(done.stderr, f'exit code {done.returncode}')}")
        return done.stdout

    def ask_agent(self, host: str, words: str, timeout: float = 30.0) -> dict[str, Any]:
        """What the database agent of a host answers, refusals too (failover/pair.py). Raises UnreachableError."""
        done = self.run(host, f"{ASK_AGENT} {words}", timeout=timeout)
        try:
            answer = dict(json.loads(done.stdout))
        except ValueError:
            raise UnreachableError(f"{host}: there is no agent: {_last_line(done.stderr, 'no answer')}") from None
        if done.returncode == NO_AGENT:
            raise UnreachableError(f"{host}: {answer['why']}")
        return answer

    def _options(self, host_key_of: str) -> dict[str, str]:
        return {**OPTIONS, "UserKnownHostsFile": str(self._known_hosts), "HostKeyAlias": host_key_of}

    def _through(self, bastion: Bastion) -> str:
        words = ["ssh", "-F", "none", *_flags(self._options("bastion")), "-p", str(bastion.port), "-W", "%h:%p"]
        return " ".join([*words, f"{bastion.user}@{bastion.host}"])

    @cached_property
    def _known_hosts(self) -> Path:
        """A file of the keys as ssh reads it; it goes with this process."""
        keys = {**self.host_keys, **({"bastion": self.bastion.host_key} if self.bastion else {})}
        with tempfile.NamedTemporaryFile("w", prefix="m2-known-hosts-", delete=False) as file:
            file.writelines(f"{name} {key}\n" for name, key in keys.items())
        path = Path(file.name)
        atexit.register(path.unlink, missing_ok=True)
        return path


def _flags(options: Mapping[str, str]) -> list[str]:
    return [word for name, value in options.items() for word in ("-o", f"{name}={value}")]


def _last_line(text: str, otherwise: str) -> str:
    return (text.strip().splitlines() or [otherwise])[-1]
