"""A small local cloud for tests: a few servers in a private network, made through the provider's own client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hcloud import Client
from hcloud.images import Image
from hcloud.locations import Location
from hcloud.networks import NetworkSubnet
from hcloud.server_types import ServerType

from scripts import localcloud
from tests.machines.lab import until

FSN1 = Location(name="fsn1")
RANGE = "10.0.0.0/16"
SUBNET = NetworkSubnet(type="cloud", network_zone="eu-central", ip_range="10.0.1.0/24")
USER_DATA = """#cloud-config
users: [{{name: admin, sudo: "ALL=(ALL) NOPASSWD:ALL", shell: /bin/bash, ssh_authorized_keys: ["{key}"]}}]
"""


def client() -> Any:
    """hcloud-python declares every attribute optional; a test that reads one wants it to be there."""
    environment = localcloud.environment()
    return Client(
        token=environment["HCLOUD_TOKEN"], api_endpoint=environment["HCLOUD_ENDPOINT"], poll_interval=0.1, timeout=30
    )


@dataclass(frozen=True)
class SmallCloud:
    """Servers `one`, `two` ... that take ssh; each has a mounted volume at /mnt."""

    names: tuple[str, ...]

    def on(self, name: str, command: str) -> str:
        return localcloud.ssh(name, command).strip()

    def private(self, name: str) -> str:
        return next(str(server["addresses"][-1]) for server in localcloud.servers() if server["name"] == name)

    def public(self, name: str) -> str:
        return next(str(server["addresses"][0]) for server in localcloud.servers() if server["name"] == name)

    def answers(self, name: str, address: str) -> bool:
        """Whether any of three pings is answered."""
        return self.on(name, f"ping -c 3 -i 0.2 -W 1 {address} >/dev/null && echo yes; true") == "yes"


@contextmanager
def small_cloud(*names: str) -> Iterator[SmallCloud]:
    """Up, and down again whatever happens."""
    localcloud.up()
    try:
        _make(names)
        for name in names:
            until(lambda name=name: _takes_ssh(name), 90, f"ssh to {name}")  # type: ignore[misc]
            localcloud.ssh(name, "sudo mount /dev/disk/by-id/scsi-0HC_Volume_* /mnt")
        yield SmallCloud(names)
    finally:
        localcloud.down()


def _make(names: tuple[str, ...]) -> None:
    cloud = client()
    network = cloud.networks.create(name="net", ip_range=RANGE)
    network.add_subnet(SUBNET).wait_until_finished()
    for name in names:
        made = cloud.servers.create(
            name=name,
            server_type=ServerType(name="cx23"),
            image=Image(name="debian-12"),
            location=FSN1,
            networks=[network],
            user_data=USER_DATA.format(key=localcloud.public_key()),
        )
        [made.action, *made.next_actions][-1].wait_until_finished()
        volume = cloud.volumes.create(name=name, size=10, server=made.server, format="ext4", automount=False)
        [volume.action, *volume.next_actions][-1].wait_until_finished()


def _takes_ssh(name: str) -> bool:
    """A server without a host key of its own gets a new one at its first boot, after it has begun to listen."""
    (localcloud.STATE / "known_hosts").unlink(missing_ok=True)
    try:
        localcloud.ssh(name, "cloud-init status --wait")
    except localcloud.LocalCloudError:
        return False
    return True
