"""The report as JSON, for programs: amounts are texts with all their decimals, net unless VAT was asked for."""

from __future__ import annotations

from typing import Any

from costs import report as words
from costs.charges import Charge
from costs.estimate import Position, Report, StackEstimate
from costs.money import Money
from costs.prices import PriceList


def document(report: Report) -> dict[str, Any]:
    """Everything that the comment says, and every position behind it."""
    return {
        "headline": words.headline(report),
        "warnings": words.warnings(report),
        "total": _sides(report.before, report.after),
        "complete": report.complete,
        "vat_percent": str(report.assumptions.vat_percent),
        "hours_a_month": str(report.assumptions.hours),
        "stacks": [_stack(stack) for stack in report.stacks],
        "prices": [_prices(prices) for prices in report.prices],
    }


def _stack(stack: StackEstimate) -> dict[str, Any]:
    return {
        "stack": stack.plan.stack,
        "source": stack.plan.source,
        "complete": stack.plan.complete,
        "total": _sides(stack.before, stack.after),
        "media": {"before": _charge(stack.media_before), "after": _charge(stack.media_after)},
        "unpriced": stack.unpriced,
        "resources": [_position(position) for position in stack.positions if _matters(position)],
    }


def _position(position: Position) -> dict[str, Any]:
    return {
        "sign": position.change.sign,
        "type": position.change.type,
        "name": position.change.name,
        "host": position.change.host,
        "before": [_charge(charge) for charge in position.before],
        "after": [_charge(charge) for charge in position.after],
    }


def _matters(position: Position) -> bool:
    return bool(position.before or position.after or position.change.sign != "=")


def _charge(charge: Charge | None) -> dict[str, Any] | None:
    if charge is None:
        return None
    return {"what": charge.what, "quantity": charge.quantity, "a_month": _money(charge.amount)}


def _sides(before: Money, after: Money) -> dict[str, dict[str, str]]:
    return {"before": _money(before), "after": _money(after), "change": _money(after - before)}


def _money(money: Money) -> dict[str, str]:
    return {currency: f"{amount:f}" for currency, amount in money.amounts}


def _prices(prices: PriceList) -> dict[str, Any]:
    return {
        "provider": prices.provider,
        "currency": prices.currency,
        "day": str(prices.day),
        "source": prices.source,
        "live": prices.live,
        "notes": list(prices.notes),
    }
