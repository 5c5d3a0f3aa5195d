"""Settings -> topology -> what exists -> outputs."""

import os
from datetime import UTC, datetime

import pulumi
from pulumi.runtime.config import CONFIG, is_config_secret

from components.bundle import BundleError
from components.clouds.hetzner import ENDPOINT, Hetzner
from components.site import Site, SiteArgs
from stacks import invariants
from stacks.secrets import StackSecrets
from stacks.settings import SettingsError, parse
from stacks.topologies import TOPOLOGIES


def main() -> None:
    config = CONFIG.get()
    stack = pulumi.get_stack()
    try:
        settings = parse(config, frozenset(key for key in config if is_config_secret(key)))
        topology = TOPOLOGIES[settings.topology]
        plan = topology.plan(stack, settings)
        secrets = StackSecrets(settings.root_secret, stack, settings.secrets_epoch, datetime.now(UTC).date())
        cloud = Hetzner(
            token=config.get("hcloud:token") or os.environ.get("HCLOUD_TOKEN", ""),
            endpoint=config.get("hcloud:endpoint") or os.environ.get("HCLOUD_ENDPOINT", ENDPOINT),
        )
        wrong = [*cloud.problems(plan), *invariants.problems(plan)]
        if wrong:
            raise SettingsError("\n".join(wrong))
        site = Site(plan.region, SiteArgs(plan, secrets, cloud))
    except (SettingsError, BundleError) as error:
        raise pulumi.RunError(f"stack {stack}:\n{error}") from None
    for name, value in topology.build(site).items():
        pulumi.export(name, value)


main()
