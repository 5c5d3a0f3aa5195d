"""Run a Pulumi program against the embedded engine: what the wrapper script calls.

It is for the local cloud and for tests; a real cloud needs the pulumi CLI, which takes the state over as it is.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import runpy
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pulumi
from pulumi.runtime import Settings, configure, run_in_stack, set_all_config

from localcloud.engine.backend import Backend, Recorder
from localcloud.engine.crypter import Crypter, new_salt, passphrase_of
from localcloud.engine.engine import Engine, Mode
from localcloud.engine.errors import EngineError, InterruptedRunError, StoppedError
from localcloud.engine.events import Diagnostic, Event, Progress, StepEnded
from localcloud.engine.ledger import Ledger
from localcloud.engine.monitor import EngineService, Monitor
from localcloud.engine.plan import Failure, urn_of
from localcloud.engine.preview import Plan
from localcloud.engine.providers import Configure, command, hcloud
from localcloud.engine.providers.stacks import Stacks
from localcloud.engine.registry import Registry
from localcloud.engine.stackfile import add_salt, load_project, load_stack_file, salt_of, settings, wire
from localcloud.engine.state import STACK_TYPE
from localcloud.engine.values import Properties, mask, plain

PROVIDERS: Mapping[str, Configure] = {"hcloud": hcloud.configure, "command": command.configure}
STRICT_OUTPUTS = "PULUMI_ERROR_OUTPUT_STRING"
DELETE_HOOKS = {"BeforeDelete", "AfterDelete"}


@dataclass(frozen=True)
class Request:
    """`config_file` instead of the project's own stack file; `parallel` operations at a time.

    `targets` are refused: half a stack would be neither the old one nor the new.
    """

    project_dir: Path
    stack: str
    config_file: Path | None = None
    targets: tuple[str, ...] = ()
    parallel: int = 16
    providers: Mapping[str, Configure] = field(default_factory=lambda: PROVIDERS)


@dataclass(frozen=True)
class Outcome:
    """What a run has done. Secret outputs are `Secret`; `durations` are seconds by URN."""

    outputs: Properties
    change_summary: Mapping[str, int]
    failures: tuple[Failure, ...]
    durations: Mapping[str, float]
    seconds: float


def preview(request: Request, progress: Progress) -> Plan:
    """EngineError when there is no plan: the program failed, a setting is wrong, a provider is refused."""
    with _Session(request, progress, Mode(dry_run=True, parallel=request.parallel)) as session:
        session.run_program()
    engine, diagnostics = session.engine, tuple(session.diagnostics)
    steps, failures = tuple(engine.steps), tuple(engine.failures)
    return Plan(session.config, steps, dict(engine.summary), diagnostics, failures, session.seconds)


def up(request: Request, progress: Progress) -> Outcome:
    """What failed is in the outcome; EngineError as in `preview`, and InterruptedRunError after Ctrl-C."""
    with _Session(request, progress, Mode(parallel=request.parallel)) as session:
        session.run_program()
    return session.outcome()


def destroy(request: Request, progress: Progress) -> Outcome:
    """The program runs only where it has to answer: when there are delete hooks."""
    with _Session(request, progress, Mode(destroying=True, parallel=request.parallel)) as session:
        if any(DELETE_HOOKS & resource.hooks.keys() for resource in session.ledger.remaining()):
            session.run_program()
        else:
            session.engine.finish()
    return session.outcome()


def refresh(request: Request, progress: Progress) -> Outcome:
    """The state becomes what the cloud says; the cloud is not touched."""
    with _Session(request, progress, Mode(parallel=request.parallel)) as session:
        session.engine.refresh()
    return session.outcome()


def outputs(request: Request, show_secrets: bool = False) -> Properties:
    """The stack's outputs as the last run left them."""
    files = _Files(request)
    found = _outputs_in(files.backend, files.crypter(make=False))
    return dict(plain(found) if show_secrets else mask(found))


def _outputs_in(backend: Backend, crypter: Crypter | None) -> Properties:
    resources = backend.load(crypter).resources
    return next((r.outputs for r in resources if r.type == STACK_TYPE), {})


class _Files:
    """What is on disk."""

    def __init__(self, request: Request) -> None:
        self.project = load_project(request.project_dir.resolve())
        self.stack_file = request.config_file or self.project.stack_file(request.stack)
        self.backend = Backend(os.environ.get("PULUMI_BACKEND_URL", ""), self.project.name, request.stack)

    def crypter(self, make: bool) -> Crypter | None:
        """None for a stack that has no salt yet; `make` gives it one."""
        salt = salt_of(self.stack_file)
        if salt is None and not make:
            return None
        passphrase = passphrase_of(os.environ)
        if salt is None:
            salt = new_salt(passphrase)
            add_salt(self.stack_file, salt)
        return Crypter(salt, passphrase)

    def outputs_of(self, name: str) -> Properties | None:
        """Of another stack, `STACK` or `organization/PROJECT/STACK`, with the same passphrase; None without one."""
        _, project, stack = ("organization", self.project.name, *name.split("/"))[-3:]
        backend = Backend(self.backend.url, project, stack)
        if not backend.exists():
            return None
        salt = backend.salt()
        return _outputs_in(backend, Crypter(salt, passphrase_of(os.environ)) if salt else None)


