"""A stack on the local cloud, for tests that change it, call through it and look at it from all sides."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from components.bundle import Renderer
from components.clouds.hetzner import Hetzner
from localcloud.engine import run as embedded
from localcloud.engine.crypter import Crypter
from localcloud.engine.stackfile import load_project, load_stack_file, salt_of, settings, wire
from scripts import local_stack, localcloud, report, stack
from scripts.drills.course import Result
from scripts.engines import Embedded
from stacks.secrets import StackSecrets
from stacks.settings import parse
from stacks.topologies import TOPOLOGIES

NAME = local_stack.STACK
ADMINS, CARRIER, STRANGER = "admins", "carrier", "stranger"
"""From where the outside looks: this host, an address that is a carrier's, and one that is nobody's."""

SOURCES = {CARRIER: "192.0.2.10", STRANGER: "192.0.2.66"}


@dataclass(frozen=True)
class Cluster:
    """A stack that is up; `file` are its settings."""

    file: Path
    name: str = NAME

    def plan(self) -> dict[str, Any]:
        """What an up would do."""
        return self._engine().preview()

    def lines(self) -> list[str]:
        """What an up would do, in words."""
        return [line.strip() for line in report.lines(self.plan())]

    def up(self) -> None:
        stack.bring_up(self.name, self.file)

    def destroy(self) -> None:
        self._engine().destroy(stack.say)

    def outputs(self) -> dict[str, Any]:
        return stack.read_outputs(self.name, self.file)

    @contextmanager
    def with_settings(self, **changes: Any) -> Iterator[None]:
        """Other settings for a while; nothing is brought up, neither before nor after."""
        before = self.file.read_text()
        local_stack.change(self.file, **changes)
        try:
            yield
        finally:
            local_stack.write(self.file, before)

    def server(self, host: str) -> dict[str, Any]:
        """Its line in the local cloud's own list: id, name, state, addresses."""
        return next(s for s in localcloud.servers() if s["name"] == f"{self.name}-{host}")

    def on(self, host: str, command: str) -> str:
        """What a command prints on a host, as `admin` with sudo."""
        return localcloud.ssh(f"{self.name}-{host}", command)

    def sql(self, host: str, query: str) -> str:
        """What MariaDB answers on a database host, as root on its socket."""
        return self.on(host, f'sudo mariadb -N -e "{query}"').strip()

    def records(self, host: str, since: int) -> int:
        """The calls that began since then (see `next_second`), by a host's own table."""
        begun = f"began >= FROM_UNIXTIME({since})"
        return int(self.sql(host, f"SET time_zone = '+00:00'; SELECT COUNT(*) FROM m2.calls WHERE {begun}"))  # noqa: S608

    def program(self, host: str) -> str:
        """What `up` sends to a host's `python3 -`, made again from settings and addresses."""
        config, outputs = self._config(), self.outputs()
        chosen = parse(config)
        plan = TOPOLOGIES[chosen.topology].plan(self.name, chosen)
        cloud = Hetzner(localcloud.environment()["HCLOUD_TOKEN"], config["hcloud:endpoint"])
        public = {"sip": outputs.get("sip_address"), **outputs["hosts"]}
        return Renderer(plan, self.secrets(), public, cloud.platform(plan)).bundle(plan.host(host)).program()

    def secrets(self) -> StackSecrets:
        chosen = parse(self._config())
        return StackSecrets(chosen.root_secret, self.name, chosen.secrets_epoch, _today())

    def state_file(self) -> Path:
        """Where the engine keeps the stack's state."""
        folder = Path(localcloud.environment()["PULUMI_BACKEND_URL"].removeprefix("file://"))
        return folder / ".pulumi" / "stacks" / "m2" / f"{self.name}.json"

    def _engine(self) -> Embedded:
        stack.use_local_cloud()
        return Embedded(embedded.Request(stack.PROJECT, self.name, self.file))

    def _config(self) -> dict[str, str]:
        passphrase = Path(localcloud.environment()["PULUMI_CONFIG_PASSPHRASE_FILE"]).read_text().strip()
        crypter = Crypter(str(salt_of(self.file)), passphrase)
        given = load_stack_file(self.file, crypter).config
        return wire(settings(load_project(stack.PROJECT), self.name, given))[0]


@contextmanager
def brought_up(folder: Path, **settings: object) -> Iterator[Cluster]:
    """The full topology with these settings, on a local cloud that ends with the block; its file is in `folder`."""
    localcloud.up()
    try:
        made = Cluster(folder / f"Pulumi.{NAME}.yaml")
        local_stack.ensure(made.file)
        local_stack.change(made.file, **settings)
        made.up()
        yield made
    finally:
        localcloud.down()


def told(result: Result) -> str:
    """What happened in a drill, for the message of a failed test."""
    return "\n".join(f"{e.at - result.fault_at:+.2f} {e.who}: {e.what}" for e in result.timeline)


def next_second() -> int:
    """The records of calls that are made from now on began at or after this time, and no others."""
    begin = math.ceil(time.time())
    time.sleep(begin - time.time())
    return begin


def _today() -> date:
    return datetime.now(UTC).date()


def answering(viewpoint: str, address: str, ports: set[int]) -> set[int]:
    """The ports that take a TCP connection from an outside viewpoint."""
    inside = _from(viewpoint)

    def answers(port: int) -> bool:
        words = [*inside, "timeout", "1", "bash", "-c", f"exec 3<>/dev/tcp/{address}/{port}"]
        return subprocess.run(words, capture_output=True, check=False).returncode == 0

    with ThreadPoolExecutor(len(ports)) as pool:
        return {port for port, answer in zip(ports, pool.map(answers, ports), strict=True) if answer}


def sip_answers(viewpoint: str, address: str, port: int = 5060) -> bool:
    """Whether an OPTIONS gets any reply over UDP, from an outside viewpoint."""
    source = SOURCES.get(viewpoint, localcloud.HOST_ADDRESS)
    words = [*_from(viewpoint), sys.executable, str(Path(__file__).parent / "sip_probe.py"), source, address, str(port)]
    return subprocess.run(words, check=False).returncode == 0


def _from(viewpoint: str) -> list[str]:
    if viewpoint == ADMINS:
        return []
    inside = ["nsenter", "--net=/run/netns/m2-internet"]
    subprocess.run([*inside, "ip", "address", "replace", f"{SOURCES[viewpoint]}/32", "dev", "lo"], check=True)
    # Connections leave from the loopback address that the last route names.
    route = ["ip", "route", "replace", "198.51.100.0/24", "via", "172.31.1.1", "dev", "eth0", "src", SOURCES[viewpoint]]
    subprocess.run([*inside, *route], check=True)
    return inside
