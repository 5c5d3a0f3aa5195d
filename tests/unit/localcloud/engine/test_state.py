"""The checkpoint: its format, how it is replaced, and how threads share one write."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from localcloud.engine.backend import Backend, Recorder
from localcloud.engine.crypter import Crypter
from localcloud.engine.errors import EngineError
from localcloud.engine.state import Deployment, Pending, Resource, from_record, to_record
from localcloud.engine.values import SECRET, SIGNATURE, Secret
from tests.unit.localcloud.engine.conftest import PASSPHRASE, SALT

RESOURCE = Resource(
    urn="urn:pulumi:dev::demo::fake:index:Thing::a",
    custom=True,
    type="fake:index:Thing",
    id="1",
    inputs={"secret": Secret("hush"), "list": [Secret({"deep": Secret("hush-2")})]},
    replacement_trigger=0,
    hooks={"BeforeDelete": ["ask"]},
    dependencies=("urn::b",),
    extra={"stackTrace": [{"sourcePosition": "x"}]},
)


@pytest.fixture
def crypter() -> Crypter:
    return Crypter(SALT, PASSPHRASE)


@pytest.fixture
def backend(tmp_path: Path) -> Backend:
    return Backend(f"file://{tmp_path}", "demo", "dev")


def checkpoint(tmp_path: Path) -> Path:
    return tmp_path / ".pulumi" / "stacks" / "demo" / "dev.json"


def test_what_is_saved_is_loaded(backend: Backend, crypter: Crypter) -> None:
    deployment = Deployment((RESOURCE,), (Pending("creating", RESOURCE),))
    backend.save(deployment, crypter)
    assert backend.load(crypter) == deployment


def test_the_format_is_the_clis(backend: Backend, crypter: Crypter, tmp_path: Path) -> None:
    backend.save(Deployment((RESOURCE,)), crypter)
    document = json.loads(checkpoint(tmp_path).read_text())
    assert (document["version"], document["checkpoint"]["stack"]) == (3, "organization/demo/dev")
    latest = document["checkpoint"]["latest"]
    assert latest["secrets_providers"] == {"type": "passphrase", "state": {"salt": SALT}}
    (record,) = latest["resources"]
    assert set(record["inputs"]["secret"]) == {SIGNATURE, "ciphertext"}
    assert record["inputs"]["secret"][SIGNATURE] == SECRET
    assert record["replacementTrigger"] == 0
    assert record["resourceHooks"] == {"BeforeDelete": ["ask"]}
    assert record["stackTrace"] == [{"sourcePosition": "x"}]
    assert not record.keys() & {"outputs", "protect", "parent", "created"}
    assert (tmp_path / ".pulumi" / "meta.yaml").read_text() == "version: 1\n"
    assert "hush" not in checkpoint(tmp_path).read_text()


def test_fields_of_the_cli_that_the_engine_has_no_use_for_survive() -> None:
    record = {"urn": "u", "custom": False, "type": "t", "aliases": ["v"], "importID": "1", "hideDiff": [["a"]]}
    assert to_record(from_record(record, None), lambda value: value) == record


def test_a_secret_within_a_secret_is_marked_and_not_encrypted_twice(crypter: Crypter, tmp_path: Path) -> None:
    """As the CLI does it (pkg/resource/stack/deployment.go, SerializePropertyValue)."""
    Backend(f"file://{tmp_path}", "demo", "dev").save(Deployment((RESOURCE,)), crypter)
    (record,) = json.loads(checkpoint(tmp_path).read_text())["checkpoint"]["latest"]["resources"]
    inner = json.loads(crypter.decrypt(record["inputs"]["list"][0]["ciphertext"]))
    assert inner == {"deep": {SIGNATURE: SECRET, "ciphertext": '"hush-2"'}}


def test_a_secret_that_has_not_changed_keeps_its_ciphertext(backend: Backend, crypter: Crypter, tmp_path: Path) -> None:
    backend.save(Deployment((RESOURCE,)), crypter)
    first = json.loads(checkpoint(tmp_path).read_text())["checkpoint"]["latest"]["resources"]
    again = Backend(f"file://{tmp_path}", "demo", "dev")
    later = Crypter(SALT, PASSPHRASE)
    again.save(again.load(later), later)
    assert json.loads(checkpoint(tmp_path).read_text())["checkpoint"]["latest"]["resources"] == first


@pytest.mark.parametrize("call", ["write", "fsync", "link", "replace"])
def test_a_save_that_dies_leaves_the_state_before(
    backend: Backend, crypter: Crypter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Trap 1: at no moment is there no checkpoint."""
    before = Deployment((RESOURCE,))
    backend.save(before, crypter)
    backend.save(before, crypter)

    def die(*_: Any) -> None:
        assert backend.load(crypter) == before
        raise KeyboardInterrupt

    places = {"write": "os.fdopen", "fsync": "os.fsync", "link": "os.link", "replace": "pathlib.Path.replace"}
    monkeypatch.setattr(places[call], die)
    with pytest.raises(KeyboardInterrupt):
        backend.save(Deployment(), crypter)
    monkeypatch.undo()
    assert backend.load(crypter) == before
    backend.save(Deployment(), crypter)
    assert backend.load(crypter) == Deployment()


def test_other_backends_are_refused() -> None:
    with pytest.raises(EngineError, match="PULUMI_BACKEND_URL: 's3://x' is not allowed; allowed: file://"):
        Backend("s3://x", "demo", "dev")


def test_threads_that_wait_together_share_a_write() -> None:
    writes: list[int] = []
    state = [0]
    lock = threading.Lock()

    def write() -> None:
        seen = state[0]
        time.sleep(0.02)
        writes.append(seen)

    recorder = Recorder(write)

    def work(_: int) -> None:
        with lock:
            state[0] += 1
            mine = state[0]
        recorder.commit()
        assert max(writes) >= mine

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(64)))
    assert len(writes) < 64


def test_a_write_that_fails_fails_for_everybody_who_waits() -> None:
    def write() -> None:
        time.sleep(0.02)
        raise OSError("no space left on device")

    recorder = Recorder(write)
    with ThreadPoolExecutor(4) as pool:
        errors = [future.exception() for future in [pool.submit(recorder.commit) for _ in range(4)]]
    assert [str(error) for error in errors] == ["no space left on device"] * 4


def test_many_large_resources_are_sealed_once(backend: Backend, crypter: Crypter) -> None:
    """Each save writes everything; that must not cost the encryption of everything."""
    resources = tuple(replace(RESOURCE, urn=f"urn::{i}", inputs={"stdin": Secret(f"{i}" * 200_000)}) for i in range(20))
    sealed: list[str] = []
    encrypt = crypter.encrypt

    def counted(text: str) -> str:
        sealed.append(text)
        return encrypt(text)

    crypter.encrypt = counted  # type: ignore[method-assign]
    for _ in range(5):
        backend.save(Deployment(resources), crypter)
    assert len(sealed) == 20