class _Session:
    """One run, from the lock to the last save. Leaving it raises what stopped it, unless a resource's failure did."""

    def __init__(self, request: Request, progress: Progress, mode: Mode) -> None:
        if request.targets:
            raise EngineError(
                f"targets: {', '.join(request.targets)} are not supported by the embedded engine: leave them out, or "
                "install the pulumi CLI"
            )
        self._started = time.monotonic()
        self._request, self._progress, self._mode = request, progress, mode
        self._files = _Files(request)
        self._crypter = self._files.crypter(make=not mode.dry_run)
        config = load_stack_file(self._files.stack_file, self._crypter).config
        self.config = settings(self._files.project, request.stack, config)
        self.diagnostics: list[Diagnostic] = []
        self._durations: dict[str, float] = {}
        self._emitting = threading.Lock()
        self._closing = ExitStack()
        self._died_of: BaseException | None = None
        self._interrupted = False

    def __enter__(self) -> _Session:
        """A preview changes nothing and takes no lock."""
        with ExitStack() as opening:
            if not self._mode.dry_run:
                lock = opening.enter_context(self._files.backend.lock())
                for owner in lock.stale:
                    self._emit(Diagnostic("warning", f"removed the lock of {owner}, which has ended"))
            self._open()
            opening.enter_context(self._stopped_by_ctrl_c())
            if not self._mode.dry_run:
                opening.callback(self._save)
            self.engine.recover()
            self._closing = opening.pop_all()
        return self

    def __exit__(self, *raised: object) -> None:
        self._closing.close()
        if raised[0] is None:
            self._raise()

    def _open(self) -> None:
        request, stack = self._request, (self._request.stack, self._files.project.name)
        self.ledger = Ledger(self._files.backend.load(self._crypter))
        providers = {**request.providers, "pulumi": lambda _: Stacks(self._files.outputs_of)}
        registry = Registry(providers, self.config, self.ledger, lambda type_, name: urn_of(*stack, "", type_, name))
        self.engine = Engine(stack, self.ledger, registry, Recorder(self._save), self._emit, self._mode)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def outcome(self) -> Outcome:
        engine = self.engine
        return Outcome(engine.outputs, dict(engine.summary), tuple(engine.failures), self._durations, self.seconds)

    @contextmanager
    def _stopped_by_ctrl_c(self) -> Iterator[None]:
        """The first one lets what runs end; the second is Python's own."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.getsignal(signal.SIGINT)

        def stop(*_: object) -> None:
            signal.signal(signal.SIGINT, before)
            self._interrupted = True
            self.engine.stop()
            self._emit(Diagnostic("warning", "stopping: what runs is let end; Ctrl-C again leaves it half done"))

        signal.signal(signal.SIGINT, stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _raise(self) -> None:
        error = self._died_of
        if self._interrupted:
            raise InterruptedRunError("stopped by Ctrl-C; what was begun has ended and is saved: run it again to go on")
        if self.engine.fatal:
            raise self.engine.fatal
        if error is None or self.engine.failures:
            return
        if isinstance(error, (pulumi.RunError, EngineError)):
            raise EngineError(str(error)) from error
        details = "".join(traceback.format_exception(error))
        raise EngineError(f"the program failed: {type(error).__name__}: {error}", details) from error

    def _save(self) -> None:
        assert self._crypter is not None  # noqa: S101 - for the type checker: only a dry run has none
        self._files.backend.save(self.ledger.snapshot(), self._crypter)

    def _emit(self, event: Event) -> None:
        with self._emitting:
            if isinstance(event, Diagnostic):
                self.diagnostics.append(event)
            elif isinstance(event, StepEnded):
                self._durations[event.urn] = self._durations.get(event.urn, 0.0) + event.seconds
            self._progress(event)

    def run_program(self) -> None:
        """In a context of its own: several runs of one process do not see one another."""
        if not self.engine.stopping:
            contextvars.copy_context().run(self._run_program)

    def _run_program(self) -> None:
        project, mode = self._files.project, self._mode
        configure(
            Settings(
                project=project.name,
                stack=self._request.stack,
                monitor=Monitor(self.engine, str(project.directory)),
                engine=EngineService(self._emit),
                parallel=mode.parallel,
                dry_run=mode.dry_run,
                organization="organization",
                root_directory=str(project.directory),
            )
        )
        set_all_config(*wire(self.config))
        with _as_the_cli_runs_it(project.main):
            self._died_of = _run_to_the_end(lambda: _program(project.main), mode.parallel)


def _program(directory: Path) -> None:
    if not (directory / "__main__.py").exists():
        raise EngineError(f"{directory}/__main__.py does not exist")
    runpy.run_path(str(directory), run_name="__main__")


def _run_to_the_end(program: Callable[[], None], parallel: int) -> BaseException | None:
    """As the CLI's language host does it; the loop runs until the last operation has ended, so that hooks answer."""
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.set_default_executor(ThreadPoolExecutor(4 * max(parallel, 1)))
    died_of: BaseException | None = None
    try:
        loop.run_until_complete(run_in_stack(program))
    except StoppedError:
        pass
    except (Exception, SystemExit) as error:
        died_of = error
    loop.run_until_complete(loop.shutdown_default_executor())
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    asyncio.set_event_loop(None)
    loop.close()
    return died_of


@contextmanager
def _as_the_cli_runs_it(directory: Path) -> Iterator[None]:
    """In the project; an output that is put into a text by mistake is an error, not text on a host."""
    before, strict = Path.cwd(), os.environ.get(STRICT_OUTPUTS)
    os.chdir(directory)
    os.environ[STRICT_OUTPUTS] = "1"
    try:
        yield
    finally:
        os.chdir(before)
        os.environ.pop(STRICT_OUTPUTS)
        os.environ.update({} if strict is None else {STRICT_OUTPUTS: strict})
