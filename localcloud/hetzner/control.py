"""What the provider has no API for: power cuts, hangs and all other faults, for drills and for `scripts/localcloud`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from aiohttp import web

from localcloud.backend import Backend, BackendError
from localcloud.hetzner.body import Body, parse
from localcloud.hetzner.cloud import Cloud
from localcloud.hetzner.errors import ApiError
from localcloud.hetzner.fault_panel import FaultPanel
from localcloud.hetzner.faults import Fault, NewFault, ending, sentence
from localcloud.hetzner.model import Server
from localcloud.hetzner.views import View
from localcloud.hetzner.world import primary_ip_of

ORDERLY_S = 30.0

VERBS: dict[str, Callable[[Backend, int], object]] = {
    "cut": lambda backend, ident: backend.cut_power(ident),
    "on": lambda backend, ident: backend.start(ident),
    "off": lambda backend, ident: backend.shut_down(ident, ORDERLY_S),
    "freeze": lambda backend, ident: backend.freeze(ident),
    "thaw": lambda backend, ident: backend.thaw(ident),
}


class Power(Body):
    what: Literal["cut", "on", "off", "freeze", "thaw"]


def add_routes(app: web.Application, cloud: Cloud) -> None:
    async def servers(_: web.Request) -> web.Response:
        await cloud.observe_power()
        return web.json_response({"servers": server_views(cloud)})

    async def power(request: web.Request) -> web.Response:
        server = cloud.faults.server(request.match_info["name"])
        body = parse(Power, await request.json())
        await switch(cloud, server, body.what)
        await cloud.observe_power()
        return web.json_response({"server": server.name, "state": cloud.records.get(Server, server.id).status})

    app.router.add_route("GET", "/local/servers", servers)
    app.router.add_route("POST", "/local/servers/{name}/power", power)
    _add_fault_routes(app, cloud.faults)


def _add_fault_routes(app: web.Application, panel: FaultPanel) -> None:
    async def some(_: web.Request) -> web.Response:
        return web.json_response({"faults": [fault_view(fault) for fault in panel.all()]})

    async def begin(request: web.Request) -> web.Response:
        body = parse(NewFault, await request.json())
        return web.json_response({"fault": fault_view(await panel.begin(body.fault, body.seconds))}, status=201)

    async def end(request: web.Request) -> web.Response:
        await panel.end(int(request.match_info["id"]))
        return web.json_response({})

    app.router.add_route("GET", "/local/faults", some)
    app.router.add_route("POST", "/local/faults", begin)
    app.router.add_route("DELETE", r"/local/faults/{id:\d+}", end)


def fault_view(fault: Fault) -> View:
    """`what` and `ends` are for a person."""
    return {"id": fault.id, "what": sentence(fault.spec), "ends": ending(fault, time.time())}


async def switch(cloud: Cloud, server: Server, what: str) -> None:
    """Straight to the machine: no action, no lock, like somebody at the rack."""
    try:
        if what == "on":
            await cloud.work.rewire()
        await cloud.work.do(lambda: VERBS[what](cloud.work.backend, server.id))
    except BackendError as error:
        raise ApiError(500, "server_error", str(error)) from None


def server_views(cloud: Cloud) -> list[View]:
    """`addresses` in the order public, floating, private, alias."""
    return [
        {"id": server.id, "name": server.name, "state": server.status, "addresses": _addresses(cloud, server)}
        for server in cloud.records.all(Server)
    ]


def _addresses(cloud: Cloud, server: Server) -> list[str]:
    snapshot = cloud.records.snapshot()
    public = primary_ip_of(snapshot, server, "ipv4")
    floating = [ip.ip for ip in snapshot.floating_ips if ip.server == server.id]
    aliases = [alias for nic in server.nics for alias in nic.alias_ips]
    return [*([public.ip] if public else []), *floating, *(nic.ip for nic in server.nics), *aliases]
