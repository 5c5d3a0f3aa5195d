"""Real machines for tests: their addresses, a metadata service, and ssh into them."""

from __future__ import annotations

import http.server
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from localcloud.backend import Attachment, Machine, PrivateNetwork, PrivateNic, World
from localcloud.hetzner.metadata import listen_in
from localcloud.machines import MachinesBackend
from scripts.localcloud import LocalCloudError

NETWORK = PrivateNetwork(1, "10.0.0.0/16", ())


def public(server_id: int) -> str:
    return f"198.51.100.{10 + server_id}"


def private(server_id: int) -> str:
    return f"10.0.1.{server_id}"


def attachment(server_id: int) -> Attachment:
    nic = PrivateNic(NETWORK.network_id, private(server_id), (), f"86:00:00:00:00:{server_id:02x}")
    return Attachment(server_id, public(server_id), (nic,))


def until(true: Callable[[], bool], timeout: float, what: str) -> None:
    """Waits; the test fails with `what` when it takes longer than `timeout` seconds. A host may not answer yet."""
    deadline = time.monotonic() + timeout
    last = ""
    while True:
        try:
            if true():
                return
        except LocalCloudError as error:
            last = f": {error}"
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}{last}"
        time.sleep(0.05)


@dataclass
class Lab:
    """A backend, its state and the key that its machines accept."""

    backend: MachinesBackend
    state: Path
    key: Path

    def boot(self, *attachments: Attachment) -> None:
        """Creates and starts these machines and waits until each with a public address takes ssh."""
        self.backend.rewire(World(attachments, (NETWORK,)))
        for place in attachments:
            ident = place.server_id
            self.backend.create(Machine(ident, f"host-{ident}", "debian-12", 2, 4.0, 40, self.user_data(ident)))
            self.backend.start(ident)
        for place in attachments:
            if place.public_ipv4:
                self.wait_for_ssh(place.public_ipv4)

    def user_data(self, server_id: int) -> str:
        config = {
            "ssh_authorized_keys": [self.key.with_suffix(".pub").read_text().strip()],
            "write_files": [{"path": "/etc/m2/who", "content": f"server {server_id}\n", "permissions": "0600"}],
            "runcmd": [["touch", "/var/lib/first-boot"]],
        }
        return "#cloud-config\n" + yaml.safe_dump(config)

    def ssh(self, address: str, command: str) -> subprocess.CompletedProcess[str]:
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "ConnectTimeout=2"]
        argv = ["ssh", "-i", str(self.key), *(word for option in options for word in ("-o", option))]
        return subprocess.run([*argv, f"root@{address}", command], capture_output=True, text=True, timeout=30)

    def on(self, server_id: int, command: str) -> str:
        """Output of a command on a machine; it must succeed."""
        done = self.ssh(public(server_id), command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def wait_for_ssh(self, address: str, timeout: float = 60) -> None:
        until(lambda: self.ssh(address, "true").returncode == 0, timeout, f"ssh to {address}")

    def serve_name(self, server_id: int, port: int) -> None:
        """A web page on the machine that says its host name."""
        self.on(server_id, "mkdir -p /run/web && hostname >/run/web/name")
        serve = f"python3 -m http.server --directory /run/web {port}"
        self.on(server_id, f"systemd-run --quiet --unit web-{port} {serve}")
        until(lambda: port_answers(public(server_id), port), 20, f"the web page of server {server_id}")


def port_answers(address: str, port: int, timeout: float = 1.0) -> bool:
    try:
        with socket.create_connection((address, port), timeout):
            return True
    except OSError:
        return False


def fetch(namespace: str, url: str) -> str:
    """A web page as somebody in a namespace sees it; empty when there is none."""
    ask = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=1).read().decode())"
    return inside(namespace, sys.executable, "-c", ask, url).stdout.strip()


def inside(namespace: str, *argv: str) -> subprocess.CompletedProcess[str]:
    command = ["nsenter", f"--net=/run/netns/{namespace}", "--", *argv]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


class _Metadata(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


@contextmanager
def metadata_service(lab: Lab) -> Iterator[None]:
    """What the API's metadata service says to the stock datasource of cloud-init."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server_id = int(self.client_address[0].rpartition(".")[2]) - 10
            self._answer(reply(server_id, self.path.removeprefix("/hetzner/v1/")))

        def _answer(self, text: str) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    def reply(server_id: int, path: str) -> str:
        if path == "userdata":
            return lab.user_data(server_id)
        if path == "metadata/instance-id":
            return str(server_id)
        return yaml.safe_dump(
            {"instance-id": server_id, "hostname": f"host-{server_id}", "network-config": {"version": 1, "config": []}}
        )

    server = _Metadata(("", 0), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listen_in(*lab.backend.metadata_address())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield
    server.shutdown()
    server.server_close()
