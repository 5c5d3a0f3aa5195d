"""Stock that runs out, types that end, and servers that run: told before anything is created, and nobody is resized."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pulumi
import pytest

from components.clouds import hetzner_stock
from components.clouds.hetzner import Hetzner
from components.clouds.hetzner_stock import Offer, Running, Stock, StockError, read, settle, unread
from components.clouds.hetzner_types import server_types
from components.plan import SitePlan
from tests.unit.components.deployment import deploy
from tests.unit.stacks.example import STACK, TOKEN, USUAL, plan

CORES = {"core": ["ccx23", "ccx33", "ccx43"]}
NONE = Offer(available=False)
END = datetime(2027, 3, 1, tzinfo=UTC)


def stock(running: Mapping[str, str] | None = None, **offers: Offer) -> Stock:
    """Everything, but for what is given; `running` are types by host."""
    usual = {each.name: Offer(vcpus=each.vcpus) for each in server_types("fsn1")}
    servers = {f"{STACK}-{host}": Running(name, "0") for host, name in (running or {}).items()}
    return Stock({**usual, **offers}, servers)


def types(settled: SitePlan) -> dict[str, str]:
    return {host.name: host.server_type for host in settled.hosts if "core" in host.roles}


def test_where_everything_is_to_be_had_the_plan_stays_as_it_is() -> None:
    settled = settle(plan(), stock())
    assert (settled.plan, settled.problems, settled.warnings) == (plan(), (), ())


def test_the_first_type_of_the_list_that_is_there_is_taken() -> None:
    settled = settle(plan(server_types=CORES), stock(ccx23=NONE, ccx33=NONE))
    assert types(settled.plan) == {"core-1": "ccx43", "core-2": "ccx43"}
    assert {host.size for host in settled.plan.with_role("core")} == {16}
    assert settled.problems == ()


def test_a_kind_of_host_that_cannot_be_had_is_named_once_with_what_can_be_had() -> None:
    settled = settle(plan(cores=5, server_types={"core": "ccx23"}), stock(ccx23=NONE))
    [problem] = settled.problems
    assert problem.startswith("server_types.core: ccx23; fsn1 has none left today; allowed: ")
    assert "ccx33" in problem
    assert "ccx23" not in problem.partition("allowed")[2]


def test_a_type_that_the_location_never_sold_is_told_so() -> None:
    [problem] = settle(plan(server_types={"gui": "cpx99"}), stock()).problems
    assert problem.startswith("server_types.gui: cpx99; fsn1 does not sell it; allowed: ")


def test_a_server_that_runs_keeps_its_type_whatever_the_stock() -> None:
    """Else a type that is back in stock would resize running cores, and one that is gone would too."""
    there = {"core-1": "ccx33"}
    for offers in ({}, {"ccx33": NONE}, {"ccx23": NONE, "ccx33": NONE}):
        settled = settle(plan(server_types=CORES), stock(there, **offers))
        assert types(settled.plan)["core-1"] == "ccx33"
        assert settled.problems == ()


def test_a_server_that_is_about_to_be_rebuilt_needs_stock_as_a_new_one() -> None:
    """It is deleted first: without stock nothing would come back."""
    chosen = plan(server_types={"core": "ccx23"}, rebuild={"core-1": 1})
    settled = settle(chosen, stock({"core-1": "ccx23", "core-2": "ccx23"}, ccx23=NONE))
    assert len(settled.problems) == 1


def test_a_server_that_shall_be_another_type_is_resized_only_to_what_there_is() -> None:
    settled = settle(plan(server_types={"core": "ccx43"}), stock({"core-1": "ccx23", "core-2": "ccx23"}, ccx43=NONE))
    assert settled.problems[0].startswith("server_types.core: ccx43; ")


def test_a_deprecated_type_is_named_with_its_end() -> None:
    settled = settle(plan(server_types={"core": "ccx23"}), stock(ccx23=Offer(gone_after=END)))
    [warning] = settled.warnings
    assert warning.startswith("server_types.core: ccx23 is deprecated in fsn1 and cannot be ordered after 2027-03-01")
    assert settled.problems == ()


def test_an_address_that_the_project_has_not_got_is_told_with_those_that_it_has() -> None:
    chosen = plan(sip_address="198.51.100.77")
    assert settle(chosen, replace(stock(), floating_ips=frozenset({"198.51.100.77"}))).problems == ()
    [problem] = settle(chosen, replace(stock(), floating_ips=frozenset({"198.51.100.9"}))).problems
    assert problem == "sip_address: 198.51.100.77; allowed: a floating IP of the project, which has 198.51.100.9"


def test_without_the_api_a_plan_with_nothing_to_choose_goes_on_with_a_warning() -> None:
    settled = unread(plan(), StockError("nobody answers"))
    assert (settled.plan, settled.problems, settled.warnings) == (plan(), (), ("nobody answers",))


def test_without_the_api_a_choice_is_refused_so_that_nobody_is_resized_by_accident() -> None:
    [problem] = unread(plan(server_types=CORES), StockError("nobody answers")).problems
    assert problem.startswith("server_types: nobody answers; allowed: ")


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The provider's replies, by path."""
    place = {"id": 1, "name": "fsn1", "available": True, "recommended": True, "deprecation": None}
    ended = {"announced": "2026-11-01T00:00:00Z", "unavailable_after": "2027-03-01T00:00:00Z"}
    elsewhere = {**place, "id": 2, "name": "hel1"}
    ccx23 = {"id": 97, "name": "ccx23", "cores": 4, "locations": [place, elsewhere]}
    ccx33 = {"id": 98, "name": "ccx33", "cores": 8, "locations": [{**place, "available": False, "deprecation": ended}]}
    cpx22 = {"id": 99, "name": "cpx22", "cores": 2, "locations": [elsewhere]}
    server = {"id": 7, "name": f"{STACK}-core-1", "server_type": ccx23, "labels": {"m2-rebuild": "2"}}
    replies = {
        "/server_types": {"server_types": [ccx23, ccx33, cpx22]},
        "/servers": {"servers": [server]},
        "/floating_ips": {"floating_ips": [{"id": 5, "ip": "198.51.100.77"}]},
    }
    paging = {"meta": {"pagination": {"page": 1, "per_page": 50, "next_page": None, "total_entries": 1}}}

    def request(self: object, method: str, url: str, **_: object) -> dict[str, Any]:
        return {**deepcopy(replies[url]), **paging}

    monkeypatch.setattr("hcloud._client.ClientBase.request", request)
    yield replies


