"""What exists before and after a change, whoever found it out: a preview, or settings alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Sign = Literal["+", "-", "~", "+-", "="]

SERVERS = ("hcloud:index/server:Server", "aws:ec2/instance:Instance")
HOST_LABELS = ("labels", "tags")
HOST_LABEL = "m2-host"
REBUILD_LABEL = "m2-rebuild"
"""What the program's resources carry: which host they are for, and how often that was rebuilt."""


@dataclass(frozen=True)
class Change:
    """One resource: `before` and `after` are its inputs, None where it does not exist.

    `reasons` are the properties that the preview says it changes or is replaced for; it may say none.
    """

    sign: Sign
    type: str
    name: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    reasons: tuple[str, ...] = ()

    @property
    def host(self) -> str:
        """The host that it belongs to; empty for what belongs to none."""
        return self.label(HOST_LABEL)

    @property
    def is_server(self) -> bool:
        return self.type in SERVERS

    @property
    def kind(self) -> str:
        """The type without its module: `hcloud:Server`."""
        package, *_, name = self.type.split(":")
        return f"{package}:{name}"

    def label(self, name: str, old: bool = False) -> str:
        inputs = self.before if old else self.after or self.before
        found = [(inputs or {}).get(labels) for labels in HOST_LABELS]
        return next((str(labels[name]) for labels in found if isinstance(labels, Mapping) and name in labels), "")


@dataclass(frozen=True)
class Workload:
    """What a stack's settings say of it.

    `cc` are the calls at a time that it is for; `most_cc` and `most_cps` are the calls at a time and the calls started
    a second that it can carry, 0 where that is unknown. `media_hosts` relay the media, `licensed` are hosts with the
    roles that run the vendor's software there, `rebuild` the counts that replace servers.
    """

    cloud: str
    region: str
    cc: int
    most_cc: int
    most_cps: int
    codec: str
    media_hosts: tuple[str, ...]
    licensed: Mapping[str, tuple[str, ...]]
    rebuild: Mapping[str, int]


@dataclass(frozen=True)
class StackPlan:
    """A stack. `complete` is False when unchanged resources are unknown, so that totals are.

    `source` says how it is known; `region` is where resources are that do not say it themselves; `old` and `new`
    are None where no settings are known.
    """

    stack: str
    changes: tuple[Change, ...]
    complete: bool
    source: Literal["preview", "settings"]
    region: str = ""
    old: Workload | None = None
    new: Workload | None = None


def host_kind(host: str) -> str:
    """What a host is by its name: `core` of `core-3`."""
    return host.rstrip("0123456789").rstrip("-")
