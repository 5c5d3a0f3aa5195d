"""A stack as a picture: hosts, their roles, the addresses that move and who holds them, and the ports between them.

Everything drawn is in the plan; the ports are those that the roles open.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from graphviz import Digraph

from components.bundle import role_openings
from components.openings import ROLES, RoleOpening
from components.plan import HostPlan, SitePlan

FONT = "Helvetica,Arial,sans-serif"
COLOURS: Mapping[str, str] = {
    "balancer": "#dbe9f6",
    "core": "#e2f0d9",
    "database": "#fdeada",
    "gui": "#ece4f4",
    "witness": "#eeeeee",
    "node": "#fff2cc",
}
LINES: Mapping[str, str] = {"SIP": "#1f5fa8", "RTP": "#3d8b37", "MariaDB": "#b35900", "HTTPS": "#6a3fa0"}
NAMES: Mapping[str, str] = {
    "3306": "MariaDB",
    "2379-2380": "etcd",
    "8443": "mover",
    "8444": "agents",
    "443": "HTTPS",
    "vrrp": "VRRP",
}
OUTSIDE: Mapping[str, str] = {"carriers": "carriers", "anyone": "carriers", "gui_users": "users"}
"""Groups of openings that are people or machines elsewhere; the media of carriers may come from anywhere."""

SHOWN_CORES = 3


@dataclass(frozen=True)
class Live:
    """What only a stack that is up knows: public addresses by host or moving address, and who holds what."""

    public: Mapping[str, str] = field(default_factory=dict)
    holders: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Edge:
    """From a kind of host, or from outside, to a kind of host or a moving address."""

    source: str
    target: str


def draw(plan: SitePlan, live: Live) -> Digraph:
    """The picture, to be rendered by Graphviz. Raises BundleError when a role cannot say what it opens."""
    graph = Digraph(
        plan.stack,
        graph_attr={"rankdir": "LR", "compound": "true", "fontname": FONT, "labelloc": "t", "nodesep": "0.25"},
        node_attr={"fontname": FONT, "fontsize": "11", "shape": "box", "style": "rounded,filled", "fillcolor": "white"},
        edge_attr={"fontname": FONT, "fontsize": "9", "color": "#666666"},
    )
    graph.attr(label=f"{plan.stack}: {plan.settings['topology']} in {plan.region}", ranksep="0.9")
    _draw_outside(graph, plan)
    for kind in dict.fromkeys(host.kind for host in plan.hosts):
        _draw_kind(graph, plan, kind, live)
    for vip in plan.vips:
        _draw_vip(graph, plan, vip.name, live)
    drawn = edges(plan)
    for edge, labels in drawn.items():
        back = drawn.get(Edge(edge.target, edge.source), ())
        one_way = tuple(label for label in labels if label not in back)
        if one_way:
            _draw_edge(graph, plan, edge, one_way)
        if len(one_way) < len(labels) and edge.source < edge.target:
            _draw_edge(graph, plan, edge, tuple(label for label in labels if label in back), way="both")
    return graph


def fingerprint(graph: Digraph) -> str:
    """What a rendered picture was made of."""
    return sha256(graph.source.encode()).hexdigest()[:16]


def edges(plan: SitePlan) -> dict[Edge, tuple[str, ...]]:
    """Who reaches what, with the names of the ports. What everybody has (SSH, ping, the pair's own) is left out."""
    found: dict[Edge, dict[str, None]] = {}
    for host in plan.hosts:
        for opening in role_openings(plan, host):
            for source in _sources(plan, host, opening.to):
                edge = Edge(source, _target(plan, host, opening.at))
                found.setdefault(edge, {})[_service(plan, opening)] = None
    return {edge: tuple(labels) for edge, labels in found.items()}


def _sources(plan: SitePlan, host: HostPlan, group: str) -> Iterator[str]:
    if group in OUTSIDE:
        yield OUTSIDE[group]
    elif group in ROLES:
        kinds = (other.kind for other in plan.hosts if group in other.roles and other.kind != host.kind)
        yield from dict.fromkeys(kinds)


def _target(plan: SitePlan, host: HostPlan, at: str) -> str:
    place = plan.place(at)
    return _vip_node(place) if place in (vip.name for vip in plan.vips) else host.kind


def _vip_node(name: str) -> str:
    return f"{name} address"


def _service(plan: SitePlan, opening: RoleOpening) -> str:
    settings = plan.settings
    names = {**NAMES, str(settings["sip_port"]): f"SIP {settings['sip_port']}", "80": "HTTPS"}
    port = opening.ports or opening.protocol
    if port == settings["rtp_ports"]:
        return f"RTP {port}"
    return names.get(port, port)


def _draw_outside(graph: Digraph, plan: SitePlan) -> None:
    for name in dict.fromkeys(edge.source for edge in edges(plan) if edge.source in OUTSIDE.values()):
        graph.node(name, name, shape="ellipse", style="filled", fillcolor="#f7f7f7")


def _draw_kind(graph: Digraph, plan: SitePlan, kind: str, live: Live) -> None:
    hosts = [host for host in plan.hosts if host.kind == kind]
    shown = hosts if len(hosts) <= SHOWN_CORES else hosts[: SHOWN_CORES - 1]
    with graph.subgraph(name=f"cluster_{kind}") as box:
        box.attr(style="rounded,dotted", color="#999999", label="", margin="10")
        for host in shown:
            box.node(host.name, _host_label(plan, host, live), fillcolor=COLOURS.get(kind, "white"))
        if len(shown) < len(hosts):
            box.node(f"{kind}-more", f"{len(hosts) - len(shown)} more", style="dashed,rounded")
        _draw_pair(box, plan, shown)


def _host_label(plan: SitePlan, host: HostPlan, live: Live) -> str:
    pairs = [pair for pair in plan.pairs() if host in pair]
    part = f" ({'main' if pairs[0][0] == host else 'backup'})" if pairs else ""
    public = live.public.get(host.name)
    address = f"{host.private_ip}{f', {public}' if public else ''}"
    disk = f", {host.data_disk_gb} GB" if host.data_disk_gb else ""
    return f"{host.name}{part}\n{', '.join(host.roles)}\n{address}\n{host.server_type}{disk}"


def _draw_pair(box: Digraph, plan: SitePlan, hosts: list[HostPlan]) -> None:
    for main, backup in plan.pairs():
        if main in hosts:
            inside = {_service(plan, o) for o in role_openings(plan, main) if o.to in ("pair", "quorum")}
            label = ", ".join(sorted(inside))
            box.edge(main.name, backup.name, label, dir="both", style="dotted", constraint="false")


def _draw_vip(graph: Digraph, plan: SitePlan, name: str, live: Live) -> None:
    vip = plan.vip(name)
    how = "floating IP" if vip.scope == "public" else "route"
    address = vip.ip or live.public.get(name) or ""
    node = _vip_node(name)
    graph.node(node, f"{node}\n{how} {address}".strip(), shape="house", orientation="270", fillcolor="#ffe8e8")
    holder = live.holders.get(name, vip.members[0])
    for member in vip.members:
        holds = member == holder
        graph.edge(node, member, "holds" if holds else "", style="bold" if holds else "dashed", color="#b00000")


def _draw_edge(graph: Digraph, plan: SitePlan, edge: Edge, labels: tuple[str, ...], way: str = "forward") -> None:
    """Edges that go back to where calls come from do not decide who stands where."""
    source, source_box = _end(plan, edge.source)
    target, target_box = _end(plan, edge.target)
    colour = next((LINES[word] for label in labels for word in LINES if label.startswith(word)), "#666666")
    boxes = {**({"ltail": source_box} if source_box else {}), **({"lhead": target_box} if target_box else {})}
    backwards = edge.target == _vip_node("sip-private") or all(label.startswith("RTP") for label in labels)
    graph.edge(
        source,
        target,
        "\n".join(labels),
        color=colour,
        fontcolor=colour,
        constraint="false" if backwards else "true",
        dir=way,
        **boxes,
    )


def _end(plan: SitePlan, name: str) -> tuple[str, str]:
    """A node, and the box around its kind that the edge ends at."""
    hosts = [host for host in plan.hosts if host.kind == name]
    return (hosts[0].name, f"cluster_{name}") if hosts else (name, "")
