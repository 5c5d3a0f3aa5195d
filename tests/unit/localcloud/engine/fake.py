"""A cloud of a few lines for the engine's tests: one type, objects in files, so that they outlive a killed process."""

from __future__ import annotations

import json
import os
import signal
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from localcloud.engine.providers import Diff, PartialError, Provider, ProviderError, UnknownOutcomeError
from localcloud.engine.values import UNKNOWN, Properties, differences

KNOWN = {"label", "size", "text", "secret", "tag", "on", "fault", "slow"}
REPLACING = {"size", "on"}


@dataclass(frozen=True)
class FakeCloud:
    """Objects are files in `directory`; `calls` is the file of everything that was asked."""

    directory: Path

    def objects(self) -> dict[str, Properties]:
        found: dict[str, Properties] = {}
        for file in sorted(self.directory.glob("*.json")):
            with suppress(FileNotFoundError):
                found[file.stem] = json.loads(file.read_text())
        return found

    def calls(self) -> list[str]:
        """What was asked of the cloud, such as "create a"."""
        log = self.directory / "calls"
        return log.read_text().splitlines() if log.exists() else []

    def forget_calls(self) -> None:
        (self.directory / "calls").unlink(missing_ok=True)

    def change(self, name: str, **values: object) -> None:
        """Behind the engine's back."""
        id_ = next(id_ for id_, found in self.objects().items() if found["name"] == name)
        self.write(id_, self.objects()[id_] | values)

    def write(self, id_: str, values: Properties) -> None:
        temporary = self.directory / f"{id_}.{uuid.uuid4().hex}"
        temporary.write_text(json.dumps(values))
        temporary.replace(self.directory / f"{id_}.json")

    def remove(self, id_: str) -> None:
        (self.directory / f"{id_}.json").unlink(missing_ok=True)

    def note(self, call: str) -> None:
        """A process that is to die at a call dies here: FAKE_KILL="create a before", or "after"."""
        with (self.directory / "calls").open("a") as log:
            log.write(call + "\n")
        if os.environ.get("FAKE_KILL") == call:
            os.kill(os.getpid(), signal.SIGKILL)

    def configure(self, _: Properties) -> FakeProvider:
        return FakeProvider(self)


class FakeProvider(Provider):
    """`size` and `on` replace, everything else is changed in place; `fault` makes an operation fail."""

    def __init__(self, cloud: FakeCloud) -> None:
        self._cloud = cloud

    def check(self, type_: str, name: str, old: Properties, inputs: Properties) -> Properties:
        unknown = inputs.keys() - KNOWN
        if unknown:
            raise ProviderError(f"{name}: {', '.join(sorted(unknown))} is not supported")
        return inputs

    def diff(self, type_: str, inputs: Properties, outputs: Properties, wanted: Properties) -> Diff:
        known = {key: outputs.get(key, inputs.get(key)) for key in inputs.keys() | (wanted.keys() & outputs.keys())}
        changes = differences(known, wanted)
        return Diff(changes, frozenset(path for path in changes if path[0] in REPLACING))

    def preview(self, type_: str, outputs: Properties, wanted: Properties) -> Properties:
        return {**outputs, **wanted, "out": UNKNOWN}

    def create(self, type_: str, name: str, inputs: Properties) -> tuple[str, Properties]:
        self._play(f"create {name}", inputs)
        id_ = uuid.uuid4().hex[:8]
        if inputs.get("fault") == "exists":
            raise ProviderError(f"{name} exists already")
        self._cloud.write(id_, {"name": name, **inputs})
        self._cloud.note(f"create {name} after")
        outputs = self._outputs(id_)
        if inputs.get("fault") == "lost reply":
            raise UnknownOutcomeError("the reply was lost")
        if inputs.get("fault") == "half":
            raise PartialError("made, but not well", id_, outputs)
        return id_, outputs

    def read(self, type_: str, id_: str, inputs: Properties, outputs: Properties) -> Properties | None:
        return self._outputs(id_) if id_ in self._cloud.objects() else None

    def update(self, type_: str, id_: str, outputs: Properties, wanted: Properties, diff: Diff) -> Properties:
        name = self._cloud.objects()[id_]["name"]
        self._play(f"update {name}", wanted)
        self._cloud.write(id_, {"name": name, **wanted})
        self._cloud.note(f"update {name} after")
        return self._outputs(id_)

    def delete(self, type_: str, id_: str, inputs: Properties, outputs: Properties) -> None:
        name = outputs["name"]
        self._play(f"delete {name}", inputs)
        self._cloud.remove(id_)
        self._cloud.note(f"delete {name} after")

    def find(self, type_: str, inputs: Properties) -> str | None:
        label, objects = inputs.get("label"), self._cloud.objects()
        return next((id_ for id_, found in objects.items() if label and found.get("label") == label), None)

    def invoke(self, token: str, args: Properties) -> Properties:
        return {"echo": args}

    def _play(self, call: str, inputs: Properties) -> None:
        self._cloud.note(f"{call} before")
        time.sleep(inputs.get("slow") or 0)
        if inputs.get("fault") == "fails":
            raise ProviderError(f"{call} failed")

    def _outputs(self, id_: str) -> Properties:
        found = self._cloud.objects()[id_]
        return {**found, "out": f"out of {found['name']}", "id": id_}


Configure = Callable[[Properties], FakeProvider]
