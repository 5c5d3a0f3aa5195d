"""The addresses that move with the database: on the holder first, then the cloud's way to them; read back for ever."""

from __future__ import annotations

import ipaddress
import json
import logging
import subprocess
import threading
from dataclasses import dataclass

from failover.config import HeldAddress
from failover.mover_client import MoverClient, MoverError

RECHECK = 15.0
"""Seconds between two looks at the cloud while nothing changes: 3600 requests an hour are a project's limit."""

WATCH = 1.0
"""Seconds between two looks while clients wait for the address to move."""

RETRY = 1.0

log = logging.getLogger("addresses")


@dataclass(frozen=True)
class Where:
    """`routed` is who has the database's address at the cloud: a member's name, "" for nobody, None for not known."""

    all_here: bool
    some_here: bool
    routed: str | None


class Addresses:
    """Works on its own, so that a slow cloud never holds the agent up."""

    def __init__(self, me: str, addresses: tuple[HeldAddress, ...], mover: MoverClient) -> None:
        self._me = me
        self._addresses = addresses
        self._mover = mover
        self._wanted = False
        self._watch = False
        self._wake = threading.Event()
        self._holders: dict[str, str | None] | None = None
        self.trouble = ""
        if addresses:
            threading.Thread(target=self._run, name="addresses", daemon=True).start()

    def look(self) -> Where:
        """Costs no call of the cloud. A database that is alone has no address that moves: it is always where it is."""
        if not self._addresses:
            return Where(True, False, self._me)
        here = [_has(address.ip) for address in self._addresses]
        holders = self._holders
        return Where(all(here), any(here), None if holders is None else holders.get(self._addresses[0].name) or "")

    def holders(self) -> dict[str, str | None]:
        """As last seen; empty while not known."""
        return dict(self._holders or {})

    def take(self) -> None:
        """On this host at once, at the cloud as soon as it can be."""
        for address in self._addresses:
            if not _has(address.ip):
                subprocess.run(["ip", "address", "replace", f"{address.ip}/32", "dev", "lo"], check=True, timeout=2)
        if not self._wanted:
            self._wanted = True
            self._wake.set()

    def drop(self) -> None:
        """Off this host; the cloud's way to it is the new holder's to move."""
        self._wanted = False
        for address in self._addresses:
            if _has(address.ip):
                subprocess.run(["ip", "address", "delete", f"{address.ip}/32", "dev", "lo"], check=False, timeout=2)

    def watch(self, closely: bool) -> None:
        """Whether somebody waits for the address to have moved."""
        if closely and not self._watch:
            self._wake.set()
        self._watch = closely

    def _run(self) -> None:
        while True:
            pause = self._step()
            self._wake.wait(pause)
            self._wake.clear()

    def _step(self) -> float:
        try:
            holders = self._mover.holders()
            for address in self._addresses:
                if self._wanted and holders.get(address.name) != self._me:
                    log.info("%s is with %s: claiming it", address.name, holders.get(address.name) or "nobody")
                    holders[address.name] = self._mover.claim(address.name)
            self._holders = holders
        except MoverError as error:
            self._say(f"the cloud does not move or show the addresses: {error}")
            self._holders = None
            return RETRY
        self._say("")
        return WATCH if self._watch else RECHECK

    def _say(self, trouble: str) -> None:
        if trouble and trouble != self.trouble:
            log.warning(trouble)
        self.trouble = trouble


def _has(address: str) -> bool:
    found = subprocess.run(["ip", "-json", "address"], capture_output=True, check=True, timeout=2).stdout
    wanted = str(ipaddress.ip_address(address))
    return any(entry.get("local") == wanted for link in json.loads(found) for entry in link["addr_info"])
