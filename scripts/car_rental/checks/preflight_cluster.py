"""Checks of the cluster's requirements: release, instance types, quota, key pair, network."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Any

from car_rental.aws import Answer, Aws, if_exists
from car_rental.checks.findings import Finding, Level, ok, problem, warning
from car_rental.config import Settings
from car_rental.emr.cluster_request import EMR_MANAGED_POLICY_TAG
from car_rental.iam.roles import role_name

# prefix of a release label -> last day of standard support; the first match counts
# https://docs.aws.amazon.com/emr/latest/ReleaseGuide/emr-release-app-versions-7.x.html
# and the page of each release
_END_OF_SUPPORT = {
    "emr-spark-8.0.": date(2027, 5, 20),
    "emr-spark-8.1.": date(2029, 9, 7),
    "emr-5.": date(2024, 12, 31),
    "emr-6.": date(2025, 11, 30),
    **{f"emr-7.{minor}.": date(2026, 10, 15) for minor in range(4)},
    "emr-7.9.": date(2027, 5, 19),
    "emr-7.13.": date(2028, 4, 21),
}
# quotas of Standard (A, C, D, H, I, M, R, T, Z) instances, counted in vCPUs
_ON_DEMAND_QUOTA, _SPOT_QUOTA = "L-1216C47A", "L-34B43A08"
_MARKETS = {_ON_DEMAND_QUOTA: "on-demand", _SPOT_QUOTA: "Spot"}
_STANDARD_FAMILY = re.compile(r"([acdhimrtz]|im|is)\d")
_SPOT_ROLE = "AWSServiceRoleForEC2Spot"
_MANAGED_V2 = "AmazonEMRServicePolicy_v2"
_MANAGED_GROUPS = ["ElasticMapReduce-*"]  # the security groups that EMR creates


def release_support(aws: Aws, today: date | None = None) -> Iterator[Finding]:
    """The release has standard support: AWS still fixes its errors."""
    label = aws.settings.emr_release_label
    end = next(
        (end for beginning, end in _END_OF_SUPPORT.items() if label.startswith(beginning)), None
    )
    if end and end < (today or date.today()):
        yield warning(
            f"standard support of {label} ended in {end:%B %Y}",
            "It still starts, but AWS no longer fixes it.",
            "Set EMR_RELEASE_LABEL to a newer one, such as emr-7.13.0; the jobs run on both.",
        )
    elif end:
        yield ok(f"{label} has standard support until {end}")


def applications(aws: Aws) -> Iterator[Finding]:
    """EMR knows the release, and the release has Spark."""
    label = aws.settings.emr_release_label
    describe = aws.client("emr").describe_release_label
    described = if_exists(
        lambda: describe(ReleaseLabel=label), "ValidationException", "InvalidRequestException"
    )
    if described is None:
        yield problem(
            f"EMR does not know the release {label} in {aws.settings.aws_region}",
            "The cluster could not be created.",
            "Choose one of: aws emr list-release-labels",
        )
        return
    versions = {item["Name"]: item.get("Version", "") for item in described["Applications"]}
    if "Spark" in versions:
        yield ok(f"{label} exists and has Spark {versions['Spark']}")
    else:
        yield problem(
            f"{label} has no Spark",
            "Every job is a Spark job.",
            "Choose another EMR_RELEASE_LABEL.",
        )


def instance_types(aws: Aws) -> Iterator[Finding]:
    """The region or the subnet's zone offers the instance types, and the release supports them."""
    settings = aws.settings
    wanted = _types(settings)
    ec2, where = aws.client("ec2"), _place(aws)
    offers = ec2.get_paginator("describe_instance_type_offerings").paginate(
        LocationType="availability-zone" if settings.emr_subnet_id else "region",
        Filters=[
            {"Name": "instance-type", "Values": wanted},
            {"Name": "location", "Values": [where]},
        ],
    )
    offered = {offer["InstanceType"] for page in offers for offer in page["InstanceTypeOfferings"]}
    supported = _supported_types(aws, settings.emr_release_label)
    for name in wanted:
        if name not in offered:
            yield problem(
                f"{where} does not offer {name}",
                "The cluster could not start.",
                "Choose another instance type or subnet.",
            )
        elif name not in supported:
            yield problem(
                f"{settings.emr_release_label} does not support {name}",
                "EMR refuses the cluster.",
                "Choose one of: aws emr list-supported-instance-types --release-label"
                f" {settings.emr_release_label}",
            )
        else:
            yield ok(f"{name} is offered in {where} and supported by {settings.emr_release_label}")


