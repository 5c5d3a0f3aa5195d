"""What is to be done for one registration: the CLI's rules, over plain values.

Source: pkg/resource/deploy/step_generator.go and step.go of pulumi/pulumi.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from localcloud.engine.events import Op
from localcloud.engine.providers import Diff
from localcloud.engine.state import Resource
from localcloud.engine.values import Path, Properties, Secret, Value, has_secret, has_unknown, plain

ABSENT = Resource(urn="", custom=False, type="")
"""In the place of a resource that there was not, or will not be."""


@dataclass(frozen=True)
class Goal:
    """What the program wants: a resource with the inputs as given and its options, and what the state does not keep.

    `aliases` are the URNs that it may have had before.
    """

    resource: Resource
    aliases: tuple[str, ...] = ()
    provider: str = ""
    version: str = ""
    delete_before_replace: bool | None = None


@dataclass(frozen=True)
class Registered:
    """What the program gets back; `unknown` in a destroy, for what was never made."""

    urn: str
    id: str = ""
    outputs: Properties = field(default_factory=dict)
    unknown: bool = False


@dataclass(frozen=True)
class Failure:
    """What failed, and why."""

    urn: str
    message: str


@dataclass(frozen=True)
class Step:
    """One line of a plan. Of a replacement: `first` are deleted, in this order, before it is made, and `in_the_way` are
    protected resources that forbid it.
    """

    op: Op
    new: Resource = ABSENT
    old: Resource = ABSENT
    diff: Diff = field(default_factory=Diff)
    first: tuple[Resource, ...] = ()
    in_the_way: tuple[Resource, ...] = ()

    @property
    def urn(self) -> str:
        return self.new.urn or self.old.urn


def with_ignored(wanted: Resource, old: Resource) -> Properties:
    """The wanted inputs, but for the ignored ones, which stay as they were."""
    inputs = dict(wanted.inputs)
    for pattern in wanted.ignore_changes:
        _reset(_path(pattern), old.inputs, inputs)
    return inputs


def _reset(path: Path, old: Value, new: Value) -> None:
    *parents, last = path
    for key in parents:
        if not isinstance(old, dict) or not isinstance(new.get(key), dict):
            return
        new[key] = dict(new[key])
        old, new = old.get(str(key)), new[key]
    if isinstance(old, dict) and last in old:
        new[last] = old[str(last)]
    else:
        new.pop(last, None)


def is_triggered(new: Value, old: Value) -> bool:
    """Nothing -> value and value -> nothing do nothing; unknown counts as changed."""
    new, old = plain(new), plain(old)
    if has_unknown(new) or has_unknown(old):
        return True
    return new is not None and old is not None and bool(new != old)


def with_replace_on_changes(diff: Diff, patterns: Iterable[str]) -> Diff:
    also = {path for pattern in patterns for path in diff.changes if covers(_path(pattern), path)}
    return replace(diff, replaces=diff.replaces | also)


def covers(wanted: Path, path: Path) -> bool:
    """Whether `triggers[*]` or `labels.env` names this path or what it is in."""
    return len(wanted) <= len(path) and all(w in ("*", str(p)) for w, p in zip(wanted, path, strict=False))


def _path(pattern: str) -> Path:
    return tuple(re.findall(r"[^.\[\]\"]+", pattern))


def sealed(outputs: Properties, resource: Resource) -> Properties:
    """What was secret as an input, or is declared so, is secret as an output."""
    secret = {key for key, value in resource.inputs.items() if has_secret(value)}
    secret |= set(resource.additional_secret_outputs)
    return {key: Secret(value) if key in secret and value is not None else value for key, value in outputs.items()}


def deletion_order(doomed: Iterable[Resource]) -> list[list[Resource]]:
    """Groups that can go one after the other: whatever needs a resource goes before it."""
    left, groups = list(doomed), []
    while left:
        needed = {urn for resource in left for urn in resource.needs}
        group = [r for r in left if r.urn not in needed] or left
        groups.append(group)
        left = [r for r in left if not any(r is gone for gone in group)]
    return groups


def without_dependencies_on(resource: Resource, gone: set[str]) -> Resource:
    """A checkpoint must not name what is not in it."""
    properties = {key: [u for u in urns if u not in gone] for key, urns in resource.property_dependencies.items()}
    dependencies = tuple(u for u in resource.dependencies if u not in gone)
    return replace(resource, dependencies=dependencies, property_dependencies=properties)


def renamed(resource: Resource, old: str, new: str, type_: str) -> Resource:
    """With another URN where the old one was, in its own place or in a reference."""

    def other(urn: str) -> str:
        return new + urn.removeprefix(old) if urn == old or urn.startswith(f"{old}::") else urn

    properties = {key: [other(urn) for urn in urns] for key, urns in resource.property_dependencies.items()}
    return replace(
        resource,
        urn=other(resource.urn),
        type=type_ if resource.urn == old else resource.type,
        parent=other(resource.parent),
        provider=other(resource.provider),
        dependencies=tuple(other(urn) for urn in resource.dependencies),
        property_dependencies=properties,
    )


def urn_of(stack: str, project: str, parent: str, type_: str, name: str) -> str:
    """URNs carry the types of all parents but the stack's."""
    parents = parent.split("::")[2] if parent else ""
    prefix = f"{parents}$" if parents and parents != "pulumi:pulumi:Stack" else ""
    return f"urn:pulumi:{stack}::{project}::{prefix}{type_}::{name}"


def inherited_alias(urn: str, parent: str, former_parent: str) -> str:
    """What a child was called below a parent of another name; a name that begins with the parent's goes along."""
    name, parent_name, former_name = (part.rsplit("::", 1)[1] for part in (urn, parent, former_parent))
    if name.startswith(parent_name):
        name = former_name + name.removeprefix(parent_name)
    stack, project = former_parent.removeprefix("urn:pulumi:").split("::")[:2]
    return urn_of(stack, project, former_parent, urn.split("::")[2].rsplit("$", 1)[-1], name)
