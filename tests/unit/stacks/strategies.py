"""Any stack file that is right."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Any, get_args

from hypothesis import strategies as st

from stacks.addressing import core_limit
from stacks.settings import RESERVED_PORTS, Region
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
    names = draw(st.lists(st.sampled_from(["alpha", "beta", "gamma", "delta"]), unique=True))
    return {
        **REQUIRED,
        "region": draw(st.sampled_from(get_args(Region))),
        "network": str(network),
        "cores": cores,
        "admins": {"ssh_from": draw(st.lists(outside, min_size=1, max_size=4)), "ssh_keys": [SSH_KEY]},
        "gui_from": draw(st.lists(outside, min_size=1, max_size=4)),
        "carriers": [{"name": name, "addresses": draw(st.lists(outside, min_size=1, max_size=4))} for name in names],
        "sip_port": draw(st.integers(1024, 19999).filter(lambda port: port not in RESERVED_PORTS)),
        "rtp_ports": f"{first}-{first + draw(st.integers(2000, 20000))}",
        "protected": draw(st.booleans()),
        "rebuild": draw(st.dictionaries(st.sampled_from(["gui", "database-1", "core-2"]), st.integers(0, 9))),
    }
