"""Property values as plain Python: dicts, lists, strings, numbers, booleans, None, `Secret` and UNKNOWN.

The signatures are those of Pulumi's wire protocol and checkpoint (sdk/python/lib/pulumi/runtime/rpc.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from google.protobuf import struct_pb2  # type: ignore[import-untyped]

Value = Any
Properties = dict[str, Any]
Path = tuple[str | int, ...]
"""Where a value is: ("labels", "env") is `labels.env`, ("triggers", 0) is `triggers[0]`."""
ChangeKind = Literal["add", "delete", "update"]

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - the name of an envelope, no secret
ASSETS = ("c44067f5952c0a294b673a41bacd8c17", "0def7320c3a5731c473e5ecbe6d01bc7")
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


@dataclass(frozen=True)
class Secret:
    """A value that is masked on screens and encrypted in the checkpoint."""

    value: Value


@dataclass(frozen=True)
class Change:
    """One changed value. `before` and `after` are masked; `added` and `removed` are lines of a changed text."""

    path: str
    kind: ChangeKind
    replaces: bool
    before: Value = None
    after: Value = None
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


def decode(message: struct_pb2.Struct | struct_pb2.Value) -> Value:
    """From the wire. Numbers without a fraction become int; ValueError for assets, which are not supported."""
    if isinstance(message, struct_pb2.Struct):
        return _open({key: decode(value) for key, value in message.fields.items()})
    kind = message.WhichOneof("kind")
    if kind == "struct_value":
        return decode(message.struct_value)
    if kind == "list_value":
        return [decode(value) for value in message.list_value.values]
    if kind == "number_value":
        number = message.number_value
        return int(number) if number.is_integer() else number
    return None if kind in (None, "null_value") else getattr(message, kind)


def _open(value: dict[str, Value]) -> Value:
    signature = value.get(SIGNATURE)
    if signature == SECRET:
        return Secret(value.get("value"))
    if signature in ASSETS:
        raise ValueError("assets and archives are not supported by the embedded engine: pass the text itself")
    return value


def encode(properties: Properties) -> struct_pb2.Struct:
    """To the wire."""
    message = struct_pb2.Struct()
    message.update(map_secrets(properties, _envelope))
    return message


def _envelope(secret: Secret) -> Value:
    return {SIGNATURE: SECRET, "value": map_secrets(secret.value, _envelope)}


def map_secrets(value: Value, replace: Callable[[Secret], Value]) -> Value:
    """The same value with every `Secret`, outermost first, put through `replace`."""
    if isinstance(value, Secret):
        return replace(value)
    if isinstance(value, Mapping):
        return {key: map_secrets(item, replace) for key, item in value.items()}
    if isinstance(value, list):
        return [map_secrets(item, replace) for item in value]
    return value


def plain(value: Value) -> Value:
    """Without the envelopes: for providers only."""
    return map_secrets(value, lambda secret: plain(secret.value))


def mask(value: Value) -> Value:
    """For people: `[secret]` instead of each secret."""
    return map_secrets(value, lambda _: "[secret]")


def leaves(value: Value) -> Iterator[Value]:
    """Every scalar; a `Secret` counts as one and what is in it too."""
    if isinstance(value, Secret):
        yield value
        yield from leaves(value.value)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def has_secret(value: Value) -> bool:
    return any(isinstance(leaf, Secret) for leaf in leaves(value))


def has_unknown(value: Value) -> bool:
    return any(leaf == UNKNOWN for leaf in leaves(value))


def differences(old: Value, new: Value, path: Path = ()) -> dict[Path, ChangeKind]:
    """What differs between two plain values, element by element; unknown differs from everything."""
    if isinstance(old, dict) and isinstance(new, dict):
        return _differences(old, new, sorted(old.keys() | new.keys()), path)
    if isinstance(old, list) and isinstance(new, list):
        items, others = dict(enumerate(old)), dict(enumerate(new))
        return _differences(items, others, range(max(len(old), len(new))), path)
    return {} if old == new and not has_unknown(new) else {path: "update"}


def _differences(old: Mapping[Any, Value], new: Mapping[Any, Value], keys: Any, path: Path) -> dict[Path, ChangeKind]:
    found: dict[Path, ChangeKind] = {}
    for key in keys:
        here = (*path, key)
        if key not in new:
            found[here] = "delete"
        elif key not in old:
            found[here] = "add"
        else:
            found |= differences(old[key], new[key], here)
    return found


def lookup(value: Value, path: Path) -> Value:
    """What is there, or None; inside a secret everything is a secret."""
    for key in path:
        if isinstance(value, Secret):
            inner = lookup(value.value, (key,))
            value = None if inner is None else Secret(inner)
        elif isinstance(value, Mapping):
            value = value.get(str(key))
        elif isinstance(value, list) and isinstance(key, int) and key < len(value):
            value = value[key]
        else:
            return None
    return value


def show_path(path: Path) -> str:
    """As Pulumi writes it: `labels.env`, `labels["a.b"]`, `triggers[0]`."""
    text = ""
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
        elif "." in key or "[" in key:
            text += f'["{key}"]'
        else:
            text += f".{key}" if text else key
    return text


def changed_lines(before: Value, after: Value) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(added, removed) lines of a text of several lines; empty for anything else."""
    if not isinstance(before, str) or not isinstance(after, str) or "\n" not in before + after:
        return (), ()
    old, new = before.splitlines(), after.splitlines()
    return tuple(n for n in new if n not in old), tuple(o for o in old if o not in new)
