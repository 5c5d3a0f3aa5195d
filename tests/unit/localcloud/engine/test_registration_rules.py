"""The rules for one registration, by themselves."""

from __future__ import annotations

from dataclasses import replace

from localcloud.engine.plan import (
    deletion_order,
    is_triggered,
    sealed,
    urn_of,
    with_ignored,
    with_replace_on_changes,
    without_dependencies_on,
)
from localcloud.engine.providers import Diff
from localcloud.engine.state import Resource
from localcloud.engine.values import UNKNOWN, Secret

RESOURCE = Resource(urn="urn:pulumi:s::p::t::r", custom=True, type="t")


def resource(name: str, *needs: str, delete: bool = False) -> Resource:
    dependencies = tuple(f"urn::{n}" for n in needs)
    return replace(RESOURCE, urn=f"urn::{name}", dependencies=dependencies, delete=delete)


def test_ignored_inputs_stay_as_they_were_at_any_depth() -> None:
    old = replace(RESOURCE, inputs={"a": 1, "labels": {"x": "old", "y": "old"}})
    new = {"a": 2, "b": 3, "labels": {"x": "new", "y": "new"}}
    wanted = replace(RESOURCE, inputs=new, ignore_changes=("a", "b", "labels.x", "none.at.all"))
    assert with_ignored(wanted, old) == {"a": 1, "labels": {"x": "old", "y": "new"}}
    assert new["labels"] == {"x": "new", "y": "new"}


def test_a_trigger_needs_two_values_that_differ() -> None:
    assert is_triggered(1, 0)
    assert is_triggered(UNKNOWN, 0)
    assert is_triggered(Secret("b"), "a")
    assert not is_triggered(Secret("a"), "a")
    assert not is_triggered(0, None)
    assert not is_triggered(None, 0)


def test_replace_on_changes_covers_what_it_names_and_what_is_in_it() -> None:
    diff = Diff({("triggers", 0): "update", ("labels", "a"): "add", ("triggersToo",): "add"})
    assert with_replace_on_changes(diff, ["triggers[*]"]).replaces == {("triggers", 0)}
    assert with_replace_on_changes(diff, ["labels"]).replaces == {("labels", "a")}
    assert with_replace_on_changes(diff, ["*"]).replaces == set(diff.changes)


def test_outputs_are_as_secret_as_their_inputs() -> None:
    given = replace(RESOURCE, inputs={"a": Secret(1), "b": {"c": Secret(2)}}, additional_secret_outputs=("d",))
    assert sealed({"a": 1, "b": {}, "c": 2, "d": 3}, given) == {"a": Secret(1), "b": Secret({}), "c": 2, "d": Secret(3)}


def test_dependents_go_first_and_in_as_few_groups_as_possible() -> None:
    network, key = resource("network"), resource("key")
    server, nic = resource("server", "key"), resource("nic", "server", "network")
    assert deletion_order([network, key, server, nic]) == [[nic], [network, server], [key]]


def test_the_old_half_of_a_replacement_waits_for_what_stood_on_it() -> None:
    server, nic = resource("server", delete=True), resource("nic", "server", delete=True)
    assert deletion_order([server, nic]) == [[nic], [server]]


def test_dangling_dependencies_are_cut() -> None:
    dangling = replace(resource("a", "b", "c"), property_dependencies={"x": ["urn::b", "urn::c"]})
    left = without_dependencies_on(dangling, {"urn::b"})
    assert (left.dependencies, left.property_dependencies) == (("urn::c",), {"x": ["urn::c"]})


def test_urns_carry_the_types_of_their_parents() -> None:
    stack = urn_of("dev", "demo", "", "pulumi:pulumi:Stack", "demo-dev")
    site = urn_of("dev", "demo", stack, "demo:index:Site", "site")
    thing = urn_of("dev", "demo", site, "fake:index:Thing", "a")
    assert stack == "urn:pulumi:dev::demo::pulumi:pulumi:Stack::demo-dev"
    assert site == "urn:pulumi:dev::demo::demo:index:Site::site"
    assert thing == "urn:pulumi:dev::demo::demo:index:Site$fake:index:Thing::a"
