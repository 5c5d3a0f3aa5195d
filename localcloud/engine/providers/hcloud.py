"""pulumi-hcloud for the local cloud: what every resource of hcloud_kinds has in common, and two data sources."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping

from localcloud.engine.errors import EngineError
from localcloud.engine.providers import Diff, PartialError, Provider, ProviderError
from localcloud.engine.providers.hcloud_api import TRIES, Api, ApiError, Json, polling, refuse_foreign
from localcloud.engine.providers.hcloud_kinds import KINDS, Input, Kind, Relation, Update, camel, pick, snake
from localcloud.engine.values import UNKNOWN, ChangeKind, Path, Properties, Secret, Value, differences, has_unknown

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


class Hcloud(Provider):
    """Of pulumi-hcloud."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def check(self, type_: str, name: str, old: Properties, inputs: Properties) -> Properties:
        kind = _kind(type_)
        for key in inputs.keys() - kind.inputs.keys():
            raise ProviderError(
                f"{name}: {key} is not supported; allowed for {type_}: {', '.join(sorted(kind.inputs))}"
            )
        checked = {key: _with_defaults(value) for key, value in inputs.items()}
        nameless = "name" in kind.inputs and "name" not in inputs
        if nameless:
            checked["name"] = old.get("name") or f"{name}-{uuid.uuid4().hex[:7]}"
        return checked if kind.framework else {"__defaults": ["name"] if nameless else [], **checked}

    def diff(self, type_: str, inputs: Properties, outputs: Properties, wanted: Properties) -> Diff:
        kind, changes = _kind(type_), dict[Path, ChangeKind]()
        for key, field in kind.inputs.items():
            changes |= _changes(key, field, outputs.get(key, inputs.get(key)), wanted.get(key))
        if changes:
            changes |= {(key,): "update" for key in kind.volatile}
        given_name = "name" in kind.inputs and "name" not in wanted.get("__defaults", ())
        replaces = frozenset(path for path in changes if path[0] in kind.inputs and kind.inputs[str(path[0])].replaces)
        return Diff(changes, replaces, kind.framework or given_name, detailed=not kind.framework)

    def preview(self, type_: str, outputs: Properties, wanted: Properties) -> Properties:
        known = {key: value for key, value in wanted.items() if key[:2] != "__"}
        return outputs | known | dict.fromkeys(_kind(type_).volatile, UNKNOWN)

    def create(self, type_: str, name: str, inputs: Properties) -> tuple[str, Properties]:
        kind = _kind(type_)
        if isinstance(kind, Kind):
            return _create(self._api, kind, inputs)
        kind.make(self._api, inputs)
        return kind.id(inputs), kind.read(self._api, kind.id(inputs), inputs) or {}

    def read(self, type_: str, id_: str, inputs: Properties, outputs: Properties) -> Properties | None:
        kind = _kind(type_)
        return _read(self._api, kind, id_, outputs | inputs)

    def update(self, type_: str, id_: str, outputs: Properties, wanted: Properties, diff: Diff) -> Properties:
        kind = _kind(type_)
        if isinstance(kind, Kind):
            return _update(self._api, kind, id_, wanted, {str(path[0]) for path in diff.changes})
        return kind.read(self._api, id_, wanted) or outputs

    def delete(self, type_: str, id_: str, inputs: Properties, outputs: Properties) -> None:
        kind = _kind(type_)
        try:
            if isinstance(kind, Kind):
                path = f"{kind.path}/{id_}"
                kind.release(self._api, path, outputs)
                self._api.wait(self._api.persist(lambda: self._api.call("DELETE", path), kind.busy, 2 * TRIES))
            else:
                kind.remove(self._api, id_)
        except ApiError as error:
            if error.code != "not_found":
                raise

    def find(self, type_: str, inputs: Properties) -> str | None:
        return _find(self._api, _kind(type_), inputs)

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


def _kind(type_: str) -> Kind | Relation:
    if type_ not in KINDS:
        raise ProviderError(f"{type_} is not supported by the embedded engine; allowed: {', '.join(sorted(KINDS))}")
    return KINDS[type_]


def _with_defaults(value: Value) -> Value:
    """The bridge notes in each nested block which of its values are defaults: none."""
    if isinstance(value, Secret) or not isinstance(value, list):
        return value
    return [{"__defaults": [], **item} if isinstance(item, dict) else item for item in value]


