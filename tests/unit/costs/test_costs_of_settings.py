"""The estimate without a preview: what it counts, and that it counts what the program makes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import yaml

from costs import settings
from costs.model import Change, StackPlan
from stacks.settings import SettingsError
from tests.unit.components import deployment
from tests.unit.costs import samples
from tests.unit.stacks import example

PRICED = ("Server", "PrimaryIp", "FloatingIp", "Volume")


def site(**changes: Any) -> settings.Site:
    return settings.from_config("full-test", example.config({**example.USUAL, **changes}))


def unchanged(**changes: Any) -> StackPlan:
    found = site(**changes)
    return settings.compare(found, found)


def shape(change: Change) -> tuple[str, str, str, Any]:
    """What its price depends on."""
    inputs = change.after or {}
    what = next((inputs[name] for name in ("serverType", "size", "type") if name in inputs), "")
    size = f"{what:g}" if isinstance(what, int | float) else what
    return change.kind, change.host, size, inputs.get("location") or inputs.get("homeLocation")


@pytest.mark.parametrize("topology", ["one-server", "two-server-ha", "three-server", "four-server-ha", "full"])
def test_it_counts_exactly_what_the_program_makes(topology: str) -> None:
    """Every priced resource of the real program under mocks, with everything that its price depends on."""
    values = {**example.USUAL, "topology": topology}
    made = deployment.deploy(values)
    assert made.error is None
    programs = [
        Change("=", resource.type, resource.name, None, resource.inputs)
        for resource in made.custom()
        if resource.kind in PRICED
    ]
    estimated = unchanged(topology=topology).changes
    assert Counter(map(shape, estimated)) == Counter(map(shape, programs))
    assert {change.name for change in estimated} == {change.name for change in programs}


def test_a_stack_file_needs_neither_its_secrets_nor_their_key() -> None:
    text = yaml.safe_dump(
        {
            "encryptionsalt": "v1:abc",
            "config": {
                **{f"m2:{key}": value for key, value in example.USUAL.items()},
                "m2:root_secret": {"secure": "v1:unreadable"},
                "m2:vendor": {
                    "core": {"script": "scripts/setup", "sha256": "0" * 64, "licence": {"secure": "v1:unreadable"}}
                },
                "hcloud:token": {"secure": "v1:unreadable"},
            },
        }
    )
    found = settings.from_stack_file("full-test", text)
    assert found.workload.licensed["core-1"] == ("core",)


def test_the_example_stacks_can_be_estimated_before_anybody_set_a_secret() -> None:
    from costs.gather import stack_files
    from scripts.cost_preview import PROJECT

    for stack, text in stack_files(PROJECT).items():
        if not stack.endswith("-local"):
            assert settings.from_stack_file(stack, text).plan.hosts


def test_wrong_settings_are_told_as_ever() -> None:
    with pytest.raises(SettingsError, match="cores: '1'; allowed"):
        site(cores=1)


def test_an_address_that_the_project_has_already_is_not_this_stacks() -> None:
    kinds = Counter(change.kind for change in unchanged(sip_address="198.51.100.9").changes)
    assert kinds["hcloud:FloatingIp"] == 0
    assert Counter(change.kind for change in unchanged().changes)["hcloud:FloatingIp"] == 1


def test_two_cores_more_are_two_servers_and_two_addresses_more() -> None:
    plan = settings.compare(site(cores=2), site(cores=4))
    added = [(change.kind, change.host) for change in plan.changes if change.sign == "+"]
    assert added == [
        ("hcloud:PrimaryIp", "core-3"),
        ("hcloud:Server", "core-3"),
        ("hcloud:PrimaryIp", "core-4"),
        ("hcloud:Server", "core-4"),
    ]
    assert {change.sign for change in plan.changes} == {"+", "="}


def test_more_cores_carry_more() -> None:
    plan = settings.compare(site(cores=2), site(cores=4))
    assert plan.old is not None
    assert plan.new is not None
    assert plan.new.most_cc > plan.old.most_cc >= plan.old.cc


def test_what_a_stack_carries_is_where_sizing_begins_to_complain() -> None:
    fixed = {"cores": 3, "server_types": {"balancer": "ccx13", "core": "ccx23", "database": "ccx23", "gui": "cx23"}}
    most = settings.capacity(example.settings(**fixed))
    example.settings(**fixed, concurrent_calls=most.calls, cps=most.cps)
    with pytest.raises(SettingsError, match="server_types"):
        example.settings(**fixed, concurrent_calls=most.calls + 20, cps=most.cps + 2)


def test_a_stack_that_comes_or_goes_is_compared_with_nothing() -> None:
    assert {change.sign for change in settings.compare(None, site()).changes} == {"+"}
    assert {change.sign for change in settings.compare(site(), None).changes} == {"-"}


def test_traffic_beyond_what_the_cores_include_is_in_the_total() -> None:
    plan = unchanged(concurrent_calls=9000, cps=300, server_types={"core": "ccx23", "gui": "cx23"})
    estimate = samples.estimate(plan)
    assert estimate.media_after is not None
    assert len(plan.new.media_hosts if plan.new else ()) * 20 == int(estimate.media_after.quantity.split()[0])
