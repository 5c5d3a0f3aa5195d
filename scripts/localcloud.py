"""A cloud on this machine: the Hetzner Cloud API in front of real machines, which are systemd-nspawn containers.

Everything that it makes goes with `down`. Its API listens for this machine and its own machines only.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)
from rich.console import Console
from rich.table import Table

from localcloud.backend import BackendError
from localcloud.machines import MachinesBackend, image, remains, shared
from localcloud.machines.firewall import API
from scripts import faults
from scripts.cloud_api import STATE as STATE
from scripts.cloud_api import URL, Power, read
from scripts.cloud_api import LocalCloudError as LocalCloudError
from scripts.cloud_api import ask as ask
from scripts.cloud_api import power as power
from scripts.cloud_api import servers as servers

PROJECT = Path(__file__).parent.parent
HOST_ADDRESS, PORT = API
ENDPOINT = f"{URL}/v1"
LOGIN = "admin"
INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_INSTANCES = 1024
HOST_PACKAGES = (
    "debian-archive-keyring",
    "debootstrap",
    "e2fsprogs",
    "iproute2",
    "mount",
    "nftables",
    "openssh-client",
    "procps",
    "systemd-container",
    "util-linux",
)
TOKEN_BYTES = 32
DAEMON_DEADLINE_S = 30.0
STOP_DEADLINE_S = 10.0
POLL_S = 0.1

say = Console(stderr=True, highlight=False)
app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
app.add_typer(faults.app, name="fault")

Name = Annotated[str, typer.Argument(help="a server's name; see `status`")]


def up(progress: Callable[[str], None] = print) -> None:
    """Everything that is missing, and nothing else; `progress` gets each step's name as it begins."""
    require_packages(HOST_PACKAGES, progress)
    _allow_machines()
    image.build(lambda stage: progress(f"image of the machines (once): {stage}"))
    if not STATE.exists() and not shared.owner():
        _remove_outdated_images(progress)
    _make_state()
    if not _agent_answers():
        progress("ssh agent")
        _start_agent()
    daemon = None
    if not _daemon_runs():
        progress("network and API")
        daemon = _start_daemon()
    _wait_for_api(daemon)


def down(with_image: bool = False) -> None:
    """Machines, network, processes and files go, also what a killed process left. Raises LocalCloudError if not."""
    state = shared.owner() or STATE
    _stop_daemon()
    MachinesBackend(state).close()
    for process in _agents():
        os.kill(process, signal.SIGTERM)
    if left := remains.listed(state):
        raise LocalCloudError("these are left of the local cloud: " + "; ".join(left))
    shutil.rmtree(STATE, ignore_errors=True)
    if with_image:
        shutil.rmtree(image.CACHE, ignore_errors=True)


def environment() -> dict[str, str]:
    """What a Pulumi program needs to use the local cloud. Raises LocalCloudError when it was never brought up."""
    return {
        "HCLOUD_ENDPOINT": ENDPOINT,
        "HCLOUD_TOKEN": read("token"),
        "SSH_AUTH_SOCK": str(_agent_socket()),
        "PULUMI_BACKEND_URL": f"file://{STATE / 'pulumi'}",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(STATE / "passphrase"),
        "NO_PROXY": ",".join(filter(None, (_proxied_not(), HOST_ADDRESS))),
    }


def public_key() -> str:
    """The key in the local cloud's own agent, as in authorized_keys."""
    return read("key.pub")


def is_local(endpoint: str) -> bool:
    """Whether this is the local cloud's API."""
    return endpoint.rstrip("/") == ENDPOINT


