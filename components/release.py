"""Before a server of the database pair is changed or deleted, the other member serves alone.

Resource hooks ask the pair itself, by ssh: the agent of the host that is about to change makes a planned switchover
first, and answers when the other member serves. A pair that is not whole is left alone, unless the person says that
this very change repairs it.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from components.logins import Logins, UnreachableError
from components.plan import HostPlan, SitePlan
from components.protection import HOST_LABEL, REBUILD_LABEL

ACCEPT_DEGRADED = "M2_ACCEPT_DEGRADED"
"""Set by `scripts/stack up --accept-degraded`; an environment variable reaches the program through either engine."""

WAIT = 1200
"""Seconds; a member that was replaced a moment ago has to fetch all data first."""

APPLY_LINE = re.compile(r"# apply (\S+), rebuild (\d+)$", re.MULTILINE)
HARMLESS = frozenset({"labels", "firewallIds", "name", "deleteProtection", "rebuildProtection", "backups"})
IGNORED = frozenset({"image", "sshKeys", "userData"})
"""Inputs of a server: those whose change does not stop it, and those whose change does nothing to one that exists."""


REPAIR = "`scripts/pair status` says how the pair is; if this change repairs it: scripts/stack up --accept-degraded"


class ReleaseError(Exception):
    """The other member cannot serve alone; one sentence."""


def stops(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether an update from these inputs to those stops the server."""
    return any(old.get(key) != new.get(key) for key in {*old, *new} - HARMLESS - IGNORED if not key.startswith("__"))


def apply_line(host: HostPlan) -> str:
    """The first line of a host's apply, by which the hook knows what it was made for: a Command has no labels."""
    return f"# apply {host.name}, rebuild {host.rebuild}"


def labels_of(inputs: Mapping[str, Any]) -> Mapping[str, str]:
    """The labels of a server, or what stands for them in its apply."""
    found = APPLY_LINE.search(str(inputs.get("create", "")))
    return {HOST_LABEL: found[1], REBUILD_LABEL: found[2]} if found else inputs.get("labels") or {}


def is_rebuild(plan: SitePlan, labels: Mapping[str, str]) -> bool:
    """Whether a deletion makes room for a new server; else the settings no longer ask for the pair, or a destroy."""
    name = labels.get(HOST_LABEL)
    return any(host.name == name and labels.get(REBUILD_LABEL) != str(host.rebuild) for host in plan.hosts)


@dataclass(frozen=True)
class Release:
    """Asks one pair; `members` are its two hosts."""

    logins: Logins
    members: tuple[str, ...]
    accept_degraded: bool

    def __call__(self, host: str) -> None:
        """Return once the member that is not `host` serves alone. Raises ReleaseError."""
        try:
            if not self._is_member(host):
                return
            flags = " --accept-degraded" if self.accept_degraded else ""
            answer = self.logins.ask_agent(host, f"release --wait {WAIT}{flags}", timeout=WAIT + 60)
        except UnreachableError as error:
            self._without(host, str(error))
            return
        if not answer.get("ok"):
            raise ReleaseError(f"{host} is left alone: {answer.get('why')}. {REPAIR}")

    def _is_member(self, host: str) -> bool:
        """False for a host whose roles were never installed, and which therefore never served anybody."""
        return self.logins.run(host, "test -e /etc/m2/agent.json", timeout=30).returncode == 0

    def _without(self, host: str, why: str) -> None:
        """`host` does not answer: nothing is lost if the pair was never born, else a person has to say so."""
        peer = next(member for member in self.members if member != host)
        if self.accept_degraded or self._never_was_a_pair(peer):
            return
        raise ReleaseError(f"{why}; it cannot hand the database over. {REPAIR}")

    def _never_was_a_pair(self, peer: str) -> bool:
        try:
            return not self._is_member(peer) or self.logins.ask_agent(peer, "status").get("record") is None
        except UnreachableError:
            return False


def hooks(plan: SitePlan, logins: Callable[[], Awaitable[Logins]]) -> pulumi.ResourceHookBinding | None:
    """For the servers of the database pair and their applies; None where the plan has no pair.

    In a rebuild the apply goes first, then the host's network and disk, then the server: asked only then, the host
    would no longer see the other member. `logins` are asked for when needed.
    """
    members = pair(plan)
    if not members:
        return None
    released: set[str] = set()

    async def ask(host: str) -> None:
        """In a thread of its own: what else the program makes must go on meanwhile."""
        release = Release(await logins(), members, bool(os.environ.get(ACCEPT_DEGRADED)))
        await asyncio.to_thread(release, host)

    async def before_update(args: pulumi.ResourceHookArgs) -> None:
        old, new = args.old_inputs or {}, args.new_inputs or {}
        if "labels" in old and stops(old, new):
            await ask(old["labels"][HOST_LABEL])

    async def before_delete(args: pulumi.ResourceHookArgs) -> None:
        labels = labels_of(args.old_inputs or {})
        if is_rebuild(plan, labels) and labels[HOST_LABEL] not in released:
            await ask(labels[HOST_LABEL])
            released.add(labels[HOST_LABEL])

    return pulumi.ResourceHookBinding(
        before_update=[pulumi.ResourceHook("release-before-update", before_update)],
        before_delete=[pulumi.ResourceHook("release-before-delete", before_delete)],
    )


def pair(plan: SitePlan) -> tuple[str, ...]:
    """The names of main and backup; none where the database is alone."""
    return next((vip.members for vip in plan.vips if vip.name == "database"), ())
