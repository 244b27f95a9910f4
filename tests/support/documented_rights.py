"""Permissions that AWS documents for a role but that the stand-in's requests never show.

All names are those of the environment ``recorded``.
"""

from __future__ import annotations

from local_aws.clients import ACCOUNT_ID

REGION = "us-east-1"
ROLE = f"arn:aws:iam::{ACCOUNT_ID}:role"
BUCKET = "arn:aws:s3:::recorded-car-rental-data-lake"
GLUE = f"arn:aws:glue:{REGION}:{ACCOUNT_ID}"
TABLE = f"{GLUE}:table/recorded_car_rental_db/user_metrics"
CATALOG = (f"{GLUE}:catalog", f"{GLUE}:database/recorded_car_rental_db", TABLE)
EVENTS = f"arn:aws:events:{REGION}:{ACCOUNT_ID}:rule/StepFunctionsGetEventForEMR"
TAGS = {"Project": "car-rental-data-lake", "Environment": "recorded"}
CLUSTER = f"arn:aws:elasticmapreduce:{REGION}:{ACCOUNT_ID}:cluster/j-1"
TAGGED = {f"elasticmapreduce:ResourceTag/{key}": value for key, value in TAGS.items()}
# clients upload large objects in parts
MULTIPART = ("AbortMultipartUpload", "ListMultipartUploadParts")

Need = tuple[str, str] | tuple[str, str, dict[str, str]]


def each(prefix: str, actions: str, *resources: str) -> list[Need]:
    """One need for every pair of action and resource."""
    return [
        (f"{prefix}:{action}", resource) for action in actions.split() for resource in resources
    ]


DOCUMENTED: dict[str, list[Need]] = {
    "EMR_SERVICE_ROLE": [
        # https://docs.aws.amazon.com/emr/latest/ManagementGuide/emr-iam-role.html
        (
            "iam:PassRole",
            f"{ROLE}/recorded-EMR_EC2_DefaultRole",
            {"iam:PassedToService": "ec2.amazonaws.com"},
        )
    ],
    "EMR_EC2_INSTANCE_PROFILE": [
        *each("s3", "GetBucketLocation ListBucketMultipartUploads", BUCKET),
        *each(
            "s3",
            " ".join(MULTIPART),
            *(f"{BUCKET}/{zone}/x" for zone in ("clean", "rejected", "staging", "processed")),
        ),
        ("s3:AbortMultipartUpload", f"{BUCKET}/logs/emr/j-1/x"),
        # folder markers, which EMRFS of EMR up to 7.9 reads and writes
        *each("s3", "GetObject", *(f"{BUCKET}/{zone}_$folder$" for zone in ("raw", "jobs"))),
        *(
            need
            for zone in ("clean", "rejected", "staging", "processed")
            for need in each(
                "s3",
                "GetObject PutObject DeleteObject",
                f"{BUCKET}/{zone}_$folder$",
                f"{BUCKET}/{zone}/x",
            )
        ),
    ],
    "GLUE_SERVICE_ROLE": [
        # https://docs.aws.amazon.com/glue/latest/dg/create-service-policy.html
        # (AWSGlueServiceRole), limited to this lake
        *each("s3", "GetBucketLocation GetBucketAcl", BUCKET),
        *each(
            "glue",
            "GetDatabases GetTable GetTables GetTableVersions UpdateTable DeleteTable"
            " BatchDeleteTable GetPartition GetPartitions BatchGetPartition CreatePartition"
            " BatchCreatePartition UpdatePartition BatchUpdatePartition DeletePartition"
            " BatchDeletePartition",
            *CATALOG,
        ),
    ],
    "LAMBDA_ROLE": [],
    "STEP_FUNCTIONS_ROLE_ARN": [
        # https://docs.aws.amazon.com/step-functions/latest/dg/connect-emr.html
        *(
            (f"events:{action}", f"{EVENTS}{rule}Rule")
            for action in ("PutTargets", "PutRule", "DescribeRule")
            for rule in ("RunJobFlow", "AddJobFlowSteps", "TerminateJobFlows")
        ),
        ("elasticmapreduce:CancelSteps", CLUSTER, TAGGED),
        ("elasticmapreduce:PutManagedScalingPolicy", CLUSTER),  # with EMR_MAX_CORE_INSTANCE_COUNT
        # https://docs.aws.amazon.com/emr/latest/ManagementGuide/using-service-linked-roles-cleanup.html
        (
            "iam:CreateServiceLinkedRole",
            f"{ROLE}/aws-service-role/elasticmapreduce.amazonaws.com/AWSServiceRoleForEMRCleanup",
            {"iam:AWSServiceName": "elasticmapreduce.amazonaws.com"},
        ),
        # https://docs.aws.amazon.com/step-functions/latest/dg/connect-athena.html
        *each(
            "athena",
            "StopQueryExecution",
            f"arn:aws:athena:{REGION}:{ACCOUNT_ID}:workgroup/recorded-car-rental",
        ),
        *each(
            "athena",
            "GetDataCatalog",
            f"arn:aws:athena:{REGION}:{ACCOUNT_ID}:datacatalog/AwsDataCatalog",
        ),
        *each(
            "glue",
            "GetDatabase GetDatabases GetTable GetTables GetPartition GetPartitions"
            " BatchGetPartition",
            *CATALOG,
        ),
        *each("s3", "GetBucketLocation ListBucketMultipartUploads", BUCKET),
        *each("s3", " ".join(("GetObject", *MULTIPART)), f"{BUCKET}/athena-results/x"),
        # https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html, and .../xray-iam.html
        *each(
            "logs",
            "CreateLogDelivery GetLogDelivery UpdateLogDelivery DeleteLogDelivery ListLogDeliveries"
            " PutResourcePolicy DescribeResourcePolicies DescribeLogGroups",
            "*",
        ),
        *each(
            "xray", "PutTraceSegments PutTelemetryRecords GetSamplingRules GetSamplingTargets", "*"
        ),
    ],
}
