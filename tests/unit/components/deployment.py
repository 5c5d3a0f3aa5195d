"""The whole program under Pulumi's mocks: what it registers, with which options, in which order.

The mock monitor tells mocks the inputs only, so options are read from the requests themselves.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import runpy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock
from zlib import crc32

from pulumi.runtime import config as pulumi_config
from pulumi.runtime import mocks, rpc, stack
from pulumi.runtime.settings import ROOT

from components.clouds import hetzner_stock
from components.clouds.hetzner_stock import Offer, Stock
from components.clouds.hetzner_types import server_types
from components.plan import SitePlan
from tests.unit.stacks.example import STACK, TOKEN, USUAL, config

PROGRAM = Path(__file__).parents[3] / "__main__.py"
STACK_TYPE = "pulumi:pulumi:Stack"
PROVIDER: Mapping[str, str] = {"hcloud:token": TOKEN}


@dataclass(frozen=True)
class Resource:
    """One registration. `inputs` are plain; `secrets` names those that are secret."""

    type: str
    name: str
    urn: str
    inputs: Mapping[str, Any]
    secrets: frozenset[str]
    request: Any

    @property
    def kind(self) -> str:
        return self.type.rpartition(":")[2]

    @property
    def plain_inputs(self) -> str:
        """What anybody may read who sees the state."""
        return json.dumps({key: value for key, value in self.inputs.items() if key not in self.secrets}, default=str)


@dataclass
class Deployment(mocks.Mocks):
    """What one run of the program registered, and what it gave out."""

    resources: list[Resource] = field(default_factory=list)
    ids: dict[str, int] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    secret_outputs: frozenset[str] = frozenset()
    registered_outputs: list[str] = field(default_factory=list)
    error: BaseException | None = None
    addresses_exist: bool = True

    def of(self, kind: str) -> list[Resource]:
        """All resources of a kind, such as `Server`."""
        return [resource for resource in self.resources if resource.kind == kind]

    def one(self, kind: str, name: str) -> Resource:
        """The resource of a kind whose name in Pulumi ends with `name`."""
        [found] = [resource for resource in self.of(kind) if resource.name.endswith(name)]
        return found

    def custom(self) -> list[Resource]:
        """What a provider would make, components apart."""
        return [resource for resource in self.resources if resource.request.custom]

    def needs(self, resource: Resource) -> list[Resource]:
        """What comes before a resource: by its inputs, its parent or by name."""
        urns = {*resource.request.dependencies, resource.request.parent}
        return [other for other in self.resources if other.urn in urns]

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[Any, Any], None]:
        raise AssertionError(f"the program asks the provider for {args.token}: a preview would need it")

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        """The same resource has the same id and address in every run. Ids are numbers, as the provider's are."""
        number = crc32(f"{args.typ} {args.name}".encode())
        address = {"ipAddress": address_by_id(number)} if self.addresses_exist else {}
        return str(number), {**plain(args.inputs)[0], **address}


class Monitor(mocks.MockMonitor):
    """Keeps every request."""

    def __init__(self, deployment: Deployment) -> None:
        super().__init__(deployment)
        self.deployment = deployment
        self.loops: set[asyncio.AbstractEventLoop] = set()
        """The mock monitor opens one in each of its threads and closes none."""

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - gRPC's name
        reply = super().RegisterResource(request)  # type: ignore[no-untyped-call]
        if request.type != STACK_TYPE:
            self.loops.add(asyncio.get_event_loop())
            inputs, secrets = plain(rpc.deserialize_properties(request.object))
            resource = Resource(request.type, request.name, reply.urn, inputs, secrets, request)
            self.deployment.resources.append(resource)
            self.deployment.ids[reply.urn] = int(reply.id)
        return reply

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 - gRPC's name
        outputs = rpc.deserialize_properties(request.outputs)
        self.deployment.registered_outputs.append(unsealed(outputs))
        if f"::{STACK_TYPE}::" in request.urn:
            self.deployment.outputs, self.deployment.secret_outputs = plain(outputs)
        return super().RegisterResourceOutputs(request)  # type: ignore[no-untyped-call]


def address_by_id(number: int) -> str:
    """The public address that the mocks give."""
    return f"198.18.{number // 256 % 256}.{number % 256}"


def plain(properties: Mapping[str, Any]) -> tuple[dict[str, Any], frozenset[str]]:
    secrets = frozenset(key for key, value in properties.items() if rpc.is_rpc_secret(value))
    return {key: rpc.unwrap_rpc_secret(value) for key, value in properties.items()}, secrets


def unsealed(properties: Mapping[str, Any]) -> str:
    """What somebody reads who may not see secrets."""
    return json.dumps(
        {key: "[secret]" if rpc.is_rpc_secret(value) else value for key, value in properties.items()}, default=str
    )


def everything(token: str, endpoint: str, plan: SitePlan) -> Stock:
    """A provider that has got what it ever sold, and every floating IP."""
    offers = {each.name: Offer() for each in server_types(plan.region)}
    return Stock(offers, {}, frozenset(vip.ip for vip in plan.vips if vip.ip))


def deploy(
    values: Mapping[str, Any] = USUAL,
    provider: Mapping[str, str] = PROVIDER,
    first_preview: bool = False,
    stock: Callable[[str, str, SitePlan], Stock] = everything,
) -> Deployment:
    """Run __main__.py with these settings; an error of the program is in the deployment's `error`.

    At a first preview no address exists yet.
    """
    deployment = Deployment(addresses_exist=not first_preview)
    with mock.patch.object(hetzner_stock, "read", stock):
        contextvars.copy_context().run(_run, deployment, {**config(values), **provider}, first_preview)
    return deployment


def _run(deployment: Deployment, given: dict[str, str], preview: bool) -> None:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    monitor = Monitor(deployment)
    try:
        mocks.set_mocks(deployment, project="m2", stack=STACK, preview=preview, monitor=monitor)
        ROOT.set(None)  # the real one, with outputs, is made by run_in_stack
        pulumi_config.set_all_config(given, ["m2:root_secret", "hcloud:token"])
        loop.run_until_complete(stack.run_in_stack(lambda: _program()))
    except BaseException as error:
        deployment.error = error
    finally:
        for each in {loop, *monitor.loops}:
            each.close()
        asyncio.set_event_loop(None)


def _program() -> None:
    runpy.run_path(str(PROGRAM), run_name="__main__")
