"""From traffic to servers: the ceilings, the arithmetic, and that what is chosen carries what was asked."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from components.clouds.hetzner_types import server_types
from stacks import sizing
from stacks.settings import Region, SettingsError, TopologyName
from stacks.sizing import Codec, Demand, Wish
from tests.unit.stacks.example import plan, settings

TOPOLOGIES = get_args(TopologyName)
REGIONS = get_args(Region)
demands = st.builds(Demand, st.integers(1, 60_000), st.integers(1, 4_000), st.sampled_from(get_args(Codec)))


@pytest.mark.parametrize(
    ("topology", "calls", "cps"),
    [
        ("one-server", 1000, 100),
        ("two-server-ha", 500, 300),
        ("three-server", 3000, 500),
        ("four-server-ha", 3000, 300),
    ],
)
def test_what_a_topology_cannot_carry_is_refused_with_those_that_can(topology: str, calls: int, cps: int) -> None:
    assert settings(topology=topology, concurrent_calls=calls, cps=cps)
    with pytest.raises(SettingsError) as refused:
        settings(topology=topology, concurrent_calls=calls + 1, cps=1)
    assert str(refused.value).startswith(
        f"concurrent_calls: {calls + 1}; allowed: at most {calls} in topology {topology}"
    )
    assert str(refused.value).endswith(", ".join(sizing.carriers(Demand(calls + 1, 1))))
    with pytest.raises(SettingsError, match=rf"^cps: {cps + 1}; allowed: at most {cps} .*full$"):
        settings(topology=topology, concurrent_calls=1, cps=cps + 1)


def test_the_full_topology_carries_more_than_ten_thousand_calls_and_a_thousand_a_second() -> None:
    chosen = settings(concurrent_calls=30_000, cps=3_000)
    assert chosen.size.cores > 8


@given(st.sampled_from(TOPOLOGIES), st.sampled_from(REGIONS), demands)
def test_servers_that_are_chosen_carry_what_is_asked(topology: str, region: str, demand: Demand) -> None:
    assume(not sizing.over(topology, demand))
    types = server_types(region)
    size = sizing.size(topology, demand, types, Wish())
    vcpus = {each.name: each.vcpus for each in types}
    assert list(sizing.problems(topology, demand, types, Wish())) == []
    busy = sizing.busy_cores(topology, size.cores)
    if "core" in sizing.KINDS[topology]:
        assert sizing.core_vcpus(demand.calls, demand.cps) <= busy * vcpus[size.server_types["core"]] + 0.1


@given(demands, st.integers(1, 1000), st.integers(1, 100))
def test_more_traffic_never_needs_less(demand: Demand, calls: int, cps: int) -> None:
    more = Demand(demand.calls + calls, demand.cps + cps)
    assert set(sizing.carriers(more)) <= set(sizing.carriers(demand))
    assert sizing.core_vcpus(more.calls, more.cps) > sizing.core_vcpus(demand.calls, demand.cps)


@pytest.mark.parametrize("cores", [2, 3, 9])
def test_the_number_of_cores_never_changes_the_type_of_those_that_run(cores: int) -> None:
    assert {host.server_type for host in plan(cores=cores).with_role("core")} == {plan().host("core-1").server_type}


def test_cores_that_are_too_few_are_refused_with_what_is_needed() -> None:
    with pytest.raises(
        SettingsError, match=r"^server_types.core: ccx\d3 has \d+ vCPUs, and 8000 .* on 2 cores need .* more cores"
    ):
        settings(cores=2, concurrent_calls=8000, cps=700)


def test_servers_that_are_too_small_are_refused() -> None:
    with pytest.raises(
        SettingsError, match=r"^server_types.balancer: ccx13 has 2 vCPUs, and .* need 4.0; allowed: .*at least 4"
    ):
        settings(server_types={"balancer": "ccx13"}, cps=1000)


def test_a_type_that_nobody_knows_here_is_trusted() -> None:
    assert settings(server_types={"core": "ccx999"}).size.server_types["core"] == "ccx999"


def test_media_ports_that_are_too_few_are_refused() -> None:
    with pytest.raises(
        SettingsError, match=r"^rtp_ports: 20000-20999 is enough for 250 calls on a core, and one may get 500"
    ):
        settings(rtp_ports="20000-20999", cores=2)


@pytest.mark.parametrize(
    ("codec", "kbit"),
    [("g711", 174.4), ("g722", 174.4), ("g729", 62.4), ("opus", 110.4)],
)
def test_a_call_weighs_what_its_codec_does(codec: Codec, kbit: float) -> None:
    """Both streams of a call that is relayed, one way; 87.2 kbit/s a stream is the vendor's figure for G.711."""
    assert Demand(1000, 1, codec).mbit == pytest.approx(kbit)
    assert Demand(1000, 1, codec).packets == 100_000


def test_a_disk_holds_the_records_of_its_days() -> None:
    month, year = (settings(cps=100, records_days=days).size.disk_gb for days in (30, 365))
    assert month == 100
    assert year == 1070
    assert settings(cps=100, records_days=365, database_disk_gb=500).size.disk_gb == 500


@pytest.mark.parametrize("region", REGIONS)
def test_what_only_waits_is_the_smallest_server_that_the_region_sells(region: str) -> None:
    types = sizing.size("two-server-ha", Demand(100, 5), server_types(region), Wish()).server_types
    assert types["witness"] == types["gui"] == server_types(region)[0].name
