"""Apply: what one registration, one read or one deletion does to the world and to the state.

The first failure stops whatever has not begun; what runs ends and is saved.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from localcloud.engine.backend import Recorder
from localcloud.engine.errors import EngineError, StoppedError
from localcloud.engine.events import Diagnostic, Op, Progress, StepEnded, StepStarted
from localcloud.engine.hooks import HookArgs, Hooks, When
from localcloud.engine.ledger import Ledger
from localcloud.engine.plan import (
    ABSENT,
    Failure,
    Goal,
    Registered,
    Step,
    deletion_order,
    sealed,
    urn_of,
    without_dependencies_on,
)
from localcloud.engine.planner import Planner
from localcloud.engine.providers import PartialError, Provider, ProviderError, UnknownOutcomeError
from localcloud.engine.registry import Registry
from localcloud.engine.state import STACK_TYPE, Pending, Resource, now
from localcloud.engine.values import UNKNOWN, Properties, has_unknown, plain, show_path

COUNTED: dict[Op, str] = {
    "create": "create",
    "update": "update",
    "create-replacement": "replace",
    "delete": "delete",
    "import": "import",
}


@dataclass(frozen=True)
class Mode:
    """How a run goes about it; `parallel` operations at a time."""

    dry_run: bool = False
    destroying: bool = False
    parallel: int = 16


class Engine:
    """One run over one stack. Its methods are called from many threads at once."""

    def __init__(
        self, stack: tuple[str, str], ledger: Ledger, registry: Registry, recorder: Recorder, emit: Progress, mode: Mode
    ) -> None:
        """`stack` is (stack, project)."""
        self._stack, self._project = stack
        self._ledger, self._registry, self._recorder, self._emit = ledger, registry, recorder, emit
        self._planner = Planner(ledger, registry)
        self._mode = mode
        self._slots = threading.Semaphore(mode.parallel)
        self._counting = threading.Lock()
        self.hooks = Hooks(mode.dry_run, lambda urn, text: emit(Diagnostic("warning", text, urn)))
        self.steps: list[Step] = []
        self.summary: Counter[str] = Counter()
        self.failures: list[Failure] = []
        self.fatal: EngineError | None = None
        self.stopping = False
        self.outputs: Properties = {}

    def stop(self) -> None:
        """Let what runs end and begin nothing new."""
        self.stopping = True

    def urn(self, parent: str, type_: str, name: str) -> str:
        return urn_of(self._stack, self._project, parent, type_, name)

    # What the program asks for. StoppedError when it failed or may not begin; why is in `failures` or `fatal`.

    def register(self, goal: Goal) -> Registered:
        wanted = goal.resource
        with self._recorded(wanted.urn):
            self._planner.claim(wanted.urn)
            self._planner.take_over(goal)
            if self._mode.destroying:
                return self._keep(wanted)
            if wanted.is_provider:
                return self._enter_provider(wanted)
            if not wanted.custom:
                return self._enter_component(wanted)
            return self._carry_out(self._planner.decide(goal))

    def register_outputs(self, urn: str, outputs: Properties) -> None:
        resource = self._ledger.find(urn)
        if resource is ABSENT or self._mode.destroying:
            return
        if resource.type == STACK_TYPE:
            self.outputs = outputs
        self._ledger.put(replace(resource, outputs=outputs))

    def read(self, goal: Goal, id_: str) -> Registered:
        """A resource that is looked at and never changed."""
        urn = goal.resource.urn
        with self._recorded(urn):
            self._planner.claim(urn)
            self._planner.take_over(goal)
            if self._mode.destroying or id_ in ("", UNKNOWN):
                return Registered(urn, unknown=True)
            wanted = replace(self._planner.with_provider(goal).resource, id=id_, external=True)
            with self._step("read", urn):
                seen = replace(wanted, outputs=self._must_read(wanted))
                self.steps.append(Step("read", seen))
                self._ledger.put(seen, self._ledger.old(urn))
            return Registered(urn, id_, seen.outputs)

    def invoke(self, token: str, args: Properties, reference: str, version: str) -> Properties:
        if has_unknown(args):
            return {}
        with self._recorded(""):
            provider = self._registry.provider(reference or self._registry.reference(token, version))
            return provider.invoke(token, plain(args))

    def finish(self) -> None:
        """Delete what the program no longer has; in a destroy, everything. Nothing goes when one of them may not."""
        doomed = self._ledger.remaining()
        for resource in doomed:
            self._rehearse(resource)
        for group in deletion_order(doomed):
            if self.stopping:
                return
            with ThreadPoolExecutor(self._mode.parallel) as pool:
                list(pool.map(self._delete_last, group))

    # One registration.

    def _keep(self, wanted: Resource) -> Registered:
        """In a destroy the program runs only for its hooks; nothing is made."""
        old = self._ledger.old(wanted.urn)
        if old is not ABSENT:
            self._ledger.change(old, replace(old, hooks=wanted.hooks, protect=old.protect or wanted.protect))
        return Registered(wanted.urn, old.id, old.outputs if wanted.custom else {}, unknown=old is ABSENT)

    def _enter_provider(self, wanted: Resource) -> Registered:
        entry = self._registry.enter(replace(wanted, inputs={"__internal": {}, **wanted.inputs}))
        return Registered(entry.urn, entry.id, entry.outputs)

    def _enter_component(self, wanted: Resource) -> Registered:
        old = self._ledger.old(wanted.urn)
        new = replace(wanted, inputs={}, outputs=old.outputs, created=old.created, modified=old.modified)
        op: Op = "create" if old is ABSENT else "same"
        self.steps.append(Step(op, new, old))
        self._count(op)
        self._ledger.put(new, old)
        return Registered(wanted.urn)

    def _carry_out(self, step: Step) -> Registered:
        self.steps.append(step)
        if step.op == "same":
            new = replace(step.new, id=step.old.id, outputs=step.old.outputs)
            self._ledger.put(new, step.old)
            self._count("same")
        elif step.op == "update":
            new = self._update(step)
        elif step.op == "import":
            new = self._import(step)
        elif step.op == "create":
            new = self._create("create", step)
        else:
            new = self._replace(step)
        return Registered(new.urn, new.id, new.outputs)

    def _replace(self, step: Step) -> Resource:
        try:
            self._refuse_protected(step)
            self._emit(StepStarted("replace", step.urn))
            for resource in step.first:
                self._delete("delete-replaced", resource, replace(resource, pending_replacement=True))
        finally:
            self._planner.release(step)
        return self._create("create-replacement", step)

    def _refuse_protected(self, step: Step) -> None:
        """A preview names them all and goes on."""
        for resource in step.in_the_way:
            message = f"{resource.name} is protected: remove its `protect` and run up before it is replaced"
            if not self._mode.dry_run:
                raise ProviderError(message)
            self._fail(resource.urn, message, stop=False)

    def _update(self, step: Step) -> Resource:
        old, new = step.old, replace(step.new, id=step.old.id)
        provider, wanted, outputs = self._provider(new), plain(new.inputs), plain(old.outputs)
        args = HookArgs(new, new_inputs=new.inputs, old_inputs=old.inputs, old_outputs=old.outputs)
        with self._step("update", new.urn):
            self.hooks.run("BeforeUpdate", args)
            with self._pending("updating", old):
                if self._mode.dry_run:
                    outputs = provider.preview(new.type, outputs, wanted)
                else:
                    outputs = provider.update(new.type, new.id, outputs, wanted, step.diff)
                new = replace(new, outputs=sealed(outputs, new), modified=now())
                self._ledger.put(new, old)
            self._after("AfterUpdate", replace(args, resource=new, new_outputs=new.outputs))
        return new

    def _import(self, step: Step) -> Resource:
        """What is there already is taken over if it is as the program wants it."""
        wanted = replace(step.new, id=step.new.import_id)
        with self._step("import", wanted.urn):
            outputs = self._must_read(replace(wanted, inputs={}))
            diff = self._provider(wanted).diff(wanted.type, {}, outputs, plain(wanted.inputs))
            if diff.changes:
                differs = ", ".join(sorted({show_path(path[:1]) for path in diff.changes}))
                raise ProviderError(
                    f"{wanted.name} cannot be imported: {wanted.id} differs in {differs}; write what is there"
                )
            new = replace(wanted, outputs=sealed(outputs, wanted), created=now(), modified=now())
            self._ledger.put(new)
            self._commit()
        return new

    def _create(self, op: Op, step: Step) -> Resource:
        args = HookArgs(step.new, new_inputs=step.new.inputs)
        with self._step(op, step.urn):
            self.hooks.run("BeforeCreate", args)
            with self._pending("creating", step.new):
                new = self._make(step)
            self._after("AfterCreate", replace(args, resource=new, new_outputs=new.outputs))
        return new

    def _make(self, step: Step) -> Resource:
        wanted = step.new
        if self._mode.dry_run:
            outputs = {key: value for key, value in wanted.inputs.items() if key[:2] != "__"}
            return self._enter(step, "", outputs)
        try:
            made = self._provider(wanted).create(wanted.type, wanted.name, plain(wanted.inputs))
        except PartialError as error:
            self._enter(step, error.resource_id, error.outputs, str(error))
            raise
        return self._enter(step, *made)

    def _enter(self, step: Step, id_: str, outputs: Properties, *errors: str) -> Resource:
        """Enter what was made. An old resource that still exists is deleted last of all."""
        made = replace(step.new, id=id_, outputs=sealed(outputs, step.new), created=now(), modified=now())
        old = self._ledger.old(made.urn)
        if step.op == "replace" and not old.pending_replacement:
            self._ledger.change(old, replace(old, delete=True))
            old = ABSENT
        made = replace(made, init_errors=errors)
        self._ledger.put(made, old)
        return made

    # Deletions.

    def _delete_last(self, resource: Resource) -> None:
        if resource.is_provider or resource.pending_replacement:
            self._ledger.drop(resource)
            return
        with suppress(StoppedError):
            self._delete("delete-replaced" if resource.delete else "delete", resource, ABSENT)

    def _delete(self, op: Op, resource: Resource, left: Resource) -> None:
        """`left` is the entry that stays, so that what names the resource is not left dangling."""
        args = HookArgs(resource, old_inputs=resource.inputs, old_outputs=resource.outputs)
        if op == "delete":
            self.steps.append(Step(op, old=resource))
        with self._step(op, resource.urn):
            self.hooks.run("BeforeDelete", args)
            with self._pending("deleting", resource):
                if resource.managed and not resource.retain_on_delete and not self._mode.dry_run:
                    inputs, outputs = plain(resource.inputs), plain(resource.outputs)
                    self._provider(resource).delete(resource.type, resource.id, inputs, outputs)
                if left is ABSENT:
                    self._ledger.drop(resource)
                else:
                    self._ledger.change(resource, left)
            self._after("AfterDelete", args)

    def _rehearse(self, resource: Resource) -> None:
        """Ask whatever may refuse the deletion before the first one."""
        if resource.protect and not resource.delete:
            text = f"{resource.name} is protected: remove its `protect` and run up before it is deleted"
            self._fail(resource.urn, text, stop=not self._mode.dry_run)
            return
        args = HookArgs(resource, old_inputs=resource.inputs, old_outputs=resource.outputs)
        try:
            self.hooks.run("BeforeDelete", args, rehearsal=True)
        except ProviderError as error:
            self._fail(resource.urn, str(error))

    # What an interrupted run has left, and what has changed outside.

    def recover(self) -> None:
        """Find what came of operations that nobody saw the end of."""
        for pending in self._ledger.snapshot().pending:
            old = self._ledger.old(pending.resource.urn)
            made_before = old is not ABSENT and not old.pending_replacement
            with suppress(StoppedError), self._recorded(pending.resource.urn):
                if pending.kind == "creating" and not made_before:
                    self._adopt(pending.resource, old)
                elif pending.kind == "deleting" and old.managed and self._read(old) is None:
                    self._ledger.change(old, replace(old, pending_replacement=True))
                self._ledger.end(pending)

    def _adopt(self, resource: Resource, old: Resource) -> None:
        id_ = self._provider(resource).find(resource.type, plain(resource.inputs))
        outputs = self._read(replace(resource, id=id_)) if id_ else None
        if not id_ or outputs is None:
            return
        text = f"adopted {id_}, which an interrupted run has made"
        self._emit(Diagnostic("warning", text, resource.urn))
        made = replace(resource, id=id_, outputs=sealed(outputs, resource), init_errors=(text,))
        self._ledger.change(old, replace(made, created=now(), modified=now()))

    def refresh(self) -> None:
        """Take over into the state what has changed outside of it; outputs alone are no change."""
        with ThreadPoolExecutor(self._mode.parallel) as pool:
            list(pool.map(self._refresh, [r for r in self._ledger.remaining() if r.managed and not r.delete]))
        gone = {step.urn for step in self.steps if step.op == "delete"}
        for resource in self._ledger.remaining():
            self._ledger.change(resource, without_dependencies_on(resource, gone))

    def _refresh(self, resource: Resource) -> None:
        with suppress(StoppedError), self._step("refresh", resource.urn):
            outputs = self._read(resource)
            if outputs is None:
                self.steps.append(Step("delete", old=resource))
                self._count("delete")
                self._ledger.drop(resource)
                return
            wanted = plain(resource.inputs)
            diff = self._provider(resource).diff(resource.type, wanted, outputs, wanted)
            drifted = {path[0] for path in diff.changes} & resource.inputs.keys()
            inputs = {key: outputs[key] if key in drifted else value for key, value in resource.inputs.items()}
            new = replace(resource, inputs=inputs, outputs=sealed(outputs, resource))
            self._ledger.change(resource, new)
            self._count("update" if drifted else "same")
            if drifted:
                self.steps.append(Step("update", new, resource, diff))

    def _read(self, resource: Resource) -> Properties | None:
        inputs, outputs = plain(resource.inputs), plain(resource.outputs)
        return self._provider(resource).read(resource.type, resource.id, inputs, outputs)

    def _must_read(self, resource: Resource) -> Properties:
        outputs = self._read(resource)
        if outputs is None:
            raise ProviderError(f"{resource.type} {resource.id!r} does not exist")
        return outputs

    # Around every operation.

    def _provider(self, resource: Resource) -> Provider:
        return self._registry.provider(resource.provider)

    @contextmanager
    def _recorded(self, urn: str) -> Iterator[None]:
        """Whatever goes wrong inside is recorded once and becomes a StoppedError."""
        try:
            yield
        except StoppedError:
            raise
        except EngineError as error:
            self.fatal = self.fatal or error
            self.stop()
            raise StoppedError(str(error)) from error
        except Exception as error:
            self._fail(urn, _text(error))
            raise StoppedError(_text(error)) from error

    @contextmanager
    def _step(self, op: Op, urn: str) -> Iterator[None]:
        """One operation: in a slot, announced, timed, counted."""
        with self._slots, self._recorded(urn):
            if self.stopping:
                raise StoppedError(f"{urn} was not begun")
            self._emit(StepStarted(op, urn))
            started, error = time.monotonic(), None
            try:
                yield
                if op in COUNTED:
                    self._count(COUNTED[op])
            except Exception as failure:
                error = _text(failure)
                raise
            finally:
                self._emit(StepEnded(op, urn, time.monotonic() - started, error))

    @contextmanager
    def _pending(self, kind: str, resource: Resource) -> Iterator[None]:
        """The state on disk knows of an operation before it begins, and what came of it when it has ended."""
        if self._mode.dry_run or not resource.managed:
            yield
            return
        operation = Pending(kind, resource)
        self._ledger.begin(operation)
        self._commit()
        try:
            yield
        except UnknownOutcomeError:
            raise
        except BaseException:
            self._ledger.end(operation)
            raise
        self._ledger.end(operation)
        self._commit()

    def _commit(self) -> None:
        if not self._mode.dry_run:
            self._recorder.commit()

    def _after(self, when: When, args: HookArgs) -> None:
        """The work is done and saved: an error of such a hook fails the run and stops nothing."""
        try:
            self.hooks.run(when, args)
        except ProviderError as error:
            self._fail(args.resource.urn, str(error), stop=False)

    def _count(self, what: str) -> None:
        with self._counting:
            self.summary[what] += 1

    def _fail(self, urn: str, message: str, stop: bool = True) -> None:
        self.failures.append(Failure(urn, message))
        self._emit(Diagnostic("error", message, urn))
        if stop:
            self.stop()


def _text(error: BaseException) -> str:
    if isinstance(error, (ProviderError, EngineError, StoppedError)):
        return str(error)
    return f"{type(error).__name__}: {error}"
