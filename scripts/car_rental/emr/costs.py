"""The cost of a cluster: instance prices, estimates for an hour and a run, and the actual usage."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from car_rental.aws import Answer, Aws
from car_rental.config import Settings

PRICES_FILE = Path(__file__).with_name("prices.json")
_API_REGION = "us-east-1"  # one of the few regions with a Price List API, which covers all regions
# how long the cluster of a run on the sample data exists: it starts (5 to 10 minutes), runs the
# Spark steps, waits for the crawl, and terminates
RUN_MINUTES = 25
# EMR and EC2 bill by the second, for at least a minute: https://aws.amazon.com/emr/pricing/
_LEAST = timedelta(minutes=1)
_CENT = Decimal("0.01")
# the disk that EMR gives an m5.xlarge by default; prices in us-east-1, in USD: a GB of gp2 for a
# month, a public IPv4 address for an hour
# https://docs.aws.amazon.com/emr/latest/ManagementGuide/emr-plan-storage.html
# https://aws.amazon.com/vpc/pricing/
_EBS_GB, _EBS_GB_MONTH, _HOURS_OF_MONTH, _IPV4_HOUR = 64, Decimal("0.10"), 730, Decimal("0.005")


@dataclass(frozen=True)
class Prices:
    """USD for an instance hour, EC2's price plus EMR's fee.

    ``source`` names the origin of the prices.
    """

    per_hour: Mapping[str, Decimal]
    source: str

    def of(self, hours: Mapping[str, Decimal]) -> Decimal | None:
        """The price of these hours by instance type; None if the price of a type is not known."""
        if not set(hours) <= set(self.per_hour):
            return None
        return sum((self.per_hour[name] * count for name, count in hours.items()), Decimal())


@dataclass(frozen=True)
class Usage:
    """Instance hours of a cluster by type, and their on-demand price (None: not known)."""

    hours: Mapping[str, Decimal]
    dollars: Decimal | None
    with_spot: bool

    def summary(self) -> str:
        """One line for the summary."""
        used = (
            " + ".join(
                f"{hours.quantize(_CENT)} h of {name}" for name, hours in sorted(self.hours.items())
            )
            or "no instance"
        )
        limit = "at most " if self.with_spot else ""  # Spot prices vary, but are lower
        return f"{used}: {limit}{money(self.dollars)}"


def money(dollars: Decimal | None) -> str:
    """USD for people."""
    return "price not known" if dollars is None else f"${dollars.quantize(_CENT, ROUND_HALF_UP)}"


def cluster_nodes(settings: Settings) -> dict[str, Decimal]:
    """Number of nodes at the start, by instance type."""
    nodes: defaultdict[str, Decimal] = defaultdict(Decimal)
    nodes[settings.emr_master_instance_type] += 1
    nodes[settings.emr_core_instance_type] += settings.emr_core_instance_count
    return dict(nodes)


def hour_of_cluster(settings: Settings, prices: Prices) -> Decimal | None:
    """The price of an hour of the cluster."""
    return prices.of(cluster_nodes(settings))


def find_prices(aws: Aws, types: Iterable[str]) -> Prices:
    """Today's prices from AWS's Price List API; if it cannot be reached, those in prices.json."""
    wanted = sorted(set(types))
    if aws.settings.is_local:
        return table_prices(aws.settings.aws_region)
    try:
        listed = {
            name: _listed(aws, "AmazonEC2", name) + _listed(aws, "ElasticMapReduce", name)
            for name in wanted
        }
    except (ClientError, BotoCoreError, LookupError):
        return table_prices(aws.settings.aws_region)
    return Prices(listed, f"AWS's Price List API, {datetime.now(UTC):%Y-%m-%d}")


# distinguishes the plain product from variants: Windows, dedicated host, reserved capacity ...
_PRODUCT = {
    "AmazonEC2": {
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
    },
    "ElasticMapReduce": {"softwareType": "EMR"},
}


def _listed(aws: Aws, service: str, instance_type: str) -> Decimal:
    """The on-demand price of an hour. Raises ``LookupError`` if the list has none."""
    fields = {
        "instanceType": instance_type,
        "regionCode": aws.settings.aws_region,
        **_PRODUCT[service],
    }
    filters: Any = [
        {"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in fields.items()
    ]
    answer = aws.client("pricing", _API_REGION).get_products(ServiceCode=service, Filters=filters)
    prices = [price for product in answer["PriceList"] for price in _on_demand(json.loads(product))]
    if not prices:
        raise LookupError(f"no price of {instance_type} for {service}")
    return min(prices)


def _on_demand(product: dict[str, Any]) -> list[Decimal]:
    terms = product["terms"].get("OnDemand", {}).values()
    prices = [
        Decimal(part["pricePerUnit"]["USD"])
        for term in terms
        for part in term["priceDimensions"].values()
    ]
    return [price for price in prices if price > 0]


def table_prices(region: str) -> Prices:
    """The prices in prices.json, for ``region``; none if the region is not in the file."""
    table = json.loads(PRICES_FILE.read_text(encoding="utf-8"))
    source = (
        f"the table of {table['as_of']} in scripts/car_rental/emr/prices.json, not today's list"
    )
    rows, regional = table["per_hour"], table["m5.xlarge_ec2_in"].get(region)
    if regional is None:
        return Prices({}, source)
    reference = Decimal(rows["m5.xlarge"]["ec2"])
    prices = {
        name: Decimal(row["ec2"]) * Decimal(regional) / reference + Decimal(row["emr"])
        for name, row in rows.items()
    }
    return Prices(prices, source)


def used(aws: Aws, cluster_id: str, now: datetime | None = None) -> Usage:
    """The instance hours of a cluster until its end (or ``now``), and their price."""
    pages = aws.client("emr").get_paginator("list_instances").paginate(ClusterId=cluster_id)
    instances = [item for page in pages for item in page["Instances"]]
    hours: defaultdict[str, Decimal] = defaultdict(Decimal)
    for instance in instances:
        timeline = instance["Status"].get("Timeline", {})
        if "CreationDateTime" in timeline:  # otherwise it was only requested
            hours[instance["InstanceType"]] += _hours(timeline, now or datetime.now(UTC))
    prices = find_prices(aws, hours)
    return Usage(
        dict(hours),
        prices.of(hours),
        any(instance.get("Market") == "SPOT" for instance in instances),
    )


def _hours(timeline: Answer, now: datetime) -> Decimal:
    lived: timedelta = timeline.get("EndDateTime", now) - timeline["CreationDateTime"]
    return Decimal(max(lived, _LEAST).total_seconds()) / 3600


def _beside(settings: Settings) -> Decimal:
    """Approximate price of the nodes' disks and addresses for a run on the sample data."""
    hours = sum(cluster_nodes(settings).values(), Decimal()) * RUN_MINUTES / 60
    return hours * (_EBS_GB * _EBS_GB_MONTH / _HOURS_OF_MONTH + _IPV4_HOUR)