def _types(settings: Settings) -> list[str]:
    return sorted({settings.emr_master_instance_type, settings.emr_core_instance_type})


def _place(aws: Aws) -> str:
    """The zone of the subnet in the settings, else the region."""
    settings = aws.settings
    if not settings.emr_subnet_id:
        return settings.aws_region
    (subnet,) = aws.client("ec2").describe_subnets(SubnetIds=[settings.emr_subnet_id])["Subnets"]
    return str(subnet["AvailabilityZone"])


def _supported_types(aws: Aws, label: str) -> set[str]:
    emr, found = aws.client("emr"), set[str]()
    marker: dict[str, str] = {}
    while True:  # botocore has no paginator for it
        answer = emr.list_supported_instance_types(ReleaseLabel=label, **marker)
        found |= {item["Type"] for item in answer["SupportedInstanceTypes"]}
        if not answer.get("Marker"):
            return found
        marker = {"Marker": answer["Marker"]}


def vcpu_quota(aws: Aws) -> Iterator[Finding]:
    """The account's quota covers the vCPUs of the cluster in each market.

    Instances that are already running count against the quota.
    """
    nodes = _nodes_by_market(aws.settings)
    each = _vcpus(aws, {name for names in nodes.values() for name in names})
    for market, names in nodes.items():
        if names:
            yield _within_quota(aws, market, sum(each[name] for name in names))


def _nodes_by_market(settings: Settings) -> dict[str, list[str]]:
    """Quota code -> the instance types that count against it, one entry for each node.

    The cluster is taken at its full size. Only the types of the standard families count.
    """
    core = [settings.emr_core_instance_type] * max(
        settings.emr_core_instance_count, settings.emr_max_core_instance_count
    )
    primary, spot = [settings.emr_master_instance_type], settings.emr_core_market == "spot"
    nodes = (
        {_ON_DEMAND_QUOTA: primary, _SPOT_QUOTA: core}
        if spot
        else {_ON_DEMAND_QUOTA: primary + core}
    )
    return {
        quota: [name for name in names if _STANDARD_FAMILY.match(name)]
        for quota, names in nodes.items()
    }


def _within_quota(aws: Aws, code: str, needed: int) -> Finding:
    market, running = _MARKETS[code], _running_vcpus(aws, spot=code == _SPOT_QUOTA)
    quota = aws.client("service-quotas").get_service_quota(ServiceCode="ec2", QuotaCode=code)[
        "Quota"
    ]["Value"]
    if needed + running <= quota:
        return ok(f"{market} vCPUs: {needed} needed, {running} running, {quota:.0f} allowed")
    return problem(
        f"the cluster needs {needed} {market} vCPUs, {running} run already, and the account may run"
        f" {quota:.0f}",
        "EC2 would not start its instances.",
        "Ask for more: aws service-quotas request-service-quota-increase --service-code ec2"
        f" --quota-code {code} --desired-value {needed + running}; or choose smaller or fewer"
        " nodes.",
    )


def _vcpus(aws: Aws, types: set[Any]) -> dict[str, int]:
    described = (
        aws.client("ec2").describe_instance_types(InstanceTypes=sorted(types))["InstanceTypes"]
        if types
        else []
    )
    return {item["InstanceType"]: int(item["VCpuInfo"]["DefaultVCpus"]) for item in described}


