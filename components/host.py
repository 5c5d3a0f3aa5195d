"""One server, its disk, and the roles installed on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pulumi
from pulumi_command import remote

from components import release
from components.bundle import Bundle
from components.clouds import Machine
from components.logins import LOGIN_USER
from components.plan import HostPlan
from components.site import Site

DIAL_ATTEMPTS = 60
"""About five minutes: the provider waits 0.1 s after the first attempt, then longer, 5 s at most."""


@dataclass(frozen=True)
class HostArgs:
    """`after` are servers that must exist before this one is touched."""

    site: Site
    plan: HostPlan
    after: Sequence[pulumi.Resource] = ()


class Host(pulumi.ComponentResource):
    """A server that runs its roles: `name`, the `public_ip` where it is reached, and `server`, which orders a pair."""

    TYPE: ClassVar[str] = "m2:index:Host"

    def __init__(self, name: str, args: HostArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(self.TYPE, name, None, opts)
        machine = args.site.machine(args.plan, self, args.after)
        self.name = args.plan.name
        self._apply(name, args, machine)
        self.server = machine.server
        self.public_ip = machine.login
        self.private_ip = args.plan.private_ip
        self.register_outputs({"public_ip": self.public_ip, "private_ip": self.private_ip})

    def _apply(self, name: str, args: HostArgs, machine: Machine) -> None:
        secrets = args.site.secrets
        bundle = args.site.bundle(args.plan)
        remote.Command(
            f"{name}-apply",
            connection=_connection(args, machine),
            create=bundle.apply(lambda b: f"sudo python3 -  {release.apply_line(args.plan)}\n{b.listing(secrets)}"),
            stdin=_program(bundle),
            triggers=[machine.id],
            add_previous_output_in_env=False,
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=list(machine.ready), hooks=args.site.asked_before_apply_goes(args.plan)
            ),
        )


def _program(bundle: pulumi.Output[Bundle]) -> pulumi.Output[str]:
    text: pulumi.Output[str] = bundle.apply(lambda b: b.program())
    return pulumi.Output.secret(text)


def _connection(args: HostArgs, machine: Machine) -> remote.ConnectionArgs:
    """The person's key comes from the ssh agent, so that no preview needs it and no rotation re-applies anything."""
    bastion = args.site.plan.settings.get("bastion")
    return remote.ConnectionArgs(
        host=machine.login,
        user=LOGIN_USER,
        host_key=args.site.secrets.host_key(args.plan.name).public,
        dial_error_limit=DIAL_ATTEMPTS,
        proxy=remote.ProxyConnectionArgs(**bastion) if bastion else None,
    )
