"""What a run tells whoever watches it. Nothing secret is in an event."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from localcloud.engine.values import Change

Op = Literal[
    "same", "create", "update", "replace", "delete", "read", "refresh", "create-replacement", "delete-replaced"
]
Severity = Literal["info", "warning", "error"]


class OfResource:
    """Words for people, from a URN."""

    urn: str

    @property
    def name(self) -> str:
        return self.urn.rsplit("::", 1)[-1]

    @property
    def type(self) -> str:
        return self.urn.split("::")[2].rsplit("$", 1)[-1] if self.urn else ""


@dataclass(frozen=True)
class StepStarted(OfResource):
    """In a preview: what would be done. A replacement is announced as `replace`, then carried out in its two halves."""

    op: Op
    urn: str
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True)
class StepEnded(OfResource):
    """`error` is None when it went well."""

    op: Op
    urn: str
    seconds: float
    error: str | None = None


@dataclass(frozen=True)
class Diagnostic(OfResource):
    """From the engine, or from the program by `pulumi.log`."""

    severity: Severity
    message: str
    urn: str = ""


@dataclass(frozen=True)
class OutputLine(OfResource):
    """A line that a Command printed."""

    urn: str
    line: str


Event = StepStarted | StepEnded | Diagnostic | OutputLine
Progress = Callable[[Event], None]
