"""A lake with known answers: a few rentals in two published runs, counted by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.published_lake import MASTERS, PublishedLake

from local_aws.server import LocalAws

FIRST = ["R1,U1,V1,2024-01-01 10:00:00,2024-01-01 12:00:00,1,2,20.00"]
FIRST += ["R2,U2,V1,2024-01-02 10:00:00,2024-01-02 11:00:00,2,1,10.10"]
SECOND = [
    *FIRST,
    "R3,U1,V2,2024-01-03 23:00:00,2024-01-05 01:00:00,1,1,1300.05",
    "R4,U1,V1,2024-01-01 10:30:00,2024-01-01 11:00:00,3,1,0.00",
    "R5,U3,V3,2024-01-09 00:00:00,2024-01-09 10:00:00,1,2,100.00",
    "R6,U9,V1,2024-01-09 00:00:00,2024-01-09 10:00:00,1,2,-5.00",
    "R7,U1,V1,2024-01-09 00:00:00,2024-01-09 10:00:00,1,2,x",
]
FAILED = [*FIRST, "R8,U1,V1,2024-01-09 00:00:00,2024-01-09 10:00:00,9,9,x"]

MASTER_COUNTS = {
    "locations": {
        "rows": 1204,
        "kept": 1200,
        "rejected": 3,
        "duplicates": 1,
        "rejected_by_reason": {"bad_id": 1, "malformed_row": 2},
    },
    "users": {"rows": 3, "kept": 3, "rejected": 0, "duplicates": 0, "rejected_by_reason": {}},
}


@pytest.fixture(scope="session")
def known_lake(stand_in: LocalAws, tmp_path_factory: pytest.TempPathFactory) -> PublishedLake:
    """Runs r1 and r2 are published; two failed runs left only their rejected rentals.

    One failed run is between r1 and r2, the other one after r2.
    """
    folder: Path = tmp_path_factory.mktemp("known_lake")
    lake = PublishedLake.new(stand_in.url, "known", folder)
    lake.publish("r1", {**MASTERS, "rental_transactions": FIRST})
    lake.reject("r1-failed", {**MASTERS, "rental_transactions": FAILED})
    lake.publish("r2", {**MASTERS, "rental_transactions": SECOND})
    lake.put_summary("r2", {"masters": MASTER_COUNTS})
    lake.reject("r3-failed", {**MASTERS, "rental_transactions": FAILED})
    lake.crawl()
    return lake