def _running_vcpus(aws: Aws, *, spot: bool) -> int:
    pages = aws.client("ec2").get_paginator("describe_instances")
    running = pages.paginate(
        Filters=[{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    )
    instances = [
        item for page in running for group in page["Reservations"] for item in group["Instances"]
    ]
    counted = [item for item in instances if (item.get("InstanceLifecycle") == "spot") is spot]
    options = [
        item["CpuOptions"] for item in counted if _STANDARD_FAMILY.match(item["InstanceType"])
    ]
    return sum(option["CoreCount"] * option["ThreadsPerCore"] for option in options)


def spot_role(aws: Aws) -> Iterator[Finding]:
    """EC2's role for Spot instances exists if Spot is used.

    EMR's service policy does not allow EMR to create it.
    """
    if aws.settings.emr_core_market != "spot":
        return
    if if_exists(lambda: aws.client("iam").get_role(RoleName=_SPOT_ROLE), "NoSuchEntity"):
        yield ok("the account may use Spot instances")
    else:
        yield problem(
            f"the account has no {_SPOT_ROLE}",
            "Without it EC2 starts no Spot instances.",
            "aws iam create-service-linked-role --aws-service-name spot.amazonaws.com",
        )


def key_pair(aws: Aws) -> Iterator[Finding]:
    """The key pair exists in the region, if one is set."""
    settings = aws.settings
    name = settings.emr_ec2_key_name
    if not name:
        yield ok("no key pair is set: no SSH to the cluster, which nothing here needs")
        return
    if if_exists(
        lambda: aws.client("ec2").describe_key_pairs(KeyNames=[name]), "InvalidKeyPair.NotFound"
    ):
        yield ok(f"key pair {name} exists")
    else:
        yield problem(
            f"the key pair {name} does not exist in {settings.aws_region}",
            "EMR ends a cluster with an unknown key pair at once.",
            f"Empty EMR_EC2_KEY_NAME, or: aws ec2 create-key-pair --key-name {name} --region"
            f" {settings.aws_region}",
        )


def network(aws: Aws) -> Iterator[Finding]:
    """The subnet exists, has a route to S3, and carries the tag that EMR's policy requires."""
    settings = aws.settings
    subnets = _subnets(aws)
    if not subnets:
        wanted = settings.emr_subnet_id or f"default VPC in {settings.aws_region}"
        yield problem(
            f"there is no {wanted}",
            "The cluster needs a subnet.",
            "Set EMR_SUBNET_ID to one, or make a default VPC: aws ec2 create-default-vpc",
        )
        return
    names = ", ".join(subnet["SubnetId"] for subnet in subnets)
    routes = {str(subnet["SubnetId"]): _routes(aws, subnet) for subnet in subnets}
    closed = [name for name, its_routes in routes.items() if not any(map(_is_way_out, its_routes))]
    if closed:
        yield problem(
            f"no route leads out of {', '.join(closed)}",
            "The nodes must reach S3 and EMR: through an internet gateway, a NAT gateway or"
            " endpoints.",
            "Add the route, or set EMR_SUBNET_ID to another subnet.",
        )
    else:
        yield ok(f"a route leads out of {names}")
    through_nat = [name for name, its_routes in routes.items() if _pays_for_s3(its_routes)]
    if through_nat:
        yield warning(
            f"{', '.join(through_nat)} reaches S3 through a NAT gateway",
            "That costs $0.045 for each GB that the nodes read or write: more than the cluster,"
            " when there is much data.",
            "Make a gateway endpoint for S3, which is free: aws ec2 create-vpc-endpoint --region"
            f" {settings.aws_region} --vpc-id {subnets[0]['VpcId']} --service-name"
            f" com.amazonaws.{settings.aws_region}.s3 --route-table-ids …",
        )
    yield from _network_tags(aws, subnets)


def _subnets(aws: Aws) -> list[Answer]:
    """The subnet in the settings, else all subnets of the default VPC; EMR picks one of them."""
    if aws.settings.emr_subnet_id:
        which: dict[str, Any] = {
            "Filters": [{"Name": "subnet-id", "Values": [aws.settings.emr_subnet_id]}]
        }
    else:
        which = {"Filters": [{"Name": "default-for-az", "Values": ["true"]}]}
    return list(aws.client("ec2").describe_subnets(**which)["Subnets"])


def _routes(aws: Aws, subnet: Answer) -> list[Answer]:
    """The routes of the subnet's own route table, else of its VPC's main table."""
    in_vpc: Any = [{"Name": "vpc-id", "Values": [subnet["VpcId"]]}]
    tables = aws.client("ec2").describe_route_tables(Filters=in_vpc)["RouteTables"]
    links = [(link, table) for table in tables for link in table["Associations"]]
    own = [table for link, table in links if link.get("SubnetId") == subnet["SubnetId"]]
    main = [table for link, table in links if link.get("Main")]
    return [route for table in own or main for route in table["Routes"]]


def _pays_for_s3(routes: list[Answer]) -> bool:
    """Returns whether the route to S3 is a NAT gateway, because there is no gateway endpoint."""
    nat = any(
        route.get("NatGatewayId") and route.get("DestinationCidrBlock") == "0.0.0.0/0"
        for route in routes
    )
    return nat and not any(_is_endpoint(route) for route in routes)


def _is_endpoint(route: Answer) -> bool:
    """Returns whether the route is a gateway endpoint.

    Its destination is then a prefix list, of S3 or of DynamoDB.
    """
    return str(route.get("GatewayId", "")).startswith("vpce-")


def _is_way_out(route: Answer) -> bool:
    """Returns whether the route is a default route, or a gateway endpoint."""
    everywhere = route.get("DestinationCidrBlock") == "0.0.0.0/0"
    return route.get("State") != "blackhole" and (everywhere or _is_endpoint(route))


def _network_tags(aws: Aws, subnets: list[Answer]) -> Iterator[Finding]:
    """The network has the tag that EMR requires. A default VPC lacks it until somebody adds it.

    https://docs.aws.amazon.com/emr/latest/ManagementGuide/emr-managed-iam-policies.html
    """
    policies = _policies_of_service_role(aws)
    if _MANAGED_V2 not in policies:
        return
    untagged = _untagged(aws, subnets)
    key, value = EMR_MANAGED_POLICY_TAG["Key"], EMR_MANAGED_POLICY_TAG["Value"]
    if not untagged:
        yield ok(f"the network carries the tag {key}={value}")
        return
    finding = problem(
        f"{', '.join(untagged)} lack{'s' if len(untagged) == 1 else ''} the tag {key}={value}",
        f"{_MANAGED_V2} lets EMR use only what carries it: the cluster would end with 'insufficient"
        " EC2 permissions'.",
        f"aws ec2 create-tags --region {aws.settings.aws_region} --resources {' '.join(untagged)}"
        f" --tags Key={key},Value={value}\n{'':<12}    (python main.py --check --fix does"
        f" that)\n{'':<12}    or, where you may not tag it: python scripts/setup_iam_roles.py"
        " --emr-policy v1",
        apply_fix=lambda: aws.client("ec2").create_tags(
            Resources=untagged, Tags=[{"Key": key, "Value": value}]
        ),
    )
    # another policy of the role may allow more than v2
    yield finding if policies == [_MANAGED_V2] else replace(finding, level=Level.WARNING)


def _untagged(aws: Aws, subnets: list[Answer]) -> list[str]:
    """The subnets, their VPCs and EMR's security groups there that lack the tag."""
    ec2, vpc_ids = aws.client("ec2"), sorted({subnet["VpcId"] for subnet in subnets})
    vpcs = ec2.describe_vpcs(VpcIds=vpc_ids)["Vpcs"]
    groups = ec2.describe_security_groups(
        Filters=[
            {"Name": "vpc-id", "Values": vpc_ids},
            {"Name": "group-name", "Values": _MANAGED_GROUPS},
        ]
    )["SecurityGroups"]
    things: list[tuple[str, Answer]] = [(subnet["SubnetId"], subnet) for subnet in subnets]
    things += [(vpc["VpcId"], vpc) for vpc in vpcs] + [
        (group["GroupId"], group) for group in groups
    ]
    return [name for name, thing in things if EMR_MANAGED_POLICY_TAG not in thing.get("Tags", [])]


def _policies_of_service_role(aws: Aws) -> list[str]:
    """The managed policies of EMR's service role.

    If the role does not exist, those that step 1 will attach.
    """
    pages = (
        aws.client("iam")
        .get_paginator("list_attached_role_policies")
        .paginate(RoleName=role_name(aws.settings.emr_service_role))
    )
    attached = if_exists(
        lambda: [policy["PolicyName"] for page in pages for policy in page["AttachedPolicies"]],
        "NoSuchEntity",
    )
    return [_MANAGED_V2] if attached is None else attached
