"""pulumi-command: commands on this machine and, over SSH, on others.

Source: pulumi-command 1.2.1 (provider/pkg/provider). Changed `triggers` replace; any other change runs `update`, or
else `create`, again. The output of a secret stdin is not secret: a command must not print what it was given.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from localcloud.engine.errors import EngineError
from localcloud.engine.providers import Diff, Log, ProviderError
from localcloud.engine.values import UNKNOWN, Properties, Secret, Value, differences, plain

COMMON: Mapping[str, type] = {
    "create": str,
    "update": str,
    "delete": str,
    "triggers": list,
    "stdin": str,
    "logging": str,
    "environment": dict,
    "addPreviousOutputInEnv": bool,
}
INPUTS: Mapping[str, Mapping[str, type]] = {
    "command:local:Command": {**COMMON, "dir": str, "interpreter": list},
    "command:remote:Command": {**COMMON, "connection": dict},
}
PROXY: Mapping[str, type] = {
    "host": str,
    "port": int,
    "user": str,
    "password": str,
    "privateKey": str,
    "privateKeyPassword": str,
    "agentSocketPath": str,
    "hostKey": str,
    "dialErrorLimit": int,
    "perDialTimeout": int,
}
CONNECTION: Mapping[str, type] = {**PROXY, "proxy": dict}
HIDDEN = {"password", "privateKey", "privateKeyPassword"}
LOGGED: Mapping[str, tuple[str, ...]] = {
    "stdoutAndStderr": ("stdout", "stderr"),
    "stdout": ("stdout",),
    "stderr": ("stderr",),
    "none": (),
}
SHELL = ["/bin/sh", "-c"]


@dataclass(frozen=True)
class Job:
    """One run of one command."""

    command: str
    stdin: str
    environment: Mapping[str, str]
    logged: tuple[str, ...]
    log: Log

    def report(self, stream: str, line: str) -> None:
        if stream in self.logged:
            self.log(line)


@dataclass(frozen=True)
class Finished:
    status: int
    stdout: str
    stderr: str


class Run(Protocol):
    def __call__(self, job: Job, inputs: Properties) -> Finished: ...


def configure(settings: Properties) -> Command:
    if settings:
        raise EngineError(f"command:{', '.join(settings)} is not supported: the provider has no settings")
    return Command()


class Command:
    """A Provider."""

    def check(self, type_: str, name: str, old: Properties, inputs: Properties) -> Properties:
        known = INPUTS.get(type_)
        if known is None:
            raise ProviderError(f"{type_} is not supported by the embedded engine; allowed: {', '.join(INPUTS)}")
        _check(name, "", plain(inputs), known)
        if "connection" not in inputs:
            return inputs
        connection = plain(inputs["connection"])
        if connection != UNKNOWN:
            _check(name, "connection.", connection, CONNECTION)
            _check(name, "connection.proxy.", connection.get("proxy") or {}, PROXY)
        return {**inputs, "connection": Secret(_hidden(inputs["connection"]))}

    def diff(self, type_: str, inputs: Properties, outputs: Properties, wanted: Properties) -> Diff:
        changes = differences(inputs, wanted)
        return Diff(changes, frozenset(path for path in changes if path[0] == "triggers"))

    def preview(self, type_: str, outputs: Properties, wanted: Properties) -> Properties:
        return {**wanted, "stdout": UNKNOWN, "stderr": UNKNOWN}

    def create(self, type_: str, name: str, inputs: Properties, log: Log) -> tuple[str, Properties]:
        outputs = _run(type_, inputs.get("create"), inputs, {"stdout": "", "stderr": ""}, log)
        return f"{name}{uuid.uuid4().hex[:8]}", outputs

    def read(self, type_: str, id_: str, inputs: Properties, outputs: Properties) -> Properties | None:
        return outputs

    def update(self, type_: str, id_: str, outputs: Properties, wanted: Properties, diff: Diff, log: Log) -> Properties:
        command = wanted.get("update", wanted.get("create"))
        return _run(type_, command, wanted, outputs, log)

    def delete(self, type_: str, id_: str, inputs: Properties, outputs: Properties, log: Log) -> None:
        _run(type_, outputs.get("delete"), outputs, outputs, log)

    def find(self, type_: str, inputs: Properties) -> str | None:
        """What an interrupted command has done cannot be seen: it is run again."""
        return None

    def invoke(self, token: str, args: Properties) -> Properties:
        raise ProviderError(f"{token} is not supported by the embedded engine: use a Command")


def _check(name: str, prefix: str, inputs: Properties, known: Mapping[str, type]) -> None:
    for key, value in inputs.items():
        if key not in known:
            raise ProviderError(f"{name}: {prefix}{key} is not supported; allowed: {', '.join(known)}")
        if value is not None and value != UNKNOWN and type(value) is not known[key]:
            wanted = known[key].__name__
            raise ProviderError(f"{name}: {prefix}{key}: {type(value).__name__} is not allowed; allowed: {wanted}")
    logging = inputs.get("logging", "none")
    if logging not in (*LOGGED, UNKNOWN):
        raise ProviderError(f"{name}: logging: {logging!r} is not allowed; allowed: {', '.join(LOGGED)}")


def _hidden(connection: Value) -> Value:
    """Keys and passwords are secrets by themselves too, as the provider stores them."""
    given = connection.value if isinstance(connection, Secret) else connection
    if not isinstance(given, dict):
        return given
    hidden = {key: value if isinstance(value, Secret) else Secret(value) for key, value in given.items()}
    proxy = {"proxy": _hidden(given["proxy"])} if "proxy" in given else {}
    return {**given, **{key: hidden[key] for key in HIDDEN & given.keys()}, **proxy}


def _run(type_: str, command: Value, inputs: Properties, before: Properties, log: Log) -> Properties:
    """The outputs; those of the run before where there is nothing to run."""
    known = {key: value for key, value in inputs.items() if key in INPUTS[type_]}
    streams = {key: before.get(key, "") for key in ("stdout", "stderr")}
    if not command:
        return {**known, **streams}
    run: Run = _run_here if type_ == "command:local:Command" else _run_there
    finished = run(_job(command, inputs, streams, log), inputs)
    if finished.status:
        first, _, more = command.partition("\n")
        output = "\n".join(filter(None, (finished.stdout.rstrip(), finished.stderr.rstrip())))
        raise ProviderError(f"exit status {finished.status}: {first}{' ...' if more else ''}\n{output}")
    return {
        **known,
        "stdout": finished.stdout.removesuffix("\n"),
        "stderr": finished.stderr.removesuffix("\n"),
    }


def _job(command: str, inputs: Properties, before: Mapping[str, str], log: Log) -> Job:
    environment = {key: str(value) for key, value in (inputs.get("environment") or {}).items()}
    if inputs.get("addPreviousOutputInEnv", True):
        environment |= {f"PULUMI_COMMAND_{stream.upper()}": text for stream, text in before.items() if text}
    logged = LOGGED[inputs.get("logging", "stdoutAndStderr")]
    return Job(command, inputs.get("stdin") or "", environment, logged, log)


def _run_here(job: Job, inputs: Properties) -> Finished:
    """In a session of its own: a Ctrl-C for the engine does not reach it."""
    words = [*(inputs.get("interpreter") or SHELL), job.command]
    process = subprocess.Popen(
        words,
        env={**os.environ, **job.environment},
        cwd=inputs.get("dir") or Path.cwd(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdin and process.stdout and process.stderr  # noqa: S101 - for the type checker: all are pipes
    texts: dict[str, str] = {}
    readers = [
        threading.Thread(target=_drain, args=(stream, file, job, texts))
        for stream, file in (("stdout", process.stdout), ("stderr", process.stderr))
    ]
    for reader in readers:
        reader.start()
    try:
        process.stdin.write(job.stdin)
        process.stdin.close()
    except BrokenPipeError:
        pass
    for reader in readers:
        reader.join()
    return Finished(process.wait(), texts["stdout"], texts["stderr"])


def _drain(stream: str, file: IO[str], job: Job, texts: dict[str, str]) -> None:
    lines = []
    for line in file:
        lines.append(line)
        job.report(stream, line.rstrip("\n"))
    texts[stream] = "".join(lines)


def _run_there(job: Job, inputs: Properties) -> Finished:
    from localcloud.engine.providers.ssh import run

    return asyncio.run(run(job, inputs["connection"]))
