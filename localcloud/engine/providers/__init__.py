"""What the engine asks of a provider."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from localcloud.engine.values import ChangeKind, Path, Properties

Log = Callable[[str], None]
"""Receives lines that a command printed."""


class ProviderError(Exception):
    """An operation failed and nothing came of it; the message is for a person."""


class UnknownOutcomeError(ProviderError):
    """The reply was lost: the operation may have happened."""


class PartialError(ProviderError):
    """The resource exists, but a later step failed."""

    def __init__(self, message: str, resource_id: str, outputs: Properties) -> None:
        super().__init__(message)
        self.resource_id = resource_id
        self.outputs = outputs


@dataclass(frozen=True)
class Diff:
    """What would change; `replaces` are those of `changes` that cannot be made in place."""

    changes: Mapping[Path, ChangeKind] = field(default_factory=dict)
    replaces: frozenset[Path] = frozenset()
    delete_before_replace: bool = False


class Provider(Protocol):
    """One configured provider. Values are plain but for those of `check`; every method may raise ProviderError."""

    def check(self, type_: str, name: str, old: Properties, inputs: Properties) -> Properties:
        """The inputs as they are stored, `old` those of before; an input that is not known is an error."""

    def diff(self, type_: str, inputs: Properties, outputs: Properties, wanted: Properties) -> Diff:
        """Compare what is stored (`inputs`, `outputs`) with what is wanted; asks nothing of the outside."""

    def preview(self, type_: str, outputs: Properties, wanted: Properties) -> Properties:
        """The outputs that are known before an update is made."""

    def create(self, type_: str, name: str, inputs: Properties, log: Log) -> tuple[str, Properties]:
        """Make it and return its id and outputs."""

    def read(self, type_: str, id_: str, inputs: Properties, outputs: Properties) -> Properties | None:
        """The outputs as they are now; None when it is gone."""

    def update(self, type_: str, id_: str, outputs: Properties, wanted: Properties, diff: Diff, log: Log) -> Properties:
        """Change it in place and return its outputs."""

    def delete(self, type_: str, id_: str, inputs: Properties, outputs: Properties, log: Log) -> None:
        """Remove it; one that is gone already is no error."""

    def find(self, type_: str, inputs: Properties) -> str | None:
        """The id of what an interrupted create left behind: only on an exact match of name and labels."""

    def invoke(self, token: str, args: Properties) -> Properties:
        """Answer a data source."""


Configure = Callable[[Properties], Provider]
