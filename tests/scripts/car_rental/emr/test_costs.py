"""Prices from the list or from the table, and what a cluster really used."""

import dataclasses
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from botocore.stub import Stubber
from car_rental.emr import costs
from car_rental.emr.costs import (
    Prices,
    cluster_nodes,
    find_prices,
    hour_of_cluster,
    money,
    price_lines,
    table_prices,
    used,
)

BEGAN = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)


def product(*prices):
    """A product of the Price List API, as text, as it comes."""
    dimensions = {
        str(index): {"pricePerUnit": {"USD": price}} for index, price in enumerate(prices)
    }
    return json.dumps(
        {"product": {}, "terms": {"OnDemand": {"x": {"priceDimensions": dimensions}}}}
    )


@pytest.fixture
def on_aws(new_project, monkeypatch):
    """A project that takes itself for one on AWS; its calls are answered by stubs."""
    project = new_project()
    project.aws.client("pricing", "us-east-1"), project.aws.client("emr")
    monkeypatch.setattr(type(project.settings), "is_local", False)
    return project


def test_the_cluster_of_the_example_costs_what_three_nodes_cost(new_project):
    settings = new_project().settings
    assert cluster_nodes(settings) == {"m5.xlarge": 3}
    assert hour_of_cluster(settings, table_prices("us-east-1")) == Decimal("0.72")


def test_nodes_of_two_types_are_counted_each(new_project):
    settings = new_project(EMR_CORE_INSTANCE_TYPE="r5.xlarge", EMR_CORE_INSTANCE_COUNT="4").settings
    assert cluster_nodes(settings) == {"m5.xlarge": 1, "r5.xlarge": 4}


def test_a_dearer_region_makes_ec2_dearer_and_emr_s_fee_not():
    here, there = table_prices("us-east-1").per_hour, table_prices("eu-west-1").per_hour
    assert (here["m5.xlarge"], there["m5.xlarge"]) == (Decimal("0.240"), Decimal("0.262"))
    assert there["m5.2xlarge"] - there["m5.xlarge"] == there["m5.xlarge"]


def test_a_region_or_a_type_that_is_not_in_the_table_has_no_price_and_says_so(new_project):
    settings = new_project(EMR_CORE_INSTANCE_TYPE="x9.xlarge").settings
    assert hour_of_cluster(settings, table_prices("us-east-1")) is None
    assert table_prices("mars-north-1").per_hour == {}
    lines = price_lines(settings, Prices({}, ""))
    assert {text for what, text in lines if "cluster" in what} == {"price not known"}


def test_the_small_costs_are_named_too(new_project):
    lines = dict(price_lines(new_project().settings, table_prices("us-east-1")))
    disks = next(
        amount for what, amount in lines.items() if "disks (64 GB each) and public IPv4" in what
    )
    assert disks == "about $0.02"  # 3 nodes, 25 minutes: 1.1 cents of disks, 0.6 of addresses
    assert next(amount for what, amount in lines.items() if "NAT gateway" in what) == "$0.045"
    assert next(amount for what, amount in lines.items() if "alarm" in what) == "$0.10"


def test_the_table_says_when_and_where_from():
    table = json.loads(costs.PRICES_FILE.read_text(encoding="utf-8"))
    assert datetime.fromisoformat(table["as_of"]) and "not checked" in " ".join(table["source"])
    assert table["m5.xlarge_ec2_in"]["us-east-1"] == table["per_hour"]["m5.xlarge"]["ec2"]
    assert table["as_of"] in table_prices("us-east-1").source
    assert all(0 < Decimal(row["emr"]) < Decimal(row["ec2"]) for row in table["per_hour"].values())


