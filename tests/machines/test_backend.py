"""The `machines` backend on real machines: what the API promises of servers, networks, addresses and volumes."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from localcloud.backend import Attachment, BackendError, FirewallRule, Machine, PrivateNetwork, PrivateNic, World
from localcloud.machines import MachinesBackend, firewall
from localcloud.machines.shared import INTERNET
from tests.machines.lab import (
    NETWORK,
    Lab,
    attachment,
    fetch,
    inside,
    port_answers,
    private,
    public,
    until,
)

pytestmark = pytest.mark.machines

FLOATING = "198.51.100.200"
UNASSIGNED = "198.51.100.250"
VIP = "10.0.255.1"
VOLUME = 7
DEVICE = f"/dev/disk/by-id/scsi-0HC_Volume_{VOLUME}"
SILENCE_S = 3.0
WEB = 8000
HOST = firewall.API[0]
WIRE = "10.255.254.1"

COUNTER = """\
table inet seen {{
    counter arrived {{ }}
    chain in {{ type filter hook input priority filter; ip saddr {source} counter name arrived; }}
}}
"""

PAIR = World((attachment(1), attachment(2)), (NETWORK,))


@pytest.fixture(scope="module")
def pair(empty_lab: Lab) -> Lab:
    """Two machines in one private network, each with a web page that says its name."""
    empty_lab.boot(*PAIR.attachments)
    for server_id in (1, 2):
        empty_lab.serve_name(server_id, WEB)
    return empty_lab


@pytest.fixture(autouse=True)
def _usual_network(pair: Lab) -> Iterator[None]:
    yield
    pair.backend.rewire(PAIR)


def page(pair: Lab, server_id: int, address: str) -> str:
    """What a machine sees at an address, or the error in curl's words."""
    return pair.on(server_id, f"curl --silent --show-error --max-time 2 http://{address}:{WEB}/name 2>&1 || true")


def test_boots_with_its_own_user_data(pair: Lab) -> None:
    for server_id in (1, 2):
        assert pair.on(server_id, "cat /etc/m2/who; hostname") == f"server {server_id}\nhost-{server_id}"
        assert "done" in pair.on(server_id, "cloud-init status --wait")
        assert pair.on(server_id, "ls /var/lib/first-boot")
        assert pair.on(server_id, "systemctl is-system-running") == "running"


def test_floating_ip_moves(pair: Lab) -> None:
    for server_id in (1, 2, 1):
        pair.backend.rewire(replace(PAIR, floating=((FLOATING, server_id),)))
        pair.on(server_id, f"ip address replace {FLOATING}/32 dev lo")
        assert pair.ssh(FLOATING, "hostname").stdout.strip() == f"host-{server_id}"


def test_unassigned_address_fails_at_once(pair: Lab) -> None:
    for address in (UNASSIGNED, FLOATING):
        with pytest.raises(OSError, match="unreachable"):
            socket.create_connection((address, 22), SILENCE_S)


def test_firewall_filters_public_traffic_only(pair: Lab) -> None:
    ssh_only = ((1, (FirewallRule("tcp", "22", ("0.0.0.0/0",)),)),)
    pair.backend.rewire(replace(PAIR, inbound=ssh_only))
    assert port_answers(public(1), 22)
    assert not port_answers(public(1), WEB)
    assert port_answers(public(2), WEB)
    assert page(pair, 2, private(1)) == "host-1"


def test_firewall_lets_answers_in_and_knows_sources(pair: Lab) -> None:
    pair.backend.rewire(replace(PAIR, inbound=((1, ()), (2, (FirewallRule("tcp", str(WEB), ("192.0.2.8/29",)),)))))
    assert not port_answers(public(1), 22)
    with carrier("192.0.2.9"):
        assert fetch(INTERNET, f"http://{public(2)}:{WEB}/name") == "host-2"
    with carrier("192.0.2.20"):
        assert not fetch(INTERNET, f"http://{public(2)}:{WEB}/name")
    pair.backend.rewire(replace(PAIR, inbound=((2, ()),)))
    with carrier("192.0.2.9"), web_page_in(INTERNET):
        pair.backend.rewire(replace(PAIR, inbound=((1, (FirewallRule("tcp", "22", ("0.0.0.0/0",)),)),)))
        assert "answer" in page(pair, 1, "192.0.2.9")


