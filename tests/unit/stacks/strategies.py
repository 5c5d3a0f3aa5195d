"""Any stack file that is right."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Any, get_args

from hypothesis import strategies as st

from stacks.addressing import core_limit
from stacks.settings import ONLY_IN, RESERVED_PORTS, Region, TopologyName
from stacks.sizing import CEILINGS
from tests.unit.stacks.example import REQUIRED, SSH_KEY

PRIVATE = [IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]
OUTSIDE = IPv4Network("198.18.0.0/15")


def subnets_of(outer: IPv4Network, *lengths: int) -> st.SearchStrategy[IPv4Network]:
    def nth(length: int, number: int) -> IPv4Network:
        size = 2 ** (32 - length)
        return IPv4Network((int(outer.network_address) + number % 2 ** (length - outer.prefixlen) * size, length))

    return st.builds(nth, st.sampled_from(lengths), st.integers(0, 2**24))


networks = st.sampled_from(PRIVATE).flatmap(lambda outer: subnets_of(outer, *range(16, 25)))
outside = subnets_of(OUTSIDE, 22, 24, 29, 32).map(str)


@st.composite
def stack_files(draw: st.DrawFn, most_cores: int = 200) -> dict[str, Any]:
    network = draw(networks)
    cores = draw(st.integers(2, min(most_cores, core_limit(network))))
    first = draw(st.integers(20000, 40000))
    ports = st.integers(1024, 19999).filter(lambda port: port not in RESERVED_PORTS)
    sip_port, sip_tls_port = draw(st.lists(ports, min_size=2, max_size=2, unique=True))
    names = draw(st.lists(st.sampled_from(["alpha", "beta", "gamma", "delta"]), unique=True))
    return {
        **REQUIRED,
        "region": draw(st.sampled_from(get_args(Region))),
        "network": str(network),
        "cores": cores,
        "admins": {"ssh_from": draw(st.lists(outside, min_size=1, max_size=4)), "ssh_keys": [SSH_KEY]},
        "gui_from": draw(st.lists(outside, min_size=1, max_size=4)),
        "carriers": [{"name": name, "addresses": draw(st.lists(outside, min_size=1, max_size=4))} for name in names],
        "sip_port": sip_port,
        "sip_tls_port": sip_tls_port,
        "rtp_ports": f"{first}-{first + draw(st.integers(2000, 20000))}",
        "protected": draw(st.booleans()),
        "rebuild": draw(st.dictionaries(st.sampled_from(["gui", "database-1", "core-2"]), st.integers(0, 9))),
    }


@st.composite
def any_stack(draw: st.DrawFn) -> dict[str, Any]:
    """A right stack file of any topology, with traffic that it carries."""
    values = draw(stack_files(most_cores=9))
    topology = draw(st.sampled_from(get_args(TopologyName)))
    ceiling = CEILINGS[topology]
    values |= {
        "topology": topology,
        "concurrent_calls": draw(st.integers(1, min(ceiling.calls or 400, 400))),
        "cps": draw(st.integers(1, min(ceiling.cps or 40, 40))),
        "rebuild": {},
    }
    choices: dict[str, st.SearchStrategy[Any]] = {
        "gui_on": st.sampled_from(["own-server", "database"]),
        "witness": st.sampled_from(["own-server", "none"]),
        "sip_address": st.sampled_from(["198.51.100.77", "198.51.100.78"]),
    }
    if topology not in ONLY_IN["cores"]:
        del values["cores"]
    for name, choice in choices.items():
        if topology in ONLY_IN[name] and draw(st.booleans()):
            values[name] = draw(choice)
    return values


WRONG: dict[str, tuple[Any, str]] = {
    # setting: (a wrong value, how its error begins)
    "region": ("mars", "region: 'mars'"),
    "network": ("8.8.8.0/24", "network: '8.8.8.0/24'"),
    "admins": ({"ssh_from": ["0.0.0.0/0"], "ssh_keys": [SSH_KEY]}, "admins.ssh_from[0]: '0.0.0.0/0'"),
    "sip_port": (22, "sip_port: '22'"),
    "rtp_ports": ("many", "rtp_ports: 'many'"),
    "protected": ("perhaps", "protected: 'perhaps'"),
    "concurrent_calls": (0, "concurrent_calls: '0'"),
    "cps": (-1, "cps: '-1'"),
    "codec": ("mp3", "codec: 'mp3'"),
    "records_days": (0, "records_days: '0'"),
    "witness": ("my-phone", "witness: 'my-phone'"),
    "sip_address": ("sip.example.org", "sip_address: 'sip.example.org'"),
    "gui_from": (["everywhere"], "gui_from[0]: 'everywhere'"),
    "server_types": (
        {"cores": "ccx13"},
        "server_types.cores: there is no such setting; did you mean server_types.core?",
    ),
    "regoin": ("fsn1", "regoin: there is no such setting; did you mean region?"),
}
