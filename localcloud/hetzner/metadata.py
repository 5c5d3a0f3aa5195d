"""The metadata service that machines ask at http://169.254.169.254, told apart by the address they ask from.

Docs: docs.hetzner.cloud/reference/cloud, "Server Metadata". The summary also carries what cloud-init's stock Hetzner
data source reads (cloudinit/sources/DataSourceHetzner.py): public-keys, vendor_data and network-config.
"""

from __future__ import annotations

import ctypes
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from localcloud.hetzner import catalog
from localcloud.hetzner.addresses import gateway_of
from localcloud.hetzner.model import Network, Nic, Server, UserData
from localcloud.hetzner.records import Records, Snapshot
from localcloud.hetzner.world import primary_ip_of

BASE = "/hetzner/v1"
PORT = 80
BACKLOG = 128
CLONE_NEWNET = 0x40000000
NETWORK_NAMESPACES = Path("/run/netns")


def server_asking(snapshot: Snapshot, address: str) -> Server | None:
    """The server whose public, floating or private address this is."""
    owners = {
        nic_ip: server.id for server in snapshot.servers for nic in server.nics for nic_ip in (nic.ip, *nic.alias_ips)
    }
    owners |= {ip.ip: ip.server for ip in snapshot.floating_ips if ip.server is not None}
    owners |= {ip.ip: ip.assignee_id for ip in snapshot.primary_ips if ip.assignee_id is not None}
    return next((server for server in snapshot.servers if server.id == owners.get(address)), None)


def values(snapshot: Snapshot, server: Server) -> dict[str, str]:
    """Each documented value by its name."""
    location = catalog.location_named(server.location)
    public = primary_ip_of(snapshot, server, "ipv4")
    return {
        "hostname": server.name,
        "instance-id": str(server.id),
        "public-ipv4": public.ip if public else "",
        "private-networks": yaml.safe_dump(_private_networks(snapshot, server), sort_keys=False),
        "availability-zone": location.availability_zone,
        "region": location.zone,
    }


def summary(snapshot: Snapshot, server: Server) -> str:
    known = values(snapshot, server)
    document = {
        **{name: known[name] for name in ("availability-zone", "hostname", "public-ipv4", "region")},
        "instance-id": server.id,
        "local-ipv4": server.nics[0].ip if server.nics else "",
        "public-keys": list(server.public_keys),
        "vendor_data": "",
        "network-config": {
            "version": 1,
            "config": [{"type": "physical", "name": "eth0", "subnets": [{"type": "dhcp", "ipv4": True}]}],
        },
    }
    return yaml.safe_dump(document)


def _private_networks(snapshot: Snapshot, server: Server) -> list[dict[str, Any]]:
    networks = {network.id: network for network in snapshot.networks}
    return [_private_network(networks[nic.network], nic, number) for number, nic in enumerate(server.nics, 1)]


def _private_network(network: Network, nic: Nic, number: int) -> dict[str, Any]:
    blocks = [subnet.ip_range for subnet in network.subnets]
    return {
        "ip": nic.ip,
        "alias_ips": list(nic.alias_ips),
        "interface_num": number,
        "mac_address": nic.mac,
        "network_id": network.id,
        "network_name": network.name,
        "network": network.ip_range,
        "subnet": next((block for block in blocks if IPv4Address(nic.ip) in IPv4Network(block)), ""),
        "gateway": str(gateway_of(network)),
    }


def build_metadata_app(records: Records) -> web.Application:
    async def asking(request: web.Request) -> tuple[Snapshot, Server]:
        snapshot = records.snapshot()
        server = server_asking(snapshot, request.remote or "")
        if server is None:
            raise web.HTTPNotFound(text="no server has this address")
        return snapshot, server

    async def everything(request: web.Request) -> web.Response:
        return web.Response(text=summary(*await asking(request)))

    async def one(request: web.Request) -> web.Response:
        known = values(*await asking(request))
        if (name := request.match_info["name"]) not in known:
            raise web.HTTPNotFound(text="not found")
        return web.Response(text=known[name])

    async def user_data(request: web.Request) -> web.Response:
        _, server = await asking(request)
        found = records.find(UserData, server.id)
        return web.Response(text=found.text if found else "")

    app = web.Application()
    app.router.add_get(f"{BASE}/metadata", everything)
    app.router.add_get(f"{BASE}/metadata/{{name}}", one)
    app.router.add_get(f"{BASE}/userdata", user_data)
    return app


def listen_in(namespace: str, address: str) -> socket.socket:
    """A socket that listens in a network namespace and is served from outside it.

    A thread enters the namespace, opens the socket and ends: no other thread ever leaves its own namespace.
    """
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_listen, namespace, address).result()


def _listen(namespace: str, address: str) -> socket.socket:
    libc = ctypes.CDLL(None, use_errno=True)
    handle = os.open(NETWORK_NAMESPACES / namespace, os.O_RDONLY)
    try:
        if libc.setns(handle, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter network namespace {namespace}")
    finally:
        os.close(handle)
    return socket.create_server((address, PORT), backlog=BACKLOG)
