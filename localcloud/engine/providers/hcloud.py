"""pulumi-hcloud for the local cloud: the resources of hcloud_kinds and two data sources."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping

from localcloud.engine.errors import EngineError
from localcloud.engine.providers import Diff, Log, ProviderError
from localcloud.engine.providers.hcloud_api import Api, ApiError, polling, refuse_foreign
from localcloud.engine.providers.hcloud_kinds import KINDS, Field, Kind, camel
from localcloud.engine.values import (
    UNKNOWN,
    ChangeKind,
    Path,
    Properties,
    Secret,
    Value,
    differences,
    has_unknown,
    plain,
)

TOKEN_LENGTH = 64
SETTINGS = ("token", "endpoint", "pollInterval", "pollFunction")
SOURCES = {"getLocation": "locations", "getServerType": "server_types"}


def configure(settings: Properties) -> Hcloud:
    """From the provider's settings, or HCLOUD_TOKEN and HCLOUD_ENDPOINT; EngineError for another machine's endpoint."""
    unknown = settings.keys() - set(SETTINGS)
    if unknown:
        raise EngineError(f"hcloud:{', '.join(sorted(unknown))} is not supported; allowed: {', '.join(SETTINGS)}")
    endpoint = refuse_foreign(settings.get("endpoint") or os.environ.get("HCLOUD_ENDPOINT"))
    token = settings.get("token") or os.environ.get("HCLOUD_TOKEN", "")
    if len(token) != TOKEN_LENGTH:
        raise EngineError(
            f"hcloud:token, or HCLOUD_TOKEN: has {len(token)} characters; allowed: a token of {TOKEN_LENGTH} characters"
        )
    poll = polling(settings.get("pollInterval", "500ms"), settings.get("pollFunction", "exponential"))
    return Hcloud(Api(token, endpoint, poll))


class Hcloud:
    """A Provider."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def check(self, type_: str, name: str, old: Properties, inputs: Properties) -> Properties:
        kind = _kind(type_)
        for key, value in inputs.items():
            _check_input(type_, name, key, plain(value), kind.fields)
        checked = {key: _with_defaults(value) for key, value in inputs.items()}
        if kind.framework:
            return checked
        if "name" in kind.fields and "name" not in inputs:
            return {**checked, "__defaults": ["name"], "name": old.get("name") or f"{name}-{uuid.uuid4().hex[:7]}"}
        return {"__defaults": [], **checked}

    def diff(self, type_: str, inputs: Properties, outputs: Properties, wanted: Properties) -> Diff:
        kind, changes = _kind(type_), dict[Path, ChangeKind]()
        for key, field in kind.fields.items():
            changes |= _changes(key, field, outputs.get(key, inputs.get(key)), wanted.get(key))
        if changes:
            changes |= {(key,): "update" for key in kind.volatile}
        given_name = "name" in kind.fields and "name" not in wanted.get("__defaults", ())
        replacing = {key for key, field in kind.fields.items() if field.replaces}
        replaces = frozenset(path for path in changes if path[0] in replacing)
        return Diff(changes, replaces, kind.framework or given_name)

    def preview(self, type_: str, outputs: Properties, wanted: Properties) -> Properties:
        known = {key: value for key, value in wanted.items() if key[:2] != "__"}
        return outputs | known | dict.fromkeys(_kind(type_).volatile, UNKNOWN)

    def create(self, type_: str, name: str, inputs: Properties, log: Log) -> tuple[str, Properties]:
        return _kind(type_).create(self._api, inputs)

    def read(self, type_: str, id_: str, inputs: Properties, outputs: Properties) -> Properties | None:
        return _kind(type_).read(self._api, id_, outputs | inputs)

    def update(self, type_: str, id_: str, outputs: Properties, wanted: Properties, diff: Diff, log: Log) -> Properties:
        kind = _kind(type_)
        changed = {str(path[0]) for path in diff.changes} & kind.fields.keys()
        return kind.update(self._api, id_, outputs, wanted, changed)

    def delete(self, type_: str, id_: str, inputs: Properties, outputs: Properties, log: Log) -> None:
        try:
            _kind(type_).delete(self._api, id_, outputs)
        except ApiError as error:
            if error.code != "not_found":
                raise

    def find(self, type_: str, inputs: Properties) -> str | None:
        return _kind(type_).find(self._api, inputs)

    def invoke(self, token: str, args: Properties) -> Properties:
        collection = SOURCES.get(token.rsplit(":", 1)[1])
        if collection is None or not args.keys() & {"id", "name"}:
            raise ProviderError(f"{token} {args} is not supported; allowed: {', '.join(SOURCES)} with a name or an id")
        if "id" in args:
            found = self._api.get(f"{collection}/{args['id']}")
        else:
            found = next(iter(self._api.list(collection, f"name={args['name']}")), None)
        if found is None:
            raise ProviderError(f"{token} {args}: not found")
        return {camel(key): value for key, value in found.items()}


def _kind(type_: str) -> Kind:
    if type_ not in KINDS:
        raise ProviderError(f"{type_} is not supported by the embedded engine; allowed: {', '.join(sorted(KINDS))}")
    return KINDS[type_]


def _check_input(type_: str, name: str, key: str, value: Value, fields: Mapping[str, Field]) -> None:
    if key not in fields:
        raise ProviderError(f"{name}: {key} is not supported; allowed for {type_}: {', '.join(sorted(fields))}")
    wanted = fields[key].type
    if value is not None and value != UNKNOWN and type(value) is not wanted:
        raise ProviderError(f"{name}: {key}: {value!r} is not allowed; allowed: a value of type {wanted.__name__}")


def _with_defaults(value: Value) -> Value:
    """The bridge notes in each nested block which of its values are defaults: none."""
    if isinstance(value, Secret) or not isinstance(value, list):
        return value
    return [{"__defaults": [], **item} if isinstance(item, dict) else item for item in value]


def _changes(key: str, field: Field, old: Value, new: Value) -> dict[Path, ChangeKind]:
    if has_unknown(new):
        return {(key,): "update"}
    if field.same(old, new):
        return {}
    if isinstance(old, dict) and isinstance(new, dict):
        return differences(old, new, (key,))
    if old in (None, "", [], {}):
        return {(key,): "add"}
    return {(key,): "delete" if new is None else "update"}
