"""The providers' price lists: which are used, and new snapshots of them.

Live prices need access: HCLOUD_TOKEN, a read-only token of any project, for Hetzner; for AWS the usual credentials of
boto3 with the permission pricing:GetProducts.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection
from datetime import UTC, date, datetime
from typing import Annotated

import boto3
import botocore.exceptions
import hcloud
import requests
import typer
from rich.console import Console
from rich.table import Table

from components.clouds.hetzner import ENDPOINT
from costs import aws, hetzner, sources
from costs.prices import PriceList
from costs.sources import Document, PricesError, Provider
from scripts.localcloud import is_local

PRICE_LIST_REGION = "us-east-1"
"""Where AWS serves its Price List (docs.aws.amazon.com, AWS Billing, Price List endpoints)."""

EVERYBODY = (hetzner.PROVIDER, aws.PROVIDER)

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)
say = Console(stderr=True, highlight=False)
Region = Annotated[list[str] | None, typer.Option("--region", help="an AWS region more than the snapshot has")]


@app.command()
def show() -> None:
    """The lists that `cost_preview` would use now."""
    table = Table("provider", "currency", "day", "prices", "source")
    for provider in providers():
        prices, warning = sources.load(provider, today(), sources.default_cache())
        table.add_row(prices.provider, prices.currency, str(prices.day), str(len(prices.net)), prices.source)
        for text in filter(None, (warning, prices.warning(today()))):
            say.print(text, style="yellow", markup=False)
    Console().print(table)


@app.command()
def refresh(region: Region = None) -> None:
    """Fetch the lists of every provider that there is access to, in place of the snapshots."""
    able = [provider for provider in providers(region or []) if provider.fetch]
    if not able:
        raise PricesError("no access to any provider: set HCLOUD_TOKEN, or credentials for AWS; see --help")
    for provider in able:
        say.print(f"asking for {provider.snapshot} ...")
        fresh = sources.refresh(provider, today())
        say.print(f"{fresh.provider}: {len(fresh.net)} prices of {fresh.day}; look at the difference and commit it")


def providers(regions: list[str] | None = None, asked: Collection[str] = EVERYBODY) -> tuple[Provider, Provider]:
    """Hetzner and AWS; those of `asked` with what there is access to."""
    return (
        sources.hetzner_provider(_hetzner_access() if hetzner.PROVIDER in asked else None),
        sources.aws_provider(_aws_access(regions or []) if aws.PROVIDER in asked else None),
    )


def today() -> date:
    return datetime.now(UTC).date()


def _hetzner_access() -> Callable[[date], Document] | None:
    """The local cloud's own list comes from the snapshot, so it is no source for one."""
    token, endpoint = os.environ.get("HCLOUD_TOKEN", ""), os.environ.get("HCLOUD_ENDPOINT", ENDPOINT)
    if not token or is_local(endpoint):
        return None

    def fetch(day: date) -> Document:
        try:
            return hetzner.fetch(token, endpoint, day)
        except (hcloud.HCloudException, requests.RequestException, KeyError) as error:
            raise PricesError(f"Hetzner's prices: {endpoint} did not give them ({error})") from None

    return fetch


def _aws_access(regions: list[str]) -> Callable[[date], Document] | None:
    """Whoever is on an EC2 instance and means its role sets AWS_EC2_METADATA_DISABLED=false; others wait for nobody."""
    os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
    session = boto3.Session()
    if session.get_credentials() is None:
        return None

    def fetch(day: date) -> Document:
        known = aws.instance_types(sources.snapshot(aws.SNAPSHOT))
        usual = next(iter(known.values()))
        types = {**dict.fromkeys(regions, usual), **known}
        try:
            return aws.fetch(session.client("pricing", region_name=PRICE_LIST_REGION), types, day)
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError, aws.PriceListError) as error:
            raise PricesError(f"AWS's prices: {error}") from None

    return fetch


def used(asked: Collection[str]) -> tuple[dict[str, PriceList], list[str]]:
    """The list of each provider, live ones of those that are asked, and what there is to warn of."""
    loaded = [sources.load(provider, today(), sources.default_cache()) for provider in providers(asked=asked)]
    lists = {prices.provider: prices for prices, _ in loaded}
    return lists, [warning for _, warning in loaded if warning]


def main() -> None:
    """Ends the process."""
    try:
        app()
    except PricesError as error:
        say.print(str(error), style="red", markup=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
