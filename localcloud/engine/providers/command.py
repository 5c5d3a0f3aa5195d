"""pulumi-command: commands on this machine and, over SSH, on others.

Source: pulumi-command 1.2.1 (provider/pkg/provider). Changed `triggers` replace; any other change runs `update`, or
else `create`, again. The output of a secret stdin is not secret: a command must not print what it was given.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from localcloud.engine.errors import EngineError
from localcloud.engine.providers import Diff, Provider, ProviderError
from localcloud.engine.values import UNKNOWN, Properties, Secret, Value, differences, plain

COMMON = ("create", "update", "delete", "triggers", "stdin", "logging", "environment", "addPreviousOutputInEnv")
INPUTS = {
    "command:local:Command": (*COMMON, "dir", "interpreter"),
    "command:remote:Command": (*COMMON, "connection"),
}
HIDDEN = ("password", "privateKey", "privateKeyPassword")
PROXY = (*HIDDEN, "host", "port", "user", "agentSocketPath", "hostKey", "dialErrorLimit", "perDialTimeout")
SHELL = ("/bin/sh", "-c")


@dataclass(frozen=True)
class Job:
    """One run of one command."""

    command: str
    stdin: str
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Finished:
    status: int
    stdout: str
    stderr: str


def configure(settings: Properties) -> Command:
    if settings:
        raise EngineError(f"command:{', '.join(settings)} is not supported: the provider has no settings")
    return Command()


class Command(Provider):
    """Of pulumi-command."""

    def check(self, type_: str, name: str, old: Properties, inputs: Properties) -> Properties:
        if type_ not in INPUTS:
            raise ProviderError(f"{type_} is not supported by the embedded engine; allowed: {', '.join(INPUTS)}")
        _refuse_unknown(name, "", inputs, INPUTS[type_])
        if "connection" not in inputs:
            return inputs
        connection = plain(inputs["connection"])
        if connection != UNKNOWN:
            _refuse_unknown(name, "connection.", connection, (*PROXY, "proxy"))
            _refuse_unknown(name, "connection.proxy.", connection.get("proxy") or {}, PROXY)
        return {**inputs, "connection": Secret(_hidden(inputs["connection"]))}

    def diff(self, type_: str, inputs: Properties, outputs: Properties, wanted: Properties) -> Diff:
        changes = differences(inputs, wanted)
        return Diff(changes, frozenset(path for path in changes if path[0] == "triggers"))

    def preview(self, type_: str, outputs: Properties, wanted: Properties) -> Properties:
        return {**wanted, "stdout": UNKNOWN, "stderr": UNKNOWN}

    def create(self, type_: str, name: str, inputs: Properties) -> tuple[str, Properties]:
        return f"{name}{uuid.uuid4().hex[:8]}", _run(type_, inputs.get("create"), inputs, {})

    def read(self, type_: str, id_: str, inputs: Properties, outputs: Properties) -> Properties | None:
        """Nothing can be seen of what a command has done, so nothing can be imported either."""
        return outputs or None

    def update(self, type_: str, id_: str, outputs: Properties, wanted: Properties, diff: Diff) -> Properties:
        return _run(type_, wanted.get("update", wanted.get("create")), wanted, outputs)

    def delete(self, type_: str, id_: str, inputs: Properties, outputs: Properties) -> None:
        _run(type_, outputs.get("delete"), outputs, outputs)

    def find(self, type_: str, inputs: Properties) -> str | None:
        """What an interrupted command has done cannot be seen: it is run again."""
        return None


def _refuse_unknown(name: str, prefix: str, inputs: Iterable[str], known: tuple[str, ...]) -> None:
    for key in inputs:
        if key not in known:
            raise ProviderError(f"{name}: {prefix}{key} is not supported; allowed: {', '.join(known)}")


def _hidden(connection: Value) -> Value:
    """Keys and passwords are secrets by themselves too, as the provider stores them."""
    given = connection.value if isinstance(connection, Secret) else connection
    if not isinstance(given, dict):
        return given
    hidden = {key: Secret(plain(value)) if key in HIDDEN else value for key, value in given.items()}
    return {**hidden, "proxy": _hidden(given["proxy"])} if "proxy" in given else hidden


def _run(type_: str, command: str | None, inputs: Properties, before: Properties) -> Properties:
    """The outputs; those of the run before where there is nothing to run."""
    known = {key: value for key, value in inputs.items() if key in INPUTS[type_]}
    streams = {key: before.get(key, "") for key in ("stdout", "stderr")}
    if not command:
        return {**known, **streams}
    environment = {key: str(value) for key, value in (inputs.get("environment") or {}).items()}
    if inputs.get("addPreviousOutputInEnv", True):
        environment |= {f"PULUMI_COMMAND_{stream.upper()}": text for stream, text in streams.items() if text}
    run = _run_here if type_ == "command:local:Command" else _run_there
    finished = run(Job(command, inputs.get("stdin") or "", environment), inputs)
    if finished.status:
        first, _, more = command.partition("\n")
        said = "\n".join(filter(None, (finished.stdout.rstrip(), finished.stderr.rstrip())))
        raise ProviderError(f"exit status {finished.status}: {first}{' ...' if more else ''}\n{said}")
    return {**known, "stdout": finished.stdout.removesuffix("\n"), "stderr": finished.stderr.removesuffix("\n")}


def _run_here(job: Job, inputs: Properties) -> Finished:
    """In a session of its own: a Ctrl-C for the engine does not reach it."""
    done = subprocess.run(
        [*(inputs.get("interpreter") or SHELL), job.command],
        env={**os.environ, **job.environment},
        cwd=inputs.get("dir"),
        input=job.stdin,
        capture_output=True,
        text=True,
        start_new_session=True,
        check=False,
    )
    return Finished(done.returncode, done.stdout, done.stderr)


def _run_there(job: Job, inputs: Properties) -> Finished:
    from localcloud.engine.providers.ssh import run  # asyncssh takes a while to load

    return asyncio.run(run(job, inputs["connection"]))
