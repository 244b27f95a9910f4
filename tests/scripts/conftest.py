"""Fixtures for the tests of the steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from car_rental.emr.clusters import active_clusters
from car_rental.s3.lake_bucket import ensure_bucket
from setup_iam_roles import setup_iam_roles


@pytest.fixture
def lake(new_project: Callable[..., Any], tmp_path: Path) -> Iterator[Any]:
    """A project with bucket and roles; its clusters are terminated after the test."""
    project = new_project()
    ensure_bucket(project.aws)
    setup_iam_roles(project.aws, project.console, file=tmp_path / "iam_roles.json")
    yield project
    for cluster in active_clusters(project.aws):
        project.aws.client("emr").terminate_job_flows(JobFlowIds=[cluster["Id"]])
