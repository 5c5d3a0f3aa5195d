"""Clients that change a cloud all the time and remember what it has acknowledged, for tests that kill it meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import requests
from hcloud.networks import NetworkRoute

Change = Callable[[int], Any]
PAUSE_S = 0.01
"""Between two changes of one client: the provider's rate limit is far above what these do."""


@dataclass
class Writer:
    """One client with one thing that it sets to 0, 1, 2 ... `below`; `allowed` is what the thing may be now.

    `change` returns when the cloud has acknowledged, with the action that it began, if any.
    """

    name: str
    below: int
    change: Change
    read: Callable[[], int]
    allowed: set[int] = field(default_factory=set)
    acknowledged: int = 0
    error: Exception | None = None

    def run(self, stop: threading.Event) -> None:
        """Until `stop`, or until the cloud is gone."""
        try:
            while not stop.wait(PAUSE_S):
                self._step()
        except requests.RequestException:
            pass
        except Exception as error:
            self.error = error

    def forgotten(self) -> str | None:
        """What is wrong with what the cloud has, in a sentence; from here on it counts as acknowledged."""
        found, allowed = self.read(), self.allowed
        self.allowed = {found}
        return None if found in allowed else f"{self.name}: {found}, and it should be {sorted(allowed)}"

    def _step(self) -> None:
        [now] = self.allowed
        following = (now + 1) % self.below
        self.allowed = {now, following}
        action = self.change(following)
        self.allowed = {following}
        self.acknowledged += 1
        if action:
            action.wait_until_finished()


def writers(client: Callable[[], Any], servers: list[Any]) -> list[Writer]:
    """Of labels, a placement group, a route and a floating IP that goes to and fro between two servers."""
    made = client()
    floating = made.floating_ips.create(type="ipv4", name="moving", home_location=servers[0].location).floating_ip
    made.networks.create(name="labelled", ip_range="10.8.0.0/16", labels={"n": "0"})
    made.networks.create(name="routed", ip_range="10.9.0.0/16")
    floating.assign(servers[0]).wait_until_finished()
    return [_labels(client()), _group(client()), _route(client()), _floating(client(), servers)]


def acknowledged(all_writers: list[Writer]) -> int:
    """How many changes the cloud has acknowledged so far."""
    return sum(writer.acknowledged for writer in all_writers)


def settled(client: Any) -> bool:
    """No action of what the writers change is running any more."""
    kinds = (client.networks.actions, client.floating_ips.actions, client.servers.actions)
    return not any(kind.get_all(status=["running"]) for kind in kinds)


@contextmanager
def writing(all_writers: list[Writer]) -> Iterator[None]:
    """While the block runs, or until the cloud is gone. Raises the first error that is not the cloud's absence."""
    stop = threading.Event()
    threads = [threading.Thread(target=writer.run, args=(stop,)) for writer in all_writers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    for error in (writer.error for writer in all_writers):
        if error:
            raise error


def _labels(client: Any) -> Writer:
    network = client.networks.get_by_name("labelled")

    def change(value: int) -> None:
        network.update(labels={"n": str(value)})

    return Writer("labels", 10**9, change, lambda: int(client.networks.get_by_id(network.id).labels["n"]), {0})


def _group(client: Any) -> Writer:
    def change(value: int) -> None:
        if value:
            client.placement_groups.create(name="group", type="spread")
        else:
            client.placement_groups.get_by_name("group").delete()

    return Writer("group", 2, change, lambda: int(client.placement_groups.get_by_name("group") is not None), {0})


def _route(client: Any) -> Writer:
    network, route = client.networks.get_by_name("routed"), NetworkRoute("10.10.0.0/24", "10.9.0.9")

    def change(value: int) -> Any:
        return network.add_route(route) if value else network.delete_route(route)

    return Writer("route", 2, change, lambda: len(client.networks.get_by_id(network.id).routes), {0})


def _floating(client: Any, servers: list[Any]) -> Writer:
    floating = client.floating_ips.get_by_name("moving")
    idents = [server.id for server in servers]

    def change(value: int) -> Any:
        return floating.assign(servers[value])

    def read() -> int:
        return idents.index(client.floating_ips.get_by_id(floating.id).server.id)

    return Writer("floating IP", len(servers), change, read, {0})
