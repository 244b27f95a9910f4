"""The EMR API: clusters by region, with AWS's responses and errors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import botocore.session

from local_aws.clients import Clients
from local_aws.data_dir import STEPS
from local_aws.emr.cluster import CLOSING, Cluster, RunningStep, Step
from local_aws.emr.launch import Launcher
from local_aws.emr.requests import (
    RequestRules,
    instance_groups,
    invalid,
    reject_unknown,
    spark_defaults,
    steps_of,
)
from local_aws.emr.step_execution import Failure, StepExecutor, StepJob
from local_aws.mirror import Mirror
from local_aws.overlay import AwsError, Call, Handler
from local_aws.pages import page
from local_aws.state_log import StateLog
from local_aws.unsupported import reject

PAGE = 50  # entries per page of ListClusters and ListSteps
# https://docs.aws.amazon.com/emr/latest/APIReference/API_TerminateJobFlows.html
_MOST_JOB_FLOWS = 10
_CLOSE_SECONDS = 15.0
_TARGET = "ElasticMapReduce"
# operations that moto implements well: they only store or return facts
_MOTOS = frozenset(
    "ListReleaseLabels ListSupportedInstanceTypes CreateSecurityConfiguration"
    " DescribeSecurityConfiguration DeleteSecurityConfiguration GetBlockPublicAccessConfiguration"
    " PutBlockPublicAccessConfiguration".split()
)


class EmrComponent:
    """EMR of one server.

    ``data_dir`` holds the scratch folders of running steps, ``state_log`` the clusters of earlier
    servers.
    """

    def __init__(
        self,
        clients: Clients,
        data_dir: Path,
        mirror: Mirror,
        launcher: Launcher,
        state_log: StateLog,
    ) -> None:
        self._launcher = launcher
        self._runs = StepExecutor(clients, mirror, launcher, data_dir / STEPS)
        self._rules = RequestRules(clients)
        self._clusters: defaultdict[str, dict[str, Cluster]] = defaultdict(dict)
        self._state_log = state_log
        for record in state_log.state.clusters.values():
            role = record["request"]["JobFlowRole"]
            self._clusters[record["region"]][record["id"]] = Cluster.from_record(
                record, partial(self._start_run, role)
            )

    def handlers(self) -> Mapping[str, Handler]:
        """All operations of EMR; rejects those that neither this component nor moto has."""
        done: dict[str, Handler] = {
            "RunJobFlow": self._run_job_flow,
            "DescribeCluster": self._describe_cluster,
            "ListClusters": self._list_clusters,
            "TerminateJobFlows": self._terminate_job_flows,
            "SetTerminationProtection": self._set_termination_protection,
            "ListInstanceGroups": self._list_instance_groups,
            "ListBootstrapActions": self._list_bootstrap_actions,
            "AddJobFlowSteps": self._add_job_flow_steps,
            "DescribeStep": self._describe_step,
            "ListSteps": self._list_steps,
            "CancelSteps": self._cancel_steps,
        }
        operations = botocore.session.get_session().get_service_model("emr").operation_names
        refused: dict[str, Handler] = dict.fromkeys(set(operations) - done.keys() - _MOTOS, reject)
        return {f"{_TARGET}.{name}": handler for name, handler in {**refused, **done}.items()}

    def close(self) -> None:
        self._launcher.close()
        clusters = [
            cluster for in_region in self._clusters.values() for cluster in in_region.values()
        ]
        for cluster in clusters:
            cluster.terminate(message="local_aws ends")
        for cluster in clusters:
            cluster.join(_CLOSE_SECONDS)

    # clusters

    def _run_job_flow(self, call: Call) -> dict[str, Any]:
        self._rules.run_job_flow(call)
        role = self._rules.role_of_nodes(call.body)
        cluster = Cluster(call.body, call.region, partial(self._start_run, role), self._log_cluster)
        cluster.add(steps_of(call.body.get("Steps", [])))
        self._clusters[call.region][cluster.cluster_id] = cluster
        self._launcher.prepare()
        cluster.start()
        return {"JobFlowId": cluster.cluster_id, "ClusterArn": cluster.arn}

    def _log_cluster(self, cluster: Cluster) -> None:
        self._state_log.append(cluster=cluster.record())

    def _describe_cluster(self, call: Call) -> dict[str, Any]:
        return {"Cluster": self._describe(self._cluster(call))}

    def _describe(self, cluster: Cluster) -> dict[str, Any]:
        request, instances = cluster.request, cluster.request["Instances"]
        returned = (
            "LogUri ReleaseLabel ServiceRole AutoScalingRole SecurityConfiguration"
            " ScaleDownBehavior EbsRootVolumeSize OSReleaseLabel RepoUpgradeOnBoot"
        ).split()
        return _summary(cluster) | {
            **{key: request[key] for key in returned if key in request},
            "AutoTerminate": not cluster.settings.keep_alive,
            "TerminationProtected": cluster.settings.protected,
            "VisibleToAllUsers": request.get("VisibleToAllUsers", True),
            "StepConcurrencyLevel": cluster.settings.concurrency,
            "Applications": [
                self._application(application["Name"])
                for application in request.get("Applications", [])
            ],
            "Configurations": request.get("Configurations", []),
            "Tags": [{"Key": key, "Value": value} for key, value in sorted(cluster.tags.items())],
            "InstanceCollectionType": "INSTANCE_GROUP",
            "MasterPublicDnsName": "localhost",
            "Ec2InstanceAttributes": {
                "IamInstanceProfile": request["JobFlowRole"],
                "Ec2AvailabilityZone": (
                    instances.get("Placement", {}).get("AvailabilityZone", f"{cluster.region}a")
                ),
                **{
                    key: instances[key]
                    for key in ("Ec2KeyName", "Ec2SubnetId")
                    if instances.get(key)
                },
            },
        }

    def _application(self, name: str) -> dict[str, str]:
        """Adds the version, if the application is Spark."""
        return (
            {"Name": name, "Version": version("pyspark")}
            if name.lower() == "spark"
            else {"Name": name}
        )

    def _list_clusters(self, call: Call) -> dict[str, Any]:
        body = call.body
        after, before = (_moment(body.get(key)) for key in ("CreatedAfter", "CreatedBefore"))
        clusters = sorted(
            self._clusters[call.region].values(), key=lambda cluster: cluster.created, reverse=True
        )
        found = [
            _summary(cluster)
            for cluster in clusters
            if (not body.get("ClusterStates") or cluster.state in body["ClusterStates"])
            and (after is None or cluster.created > after)
            and (before is None or cluster.created < before)
        ]
        return _page("Clusters", found, body.get("Marker"))

    def _terminate_job_flows(self, call: Call) -> dict[str, Any]:
        clusters = self._job_flows(call)
        protected = [
            cluster
            for cluster in clusters
            if cluster.settings.protected and cluster.state not in CLOSING
        ]
        for cluster in clusters:
            if cluster not in protected:
                cluster.terminate()
        if protected:
            raise invalid(
                "Could not shut down one or more job flows since they are termination protected."
            )
        return {}

    def _set_termination_protection(self, call: Call) -> dict[str, Any]:
        for cluster in self._job_flows(call):
            cluster.change(protected=call.body["TerminationProtected"])
        return {}

    def _list_instance_groups(self, call: Call) -> dict[str, Any]:
        cluster = self._cluster(call)
        groups = instance_groups(cluster.request["Instances"])
        return {
            "InstanceGroups": [
                _group(cluster, number, group) for number, group in enumerate(groups, 1)
            ]
        }

    def _list_bootstrap_actions(self, call: Call) -> dict[str, Any]:
        self._cluster(call)
        return {"BootstrapActions": []}  # RunJobFlow rejects bootstrap actions

    # steps

    def _add_job_flow_steps(self, call: Call) -> dict[str, Any]:
        cluster = self._job_flow(call, call.body["JobFlowId"])
        reject_unknown("AddJobFlowSteps", call.body, {"JobFlowId", "Steps"})
        steps = steps_of(call.body["Steps"])
        cluster.add(steps)
        return {"StepIds": [step.step_id for step in steps]}

    def _describe_step(self, call: Call) -> dict[str, Any]:
        return {"Step": _step(self._cluster(call), call.body["StepId"]).describe()}

    def _list_steps(self, call: Call) -> dict[str, Any]:
        cluster, ids, states = (
            self._cluster(call),
            call.body.get("StepIds"),
            call.body.get("StepStates"),
        )
        if ids and states:
            raise AwsError("InvalidRequestException", "Cannot specify both StepIds and StepStates.")
        if ids:
            steps = [_step(cluster, step_id) for step_id in ids]
        else:
            steps = [step for step in reversed(cluster.steps) if not states or step.state in states]
        return _page("Steps", [step.describe() for step in steps], call.body.get("Marker"))

    def _cancel_steps(self, call: Call) -> dict[str, Any]:
        cluster = self._cluster(call)
        answers = [
            (step_id, cluster.cancel(_step(cluster, step_id))) for step_id in call.body["StepIds"]
        ]
        return {
            "CancelStepsInfoList": [
                (
                    {"StepId": step_id, "Status": "FAILED", "Reason": why}
                    if why
                    else {"StepId": step_id, "Status": "SUBMITTED"}
                )
                for step_id, why in answers
            ]
        }

    def _start_run(self, role: str, cluster: Cluster, step: Step) -> RunningStep:
        if not any(
            application["Name"].lower() == "spark"
            for application in cluster.request.get("Applications", [])
        ):
            return _NoSpark()
        defaults = spark_defaults(cluster.request.get("Configurations", []))
        log_uri = cluster.request.get("LogUri")
        what = tuple(step.args), step.submission.with_defaults(defaults)
        return self._runs.new(StepJob(cluster.cluster_id, step.step_id, *what, log_uri, role))

    # finding the cluster

    def _cluster(self, call: Call) -> Cluster:
        """The cluster, or the error of newer operations; older ones (job flows) have another."""
        cluster_id = call.body["ClusterId"]
        cluster = self._clusters[call.region].get(cluster_id)
        if cluster is None:
            raise AwsError("InvalidRequestException", f"Cluster id '{cluster_id}' is not valid.")
        return cluster

    def _job_flow(self, call: Call, job_flow_id: str) -> Cluster:
        cluster = self._clusters[call.region].get(job_flow_id)
        if cluster is None:
            raise invalid("Specified job flow ID does not exist.")
        return cluster

    def _job_flows(self, call: Call) -> list[Cluster]:
        ids: Sequence[str] = call.body["JobFlowIds"]
        if not ids or len(ids) > _MOST_JOB_FLOWS:
            raise invalid(f"The JobFlowId list must hold 1 to {_MOST_JOB_FLOWS} ids.")
        return [self._job_flow(call, job_flow_id) for job_flow_id in ids]


class _NoSpark:
    """The run of a step on a cluster without Spark: it fails, as there is no spark-submit."""

    def execute(self) -> Failure | None:
        message = (
            'Cannot run program "spark-submit": the application Spark is not installed on this'
            " cluster"
        )
        return Failure("Unknown Error.", message, None)

    def cancel(self) -> None:
        """It has already ended."""


def _summary(cluster: Cluster) -> dict[str, Any]:
    return {
        "Id": cluster.cluster_id,
        "Name": cluster.request["Name"],
        "Status": cluster.status(),
        "NormalizedInstanceHours": 0,
        "ClusterArn": cluster.arn,
    }


def _step(cluster: Cluster, step_id: str) -> Step:
    step = cluster.step(step_id)
    if step is None:
        raise AwsError("InvalidRequestException", f"Step id '{step_id}' is not valid.")
    return step


def _group(cluster: Cluster, number: int, group: Mapping[str, Any]) -> dict[str, Any]:
    state = {
        "WAITING": "RUNNING",
        "STARTING": "PROVISIONING",
        "TERMINATED_WITH_ERRORS": "TERMINATED",
    }
    return {
        "Id": f"ig-{cluster.cluster_id[2:-1]}{number}",
        "Name": group.get("Name", group["InstanceRole"].lower()),
        "Market": group["Market"],
        "InstanceGroupType": group["InstanceRole"],
        "InstanceType": group["InstanceType"],
        "RequestedInstanceCount": group["InstanceCount"],
        "RunningInstanceCount": (
            0 if cluster.state in CLOSING or cluster.state == "STARTING" else group["InstanceCount"]
        ),
        "Status": (
            cluster.status()
            | {"State": state.get(cluster.state, cluster.state), "StateChangeReason": {}}
        ),
        "Configurations": group.get("Configurations", []),
        "EbsBlockDevices": [],
        "ShrinkPolicy": {},
    }


def _page(name: str, entries: list[dict[str, Any]], marker: str | None) -> dict[str, Any]:
    return page(
        name,
        entries,
        PAGE,
        ("Marker", marker),
        AwsError("InvalidRequestException", f"Marker '{marker}' is not valid."),
    )


def _moment(epoch_seconds: float | None) -> datetime | None:
    return None if epoch_seconds is None else datetime.fromtimestamp(epoch_seconds, UTC)
