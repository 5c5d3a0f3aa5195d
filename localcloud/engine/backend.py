"""The CLI's file backend: checkpoint and lock files, and how both survive a kill -9.

Layout (pkg/backend/diy): `.pulumi/stacks/PROJECT/STACK.json`, `.pulumi/locks/organization/PROJECT/STACK/UUID.json`.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import re
import socket
import threading
import uuid
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from localcloud.engine.crypter import Crypter
from localcloud.engine.errors import EngineError
from localcloud.engine.state import Deployment, Pending, Resource, from_record, now, seal, to_record

CLI_VERSION = "v3.260.0"
"""Whose checkpoints these are; the CLI wants manifest.magic to be this text's SHA-256."""


class Backend:
    """One stack's files below the directory of PULUMI_BACKEND_URL."""

    def __init__(self, url: str, project: str, stack: str) -> None:
        if not url.startswith("file://"):
            raise EngineError(f"PULUMI_BACKEND_URL: {url!r} is not allowed; allowed: file:// and a directory")
        self.url, self.project = url, project
        self._root = Path(url.removeprefix("file://")).expanduser() / ".pulumi"
        self._path = self._root / "stacks" / project / f"{stack}.json"
        self._locks = self._root / "locks" / "organization" / project / stack
        self._name = f"organization/{project}/{stack}"
        self._fragments: dict[int, tuple[Resource, str]] = {}

    def exists(self) -> bool:
        return self._path.exists()

    def salt(self) -> str | None:
        """Of the secrets in the checkpoint."""
        salt: str | None = self._latest().get("secrets_providers", {}).get("state", {}).get("salt")
        return salt

    def load(self, crypter: Crypter | None) -> Deployment:
        """An absent stack is an empty one."""
        latest = self._latest()
        resources = tuple(from_record(record, crypter) for record in latest.get("resources") or ())
        pending = latest.get("pending_operations") or ()
        return Deployment(resources, tuple(Pending(op["type"], from_record(op["resource"], crypter)) for op in pending))

    def _latest(self) -> dict[str, Any]:
        try:
            return json.loads(self._path.read_text())["checkpoint"].get("latest") or {}
        except FileNotFoundError:
            return {}

    def save(self, deployment: Deployment, crypter: Crypter) -> None:
        """Replace the checkpoint; at no moment is there none, and the one before stays as `.bak`."""
        self._write(self._path, self._document(deployment, crypter))
        meta = self._root / "meta.yaml"
        if not meta.exists():
            meta.write_text("version: 1\n")

    def _document(self, deployment: Deployment, crypter: Crypter) -> str:
        pending = (
            f'{{"type": "{op.kind}", "resource": {self._fragment(op.resource, crypter)}}}' for op in deployment.pending
        )
        magic = hashlib.sha256(CLI_VERSION.encode()).hexdigest()
        latest = {
            "manifest": json.dumps({"time": now(), "magic": magic, "version": CLI_VERSION}),
            "secrets_providers": json.dumps({"type": "passphrase", "state": {"salt": crypter.salt}}),
            "resources": _list(self._fragment(resource, crypter) for resource in deployment.resources),
            **({"pending_operations": _list(pending)} if deployment.pending else {}),
            "metadata": "{}",
        }
        body = ",\n".join(f'"{key}": {text}' for key, text in latest.items())
        return f'{{"version": 3, "checkpoint": {{"stack": {json.dumps(self._name)}, "latest": {{\n{body}\n}}}}}}\n'

    def _fragment(self, resource: Resource, crypter: Crypter) -> str:
        """A resource never changes, so it is sealed and written out once; holding it keeps its id() its own."""
        if id(resource) not in self._fragments:
            record = to_record(resource, lambda value: seal(value, crypter.encrypt))
            self._fragments[id(resource)] = resource, json.dumps(record, ensure_ascii=False)
        return self._fragments[id(resource)][1]

    @staticmethod
    def _write(path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary, backup = path.with_suffix(".json.tmp"), path.with_suffix(".json.bak")
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            link = path.with_suffix(".json.bak.tmp")
            link.unlink(missing_ok=True)
            os.link(path, link)
            link.replace(backup)
        temporary.replace(path)

    def lock(self) -> Lock:
        return Lock(self._locks)


class Lock:
    """The CLI's lock file. A context manager: enter to take it, `stale` then says whose were removed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file = directory / f"{uuid.uuid4()}.json"
        self.stale: list[str] = []

    def __enter__(self) -> Lock:
        self._directory.mkdir(parents=True, exist_ok=True)
        mine = {"pid": os.getpid(), "username": getpass.getuser(), "hostname": socket.gethostname()}
        self._file.write_text(json.dumps({**mine, "timestamp": now()}))
        try:
            for other in set(self._directory.glob("*.json")) - {self._file}:
                self._judge(other)
        except EngineError:
            self._file.unlink()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._file.unlink(missing_ok=True)

    def _judge(self, other: Path) -> None:
        try:
            owner = json.loads(other.read_text())
        except FileNotFoundError:
            return
        who = f"process {owner['pid']} of {owner['username']} on {owner['hostname']} since {owner['timestamp']}"
        if owner["hostname"] != socket.gethostname() or _runs_since(owner["pid"], owner["timestamp"]):
            raise EngineError(f"the stack is in use by {who}: wait until it ends; if it is dead, remove {other}")
        other.unlink(missing_ok=True)
        self.stale.append(who)


def _runs_since(pid: int, timestamp: str) -> bool:
    """Whether the process that wrote the timestamp is still there; another one may have its number now."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        boot = re.search(r"^btime (\d+)$", Path("/proc/stat").read_text(), re.MULTILINE)
    except FileNotFoundError:
        return False
    started = int(boot[1] if boot else 0) + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    written = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", timestamp)).timestamp()
    return fields[0] != "Z" and started <= written + 1


class Recorder:
    """Group commit: many threads wait for one write that holds what all of them have done."""

    def __init__(self, write: Callable[[], None]) -> None:
        self._write = write
        self._asking, self._writing = threading.Lock(), threading.Lock()
        self._asked = self._done = 0

    def commit(self) -> None:
        """Return when a write that began after this call has ended."""
        with self._asking:
            self._asked += 1
            mine = self._asked
        with self._writing:
            if self._done < mine:
                upto = self._asked
                self._write()
                self._done = upto


def _list(texts: Iterable[str]) -> str:
    return "[\n" + ",\n".join(texts) + "\n]"
