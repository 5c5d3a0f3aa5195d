"""Server types that are sold out or announced to go, by location."""

from __future__ import annotations

from typing import Any

import pytest
from hcloud import APIException
from hcloud.locations import Location
from hcloud.server_types import ServerType

from components.clouds.hetzner import Hetzner
from tests.unit.localcloud.hetzner.running_api import TOKEN, Api, HcloudClient, make_server, refusal
from tests.unit.stacks.example import plan


def test_sold_out_in_one_location(api: Api, client: HcloudClient) -> None:
    ident = stock(api, server_type="cx23", location="fsn1")
    assert places(client) == {"fsn1": (False, False), "nbg1": (True, True), "hel1": (True, True)}
    with pytest.raises(APIException, match="error during placement") as error:
        make_server(client)
    assert refusal(error) == "resource_unavailable"
    assert client.servers.get_all() == client.primary_ips.get_all() == []
    make_server(client, location=Location(name="nbg1"))
    assert api.raw("DELETE", f"/local/faults/{ident}").status_code == 200
    make_server(client, "two")


def test_no_other_type_while_it_is_sold_out(api: Api, client: HcloudClient) -> None:
    server = make_server(client)
    server.power_off().wait_until_finished()
    stock(api, server_type="cx33")
    with pytest.raises(APIException) as error:
        server.change_type(ServerType(name="cx33"), upgrade_disk=False)
    assert refusal(error) == "resource_unavailable"
    assert client.servers.get_by_id(server.id).server_type.name == "cx23"


def test_a_deprecated_type_is_still_sold(api: Api, client: HcloudClient) -> None:
    stock(api, server_type="cx23", deprecated=True)
    assert set(places(client).values()) == {(True, False)}
    for place in client.server_types.get_by_name("cx23").locations:
        assert (place.deprecation.unavailable_after - place.deprecation.announced).days == 90
    make_server(client)


@pytest.mark.parametrize("wrong", [{"server_type": "cx1"}, {"server_type": "cx23", "location": "ash"}])
def test_what_is_not_sold_cannot_be_sold_out(api: Api, wrong: dict[str, Any]) -> None:
    reply = api.raw("POST", "/local/faults", json={"fault": {"type": "stock", **wrong}})
    assert (reply.status_code, reply.json()["error"]["code"]) == (422, "invalid_input")


def stock(api: Api, **what: Any) -> int:
    reply = api.raw("POST", "/local/faults", json={"fault": {"type": "stock", **what}})
    assert reply.status_code == 201, reply.text
    return int(reply.json()["fault"]["id"])


def places(client: HcloudClient) -> dict[str, tuple[bool, bool]]:
    """(available, recommended) by location."""
    found = client.server_types.get_by_name("cx23").locations
    return {place.location.name: (place.available, place.recommended) for place in found}


def test_the_program_sees_what_is_sold_out_before_it_makes_anything(api: Api) -> None:
    stock(api, server_type="ccx23", location="fsn1")
    stock(api, server_type="cx23", location="fsn1", deprecated=True)
    cloud = Hetzner(TOKEN, f"{api.url}/v1")
    settled = cloud.settle(plan(server_types={"core": "ccx23", "gui": "cx23"}))
    assert [problem.split(";")[:2] for problem in settled.problems] == [
        ["server_types.core: ccx23", " fsn1 has none left today"]
    ]
    assert [warning.split(" and ")[0] for warning in settled.warnings] == [
        "server_types.gui: cx23 is deprecated in fsn1"
    ]
    settled = cloud.settle(plan(server_types={"core": ["ccx23", "ccx33"]}))
    assert (settled.plan.host("core-1").server_type, settled.plan.host("core-1").size) == ("ccx33", 8)
    assert settled.problems == ()
