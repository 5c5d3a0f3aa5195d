"""The peer of `bench takeover`: a classic pair on the same machines, Heartbeat 3 and MariaDB as Debian has them.

Each member takes writes and follows the other; Heartbeat moves the address, through the same mover.
"""

from __future__ import annotations

import io
import json
import re
import secrets
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from components.logins import LoginError
from scripts.benchmarks import BenchmarkError
from scripts.drills.clients import make_table, sql
from scripts.drills.scenes import Scene

FILES = Path(__file__).parent / "heartbeat"
PACKAGES = ("heartbeat", "cluster-glue", "resource-agents")
BEGIN_TIMEOUT = 90.0
THREADS = re.compile(r"(Slave_(?:IO|SQL)_Running: \w+|Last_(?:IO|SQL)_Error: .+)")
CLAIM_TIME = (
    "import ssl, time, json; from failover.config import tls_context; from failover.mover_client import MoverClient; "
    "movers = tuple(json.load(open('/etc/m2/agent.json'))['movers']); began = time.monotonic(); "
    "MoverClient(movers, tls_context(ssl.Purpose.SERVER_AUTH)).claim('database'); print(time.monotonic() - began)"
)


@dataclass(frozen=True)
class Classic:
    """The two hosts of a scene, once `install` has made them a classic pair."""

    scene: Scene
    packages: Path
    key: str

    def install(self) -> None:
        """The agent goes; there is no way back but a new stack. Raises LoginError, BenchmarkError."""
        for core in self.scene.hosts.with_role("core"):
            self._on(core, "sudo systemctl stop m2-shipper")
        for member in self.scene.members:
            self._send(member)
            self._on(member, f"sudo sh /var/tmp/m2-heartbeat/install {self._ip(self._other(member))} {self._vip}")

    def begin(self) -> None:
        """Both members the same and following each other, Heartbeat running, the address on the main."""
        for member in self.scene.members:
            self._on(member, "sudo systemctl kill --kill-who=all --signal=KILL heartbeat || true")
        for member in self.scene.members:
            self._on(member, "sudo systemctl stop heartbeat")
            self.restart(member)
            self._on(member, f"sudo ip address del {self._vip}/32 dev lo 2>/dev/null || true")
        for member in self.scene.members:
            sql(self.scene.hosts, member, "STOP SLAVE; SET GLOBAL read_only = 0; DROP TABLE IF EXISTS m2.drill")
            make_table(self.scene.hosts, member)
            sql(self.scene.hosts, member, (FILES / "begin.sql").read_text())
        for member in self.scene.members:
            self._follow(member)
        for member in self.scene.members:
            self._on(member, "sudo systemctl start heartbeat")
        self.wait_until_home()

    def restart(self, member: str) -> None:
        """MariaDB, also one that stands still."""
        self._on(member, "sudo systemctl kill --signal=KILL classic-mariadbd || true")
        self._on(member, "sudo systemctl restart classic-mariadbd")

    def wait_until_home(self) -> None:
        """Until the main has the address, alone. Raises BenchmarkError."""
        deadline = time.monotonic() + BEGIN_TIMEOUT
        while not (self._has(self.scene.main) and not self._has(self.scene.backup)):
            if time.monotonic() > deadline:
                raise BenchmarkError(f"Heartbeat did not give the address to the main in {BEGIN_TIMEOUT:.0f} s")
            time.sleep(1.0)

    def api_seconds(self) -> list[float]:
        """How long the mover takes to move the address while nothing is wrong, there and back."""
        moves = (self.scene.backup, self.scene.main) * 3
        command = f'sudo env PYTHONPATH=/usr/local/lib/m2 python3 -c "{CLAIM_TIME}"'
        return [float(self._on(member, command)) for member in moves]

    def replication(self) -> str:
        """What each member says of its two threads, and the errors that stop them."""
        return "; ".join(f"{member}: {self._threads(member)}" for member in self.scene.members)

    def _threads(self, member: str) -> str:
        """After a fault such a mariadbd can stand still for good; that is a result, too."""
        try:
            status = self._on(member, "sudo timeout 20 mariadb --vertical --execute 'SHOW SLAVE STATUS'")
        except LoginError:
            return "mariadbd does not answer"
        return ", ".join(THREADS.findall(status))

    def _has(self, member: str) -> bool:
        try:
            return f" {self._vip}/" in self._on(member, "ip -oneline address show dev lo")
        except LoginError:
            return False

    def _follow(self, member: str) -> None:
        password = json.loads(self._on(member, "sudo cat /etc/m2/agent.json"))["replication_password"]
        values = {"peer_ip": self._ip(self._other(member)), "password": password}
        sql(self.scene.hosts, member, Template((FILES / "follow.sql").read_text()).substitute(values))

    def _send(self, member: str) -> None:
        """Configuration and packages, as one archive."""
        with io.BytesIO() as archive:
            with tarfile.open(fileobj=archive, mode="w") as tar:
                for path, content in self._files(member):
                    entry = tarfile.TarInfo(path)
                    entry.size, entry.mode = len(content), 0o644
                    tar.addfile(entry, io.BytesIO(content))
            words = self.scene.hosts.logins.words(member, "sudo tar --extract --directory=/ --file=-")
            subprocess.run(words, input=archive.getvalue(), check=True)

    def _files(self, member: str) -> Iterator[tuple[str, bytes]]:
        values = self._values(member)
        for source in (path for path in (FILES / "etc").rglob("*") if path.is_file()):
            text = source.read_text()
            filled = Template(text).substitute(values) if "$" in text else text
            yield str(source.relative_to(FILES)), filled.encode()
        yield "var/tmp/m2-heartbeat/install", (FILES / "install").read_bytes()
        for package in self.packages.glob("*.deb"):
            yield f"var/tmp/m2-heartbeat/{package.name}", package.read_bytes()

    def _values(self, member: str) -> Mapping[str, str]:
        peer_ip = self._ip(self._other(member))
        device = self._on(member, f"ip -oneline route get {peer_ip}").split(" dev ")[1].split()[0]
        names = {"main": self.scene.main, "backup": self.scene.backup}
        nodes = {role: self._on(host, "uname --nodename").strip() for role, host in names.items()}
        return {"device": device, "peer_ip": peer_ip, "address": self._vip, "key": self.key, **nodes}

    @property
    def _vip(self) -> str:
        return str(self.scene.hosts.outputs["database_address"])

    def _ip(self, member: str) -> str:
        return str(json.loads(self._on(member, "cat /etc/m2/mover.json"))["listen"])

    def _other(self, member: str) -> str:
        return next(other for other in self.scene.members if other != member)

    def _on(self, host: str, command: str) -> str:
        return self.scene.hosts.logins.output(host, command, timeout=120)


def classic(scene: Scene, packages: Path) -> Classic:
    """Not installed yet."""
    return Classic(scene, packages, secrets.token_hex(16))
