"""What a machine is told, and that it is told only about itself."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from localcloud.hetzner import metadata
from localcloud.hetzner.model import Network, Nic, Server, Subnet, UserData
from localcloud.hetzner.records import Records, Snapshot
from tests.unit.localcloud.hetzner.test_world import SINCE, floating_ip, primary_ip, server

NIC = Nic(network=9, ip="10.0.1.1", alias_ips=("10.0.1.5",), mac="86:00:00:2a:7d:e0")
NETWORK = Network(
    id=9,
    name="net",
    created=SINCE,
    ip_range="10.0.0.0/16",
    subnets=(Subnet(type="cloud", ip_range="10.0.1.0/24", network_zone="eu-central"),),
)
ONE = server(1, NIC).model_copy(update={"public_keys": ("ssh-ed25519 AAAA me",)})
SNAPSHOT = Snapshot(
    servers=(ONE, server(2)),
    networks=(NETWORK,),
    primary_ips=(primary_ip(3, "198.51.100.1", 1), primary_ip(4, "198.51.100.2", 2)),
    floating_ips=(floating_ip(5, "198.51.100.3", 2),),
)


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("198.51.100.1", 1),
        ("198.51.100.2", 2),
        ("198.51.100.3", 2),
        ("10.0.1.1", 1),
        ("10.0.1.5", 1),
        ("10.0.1.2", None),
        ("", None),
    ],
)
def test_who_asks_is_known_by_its_address(address: str, found: int | None) -> None:
    asking = metadata.server_asking(SNAPSHOT, address)
    assert (asking and asking.id) == found


def test_single_values() -> None:
    known = metadata.values(SNAPSHOT, ONE)
    networks = known.pop("private-networks")
    assert known == {
        "hostname": "s1",
        "instance-id": "1",
        "public-ipv4": "198.51.100.1",
        "availability-zone": "fsn1-dc14",
        "region": "eu-central",
    }
    assert yaml.safe_load(networks) == [
        {
            "ip": "10.0.1.1",
            "alias_ips": ["10.0.1.5"],
            "interface_num": 1,
            "mac_address": "86:00:00:2a:7d:e0",
            "network_id": 9,
            "network_name": "net",
            "network": "10.0.0.0/16",
            "subnet": "10.0.1.0/24",
            "gateway": "10.0.0.1",
        }
    ]


def test_the_summary_has_what_cloud_init_reads() -> None:
    summary = yaml.safe_load(metadata.summary(SNAPSHOT, ONE))
    assert summary["instance-id"] == 1
    assert summary["hostname"] == "s1"
    assert summary["public-keys"] == ["ssh-ed25519 AAAA me"]
    assert summary["network-config"]["version"] == 1
    assert set(summary) >= {"availability-zone", "region", "public-ipv4", "vendor_data"}


async def get(records: Records, path: str, listener: socket.socket) -> tuple[int, str]:
    runner = web.AppRunner(metadata.build_metadata_app(records), access_log=None)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    try:
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(f"GET {path} HTTP/1.0\r\nHost: x\r\n\r\n".encode())
        head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
        writer.close()
        return int(head.split()[1]), body
    finally:
        await runner.cleanup()


@pytest.fixture
def records(tmp_path: Path) -> Any:
    records = Records(tmp_path / "records.sqlite3")
    records.put(ONE.model_copy(update={"nics": (NIC.model_copy(update={"ip": "127.0.0.1"}),)}))
    records.put(NETWORK)
    records.put(UserData(id=1, text="#cloud-config\n"))
    yield records
    records.close()


@pytest.mark.parametrize(
    ("path", "reply"),
    [
        ("/hetzner/v1/metadata/hostname", (200, "s1")),
        ("/hetzner/v1/metadata/instance-id", (200, "1")),
        ("/hetzner/v1/userdata", (200, "#cloud-config\n")),
        ("/hetzner/v1/metadata/nonsense", (404, "not found")),
    ],
)
def test_over_http(records: Records, path: str, reply: tuple[int, str]) -> None:
    assert asyncio.run(get(records, path, socket.create_server(("127.0.0.1", 0)))) == reply


def test_strangers_learn_nothing(records: Records) -> None:
    records.delete(records.get(Server, 1))
    for path in ("/hetzner/v1/metadata", "/hetzner/v1/userdata", "/hetzner/v1/metadata/hostname"):
        status, _ = asyncio.run(get(records, path, socket.create_server(("127.0.0.1", 0))))
        assert status == 404


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("ip"), reason="needs root and iproute2 for a namespace")
def test_the_socket_listens_inside_the_namespace_only() -> None:
    name = f"m2-test-{os.getpid()}"
    ours = Path("/proc/thread-self/ns/net").readlink()
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        with metadata.listen_in(name, "127.0.0.1") as listener:
            assert listener.getsockname() == ("127.0.0.1", 80)
            inside = subprocess.run(
                ["nsenter", f"--net=/run/netns/{name}", "ss", "-Hltn"], check=True, capture_output=True, text=True
            )
            assert "127.0.0.1:80" in inside.stdout
            assert Path("/proc/thread-self/ns/net").readlink() == ours
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


def test_a_namespace_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError):
        metadata.listen_in("m2-no-such-namespace", "127.0.0.1")
