"""Make this host what its bundle says; doing it twice changes nothing.

Arrives on standard input of `python3 -`, followed by one call of `main` with the bundle. Prints names, never
contents. Exits 1 with one sentence when something cannot be done; the next run goes on from there.
"""

from __future__ import annotations

import fcntl
import grp
import json
import os
import pwd
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

STATE = Path("/var/lib/m2/apply.json")
LOCK = Path("/run/m2-apply.lock")
POLICY = Path("/usr/sbin/policy-rc.d")
NO_STARTS = "#!/bin/sh\n# m2 apply: packages start nothing while they are installed.\nexit 101\n"
BOOT_FINISHED = Path("/var/lib/cloud/instance/boot-finished")
BOOT_TIMEOUT = 300.0
ADDRESS_TIMEOUT = 120.0
QUORUM = Path("/etc/m2/quorum.json")
"""A host that has it counts in the quorum of a database pair, or is a member of the pair itself."""

LOCK_WAIT = 1800
UNLOCK_WAIT = 120
"""Seconds: for other hosts to finish, and for the quorum to be as complete as before."""

NO_QUORUM = 2
UNIT_FOLDERS = ("/etc/systemd/system/*", "/usr/local/lib/systemd/system/*")


class ApplyError(Exception):
    """One sentence about what could not be done."""


@dataclass(frozen=True)
class File:
    """What stands at `path`: a text, or a symbolic link to `link`."""

    path: str
    content: str
    rights: str
    link: str | None

    @property
    def mode(self) -> int:
        return int(self.rights.split()[0], 8)

    @property
    def owner(self) -> str:
        return self.rights.split()[1]


@dataclass(frozen=True)
class Service:
    """A systemd unit and the path patterns that concern it."""

    name: str
    restart_on: list[str]
    reload_on: list[str]
    reload: str | None


@dataclass(frozen=True)
class Bundle:
    """Everything that this host shall be."""

    host: str
    private_ip: str
    packages: list[str]
    hardware_packages: list[str]
    files: list[File]
    services: list[Service]


@dataclass
class State:
    """What the last run left: its files and services, and what still has to hear of changed files."""

    files: list[str] = field(default_factory=list)
    services: list[str] = field(default_factory=list)
    unheard: list[str] = field(default_factory=list)


def parse(text: str) -> Bundle:
    """The bundle as components.bundle wrote it."""
    raw = json.loads(text)
    raw["files"] = [File(**entry) for entry in raw["files"]]
    raw["services"] = [Service(**entry) for entry in raw["services"]]
    return Bundle(**raw)


def main(text: str) -> int:
    """Apply the bundle; the exit code of the command."""
    bundle = parse(text)
    try:
        with LOCK.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            changes = apply(bundle)
    except (ApplyError, OSError) as error:
        print(f"{bundle.host}: {error}", file=sys.stderr)
        return 1
    print("\n".join(changes) if changes else "nothing to change")
    return 0


def apply(bundle: Bundle) -> list[str]:
    """Everything in its order; says what changed."""
    _wait("cloud-init to finish", BOOT_TIMEOUT, BOOT_FINISHED.exists)
    _wait(f"private address {bundle.private_ip}", ADDRESS_TIMEOUT, lambda: _has_address(bundle.private_ip))
    state = load_state()
    changes = [f"installed {name}" for name in install(bundle)]
    changed = [file for file in bundle.files if not is_current(file)]
    gone = [path for path in state.files if path not in {file.path for file in bundle.files}]
    state.unheard = sorted({*state.unheard, *gone, *(file.path for file in changed)})
    state.files = sorted({*state.files, *(file.path for file in bundle.files)})
    save_state(state)
    for file in changed:
        write(file)
    for path in gone:
        Path(path).unlink(missing_ok=True)
    changes += [f"changed {file.path}" for file in changed] + [f"removed {path}" for path in gone]
    with alone_in_the_pair(bundle, state):
        changes += settle_services(bundle, state)
    save_state(State([file.path for file in bundle.files], [service.name for service in bundle.services]))
    return changes


def install(bundle: Bundle) -> list[str]:
    """Install the packages that are missing; none is upgraded and none of their services is started."""
    wanted = bundle.packages + ([] if _in_container() else bundle.hardware_packages)
    installed = _installed()
    missing = [name for name in wanted if name not in installed]
    if POLICY.exists() and POLICY.read_text() == NO_STARTS:
        POLICY.unlink()
    if not missing:
        return []
    if POLICY.exists():
        raise ApplyError(f"{POLICY} is not ours: installing packages might start services; move it away")
    POLICY.write_text(NO_STARTS)
    POLICY.chmod(0o755)
    try:
        _run(["dpkg", "--configure", "-a"])
        _apt("update")
        _apt("install", "--no-install-recommends", "-o", "Dpkg::Options::=--force-confold", *missing)
    finally:
        POLICY.unlink()
    return missing


def is_current(file: File) -> bool:
    """True when nothing about the file needs to change."""
    path = Path(file.path)
    if file.link is not None:
        return path.is_symlink() and str(path.readlink()) == file.link
    if path.is_symlink() or not path.is_file():
        return False
    status = path.stat()
    rights = (status.st_mode & 0o7777, status.st_uid, status.st_gid)
    return rights == (file.mode, *_ids(file.owner)) and path.read_bytes() == file.content.encode()


