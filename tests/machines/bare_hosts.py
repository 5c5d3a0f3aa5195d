"""Hosts without an init: the golden image's root file system and a network address each, for single programs.

Everything lives in mount and network namespaces whose only processes die with the test run, so nothing can be left.
"""

from __future__ import annotations

import ctypes
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from localcloud.machines import image

PROJECT = Path(__file__).parents[2]
CLONE_NEWNET = 0x40000000
DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL")
SHARED = ("srv/database", "run/mysqld", "etc/m2", "var/lib/etcd")
"""Folders of the host that tests reach from outside, at the same path below `Host.folder`."""

ROOT = """
set -eu
folder=$1; image=$2; failover=$3; shift 3
mkdir -p "$folder/upper" "$folder/work" "$folder/root"
mount -t overlay overlay -o "lowerdir=$image,upperdir=$folder/upper,workdir=$folder/work" "$folder/root"
for shared in "$@"; do
    mkdir -p "$folder/$shared" "$folder/root/$shared"
    mount --bind "$folder/$shared" "$folder/root/$shared"
done
mkdir -p "$folder/root/usr/local/lib/m2/failover"
mount --bind "$failover" "$folder/root/usr/local/lib/m2/failover"
mount --rbind /dev "$folder/root/dev"
mount -t proc proc "$folder/root/proc"
hostname "${folder##*/}"
echo "127.0.0.1 localhost $(hostname)" >"$folder/root/etc/hosts"
ip link set lo up
"""
SWITCH = "ip link add switch type bridge && ip link set switch up"


@dataclass
class Host:
    """One host; `address` is its own on the common network."""

    name: str
    address: str
    folder: Path
    pid: int
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *words: str, log: str = "log", environment: Mapping[str, str] | None = None) -> int:
        """A program in the background; its process id. What it says goes to the file `log` in `folder`."""
        with (self.folder / log).open("ab") as output:
            process = subprocess.Popen(
                [*DIES_WITH_US, *self._inside(), *words],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environment(environment),
            )
        self.started.append(process)
        return process.pid

    def run(self, *words: str, timeout: float = 60, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """A program to its end, whatever its exit code."""
        return subprocess.run(
            [*self._inside(), *words],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env=self._environment(None),
        )

    def python(self, program: str, *words: str, timeout: float = 60) -> str:
        """What Debian's Python prints there for a program that may import `failover`; it must succeed."""
        done = self.run("/usr/bin/python3", "-c", program, *words, timeout=timeout)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def signal(self, pid: int, number: signal.Signals) -> None:
        """Of a process of `start`; waits for the end of one that is killed."""
        process = next(p for p in self.started if p.pid == pid)
        process.send_signal(number)
        if number == signal.SIGKILL:
            process.wait(10)

    def wait(self, pid: int, timeout: float) -> int:
        """The exit code of a process of `start`. Raises subprocess.TimeoutExpired."""
        return next(p for p in self.started if p.pid == pid).wait(timeout)

    @contextmanager
    def network(self) -> Iterator[None]:
        """Sockets that this thread, and threads it starts, make meanwhile are on this host."""
        with Path("/proc/self/ns/net").open() as ours, Path(f"/proc/{self.pid}/ns/net").open() as theirs:
            _enter(theirs.fileno())
            try:
                yield
            finally:
                _enter(ours.fileno())

    def link(self, state: str) -> None:
        """`down` cuts it from all others, `up` joins it again."""
        _inside_network(self.pid, "ip", "link", "set", "eth0", state)

    def stop(self) -> None:
        """Kill everything of it."""
        for process in self.started:
            with suppress(ProcessLookupError):
                process.kill()
            process.wait(10)
        self.started.clear()

    def _inside(self) -> list[str]:
        return ["nsenter", f"--target={self.pid}", "--mount", "--net", "--uts", "chroot", str(self.folder / "root")]

    def _environment(self, more: Mapping[str, str] | None) -> dict[str, str]:
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return {"PATH": path, "LANG": "C.UTF-8", "PYTHONPATH": "/usr/local/lib/m2", **(more or {})}


@contextmanager
def hosts(folder: Path, names: Mapping[str, str]) -> Iterator[dict[str, Host]]:
    """Hosts by name, with these addresses of one /24 on one switch."""
    with ExitStack() as stack:
        switch = stack.enter_context(_namespace(SWITCH))
        made = {}
        for name, address in names.items():
            place = folder / name
            place.mkdir(parents=True)
            stack.callback(shutil.rmtree, place, ignore_errors=True)
            words = (str(place), str(image.find()), str(PROJECT / "failover"), *SHARED)
            pid = stack.enter_context(_namespace(ROOT, *words))
            _plug_in(switch, pid, name, address)
            made[name] = Host(name, address, place, pid)
            stack.callback(made[name].stop)
        yield made


@contextmanager
def _namespace(script: str, *words: str) -> Iterator[int]:
    """Mounts and a network of their own, held by a process that does nothing; its id."""
    shell = ["sh", "-c", f"{script}\necho ready\nexec sleep infinity", "sh", *words]
    process = subprocess.Popen([*DIES_WITH_US, "unshare", "--mount", "--net", "--uts", *shell], stdout=subprocess.PIPE)
    try:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
    finally:
        process.kill()
        process.wait(10)


def _plug_in(switch: int, host: int, name: str, address: str) -> None:
    port = f"p-{name}"[:15]
    _inside_network(switch, "ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", str(host))
    _inside_network(switch, "ip", "link", "set", port, "master", "switch", "up")
    _inside_network(host, "ip", "address", "add", f"{address}/24", "dev", "eth0")
    _inside_network(host, "ip", "link", "set", "eth0", "up")


def _enter(namespace: int) -> None:
    """setns(2), which Python has from 3.12 on."""
    if ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def _inside_network(pid: int, *words: str) -> None:
    subprocess.run(["nsenter", f"--target={pid}", "--net", *words], check=True, stderr=sys.stderr)