def test_stock_is_read_of_the_plans_location_alone(api: dict[str, Any]) -> None:
    found = read(TOKEN, "http://cloud.test/v1", plan(sip_address="198.51.100.77"))
    assert found.offers == {"ccx23": Offer(True, None, 4), "ccx33": Offer(False, END, 8)}
    assert found.running == {f"{STACK}-core-1": Running("ccx23", "2")}
    assert found.floating_ips == {"198.51.100.77"}


def test_an_api_that_does_not_answer_is_a_sentence() -> None:
    with pytest.raises(StockError, match="the API of the provider did not say what fsn1 has got"):
        read(TOKEN, "http://127.0.0.1:9/v1", plan())
    assert Hetzner(TOKEN, "http://127.0.0.1:9/v1").settle(plan()).warnings


def test_what_is_not_to_be_had_is_told_before_anything_is_registered() -> None:
    deployment = deploy(USUAL, stock=lambda *_: stock(ccx23=NONE))
    assert isinstance(deployment.error, pulumi.RunError)
    assert "server_types.core: ccx23; fsn1 has none left today" in str(deployment.error)
    assert deployment.resources == []


def test_the_servers_are_of_the_type_that_there_is() -> None:
    values = {**USUAL, "server_types": CORES}
    deployment = deploy(values, stock=lambda *_: stock(ccx23=NONE))
    assert deployment.error is None
    assert deployment.one("Server", "-core-1").inputs["serverType"] == "ccx33"
    assert hetzner_stock.NOTHING == NONE
