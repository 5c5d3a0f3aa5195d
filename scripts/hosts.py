"""The hosts of a stack that is up, and what each is for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.logins import Bastion, LoginError, Logins
from scripts.stack import read_outputs


@dataclass(frozen=True)
class Hosts:
    """`logins` runs commands on them; `outputs` are the stack's."""

    stack: str
    logins: Logins
    roles: Mapping[str, Sequence[str]]
    outputs: Mapping[str, Any]

    def with_role(self, role: str) -> list[str]:
        """All hosts that run it, by name."""
        return sorted(name for name, roles in self.roles.items() if role in roles)


def of_stack(stack: str, config_file: Path | None = None) -> Hosts:
    """Raises StackError, and LoginError for a stack that does not say how to log in."""
    outputs = read_outputs(stack, config_file)
    if "ssh" not in outputs:
        raise LoginError(f"{stack} does not say how to log in to its hosts; run: scripts/stack up {stack}")
    return from_outputs(stack, outputs)


def from_outputs(stack: str, outputs: Mapping[str, Any]) -> Hosts:
    """The hosts as a stack's outputs describe them."""
    ssh = outputs["ssh"]
    bastion = Bastion(**ssh["bastion"]) if ssh.get("bastion") else None
    return Hosts(stack, Logins(outputs["hosts"], ssh["host_keys"], bastion), ssh["roles"], outputs)
