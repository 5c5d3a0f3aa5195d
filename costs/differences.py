"""What differs between the inputs of a resource before and after, in few words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from costs.charges import UNKNOWN

INTERNAL = ("__defaults",)
ANY_UNKNOWN = re.compile("|".join(sorted(UNKNOWN)))
LONGEST_VALUE = 60
MOST_NAMES = 4


def between(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> list[str]:
    """One text a property that differs, such as "serverType ccx13 -> ccx23"."""
    if before is None or after is None:
        return []
    return list(_differences("", before, after))


def _differences(path: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted(before.keys() | after.keys()):
        if key in INTERNAL or before.get(key) == after.get(key):
            continue
        old, new = before.get(key), after.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _differences(f"{path}{key}.", old, new)
        elif _is_text(old) and _is_text(new):
            yield f"{path}{key}: {_changed_lines(str(old), str(new))}"
        else:
            yield f"{path}{key} {shown(old)} -> {shown(new)}"


def shown(value: Any) -> str:
    """A value for a person; secret ones read [secret] already, unknown ones say that they are."""
    if value is None:
        return "nothing"
    text = ANY_UNKNOWN.sub("known after up", " ".join(str(value).split()))
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 3]}..."


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and "\n" in value


def _changed_lines(old: str, new: str) -> str:
    """The lines that differ; what `apply` is given lists a file a line, "# path=hash"."""
    differing = set(old.splitlines()) ^ set(new.splitlines())
    names = sorted({line.removeprefix("# ").rpartition("=")[0] or shown(line) for line in differing})
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more