def test_private_packets_are_checked_for_their_source(pair: Lab) -> None:
    pair.on(1, f"ip address replace {VIP}/32 dev lo")
    pair.on(2, f"nft -f - <<'END'\n{COUNTER.format(source=VIP)}END")
    for world, arrived in ((PAIR, 0), (with_route(1), 1)):
        pair.backend.rewire(world)
        pair.on(1, f"ping -c 1 -W 1 -I {VIP} {private(2)}; true")
        assert f"packets {arrived} " in pair.on(2, "nft list counter inet seen arrived")
    pair.on(2, "nft delete table inet seen")
    pair.on(1, f"ip address del {VIP}/32 dev lo")


def test_public_packets_are_checked_for_their_source(pair: Lab) -> None:
    pair.on(1, f"ip address replace {FLOATING}/32 dev lo")
    inside(INTERNET, "nft", COUNTER.format(source=FLOATING))
    with carrier("192.0.2.9"):
        for holder, arrived in ((2, 0), (1, 1)):
            pair.backend.rewire(replace(PAIR, floating=((FLOATING, holder),)))
            pair.on(1, f"ping -c 1 -W 1 -I {FLOATING} 192.0.2.9; true")
            seen = inside(INTERNET, "nft", "list", "counter", "inet", "seen", "arrived").stdout
            assert f"packets {arrived} " in seen
    inside(INTERNET, "nft", "delete", "table", "inet", "seen")


def test_route_moves(pair: Lab) -> None:
    for holder, other in ((1, 2), (2, 1)):
        pair.backend.rewire(with_route(holder))
        pair.on(holder, f"ip address replace {VIP}/32 dev lo")
        assert page(pair, other, VIP) == f"host-{holder}"
        pair.on(holder, f"ip address del {VIP}/32 dev lo")


def test_a_machine_reaches_of_this_host_the_api_only(pair: Lab) -> None:
    with web_page_on_this_host(HOST, 8080), web_page_on_this_host(HOST, 8081):
        ask = f"curl --silent --output /dev/null --max-time 2 http://{HOST}:{{}}/; echo $?"
        assert pair.on(1, ask.format(8080)) == "0"
        assert pair.on(1, ask.format(8081)) != "0"
    assert "unreachable" in pair.on(1, "ping -c 1 -W 1 203.0.113.1; true").lower()


def test_neighbours_of_this_host_reach_nothing(pair: Lab) -> None:
    with neighbour("m2-neighbour"), web_page_on_this_host(WIRE, 8080), web_page_on_this_host(HOST, 8080):
        assert fetch("m2-neighbour", f"http://{WIRE}:8080/")
        assert not fetch("m2-neighbour", f"http://{HOST}:8080/")
        assert not fetch("m2-neighbour", f"http://{public(1)}:{WEB}/")


def test_private_networks_are_apart(pair: Lab) -> None:
    other = PrivateNetwork(2, "10.0.0.0/16", ())
    elsewhere = Attachment(2, public(2), (PrivateNic(2, private(2), (), "86:00:00:00:01:02"),))
    pair.backend.rewire(World((attachment(1), elsewhere), (NETWORK, other)))
    assert "ost-" not in page(pair, 1, private(2))
    assert "ost-" not in page(pair, 2, private(1))
    assert page(pair, 1, public(2)) == "host-2"


def test_power_cut_is_silent(pair: Lab) -> None:
    before = pair.on(1, "cat /sys/class/net/eth[01]/address")
    with socket.create_connection((public(1), 22)) as connection:
        assert connection.recv(100).startswith(b"SSH")
        pair.backend.cut_power(1)
        assert not pair.backend.is_running(1)
        connection.settimeout(SILENCE_S)
        connection.send(b"anything\n")
        with pytest.raises(TimeoutError):
            connection.recv(1)
    with pytest.raises(TimeoutError):
        socket.create_connection((public(1), 22), SILENCE_S)
    restart(pair, 1)
    assert pair.on(1, "cat /sys/class/net/eth[01]/address") == before
    assert page(pair, 1, private(2)) == "host-2"


