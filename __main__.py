"""Settings -> topology -> what exists -> outputs."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime

import pulumi
from pulumi.runtime.config import CONFIG, is_config_secret

from components.bundle import BundleError
from components.clouds.hetzner import ENDPOINT, Hetzner
from components.site import Site, SiteArgs
from stacks import invariants, topologies
from stacks.secrets import StackSecrets
from stacks.settings import SettingsError, parse


def main() -> None:
    stack = pulumi.get_stack()
    try:
        args, warnings = wanted(stack, CONFIG.get())
        site = Site(args.plan.region, args)
    except (SettingsError, BundleError) as error:
        raise pulumi.RunError(f"stack {stack}:\n{error}") from None
    for sentence in warnings:
        pulumi.warn(sentence)
    for name, value in topologies.build(site).items():
        pulumi.export(name, value)
    pulumi.export("ssh", site.ssh())


def wanted(stack: str, config: Mapping[str, str]) -> tuple[SiteArgs, list[str]]:
    """What the settings ask for, and what a person is warned of. Raises SettingsError with everything that is wrong."""
    cloud = Hetzner(
        token=config.get("hcloud:token") or os.environ.get("HCLOUD_TOKEN", ""),
        endpoint=config.get("hcloud:endpoint") or os.environ.get("HCLOUD_ENDPOINT", ENDPOINT),
    )
    wrong = cloud.account_problems()
    try:
        settings = parse(config, frozenset(key for key in config if is_config_secret(key)))
    except SettingsError as error:
        raise SettingsError("\n".join([*wrong, str(error)])) from None
    plan = topologies.TOPOLOGIES[settings.topology].plan(stack, settings)
    wrong += [*cloud.problems(plan), *invariants.problems(plan)]
    if wrong:
        raise SettingsError("\n".join(wrong))
    settled = cloud.settle(plan)
    if settled.problems:
        raise SettingsError("\n".join(settled.problems))
    secrets = StackSecrets(settings.root_secret, stack, settings.secrets_epoch, datetime.now(UTC).date())
    return SiteArgs(settled.plan, secrets, cloud), [*topologies.warnings(settings), *settled.warnings]


main()
