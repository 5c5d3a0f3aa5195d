"""The CLI's file backend: checkpoint (format v3), lock files, and how both survive a kill -9.

Layout (pkg/backend/diy): `.pulumi/stacks/PROJECT/STACK.json`, `.pulumi/locks/organization/PROJECT/STACK/UUID.json`.
"""

from __future__ import annotations

import dataclasses
import getpass
import hashlib
import json
import os
import re
import socket
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from localcloud.engine.crypter import Crypter
from localcloud.engine.errors import EngineError
from localcloud.engine.values import SECRET, SIGNATURE, Properties, Secret, Value, map_secrets

CLI_VERSION = "v3.260.0"
"""Whose checkpoints these are; the CLI wants manifest.magic to be this text's SHA-256."""

PROVIDER_PREFIX = "pulumi:providers:"
STACK_TYPE = "pulumi:pulumi:Stack"
SECRET_FIELDS = ("inputs", "outputs", "replacement_trigger")
JSON_NAMES = {"import_id": "importID", "hooks": "resourceHooks"}


@dataclass(frozen=True)
class Resource:
    """One entry of a checkpoint (apitype.ResourceV3); `extra` keeps the fields that the engine has no use for."""

    urn: str
    custom: bool
    type: str
    id: str = ""
    delete: bool = False
    inputs: Properties = field(default_factory=dict)
    outputs: Properties = field(default_factory=dict)
    parent: str = ""
    protect: bool = False
    external: bool = False
    dependencies: tuple[str, ...] = ()
    init_errors: tuple[str, ...] = ()
    provider: str = ""
    property_dependencies: Mapping[str, list[str]] = field(default_factory=dict)
    pending_replacement: bool = False
    additional_secret_outputs: tuple[str, ...] = ()
    retain_on_delete: bool = False
    created: str = ""
    modified: str = ""
    source_position: str = ""
    ignore_changes: tuple[str, ...] = ()
    replace_on_changes: tuple[str, ...] = ()
    replacement_trigger: Value = None
    hooks: Mapping[str, list[str]] = field(default_factory=dict)
    extra: Properties = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.urn.rsplit("::", 1)[1]

    @property
    def package(self) -> str:
        return self.type.removeprefix(PROVIDER_PREFIX).split(":")[0]

    @property
    def is_provider(self) -> bool:
        return self.type.startswith(PROVIDER_PREFIX)

    @property
    def managed(self) -> bool:
        """A provider has something behind it."""
        return self.custom and not self.is_provider and not self.external

    @property
    def needs(self) -> set[str]:
        """URNs that must exist as long as this resource does."""
        properties = {urn for urns in self.property_dependencies.values() for urn in urns}
        provider = self.provider.rsplit("::", 1)[0]
        return ({self.parent, provider, *self.dependencies} | properties) - {"", self.urn}


@dataclass(frozen=True)
class Pending:
    """An operation that was begun: "creating", "updating" or "deleting"."""

    kind: str
    resource: Resource


@dataclass(frozen=True)
class Deployment:
    resources: tuple[Resource, ...] = ()
    pending: tuple[Pending, ...] = ()


def to_record(resource: Resource, hide: Callable[[Value], Value]) -> dict[str, Any]:
    """As JSON has it; what may hold secrets is put through `hide`."""
    record: dict[str, Any] = {}
    for item in dataclasses.fields(Resource):
        value = getattr(resource, item.name)
        if item.name in SECRET_FIELDS:
            value = hide(value)
        empty = value is None if item.name == "replacement_trigger" else not value
        if item.name != "extra" and (not empty or item.name == "custom"):
            record[_json_name(item.name)] = value
    return record | resource.extra


def from_record(record: Mapping[str, Any], crypter: Crypter | None) -> Resource:
    """The inverse; ciphertexts are opened."""
    known: dict[str, Any] = {}
    decrypt = crypter.decrypt if crypter else _without_salt
    for item in dataclasses.fields(Resource):
        name = _json_name(item.name)
        if name not in record or item.name == "extra":
            continue
        value = _open(record[name], decrypt) if item.name in SECRET_FIELDS else record[name]
        known[item.name] = tuple(value) if isinstance(value, list) and item.name != "replacement_trigger" else value
    names = {_json_name(item.name) for item in dataclasses.fields(Resource)}
    return Resource(**known, extra={key: value for key, value in record.items() if key not in names})


def _json_name(name: str) -> str:
    return JSON_NAMES.get(name) or re.sub(r"_(.)", lambda match: match[1].upper(), name)


