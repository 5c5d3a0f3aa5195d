"""The pieces that actions are made of. Each is idempotent, so that an action cut short by a dead daemon is simply
done again from its first step."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from localcloud.backend import Backend, Machine
from localcloud.hetzner import catalog
from localcloud.hetzner.model import PrimaryIp, Server, ServerStatus, Step, UserData, Volume
from localcloud.hetzner.records import Records
from localcloud.hetzner.world import build_world

T = TypeVar("T")

PRESS_S = 0.1
REBOOT_PATIENCE_S = 20.0
THREADS = 32


class Work:
    """What steps work with: the records on the event loop, the backend's blocking verbs on threads."""

    def __init__(self, records: Records, backend: Backend) -> None:
        self.records = records
        self.backend = backend
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="backend")
        self._wiring = asyncio.Lock()

    async def do(self, verb: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, verb)

    async def rewire(self) -> None:
        """The world is read inside the lock: an older one never overwrites a newer one."""
        async with self._wiring:
            world = build_world(self.records.snapshot())
            await self.do(lambda: self.backend.rewire(world))

    def set_status(self, server_id: int, status: ServerStatus) -> None:
        with self.records.transaction():
            self.records.change(self.records.get(Server, server_id), status=status)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


async def rewire(work: Work, _: int) -> None:
    await work.rewire()


async def create_machine(work: Work, server_id: int) -> None:
    server = work.records.get(Server, server_id)
    user_data = work.records.find(UserData, server_id)
    server_type = catalog.server_type_named(server.server_type)
    machine = Machine(
        server_id=server.id,
        name=server.name,
        image=server.image,
        cores=server_type.cores,
        memory_gb=server_type.memory,
        disk_gb=server.disk,
        user_data=user_data.text if user_data else "",
    )
    await work.do(lambda: work.backend.create(machine))


async def start(work: Work, server_id: int) -> None:
    await work.do(lambda: work.backend.start(server_id))
    work.set_status(server_id, "running")


async def cut_power(work: Work, server_id: int) -> None:
    await work.do(lambda: work.backend.cut_power(server_id))


async def settle_off(work: Work, server_id: int) -> None:
    work.set_status(server_id, "off")


async def press_power_button(work: Work, server_id: int) -> None:
    """The provider's action tells only that the request was sent; who wants `off` has to look."""
    await work.do(lambda: work.backend.shut_down(server_id, PRESS_S))


async def reboot(work: Work, server_id: int) -> None:
    """A guest that does not react is left as it is, as the provider says of its ACPI request."""
    if await work.do(lambda: work.backend.shut_down(server_id, REBOOT_PATIENCE_S)):
        await start(work, server_id)


async def delete_machine(work: Work, server_id: int) -> None:
    for volume in _volumes_of(work, server_id):
        await detach_volume(work, volume.id)
    await work.do(lambda: work.backend.delete(server_id))


async def wipe_machine(work: Work, server_id: int) -> None:
    """A new disk; volumes stay with the server."""
    await work.do(lambda: work.backend.delete(server_id))
    await create_machine(work, server_id)
    for volume in _volumes_of(work, server_id):
        await attach_volume(work, volume.id)


async def forget_server(work: Work, server_id: int) -> None:
    """The records without the server: what was its own is gone, what was lent is free again."""
    records = work.records
    snapshot = records.snapshot()
    with records.transaction():
        for volume in (volume for volume in snapshot.volumes if volume.server == server_id):
            records.change(volume, server=None)
        for floating in (floating for floating in snapshot.floating_ips if floating.server == server_id):
            records.change(floating, server=None)
        for firewall in (firewall for firewall in snapshot.firewalls if server_id in firewall.servers):
            records.change(firewall, servers=tuple(each for each in firewall.servers if each != server_id))
        for ip in (ip for ip in snapshot.primary_ips if ip.assignee_id == server_id):
            _release(records, ip)
        for kind in (Server, UserData):
            if record := records.find(kind, server_id):
                records.delete(record)


def _release(records: Records, ip: PrimaryIp) -> None:
    if ip.auto_delete:
        records.delete(ip)
    else:
        records.change(ip, assignee_id=None)


async def create_volume(work: Work, volume_id: int) -> None:
    volume = work.records.get(Volume, volume_id)
    await work.do(lambda: work.backend.create_volume(volume.id, volume.size, volume.format))
    with work.records.transaction():
        work.records.change(work.records.get(Volume, volume_id), status="available")


async def attach_volume(work: Work, volume_id: int) -> None:
    server_id = work.records.get(Volume, volume_id).server
    if server_id is not None:
        await work.do(lambda: work.backend.attach_volume(volume_id, server_id))


async def detach_volume(work: Work, volume_id: int) -> None:
    await work.do(lambda: work.backend.detach_volume(volume_id))


async def resize_volume(work: Work, volume_id: int) -> None:
    size = work.records.get(Volume, volume_id).size
    await work.do(lambda: work.backend.resize_volume(volume_id, size))


async def delete_volume(work: Work, volume_id: int) -> None:
    await work.do(lambda: work.backend.delete_volume(volume_id))


def _volumes_of(work: Work, server_id: int) -> list[Volume]:
    return [volume for volume in work.records.all(Volume) if volume.server == server_id]


STEPS: dict[str, Callable[[Work, int], Awaitable[None]]] = {
    function.__name__: function
    for function in (
        rewire, create_machine, start, cut_power, settle_off, press_power_button, reboot, delete_machine,
        wipe_machine, forget_server, create_volume, attach_volume, detach_volume, resize_volume, delete_volume,
    )
}  # fmt: skip


def step(function: Callable[[Work, int], Awaitable[None]], ident: int = 0) -> Step:
    """The step as it is kept in an action."""
    return Step(name=function.__name__, id=ident)
