"""Upgrades and reboots of the hosts that a database pair stands on, one at a time, service going on all the while."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from components.logins import UnreachableError
from scripts.database_pair import Look, Pair, PairError

LOCK_SECONDS = 3600
BEFORE_TIMEOUT = 5.0
WHOLE_TIMEOUT = 1800.0
"""Seconds; a member that was away may have to fetch all data."""

RELEASE_WAIT = 300
BOOT_TIMEOUT = 300.0
POLL = 2.0
OWNER = "patch"
APT = "sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300"
UPGRADE = f"{APT} update >/dev/null && {APT} -o Dpkg::Options::=--force-confold dist-upgrade"
PENDING = "sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -s dist-upgrade | grep -c '^Inst ' || true"
BOOT_MARK = "/run/m2-before-reboot"
"""On a file system that a reboot empties; a container's boot id is its host's."""

Tell = Callable[[str], None]


def patch(pair: Pair, always_reboot: bool, tell: Tell) -> None:
    """Upgrade and reboot what needs it: third quorum members, backup, and after a switchover the old holder.

    Raises PairError and LoginError; what was done stays done, and the next run goes on.
    """
    look = pair.until(_is_whole, BEFORE_TIMEOUT, "patching needs a pair that is whole")
    others = [name for name in pair.hosts.with_role("quorum") if name not in look.members]
    with _lock(pair, str(look.holder)):
        for host in [*others, str(look.standby), str(look.holder)]:
            _patch_host(pair, host, always_reboot, tell)
    _return(pair)
    tell("all hosts of the pair are up to date")


def _return(pair: Pair) -> None:
    look = pair.look()
    if look.holder not in (None, look.main):
        pair.ask(str(look.holder), "failback")
        pair.until(lambda look: look.holder == look.main, WHOLE_TIMEOUT, "the database returns to the main")


def _patch_host(pair: Pair, host: str, always_reboot: bool, tell: Tell) -> None:
    logins = pair.hosts.logins
    logins.output(host, f"{APT} update", timeout=300)
    pending = int(logins.output(host, PENDING, timeout=120))
    if not (pending or always_reboot):
        tell(f"{host}: nothing to upgrade")
        return
    tell(f"{host}: {pending} packages to upgrade")
    if host in pair.look().members:
        tell(f"{host}: {pair.ask(host, f'release --wait {RELEASE_WAIT}', timeout=RELEASE_WAIT + 30)}")
    if pending:
        logins.output(host, UPGRADE, timeout=1800)
    _reboot(pair, host, tell)
    pair.until(_is_whole, WHOLE_TIMEOUT, f"the pair is whole again after {host}")


def _reboot(pair: Pair, host: str, tell: Tell) -> None:
    logins = pair.hosts.logins
    began = time.monotonic()
    logins.output(host, f"sudo touch {BOOT_MARK} && sudo systemd-run --quiet --on-active=1 systemctl reboot")
    while True:
        time.sleep(POLL)
        try:
            if logins.run(host, f"test -e {BOOT_MARK}", timeout=15).returncode == 1:
                break
        except UnreachableError:
            pass
        if time.monotonic() - began > BOOT_TIMEOUT:
            raise PairError(
                f"{host} did not come back within {BOOT_TIMEOUT:.0f} s after its reboot; look at its console"
            )
    tell(f"{host}: rebooted, {time.monotonic() - began:.0f} s")


def _is_whole(look: Look) -> bool:
    return not look.troubles


@contextmanager
def _lock(pair: Pair, member: str) -> Iterator[None]:
    """Nobody else restarts anything of the pair meanwhile."""
    pair.ask(member, f"lock {OWNER} --seconds {LOCK_SECONDS}")
    try:
        yield
    finally:
        look = pair.look()
        for answering in list(look.said)[:1]:
            pair.ask(answering, f"unlock {OWNER}")