def _open(value: Value, decrypt: Callable[[str], str]) -> Value:
    """A secret within a secret is only marked, not encrypted once more."""
    if isinstance(value, dict) and value.get(SIGNATURE) == SECRET:
        text = value["plaintext"] if "plaintext" in value else decrypt(value["ciphertext"])
        return Secret(_open(json.loads(text), str))
    if isinstance(value, dict):
        return {key: _open(item, decrypt) for key, item in value.items()}
    if isinstance(value, list):
        return [_open(item, decrypt) for item in value]
    return value


def _seal(value: Value, encrypt: Callable[[str], str]) -> Value:
    def sealed(secret: Secret) -> Value:
        text = json.dumps(_seal(secret.value, str), separators=(",", ":"), ensure_ascii=False)
        return {SIGNATURE: SECRET, "ciphertext": encrypt(text)}

    return map_secrets(value, sealed)


def _without_salt(_: str) -> str:
    raise EngineError("the state holds secrets but the stack file has no encryptionsalt: restore it")


class Backend:
    """One stack's files below the directory of PULUMI_BACKEND_URL."""

    def __init__(self, url: str, project: str, stack: str) -> None:
        if not url.startswith("file://"):
            raise EngineError(f"PULUMI_BACKEND_URL: {url!r} is not allowed; allowed: file:// and a directory")
        self._root = Path(url.removeprefix("file://")).expanduser() / ".pulumi"
        self._path = self._root / "stacks" / project / f"{stack}.json"
        self._locks = self._root / "locks" / "organization" / project / stack
        self._name = f"organization/{project}/{stack}"
        self._fragments: dict[int, tuple[Resource, str]] = {}

    def load(self, crypter: Crypter | None) -> Deployment:
        """An absent stack is an empty one."""
        try:
            latest = json.loads(self._path.read_text())["checkpoint"].get("latest") or {}
        except FileNotFoundError:
            return Deployment()
        resources = tuple(from_record(record, crypter) for record in latest.get("resources") or ())
        pending = latest.get("pending_operations") or ()
        return Deployment(resources, tuple(Pending(op["type"], from_record(op["resource"], crypter)) for op in pending))

    def save(self, deployment: Deployment, crypter: Crypter) -> None:
        """Replace the checkpoint; at no moment is there none, and the one before stays as `.bak`."""
        self._write(self._path, self._document(deployment, crypter))
        meta = self._root / "meta.yaml"
        if not meta.exists():
            meta.write_text("version: 1\n")

    def _document(self, deployment: Deployment, crypter: Crypter) -> str:
        everything = (*deployment.resources, *(operation.resource for operation in deployment.pending))
        self._fragments = {id(resource): self._fragment(resource, crypter) for resource in everything}
        resources = [self._fragments[id(resource)][1] for resource in deployment.resources]
        pending = [
            f'{{"type": {json.dumps(op.kind)}, "resource": {self._fragments[id(op.resource)][1]}}}'
            for op in deployment.pending
        ]
        magic = hashlib.sha256(CLI_VERSION.encode()).hexdigest()
        manifest = {"time": now(), "magic": magic, "version": CLI_VERSION}
        secrets = {"type": "passphrase", "state": {"salt": crypter.salt}}
        latest = {"manifest": json.dumps(manifest), "secrets_providers": json.dumps(secrets)}
        latest |= {"resources": _list(resources), **({"pending_operations": _list(pending)} if pending else {})}
        body = ",\n".join(f'"{key}": {text}' for key, text in (*latest.items(), ("metadata", "{}")))
        return f'{{"version": 3, "checkpoint": {{"stack": {json.dumps(self._name)}, "latest": {{\n{body}\n}}}}}}\n'

    def _fragment(self, resource: Resource, crypter: Crypter) -> tuple[Resource, str]:
        """A resource never changes, so it is sealed and written out once; holding it keeps its id() its own."""
        if id(resource) in self._fragments:
            return self._fragments[id(resource)]
        record = to_record(resource, lambda value: _seal(value, crypter.encrypt))
        return resource, json.dumps(record, ensure_ascii=False)

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
        self._changed = threading.Condition()
        self._asked = self._done = 0
        self._writing = False

    def commit(self) -> None:
        """Return when a write that began after this call has ended."""
        with self._changed:
            self._asked += 1
            mine = self._asked
            while self._done < mine:
                if self._writing:
                    self._changed.wait()
                else:
                    self._lead()

    def _lead(self) -> None:
        self._writing, upto = True, self._asked
        self._changed.release()
        try:
            self._write()
        finally:
            self._changed.acquire()
            self._writing = False
            self._changed.notify_all()
        self._done = max(self._done, upto)


def now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def _list(texts: list[str]) -> str:
    return "[\n" + ",\n".join(texts) + "\n]"
