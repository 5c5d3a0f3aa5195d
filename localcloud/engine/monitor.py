"""The wire: what the Pulumi SDK calls its monitor and its engine, in process, without a server.

The SDK takes any object with the methods of its gRPC stubs (pulumi.runtime.Settings); the messages are its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlparse

import grpc  # type: ignore[import-untyped]
from google.protobuf import empty_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import callback_pb2, callback_pb2_grpc, engine_pb2, resource_pb2

from localcloud.engine.engine import Engine
from localcloud.engine.errors import EngineError
from localcloud.engine.events import Diagnostic, Progress, Severity
from localcloud.engine.hooks import FIELDS, Hook, HookArgs
from localcloud.engine.plan import Goal, Registered
from localcloud.engine.state import Resource
from localcloud.engine.values import Properties, decode, encode

FEATURES = ("SECRETS", "RESOURCE_REFERENCES", "ALIAS_SPECS", "REPLACEMENT_TRIGGER", "RESOURCE_HOOKS")
"""The SDK refuses by itself the options whose feature is not announced: transforms, deletedWith and so on."""

UNSUPPORTED = {
    "deletedWith": "deleted_with",
    "replace_with": "replace_with",
    "hideDiffs": "hide_diffs",
    "envVarMappings": "env_var_mappings",
    "transforms": "transforms",
    "state_migrations": "state_migrations",
    "packageRef": "parameterized packages",
    "remote": "remote components",
}
SEVERITIES: dict[int, Severity] = {
    engine_pb2.INFO: "info",
    engine_pb2.WARNING: "warning",
    engine_pb2.ERROR: "error",
}


class Monitor:
    """Where programs register resources."""

    def __init__(self, engine: Engine, directory: str) -> None:
        self._engine = engine
        self._directory = directory

    def __getattr__(self, name: str) -> Any:
        raise EngineError(f"{name} is not supported by the embedded engine: install the pulumi CLI")

    def GetDeploymentInfo(self, _: Any) -> Any:  # noqa: N802 - the protocol's names, here and below
        features = [getattr(resource_pb2, f"RESOURCE_MONITOR_FEATURE_{name}") for name in FEATURES]
        return resource_pb2.DeploymentInfo(supportedFeatures=features)

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802
        done = self._engine.register(self._goal(request))
        return resource_pb2.RegisterResourceResponse(
            urn=done.urn, id=done.id, object=encode(done.outputs), unknown=done.unknown
        )

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802
        self._engine.register_outputs(request.urn, decode(request.outputs))
        return empty_pb2.Empty()

    def ReadResource(self, request: Any) -> Any:  # noqa: N802
        resource = Resource(
            urn=self._engine.urn(request.parent, request.type, request.name),
            custom=True,
            type=request.type,
            inputs=_given(request.properties),
            parent=request.parent,
            dependencies=tuple(sorted(request.dependencies)),
            additional_secret_outputs=tuple(request.additionalSecretOutputs),
            source_position=self._position(request),
        )
        goal = Goal(resource, self._aliases(request), request.provider, request.version)
        done: Registered = self._engine.read(goal, request.id)
        return resource_pb2.ReadResourceResponse(urn=done.urn, properties=encode(done.outputs))

    def Invoke(self, request: Any) -> Any:  # noqa: N802
        result = self._engine.invoke(request.tok, decode(request.args), request.provider, request.version)
        return resource_pb2.ResourceInvokeResponse(**{"return": encode(result)})

    def RegisterResourceHook(self, request: Any) -> Any:  # noqa: N802
        call = _callback(request.callback)
        self._engine.hooks.register(Hook(request.name, call, request.on_dry_run, request.ignore_errors))
        return empty_pb2.Empty()

    def SignalAndWaitForShutdown(self, _: Any) -> Any:  # noqa: N802
        """The program has ended; its hooks still answer, so this is when things are deleted."""
        self._engine.finish()
        return empty_pb2.Empty()

    def _goal(self, request: Any) -> Goal:
        _refuse_unsupported(request)
        asked_hooks = {stored: list(getattr(request.hooks, wire)) for wire, stored in FIELDS.items()}
        properties = {key: sorted(value.urns) for key, value in sorted(request.propertyDependencies.items())}
        resource = Resource(
            urn=self._engine.urn(request.parent, request.type, request.name),
            custom=request.custom,
            type=request.type,
            inputs=_given(request.object),
            parent=request.parent,
            protect=request.protect,
            dependencies=tuple(sorted(request.dependencies)),
            property_dependencies=properties,
            additional_secret_outputs=tuple(request.additionalSecretOutputs),
            retain_on_delete=request.retainOnDelete,
            source_position=self._position(request),
            ignore_changes=tuple(request.ignoreChanges),
            replace_on_changes=tuple(request.replaceOnChanges),
            replacement_trigger=decode(request.replacement_trigger),
            import_id=request.importId,
            hooks={when: names for when, names in asked_hooks.items() if names},
        )
        asked = request.deleteBeforeReplace if request.deleteBeforeReplaceDefined else None
        return Goal(resource, self._aliases(request), request.provider, request.version, asked)

    def _aliases(self, request: Any) -> tuple[str, ...]:
        """As URNs. What an alias does not say is as the resource has it now."""
        aliases = [*getattr(request, "aliasURNs", ())]
        for alias in getattr(request, "aliases", ()):
            spec = alias.spec
            parent = "" if spec.noParent else spec.parentUrn or request.parent
            urn = alias.urn or self._engine.urn(parent, spec.type or request.type, spec.name or request.name)
            stack, project = urn.removeprefix("urn:pulumi:").split("::")[:2]
            before = f"urn:pulumi:{stack}::{project}::"
            after = f"urn:pulumi:{spec.stack or stack}::{spec.project or project}::"
            aliases.append(after + urn.removeprefix(before))
        return tuple(aliases)

    def _position(self, request: Any) -> str:
        """As the CLI stores it: relative to the project; nothing for what is outside of it."""
        path = urlparse(request.sourcePosition.uri).path
        inside = path.startswith(f"{self._directory}/")
        return f"project://{path.removeprefix(self._directory)}#{request.sourcePosition.line}" if inside else ""


class EngineService:
    """Where programs log."""

    def __init__(self, emit: Progress) -> None:
        self._emit = emit

    def Log(self, request: Any) -> Any:  # noqa: N802
        if request.severity in SEVERITIES:
            self._emit(Diagnostic(SEVERITIES[request.severity], request.message, request.urn))
        return empty_pb2.Empty()

    def RequirePulumiVersion(self, _: Any) -> Any:  # noqa: N802
        return engine_pb2.RequirePulumiVersionResponse()


def _given(properties: Any) -> Properties:
    return {key: value for key, value in decode(properties).items() if value is not None}


def _refuse_unsupported(request: Any) -> None:
    used = {option for name, option in UNSUPPORTED.items() if getattr(request, name)}
    used |= {"custom_timeouts"} if request.HasField("customTimeouts") else set()
    used |= {"on_error hooks"} if request.hooks.on_error else set()
    hooked = any(getattr(request.hooks, wire) for wire in FIELDS)
    used |= {"hooks on components"} if hooked and not request.custom else set()
    if used:
        names = ", ".join(sorted(used))
        raise EngineError(f"{request.name}: {names} is not supported by the embedded engine: install the pulumi CLI")


def _callback(callback: Any) -> Callable[[HookArgs], str]:
    """The program's function, behind the SDK's own callback server on the loopback."""
    channel = grpc.insecure_channel(callback.target, options=[("grpc.enable_http_proxy", 0)])
    stub = callback_pb2_grpc.CallbacksStub(channel)

    def call(args: HookArgs) -> str:
        resource = args.resource
        properties = {
            name: encode(value)
            for name in ("new_inputs", "old_inputs", "new_outputs", "old_outputs")
            if (value := getattr(args, name)) is not None
        }
        message = resource_pb2.ResourceHookRequest(
            urn=resource.urn, id=resource.id, name=resource.name, type=resource.type, **properties
        )
        request = callback_pb2.CallbackInvokeRequest(token=callback.token, request=message.SerializeToString())
        try:
            response = stub.Invoke(request)
        except grpc.RpcError as error:
            return f"the program no longer answers ({error.details()})"
        answer = resource_pb2.ResourceHookResponse.FromString(response.response)
        return str(answer.error)

    return call
