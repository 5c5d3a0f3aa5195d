"""Puts together what is known of each stack: previews where there are any, settings for the rest."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from costs import preview, settings
from costs.model import StackPlan, Workload
from stacks.settings import SettingsError

FOLDER = "stacks"
Files = Mapping[str, str]
"""The text of stack files by stack."""


class BaselineError(Exception):
    """What to compare with cannot be read; the message says why."""


def stack_files(project: Path) -> dict[str, str]:
    """Of a checkout."""
    return {_stack_of(file.name): file.read_text() for file in sorted((project / FOLDER).glob("Pulumi.*.yaml"))}


def stack_files_at(project: Path, baseline: str) -> dict[str, str]:
    """Of another checkout, or of a git commit of this one. Raises BaselineError."""
    if Path(baseline).is_dir():
        return stack_files(Path(baseline))
    names = _git(project, "ls-tree", "--name-only", baseline, f"{FOLDER}/").split()
    wanted = [name for name in names if Path(name).match("Pulumi.*.yaml")]
    return {_stack_of(Path(name).name): _git(project, "show", f"{baseline}:{name}") for name in wanted}


def plans(wanted: Sequence[str], previews: Sequence[Path], now: Files, before: Files | None) -> list[StackPlan]:
    """A plan a stack: those of `previews`, then of `wanted` from their files `now` against those `before`.

    Without `before` nothing is compared: stacks from settings are as if they cost the same before. Raises
    preview.PreviewError and stacks.settings.SettingsError, which names the stack.
    """
    found = [_with_settings(plan, config, before) for file in previews for plan, config in preview.read(file)]
    seen = {plan.stack for plan in found}
    return [*found, *(_from_files(stack, now, before) for stack in wanted if stack not in seen)]


def _from_files(stack: str, now: Files, before: Files | None) -> StackPlan:
    new = _site(stack, now)
    old = new if before is None else _site(stack, before)
    if new is None and old is None:
        raise SettingsError(f"{stack}: there is no {FOLDER}/Pulumi.{stack}.yaml; there are {', '.join(sorted(now))}")
    return settings.compare(old, new)


def _site(stack: str, files: Files) -> settings.Site | None:
    if stack not in files:
        return None
    try:
        return settings.from_stack_file(stack, files[stack])
    except SettingsError as error:
        raise SettingsError(f"{FOLDER}/Pulumi.{stack}.yaml:\n{error}") from None


def _with_settings(plan: StackPlan, config: Mapping[str, str], before: Files | None) -> StackPlan:
    """With what the settings in a preview say; a preview of another program has others."""
    try:
        new = settings.from_config(plan.stack, config).workload
    except SettingsError:
        return plan
    return replace(plan, new=_unless_gone(plan, new), old=_old(plan, new, before))


def _unless_gone(plan: StackPlan, workload: Workload) -> Workload | None:
    return workload if any(change.after is not None for change in plan.changes) or not plan.complete else None


def _old(plan: StackPlan, new: Workload, before: Files | None) -> Workload | None:
    """From the file before; without one what exists has the same traffic, and what it can carry is unknown."""
    if not any(change.before is not None for change in plan.changes) and plan.complete:
        return None
    unknown = replace(new, most_cc=0, most_cps=0)
    if not before or plan.stack not in before:
        return unknown
    try:
        return settings.from_stack_file(plan.stack, before[plan.stack]).workload
    except SettingsError:
        return unknown


def _stack_of(file_name: str) -> str:
    return file_name.removeprefix("Pulumi.").removesuffix(".yaml")


def _git(project: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(project), *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BaselineError(f"--baseline: neither a folder nor a commit of this repository: {done.stderr.strip()}")
    return done.stdout