def ssh(name: str, command: str) -> str:
    """Standard output of a command on a server; LocalCloudError with its errors when it fails."""
    done = subprocess.run(ssh_words(name, [command]), env=with_agent(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise LocalCloudError(f"on {name}, exit code {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def require_packages(packages: Sequence[str], progress: Callable[[str], None] = print) -> None:
    """Installs those Debian packages that this host lacks."""
    missing = _missing(packages)
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise LocalCloudError(
            f"this host lacks {', '.join(missing)}, and apt-get to install them: use Debian or Ubuntu"
        )
    progress(f"packages of this host: {', '.join(missing)}")
    _apt(["dpkg", "--configure", "-a"])
    _apt(["apt-get", "update", "-q"])
    _apt(["apt-get", "install", "-q", "-y", "--no-install-recommends", *missing])


def become_root(script: str) -> None:
    """Goes on as root: by sudo, from the beginning of scripts/`script`. Raises LocalCloudError where that cannot be."""
    if sys.platform != "linux":
        raise LocalCloudError(f"real machines need Linux, and this is {sys.platform}")
    if os.geteuid() == 0:
        return
    if not shutil.which("sudo"):
        raise LocalCloudError(f"real machines need root, and there is no sudo here: run scripts/{script} as root")
    words = ["sudo", f"--preserve-env={image.MIRROR_VARIABLE}", str(PROJECT / "scripts" / script), *sys.argv[1:]]
    os.execvp("sudo", words)  # noqa: S606


@app.callback()
def _root() -> None:
    become_root("localcloud")


@app.command("up")
def up_command() -> None:
    """Bring the cloud up; what is there already stays as it is."""
    began = time.monotonic()
    with say.status("local cloud") as status:

        def tell(step: str) -> None:
            status.update(step)
            say.print(f"[dim]{time.monotonic() - began:5.0f} s[/dim]  {step}")

        up(tell)
    say.print(f"The local cloud is up: {ENDPOINT}")
    say.print('  use it with     eval "$(scripts/localcloud env)"')
    say.print("  remove it with  scripts/localcloud down")


@app.command("down")
def down_command(
    with_image: Annotated[
        bool, typer.Option("--image", help="the machines' image too, which takes minutes to build")
    ] = False,
) -> None:
    """Remove everything of the cloud: machines, their disks, network, processes, keys, records."""
    with say.status("removing the local cloud"):
        down(with_image)
    say.print("Nothing is left of the local cloud" + ("." if with_image else " but the image of its machines."))


@app.command()
def status() -> None:
    """Servers, their state and their addresses."""
    table = Table("server", "state", "addresses (public, floating, private)", box=None, pad_edge=False)
    for server in servers():
        table.add_row(server["name"], server["state"], ", ".join(server["addresses"]))
    Console().print(table)


@app.command("ssh", context_settings={"ignore_unknown_options": True})
def ssh_command(name: Name, command: Annotated[list[str] | None, typer.Argument()] = None) -> None:
    """Log in to NAME (or USER@NAME), or run a command there."""
    os.execvpe("ssh", ssh_words(name, command or []), with_agent())  # noqa: S606


@app.command("power")
def power_command(name: Name, what: Annotated[Power, typer.Argument()]) -> None:
    """Cut a server's power, switch it on or off, freeze or thaw it."""
    say.print(f"{name} is {power(name, what)}")


@app.command()
def env() -> None:
    """Print the environment for Pulumi and ssh as shell lines."""
    for name, value in environment().items():
        print(f"export {name}={shlex.quote(value)}")


def _allow_machines() -> None:
    """Until the next boot. A machine's systemd takes several inotify instances, and the kernel's default, 128 for all
    of a user's, carries about 18 machines; the next one dies without a word as it starts."""
    if int(INOTIFY.read_text()) < INOTIFY_INSTANCES:
        INOTIFY.write_text(str(INOTIFY_INSTANCES))


def _missing(packages: Sequence[str]) -> list[str]:
    argv = ["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\\n", *packages]
    known = subprocess.run(argv, capture_output=True, text=True, check=False) if shutil.which("dpkg-query") else None
    lines = known.stdout.splitlines() if known else []
    installed = {line.split()[0] for line in lines if line.endswith(" installed")}
    return [package for package in packages if package not in installed]


def _apt(argv: Sequence[str]) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1"}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LocalCloudError(f"{' '.join(argv)}: {(done.stderr or done.stdout).strip()}")


def _remove_outdated_images(progress: Callable[[str], None]) -> None:
    """Only while no machine exists that could stand on one."""
    for path in image.outdated():
        progress(f"removing an outdated image: {path}")
        shutil.rmtree(path)


def _make_state() -> None:
    STATE.mkdir(parents=True, exist_ok=True)
    STATE.chmod(0o700)
    (STATE / "pulumi").mkdir(exist_ok=True)
    for name in ("token", "passphrase"):
        _keep(name, lambda: secrets.token_hex(TOKEN_BYTES))
    private = _keep("key", _new_key)
    _keep("key.pub", lambda: _public_half(private))


def _keep(name: str, make: Callable[[], str]) -> str:
    """The content of a file for its owner only, made whole or not at all, once."""
    path = STATE / name
    if not path.exists():
        unfinished = path.with_suffix(".new")
        unfinished.touch(mode=0o600)
        unfinished.write_text(make() + "\n")
        unfinished.rename(path)
    return path.read_text().strip()


def _new_key() -> str:
    key = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    return key.decode().strip()


def _public_half(private: str) -> str:
    key = load_ssh_private_key(f"{private}\n".encode(), None).public_key()
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode() + " localcloud"


def _proxied_not() -> str:
    """What the user has set; the upper-case name alone would hide the other one."""
    return os.environ.get("NO_PROXY") or os.environ.get("no_proxy", "")


def _agent_socket() -> Path:
    return STATE / "agent.sock"


def with_agent() -> dict[str, str]:
    return {**os.environ, "SSH_AUTH_SOCK": str(_agent_socket())}


def _agent_answers() -> bool:
    """And has the key."""
    return subprocess.run(["ssh-add", "-l"], env=with_agent(), capture_output=True, check=False).returncode == 0


def _start_agent() -> None:
    for process in _agents():
        os.kill(process, signal.SIGTERM)
    _agent_socket().unlink(missing_ok=True)
    subprocess.run(["ssh-agent", "-a", _agent_socket()], stdout=subprocess.DEVNULL, check=True)
    subprocess.run(["ssh-add", "-q", STATE / "key"], env=with_agent(), check=True)


def _agents() -> Iterator[int]:
    """By their socket: a number kept in a file may be another process's after a restart of this host."""
    wanted = [b"ssh-agent", b"-a", str(_agent_socket()).encode(), b""]
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if command.read_bytes().split(b"\0") == wanted:
                yield int(command.parent.name)


def _daemon_runs() -> bool:
    """The daemon holds a lock on its pid file as long as it lives."""
    try:
        with (STATE / "daemon.pid").open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _start_daemon() -> subprocess.Popen[bytes]:
    listen = f"{HOST_ADDRESS}:{PORT}"
    argv = [
        sys.executable,
        "-m",
        "localcloud.daemon",
        "--state",
        str(STATE),
        "--backend",
        "machines",
        "--listen",
        listen,
    ]
    with (STATE / "daemon.out").open("w") as output:
        return subprocess.Popen(
            argv, cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )


def _stop_daemon() -> None:
    """Orderly; after a while not."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + STOP_DEADLINE_S
        if _daemon_runs():
            os.kill(int(read("daemon.pid")), number)
        while _daemon_runs() and time.monotonic() < deadline:
            time.sleep(POLL_S)


def _wait_for_api(daemon: subprocess.Popen[bytes] | None) -> None:
    """`daemon` is None when it had been started before."""
    deadline = time.monotonic() + DAEMON_DEADLINE_S
    while True:
        try:
            servers()
            return
        except LocalCloudError as error:
            if daemon and daemon.poll() is not None:
                raise LocalCloudError(read("daemon.out")) from None
            if time.monotonic() > deadline:
                raise LocalCloudError(f"{error}; what it did is in {STATE}/daemon.log") from None
        time.sleep(POLL_S)


def ssh_words(name: str, command: Sequence[str]) -> list[str]:
    """The command line of ssh, with nothing of the user's own settings.

    A host key is pinned at the first contact with a server.
    """
    user, _, host = name.rpartition("@")
    server = _server(host)
    options = {
        "HostKeyAlias": f"{host}-{server['id']}",
        "IdentityFile": "none",
        "LogLevel": "ERROR",
        "StrictHostKeyChecking": "accept-new",
        "UserKnownHostsFile": str(STATE / "known_hosts"),
    }
    words = [word for option, value in options.items() for word in ("-o", f"{option}={value}")]
    return ["ssh", "-F", "none", *words, f"{user or LOGIN}@{server['addresses'][0]}", *command]


def _server(name: str) -> dict[str, Any]:
    known = {server["name"]: server for server in servers()}
    if name not in known:
        raise LocalCloudError(f"there is no server {name!r}; there are: {', '.join(known) or 'none'}")
    return known[name]


def main() -> None:
    """Ends the process."""
    try:
        app(prog_name="scripts/localcloud")
    except (LocalCloudError, BackendError) as error:
        say.print(str(error), style="red", markup=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
