"""The providers of one run: configured once each, and entered in the checkpoint as the CLI enters them."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace

from localcloud.engine.errors import EngineError
from localcloud.engine.ledger import Ledger
from localcloud.engine.plan import ABSENT
from localcloud.engine.providers import Configure, Provider
from localcloud.engine.state import PROVIDER_PREFIX, Resource, now
from localcloud.engine.values import Properties, Secret, plain

SECRET_SETTINGS = ("token",)
NO_SETTINGS = ("version", "pluginDownloadURL")


class Registry:
    """`settings` are `namespace:key` -> value; `urn` makes a provider's URN from its type and name."""

    def __init__(
        self,
        configure: Mapping[str, Configure],
        settings: Properties,
        ledger: Ledger,
        urn: Callable[[str, str], str],
    ) -> None:
        self._configure = configure
        self._settings = settings
        self._ledger = ledger
        self._urn = urn
        self._lock = threading.RLock()
        self._entered: dict[str, str] = {}
        self._configured: dict[str, Provider] = {}

    def reference(self, token: str, version: str) -> str:
        """`URN::ID` of a package's default provider, which is entered at its first use."""
        package = token.split(":")[0]
        name = f"default_{version.replace('.', '_')}" if version else "default"
        urn = self._urn(PROVIDER_PREFIX + package, name)
        with self._lock:
            if urn not in self._entered:
                inputs = {"__internal": {}, **self._settings_of(package)}
                inputs |= {"version": version} if version else {}
                self.enter(Resource(urn, True, PROVIDER_PREFIX + package, inputs=inputs))
            return self._entered[urn]

    def enter(self, resource: Resource) -> Resource:
        """Put a provider in the ledger; one that was there keeps its id, so that its resources stay as they are."""
        old = self._ledger.old(resource.urn)
        entry = replace(
            resource,
            id=old.id or str(uuid.uuid4()),
            inputs=_hidden(old.inputs) | resource.inputs,
            outputs=_hidden(old.outputs) | {k: v for k, v in resource.inputs.items() if k[:2] != "__"},
            created=old.created or now(),
            modified=old.modified or now(),
        )
        self._ledger.put(entry, old)
        reference = self._entered[entry.urn] = f"{entry.urn}::{entry.id}"
        self._configured.pop(reference, None)
        return entry

    def provider(self, reference: str) -> Provider:
        with self._lock:
            if reference not in self._configured:
                entry = self._ledger.find(reference.rsplit("::", 1)[0])
                if entry is ABSENT:
                    raise EngineError(f"provider {reference} is not in the state")
                settings = {k: v for k, v in plain(entry.inputs).items() if k[:2] != "__" and k not in NO_SETTINGS}
                self._configured[reference] = self._factory(entry.package)(settings)
            return self._configured[reference]

    def _factory(self, package: str) -> Configure:
        if package not in self._configure:
            known = ", ".join(sorted(self._configure))
            raise EngineError(
                f"provider {package!r} is not part of the embedded engine; allowed: {known}. "
                "For anything else install the pulumi CLI"
            )
        return self._configure[package]

    def _settings_of(self, package: str) -> Properties:
        found = {k.split(":", 1)[1]: v for k, v in self._settings.items() if k.startswith(f"{package}:")}
        return {k: Secret(plain(v)) if k in SECRET_SETTINGS else v for k, v in found.items()}


def _hidden(properties: Properties) -> Properties:
    return {key: value for key, value in properties.items() if key.startswith("__pulumi")}
