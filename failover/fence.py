"""Keeps clients from this host's database: an nftables table of its own, left alone when the host's rules are reloaded.

In one of three ways at a time. A fence of a main that must not acknowledge drops: its clients wait for the address to
move. A planned move rejects: clients come again at once.
"""

from __future__ import annotations

import ctypes
import subprocess
from dataclasses import dataclass
from pathlib import Path
from string import Template

PORT = 3306
DEADLINE = 2.0
"""Seconds for nft."""

CONTAINER = Path("/run/systemd/container")
SYSRQ = Path("/proc/sysrq-trigger")
RESTART = 0x01234567
"""LINUX_REBOOT_CMD_RESTART (reboot(2)): in a container it restarts the container."""

NOTHING = "table inet m2fence\ndelete table inet m2fence\n"
DROP = """
table inet m2fence {
    chain input {
        type filter hook input priority filter - 10; policy accept;
        tcp dport $port drop
    }
}
"""
REJECT = """
table inet m2fence {
    chain input {
        type filter hook input priority filter - 10; policy accept;
        ip daddr $vip tcp dport $port ct state new reject with tcp reset
    }
}
"""
FORWARD = """
table inet m2fence {
    chain prerouting {
        type nat hook prerouting priority dstnat; policy accept;
        ip daddr $vip tcp dport $port dnat ip to $to_ip
    }
    chain output {
        type nat hook output priority -100; policy accept;
        ip daddr $vip tcp dport $port dnat ip to $to_ip
    }
    chain postrouting {
        type nat hook postrouting priority srcnat; policy accept;
        ip daddr $to_ip tcp dport $port ct status dnat masquerade
    }
}
"""


class FenceError(Exception):
    """The rules are not what was asked; one sentence."""


@dataclass(frozen=True)
class Fence:
    """In front of port 3306 of this host. `vip` is the database's address."""

    vip: str

    def drop(self) -> None:
        """Nobody gets an answer from it any more, on any address, connected or not. Raises FenceError."""
        self._put(DROP)

    def reject(self) -> None:
        """New clients of the VIP are turned away at once; those that are connected stay. Raises FenceError."""
        self._put(REJECT)

    def forward(self, to_ip: str) -> None:
        """New clients that still come here for the VIP are sent on, with this host as their source; the forward chain
        of the host's rules lets them through. Raises FenceError."""
        self._put(FORWARD, to_ip=to_ip)

    def clear(self) -> None:
        """Everybody gets in whom the host's own rules let in. Raises FenceError."""
        self._put("")

    def _put(self, rules: str, **values: str) -> None:
        """One transaction: the old rules hold until the new ones do."""
        script = NOTHING + Template(rules).substitute(vip=self.vip, port=PORT, **values)
        try:
            done = subprocess.run(
                ["nft", "-f", "-"], input=script, capture_output=True, text=True, check=False, timeout=DEADLINE
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise FenceError(f"nft: {error}") from None
        if done.returncode:
            raise FenceError(f"nft: {done.stderr.strip().splitlines()[0]}")


def reboot_hard() -> None:
    """Restart this host at once, without a word to anybody: the last resort when mariadbd cannot be killed."""
    if CONTAINER.exists():
        # The host's sysrq would restart what the container runs on.
        ctypes.CDLL(None, use_errno=True).reboot(RESTART)
    else:
        SYSRQ.write_text("b")
