"""Property values as plain Python: dicts, lists, strings, numbers, booleans, None, `Secret` and UNKNOWN.

The signatures are those of Pulumi's wire protocol and checkpoint (sdk/python/lib/pulumi/runtime/rpc.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
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


def has_secret(value: Value) -> bool:
    return _any(value, lambda part: isinstance(part, Secret))


def has_unknown(value: Value) -> bool:
    return _any(value, lambda part: part == UNKNOWN)


def _any(value: Value, is_wanted: Callable[[Value], bool]) -> bool:
    if is_wanted(value):
        return True
    if isinstance(value, Secret):
        return _any(value.value, is_wanted)
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return any(_any(part, is_wanted) for part in parts)


def differences(old: Value, new: Value, path: Path = ()) -> dict[Path, ChangeKind]:
    """What differs between two plain values, element by element; unknown differs from everything."""
    if isinstance(old, dict) and isinstance(new, dict):
        return _differences(old, new, sorted(old.keys() | new.keys()), path)
    if isinstance(old, list) and isinstance(new, list):
        items, others = dict(enumerate(old)), dict(enumerate(new))
        return _differences(items, others, range(max(len(old), len(new))), path)
    return {} if old == new and not has_unknown(new) else {path: "update"}


def _differences(
    old: Mapping[Any, Value], new: Mapping[Any, Value], keys: Iterable[Any], path: Path
) -> dict[Path, ChangeKind]:
    found: dict[Path, ChangeKind] = {}
    for key in keys:
        if key not in new:
            found[*path, key] = "delete"
        elif key not in old:
            found[*path, key] = "add"
        else:
            found |= differences(old[key], new[key], (*path, key))
    return found


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
