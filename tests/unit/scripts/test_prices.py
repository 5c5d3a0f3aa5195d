"""Access to the providers' lists: when there is any, and what is said when there is none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from costs import hetzner, sources
from costs.sources import PricesError
from scripts import prices
from tests.unit.costs import local_api
from tests.unit.localcloud.hetzner.running_api import TOKEN, Api


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with local_api.running(tmp_path_factory.mktemp("cloud")) as running:
        yield running


@pytest.fixture(autouse=True)
def without_access(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HCLOUD_TOKEN", "HCLOUD_ENDPOINT", "AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_without_access_there_is_nothing_to_refresh_with() -> None:
    with pytest.raises(PricesError, match="set HCLOUD_TOKEN, or credentials for AWS"):
        prices.refresh()


def test_a_token_gives_access_and_prices_of_today(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HCLOUD_TOKEN", TOKEN)
    monkeypatch.setenv("HCLOUD_ENDPOINT", f"{api.url}/v1")
    lists, warnings = prices.used(prices.EVERYBODY)
    assert (lists["hetzner"].live, lists["hetzner"].day, warnings) == (True, prices.today(), [])
    assert not lists["aws"].live


def test_a_wrong_token_is_told_without_showing_it(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HCLOUD_TOKEN", "wrong" * 10)
    monkeypatch.setenv("HCLOUD_ENDPOINT", f"{api.url}/v1")
    lists, [warning] = prices.used(prices.EVERYBODY)
    assert not lists["hetzner"].live
    assert "did not give them" in warning
    assert "wrongwrong" not in warning


def test_the_local_clouds_list_is_made_of_the_snapshot_and_no_source_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from scripts.localcloud import ENDPOINT

    monkeypatch.setenv("HCLOUD_TOKEN", TOKEN)
    monkeypatch.setenv("HCLOUD_ENDPOINT", ENDPOINT)
    assert prices.providers()[0].fetch is None


def test_who_is_not_asked_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HCLOUD_TOKEN", TOKEN)
    monkeypatch.setenv("HCLOUD_ENDPOINT", "http://127.0.0.1:9/v1")
    lists, warnings = prices.used(())
    assert not lists["hetzner"].live
    assert warnings == []


def test_the_snapshot_in_the_repository_is_a_price_list() -> None:
    assert hetzner.price_list(sources.snapshot(hetzner.SNAPSHOT)).price("server:ccx23", "fsn1")
