"""Step 6 shows a query for rejected rentals only if rentals caused the failure."""

from car_rental.emr.spark_outcomes import show_rejects
from car_rental.errors import DataLakeError


def test_a_failure_caused_by_a_master_table_gets_no_query_for_rejected_rentals():
    cause = "step s-1 FAILED: not one of 2 rows of users could be kept: not_utf8 2."
    failure = DataLakeError("Spark job clean_rentals", cause, "Fix the cause.")
    assert show_rejects(None, "run-1", failure).fix == "Fix the cause."
