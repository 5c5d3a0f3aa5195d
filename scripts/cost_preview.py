"""What stacks cost a month, and what a change does to that.

From `pulumi preview --json --show-sames` where there is one, else from the settings alone. Prices are the provider's
own where there is access (see `scripts/prices --help`), else those of the snapshot in the repository.

Exit codes: 0 all is well; 1 something could not be read; 2 wrong usage; 3 a --fail-above was crossed.
"""

from __future__ import annotations

import json
import sys
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from costs import as_json, comment, gather, report
from costs.estimate import Assumptions, Estimator, Report, clouds
from costs.gather import BaselineError
from costs.preview import PreviewError
from costs.settings import from_stack_file
from costs.sources import PricesError
from costs.thresholds import Threshold, ThresholdError
from scripts import mermaid, prices
from stacks.settings import SettingsError

PROJECT = Path(__file__).parent.parent
MOST_PICTURES = 6
HOURS = str(Assumptions.hours)
LOCAL = "-local"
"""How stacks on the local cloud end: they cost nothing."""

THRESHOLD_CROSSED = 3
USAGE = 2
say = Console(stderr=True, highlight=False)


class Form(StrEnum):
    TABLE = "table"
    MARKDOWN = "markdown"
    JSON = "json"


Stacks = Annotated[list[str] | None, typer.Argument(help="stacks, such as full-fsn1; default: all but local ones")]
Previews = Annotated[list[Path] | None, typer.Option("--preview", help="`pulumi preview --json`; may be repeated")]
Baseline = Annotated[str, typer.Option(help="compare settings with this commit, or this folder with a checkout")]
Format = Annotated[Form, typer.Option("--format", help="of the report")]
Output = Annotated[Path | None, typer.Option(help="write the report here instead of showing it")]
FailAbove = Annotated[list[str] | None, typer.Option(help="500, 'EUR 500', +50, '+EUR 50' or +10%; may be repeated")]
Hours = Annotated[str, typer.Option(help="hours a month at the full number of calls, for media traffic")]
Vat = Annotated[str, typer.Option(help="percent to add to the net prices")]
Offline = Annotated[bool, typer.Option("--offline", help="only the snapshots, even where there is access")]
Pictures = Annotated[bool, typer.Option(help="of the stacks, in the Markdown")]


def main(
    stacks: Stacks = None,
    preview: Previews = None,
    baseline: Baseline = "",
    form: Format = Form.TABLE,
    output: Output = None,
    fail_above: FailAbove = None,
    hours: Hours = HOURS,
    vat: Vat = "0",
    offline: Offline = False,
    pictures: Pictures = True,
) -> None:
    thresholds = [Threshold.parse(text) for text in fail_above or []]
    assumptions = Assumptions(_number("--hours", hours, 744), _number("--vat", vat, 100))
    found = make(stacks, preview or [], baseline, assumptions, offline)
    _write(found, form, output, _drawings(found) if pictures and form is Form.MARKDOWN else "")
    crossed = [sentence for threshold in thresholds for sentence in threshold.crossed(found)]
    for sentence in crossed:
        say.print(sentence, style="red", markup=False, soft_wrap=True)
    if crossed:
        raise typer.Exit(THRESHOLD_CROSSED)


def make(
    stacks: list[str] | None, previews: list[Path], baseline: str, assumptions: Assumptions, offline: bool
) -> Report:
    """The report of these stacks, else of all, or of the previews alone. Raises what `gather.plans` does."""
    now = gather.stack_files(PROJECT)
    before = gather.stack_files_at(PROJECT, baseline) if baseline else None
    every = sorted(stack for stack in {*now, *(before or {})} if not stack.endswith(LOCAL))
    wanted = stacks or ([] if previews else every)
    plans = gather.plans(wanted, previews, now, before)
    lists, trouble = prices.used(() if offline else clouds(plans))
    estimator = Estimator(lists, assumptions)
    estimates = tuple(estimator.stack(plan) for plan in plans)
    return Report(estimates, tuple(lists.values()), assumptions, prices.today(), tuple(trouble))


def _number(option: str, text: str, most: int) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal(-1)
    if not 0 <= number <= most:
        raise ThresholdError(f"{option}: {text!r}; allowed: a number from 0 to {most}")
    return number


def _drawings(found: Report) -> str:
    """Of the first stacks that there are settings for; a preview alone does not tell roles and ports."""
    files = gather.stack_files(PROJECT)
    drawn = [stack.plan.stack for stack in found.stacks if stack.plan.stack in files][:MOST_PICTURES]
    plans = [from_stack_file(stack, files[stack]).plan for stack in drawn]
    return "\n\n".join(f"{comment.plain(plan.stack)}\n\n```mermaid\n{mermaid.flowchart(plan)}\n```" for plan in plans)


def _write(found: Report, form: Form, output: Path | None, drawings: str) -> None:
    if form is Form.TABLE and output:
        with output.open("w") as stream:
            _show(found, Console(file=stream, highlight=False))
        return
    if form is Form.TABLE:
        _show(found, Console(highlight=False))
        return
    text = json.dumps(as_json.document(found), indent=2) if form is Form.JSON else comment.markdown(found, drawings)
    if output:
        output.write_text(text + "\n")
    else:
        print(text)


def _show(found: Report, console: Console) -> None:
    console.print(escape(report.headline(found)), style="bold", soft_wrap=True)
    table = Table("stack", "a month now", "a month after", "change", "capacity", "per 1000 cc")
    for row in report.rows(found):
        cells = (row.stack, row.before, row.after, row.change, row.capacity, row.per_1000_cc)
        table.add_row(*map(escape, cells))
    console.print(table)
    for stack in found.stacks:
        console.print(f"{stack.plan.stack}: {report.counts(stack)}", markup=False)
        for line in report.changes(stack):
            console.print(f" {line}", markup=False, soft_wrap=True)
        for name, why in stack.unpriced.items():
            console.print(f"not priced: {name}: {why}", style="yellow", markup=False, soft_wrap=True)
    for text in report.warnings(found):
        console.print(f"look out: {text}", style="yellow", markup=False, soft_wrap=True)
    for text in report.notes(found):
        console.print(text, style="dim", markup=False, soft_wrap=True)


def run() -> None:
    """Ends the process."""
    app = typer.Typer(add_completion=False)
    app.command(help=__doc__)(main)
    try:
        app()
    except ThresholdError as error:
        say.print(str(error), style="red", markup=False, soft_wrap=True)
        sys.exit(USAGE)
    except (PreviewError, SettingsError, BaselineError, PricesError, OSError) as error:
        say.print(str(error), style="red", markup=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    run()
