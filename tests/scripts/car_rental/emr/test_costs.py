"""Prices come from the Price List API or the table; costs follow the instances' hours."""

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
    """A product as the Price List API returns it, in JSON text."""
    dimensions = {
        str(index): {"pricePerUnit": {"USD": price}} for index, price in enumerate(prices)
    }
    return json.dumps(
        {"product": {}, "terms": {"OnDemand": {"x": {"priceDimensions": dimensions}}}}
    )


@pytest.fixture
def on_aws(new_project, monkeypatch):
    """A project whose settings say AWS; its calls are stubbed."""
    project = new_project()
    project.aws.client("pricing", "us-east-1"), project.aws.client("emr")
    monkeypatch.setattr(type(project.settings), "is_local", False)
    return project


def test_the_default_cluster_costs_as_much_as_three_nodes(new_project):
    settings = new_project().settings
    assert cluster_nodes(settings) == {"m5.xlarge": 3}
    assert hour_of_cluster(settings, table_prices("us-east-1")) == Decimal("0.72")


def test_nodes_are_counted_by_instance_type(new_project):
    settings = new_project(EMR_CORE_INSTANCE_TYPE="r5.xlarge", EMR_CORE_INSTANCE_COUNT="4").settings
    assert cluster_nodes(settings) == {"m5.xlarge": 1, "r5.xlarge": 4}


def test_regions_differ_in_the_price_of_ec2_but_not_in_emr_s_fee():
    us_east_1, eu_west_1 = table_prices("us-east-1").per_hour, table_prices("eu-west-1").per_hour
    assert (us_east_1["m5.xlarge"], eu_west_1["m5.xlarge"]) == (Decimal("0.240"), Decimal("0.262"))
    assert eu_west_1["m5.2xlarge"] - eu_west_1["m5.xlarge"] == eu_west_1["m5.xlarge"]


def test_unknown_regions_and_instance_types_are_reported_without_a_price(new_project):
    settings = new_project(EMR_CORE_INSTANCE_TYPE="x9.xlarge").settings
    assert hour_of_cluster(settings, table_prices("us-east-1")) is None
    assert table_prices("mars-north-1").per_hour == {}
    lines = price_lines(settings, Prices({}, ""))
    assert {text for item, text in lines if "cluster" in item} == {"price not known"}


def test_disks_addresses_nat_gateway_and_alarm_are_listed_with_their_costs(new_project):
    lines = dict(price_lines(new_project().settings, table_prices("us-east-1")))
    disks = next(
        amount for item, amount in lines.items() if "disks (64 GB each) and public IPv4" in item
    )
    assert disks == "about $0.02"  # 3 nodes for 25 minutes: 1.1 cents for disks, 0.6 for addresses
    assert next(amount for item, amount in lines.items() if "NAT gateway" in item) == "$0.045"
    assert next(amount for item, amount in lines.items() if "alarm" in item) == "$0.10"


def test_the_price_table_names_its_date_and_source():
    table = json.loads(costs.PRICES_FILE.read_text(encoding="utf-8"))
    assert datetime.fromisoformat(table["as_of"]) and "not checked" in " ".join(table["source"])
    assert table["m5.xlarge_ec2_in"]["us-east-1"] == table["per_hour"]["m5.xlarge"]["ec2"]
    assert table["as_of"] in table_prices("us-east-1").source
    assert all(0 < Decimal(row["emr"]) < Decimal(row["ec2"]) for row in table["per_hour"].values())


def test_the_price_is_the_sum_of_ec2_and_emr_in_the_price_list(on_aws):
    with Stubber(on_aws.aws.client("pricing", "us-east-1")) as stub:
        stub.add_response("get_products", {"PriceList": [product("0.0000000000", "0.2140000000")]})
        stub.add_response("get_products", {"PriceList": [product("0.0480000000")]})
        prices = find_prices(on_aws.aws, ["m5.xlarge", "m5.xlarge"])
        stub.assert_no_pending_responses()
    assert prices.per_hour == {"m5.xlarge": Decimal("0.262")}
    assert "Price List API" in prices.source


@pytest.mark.parametrize("answer", ["AccessDeniedException", {"PriceList": []}])
def test_prices_come_from_the_table_if_the_price_list_fails(on_aws, answer):
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


def test_each_instance_is_counted_from_its_start_to_its_end(new_project, monkeypatch):
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


def test_a_running_instance_is_counted_until_now_and_each_for_at_least_a_minute(
    new_project, monkeypatch
):
    now = BEGAN + timedelta(hours=2)
    usage = usage_of(
        new_project(), monkeypatch, instance("m5.xlarge", None), instance("r5.xlarge", 0), now=now
    )
    assert usage.hours["m5.xlarge"] == 2
    assert usage.hours["r5.xlarge"] * 60 == pytest.approx(1)


def test_an_instance_that_never_started_costs_nothing(new_project, monkeypatch):
    requested = {
        "InstanceType": "m5.xlarge",
        "Market": "ON_DEMAND",
        "Status": {"State": "AWAITING_FULFILLMENT", "Timeline": {}},
    }
    usage = usage_of(new_project(), monkeypatch, requested)
    assert usage.summary() == "no instance: $0.00"


def test_the_cost_of_spot_instances_is_an_upper_bound(new_project, monkeypatch):
    usage = usage_of(new_project(), monkeypatch, instance("m5.xlarge", 60, "SPOT"))
    assert usage.summary() == "1.00 h of m5.xlarge: at most $0.24"


def test_a_type_without_a_price_is_reported_in_hours(new_project, monkeypatch):
    usage = usage_of(new_project(), monkeypatch, instance("x9.xlarge", 60))
    assert usage.summary() == "1.00 h of x9.xlarge: price not known"
    assert dataclasses.asdict(usage)["dollars"] is None


def test_money_is_rounded_half_up():
    assert [money(Decimal(text)) for text in ("0.005", "0.72", "12")] == [
        "$0.01",
        "$0.72",
        "$12.00",
    ]
