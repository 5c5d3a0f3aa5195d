"""The last resorts on a real machine with systemd: a service that is killed however it is, a host that is restarted."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest

from tests.machines.bare_hosts import PROJECT
from tests.machines.lab import Lab, attachment, until

pytestmark = pytest.mark.machines

SERVICE = """
[Service]
ExecStart=/bin/sh -c "trap '' TERM; sleep 1000 & while :; do sleep 1000; done"
Restart=no
"""
PRELUDE = """
import subprocess, time
from failover.unit import Unit

unit = Unit("m2-victim.service")

def started():
    unit.start()
    while not (look := unit.look()).instance or look.starting:
        time.sleep(0.05)
    time.sleep(0.3)
    return look.instance

def processes():
    return (unit.cgroups / unit.name / "cgroup.procs").read_text().split()
"""
KILLED = """
assert unit.look().instance is None
names = set()
for number in range(8):
    names.add(started())
    victims = processes()
    assert len(victims) >= 2, victims
    if number % 2:
        subprocess.run(["kill", "-STOP", *victims], check=True)
    began = time.monotonic()
    assert unit.kill()
    assert time.monotonic() - began < 2
    assert not any(subprocess.run(["kill", "-0", pid], stderr=subprocess.DEVNULL).returncode == 0 for pid in victims)
    while unit.look().instance:
        time.sleep(0.05)
    assert unit.look().failure is None, unit.look()
print(len(names))
"""
FAILED = """
started()
subprocess.run(["systemctl", "kill", "--signal=SEGV", unit.name], check=True)
while unit.look().instance:
    time.sleep(0.05)
print(unit.look().failure)
"""


@pytest.fixture(scope="module")
def machine(empty_lab: Lab) -> Iterator[Lab]:
    """One server with the agent's code and a service that ignores SIGTERM."""
    empty_lab.boot(attachment(1))
    for path, text in (
        ("/usr/local/lib/m2/failover/unit.py", (PROJECT / "failover/unit.py").read_text()),
        ("/usr/local/lib/m2/failover/fence.py", (PROJECT / "failover/fence.py").read_text()),
        ("/etc/systemd/system/m2-victim.service", SERVICE),
    ):
        put(empty_lab, path, text)
    empty_lab.on(1, "systemctl daemon-reload")
    yield empty_lab


def put(lab: Lab, path: str, text: str) -> None:
    encoded = base64.b64encode(text.encode()).decode()
    lab.on(1, f"mkdir -p $(dirname {path}) && echo {encoded} | base64 -d >{path}")


def run(lab: Lab, program: str) -> str:
    put(lab, "/run/program.py", PRELUDE + program)
    return lab.on(1, "PYTHONPATH=/usr/local/lib/m2 python3 /run/program.py")


def test_a_service_is_killed_whole_stopped_or_not_and_started_again_as_often_as_need_be(machine: Lab) -> None:
    assert run(machine, KILLED) == "8"


def test_an_end_that_nobody_asked_for_is_a_failure(machine: Lab) -> None:
    assert run(machine, FAILED).startswith("m2-victim.service ended: ")


def test_a_container_restarts_itself_and_not_its_host(machine: Lab) -> None:
    since = machine.on(1, "systemctl show --value --property=UserspaceTimestampMonotonic")
    machine.ssh(
        "198.51.100.11", "cd /usr/local/lib/m2 && python3 -c 'from failover.fence import reboot_hard; reboot_hard()'"
    )
    until(
        lambda: (
            machine.ssh("198.51.100.11", "systemctl show --value --property=UserspaceTimestampMonotonic").stdout.strip()
            not in ("", since)
        ),
        60,
        "the machine is back",
    )