def write(file: File) -> None:
    """Put the file in place in one step, never readable by others than it says."""
    path = Path(file.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.m2-new")
    fresh.unlink(missing_ok=True)
    if file.link is not None:
        fresh.symlink_to(file.link)
    else:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            stream.write(file.content)
        os.chown(fresh, *_ids(file.owner))
        fresh.chmod(file.mode)
    fresh.replace(path)


@contextmanager
def alone_in_the_pair(bundle: Bundle, state: State) -> Iterator[None]:
    """Before anything restarts on a host of a database pair: the pair's lock, so that hosts restart one at a time.

    A host that is new, and a quorum that does not answer, have nothing to guard. After a failure the lock stays until
    it expires: a second host must not follow.
    """
    restarts = any(_matches(path, service.restart_on) for service in bundle.services for path in state.unheard)
    locked = restarts and bool(state.services) and QUORUM.exists() and _quorum("lock", bundle.host, LOCK_WAIT)
    yield
    if locked:
        _quorum("unlock", bundle.host, UNLOCK_WAIT)


def _quorum(verb: str, owner: str, wait: int) -> bool:
    """Ask the quorum (failover/quorum.py); False when it does not answer."""
    words = ["python3", "-m", "failover.quorum", verb, owner, "--wait", str(wait)]
    environment = {**os.environ, "PYTHONPATH": "/usr/local/lib/m2"}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    if done.returncode in (0, NO_QUORUM):
        return done.returncode == 0
    reason = done.stdout.strip() or (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    raise ApplyError(f"the pair's maintenance lock: {reason}")


def settle_services(bundle: Bundle, state: State) -> list[str]:
    """Start what is not running, restart or reload what has not heard of a changed file, stop what left."""
    if any(_matches(path, UNIT_FOLDERS) for path in state.unheard):
        _systemctl("daemon-reload")
    changes = []
    wanted = {service.name for service in bundle.services}
    for name in [name for name in state.services if name not in wanted]:
        _systemctl("disable", "--now", name)
        changes.append(f"stopped {name}")
    enabled = _answers("is-enabled", wanted)
    for service in bundle.services:
        if enabled[service.name] not in ("enabled", "static", "alias", "indirect"):
            _systemctl("enable", service.name)
            changes.append(f"enabled {service.name}")
    active = _answers("is-active", wanted)
    for service in bundle.services:
        done = _settle(service, state.unheard, active[service.name] == "active")
        changes += [f"{done} {service.name}"] if done else []
    return changes


def _settle(service: Service, unheard: Iterable[str], active: bool) -> str | None:
    if any(_matches(path, service.restart_on) for path in unheard):
        _systemctl("restart", service.name)
        return "restarted"
    if not active:
        _systemctl("start", service.name)
        return "started" if _answers("is-active", {service.name})[service.name] == "active" else None
    if any(_matches(path, service.reload_on) for path in unheard):
        _run(["sh", "-c", service.reload] if service.reload else ["systemctl", "reload", service.name])
        return "reloaded"
    return None


def load_state() -> State:
    """The state of the last run; an empty one on a new host."""
    return State(**json.loads(STATE.read_text())) if STATE.exists() else State()


def save_state(state: State) -> None:
    """Replace the state in one step."""
    STATE.parent.mkdir(parents=True, exist_ok=True)
    fresh = STATE.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(state)))
    fresh.replace(STATE)


def _matches(path: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in patterns)


def _ids(owner: str) -> tuple[int, int]:
    user, _, group = owner.partition(":")
    try:
        return pwd.getpwnam(user).pw_uid, grp.getgrnam(group).gr_gid
    except KeyError:
        raise ApplyError(f"there is no user {user} or no group {group}") from None


def _installed() -> set[str]:
    lines = _run(["dpkg-query", "-W", "-f", "${db:Status-Abbrev}${Package}\n"]).splitlines()
    return {line[3:].strip() for line in lines if line.startswith("ii")}


def _apt(*words: str) -> None:
    _run(["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300", *words])


def _in_container() -> bool:
    return subprocess.run(["systemd-detect-virt", "--quiet", "--container"], check=False).returncode == 0


def _has_address(address: str) -> bool:
    links: list[dict[str, Any]] = json.loads(_run(["ip", "-json", "address"]))
    return any(entry.get("local") == address for link in links for entry in link["addr_info"])


def _systemctl(*words: str) -> None:
    if subprocess.run(["systemctl", "--quiet", *words], capture_output=True, check=False).returncode:
        verb, unit = words[0], words[-1]
        raise ApplyError(f"systemctl {verb} {unit} failed; see `journalctl -u {unit}` on this host")


def _answers(question: str, units: Iterable[str]) -> dict[str, str]:
    """One answer a unit; systemctl says nothing of a unit that it does not know, and stops there."""
    names = sorted(units)
    answer = subprocess.run(["systemctl", question, *names], capture_output=True, text=True, check=False)
    lines = answer.stdout.splitlines()
    if len(lines) != len(names):
        raise ApplyError(f"there is no unit {names[len(lines)]}: did its package or file come?")
    return dict(zip(names, lines, strict=True))


def _run(words: list[str]) -> str:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise ApplyError(f"{' '.join(words[:3])} failed: {reason[0]}")
    return done.stdout


def _wait(what: str, timeout: float, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + timeout
    while not ready():
        if time.monotonic() > deadline:
            raise ApplyError(f"waited {timeout:.0f} s for {what}")
        time.sleep(0.2)
