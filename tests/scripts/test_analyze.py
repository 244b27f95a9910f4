"""Step 10 without published data or with a missing part names the step to run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from analyze import analyze, execute
from car_rental.errors import DataLakeError
from car_rental.glue.published import published_runs
from car_rental.glue.rejected_table import register_rejected_rentals
from car_rental.report import html_page as report
from conftest import Project
from contract import KPI_TABLES as TABLES
from setup_glue_crawlers import ensure_database, ensure_workgroup


@pytest.fixture
def empty_catalog(new_project: Callable[..., Project]) -> Project:
    """A workgroup and a database without tables."""
    project = new_project()
    ensure_workgroup(project.aws)
    ensure_database(project.aws)
    return project


def register(project: Project, table: str, *runs: str) -> None:
    glue, database = project.aws.client("glue"), project.settings.glue_database_name
    storage = {"Columns": [], "Location": project.settings.s3("processed", table, "")}
    keys = [{"Name": "run_id", "Type": "string"}]
    glue.create_table(
        DatabaseName=database,
        TableInput={"Name": table, "PartitionKeys": keys, "StorageDescriptor": storage},
    )
    for run in runs:
        glue.create_partition(
            DatabaseName=database,
            TableName=table,
            PartitionInput={"Values": [run], "StorageDescriptor": storage},
        )


def failed_analysis(project: Project) -> DataLakeError:
    with pytest.raises(DataLakeError) as caught:
        analyze(project.aws, project.console)
    assert not project.settings.reports_dir.exists()
    return caught.value


def test_a_missing_workgroup_names_the_step_to_run(new_project: Callable[..., Project]) -> None:
    error = failed_analysis(new_project())
    assert "Athena workgroup" in str(error)
    assert "setup_glue_crawlers.py" in error.fix


def test_a_workgroup_without_a_results_location_names_the_step_to_run(
    new_project: Callable[..., Project],
) -> None:
    project = new_project()
    project.aws.client("athena").create_work_group(
        Name=project.settings.athena_workgroup, Configuration={}
    )
    error = failed_analysis(project)
    assert "no results location" in error.what
    assert "setup_glue_crawlers.py" in error.fix


def test_a_missing_database_names_the_step_to_run(new_project: Callable[..., Project]) -> None:
    project = new_project()
    ensure_workgroup(project.aws)
    error = failed_analysis(project)
    assert "database" in error.what
    assert "setup_glue_crawlers.py" in error.fix


def test_an_analysis_before_the_first_run_names_the_phase_to_run(empty_catalog: Project) -> None:
    error = failed_analysis(empty_catalog)
    assert "nothing has been published yet" in error.what
    assert "main.py --process" in error.fix


def test_a_missing_table_stops_the_analysis(empty_catalog: Project) -> None:
    for table in TABLES[1:]:
        register(empty_catalog, table, "r1")
    error = failed_analysis(empty_catalog)
    assert f"{empty_catalog.settings.glue_database_name}.{TABLES[0]} is missing" in error.what
    assert "run_glue_crawlers.py" in error.fix


def test_an_empty_table_stops_the_analysis(empty_catalog: Project) -> None:
    register(empty_catalog, TABLES[0])
    for table in TABLES[1:]:
        register(empty_catalog, table, "r1")
    error = failed_analysis(empty_catalog)
    assert f"{TABLES[0]} holds no run" in error.what
    assert "main.py --process" in error.fix


def test_a_table_without_the_newest_run_stops_the_analysis(empty_catalog: Project) -> None:
    register(empty_catalog, TABLES[0], "r1")
    for table in TABLES[1:]:
        register(empty_catalog, table, "r1", "r2")
    error = failed_analysis(empty_catalog)
    assert f"{TABLES[0]} does not show the newest run, r2" in error.what
    assert "run_glue_crawlers.py" in error.fix


def test_a_run_is_published_if_every_table_has_its_partition(empty_catalog: Project) -> None:
    register(empty_catalog, TABLES[0], "r2", "r3")
    for table in TABLES[1:]:
        register(empty_catalog, table, "r1", "r2", "r3")
    assert published_runs(empty_catalog.aws) == ["r2", "r3"]


# --- the table of rejected rentals


def rejected_runs(project: Project) -> set[str]:
    partitions = project.aws.client("glue").get_partitions(
        DatabaseName=project.settings.glue_database_name, TableName="rejected_rentals"
    )
    return {partition["Values"][0] for partition in partitions["Partitions"]}


def write_rejected_file(project: Project, run: str) -> None:
    key = f"rejected/rental_transactions/run_id={run}/part-0.parquet"
    project.aws.client("s3").put_object(Bucket=project.settings.s3_bucket_name, Key=key, Body=b"")


def test_rejected_rentals_of_published_runs_are_registered(empty_catalog: Project) -> None:
    empty_catalog.aws.client("s3").create_bucket(Bucket=empty_catalog.settings.s3_bucket_name)
    for run in ("r1", "r2-failed"):
        write_rejected_file(empty_catalog, run)
    register_rejected_rentals(empty_catalog.aws, ["r1", "r3-wrote-nothing"])
    assert rejected_runs(empty_catalog) == {"r1"}


def test_rejected_rentals_of_a_pruned_run_are_unregistered(empty_catalog: Project) -> None:
    empty_catalog.aws.client("s3").create_bucket(Bucket=empty_catalog.settings.s3_bucket_name)
    for run in ("r1", "r2"):
        write_rejected_file(empty_catalog, run)
    register_rejected_rentals(empty_catalog.aws, ["r1"])
    register_rejected_rentals(empty_catalog.aws, ["r2"])
    assert rejected_runs(empty_catalog) == {"r2"}


# --- failures in a notebook


def notebook(folder: Path, *cells: str) -> Path:
    path = folder / "small.ipynb"
    code_cells = [
        {"cell_type": "code", "metadata": {}, "source": [cell], "outputs": []} for cell in cells
    ]
    path.write_text(json.dumps({"cells": code_cells}))
    return path


def failed_notebook(project: Project, folder: Path, *cells: str) -> DataLakeError:
    with pytest.raises(DataLakeError) as caught:
        execute(notebook(folder, *cells), project.settings, project.console)
    return caught.value


OPEN_LAKE = f"""
import sys
sys.path.insert(0, {str(report.TEMPLATE.parent)!r})
from lake import Lake, show_errors_briefly
show_errors_briefly()
lake = Lake.open()
"""


def test_a_failed_query_in_a_notebook_keeps_its_reason_sql_line_and_remedy(
    empty_catalog: Project, tmp_path: Path
) -> None:
    empty_catalog.aws.client("s3").create_bucket(Bucket=empty_catalog.settings.s3_bucket_name)
    error = failed_notebook(empty_catalog, tmp_path, OPEN_LAKE, "lake.answer('brands')")
    assert error.where == "Athena query brands"
    assert "TABLE_NOT_FOUND" in error.what
    assert "main.py --process" in error.fix
    assert any("FROM brand_metrics" in line for line in error.details)


def test_an_aws_error_in_a_notebook_names_the_operation(
    empty_catalog: Project, tmp_path: Path
) -> None:
    error = failed_notebook(
        empty_catalog,
        tmp_path,
        OPEN_LAKE,
        "lake.aws.client('s3').head_bucket(Bucket='no-such-bucket-anywhere')",
    )
    assert "HeadBucket" in error.where


def test_any_other_error_names_the_notebook_and_the_cell(
    empty_catalog: Project, tmp_path: Path
) -> None:
    error = failed_notebook(empty_catalog, tmp_path, "1 + 1", "[][0]")
    assert error.where.endswith("small.ipynb, cell 2")
    assert "IndexError: list index out of range" in error.what
