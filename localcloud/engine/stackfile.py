"""Pulumi.yaml and a stack's file: the settings that a program is given."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from localcloud.engine.crypter import Crypter
from localcloud.engine.errors import EngineError
from localcloud.engine.values import Properties, Secret, Value, has_secret, map_secrets, mask, plain

ALLOWED: Mapping[str, Callable[[Value], bool]] = {
    "string": lambda value: not isinstance(value, (dict, list)),
    "integer": lambda value: re.fullmatch(r"-?\d+", _text(value)) is not None,
    "boolean": lambda value: _text(value) in ("true", "false"),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}
"""As the CLI checks declared settings: a scalar counts by its text."""


@dataclass(frozen=True)
class Project:
    """Pulumi.yaml. `declared` are its settings: name -> {type, default, value}."""

    name: str
    directory: Path
    config_directory: Path
    main: Path
    declared: Mapping[str, Any]

    def stack_file(self, stack: str) -> Path:
        return self.config_directory / f"Pulumi.{stack}.yaml"


@dataclass(frozen=True)
class StackFile:
    """A stack's file; values are as YAML has them, with `Secret` for `secure:`."""

    salt: str | None
    config: Properties


def load_project(directory: Path) -> Project:
    document = _read(directory / "Pulumi.yaml")
    runtime = document.get("runtime")
    name = runtime.get("name") if isinstance(runtime, dict) else runtime
    if name != "python":
        raise EngineError(f"{directory}/Pulumi.yaml: runtime: {name!r} is not supported; allowed: python")
    return Project(
        name=document["name"],
        directory=directory,
        config_directory=directory / document.get("stackConfigDir", ""),
        main=directory / document.get("main", ""),
        declared=document.get("config") or {},
    )


def salt_of(file: Path) -> str | None:
    """A stack file's `encryptionsalt`; None when it has none, or there is no file."""
    return _read(file).get("encryptionsalt") if file.exists() else None


def load_stack_file(file: Path, crypter: Crypter | None) -> StackFile:
    """EngineError for a `secure:` value without a crypter, that is, without a salt."""
    document = _read(file) if file.exists() else {}
    config = {key: _decrypted(value, crypter, file) for key, value in (document.get("config") or {}).items()}
    return StackFile(document.get("encryptionsalt"), config)


def save_stack_file(file: Path, config: Properties, crypter: Crypter) -> None:
    """Write a new stack file; each `Secret` in `config`, nested ones too, becomes a `secure:` value."""
    sealed = map_secrets(config, lambda secret: {"secure": crypter.encrypt(_text(secret.value))})
    document = {"encryptionsalt": crypter.salt, "config": sealed}
    file.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))


def add_salt(file: Path, salt: str) -> None:
    """Put `encryptionsalt` in front of what is there, comments included."""
    text = file.read_text() if file.exists() else ""
    file.write_text(f"encryptionsalt: {salt}\n{text}")


def settings(project: Project, stack: str, config: Properties) -> Properties:
    """`namespace:key` -> value, with the project's defaults; EngineError for missing and mistyped ones, all at once."""
    found = {_full(project, key): value for key, value in config.items()}
    problems: list[str] = []
    for key, rule in project.declared.items():
        rule = rule if isinstance(rule, dict) else {"value": rule}
        default = rule.get("value", rule.get("default"))
        value = found.setdefault(_full(project, key), default)
        if value is None:
            problems.append(f"{key}: is missing; set it in {project.stack_file(stack)}")
        elif "type" in rule and not ALLOWED[rule["type"]](plain(value)):
            problems.append(f"{key}: {mask(value)!r} is not allowed; allowed: {rule['type']}")
    if problems:
        raise EngineError("; ".join(problems))
    return found


def wire(config: Properties) -> tuple[dict[str, str], list[str]]:
    """What the SDK is given: every value as text, and the keys of secrets."""
    return {key: _text(plain(value)) for key, value in config.items()}, [k for k in config if has_secret(config[k])]


def _full(project: Project, key: str) -> str:
    return key if ":" in key else f"{project.name}:{key}"


def _text(value: Value) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _decrypted(value: Value, crypter: Crypter | None, file: Path) -> Value:
    if isinstance(value, dict) and set(value) == {"secure"}:
        if crypter is None:
            raise EngineError(f"{file}: has a secure value but no encryptionsalt: take the salt from where it was made")
        return Secret(crypter.decrypt(value["secure"]))
    if isinstance(value, dict):
        return {key: _decrypted(item, crypter, file) for key, item in value.items()}
    if isinstance(value, list):
        return [_decrypted(item, crypter, file) for item in value]
    return value


def _read(file: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(file.read_text())
    except FileNotFoundError as error:
        raise EngineError(f"{file} does not exist") from error
    except yaml.YAMLError as error:
        raise EngineError(f"{file} is no YAML: {error}") from error
    if document is not None and not isinstance(document, dict):
        raise EngineError(f"{file} must be a mapping")
    return document or {}