def test_frozen_machine_hangs_and_goes_on(pair: Lab) -> None:
    pair.backend.freeze(2)
    with socket.create_connection((public(2), 22), SILENCE_S) as connection:
        connection.settimeout(SILENCE_S)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        assert pair.backend.is_running(2)
        pair.backend.thaw(2)
        assert connection.recv(100).startswith(b"SSH")


def test_reboot_forgets_what_was_not_on_disk(pair: Lab) -> None:
    pair.on(1, f"nft add table inet left && ip address replace {VIP}/32 dev eth1")
    pair.on(1, "ip link add left type veth peer name left-over")
    reboot(pair, 1)
    assert pair.backend.is_running(1)
    assert pair.on(1, "nft list tables; ip -brief address show to 10.0.255.0/24; ip -brief link show left; true") == ""
    assert page(pair, 2, private(1)) == "host-1"


def test_power_off_from_inside(pair: Lab) -> None:
    pair.ssh(public(1), "systemctl poweroff")
    until(lambda: not pair.backend.is_running(1), 20, "off by itself")
    with pytest.raises(TimeoutError):
        socket.create_connection((public(1), 22), SILENCE_S)
    pair.backend.rewire(replace(PAIR, floating=((FLOATING, 1),)))
    restart(pair, 1)


def test_power_button(pair: Lab) -> None:
    assert pair.backend.shut_down(1, timeout=20)
    assert not pair.backend.is_running(1)
    restart(pair, 1)


def test_a_disk_grows_with_its_machine_also_after_a_power_cut(pair: Lab) -> None:
    pair.on(1, "echo kept >/root/kept && sync")
    pair.backend.cut_power(1)
    pair.backend.create(Machine(1, "host-1", "debian-12", 4, 8.0, 80, pair.user_data(1)))
    restart(pair, 1)
    assert int(pair.on(1, "df --output=size -BG / | tail -1").strip(" G")) > 70
    assert pair.on(1, "cat /root/kept") == "kept"


def test_volume_survives_power_cycle(pair: Lab) -> None:
    pair.backend.create_volume(VOLUME, 1, "ext4")
    pair.backend.attach_volume(VOLUME, 1)
    pair.on(1, f"mount {DEVICE} /mnt && echo kept >/mnt/data && sync")
    pair.backend.cut_power(1)
    restart(pair, 1)
    assert pair.on(1, f"mount {DEVICE} /mnt && cat /mnt/data && umount /mnt") == "kept"
    pair.backend.detach_volume(VOLUME)
    assert pair.on(1, f"ls {DEVICE} 2>&1; true").endswith("No such file or directory")
    pair.backend.attach_volume(VOLUME, 2)
    assert pair.on(2, f"mount {DEVICE} /mnt && cat /mnt/data && umount /mnt") == "kept"
    pair.backend.delete_volume(VOLUME)
    with pytest.raises(BackendError, match="volume 7 does not exist"):
        pair.backend.attach_volume(VOLUME, 1)


def test_volume_is_mounted_at_boot(pair: Lab) -> None:
    """By a mount unit: systemd ignores devices in the fstab of a container."""
    pair.backend.create_volume(VOLUME, 1, "ext4")
    pair.backend.attach_volume(VOLUME, 1)
    unit = f"[Mount]\\nWhat={DEVICE}\\nWhere=/srv/data\\n[Install]\\nWantedBy=local-fs.target\\n"
    pair.on(1, f"printf '{unit}' >/etc/systemd/system/srv-data.mount && systemctl enable --now srv-data.mount")
    reboot(pair, 1)
    assert pair.on(1, "findmnt --noheadings --output FSTYPE /srv/data") == "ext4"
    pair.on(1, "systemctl disable --now srv-data.mount")
    pair.backend.delete_volume(VOLUME)