def price_lines(settings: Settings, prices: Prices) -> list[tuple[str, str]]:
    """The cost of a run and of the resources that remain, as (item, amount)."""
    hour = hour_of_cluster(settings, prices)
    run = None if hour is None else hour * RUN_MINUTES / 60
    nodes = " + ".join(f"{count} {name}" for name, count in cluster_nodes(settings).items())
    return [
        (f"the cluster ({nodes}), an hour", money(hour)),
        (f"the cluster for one run on the sample data (about {RUN_MINUTES} minutes)", money(run)),
        ("one crawl (Glue bills 10 minutes at least)", "about $0.15"),
        ("the queries of the report (Athena: $5 a TB, 10 MB a query at least)", "about $0.01"),
        (
            f"the nodes' disks ({_EBS_GB} GB each) and public IPv4 addresses for that run",
            f"about {money(_beside(settings))}",
        ),
        (
            (
                "in a subnet behind a NAT gateway without an S3 endpoint: a GB that the nodes read"
                " or write"
            ),
            "$0.045",
        ),
        ("what stays: data and logs in S3, a GB for a month", "about $0.02"),
        (
            (
                "what stays, with ALERT_EMAIL: an alarm for a month, unless it is among the"
                " account's first ten"
            ),
            "$0.10",
        ),
        ("what stays: roles, catalog, workgroup, state machine, while nobody uses them", "nothing"),
    ]
