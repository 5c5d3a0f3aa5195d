"""A stack as a picture (SVG and PNG): hosts, roles, the addresses that move and who holds them, ports between them.

From the settings, without any secret; with --live also from the stack's state, and who holds what from the cloud.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from components.clouds.hetzner import ENDPOINT, Hetzner
from components.plan import SitePlan
from costs.settings import from_stack_file
from failover import cloud
from failover.config import Address, Member
from scripts.drawing import Live, draw, fingerprint
from scripts.engines import StackError
from scripts.localcloud import LocalCloudError
from scripts.stack import read_outputs
from stacks.settings import SettingsError

PROJECT = Path(__file__).parent.parent
FORMATS = ("svg", "png")
PATIENCE = 10.0
"""Seconds for the cloud to say who holds an address."""

say = Console(stderr=True, highlight=False)


class DrawError(Exception):
    """There can be no picture; one sentence."""


def render(plan: SitePlan, live: Live, folder: Path, formats: tuple[str, ...] = FORMATS) -> list[Path]:
    """Draw into `folder`, one file a format. Raises DrawError without Graphviz."""
    if not shutil.which("dot"):
        raise DrawError("dot is missing, which draws: install the package graphviz")
    picture = draw(plan, live)
    made = [folder / f"{plan.stack}.{name}" for name in formats]
    for file in made:
        content = picture.pipe(format=file.suffix[1:])
        mark = f"<!-- {fingerprint(picture)} -->\n".encode() if file.suffix == ".svg" else b""
        file.write_bytes(content + mark)
    return made


def planned(stack: str, config_file: Path | None) -> SitePlan:
    """What the stack file asks for. Raises DrawError and SettingsError."""
    file = config_file or PROJECT / "stacks" / f"Pulumi.{stack}.yaml"
    if not file.exists():
        raise DrawError(f"{stack}: there is no {file}; scripts/new_stack makes one")
    return from_stack_file(stack, file.read_text()).plan


def look(plan: SitePlan, config_file: Path | None) -> Live:
    """Addresses from the stack's state, holders from the cloud. Raises StackError."""
    outputs = read_outputs(plan.stack, config_file, show_secrets=False)
    public = {**outputs["hosts"], "sip": outputs.get("sip_address", "")}
    public["gui"] = public.get("gui") or outputs["gui_url"].removeprefix("https://").rstrip("/")
    return Live(public, holders(plan))


def holders(plan: SitePlan) -> dict[str, str | None]:
    """Who holds each moving address, as the provider says; without its token as configured."""
    token, endpoint = os.environ.get("HCLOUD_TOKEN", ""), os.environ.get("HCLOUD_ENDPOINT", ENDPOINT)
    if not token:
        say.print("HCLOUD_TOKEN is not set: addresses are drawn at their main member")
        return {}
    api, moves = cloud.Hetzner(endpoint, token), Hetzner(token, endpoint).platform(plan).moves
    found: dict[str, str | None] = {}
    for vip in plan.vips:
        members = tuple(Member(name, plan.cloud_name(name), plan.host(name).private_ip) for name in vip.members)
        where = {key: value for key, value in moves[vip.name].items() if key != "kind"}
        kind: Literal["route", "floating_ip"] = "route" if vip.scope == "private" else "floating_ip"
        found[vip.name] = api.holder(Address(vip.name, kind, where, members), time.monotonic() + PATIENCE)
    return found


def main(
    stack: Annotated[str, typer.Argument(help="such as full-fsn1")],
    config_file: Annotated[Path | None, typer.Option(help="instead of stacks/Pulumi.STACK.yaml")] = None,
    out: Annotated[Path, typer.Option(help="the folder for the pictures")] = Path(),
    live: Annotated[bool, typer.Option("--live", help="addresses and holders of a stack that is up")] = False,
) -> None:
    plan = planned(stack, config_file)
    out.mkdir(parents=True, exist_ok=True)
    for file in render(plan, look(plan, config_file) if live else Live(), out):
        say.print(str(file), markup=False)


def run() -> None:
    """Ends the process."""
    app = typer.Typer(add_completion=False)
    app.command(help=__doc__)(main)
    try:
        app()
    except (DrawError, SettingsError, StackError, LocalCloudError, cloud.CloudError) as error:
        say.print(str(error), style="red", markup=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    run()
