"""An estimate in words: one sentence, the table of stacks, what changes, what is not priced, what to look out for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from costs import differences, effects
from costs.estimate import Position, Report, Side, StackEstimate
from costs.model import Sign, Workload, host_kind
from costs.money import Money, signed
from costs.prices import PriceList

MOST_CAUSES = 2
DONE: dict[Sign, str] = {
    "+": "created",
    "~": "changed in place",
    "+-": "replaced",
    "-": "deleted",
    "=": "unchanged",
}
SIZES = ("serverType", "instanceType", "size", "type")


@dataclass(frozen=True)
class Row:
    """One line of the table of stacks, every cell as it is shown."""

    stack: str
    before: str
    after: str
    change: str
    capacity: str
    per_1000_cc: str


def headline(report: Report) -> str:
    """What it will cost, by how much that differs and why, in one sentence."""
    if len(report.stacks) == 1:
        return _of_stack(report.stacks[0])
    names = f"{len(report.stacks)} stacks"
    causes = [f"{_causes(stack)} in {stack.plan.stack}" for stack in report.stacks if _causes(stack)]
    why = f", because of {_joined(causes)}" if causes else ""
    sentence = _sentence(names, report, why, plural=True)
    return sentence + _replacements(report.stacks) + _missing(report.stacks)


def rows(report: Report) -> list[Row]:
    """A row a stack, and one for all where there are several."""
    found = [_row(stack) for stack in report.stacks]
    if len(found) > 1:
        found.append(Row("all", _total(report, "before"), _total(report, "after"), signed(report.delta), "", ""))
    return found


def changes(stack: StackEstimate) -> list[str]:
    """A line for everything that changes: what has no price, then the dearest first."""
    ordered = sorted(stack.changed, key=lambda p: (not p.unpriced, -_weight(p.delta), p.change.name))
    return [_line(position, stack) for position in ordered]


def notes(report: Report) -> list[str]:
    """Where the prices come from and what the totals rest on."""
    used = prices_used(report)
    found = [f"Prices of {p.name} in {p.currency}: {p.source}, {p.day}{_live(p.live)}." for p in used]
    found += [f"{note}" for prices in used for note in prices.notes]
    vat = report.assumptions.vat_percent
    found.append(f"With {vat:f} % VAT." if vat else "Without VAT.")
    found += [f"{stack.plan.stack}: {media}" for stack in report.stacks for media in _media(stack)]
    settings = [stack.plan.stack for stack in report.stacks if stack.plan.source == "settings"]
    if settings:
        found.append(f"From settings alone, without asking the provider what exists: {', '.join(settings)}.")
    return found


def prices_used(report: Report) -> list[PriceList]:
    """The lists that a total of the report rests on."""
    return [prices for prices in report.prices if any(_uses(stack, prices.currency) for stack in report.stacks)]


def counts(stack: StackEstimate) -> str:
    """How much changes: "2 created, 1 replaced, 41 unchanged"."""
    number = Counter(position.change.sign for position in stack.positions)
    return ", ".join(f"{number[sign]} {word}" for sign, word in DONE.items() if number[sign]) or "nothing known"


def warnings(report: Report) -> list[str]:
    """What a reviewer must know besides the price."""
    several = len(report.stacks) > 1
    found = [
        f"{stack.plan.stack}: {text}" if several else text
        for stack in report.stacks
        for text in effects.warnings(stack.plan)
    ]
    old = [prices.warning(report.today) for prices in prices_used(report)]
    return [*found, *report.warnings, *filter(None, old)]


def _of_stack(stack: StackEstimate) -> str:
    causes = _causes(stack)
    why = f", because of {causes}" if causes else ""
    sentence = _sentence(stack.plan.stack, stack, why)
    return sentence + _replacements([stack]) + _missing([stack])


def _sentence(who: str, report: Report | StackEstimate, why: str, plural: bool = False) -> str:
    before, after, delta = report.before, report.after, report.delta
    least = "at least " if report.lacks("after") else ""
    s = "" if plural else "s"
    if not report.complete:
        what = "this change does not change its cost" if delta.is_zero else f"{_more(delta)} a month{why}"
        return f"{who}: {what} (totals are unknown: the preview was made without --show-sames)."
    if delta.is_zero:
        return f"{who} cost{s} {least}{after} a month; this change does not change the cost."
    if before.is_zero:
        return f"{who} {'are' if plural else 'is'} new and will cost {least}{after} a month."
    if after.is_zero:
        return f"{who} go{'' if plural else 'es'} away and will cost nothing, {_more(delta)} a month."
    return f"{who} will cost {least}{after} a month, {_more(delta)}{why}."


def _more(delta: Money) -> str:
    parts = [(Money.of(currency, abs(amount)), amount < 0) for currency, amount in delta.amounts]
    return " and ".join(f"{money} {'less' if less else 'more'}" for money, less in parts if not money.is_zero)


def _replacements(stacks: Iterable[StackEstimate]) -> str:
    replaced = [p for stack in stacks for p in stack.changed if p.change.is_server and p.change.sign == "+-"]
    if not replaced:
        return ""
    return f" {len(replaced)} {'server is' if len(replaced) == 1 else 'servers are'} replaced, see below."


def _missing(stacks: Iterable[StackEstimate]) -> str:
    number = sum(len(stack.unpriced) for stack in stacks)
    return f" Not priced: {number} {'resource' if number == 1 else 'resources'}, see below." if number else ""


def _causes(stack: StackEstimate) -> str:
    """The dearest differences by what they are: "2 more core hosts"."""
    groups: dict[tuple[str, ...], list[str]] = {}
    weights: Counter[tuple[str, ...]] = Counter()
    hosts = {position.change.host: _cause(position) for position in stack.changed if position.change.is_server}
    for position in stack.changed:
        if position.delta.is_zero:
            continue
        cause = hosts.get(position.change.host, ()) or _cause(position)
        weights[cause] += _weight(position.delta)  # type: ignore[assignment]
        members = groups.setdefault(cause, [])
        if position.change.host not in members or not position.change.host:
            members.append(position.change.host)
    texts = [_cause_text(cause, len(groups[cause])) for cause, _ in weights.most_common()]
    texts += filter(None, [_media_cause(stack)])
    extra = len(texts) - MOST_CAUSES
    return _joined([*texts[:MOST_CAUSES], *([f"{extra} other causes"] if extra > 0 else [])])


def _cause(position: Position) -> tuple[str, ...]:
    change = position.change
    kind = host_kind(change.host)
    if change.sign in ("+", "-") and change.is_server and kind:
        return (change.sign, kind, "host")
    if change.sign in ("+", "-"):
        return (change.sign, _noun(change.kind))
    old, new = (_size(inputs) for inputs in (change.before, change.after))
    what = f"{kind} host" if change.is_server and kind else _noun(change.kind)
    return ("~", what, old, new)


def _cause_text(cause: tuple[str, ...], number: int) -> str:
    sign, *words = cause
    if sign == "~":
        what, old, new = words
        return f"{number} {_plural(what, number)} going from {old} to {new}"
    return f"{number} {'more' if sign == '+' else 'fewer'} {_plural(' '.join(words), number)}"


def _media_cause(stack: StackEstimate) -> str:
    if not (stack.media_before and stack.media_after):
        return ""
    delta = stack.media_after.amount - stack.media_before.amount
    return "" if delta.is_zero else f"{_more(delta)} for media traffic"


def _noun(kind: str) -> str:
    """ "floating ip" of hcloud:FloatingIp."""
    words = re.findall("[A-Z][a-z0-9]*", kind.partition(":")[2])
    return " ".join(words).lower()


def _plural(noun: str, number: int) -> str:
    if number == 1:
        return noun
    return f"{noun}es" if noun.endswith("s") else f"{noun}s"


def _row(stack: StackEstimate) -> Row:
    old, new = stack.plan.old, stack.plan.new
    return Row(
        stack=stack.plan.stack,
        before=_total(stack, "before"),
        after=_total(stack, "after"),
        change=signed(stack.delta),
        capacity=_arrow(_capacity(old), _capacity(new)),
        per_1000_cc=_arrow(_per_1000_cc(stack, "before", old), _per_1000_cc(stack, "after", new)),
    )


def _capacity(workload: Workload | None) -> str:
    return f"{workload.most_cc:,} cc, {workload.most_cps:,} CPS" if workload and workload.most_cc else ""


def _total(known: Report | StackEstimate, side: Side) -> str:
    if not known.complete:
        return "?"
    return f"{known.before if side == 'before' else known.after}{' + ?' if known.lacks(side) else ''}"


def _per_1000_cc(stack: StackEstimate, side: Side, workload: Workload | None) -> str:
    if workload is None or not workload.most_cc or not stack.complete or stack.lacks(side):
        return ""
    total = stack.before if side == "before" else stack.after
    return str(total.times(Decimal(1000) / workload.most_cc))


def _arrow(before: str, after: str) -> str:
    if not after:
        return "?"
    return after if before in ("", after) else f"{before} -> {after}"


def _line(position: Position, stack: StackEstimate) -> str:
    change = position.change
    details = [_price(position), *differences.between(change.before, change.after)]
    if change.sign == "+-" and change.is_server:
        details.append(effects.why_replaced(change, stack.plan))
    return f"{change.sign:>2} {change.kind:24} {change.name}  {'; '.join(filter(None, details))}".rstrip()


def _price(position: Position) -> str:
    change = position.change
    if position.unpriced:
        return f"NOT PRICED: {position.unpriced}"
    before, after = (Money.total(c.amount for c in charges) for charges in (position.before, position.after))
    sides = [str(money) for money, inputs in ((before, change.before), (after, change.after)) if inputs is not None]
    if not position.before and not position.after:
        return ""
    return " -> ".join(dict.fromkeys(sides)) + _what(position)


def _what(position: Position) -> str:
    charges = position.after or position.before
    return f" ({', '.join(charge.what for charge in charges)})" if charges else ""


def _media(stack: StackEstimate) -> Iterator[str]:
    if stack.media_after:
        now = f"{stack.media_before.amount} -> " if stack.media_before else ""
        yield f"{stack.media_after.what}, {stack.media_after.quantity}: {now}{stack.media_after.amount}, in the total."
    elif not stack.media_unpriced:
        yield "no media traffic in the total: the settings do not say how many calls."


def _uses(stack: StackEstimate, currency: str) -> bool:
    return any(currency in dict(money.amounts) for money in (stack.before, stack.after))


def _live(live: bool) -> str:
    return ", asked today" if live else ", a snapshot"


def _size(inputs: object) -> str:
    values = inputs if isinstance(inputs, dict) else {}
    found = next((values[name] for name in SIZES if name in values), "?")
    return f"{found} GB" if isinstance(found, int | float) else str(found)


def _weight(money: Money) -> Decimal:
    """For putting the dearest first; currencies are close enough for that."""
    return sum((abs(amount) for _, amount in money.amounts), Decimal(0))


def _joined(texts: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(texts[:-1]), *texts[-1:]]))
