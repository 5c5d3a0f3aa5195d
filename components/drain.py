"""Before a core is stopped or deleted, its calls end and its records reach the database.

Resource hooks ask the core itself, by ssh. The settings decide how long its calls may go on (`drain_minutes`).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pulumi

from components.logins import Logins, UnreachableError
from components.plan import SitePlan
from components.protection import HOST_LABEL, REBUILD_LABEL
from components.release import ACCEPT_DEGRADED, stops

COMMAND = "/usr/local/sbin/m2-drain"
LONGEST_SHIPPING = 900
"""Seconds for the records after the last call, and for ssh."""

REPAIR = "if its calls and the records on its disk may be lost: scripts/stack up --accept-degraded"


class DrainError(Exception):
    """A core still has calls or records; one sentence."""


def leaves(plan: SitePlan, labels: Mapping[str, str]) -> bool:
    """Whether the settings take the core away or replace it; else the whole stack is being destroyed."""
    host = next((host for host in plan.hosts if host.name == labels.get(HOST_LABEL)), None)
    return host is None or labels.get(REBUILD_LABEL) != str(host.rebuild)


@dataclass(frozen=True)
class Drain:
    """Empties one core; `minutes` is how long its calls may go on."""

    logins: Logins
    minutes: int
    accept_loss: bool

    def __call__(self, host: str) -> None:
        """Return once nothing is left on `host`. Raises DrainError."""
        try:
            if self.logins.run(host, f"test -e {COMMAND}", timeout=30).returncode:
                return
            timeout = 60 * self.minutes + LONGEST_SHIPPING
            done = self.logins.run(host, f"sudo {COMMAND} leave", timeout=timeout)
            why = (done.stderr.strip() or f"m2-drain ended with {done.returncode}") if done.returncode else ""
        except UnreachableError as error:
            why = str(error)
        if why and not self.accept_loss:
            raise DrainError(f"{host} is left alone: {why}; {REPAIR}")


def hooks(
    plan: SitePlan, logins: Callable[[], Awaitable[Logins]], host_key: Callable[[str], str]
) -> pulumi.ResourceHookBinding:
    """For the servers of cores. `host_key` is asked for that of a core which is in the plan no longer."""

    async def empty(host: str, address: str) -> None:
        """In a thread of its own: what else the program makes must go on meanwhile."""
        known = await logins()
        addresses, keys = {**known.addresses, host: address}, {**known.host_keys, host: host_key(host)}
        at_host = replace(known, addresses=addresses, host_keys=keys)
        drain = Drain(at_host, int(plan.settings["drain_minutes"]), bool(os.environ.get(ACCEPT_DEGRADED)))
        await asyncio.to_thread(drain, host)

    async def before_update(args: pulumi.ResourceHookArgs) -> None:
        old = args.old_inputs or {}
        if stops(old, args.new_inputs or {}):
            await empty(old["labels"][HOST_LABEL], _address(args))

    async def before_delete(args: pulumi.ResourceHookArgs) -> None:
        labels = (args.old_inputs or {}).get("labels") or {}
        if leaves(plan, labels):
            await empty(labels[HOST_LABEL], _address(args))

    return pulumi.ResourceHookBinding(
        before_update=[pulumi.ResourceHook("drain-before-update", before_update)],
        before_delete=[pulumi.ResourceHook("drain-before-delete", before_delete)],
    )


def _address(args: pulumi.ResourceHookArgs) -> str:
    outputs: Mapping[str, Any] = args.old_outputs or {}
    return str(outputs["ipv4Address"])
