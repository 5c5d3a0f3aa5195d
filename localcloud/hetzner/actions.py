"""Asynchronous actions: what runs, what it locks, and what becomes of it when the daemon dies.

Docs: docs.hetzner.cloud/reference/cloud, "Actions". While an action works on a server, volume or IP, another one is
refused with `locked`; on a network or firewall with `conflict`, as their pages say.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

from localcloud.backend import BackendError
from localcloud.hetzner.errors import ApiError, conflict, locked
from localcloud.hetzner.model import Action, ActionError, Fate, Record, Ref, Step, Undo, ref
from localcloud.hetzner.steps import STEPS, Work

log = logging.getLogger(__name__)

LOCKING: dict[str, Callable[[str, int], ApiError]] = {
    "server": locked,
    "volume": locked,
    "primary_ip": locked,
    "floating_ip": locked,
    "network": conflict,
    "firewall": conflict,
}


class ActionFailedError(Exception):
    """An action ended in error; the message is its error's."""


_fate: ContextVar[Fate | None] = ContextVar("fate", default=None)


@contextmanager
def fated(fate: Fate | None) -> Iterator[None]:
    """The first action that this task begins inside will end in error."""
    token = _fate.set(fate)
    try:
        yield
    finally:
        _fate.reset(token)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


class Actions:
    """Begun inside a transaction, launched after it; unfinished ones are launched again by `resume`."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._records = work.records
        self._begun: list[Action] = []
        self._holders: dict[Ref, int] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def begin(
        self,
        command: str,
        resources: Sequence[Record],
        steps: Iterable[Step],
        *,
        locks: Sequence[Record] | None = None,
        undo: Iterable[Undo] = (),
        after: Action | None = None,
    ) -> Action:
        """Record an action; without `locks` it locks its resources. It runs after `launch`, and after `after`."""
        action = Action(
            id=self._records.new_id(),
            command=command,
            started=now(),
            resources=tuple(ref(record) for record in resources),
            steps=tuple(steps),
            locks=tuple(ref(record) for record in (resources if locks is None else locks)),
            undo=tuple(undo),
            after=after.id if after else None,
            fate=None if self._begun else _fate.get(),
        )
        self._lock(action)
        self._begun.append(action)
        return self._records.put(action)

    def require_unlocked(self, record: Record) -> None:
        """Raises when an action works on it."""
        if ref(record) in self._holders:
            raise LOCKING[record.singular](record.singular, record.id)

    def is_locked(self, record: Record) -> bool:
        return ref(record) in self._holders

    def launch(self) -> None:
        """The transaction is committed: start what it began."""
        begun, self._begun = self._begun, []
        for action in begun:
            self._start(action)

    def drop(self) -> None:
        """The transaction is rolled back: forget what it began."""
        self._begun = []
        self._holders = {held: action.id for action in self._records.unfinished() for held in action.locks}

    def resume(self) -> None:
        """Take up what a dead daemon left, in the order in which it was begun."""
        self.drop()
        for action in self._records.unfinished():
            log.info("action %d %s: taken up again", action.id, action.command)
            self._start(action)

    async def wait(self, action: Action) -> None:
        """Until it ended; raises ActionFailedError when it ended in error."""
        if task := self._tasks.get(action.id):
            await asyncio.shield(task)
        ended = self._records.get(Action, action.id)
        if ended.error:
            raise ActionFailedError(ended.error.message)

    async def close(self, patience: float) -> None:
        """Let running actions end, for some seconds; the rest is taken up by the next `resume`."""
        if tasks := list(self._tasks.values()):
            await asyncio.wait(tasks, timeout=patience)
        for task in tasks:
            task.cancel()

    def _lock(self, action: Action) -> None:
        for held in action.locks:
            if self._holders.get(held, action.after) != action.after:
                raise LOCKING[held.type](held.type, held.id)
        self._holders.update(dict.fromkeys(action.locks, action.id))

    def _start(self, action: Action) -> None:
        task = asyncio.get_running_loop().create_task(self._run(action), name=action.command)
        self._tasks[action.id] = task
        task.add_done_callback(lambda _: self._tasks.pop(action.id, None))

    async def _run(self, action: Action) -> None:
        error = await self._outcome(action)
        with self._records.transaction():
            for undo in action.undo if error and action.fate != "after" else ():
                self._records.take_back(undo)
            ended = self._records.get(Action, action.id)
            status = "error" if error else "success"
            self._records.change(ended, status=status, progress=100, finished=now(), error=error)
        for held in action.locks:
            if self._holders.get(held) == action.id:
                del self._holders[held]
        log.info("action %d %s: %s", action.id, action.command, error.message if error else "done")

    async def _outcome(self, action: Action) -> ActionError | None:
        try:
            await self._wait_for_predecessor(action)
            if action.fate != "before":
                await self._take_steps(action)
        except (BackendError, ActionFailedError, ApiError) as error:
            return ActionError(code="action_failed", message=str(error))
        except Exception:
            log.exception("action %d %s", action.id, action.command)
            return ActionError(code="server_error", message="the local cloud failed; its log says why")
        return ActionError(code="action_failed", message="Action failed") if action.fate else None

    async def _take_steps(self, action: Action) -> None:
        for done, step in enumerate(action.steps):
            self._report(action, 100 * done // len(action.steps))
            await STEPS[step.name](self._work, step.id)

    async def _wait_for_predecessor(self, action: Action) -> None:
        if action.after is None:
            return
        before = self._records.get(Action, action.after)
        try:
            await self.wait(before)
        except ActionFailedError as error:
            raise ActionFailedError(f"{before.command} before it failed: {error}") from None

    def _report(self, action: Action, progress: int) -> None:
        with self._records.transaction():
            self._records.change(self._records.get(Action, action.id), progress=progress)
