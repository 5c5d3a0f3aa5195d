"""What a reviewer is told besides the price, from real previews and from settings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from costs import effects, settings
from costs.model import Change, StackPlan
from tests.unit.costs import samples
from tests.unit.costs.samples import change, stack
from tests.unit.stacks import example

VENDOR = {"core": {"script": "scripts/setup", "sha256": "0" * 64, "licence": "key"}}
SERVER = "hcloud:index/server:Server"
PRIMARY_IP = "hcloud:index/primaryIp:PrimaryIp"


def told(plan: StackPlan) -> str:
    return "\n".join(effects.warnings(plan))


def site(**changes: Any) -> settings.Site:
    return settings.from_config("full-test", example.config({**example.USUAL, **changes}))


def labelled(host: str) -> dict[str, Any]:
    return {"labels": {"m2-host": host}, "serverType": "ccx23", "location": "fsn1"}


def test_a_server_replaced_by_trigger_has_its_reason_from_the_settings_difference() -> None:
    """The preview's own reasons are all empty: research on the CLI, and the sample says so."""
    plan = samples.with_settings("full-rebuild")
    [server] = [each for each in plan.changes if each.is_server and each.sign == "+-"]
    assert server.reasons == ()
    assert "Server fsn1-core-2 is replaced (rebuild.core-2 went from 0 to 1)" in told(plan)


def test_a_replaced_server_keeps_an_address_that_is_a_resource_of_its_own() -> None:
    assert "it keeps its public address. No licence is lost: no vendor's software runs there." in told(
        samples.with_settings("full-rebuild")
    )


def test_a_replaced_server_with_the_vendors_software_needs_a_new_licence() -> None:
    old, new = site(vendor=VENDOR), site(vendor=VENDOR, rebuild={"core-1": 1})
    assert "The licence of the vendor's core is bound to the old server: order a new one before the merge." in told(
        settings.compare(old, new)
    )


def test_settings_alone_know_of_a_rebuild_too() -> None:
    plan = settings.compare(site(), site(rebuild={"database-2": 1}))
    assert "Server fsn1-database-2 is replaced (rebuild.database-2 went from 0 to 1): it keeps its public" in told(plan)
    assert "the other database takes the database address" in told(plan)
    assert "its data volume stays" in told(plan)


def test_a_command_that_is_replaced_is_no_server_that_is() -> None:
    plan = samples.with_settings("full-rebuild")
    assert [each.kind for each in plan.changes if each.sign == "+-"].count("command:Command") == 1
    assert told(plan).count("is replaced") == 1


def test_a_server_whose_address_was_made_with_it_loses_it() -> None:
    plan = samples.plan("embedded-spike-replace")
    assert "Server p-0 is replaced (userData changed): its public address was made with it and is lost" in told(plan)


def test_without_unchanged_resources_nothing_is_claimed_of_an_address() -> None:
    replaced = change("+-", SERVER, labelled("core-1"), labelled("core-1"))
    assert "it keeps its public address if" in told(stack(replaced, complete=False))


def test_an_address_that_goes_or_is_exchanged_is_told() -> None:
    gone = change("-", PRIMARY_IP, {"type": "ipv4"}, name="old-ip")
    other = replace(change("+-", PRIMARY_IP, {}, {}, name="new-ip"), reasons=("location",))
    text = told(stack(gone, other))
    assert "Address old-ip is given back to the provider: nobody gets the same one again." in text
    assert "Address new-ip is replaced (location changed): carriers must be told the new one." in text


def test_a_new_server_type_is_downtime_in_place() -> None:
    text = told(samples.with_settings("full-type"))
    assert "Server fsn1-database-1 goes from ccx23 to ccx33: it is powered off for minutes" in text
    assert "(the other database takes the database address)" in text


@pytest.mark.parametrize(
    ("others", "expected"), [((), "there is no other core"), (("core-2",), "calls on it end, new ones go to the other")]
)
def test_who_takes_the_place_of_a_replaced_host(others: tuple[str, ...], expected: str) -> None:
    replaced = change("+-", SERVER, labelled("core-1"), labelled("core-1"))
    rest = [change("=", SERVER, labelled(host), labelled(host), host) for host in others]
    assert expected in told(stack(replaced, *rest))


def test_a_volume_that_goes_takes_its_data_along() -> None:
    assert "Volume it is deleted: its data is lost." in told(stack(change("-", "hcloud:index/volume:Volume", {})))


def test_prices_from_before_the_last_change_of_prices_are_lost_when_a_server_is_touched() -> None:
    assert "ordered before 2026-06-15" in told(samples.with_settings("full-type"))
    assert "ordered before 2026-06-15" not in told(samples.with_settings("full-cores"))


@pytest.mark.parametrize(
    "name", ["full-nochange-sames", "full-new", "full-cores", "full-carriers", "spike-label-change"]
)
def test_what_is_harmless_needs_no_warning(name: str) -> None:
    assert told(samples.with_settings(name)) == ""


def test_removing_cores_says_that_their_addresses_are_gone() -> None:
    text = told(settings.compare(site(cores=4), site(cores=3)))
    assert "Server fsn1-core-4 is deleted, with its own disk." in text
    assert "Address fsn1-core-4-ip is given back to the provider together with its server" in text


def test_a_renamed_licence_holder_is_still_known_when_it_is_removed() -> None:
    plan = settings.compare(site(vendor=VENDOR, cores=3), site(vendor=VENDOR, cores=2))
    assert "The licence of the vendor's core there becomes free." in told(plan)


def test_a_preview_without_known_settings_says_that_a_licence_may_be_there() -> None:
    replaced = Change("+-", SERVER, "s", {}, {})
    assert "If the vendor's software runs there, its licence" in told(stack(replaced))