def test_on_aws_the_price_list_is_asked_for_both_parts_of_the_price(on_aws):
    with Stubber(on_aws.aws.client("pricing", "us-east-1")) as stub:
        stub.add_response("get_products", {"PriceList": [product("0.0000000000", "0.2140000000")]})
        stub.add_response("get_products", {"PriceList": [product("0.0480000000")]})
        prices = find_prices(on_aws.aws, ["m5.xlarge", "m5.xlarge"])
        stub.assert_no_pending_responses()
    assert prices.per_hour == {"m5.xlarge": Decimal("0.262")}
    assert "Price List API" in prices.source


@pytest.mark.parametrize("answer", ["AccessDeniedException", {"PriceList": []}])
def test_where_the_price_list_does_not_answer_the_table_does_and_says_so(on_aws, answer):
    with Stubber(on_aws.aws.client("pricing", "us-east-1")) as stub:
        if isinstance(answer, str):
            stub.add_client_error("get_products", answer)
        else:
            stub.add_response("get_products", answer)
        prices = find_prices(on_aws.aws, ["m5.xlarge"])
    assert prices.per_hour["m5.xlarge"] == Decimal("0.24") and "prices.json" in prices.source


def instance(kind, minutes, market="ON_DEMAND"):
    timeline = {"CreationDateTime": BEGAN}
    if minutes is not None:
        timeline["EndDateTime"] = BEGAN + timedelta(minutes=minutes)
    return {
        "InstanceType": kind,
        "Market": market,
        "Status": {"State": "TERMINATED", "Timeline": timeline},
    }


def usage_of(project, monkeypatch, *instances, now=None):
    monkeypatch.setattr(costs, "find_prices", lambda aws, types: table_prices("us-east-1"))
    with Stubber(project.aws.client("emr")) as stub:
        stub.add_response("list_instances", {"Instances": list(instances)}, {"ClusterId": "j-1"})
        return used(project.aws, "j-1", now)


def test_each_instance_counts_from_its_own_start_to_its_own_end(new_project, monkeypatch):
    usage = usage_of(
        new_project(),
        monkeypatch,
        instance("m5.xlarge", 30),
        instance("m5.xlarge", 60),
        instance("r5.xlarge", 60),
    )
    assert usage.hours == {"m5.xlarge": Decimal("1.5"), "r5.xlarge": Decimal(1)}
    assert usage.dollars == Decimal("0.675")
    assert usage.summary() == "1.50 h of m5.xlarge + 1.00 h of r5.xlarge: $0.68"


def test_one_that_still_runs_counts_until_now_and_every_one_a_minute_at_least(
    new_project, monkeypatch
):
    now = BEGAN + timedelta(hours=2)
    usage = usage_of(
        new_project(), monkeypatch, instance("m5.xlarge", None), instance("r5.xlarge", 0), now=now
    )
    assert usage.hours["m5.xlarge"] == 2
    assert usage.hours["r5.xlarge"] * 60 == pytest.approx(1)


def test_one_that_was_only_asked_for_cost_nothing(new_project, monkeypatch):
    asked_for = {
        "InstanceType": "m5.xlarge",
        "Market": "ON_DEMAND",
        "Status": {"State": "AWAITING_FULFILLMENT", "Timeline": {}},
    }
    usage = usage_of(new_project(), monkeypatch, asked_for)
    assert usage.summary() == "no instance: $0.00"


def test_spot_instances_cost_at_most_what_is_said(new_project, monkeypatch):
    usage = usage_of(new_project(), monkeypatch, instance("m5.xlarge", 60, "SPOT"))
    assert usage.summary() == "1.00 h of m5.xlarge: at most $0.24"


def test_a_type_without_a_price_leaves_the_hours(new_project, monkeypatch):
    usage = usage_of(new_project(), monkeypatch, instance("x9.xlarge", 60))
    assert usage.summary() == "1.00 h of x9.xlarge: price not known"
    assert dataclasses.asdict(usage)["dollars"] is None


def test_money_is_rounded_half_up():
    assert [money(Decimal(text)) for text in ("0.005", "0.72", "12")] == [
        "$0.01",
        "$0.72",
        "$12.00",
    ]
