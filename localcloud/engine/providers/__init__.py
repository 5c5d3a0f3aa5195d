"""What the engine asks of a provider."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from localcloud.engine.values import ChangeKind, Path, Properties


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
    """What would change; `replaces` are those of `changes` that cannot be made in place.

    A provider that is not `detailed` tells a plan's reader the properties only.
    """

    changes: Mapping[Path, ChangeKind] = field(default_factory=dict)
    replaces: frozenset[Path] = frozenset()
    delete_before_replace: bool = False
    detailed: bool = True


class Provider:
    """One configured provider. Values are plain but for those of `check`; every method may raise ProviderError.

    What a provider does not have of these is not supported.
    """

    def check(self, type_: str, name: str, old: Properties, inputs: Properties) -> Properties:
        """The inputs as they are stored, `old` those of before; an input that is not known is an error."""
        raise _unsupported(type_)

    def diff(self, type_: str, inputs: Properties, outputs: Properties, wanted: Properties) -> Diff:
        """Compare what is stored (`inputs`, `outputs`) with what is wanted; asks nothing of the outside."""
        raise _unsupported(type_)

    def preview(self, type_: str, outputs: Properties, wanted: Properties) -> Properties:
        """The outputs that are known before an update is made."""
        raise _unsupported(type_)

    def create(self, type_: str, name: str, inputs: Properties) -> tuple[str, Properties]:
        """Make it and return its id and outputs."""
        raise _unsupported(type_)

    def read(self, type_: str, id_: str, inputs: Properties, outputs: Properties) -> Properties | None:
        """The outputs as they are now; None when it is gone. Inputs and outputs are empty for one to be imported."""
        raise _unsupported(type_)

    def update(self, type_: str, id_: str, outputs: Properties, wanted: Properties, diff: Diff) -> Properties:
        """Change it in place and return its outputs."""
        raise _unsupported(type_)

    def delete(self, type_: str, id_: str, inputs: Properties, outputs: Properties) -> None:
        """Remove it; one that is gone already is no error."""
        raise _unsupported(type_)

    def find(self, type_: str, inputs: Properties) -> str | None:
        """The id of what an interrupted create left behind: only on an exact match."""
        raise _unsupported(type_)

    def invoke(self, token: str, args: Properties) -> Properties:
        """Answer a data source."""
        raise _unsupported(token)


def _unsupported(type_: str) -> ProviderError:
    return ProviderError(f"{type_} is not supported by the embedded engine: install the pulumi CLI")


Configure = Callable[[Properties], Provider]
