"""What the hosts' programs are told, read from JSON files of their bundle."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

TLS = Path("/etc/m2/tls")


@dataclass(frozen=True)
class Member:
    """One of the two hosts that may hold an address: its name in the cloud and its private address."""

    name: str
    server: str
    ip: str


@dataclass(frozen=True)
class Address:
    """An address that moves. `where` says how to find it at the cloud, by `kind`."""

    name: str
    kind: Literal["floating_ip", "route"]
    where: Mapping[str, str]
    members: tuple[Member, ...]

    def member(self, name: str) -> Member | None:
        """The member of that name, if it is one."""
        return next((m for m in self.members if m.name == name), None)


@dataclass(frozen=True)
class MoverConfig:
    """The mover's fixed list of moves, and where it listens."""

    listen: str
    port: int
    endpoint: str
    addresses: tuple[Address, ...]


@dataclass(frozen=True)
class SipAddressConfig:
    """A balancer's addresses and whom to ask for them; `preferred` is the member with the higher priority.

    `peer` is the other member's private address, where its Kamailio answers at `port`.
    """

    me: str
    preferred: bool
    addresses: tuple[str, ...]
    movers: tuple[str, ...]
    peer: str
    port: int


@dataclass(frozen=True)
class HeldAddress:
    """An address that moves with the pair: `name` as the mover knows it, `ip` as its holder has it."""

    name: str
    ip: str
    scope: Literal["public", "private"]


@dataclass(frozen=True)
class AgentConfig:
    """A database host's place in its pair; alone, it has no peer, no addresses that move and no movers.

    Without `quorum` (etcd members' addresses, this host's own first) roles are fixed. `addresses`: the database's
    first. `takeover_after` and `hold_down` are seconds.
    """

    me: str
    main: bool
    listen: str
    peer: str | None
    peer_ip: str | None
    addresses: tuple[HeldAddress, ...]
    quorum: tuple[str, ...]
    movers: tuple[str, ...]
    takeover_after: float
    hold_down: float
    data_folder: Path
    replication_password: str


def mover_config(path: Path) -> MoverConfig:
    """Read /etc/m2/mover.json."""
    return mover_from(_read(path))


def mover_from(raw: Mapping[str, Any]) -> MoverConfig:
    """What stands in /etc/m2/mover.json."""
    return MoverConfig(
        listen=raw["listen"],
        port=raw["port"],
        endpoint=raw["endpoint"],
        addresses=tuple(_address(name, entry) for name, entry in raw["addresses"].items()),
    )


def sip_address_config(path: Path) -> SipAddressConfig:
    """Read /etc/m2/sip-address.json."""
    raw = _read(path)
    return SipAddressConfig(**{**raw, "addresses": tuple(raw["addresses"]), "movers": tuple(raw["movers"])})


def agent_config(path: Path) -> AgentConfig:
    """Read /etc/m2/agent.json."""
    raw = _read(path)
    return AgentConfig(
        **{
            **raw,
            "addresses": tuple(HeldAddress(**address) for address in raw["addresses"]),
            "quorum": tuple(raw["quorum"]),
            "movers": tuple(raw["movers"]),
            "data_folder": Path(raw["data_folder"]),
        }
    )


def tls_context(purpose: ssl.Purpose) -> ssl.SSLContext:
    """Mutual TLS with the stack's own authority; both sides show the host's certificate."""
    context = ssl.create_default_context(purpose, cafile=str(TLS / "ca.pem"))
    context.load_cert_chain(TLS / "host.pem", TLS / "host.key")
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def _read(path: Path) -> Any:
    return json.loads(path.read_text())


def _address(name: str, entry: Mapping[str, Any]) -> Address:
    members = tuple(Member(member, **where) for member, where in entry["members"].items())
    where = {key: value for key, value in entry.items() if key not in ("kind", "members")}
    return Address(name, entry["kind"], where, members)
