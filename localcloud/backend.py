"""What the API asks of the machines behind it.

The API keeps the records and decides; a backend makes them real. `World` is level-triggered: the API hands
over everything that the network should be, and the backend makes it so, whatever it was before. Machines and
volumes have a life of their own and therefore verbs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

GATEWAY_OFFSET = 1
"""The provider's gateway is the first address of a private network (docs.hetzner.com, Networks)."""


Disk = Literal["data", "root"]
"""A machine's volume, or the disk that it boots from."""


class BackendError(Exception):
    """A backend could not do what it was asked; the message is one sentence for a person."""


@dataclass(frozen=True)
class Machine:
    """What a machine is made from. `user_data` is cloud-init's and may hold secrets."""

    server_id: int
    name: str
    image: str
    cores: int
    memory_gb: float
    disk_gb: int
    user_data: str


@dataclass(frozen=True)
class PrivateNic:
    """A server's place in a private network; `ip` and `alias_ips` without a prefix length."""

    network_id: int
    ip: str
    alias_ips: tuple[str, ...]
    mac: str


@dataclass(frozen=True)
class Attachment:
    """A server's addresses; `public_ipv4` is None for a server without a public network."""

    server_id: int
    public_ipv4: str | None
    nics: tuple[PrivateNic, ...]


@dataclass(frozen=True)
class PrivateNetwork:
    """`routes` maps a destination in CIDR notation to the private address of the member it is sent to."""

    network_id: int
    ip_range: str
    routes: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class FirewallRule:
    """One inbound rule of the provider's firewall; `ports` is "22", "16384-32768" or None for all or none."""

    protocol: Literal["tcp", "udp", "icmp", "esp", "gre"]
    ports: str | None
    sources: tuple[str, ...]


Place = int | Literal["api", "everything"]
"""A server by its id, the cloud's API, or all that is not the server at the other end."""


@dataclass(frozen=True)
class Loss:
    """`percent` of the packets that go from `source` to `destination`, on any network, do not arrive."""

    source: Place
    destination: Place
    percent: int


@dataclass(frozen=True)
class World:
    """Everything the network between machines depends on.

    `floating` maps a floating address to the server it is assigned to. `inbound` maps a server to the rules
    for its public traffic; a server that is not in it has no firewall and takes everything. `losses` are faults.
    """

    attachments: tuple[Attachment, ...] = ()
    networks: tuple[PrivateNetwork, ...] = ()
    floating: tuple[tuple[str, int], ...] = ()
    inbound: tuple[tuple[int, tuple[FirewallRule, ...]], ...] = ()
    losses: tuple[Loss, ...] = ()


class Backend(Protocol):
    """Real machines, or none. Methods block; all are idempotent; they raise BackendError.

    They are called from several threads at once. For one machine or volume one verb runs at a time, except that
    `cut_power`, `freeze`, `thaw`, `fill`, `free` and `is_running` come at any time; `rewire` never runs twice at once.
    """

    def open(self) -> None:
        """Make, or find again after a restart, what all machines share."""

    def close(self) -> None:
        """Take down every machine and everything that `open` made; works after a kill -9 of anybody."""

    def rewire(self, world: World) -> None:
        """Make the network as `world` says, within milliseconds for one changed address."""

    def create(self, machine: Machine) -> None:
        """Give a machine its disk; it is off. One that has a disk keeps it and takes the new cores and memory."""

    def start(self, server_id: int) -> None:
        """Power on; returns when the machine's first process runs."""

    def cut_power(self, server_id: int) -> None:
        """The machine is gone in this moment: no packet leaves it, no connection is closed."""

    def shut_down(self, server_id: int, timeout: float) -> bool:
        """Orderly, as by the power button; False when it still runs after `timeout` seconds."""

    def freeze(self, server_id: int) -> None:
        """All processes stop in place; the kernel still answers for open sockets, as a hung host's does."""

    def thaw(self, server_id: int) -> None:
        """Go on after `freeze`."""

    def fill(self, server_id: int, disk: Disk) -> None:
        """Not a byte is free on the running machine's disk; what is there stays readable and can be overwritten."""

    def free(self, server_id: int, disk: Disk) -> None:
        """The running machine has its disk's space again."""

    def is_running(self, server_id: int) -> bool:
        """True from `start` until the machine is off, by whomever."""

    def delete(self, server_id: int) -> None:
        """Power cut and disk gone."""

    def create_volume(self, volume_id: int, size_gb: int, format: str | None) -> None:
        """A block device of its own, formatted when `format` is given ("ext4", "xfs")."""

    def attach_volume(self, volume_id: int, server_id: int) -> None:
        """The device appears as /dev/disk/by-id/scsi-0HC_Volume_<id>, also in a running machine."""

    def detach_volume(self, volume_id: int) -> None:
        """The device goes from the machine that has it."""

    def resize_volume(self, volume_id: int, size_gb: int) -> None:
        """The device grows, also in a running machine; its file system is the guest's affair."""

    def delete_volume(self, volume_id: int) -> None:
        """The data is gone."""

    def metadata_address(self) -> tuple[str, str] | None:
        """(network namespace, address) where the metadata service listens on port 80; None: no machines."""
