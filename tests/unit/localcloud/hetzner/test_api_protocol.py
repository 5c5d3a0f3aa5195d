"""What holds for all operations: errors, the token, pages, sorting, labels, actions, and a restart."""

from __future__ import annotations

import time

import pytest
from hcloud import APIException

from localcloud.hetzner import catalog
from localcloud.hetzner.limits import Budget
from tests.unit.localcloud.hetzner.running_api import Api, HcloudClient, eventually, make_server, refusal


def test_without_a_token(api: Api) -> None:
    for token, message in ((None, "token is required"), ("x" * 64, "the token you have provided is invalid")):
        reply = api.raw("GET", "/v1/servers", token=token)
        assert reply.status_code == 401
        assert reply.json() == {"error": {"code": "unauthorized", "message": message, "details": None}}


def test_a_path_is_looked_up_before_the_token_and_a_method_after_it(api: Api) -> None:
    reply = api.raw("GET", "/v1/nonsense", token=None)
    assert (reply.status_code, reply.json()["error"]["message"]) == (404, "api route not found")
    assert api.raw("PUT", "/v1/servers", token=None).status_code == 401
    reply = api.raw("PUT", "/v1/servers")
    assert (reply.status_code, reply.json()["error"]["code"]) == (405, "method_not_allowed")


def test_control_routes_need_the_token_too(api: Api) -> None:
    assert api.raw("GET", "/local/servers", token=None).status_code == 401


def test_broken_json(api: Api) -> None:
    reply = api.raw("POST", "/v1/networks", data=b"{")
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "json_error")


def test_all_wrong_fields_are_named(api: Api) -> None:
    reply = api.raw("POST", "/v1/networks", json={"ip_range": 7, "routse": []})
    error = reply.json()["error"]
    assert [field["name"] for field in error["details"]["fields"]] == ["name", "ip_range", "routse"]
    assert "routse" in error["message"]


def test_not_found(client: HcloudClient) -> None:
    with pytest.raises(APIException, match="server with ID '42' not found") as error:
        client.servers.get_by_id(42)
    assert refusal(error) == "not_found"


def test_rate_limit_headers_and_429(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = api.raw("GET", "/v1/locations").headers
    assert headers["RateLimit-Limit"] == "3600"
    assert int(headers["RateLimit-Remaining"]) == 3599
    monkeypatch.setattr(Budget, "refilled", lambda self, now: Budget(0.5, now))
    reply = api.raw("GET", "/v1/locations")
    assert (reply.status_code, reply.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert reply.headers["RateLimit-Remaining"] == "0"
    assert api.raw("GET", "/local/servers").status_code == 200


def test_errors_count_and_say_what_is_left(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Budget, "refilled", lambda self, now: self)
    statuses = [api.raw("GET", "/v1/servers/7"), api.raw("POST", "/v1/servers", json={}), api.raw("GET", "/v1/x")]
    assert [reply.status_code for reply in statuses] == [404, 422, 404]
    assert [reply.headers["RateLimit-Remaining"] for reply in statuses] == ["3599", "3598", "3597"]
    assert int(statuses[0].headers["RateLimit-Reset"]) == pytest.approx(time.time(), abs=60)


@pytest.mark.parametrize(("spent_s_ago", "left"), [(0.0, 0), (1.0, 1), (10.0, 10), (7200.0, 3600)])
def test_requests_come_back_one_a_second(spent_s_ago: float, left: int) -> None:
    assert int(Budget(0.0, 100.0).refilled(100.0 + spent_s_ago).remaining) == left


def make_groups(client: HcloudClient, count: int) -> None:
    for number in range(count):
        labels = {"parity": "odd" if number % 2 else "even", **({"first": ""} if number == 0 else {})}
        client.placement_groups.create(name=f"g{number:02}", type="spread", labels=labels)


def test_pages(api: Api, client: HcloudClient) -> None:
    make_groups(client, 7)
    reply = api.raw("GET", "/v1/placement_groups?per_page=3&page=2")
    assert [group["name"] for group in reply.json()["placement_groups"]] == ["g03", "g04", "g05"]
    assert reply.json()["meta"]["pagination"] == {
        "page": 2,
        "per_page": 3,
        "previous_page": 1,
        "next_page": 3,
        "last_page": 3,
        "total_entries": 7,
    }
    assert reply.links["prev"]["url"].endswith("per_page=3&page=1")
    assert reply.links["next"]["url"].endswith("per_page=3&page=3")
    assert len(client.placement_groups.get_all()) == 7
    assert api.raw("GET", "/v1/placement_groups?page=9").json()["placement_groups"] == []
    assert api.raw("GET", "/v1/placement_groups?page=0").status_code == 422


def test_sorting(client: HcloudClient, api: Api) -> None:
    make_groups(client, 3)
    assert [group.name for group in client.placement_groups.get_all(sort=["name:desc"])] == ["g02", "g01", "g00"]
    assert api.raw("GET", "/v1/placement_groups?sort=labels").status_code == 422


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("parity=odd", ["g01", "g03"]),
        ("parity==even,!first", ["g02"]),
        ("parity!=odd", ["g00", "g02"]),
        ("first", ["g00"]),
        ("parity in (odd, none)", ["g01", "g03"]),
        ("parity notin (odd),first", ["g00"]),
    ],
)
def test_label_selectors(client: HcloudClient, selector: str, found: list[str]) -> None:
    make_groups(client, 4)
    groups = client.placement_groups.get_all(label_selector=selector)
    assert [group.name for group in groups] == found


