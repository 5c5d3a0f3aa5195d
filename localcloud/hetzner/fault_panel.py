"""Faults that happen: what begins and ends one, and the middleware that calls of the API pass through."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from aiohttp import typedefs, web

from localcloud.backend import Backend, BackendError
from localcloud.hetzner.actions import fated
from localcloud.hetzner.catalog import require_sold
from localcloud.hetzner.errors import ApiError
from localcloud.hetzner.faults import (
    FAILURES,
    Call,
    CallFault,
    Fault,
    FillFault,
    FreezeFault,
    LinkFault,
    MachineFault,
    PowerFault,
    Spec,
    StockFault,
    sentence,
    servers_of,
    strikes,
)
from localcloud.hetzner.model import Server
from localcloud.hetzner.world import primary_ip_of

if TYPE_CHECKING:
    from localcloud.hetzner.cloud import Cloud

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

RETRY_S = 5.0
"""Seconds until a machine that could not be healed is tried again."""


class FaultPanel:
    """All faults of one cloud. Those with a time end by themselves; `resume` takes up what a dead daemon left."""

    def __init__(self, cloud: Cloud) -> None:
        self._records = cloud.records
        self._work = cloud.work
        self._clocks: dict[int, asyncio.Task[None]] = {}

    def all(self) -> tuple[Fault, ...]:
        return self._records.all(Fault)

    async def begin(self, spec: Spec, seconds: float | None) -> Fault:
        """The fault, which has happened when this returns. Raises ApiError for an unknown server, or if it cannot be.

        It is recorded first: whoever dies in the middle leaves no fault that nobody knows of.
        """
        for name in servers_of(spec):
            self.server(name)
        if isinstance(spec, StockFault):
            require_sold(spec.server_type, spec.location)
        now = time.time()
        until = None if seconds is None else now + seconds
        fault = self._records.put(Fault(id=self._records.new_id(), spec=spec, begun=now, until=until))
        try:
            await self._make(spec)
        except BackendError as error:
            self._records.delete(fault)
            raise ApiError(422, "fault_impossible", str(error)) from None
        self._set_clock(fault)
        return fault

    async def end(self, ident: int) -> None:
        """As if it had never been. Raises `not_found`, or ApiError for a machine that is healed later."""
        fault = self._records.get(Fault, ident)
        try:
            await self._heal(fault.spec)
        except BackendError as error:
            self._end_later(fault)
            raise ApiError(422, "fault_stays", f"{error}; tried again every {RETRY_S:.0f} s") from None
        self._forget(fault)
        if isinstance(fault.spec, LinkFault):
            await self._work.rewire()

    def strike(self, call: Call) -> CallFault | None:
        """What happens to this call: the oldest fault that is about it; one more of its count is used up."""
        for fault in self.all():
            if isinstance(fault.spec, CallFault) and strikes(fault.spec, call):
                struck, _ = self._records.change(fault, struck=fault.struck + 1)
                if struck.exhausted:
                    self._forget(struck)
                return fault.spec
        return None

    def resume(self) -> None:
        for fault in self.all():
            self._set_clock(fault)

    def close(self) -> None:
        """Clocks stop; the faults stay."""
        for clock in self._clocks.values():
            clock.cancel()

    def server(self, name: str) -> Server:
        """Raises `not_found` with the names that there are."""
        servers = self._records.all(Server)
        for server in servers:
            if server.name == name:
                return server
        known = ", ".join(server.name for server in servers) or "none"
        raise ApiError(404, "not_found", f"there is no server '{name}'; servers are: {known}")

    def caller(self, address: str | None) -> str | None:
        """The name of the server that has this public address."""
        snapshot = self._records.snapshot()
        for server in snapshot.servers:
            primary = primary_ip_of(snapshot, server, "ipv4")
            floating = {ip.ip for ip in snapshot.floating_ips if ip.server == server.id}
            if address in floating or (primary and primary.ip == address):
                return server.name
        return None

    def _forget(self, fault: Fault) -> None:
        self._records.delete(fault)
        self._stop_clock(fault)

    def _stop_clock(self, fault: Fault) -> None:
        clock = self._clocks.pop(fault.id, None)
        if clock and clock is not asyncio.current_task():
            clock.cancel()

    def _set_clock(self, fault: Fault) -> None:
        if fault.until is not None:
            task = asyncio.get_running_loop().create_task(self._end_at(fault.id, fault.until))
            self._clocks[fault.id] = task

    def _end_later(self, fault: Fault) -> None:
        """A machine without power keeps its full disk until it has booted."""
        self._stop_clock(fault)
        later, _ = self._records.change(fault, until=time.time() + RETRY_S)
        self._set_clock(later)

    async def _end_at(self, ident: int, until: float) -> None:
        await asyncio.sleep(max(0.0, until - time.time()))
        try:
            await self.end(ident)
        except ApiError as error:
            log.error("fault %d is not over: %s", ident, error)

    async def _make(self, spec: Spec) -> None:
        if isinstance(spec, LinkFault):
            await self._work.rewire()
        elif isinstance(spec, MachineFault):
            ident = self.server(spec.server).id
            await self._work.do(lambda: _break(self._work.backend, ident, spec))

    async def _heal(self, spec: Spec) -> None:
        """A machine that is no longer there needs nothing."""
        if not isinstance(spec, MachineFault):
            return
        if spec.server in {server.name for server in self._records.all(Server)}:
            ident = self.server(spec.server).id
            await self._work.rewire()
            await self._work.do(lambda: _repair(self._work.backend, ident, spec))


def _break(backend: Backend, ident: int, spec: MachineFault) -> None:
    match spec:
        case PowerFault():
            backend.cut_power(ident)
        case FreezeFault():
            backend.freeze(ident)
        case FillFault():
            backend.fill(ident, spec.disk)


def _repair(backend: Backend, ident: int, spec: MachineFault) -> None:
    match spec:
        case PowerFault():
            backend.start(ident)
        case FreezeFault():
            backend.thaw(ident)
        case FillFault():
            backend.free(ident, spec.disk)


def inject_faults(panel: FaultPanel, prefix: str) -> typedefs.Middleware:
    """What was asked for happens to calls whose path begins with `prefix`."""

    @web.middleware
    async def inject(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith(f"{prefix}/"):
            return await handler(request)
        call = Call(request.method, request.path.removeprefix(prefix), panel.caller(request.remote))
        fault = panel.strike(call)
        return await _suffer(fault, request, handler) if fault else await handler(request)

    return inject


async def _suffer(fault: CallFault, request: web.Request, handler: Handler) -> web.StreamResponse:
    log.info("%s %s: fault: %s", request.method, request.path, sentence(fault))
    await asyncio.sleep(fault.delay_s)
    if fault.status:
        raise ApiError(fault.status, *FAILURES[fault.status])
    if fault.reply_lost == "before":
        return _hung_up(request)
    with fated(fault.action_error):
        response = await handler(request)
    return _hung_up(request) if fault.reply_lost else response


def _hung_up(request: web.Request) -> web.Response:
    """The connection is closed; the reply goes nowhere."""
    if request.transport:
        request.transport.close()
    return web.Response(status=499)
