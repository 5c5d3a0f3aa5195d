"""Faults on real machines: what was asked for happens, nothing else does, and it ends."""

from __future__ import annotations

import re
import shutil
import socket
import time
from collections.abc import Iterator

import pytest

from scripts import faults, localcloud
from tests.machines.lab import until
from tests.machines.small import SmallCloud, small_cloud

pytestmark = pytest.mark.machines

API_STATUS = "curl --silent --output /dev/null --max-time 2 --write-out '%{http_code}' "
ASK_API = f"{API_STATUS} {localcloud.ENDPOINT}/locations; true"


@pytest.fixture(scope="module")
def cloud(no_cloud: None) -> Iterator[SmallCloud]:
    with small_cloud("one", "two") as made:
        yield made


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    assert faults.listed() == []


def test_a_pair_is_cut_on_every_network_and_from_nothing_else(cloud: SmallCloud) -> None:
    ways = (cloud.private("two"), cloud.public("two"))
    assert all(cloud.answers("one", address) for address in ways)
    with faults.cut("one", "two"):
        assert not any(cloud.answers("one", address) for address in ways)
        assert cloud.on("one", ASK_API) == "401"
    assert all(cloud.answers("one", address) for address in ways)


def test_one_way(cloud: SmallCloud) -> None:
    """What is cut is counted where it should arrive."""
    with faults.cut("one", "two", one_way=True):
        assert echo_requests(cloud, "one", "two") == 0
        assert echo_requests(cloud, "two", "one") == 3


def test_an_open_connection_is_cut_too(cloud: SmallCloud) -> None:
    cloud.on("two", f"sudo systemd-run --quiet --unit sink python3 -c '{SINK}'; sleep 0.5")
    cloud.on("one", f"sudo systemd-run --quiet --unit source python3 -c '{SOURCE.format(cloud.private('two'))}'")
    until(lambda: received(cloud) > 0, 10, "the first line")
    with faults.cut("one", "two"):
        before = received(cloud)
        time.sleep(1.5)
        assert received(cloud) == before
    until(lambda: received(cloud) > before, 20, "the connection goes on")
    cloud.on("one", "sudo systemctl stop source")


def test_loss(cloud: SmallCloud) -> None:
    with faults.loss("one", "two", 50, one_way=True):
        said = cloud.on("one", f"sudo ping -q -c 200 -i 0.01 -W 1 {cloud.private('two')}; true")
    [percent] = re.findall(r"([\d.]+)% packet loss", said)
    assert 25 < float(percent) < 75


def test_a_machine_without_the_api(cloud: SmallCloud) -> None:
    with faults.cut("one", "api"):
        assert cloud.on("one", ASK_API) == "000"
        assert cloud.on("two", ASK_API) == "401"
        assert cloud.answers("one", cloud.private("two"))
    assert cloud.on("one", ASK_API) == "401"


def test_a_machine_cut_from_everything_for_a_time(cloud: SmallCloud) -> None:
    faults.cut("one", "everything", seconds=5)
    assert not cloud.answers("two", cloud.private("one"))
    assert not cloud.answers("two", cloud.public("one"))
    until(lambda: faults.listed() == [], 10, "it ends by itself")
    until(lambda: cloud.answers("two", cloud.private("one")), 5, "healed")


def test_calls_of_one_machine_fail(cloud: SmallCloud) -> None:
    with faults.api("/locations", caller="one", status=503):
        token = localcloud.environment()["HCLOUD_TOKEN"]
        authorized = f"{API_STATUS} --header 'Authorization: Bearer {token}' {localcloud.ENDPOINT}/locations"
        assert (cloud.on("one", authorized), cloud.on("two", authorized)) == ("503", "200")


def test_a_full_volume(cloud: SmallCloud) -> None:
    cloud.on("one", "sudo sh -c 'head -c 1M /dev/zero >/mnt/kept'")
    with faults.fill("one", "data"):
        assert "No space left" in cloud.on("one", "echo x | sudo tee /mnt/new 2>&1; true")
        cloud.on("one", "sudo dd if=/dev/zero of=/mnt/kept bs=1M count=1 conv=notrunc,fsync status=none")
        cloud.on("one", "echo x | sudo tee /root/elsewhere")
        cloud.on("two", "echo x | sudo tee /mnt/new")
    cloud.on("one", "echo x | sudo tee /mnt/new")
    assert cloud.on("one", "ls -A /mnt") == "kept\nlost+found\nnew"


def test_a_full_root_disk(cloud: SmallCloud) -> None:
    """Of the size that the server type has; what fills it takes no room on this host."""
    before = shutil.disk_usage(localcloud.STATE).free
    [size] = re.findall(r"\d+", cloud.on("two", "df --block-size=G --output=size / | tail -n 1"))
    assert 38 <= int(size) <= 40
    with faults.fill("two", "root"):
        assert "No space left" in cloud.on("two", "echo x | sudo tee /root/new 2>&1; true")
        cloud.on("two", "echo x | sudo tee /mnt/new")
        assert before - shutil.disk_usage(localcloud.STATE).free < 2**30
    cloud.on("two", "echo x | sudo tee /root/new")


def test_power_and_hang(cloud: SmallCloud) -> None:
    with faults.freeze("two"), socket.create_connection((cloud.public("two"), 22), 2) as connection:
        connection.settimeout(2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
    assert cloud.on("two", "echo back") == "back"
    with faults.power("two"):
        assert localcloud.servers()[1]["state"] == "off"
        assert not cloud.answers("one", cloud.private("two"))
    until(lambda: cloud.answers("one", cloud.private("two")), 60, "power is back")


def echo_requests(cloud: SmallCloud, source: str, destination: str) -> int:
    rules = "table inet seen { chain i { type filter hook input priority 0; icmp type echo-request counter; }; }"
    cloud.on(destination, f"echo '{rules}' | sudo nft -f -")
    cloud.answers(source, cloud.private(destination))
    [packets] = re.findall(r"packets (\d+)", cloud.on(destination, "sudo nft list table inet seen"))
    cloud.on(destination, "sudo nft delete table inet seen")
    return int(packets)


SINK = (
    'import socket; s = socket.create_server(("", 7000)).accept()[0]; f = open("/run/sink", "wb", 0); '
    'list(map(f.write, iter(lambda: s.recv(4096), b"")))'
)
SOURCE = (
    'import socket, time; s = socket.create_connection(("{}", 7000)); '
    '[(s.send(b"x"), time.sleep(0.05)) for _ in range(10000)]'
)


def received(cloud: SmallCloud) -> int:
    return int(cloud.on("two", "stat --format %s /run/sink 2>/dev/null || echo 0"))
