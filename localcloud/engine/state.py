"""The resources of a stack, and how a checkpoint of the CLI writes them (format v3, apitype.ResourceV3)."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from localcloud.engine.crypter import Crypter
from localcloud.engine.errors import EngineError
from localcloud.engine.values import SECRET, SIGNATURE, Properties, Secret, Value, map_secrets

PROVIDER_PREFIX = "pulumi:providers:"
STACK_TYPE = "pulumi:pulumi:Stack"
SECRET_FIELDS = ("inputs", "outputs", "replacement_trigger")
JSON_NAMES = {"import_id": "importID", "hooks": "resourceHooks"}


@dataclass(frozen=True)
class Resource:
    """One entry of a checkpoint (apitype.ResourceV3); `extra` keeps the fields that the engine has no use for."""

    urn: str
    custom: bool
    type: str
    id: str = ""
    delete: bool = False
    inputs: Properties = field(default_factory=dict)
    outputs: Properties = field(default_factory=dict)
    parent: str = ""
    protect: bool = False
    external: bool = False
    dependencies: tuple[str, ...] = ()
    init_errors: tuple[str, ...] = ()
    provider: str = ""
    property_dependencies: Mapping[str, list[str]] = field(default_factory=dict)
    pending_replacement: bool = False
    additional_secret_outputs: tuple[str, ...] = ()
    retain_on_delete: bool = False
    created: str = ""
    modified: str = ""
    source_position: str = ""
    ignore_changes: tuple[str, ...] = ()
    replace_on_changes: tuple[str, ...] = ()
    replacement_trigger: Value = None
    import_id: str = ""
    hooks: Mapping[str, list[str]] = field(default_factory=dict)
    extra: Properties = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.urn.rsplit("::", 1)[1]

    @property
    def package(self) -> str:
        return self.type.removeprefix(PROVIDER_PREFIX).split(":")[0]

    @property
    def is_provider(self) -> bool:
        return self.type.startswith(PROVIDER_PREFIX)

    @property
    def managed(self) -> bool:
        """A provider has something behind it."""
        return self.custom and not self.is_provider and not self.external

    @property
    def needs(self) -> set[str]:
        """URNs that must exist as long as this resource does."""
        properties = {urn for urns in self.property_dependencies.values() for urn in urns}
        provider = self.provider.rsplit("::", 1)[0]
        return ({self.parent, provider, *self.dependencies} | properties) - {"", self.urn}


@dataclass(frozen=True)
class Pending:
    """An operation that was begun: "creating", "updating" or "deleting"."""

    kind: str
    resource: Resource


@dataclass(frozen=True)
class Deployment:
    resources: tuple[Resource, ...] = ()
    pending: tuple[Pending, ...] = ()


def to_record(resource: Resource, hide: Callable[[Value], Value]) -> dict[str, Any]:
    """As JSON has it; what may hold secrets is put through `hide`."""
    record: dict[str, Any] = {}
    for item in dataclasses.fields(Resource):
        value = getattr(resource, item.name)
        if item.name in SECRET_FIELDS:
            value = hide(value)
        empty = value is None if item.name == "replacement_trigger" else not value
        if item.name != "extra" and (not empty or item.name == "custom"):
            record[_json_name(item.name)] = value
    return record | resource.extra


def from_record(record: Mapping[str, Any], crypter: Crypter | None) -> Resource:
    """The inverse; ciphertexts are opened."""
    known: dict[str, Any] = {}
    decrypt = crypter.decrypt if crypter else _without_salt
    for item in dataclasses.fields(Resource):
        name = _json_name(item.name)
        if name not in record or item.name == "extra":
            continue
        value = _open(record[name], decrypt) if item.name in SECRET_FIELDS else record[name]
        known[item.name] = tuple(value) if isinstance(value, list) and item.name != "replacement_trigger" else value
    names = {_json_name(item.name) for item in dataclasses.fields(Resource)}
    return Resource(**known, extra={key: value for key, value in record.items() if key not in names})


def _json_name(name: str) -> str:
    return JSON_NAMES.get(name) or re.sub(r"_(.)", lambda match: match[1].upper(), name)


def _open(value: Value, decrypt: Callable[[str], str]) -> Value:
    """A secret within a secret is only marked, not encrypted once more."""
    if isinstance(value, dict) and value.get(SIGNATURE) == SECRET:
        text = value["plaintext"] if "plaintext" in value else decrypt(value["ciphertext"])
        return Secret(_open(json.loads(text), str))
    if isinstance(value, dict):
        return {key: _open(item, decrypt) for key, item in value.items()}
    if isinstance(value, list):
        return [_open(item, decrypt) for item in value]
    return value


def seal(value: Value, encrypt: Callable[[str], str]) -> Value:
    """With a ciphertext in place of each secret."""

    def sealed(secret: Secret) -> Value:
        text = json.dumps(seal(secret.value, str), separators=(",", ":"), ensure_ascii=False)
        return {SIGNATURE: SECRET, "ciphertext": encrypt(text)}

    return map_secrets(value, sealed)


def _without_salt(_: str) -> str:
    raise EngineError("the state holds secrets but the stack file has no encryptionsalt: restore it")


def now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
