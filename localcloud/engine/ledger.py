"""The resources of one run: what was there, what is there now, and what is being done."""

from __future__ import annotations

import threading

from localcloud.engine.plan import ABSENT, renamed
from localcloud.engine.state import Deployment, Pending, Resource


class Ledger:
    """Old entries keep their order; new ones follow each other as they are made, so dependencies come first."""

    def __init__(self, deployment: Deployment) -> None:
        self._lock = threading.RLock()
        self._old = list(deployment.resources)
        self._new: dict[str, Resource] = {}
        self._pending = list(deployment.pending)

    def snapshot(self) -> Deployment:
        with self._lock:
            return Deployment((*self._new.values(), *self._old), tuple(self._pending))

    def old(self, urn: str) -> Resource:
        """The entry that a registration of this URN goes on from, or ABSENT."""
        return next((r for r in self.remaining() if r.urn == urn and not r.delete), ABSENT)

    def find(self, urn: str) -> Resource:
        with self._lock:
            return self._new.get(urn) or self.old(urn)

    def remaining(self) -> list[Resource]:
        """Old entries that no registration has taken over."""
        with self._lock:
            return list(self._old)

    def put(self, resource: Resource, instead_of: Resource = ABSENT) -> None:
        """Enter a new resource, or change one; the old entry goes."""
        with self._lock:
            self.drop(instead_of)
            self._new[resource.urn] = resource

    def drop(self, resource: Resource) -> None:
        with self._lock:
            self._old = [r for r in self._old if r is not resource]

    def change(self, resource: Resource, changed: Resource) -> None:
        """Put another entry in an old one's place; in ABSENT's place is the end."""
        with self._lock:
            old = [*self._old, ABSENT] if resource is ABSENT else self._old
            self._old = [changed if r is resource else r for r in old]

    def rename(self, old: str, new: str, type_: str) -> None:
        """Give an old entry another URN, also wherever an old entry refers to it."""
        with self._lock:
            self._old = [renamed(r, old, new, type_) for r in self._old]

    def begin(self, operation: Pending) -> None:
        with self._lock:
            self._pending.append(operation)

    def end(self, operation: Pending) -> None:
        with self._lock:
            self._pending = [p for p in self._pending if p is not operation]
