"""Step 6 tells where the rows are that a run rejected."""

from car_rental.emr.spark_outcomes import show_rejects
from car_rental.errors import DataLakeError


def test_a_run_that_a_master_table_ended_gets_no_query_for_rejected_rentals():
    what = "step s-1 FAILED: not one of 2 rows of users could be kept: not_utf8 2."
    failure = DataLakeError("Spark job clean_rentals", what, "Fix the cause.")
    assert show_rejects(None, "run-1", failure).fix == "Fix the cause."
