"""When a check fails: above a sum, above a change, above a change in percent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from costs.estimate import Report
from costs.money import Money

FORM = re.compile(r"(?P<sign>\+?)(?:(?P<currency>[A-Z]{3}) ?)?(?P<number>\d+(?:\.\d+)?)(?P<percent>%?)")
ALLOWED = '"500" or "EUR 500" (a sum), "+50" or "+EUR 50" (more than now), "+10%" (more than now, in percent)'


class ThresholdError(ValueError):
    """Not a threshold; the message says what is."""


@dataclass(frozen=True)
class Threshold:
    """`kind` is what is compared with `number`; without `currency` it holds for each."""

    text: str
    kind: str
    number: Decimal
    currency: str

    @classmethod
    def parse(cls, text: str) -> Threshold:
        """Raises ThresholdError."""
        found = FORM.fullmatch(text.strip())
        if not found or (found["percent"] and (found["currency"] or not found["sign"])):
            raise ThresholdError(f"--fail-above: {text!r}; allowed: {ALLOWED}")
        kind = "percent" if found["percent"] else "change" if found["sign"] else "sum"
        return cls(text, kind, Decimal(found["number"]), found["currency"] or "")

    def crossed(self, report: Report) -> Iterator[str]:
        """A sentence for each currency in which it is."""
        if self.kind == "sum" and not report.complete:
            yield f"--fail-above {self.text}: the total is unknown; make the preview with --show-sames"
            return
        for currency, after in report.after.amounts:
            before = report.before.amount(currency)
            if self.currency in ("", currency) and self._is_crossed(before, after):
                sides = f"from {Money.of(currency, before)} to {Money.of(currency, after)}"
                yield f"--fail-above {self.text}: {sides} a month"

    def _is_crossed(self, before: Decimal, after: Decimal) -> bool:
        if self.kind == "sum":
            return after > self.number
        if self.kind == "change":
            return after - before > self.number
        return after > before * (1 + self.number / 100)
