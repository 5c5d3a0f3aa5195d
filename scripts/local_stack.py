"""The settings of a local stack, such as stacks/Pulumi.full-local.yaml, made for the local cloud that is up now.

Keys and passphrase go with a local cloud; what a person changed in the file stays.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import yaml

from localcloud.engine.crypter import Crypter, new_salt
from localcloud.engine.errors import EngineError
from localcloud.engine.stackfile import salt_of, save_stack_file
from localcloud.engine.values import Secret
from scripts import calls, localcloud
from stacks.settings import TopologyName

STACK = "full-local"
FILE = localcloud.PROJECT / "stacks" / f"Pulumi.{STACK}.yaml"


def settings(topology: TopologyName = "full") -> dict[str, Any]:
    """Everything but keys and secrets."""
    return {
        "m2:topology": topology,
        "m2:region": "fsn1",
        **({"m2:cores": 3} if topology == "full" else {}),
        "m2:protected": False,
        "m2:database_disk_gb": 10,
        "m2:admins": {"ssh_from": [f"{localcloud.HOST_ADDRESS}/32"]},
        "m2:carriers": [
            {"name": "alpha", "addresses": [f"{calls.CALLER}/32"]},
            {"name": "beta", "addresses": [f"{calls.CALLEE}/32"], "gateway": calls.CALLEE, "prefixes": ["49"]},
        ],
        "hcloud:pollInterval": "100ms",
    }


def ensure(file: Path = FILE, topology: TopologyName = "full") -> None:
    """Make the file fit the local cloud; nothing happens when it does."""
    environment = localcloud.environment()
    passphrase = Path(environment["PULUMI_CONFIG_PASSPHRASE_FILE"]).read_text().strip()
    if not _fits(file, passphrase):
        written = yaml.safe_load(file.read_text()) if file.exists() else {}
        config = {**settings(topology), **((written or {}).get("config") or {})}
        config["m2:root_secret"] = Secret(secrets.token_hex(32))
        config["m2:admins"] = {**config["m2:admins"], "ssh_keys": [localcloud.public_key()]}
        config["hcloud:endpoint"] = environment["HCLOUD_ENDPOINT"]
        save_stack_file(file, config, Crypter(new_salt(passphrase), passphrase))


def change(file: Path, **settings: object) -> None:
    """Other settings than those that `ensure` has written."""
    document = yaml.safe_load(file.read_text())
    document["config"] |= {f"m2:{name}": value for name, value in settings.items()}
    write(file, yaml.safe_dump(document, sort_keys=False))


def write(file: Path, text: str) -> None:
    """At once: whoever reads it meanwhile gets what was there before, or this."""
    fresh = file.with_name(f"{file.name}.new")
    fresh.write_text(text)
    fresh.replace(file)


def _fits(file: Path, passphrase: str) -> bool:
    salt = salt_of(file)
    if salt is None:
        return False
    try:
        Crypter(salt, passphrase)
    except EngineError:
        return False
    return True
