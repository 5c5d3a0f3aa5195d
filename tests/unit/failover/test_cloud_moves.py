"""Moving an address through an API that is slow, locked, broken or silent, in virtual time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failover.cloud import CloudError
from failover.config import Address, Member
from tests.unit.failover.fake_api import (
    ADDRESSES,
    BACKUP,
    FLOATING,
    LOST_AFTER,
    LOST_BEFORE,
    MAIN,
    NETWORK_DESTINATION,
    ROUTE,
    TIMED_OUT,
    TOKEN,
    TRANSIENT,
    UNAUTHORIZED,
    FakeApi,
    Fault,
)

BUDGET = 30.0
"""Seconds that a move has."""

KINDS = pytest.mark.parametrize("kind", ADDRESSES)


def move(api: FakeApi, address: Address, to: Member = BACKUP, budget: float = BUDGET) -> None:
    api.client().assign(address, to, api.clock + budget)


@KINDS
@pytest.mark.parametrize("holder", [None, MAIN, BACKUP], ids=lambda m: m.name if m else "nobody")
def test_the_holder_is_told(kind: str, holder: Member | None) -> None:
    api = FakeApi()
    api.gives(ADDRESSES[kind], holder)
    assert api.client().holder(ADDRESSES[kind], api.clock + 5) == (holder.name if holder else None)


def test_somebody_who_is_no_member_is_told_apart_from_nobody() -> None:
    api = FakeApi(floating_server=3, routes={NETWORK_DESTINATION: "10.0.0.31"})
    assert api.client().holder(FLOATING, api.clock + 5) == "?"
    assert api.client().holder(ROUTE, api.clock + 5) == "?"


@KINDS
@pytest.mark.parametrize("before", [None, MAIN], ids=["from nobody", "from the other"])
def test_a_move_ends_when_the_address_is_there(kind: str, before: Member | None) -> None:
    api = FakeApi()
    api.gives(ADDRESSES[kind], before)
    move(api, ADDRESSES[kind])
    assert api.holder(ADDRESSES[kind]) == BACKUP.name
    assert api.asked[-1][0] == "GET", "the owner is read back"


def test_a_floating_ip_moves_in_one_call_and_is_never_unassigned() -> None:
    api = FakeApi()
    api.gives(FLOATING, MAIN)
    move(api, FLOATING)
    assert api.moves == ["assign"]


@pytest.mark.parametrize(
    ("before", "moves"),
    [(None, ["add_route"]), (MAIN, ["delete_route", "add_route"]), (BACKUP, [])],
    ids=["from nobody", "from the other", "to the holder"],
)
def test_a_route_is_deleted_only_when_it_leads_elsewhere(before: Member | None, moves: list[str]) -> None:
    api = FakeApi()
    api.gives(ROUTE, before)
    move(api, ROUTE)
    assert api.moves == moves


@KINDS
@pytest.mark.parametrize("at", ["the first call", "the second call", "a look", "three calls"])
@pytest.mark.parametrize("fault", TRANSIENT)
def test_a_fault_that_passes_does_not_stop_a_move(kind: str, fault: str, at: str) -> None:
    happens = TRANSIENT[fault]
    script: dict[str, tuple[list[Fault | None], list[Fault | None]]] = {
        "the first call": ([happens], []),
        "the second call": ([None, happens], []),
        "a look": ([], [happens]),
        "three calls": ([happens] * 3, []),
    }
    posts, gets = script[at]
    api = FakeApi(posts=list(posts), gets=list(gets))
    api.gives(ADDRESSES[kind], MAIN)
    move(api, ADDRESSES[kind])
    assert api.holder(ADDRESSES[kind]) == BACKUP.name


@KINDS
def test_a_reply_that_is_lost_after_the_work_costs_one_look_and_not_the_whole_deadline(kind: str) -> None:
    api = FakeApi(posts=[LOST_AFTER])
    move(api, ADDRESSES[kind])
    assert api.holder(ADDRESSES[kind]) == BACKUP.name
    assert api.clock < 1000 + TIMED_OUT + 5


@KINDS
@pytest.mark.parametrize("fault", [name for name, fault in TRANSIENT.items() if not fault.action_takes])
def test_a_fault_that_stays_is_told_at_the_deadline_with_what_was_wanted(kind: str, fault: str) -> None:
    happens = TRANSIENT[fault]
    api = FakeApi(always=happens)
    with pytest.raises(CloudError) as raised:
        move(api, ADDRESSES[kind])
    assert ADDRESSES[kind].name in str(raised.value)
    assert BACKUP.name in str(raised.value)
    assert happens.status is None or str(happens.status) in str(raised.value)
    assert 1000 + BUDGET - 3 <= api.clock <= 1000 + BUDGET + TIMED_OUT


@KINDS
def test_an_action_that_takes_longer_than_the_deadline_is_told_then(kind: str) -> None:
    api = FakeApi(posts=[Fault(action_takes=300)])
    with pytest.raises(CloudError, match="still running"):
        move(api, ADDRESSES[kind])
    assert api.clock <= 1000 + BUDGET + TIMED_OUT


@KINDS
def test_an_api_that_says_yes_and_does_nothing_is_not_believed(kind: str) -> None:
    api = FakeApi(deaf=True)
    with pytest.raises(CloudError, match="has not moved"):
        move(api, ADDRESSES[kind])
    assert len(api.moves) > 3


@KINDS
@given(budget=st.floats(10, 40))
def test_an_api_that_answers_everything_slowly_does_not_prolong_a_move_far_beyond_its_deadline(
    kind: str, budget: float
) -> None:
    """Hosts wait 35 s for a mover whose move has 30; then they ask the other one."""
    api = FakeApi(latency=2.9, deaf=True)
    api.gives(ADDRESSES[kind], MAIN)
    with pytest.raises(CloudError):
        move(api, ADDRESSES[kind], budget=budget)
    assert api.clock <= 1000 + budget + 5


@KINDS
@pytest.mark.parametrize("fault", [name for name, fault in TRANSIENT.items() if fault.status or fault.lost])
def test_a_look_goes_on_after_a_fault_that_passes(kind: str, fault: str) -> None:
    api = FakeApi(gets=[TRANSIENT[fault]] * 2)
    api.gives(ADDRESSES[kind], MAIN)
    assert api.client().holder(ADDRESSES[kind], api.clock + 15) == MAIN.name


def test_a_look_ends_at_its_deadline() -> None:
    api = FakeApi(always=LOST_BEFORE)
    with pytest.raises(CloudError, match="did not answer"):
        api.client().holder(ROUTE, api.clock + 5)
    assert api.clock <= 1000 + 5 + TIMED_OUT


@KINDS
def test_a_refusal_that_will_not_pass_is_told_at_once(kind: str) -> None:
    api = FakeApi(always=UNAUTHORIZED)
    with pytest.raises(CloudError, match="401 unauthorized"):
        api.client().holder(ADDRESSES[kind], api.clock + 5)
    assert len(api.asked) == 1


def test_a_missing_address_network_or_server_is_named() -> None:
    elsewhere = replace(FLOATING, where={"name": "other-sip"})
    api = FakeApi()
    with pytest.raises(CloudError, match="other-sip"):
        api.client().holder(elsewhere, api.clock + 5)
    with pytest.raises(CloudError, match="s-database-2"):
        move(FakeApi(servers={MAIN.server: 1}), FLOATING)


@pytest.mark.parametrize("text", ["<html>Bad Gateway</html>", "", "{", "[]", "{}"])
def test_an_answer_that_is_not_the_apis_is_an_error_of_the_cloud(text: str) -> None:
    api = FakeApi(always=Fault(text=text))
    with pytest.raises(CloudError):
        api.client().holder(ROUTE, api.clock + 5)


def test_a_rebuilt_server_gets_the_address_under_its_new_number() -> None:
    api = FakeApi()
    client = api.client()
    client.assign(FLOATING, BACKUP, api.clock + BUDGET)
    client.assign(FLOATING, MAIN, api.clock + BUDGET)
    api.servers[BACKUP.server] = 9
    client.assign(FLOATING, BACKUP, api.clock + BUDGET)
    assert api.floating_server == 9


def test_a_rebuilt_server_is_known_as_the_holder_under_its_new_number() -> None:
    """The other mover may have given it the address."""
    api = FakeApi()
    client = api.client()
    client.assign(FLOATING, BACKUP, api.clock + BUDGET)
    api.servers[BACKUP.server] = api.floating_server = 9
    assert client.holder(FLOATING, api.clock + 5) == BACKUP.name


def test_a_route_that_somebody_else_adds_in_between_is_taken_over_by_a_move() -> None:
    def quicker(api: FakeApi) -> None:
        api.routes[NETWORK_DESTINATION] = MAIN.ip

    api = FakeApi(meanwhile=quicker)
    move(api, ROUTE)
    assert api.holder(ROUTE) == BACKUP.name


@KINDS
def test_every_request_has_a_timeout_the_token_and_follows_no_redirect(kind: str) -> None:
    api = FakeApi()
    api.gives(ADDRESSES[kind], MAIN)
    move(api, ADDRESSES[kind])
    for options in api.options:
        assert options["timeout"] == (1.0, 3.0)
        assert options["headers"] == {"Authorization": f"Bearer {TOKEN}"}
        assert options["allow_redirects"] is False


FAULTS = st.none() | st.sampled_from(list(TRANSIENT.values()))


@given(
    st.sampled_from(sorted(ADDRESSES)),
    st.sampled_from([None, MAIN, BACKUP]),
    st.lists(FAULTS, max_size=8),
    st.lists(FAULTS, max_size=8),
)
def test_whatever_happens_a_move_that_ends_well_has_moved_and_one_that_does_not_is_told_in_time(
    kind: str, before: Member | None, posts: list[Fault | None], gets: list[Fault | None]
) -> None:
    api = FakeApi(posts=posts, gets=gets)
    api.gives(ADDRESSES[kind], before)
    try:
        move(api, ADDRESSES[kind])
    except CloudError as error:
        assert TOKEN not in str(error)
    else:
        assert api.holder(ADDRESSES[kind]) == BACKUP.name
    assert api.clock <= 1000 + BUDGET + 2 * TIMED_OUT
