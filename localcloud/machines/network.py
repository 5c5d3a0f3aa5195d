"""The network in the kernel, kept as the last `World` says."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

from localcloud.backend import BackendError, World
from localcloud.machines import firewall, losses, namespaces, shared, wiring
from localcloud.machines.commands import inside, run
from localcloud.machines.wiring import ROUTER, Batch, Link, Route, State


class Network:
    """Changes only what differs from what it knows to be there. Safe to call from several threads.

    Each machine's own settings are left in `state` for its reboots (see the file `boot`).
    """

    def __init__(self, state: Path) -> None:
        self._state = state
        self._resets = state / "resets"
        self._lock = threading.RLock()
        self._world = World()
        self._have: State | None = None
        self._rules: dict[str, str] = {}

    def open(self) -> None:
        with self._lock:
            self._resets.mkdir(parents=True, exist_ok=True)
            shared.ensure(self._state)
            self._have = None

    def rewire(self, world: World) -> None:
        with self._lock:
            self._world = world
            self._settle()

    def plug_in(self, server_id: int) -> None:
        """A new namespace with the machine's links, as at power on."""
        with self._lock:
            self.remove(server_id)
            namespaces.add(wiring.machine_namespace(server_id))
            self._settle()

    def reset_file(self, server_id: int) -> Path:
        """Lines of `ip -batch` that set up the machine's own end of its links."""
        return self._resets / str(server_id)

    def silence(self, server_id: int) -> None:
        """From now on no packet leaves or reaches the machine; its namespace stays."""
        with self._lock:
            links = [link for link in self._known().links if link.server_id == server_id]
            namespaces.at_once(Batch(link.namespace, (f"link set {link.device} down",)) for link in links)

    def remove(self, server_id: int) -> None:
        """The machine's namespace and links are gone, if they were there."""
        with self._lock:
            known = self._known()
            links = [link for link in known.links if link.server_id == server_id]
            namespaces.at_once(Batch(link.namespace, (f"link del {link.device}",)) for link in links)
            namespaces.delete(wiring.machine_namespace(server_id))
            self._have = known.without_machine(server_id)
            self.reset_file(server_id).unlink(missing_ok=True)

    def _settle(self) -> None:
        try:
            self._apply()
        except BackendError:
            # A machine's root can take its links away, and a machine can go off in this very moment.
            self._have = None
            self._apply()

    def _apply(self) -> None:
        have = self._known()
        want = wiring.desired(self._world, powered())
        for network in self._world.networks:
            if network.network_id not in have.networks:
                name = wiring.network_namespace(network.network_id)
                namespaces.add_router(name, [wiring.gateway(network.ip_range)])
        for change in wiring.changes(have, want):
            namespaces.batch(change)
        self._write_resets(have, want)
        self._load_rules(wiring.network_namespace(network_id) for network_id in want.networks)
        for network_id in have.networks - want.networks:
            namespaces.delete(wiring.network_namespace(network_id))
            self._rules.pop(wiring.network_namespace(network_id), None)
        self._have = want

    def _known(self) -> State:
        if self._have is None:
            self._have, self._rules = observe(), {}
        for server_id in self._have.servers() - powered():
            self._have = self._have.without_machine(server_id)
        return self._have

    def _write_resets(self, have: State, want: State) -> None:
        for server_id in {link.server_id for link in have.links ^ want.links} & want.servers():
            [whole] = wiring.machine_batches(link for link in want.links if link.server_id == server_id)
            self.reset_file(server_id).write_text("\n".join((*whole.lines, "")))

    def _load_rules(self, private: Iterable[str]) -> None:
        wanted = {router: losses.render(self._world.losses, router) for router in (ROUTER, *private)}
        wanted[ROUTER] += "\n" + firewall.render(self._world)
        for router, rules in wanted.items():
            if rules != self._rules.get(router):
                run(inside(router, "nft", "-f", "-"), given=rules)
                self._rules[router] = rules


def powered() -> frozenset[int]:
    """The servers that have a namespace: it comes with power and goes with it, by whomever."""
    return namespaces.numbered(wiring.MACHINE_PREFIX)


def observe() -> State:
    """What the kernel has of what `wiring.desired` describes, after the removal of links left half made."""
    networks = namespaces.numbered(wiring.NETWORK_PREFIX)
    routers = [ROUTER, *map(wiring.network_namespace, networks)]
    links = frozenset(link for router in routers for link in _links(router))
    return State(networks, links, frozenset(route for router in routers for route in _routes(router)))


def _links(router: str) -> list[Link]:
    pairs = [
        pair for pair in namespaces.shown(router, "link", "show", "type", "veth") if wiring.is_ours(pair["ifname"])
    ]
    half_made = [pair["ifname"] for pair in pairs if "ifalias" not in pair]
    namespaces.at_once([Batch(router, tuple(f"link del {device}" for device in half_made))])
    return [Link.labelled(router, pair["ifname"], pair["ifalias"]) for pair in pairs if "ifalias" in pair]


def _routes(router: str) -> list[Route]:
    found = namespaces.shown(router, "route", "show", "proto", str(wiring.PROTOCOL))
    return [Route(router, r["dst"], r["metric"], r.get("dev"), r.get("gateway")) for r in found]
