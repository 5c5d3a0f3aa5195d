"""Pulumi's own provider: the outputs of another stack (pkg/resource/deploy/builtins.go)."""

from __future__ import annotations

from collections.abc import Callable

from localcloud.engine.providers import Provider, ProviderError
from localcloud.engine.values import Properties, has_secret

REFERENCE = "pulumi:pulumi:StackReference"


class Stacks(Provider):
    """Can only be read. `outputs_of` gives a stack's outputs, or None when there is no such stack."""

    def __init__(self, outputs_of: Callable[[str], Properties | None]) -> None:
        self._outputs_of = outputs_of

    def read(self, type_: str, id_: str, inputs: Properties, outputs: Properties) -> Properties | None:
        if type_ != REFERENCE:
            raise ProviderError(f"{type_} is not supported by the embedded engine; allowed: {REFERENCE}")
        found = self._outputs_of(id_)
        if found is None:
            raise ProviderError(f"stack {id_} does not exist: bring it up first, or correct its name")
        return {"name": id_, "outputs": found, "secretOutputNames": sorted(k for k in found if has_secret(found[k]))}
