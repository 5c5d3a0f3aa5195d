"""Media of calls: bytes by arithmetic that can be done by hand, and what remains to be paid."""

from __future__ import annotations

from decimal import Decimal

import pytest

from costs.prices import NotPricedError
from costs.traffic import Traffic, charge
from tests.unit.costs import samples

CORE = {"serverType": "ccx23", "location": "fsn1"}
TERABYTE = 1024**4


@pytest.mark.parametrize(("codec", "kbit"), [("g711", "87.2"), ("g722", "87.2"), ("g729", "31.2"), ("opus", "55.2")])
def test_a_call_sends_two_streams_of_its_codec(codec: str, kbit: str) -> None:
    """87.2 kbit/s is the figure that everybody quotes for G.711 on Ethernet with packets of 20 ms."""
    seconds = 3600
    assert Traffic(1, codec, Decimal(1)).bytes_out == 2 * Decimal(kbit) * 1000 / 8 * seconds


def test_what_the_servers_include_is_free() -> None:
    """1000 cc x 174.4 kbit/s x 240 h = 18.8 TB (17.1 TiB); each server has 20."""
    assert str(charge(Traffic(1000, "g711", Decimal(240)), [CORE], samples.HETZNER, "fsn1").amount) == "EUR 0.00"


def test_each_server_has_its_own_and_the_rest_is_paid_by_the_terabyte() -> None:
    traffic = Traffic(10_000, "g711", Decimal(240))
    tebibytes = Decimal(10_000) * 174_400 / 8 * 3600 * 240 / TERABYTE
    two = charge(traffic, [CORE, CORE], samples.HETZNER, "fsn1").amount
    assert two.amount("EUR") == pytest.approx(tebibytes - 40)
    assert round(two.amount("EUR"), 2) == Decimal("131.31")


def test_at_aws_the_first_hundred_gigabytes_are_free_and_then_steps_get_cheaper() -> None:
    traffic = Traffic(1000, "g711", Decimal(240))
    gigabytes = Decimal(1000) * 174_400 / 8 * 3600 * 240 / 1024**3 - 100
    by_hand = 10240 * Decimal("0.09") + (gigabytes - 10240) * Decimal("0.085")
    assert charge(traffic, [], samples.AWS, "eu-central-1").amount.amount("USD") == pytest.approx(by_hand)


def test_without_a_server_that_is_known_to_relay_media_nothing_is_claimed() -> None:
    with pytest.raises(NotPricedError, match="no server"):
        charge(Traffic(1000, "g711", Decimal(240)), [], samples.HETZNER, "fsn1")
