"""What the network should be, and the way there from whatever it was, on a small model of the kernel."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.backend import Attachment, BackendError, PrivateNetwork, PrivateNic, World
from localcloud.machines.wiring import LAST_RESORT, TO_MACHINE, Batch, Link, Route, State, changes, desired

NETWORK = PrivateNetwork(7, "10.0.0.0/16", (("10.9.0.1/32", "10.0.0.2"),))
NIC = PrivateNic(7, "10.0.0.2", ("10.0.0.50",), "86:00:00:00:00:02")
SERVER = Attachment(1, "198.51.100.5", (NIC,))
WORLD = World((SERVER,), (NETWORK,), (("198.51.100.9", 1),))


def test_a_running_machine_has_its_links_and_routes() -> None:
    state = desired(WORLD, {1})
    assert {(link.namespace, link.device, link.inner, link.gateway, link.reach, link.mtu) for link in state.links} == {
        ("m2-cloud", "p1", "eth0", "172.31.1.1", "default", 1500),
        ("m2-net-7", "n1", "eth1", "10.0.0.1", "10.0.0.0/16", 1450),
    }
    assert {route for route in state.routes if route.metric == TO_MACHINE} == {
        Route("m2-cloud", "198.51.100.5", TO_MACHINE, "p1"),
        Route("m2-cloud", "198.51.100.9", TO_MACHINE, "p1", "198.51.100.5"),
        Route("m2-net-7", "10.0.0.2", TO_MACHINE, "n1"),
        Route("m2-net-7", "10.0.0.50", TO_MACHINE, "n1", "10.0.0.2"),
        Route("m2-net-7", "10.9.0.1", TO_MACHINE, "n1", "10.0.0.2"),
    }


def test_while_a_machine_is_off_its_addresses_are_swallowed() -> None:
    state = desired(WORLD, set())
    assert not state.links
    assert {route.metric for route in state.routes} == {LAST_RESORT}
    assert {route.destination for route in state.routes} == {
        "198.51.100.5", "198.51.100.9", "10.0.0.2", "10.0.0.50", "10.9.0.1",
    }  # fmt: skip


def test_a_moved_floating_address_is_one_replaced_route() -> None:
    other = Attachment(2, "198.51.100.6", ())
    before = desired(World((SERVER, other), (NETWORK,), (("198.51.100.9", 1),)), {1, 2})
    after = desired(World((SERVER, other), (NETWORK,), (("198.51.100.9", 2),)), {1, 2})
    line = "route replace 198.51.100.9 via 198.51.100.6 dev p2 onlink metric 100 proto 77"
    assert changes(before, after) == [Batch("m2-cloud", (line,))]


def test_a_route_to_nobody_leads_nowhere() -> None:
    network = PrivateNetwork(7, "10.0.0.0/16", (("10.9.0.0/24", "10.0.0.77"), ("0.0.0.0/0", "10.0.0.2")))
    routes = {route.destination for route in desired(World((SERVER,), (network,)), {1}).routes}
    assert "10.9.0.0/24" not in routes
    assert "default" in routes


def test_a_server_in_a_network_that_is_not_there_is_refused() -> None:
    with pytest.raises(BackendError, match="server 1 is attached to network 7, which does not exist"):
        desired(World((SERVER,)), {1})


def test_labels_survive_the_kernel() -> None:
    for link in desired(WORLD, {1}).links:
        assert Link.labelled(link.namespace, link.device, link.label) == link
        assert len(link.label) < 256


def test_what_goes_with_a_machine() -> None:
    left = desired(WORLD, {1}).without_machine(1)
    assert left == State(frozenset({7}), frozenset(), desired(WORLD, set()).routes)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[World, set[int]]:
    """Some of three servers and two networks, wired at random, and which of them are on."""
    servers = draw(st.sets(st.integers(1, 3)))
    networks = draw(st.sets(st.integers(1, 2)))
    attachments = tuple(
        Attachment(
            server,
            draw(st.sampled_from([None, f"198.51.100.{server}"])),
            tuple(_nic(server, network) for network in draw(st.permutations(sorted(networks))) if draw(st.booleans())),
        )
        for server in sorted(servers)
    )
    floating = tuple(("198.51.100.200", s) for s in sorted(servers)[: draw(st.integers(0, 1))])
    private = tuple(_network(number, draw(st.sampled_from([1, 2, 3]))) for number in sorted(networks))
    powered: set[int] = draw(st.sets(st.sampled_from(sorted(servers)))) if servers else set()
    return World(attachments, private, floating), powered


def _nic(server: int, network: int) -> PrivateNic:
    return PrivateNic(network, f"10.{network}.0.{server}", (), f"86:00:00:00:0{network}:0{server}")


def _network(number: int, holder: int) -> PrivateNetwork:
    return PrivateNetwork(number, f"10.{number}.0.0/16", ((f"10.{number}.255.1/32", f"10.{number}.0.{holder}"),))


@dataclass
class Kernel:
    """Refuses what the kernel would refuse."""

    labels: dict[tuple[str, str], str] = field(default_factory=dict)
    inner: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    routes: dict[tuple[str, str, int], Route] = field(default_factory=dict)

    def run(self, batch: Batch) -> None:
        if batch.namespace.startswith("m2-vm-"):
            return
        for line in batch.lines:
            kind, verb, *words = line.split()
            getattr(self, f"{kind}_{verb}")(batch.namespace, words)

    def link_add(self, router: str, words: list[str]) -> None:
        ours, theirs = (router, words[0]), (words[-1], words[words.index("name") + 1])
        assert ours not in self.labels and theirs not in self.inner.values()
        self.labels[ours], self.inner[ours] = "", theirs

    def link_del(self, router: str, words: list[str]) -> None:
        del self.labels[router, words[0]], self.inner[router, words[0]]
        self.routes = {k: r for k, r in self.routes.items() if (r.namespace, r.device) != (router, words[0])}

    def link_set(self, router: str, words: list[str]) -> None:
        assert (router, words[0]) in self.labels
        if words[1] == "alias":
            self.labels[router, words[0]] = " ".join(words[2:]).strip('"')

    def route_replace(self, router: str, words: list[str]) -> None:
        words = words[1:] if (swallow := words[0] == "blackhole") else words
        device = None if swallow else words[words.index("dev") + 1]
        assert device is None or (router, device) in self.labels
        via = words[words.index("via") + 1] if "via" in words else None
        route = Route(router, words[0], int(words[words.index("metric") + 1]), device, via)
        self.routes[route.key] = route

    def route_del(self, router: str, words: list[str]) -> None:
        words = words[1:] if words[0] == "blackhole" else words
        del self.routes[router, words[0], int(words[words.index("metric") + 1])]

    def state(self, networks: frozenset[int]) -> State:
        links = {Link.labelled(*place, label) for place, label in self.labels.items()}
        return State(networks, frozenset(links), frozenset(self.routes.values()))


@given(worlds(), worlds())
def test_any_world_is_reached_from_any_other(first: tuple[World, set[int]], second: tuple[World, set[int]]) -> None:
    kernel, have = Kernel(), State()
    for world, powered in (first, second):
        want = desired(world, powered)
        for batch in changes(have, want):
            kernel.run(batch)
        assert kernel.state(want.networks) == want
        have = want
    assert changes(have, have) == []
