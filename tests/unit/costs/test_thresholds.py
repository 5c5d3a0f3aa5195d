"""When the check fails, and when it does not."""

from __future__ import annotations

from decimal import Decimal

import pytest

from costs.estimate import Assumptions, Report
from costs.thresholds import Threshold, ThresholdError
from tests.unit.costs.samples import change, report, stack

VOLUME = "hcloud:index/volume:Volume"
EIP = "aws:ec2/eip:Eip"


def volumes(before: int, after: int) -> Report:
    """EUR 0.0572 a GB."""
    return report(stack(change("~", VOLUME, {"size": before}, {"size": after})))


def crossed(text: str, found: Report) -> list[str]:
    return list(Threshold.parse(text).crossed(found))


@pytest.mark.parametrize(
    ("text", "before", "after", "fails"),
    [
        ("57.20", 1000, 1000, False),
        ("57.19", 1000, 1000, True),
        ("EUR 57.19", 1000, 1000, True),
        ("USD 1", 1000, 1000, False),
        ("+5.72", 1000, 1100, False),
        ("+5.71", 1000, 1100, True),
        ("+EUR 5.71", 1000, 1100, True),
        ("+0", 1000, 1000, False),
        ("+0", 1000, 1001, True),
        ("+0", 1001, 1000, False),
        ("+10%", 1000, 1100, False),
        ("+10%", 1000, 1101, True),
        ("+10%", 1000, 10, False),
    ],
)
def test_a_threshold_is_crossed_only_above_it(text: str, before: int, after: int, fails: bool) -> None:
    assert bool(crossed(text, volumes(before, after))) is fails


def test_a_new_stack_is_more_than_any_percentage() -> None:
    assert crossed("+1000%", report(stack(change("+", VOLUME, after={"size": 10}))))


def test_it_says_what_was_crossed_and_by_what() -> None:
    assert crossed("+1", volumes(1000, 2000)) == ["--fail-above +1: from EUR 57.20 to EUR 114.40 a month"]


def test_each_currency_is_compared_by_itself() -> None:
    both = report(stack(change("+", VOLUME, after={"size": 1000}), change("+", EIP, after={"region": "eu-central-1"})))
    assert crossed("60", both) == []
    assert crossed("3", both) == [
        "--fail-above 3: from EUR 0.00 to EUR 57.20 a month",
        "--fail-above 3: from USD 0.00 to USD 3.65 a month",
    ]


def test_a_sum_that_is_unknown_fails_rather_than_passes() -> None:
    partial = report(stack(change("=", VOLUME, {"size": 1}, {"size": 1}), complete=False))
    assert "the total is unknown" in crossed("1000", partial)[0]


@pytest.mark.parametrize("text", ["", "ten", "10%", "EUR", "+EUR 10%", "-5", "1e3", "5 5"])
def test_what_is_no_threshold_is_refused_with_what_is(text: str) -> None:
    with pytest.raises(ThresholdError, match="allowed"):
        Threshold.parse(text)


def test_vat_counts_where_it_is_asked_for() -> None:
    plan = stack(change("+", VOLUME, after={"size": 1000}))
    with_vat = report(plan, assumptions=Assumptions(vat_percent=Decimal(19)))
    assert str(with_vat.after) == "EUR 68.07"
