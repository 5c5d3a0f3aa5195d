"""What must not disappear by accident, and what may.

Addresses that carriers know and data volumes have the provider's protection and Pulumi's `protect`. Servers, and
the addresses of hosts that come and go, have a hook that refuses to delete what the settings still ask for: a
changed `rebuild` count or a smaller number of cores is explicit, a `destroy` or a surprising replacement is not.
"""

from __future__ import annotations

from collections.abc import Mapping

import pulumi

from components.plan import HostPlan, SitePlan

HOST_LABEL = "m2-host"
REBUILD_LABEL = "m2-rebuild"


class ProtectedError(Exception):
    """Something would be deleted that the settings still ask for."""


class Protection:
    """The guards of one site."""

    def __init__(self, plan: SitePlan) -> None:
        self._plan = plan
        self._hooks = _hooks(plan) if plan.protected else None

    def kept(self, opts: pulumi.ResourceOptions) -> pulumi.ResourceOptions:
        """For what must survive every change of the settings but `protected: false`."""
        return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(protect=self._plan.protected))

    def asked_for(self, opts: pulumi.ResourceOptions) -> pulumi.ResourceOptions:
        """For what goes only when the settings no longer ask for it; needs the labels of `labels`."""
        return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(hooks=self._hooks))

    def labels(self, host: HostPlan) -> dict[str, str]:
        """By which the hook knows what a resource was made for."""
        return {**self.stack_labels, HOST_LABEL: host.name, REBUILD_LABEL: str(host.rebuild)}

    @property
    def stack_labels(self) -> dict[str, str]:
        """On everything of the site."""
        return {"m2-stack": self._plan.stack}


def refusal(plan: SitePlan, labels: Mapping[str, str]) -> str | None:
    """Why what carries these labels must not be deleted; None where the settings say that it goes."""
    name = labels.get(HOST_LABEL, "")
    host = next((h for h in plan.hosts if h.name == name), None)
    if host is None or labels.get(REBUILD_LABEL) != str(host.rebuild):
        return None
    return (
        f"{name} is protected and the settings still ask for it. To replace it: raise rebuild.{name} "
        f"(now {host.rebuild}). To tear the stack down: set protected to false, run up, then destroy."
    )


def _hooks(plan: SitePlan) -> pulumi.ResourceHookBinding:
    def refuse(args: pulumi.ResourceHookArgs) -> None:
        why = refusal(plan, (args.old_inputs or {}).get("labels") or {})
        if why:
            raise ProtectedError(why)

    return pulumi.ResourceHookBinding(before_delete=[pulumi.ResourceHook("refuse-delete", refuse)])
