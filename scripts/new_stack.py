"""A new stack file: asks for what it is not told, makes the root secret, encrypts it, and overwrites nothing.

The passphrase that the file is encrypted with is that of PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE,
or it is asked for.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args

import jinja2
import typer
import yaml
from rich.console import Console

from components.clouds.hetzner_types import server_types
from localcloud.engine.crypter import Crypter, new_salt, passphrase_of
from localcloud.engine.errors import EngineError
from localcloud.engine.stackfile import wire
from stacks import sizing
from stacks.settings import Region, SettingsError, TopologyName, parse
from stacks.sizing import Demand, Wish

PROJECT = Path(__file__).parent.parent
STACKS = PROJECT / "stacks"
SHORTEST_PASSPHRASE = 12

say = Console(stderr=True, highlight=False)


class NewStackError(Exception):
    """The file cannot be made; one sentence or several."""


@dataclass(frozen=True)
class Answers:
    """What a person says of a stack."""

    topology: str
    region: str
    ssh_from: tuple[str, ...]
    ssh_keys: tuple[str, ...]
    calls: int = 500
    cps: int = 50
    codec: str = "g711"
    carriers: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Sealed:
    """The secrets of a stack file, encrypted, and the salt that they were encrypted with; an example has none."""

    salt: str = ""
    root_secret: str = ""
    token: str = ""


def text(answers: Answers, sealed: Sealed) -> str:
    """The stack file. Raises NewStackError with everything that is wrong."""
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    templates = jinja2.Environment(
        loader=loader,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - YAML, not HTML
    )
    written = templates.get_template("stack.yaml.j2").render(
        **vars(answers), **vars(sealed), server_types=_chosen_types(answers)
    )
    _check(written)
    return written


def _chosen_types(answers: Answers) -> dict[str, str]:
    demand, sold = Demand(answers.calls, answers.cps), server_types(answers.region)
    types = sizing.size(answers.topology, demand, sold, Wish()).server_types
    return {kind: types[kind] for kind in sizing.KINDS[answers.topology]}


def _check(written: str) -> None:
    """That the program takes it, with some root secret."""
    config = yaml.safe_load(written)["config"]
    try:
        parse(wire({**config, "m2:root_secret": "x" * 64})[0])
    except SettingsError as error:
        raise NewStackError(str(error)) from None


def seal(passphrase: str, token: str) -> Sealed:
    """A new root secret, and the token if there is one."""
    crypter = Crypter(new_salt(passphrase), passphrase)
    sealed_token = crypter.encrypt(token) if token else ""
    return Sealed(crypter.salt, crypter.encrypt(secrets.token_hex(32)), sealed_token)


def write(file: Path, written: str) -> None:
    """Make the file; one that is there stays as it is. Raises NewStackError."""
    try:
        with file.open("x") as new:
            new.write(written)
    except FileExistsError:
        raise NewStackError(f"{file} is there already and stays as it is; allowed: another name, with --name") from None


def _passphrase() -> str:
    try:
        return passphrase_of(os.environ)
    except EngineError:
        if not sys.stdin.isatty():
            raise NewStackError(
                "no passphrase to encrypt the file with; set PULUMI_CONFIG_PASSPHRASE or "
                "PULUMI_CONFIG_PASSPHRASE_FILE, or run this where it can ask"
            ) from None
    asked: str = typer.prompt("Passphrase of the stack file", hide_input=True, confirmation_prompt=True, err=True)
    if len(asked) < SHORTEST_PASSPHRASE:
        raise NewStackError(f"the passphrase has {len(asked)} characters; allowed: at least {SHORTEST_PASSPHRASE}")
    return asked


def _networks(given: list[str]) -> tuple[str, ...]:
    return tuple(given) or _asked(
        "From where admins log in (networks in CIDR notation, commas between them)", "--ssh-from"
    )


def _keys(given: list[Path]) -> tuple[str, ...]:
    """From files, or of the ssh agent."""
    for file in given:
        if not file.is_file():
            raise NewStackError(f"--ssh-key: {file}; allowed: the file of a public key, such as ~/.ssh/id_ed25519.pub")
    found = [line for file in given for line in file.read_text().splitlines() if line.strip()]
    if found:
        return tuple(found)
    agent = subprocess.run(["ssh-add", "-L"], capture_output=True, text=True, check=False)
    if agent.returncode == 0:
        say.print("admins' keys: those of the ssh agent")
        return tuple(agent.stdout.splitlines())
    return _asked("Public key of an admin ('ssh-ed25519 AAAA... me')", "--ssh-key", separator=None)


def _asked(question: str, option: str, separator: str | None = ",") -> tuple[str, ...]:
    if not sys.stdin.isatty():
        raise NewStackError(f"{option}: missing, and nobody is there to ask")
    answer: str = typer.prompt(question, err=True)
    return tuple(part.strip() for part in (answer.split(separator) if separator else [answer]))


def _one_of(option: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise NewStackError(f"{option}: {value}; allowed: {', '.join(allowed)}")
    return value


def main(
    topology: Annotated[str, typer.Argument(help=", ".join(get_args(TopologyName)))],
    region: Annotated[str, typer.Argument(help=", ".join(get_args(Region)))],
    name: Annotated[str, typer.Option(help="of the stack; default: TOPOLOGY-REGION")] = "",
    ssh_from: Annotated[list[str], typer.Option(help="a network from which admins log in")] = [],  # noqa: B006
    ssh_key: Annotated[list[Path], typer.Option(help="a file with an admin's public key")] = [],  # noqa: B006
    cc: Annotated[int, typer.Option(min=1, help="concurrent calls, at most")] = Answers.calls,
    cps: Annotated[int, typer.Option(min=1, help="calls started a second, at most")] = Answers.cps,
    codec: Annotated[str, typer.Option(help=", ".join(sizing.PAYLOAD_BYTES))] = Answers.codec,
    token_file: Annotated[
        Path | None, typer.Option(help="the provider's API token; default: HCLOUD_TOKEN later")
    ] = None,
) -> None:
    _one_of("TOPOLOGY", topology, get_args(TopologyName))
    _one_of("REGION", region, get_args(Region))
    stack = name or f"{topology}-{region}"
    file = STACKS / f"Pulumi.{stack}.yaml"
    if file.exists():
        write(file, "")
    answers = Answers(topology, region, _networks(ssh_from), _keys(ssh_key), cc, cps, codec)
    text(answers, Sealed())
    token = token_file.read_text().strip() if token_file else ""
    write(file, text(answers, seal(_passphrase(), token)))
    say.print(f"{file.relative_to(PROJECT)} is made; name your carriers in it, then:", markup=False)
    say.print(f"  pulumi stack init {stack}    (with the pulumi CLI)\n  scripts/stack preview {stack}", markup=False)


def run() -> None:
    """Ends the process."""
    app = typer.Typer(add_completion=False)
    app.command(help=__doc__)(main)
    try:
        app()
    except NewStackError as error:
        say.print(str(error), style="red", markup=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    run()
