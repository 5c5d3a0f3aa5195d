"""Resource hooks: functions of the program that are asked before and told after an operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from localcloud.engine.providers import ProviderError
from localcloud.engine.state import Resource
from localcloud.engine.values import Properties

When = Literal["BeforeCreate", "AfterCreate", "BeforeUpdate", "AfterUpdate", "BeforeDelete", "AfterDelete"]
FIELDS: Mapping[str, When] = {
    "before_create": "BeforeCreate",
    "after_create": "AfterCreate",
    "before_update": "BeforeUpdate",
    "after_update": "AfterUpdate",
    "before_delete": "BeforeDelete",
    "after_delete": "AfterDelete",
}
"""The wire's names and the checkpoint's."""


@dataclass(frozen=True)
class HookArgs:
    """What a hook is given; None is what there is not yet, or no more."""

    resource: Resource
    new_inputs: Properties | None = None
    old_inputs: Properties | None = None
    new_outputs: Properties | None = None
    old_outputs: Properties | None = None


@dataclass(frozen=True)
class Hook:
    """`call` returns the error's text, or an empty one."""

    name: str
    call: Callable[[HookArgs], str]
    on_dry_run: bool = False
    ignore_errors: bool = False


class Hooks:
    """Those that the running program has registered."""

    def __init__(self, dry_run: bool, warn: Callable[[str, str], None]) -> None:
        self._dry_run = dry_run
        self._warn = warn
        self._hooks: dict[str, Hook] = {}

    def register(self, hook: Hook) -> None:
        if hook.name in self._hooks:
            raise ProviderError(f"resource hook already registered for name {hook.name!r}")
        self._hooks[hook.name] = hook

    def run(self, when: When, args: HookArgs, rehearsal: bool = False) -> None:
        """Ask the hooks that the resource names; ProviderError for the first that refuses.

        A rehearsal asks only those that want to be asked in a preview, as a dry run does.
        """
        for name in args.resource.hooks.get(when, []):
            hook = self._hooks.get(name)
            if hook is None:
                raise ProviderError(f"hook {name!r} of the state is not registered by the program")
            if hook.on_dry_run or not (self._dry_run or rehearsal):
                self._run(hook, when, args)

    def _run(self, hook: Hook, when: When, args: HookArgs) -> None:
        error = hook.call(args)
        if not error:
            return
        message = f"{'before' if when.startswith('Before') else 'after'} hook {hook.name!r} failed: {error}"
        if not hook.ignore_errors:
            raise ProviderError(message)
        self._warn(args.resource.urn, message)
