"""kill -9 of the local cloud's API under load: restarted, nothing is forgotten, and no machine notices."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator

import pytest

from localcloud.machines.network import observe
from localcloud.machines.wiring import ROUTER, TO_MACHINE, public_device
from scripts import localcloud
from tests.acknowledged import acknowledged, settled, writers, writing
from tests.machines.lab import until
from tests.machines.small import SmallCloud, client, small_cloud

pytestmark = pytest.mark.machines

ROUNDS = 5
PINGS_A_SECOND = 20


@pytest.fixture(scope="module")
def cloud(no_cloud: None) -> Iterator[SmallCloud]:
    with small_cloud("one", "two") as made:
        yield made


def test_nothing_is_forgotten_and_no_machine_notices(cloud: SmallCloud) -> None:
    boots = [boot(cloud, name) for name in cloud.names]
    start_pinging(cloud)
    load = writers(client, [client().servers.get_by_name(name) for name in cloud.names])
    for _ in range(ROUNDS):
        enough = acknowledged(load) + 20
        with writing(load):
            until(lambda enough=enough: acknowledged(load) > enough, 20, "some load")  # type: ignore[misc]
            time.sleep(random.uniform(0, 0.2))  # noqa: S311
            os.kill(int((localcloud.STATE / "daemon.pid").read_text()), signal.SIGKILL)
        localcloud.up(lambda step: None)
        until(lambda: settled(client()), 20, "what was begun is finished")
        assert [wrong for writer in load if (wrong := writer.forgotten())] == []
        assert holder_in_kernel() == holder_in_records()
    assert [boot(cloud, name) for name in cloud.names] == boots
    sent, answered = pings(cloud)
    assert sent > ROUNDS * PINGS_A_SECOND * 0.5
    assert answered == sent


def boot(cloud: SmallCloud, name: str) -> str:
    return cloud.on(name, "cat /proc/sys/kernel/random/boot_id; systemctl show --property=UserspaceTimestampMonotonic")


def start_pinging(cloud: SmallCloud) -> None:
    command = f"ping -i {1 / PINGS_A_SECOND} {cloud.private('two')}"
    cloud.on("one", f"sudo systemd-run --quiet --unit pinging --property StandardOutput=file:/run/pings {command}")


def pings(cloud: SmallCloud) -> tuple[int, int]:
    """(sent, answered) from machine to machine since `start_pinging`."""
    cloud.on("one", "sudo systemctl kill --signal INT pinging; sleep 0.5")
    summary = cloud.on("one", "grep transmitted /run/pings").split()
    return int(summary[0]), int(summary[3])


def holder_in_kernel() -> set[str]:
    """The device that the floating IP is routed to."""
    [floating] = client().floating_ips.get_all()
    routes = [route for route in observe().routes if (route.namespace, route.destination) == (ROUTER, floating.ip)]
    return {str(route.device) for route in routes if route.metric == TO_MACHINE}


def holder_in_records() -> set[str]:
    [floating] = client().floating_ips.get_all()
    return {public_device(floating.server.id)}
