"""What is to be done for each registration, in view of everything that is there."""

from __future__ import annotations

import threading
from dataclasses import replace

from localcloud.engine.ledger import Ledger
from localcloud.engine.plan import (
    ABSENT,
    Goal,
    Step,
    inherited_alias,
    is_triggered,
    with_ignored,
    with_replace_on_changes,
)
from localcloud.engine.providers import Diff, ProviderError
from localcloud.engine.registry import Registry
from localcloud.engine.state import Resource
from localcloud.engine.values import UNKNOWN, Properties, plain


class Planner:
    """One decision at a time, each quick: nothing is asked of the outside."""

    def __init__(self, ledger: Ledger, registry: Registry) -> None:
        self._ledger, self._registry = ledger, registry
        self._lock = threading.RLock()
        self._claimed: set[str] = set()
        self._former: dict[str, str] = {}
        self._condemned: dict[str, threading.Event] = {}

    def claim(self, urn: str) -> None:
        """Each URN is registered once; what is being deleted for another's replacement is waited for."""
        with self._lock:
            if urn in self._claimed:
                raise ProviderError(f"two resources have the URN {urn}: give one of them another name")
            self._claimed.add(urn)
            condemned = self._condemned.get(urn)
        if condemned:
            condemned.wait()

    def take_over(self, goal: Goal) -> None:
        """The entry of an alias, or of an alias of the parent, goes on under the new URN."""
        wanted = goal.resource
        with self._lock:
            if self._ledger.old(wanted.urn) is not ABSENT:
                return
            aliases = list(goal.aliases)
            if former_parent := self._former.get(wanted.parent):
                aliases += [inherited_alias(urn, wanted.parent, former_parent) for urn in (wanted.urn, *aliases)]
            for alias in aliases:
                if alias not in self._claimed and self._ledger.old(alias) is not ABSENT:
                    self._ledger.rename(alias, wanted.urn, wanted.type)
                    self._former[wanted.urn] = alias
                    return

    def release(self, step: Step) -> None:
        """What was to go before a replacement has gone, or will not."""
        for resource in step.first:
            if resource.urn in self._condemned:
                self._condemned.pop(resource.urn).set()

    def decide(self, goal: Goal) -> Step:
        with self._lock:
            return self._decide(self.with_provider(goal))

    def with_provider(self, goal: Goal) -> Goal:
        reference = goal.provider or self._registry.reference(goal.resource.type, goal.version)
        return replace(goal, resource=replace(goal.resource, provider=reference))

    def _decide(self, goal: Goal) -> Step:
        wanted, old = goal.resource, self._ledger.old(goal.resource.urn)
        if old is ABSENT or old.external:
            return Step("import" if wanted.import_id else "create", self._checked(wanted, ABSENT), old)
        if old.pending_replacement:
            return Step("replace", self._checked(wanted, ABSENT), old)
        new = self._checked(replace(wanted, inputs=with_ignored(wanted, old)), old)
        triggered = is_triggered(wanted.replacement_trigger, old.replacement_trigger)
        diff = Diff() if triggered else self._diff(new.provider, old, plain(new.inputs), new.replace_on_changes)
        if triggered or diff.replaces:
            return self._replacement(goal, old, diff)
        return Step("update" if diff.changes or old.init_errors else "same", new, old, diff)

    def _replacement(self, goal: Goal, old: Resource, diff: Diff) -> Step:
        """Ignored properties take their new values, and what cannot outlive the old resource goes first."""
        new = self._checked(goal.resource, ABSENT)
        asked = goal.delete_before_replace
        early = diff.delete_before_replace if asked is None else asked
        dependents = self._dependents(old) if early else []
        in_the_way = [r for r in (*([old] if new.protect else []), *dependents) if r.protect]
        self._condemned |= {resource.urn: threading.Event() for resource in dependents}
        first = (*reversed(dependents), old) if early else ()
        return Step("replace", new, old, diff, first, tuple(in_the_way))

    def _dependents(self, root: Resource) -> list[Resource]:
        """Those that would be replaced, were the outputs of the root and of each other unknown."""
        replaced, found = {root.urn}, []
        for resource in self._ledger.remaining():
            if resource.urn in self._claimed or resource.delete or resource.pending_replacement:
                continue
            if resource.managed and self._follows(resource, replaced):
                replaced.add(resource.urn)
                found.append(resource)
        return found

    def _follows(self, resource: Resource, replaced: set[str]) -> bool:
        hit = {key for key, urns in resource.property_dependencies.items() if replaced & set(urns)}
        hit &= resource.inputs.keys() - set(resource.ignore_changes)
        if not hit:
            return False
        wanted = plain(resource.inputs) | dict.fromkeys(hit, UNKNOWN)
        return bool(self._diff(resource.provider, resource, wanted, resource.replace_on_changes).replaces)

    def _checked(self, wanted: Resource, old: Resource) -> Resource:
        provider = self._registry.provider(wanted.provider)
        inputs = provider.check(wanted.type, wanted.name, plain(old.inputs), wanted.inputs)
        return replace(wanted, inputs=inputs, created=old.created, modified=old.modified)

    def _diff(self, reference: str, old: Resource, wanted: Properties, patterns: tuple[str, ...]) -> Diff:
        provider = self._registry.provider(reference)
        diff = provider.diff(old.type, plain(old.inputs), plain(old.outputs), wanted)
        return with_replace_on_changes(diff, patterns)
