"""The two engines that run the program, behind one face: the pulumi CLI, and the embedded one without it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from rich.console import Console

from localcloud.engine import run as embedded
from localcloud.engine.errors import EngineError, InterruptedRunError
from localcloud.engine.events import Event, StepEnded
from scripts.pulumi_output import failures, without_noise
from scripts.report import short_type


class StackError(Exception):
    """The stack could not be brought where it should be; the message is for a person."""


class Engine(Protocol):
    """What a person does with a stack."""

    def preview(self) -> dict[str, Any]:
        """The plan, as `pulumi preview --json`. Raises StackError."""

    def up(self, say: Console) -> None:
        """Carry the plan out. Raises StackError with what failed, last and without tracebacks."""

    def destroy(self, say: Console) -> None:
        """Delete everything. Raises StackError."""

    def outputs(self, show_secrets: bool) -> dict[str, Any]:
        """The stack's outputs; secrets as `[secret]` unless they are asked for."""


def choose(project: Path, stack: str, config_file: Path | None, local: bool) -> Engine:
    """The pulumi CLI where there is one. Raises StackError for a real cloud without it."""
    pulumi = shutil.which("pulumi")
    if pulumi:
        cli = Cli(pulumi, project, stack, config_file)
        if local:
            cli.make()
        return cli
    if not local:
        raise StackError(
            f"{stack} is on a real cloud, which needs the pulumi CLI: https://www.pulumi.com/docs/install/"
        )
    return Embedded(embedded.Request(project, stack, config_file))


@dataclass(frozen=True)
class Embedded:
    """The engine of the local cloud."""

    request: embedded.Request

    def preview(self) -> dict[str, Any]:
        plan = self._guarded(lambda: embedded.preview(self.request, _ignore))
        self._raise(plan.failures)
        return dict(plan.to_json())

    def up(self, say: Console) -> None:
        self._raise(self._guarded(lambda: embedded.up(self.request, lambda event: _tell(say, event))).failures)

    def destroy(self, say: Console) -> None:
        self._raise(self._guarded(lambda: embedded.destroy(self.request, lambda event: _tell(say, event))).failures)

    def outputs(self, show_secrets: bool) -> dict[str, Any]:
        return dict(self._guarded(lambda: embedded.outputs(self.request, show_secrets)))

    def _guarded(self, work: Any) -> Any:
        try:
            return work()
        except InterruptedRunError:
            raise
        except EngineError as error:
            raise StackError(str(error)) from None

    def _raise(self, failures: Iterable[Any]) -> None:
        reasons = [f"{failure.urn.rsplit('::', 1)[-1]}: {failure.message}" for failure in failures]
        if reasons:
            raise StackError("\n".join(reasons))


def _ignore(event: Event) -> None:
    pass


def _tell(say: Console, event: Event) -> None:
    if isinstance(event, StepEnded) and event.op != "same":
        outcome = f"failed: {event.error}" if event.error else f"{event.seconds:.1f} s"
        say.print(f" {event.op:8} {short_type(event.type):24} {event.name}  {outcome}", markup=False, soft_wrap=True)


@dataclass(frozen=True)
class Cli:
    """The pulumi CLI, without its noise."""

    pulumi: str
    project: Path
    stack: str
    config_file: Path | None

    def preview(self) -> dict[str, Any]:
        done = self._run("preview", "--json")
        plan = _json_of(done.stdout)
        if done.returncode:
            told = [d["message"] for d in plan.get("diagnostics", []) if d.get("severity") == "error"]
            raise StackError("".join(without_noise(told)).strip() or done.stderr.strip())
        return plan

    def up(self, say: Console) -> None:
        self._stream(say, "up", "--yes", "--skip-preview", "--suppress-outputs")

    def destroy(self, say: Console) -> None:
        self._stream(say, "destroy", "--yes", "--run-program")

    def outputs(self, show_secrets: bool) -> dict[str, Any]:
        done = self._run("stack", "output", "--json", *(["--show-secrets"] if show_secrets else []))
        if done.returncode:
            raise StackError(done.stderr.strip())
        return dict(json.loads(done.stdout))

    def make(self) -> None:
        """The CLI knows only stacks that were made once. The stack's file stays as it is: the CLI writes another."""
        with TemporaryDirectory() as folder:
            shutil.copy(self.project / "Pulumi.yaml", folder)
            words = [self.pulumi, "stack", "select", "--create", "--non-interactive", "--stack", self.stack]
            done = subprocess.run(words, cwd=folder, env=_environment(), capture_output=True, text=True, check=False)
        if done.returncode:
            raise StackError(done.stderr.strip())

    def _words(self, *words: str) -> list[str]:
        """`pulumi stack ...` works on the state alone and takes no settings."""
        settings = self.config_file and words[0] != "stack"
        config = ["--config-file", str(self.config_file)] if settings else []
        return [self.pulumi, *words, "--non-interactive", "--stack", self.stack, *config]

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._words(*words), cwd=self.project, env=_environment(), capture_output=True, text=True, check=False
        )

    def _stream(self, say: Console, *words: str) -> None:
        process = subprocess.Popen(
            self._words(*words),
            cwd=self.project,
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None  # noqa: S101 - for the type checker
        said = []
        for line in without_noise(process.stdout):
            said.append(line)
            say.print(line.rstrip(), markup=False, soft_wrap=True)
        if process.wait():
            raise StackError("\n".join(failures(said)) or f"pulumi {words[0]} failed")


def _environment() -> dict[str, str]:
    """Errors in outputs are errors, not text in a file on a host."""
    return {**os.environ, "PULUMI_ERROR_OUTPUT_STRING": "1", "PULUMI_SKIP_UPDATE_CHECK": "1"}


def _json_of(text: str) -> dict[str, Any]:
    return dict(json.loads(text)) if text.strip().startswith("{") else {}