def test_a_wrong_label_selector(client: HcloudClient) -> None:
    with pytest.raises(APIException) as error:
        client.servers.get_all(label_selector="a=b=c")
    assert refusal(error) == "invalid_input"


def test_filters_by_name_and_status(client: HcloudClient) -> None:
    make_server(client, "one")
    make_server(client, "two").power_off().wait_until_finished()
    assert client.servers.get_by_name("two").status == "off"
    assert client.servers.get_by_name("three") is None
    assert [each.name for each in client.servers.get_list(status=["running"]).servers] == ["one"]


def test_polling_actions_as_hcloud_go_does(api: Api, client: HcloudClient) -> None:
    server = make_server(client)
    api.backend.go_on.clear()
    running = server.power_off()
    assert client.ssh_keys.get_all() == []
    ids = [action.id for action in server.get_actions()]
    query = "&".join(f"id={ident}" for ident in ids)
    actions = api.raw("GET", f"/v1/actions?{query}&page=1&sort=status&sort=id").json()["actions"]
    assert [(action["command"], action["status"]) for action in actions] == [
        ("stop_server", "running"),
        ("create_server", "success"),
        ("start_server", "success"),
    ]
    api.backend.go_on.set()
    running.wait_until_finished()
    assert api.raw("GET", f"/v1/actions?id={running.id}&id=999999").json()["actions"][0]["status"] == "success"


def test_progress(api: Api, client: HcloudClient) -> None:
    """An action with three steps, held in the last: two thirds are done."""
    server = make_server(client)
    api.backend.held = "start"
    api.backend.go_on.clear()
    action = server.reset()
    assert eventually(lambda: client.actions.get_by_id(action.id).progress == 66)
    assert client.actions.get_by_id(action.id).finished is None
    api.backend.go_on.set()
    action.wait_until_finished()
    ended = client.actions.get_by_id(action.id)
    assert (ended.progress, ended.status, ended.error) == (100, "success", None)
    assert ended.finished >= ended.started


def test_listing_all_actions_was_removed(api: Api) -> None:
    reply = api.raw("GET", "/v1/actions")
    assert (reply.status_code, reply.json()["error"]["code"]) == (410, "deprecated_api_endpoint")


def test_actions_of_a_resource(api: Api, client: HcloudClient) -> None:
    one, two = make_server(client, "one"), make_server(client, "two")
    action = two.power_off()
    action.wait_until_finished()
    newest = two.get_actions(status=["success"], sort=["id:desc"])[0]
    assert newest.command == "stop_server"
    assert api.raw("GET", f"/v1/servers/{two.id}/actions/{action.id}").json()["action"]["id"] == action.id
    assert api.raw("GET", f"/v1/servers/{one.id}/actions/{action.id}").status_code == 404
    assert api.raw("GET", f"/v1/servers/actions/{action.id}").status_code == 200
    assert api.raw("GET", f"/v1/volumes/actions/{action.id}").status_code == 404
    assert len(client.servers.actions.get_all()) == 5
    assert client.actions.get_by_id(action.id).resources == [{"id": two.id, "type": "server"}]


def test_a_restart_forgets_nothing(api: Api) -> None:
    client = api.client()
    server = make_server(client, labels={"a": "b"})
    vip = client.floating_ips.create(type="ipv4", server=server)
    vip.action.wait_until_finished()
    paths = [f"/v1/{kind}" for kind in ("servers", "floating_ips", "primary_ips")] + [f"/v1/actions/{vip.action.id}"]
    before = [api.raw("GET", path).json() for path in paths]
    api.stop()
    api.start()
    assert [api.raw("GET", path).json() for path in paths] == before
    assert before[0]["servers"][0]["status"] == "running"


def test_an_action_cut_short_is_finished_after_the_restart(api: Api) -> None:
    server = make_server(api.client())
    api.backend.go_on.clear()
    action = server.power_off()
    api.stop()
    api.backend.go_on.set()
    api.start()
    client = api.client()
    client.actions.get_by_id(action.id).wait_until_finished()
    assert client.servers.get_by_id(server.id).status == "off"


def test_an_action_that_fails_after_the_restart_says_so(api: Api) -> None:
    server = make_server(api.client())
    api.backend.go_on.clear()
    action = server.power_off()
    api.stop()
    api.backend.fault = "cut_power"
    api.backend.go_on.set()
    api.start()
    client = api.client()
    taken_up = client.actions.get_by_id(action.id)
    while taken_up.status == "running":
        taken_up.reload()
    assert (taken_up.status, taken_up.error["message"]) == ("error", "cut_power was told to fail")
    assert client.servers.get_by_id(server.id).status == "running"


def test_a_lock_survives_the_restart(api: Api) -> None:
    server = make_server(api.client())
    api.backend.go_on.clear()
    server.power_off()
    api.stop()
    api.start()
    client = api.client()
    assert client.servers.get_by_id(server.id).locked
    with pytest.raises(APIException) as error:
        client.servers.get_by_id(server.id).power_on()
    assert refusal(error) == "locked"


def test_a_fault_in_the_cloud_itself_is_a_500_without_details(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> object:
        raise RuntimeError("secret")

    monkeypatch.setattr(catalog, "pricing_view", broken)
    reply = api.raw("GET", "/v1/pricing")
    assert (reply.status_code, reply.json()["error"]["code"]) == (500, "server_error")
    assert "secret" not in reply.text


def test_a_refused_request_leaves_no_trace(api: Api, client: HcloudClient) -> None:
    body = {"name": "fw", "rules": [], "apply_to": [{"type": "server", "server": {"id": 7}}]}
    assert api.raw("POST", "/v1/firewalls", json=body).status_code == 422
    assert client.firewalls.get_all() == []
