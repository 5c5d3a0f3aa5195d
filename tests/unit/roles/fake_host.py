"""A host in a temporary folder: apply's own folders, and small programs that stand for the system's.

The programs remember how they were called and behave as Debian 12's do where apply depends on it (systemd 252 was
asked: `is-enabled` stops at the first unit that it does not know, `is-active` says "inactive" of it, `restart` fails).
"""

from __future__ import annotations

import grp
import json
import os
import pwd
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from roles import apply

OWNER = f"{pwd.getpwuid(os.getuid()).pw_name}:{grp.getgrgid(os.getgid()).gr_name}"
PRIVATE_IP = "10.0.0.51"

SYSTEMCTL = """
[ "$1" != --quiet ] || shift
verb=$1; shift
[ "$1" != --now ] || { now=1; shift; }
case $verb in
    is-active | is-enabled) ;;
    *) echo "systemctl $verb${1:+ $1}" >> log ;;
esac
known() { [ -e "units/$1" ] || { echo "Unit $1.service not found." >&2; exit 5; }; }
case $verb in
    is-active) for unit; do [ -e "active/$unit" ] && echo active || echo inactive; done ;;
    is-enabled) for unit; do
        [ -e "units/$unit" ] || { echo "Failed to get unit file state for $unit.service" >&2; exit 1; }
        [ -e "enabled/$unit" ] && echo enabled || echo disabled
    done ;;
    enable) known "$1"; touch "enabled/$1" ;;
    disable) rm -f "enabled/$1"; [ -z "${now-}" ] || rm -f "active/$1" ;;
    start | restart) known "$1"; rm -f "active/$1"; [ ! -e "broken/$1" ] || exit 1; touch "active/$1" ;;
    reload) known "$1"; [ -e "active/$1" ] || exit 1; [ ! -e "broken/$1" ] || exit 1 ;;
esac
"""
APT_GET = """
policy=none; [ ! -x policy-rc.d ] || { ./policy-rc.d; policy=$?; }
echo "apt-get $* [policy-rc.d: $policy]" >> log
case " $* " in
    *" install "*)
        [ ! -e apt-fails ] || { echo "E: Unable to locate package" >&2; exit 100; }
        for word; do [ -e "available/$word" ] && echo "ii $word" >> packages; done ;;
esac
exit 0
"""
QUORUM = """
echo "quorum $3 $4" >> log
[ ! -e quorum-gone ] || exit 2
[ ! -e "quorum-refuses-$3" ] || { echo '{"ok": false, "why": "database-2 is being changed"}'; exit 1; }
echo '{"ok": true}'
"""
PROGRAMS: Mapping[str, str] = {
    "systemctl": SYSTEMCTL,
    "apt-get": APT_GET,
    "dpkg-query": "cat packages",
    "ip": "cat addresses",
    "python3": QUORUM,
    "systemd-detect-virt": "[ -e container ]",
}


@dataclass
class FakeHost:
    """One host; `root` is its file system."""

    folder: Path
    services: list[apply.Service] = field(default_factory=list)
    files: dict[str, apply.File] = field(default_factory=dict)
    packages: list[str] = field(default_factory=list)
    hardware_packages: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("bin", "root", "units", "active", "enabled", "broken", "available"):
            (self.folder / name).mkdir()
        for name, script in PROGRAMS.items():
            program = self.folder / "bin" / name
            program.write_text(f"#!/bin/sh\ncd '{self.folder}'\n{script}")
            program.chmod(0o755)
        (self.folder / "packages").write_text("")
        (self.folder / "log").write_text("")
        (self.folder / "boot-finished").touch()
        self.has_addresses("198.51.100.51", PRIVATE_IP)

    def take_over(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """From now on apply sees this host."""
        monkeypatch.setenv("PATH", f"{self.folder / 'bin'}:{os.environ['PATH']}")
        monkeypatch.setattr(apply, "STATE", self.folder / "state" / "apply.json")
        monkeypatch.setattr(apply, "LOCK", self.folder / "lock")
        monkeypatch.setattr(apply, "POLICY", self.folder / "policy-rc.d")
        monkeypatch.setattr(apply, "QUORUM", self.path("/etc/m2/quorum.json"))
        monkeypatch.setattr(apply, "BOOT_FINISHED", self.folder / "boot-finished")
        monkeypatch.setattr(apply, "UNIT_FOLDERS", (f"{self.folder}/root/etc/systemd/system/*",))

    def path(self, name: str) -> Path:
        return self.folder / "root" / name.lstrip("/")

    def has_addresses(self, *addresses: str) -> None:
        links = [{"ifname": f"eth{n}", "addr_info": [{"local": a}]} for n, a in enumerate(addresses)]
        (self.folder / "addresses").write_text(json.dumps(links))

    def file(self, name: str, content: str = "", rights: str = "0644", link: str | None = None) -> None:
        """The bundle has this file now."""
        owner = rights if " " in rights else f"{rights} {OWNER}"
        self.files[name] = apply.File(str(self.path(name)), content, owner, link)

    def service(
        self, name: str, restart_on: Iterable[str] = (), reload_on: Iterable[str] = (), reload: str | None = None
    ) -> None:
        """The bundle has this service now, and the system knows its unit."""
        restart, reload_ = ([str(self.path(pattern)) for pattern in each] for each in (restart_on, reload_on))
        self.services.append(apply.Service(name, restart, reload_, reload))
        (self.folder / "units" / name).touch()

    def flag(self, name: str, on: bool = True) -> None:
        """Something about the system, such as `broken/nginx`."""
        path = self.folder / name
        if on:
            path.touch()
        else:
            path.unlink(missing_ok=True)

    def bundle(self) -> str:
        whole = {
            "host": "core-1",
            "private_ip": PRIVATE_IP,
            "packages": self.packages,
            "hardware_packages": self.hardware_packages,
            "files": [vars(file) for file in self.files.values()],
            "services": [vars(service) for service in self.services],
        }
        return json.dumps(whole)

    def apply(self) -> int:
        """One run; its exit code. What was called before is forgotten."""
        (self.folder / "log").write_text("")
        return apply.main(self.bundle())

    def called(self, program: str = "") -> list[str]:
        """What the last run called, without the questions that change nothing."""
        return [line for line in (self.folder / "log").read_text().splitlines() if line.startswith(program)]

    def is_active(self, service: str) -> bool:
        return (self.folder / "active" / service).exists()