def test_machine_without_public_address(pair: Lab) -> None:
    inner = Attachment(3, None, attachment(3).nics)
    pair.backend.rewire(World((*PAIR.attachments, inner), (NETWORK,)))
    user_data = "#cloud-config\nwrite_files: [{path: /run/web/name, content: host-3}]\n"
    user_data += f"runcmd: ['systemd-run python3 -m http.server --directory /run/web {WEB}']\n"
    pair.backend.create(Machine(3, "host-3", "debian-12", 2, 4.0, 40, user_data))
    pair.backend.start(3)
    until(lambda: page(pair, 1, private(3)) == "host-3", 60, "the private machine's own user data")
    pair.backend.delete(3)


def test_other_images_are_refused(pair: Lab) -> None:
    with pytest.raises(BackendError, match="image fedora-40 is not available"):
        pair.backend.create(Machine(9, "host-9", "fedora-40", 2, 4.0, 40, ""))


def test_restarted_daemon_finds_its_machines(pair: Lab) -> None:
    with socket.create_connection((public(1), WEB)) as connection:
        again = MachinesBackend(pair.state)
        again.open()
        assert again.is_running(1)
        again.rewire(PAIR)
        again.rewire(replace(PAIR, floating=((FLOATING, 1),)))
        connection.send(b"GET /name HTTP/1.0\r\n\r\n")
        assert b"200 OK" in connection.recv(100)
    pair.backend.open()


def with_route(holder: int) -> World:
    return replace(PAIR, networks=(replace(NETWORK, routes=((f"{VIP}/32", private(holder)),)),))


def reboot(pair: Lab, server_id: int) -> None:
    pair.on(server_id, "sync; touch /run/before")
    pair.ssh(public(server_id), "systemctl reboot")
    until(lambda: pair.ssh(public(server_id), "! test -e /run/before").returncode == 0, 60, "up again after a reboot")
    pair.serve_name(server_id, WEB)


def restart(pair: Lab, server_id: int) -> None:
    pair.backend.start(server_id)
    pair.wait_for_ssh(public(server_id))
    pair.serve_name(server_id, WEB)


@contextmanager
def carrier(address: str) -> Iterator[None]:
    inside(INTERNET, "ip", "address", "add", f"{address}/32", "dev", "lo")
    try:
        yield
    finally:
        inside(INTERNET, "ip", "address", "delete", f"{address}/32", "dev", "lo")


@contextmanager
def neighbour(namespace: str) -> Iterator[None]:
    """Somebody on the same wire as this host who sends everything its way."""
    for line in (
        f"ip netns add {namespace}",
        f"ip link add m2-wire type veth peer name eth0 netns {namespace}",
        f"ip address add {WIRE}/30 dev m2-wire",
        "ip link set m2-wire up",
        f"ip -n {namespace} address add 10.255.254.2/30 dev eth0",
        f"ip -n {namespace} link set eth0 up",
        f"ip -n {namespace} route add default via {WIRE}",
    ):
        subprocess.run(line.split(), check=True)
    try:
        yield
    finally:
        subprocess.run(["ip", "link", "delete", "m2-wire"], check=True)
        subprocess.run(["ip", "netns", "delete", namespace], check=True)


@contextmanager
def _web_page(argv: list[str]) -> Iterator[None]:
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        time.sleep(0.5)
        try:
            yield
        finally:
            server.terminate()


@contextmanager
def web_page_in(namespace: str) -> Iterator[None]:
    serve = (
        "import http.server as h; H = type('H', (h.BaseHTTPRequestHandler,), {'do_GET': "
        "lambda s: (s.send_response(200), s.end_headers(), s.wfile.write(b'answer'))}); "
        f"h.HTTPServer(('', {WEB}), H).serve_forever()"
    )
    with _web_page(["nsenter", f"--net=/run/netns/{namespace}", "--", sys.executable, "-c", serve]):
        yield


@contextmanager
def web_page_on_this_host(address: str, port: int) -> Iterator[None]:
    with _web_page([sys.executable, "-m", "http.server", "--bind", address, str(port)]):
        yield
