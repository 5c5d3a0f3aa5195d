"""What a run tells whoever watches it. Nothing secret is in an event."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Op = Literal[
    "same",
    "create",
    "update",
    "replace",
    "delete",
    "read",
    "refresh",
    "import",
    "create-replacement",
    "delete-replaced",
]
Severity = Literal["info", "warning", "error"]


@dataclass(frozen=True)
class StepStarted:
    """In a preview: what would be done. A replacement is carried out in its two halves."""

    op: Op
    urn: str


@dataclass(frozen=True)
class StepEnded:
    """`error` is None when it went well."""

    op: Op
    urn: str
    seconds: float
    error: str | None = None

    @property
    def name(self) -> str:
        return self.urn.rsplit("::", 1)[-1]

    @property
    def type(self) -> str:
        return self.urn.split("::")[2].rsplit("$", 1)[-1]


@dataclass(frozen=True)
class Diagnostic:
    """From the engine, or from the program by `pulumi.log`."""

    severity: Severity
    message: str
    urn: str = ""


Event = StepStarted | StepEnded | Diagnostic
Progress = Callable[[Event], None]