def _changes(key: str, field: Input, old: Value, new: Value) -> Mapping[Path, ChangeKind]:
    if has_unknown(new):
        return {(key,): "update"}
    if field.same(old, new):
        return {}
    if isinstance(old, dict) and isinstance(new, dict):
        return differences(old, new, (key,))
    if old in (None, "", [], {}):
        return {(key,): "add"}
    return {(key,): "delete" if new is None else "update"}


def _outputs(kind: Kind, found: Json, known: Properties) -> Properties:
    """From the API's object; what it does not give back stays as it is known. No labels are {} at a first look only."""
    reads = {**{key: field.read or snake(key) for key, field in kind.inputs.items()}, **kind.also}
    values = {key: pick(found, path, known.get(key)) for key, path in reads.items()}
    labels = found["labels"] or ({} if kind.framework or not known else None)
    return {**values, "id": str(found["id"]), "labels": labels, **kind.outputs(found, known)}


def _read(api: Api, kind: Kind | Relation, id_: str, known: Properties) -> Properties | None:
    if isinstance(kind, Relation):
        return kind.read(api, id_, known)
    found = api.get(f"{kind.path}/{id_}")
    return None if found is None else _outputs(kind, found, known)


def _create(api: Api, kind: Kind, inputs: Properties) -> tuple[str, Properties]:
    sent = {key: value for key, value in inputs.items() if key in kind.inputs and kind.inputs[key].sent}
    body = {snake(key): value for key, value in sent.items() if value is not None} | kind.body(api, inputs)
    try:
        reply = api.call("POST", kind.path, body)
    except ApiError as error:
        return _existing(api, kind, inputs, error)
    made = next(value for value in reply.values() if isinstance(value, dict) and "created" in value)
    id_ = str(made["id"])
    try:
        api.wait(reply)
        kind.complete(Update(api, f"{kind.path}/{id_}", inputs, made))
        read = _read(api, kind, id_, inputs) if kind.reads_back else None
        return id_, read or _outputs(kind, made, inputs)
    except ProviderError as error:
        raise PartialError(str(error), id_, _outputs(kind, made, inputs)) from error


def _existing(api: Api, kind: Kind, inputs: Properties, error: ApiError) -> tuple[str, Properties]:
    """A reply was lost, or a run killed: it is ours if the labels and all that can be read back agree."""
    unsure = error.code != "uniqueness_error" or inputs.keys() & set(kind.unreadable)
    id_ = None if unsure else _find(api, kind, inputs)
    outputs = _read(api, kind, id_, {}) if id_ else None
    if id_ is None or outputs is None:
        raise error
    differs = [k for k, field in kind.inputs.items() if k in inputs and not field.same(outputs[k], inputs[k])]
    if differs:
        raise ProviderError(f"{inputs['name']} exists already and differs in {', '.join(differs)}") from error
    return id_, outputs


def _find(api: Api, kind: Kind | Relation, inputs: Properties) -> str | None:
    """Of objects the name and all labels must be the same, of relations all that there is."""
    if isinstance(kind, Kind):
        found = api.list(kind.path, f"name={inputs['name']}")
        ours = [o for o in found if o["labels"] and o["labels"] == (inputs.get("labels") or {})]
        return str(ours[0]["id"]) if ours else None
    there = kind.read(api, kind.id(inputs), inputs) or {}
    agrees = there and all(field.same(there[key], inputs.get(key)) for key, field in kind.inputs.items())
    return kind.id(inputs) if agrees else None


def _update(api: Api, kind: Kind, id_: str, wanted: Properties, changed: set[str]) -> Properties:
    path = f"{kind.path}/{id_}"
    current = api.get(path) if kind.asks_first and not kind.framework else {}
    if current is None:
        raise ProviderError(f"{path} is gone: run refresh, then up")
    fields = {key: field for key, field in kind.inputs.items() if key in changed}
    puts = {snake(key): wanted.get(key, field.absent) for key, field in fields.items() if field.change == "put"}
    done = set()
    for key, field in fields.items():
        if callable(field.change) and field.change not in done:
            field.change(Update(api, path, wanted, current))
            done.add(field.change)
        elif field.change == "put" and not kind.framework:
            api.call("PUT", path, {snake(key): puts[snake(key)]})
    if not kind.framework:
        return _read(api, kind, id_, wanted) or {}
    (found,) = api.call("PUT", path, puts).values()
    return _outputs(kind, found, wanted)
