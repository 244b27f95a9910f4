"""A lake whose answers are known: a few rentals, counted by hand, published through catalog and crawler as two runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from notebooks_lakes import PublishedLake

from local_aws.server import LocalAws

LOCATIONS = ["1,Airport,1 Road,Boston,MA,02110,42.3,-71.0", "2,Harbour,2 Road,Salem,MA,01970,42.5,-70.9"]
LOCATIONS += ["3,,3 Road,Boston,MA,02111,42.3,-71.1", "4,Nowhere,4 Road,Lynn,MA,01901,42.4,-70.9"]
USERS = ["U1,Ann,Lee,a@example.com,1,D1,2030-01-01,2020-01-01,1", "U2,Bo,Ray,b@example.com,2,D2,2030-01-01,2020-01-01,0"]
USERS += ["U3,Cy,Poe,c@example.com,3,D3,2030-01-01,2020-01-01,1"]
VEHICLES = ["1,L1,Owner,T,01-01-2030,,2020-01-01,2019,5,Street,V1,01-01-2024 10:00:00,Nissan,basic"]
VEHICLES += ["1,L2,Owner,T,01-01-2030,,2020-01-01,2019,5,Street,V2,01-01-2024 10:00:00,Ferrari,high_end"]
VEHICLES += ["1,L3,Owner,T,01-01-2030,,2020-01-01,2019,5,Street,V3,01-01-2024 10:00:00,,"]
FIRST = ["R1,U1,V1,2024-01-01 10:00:00,2024-01-01 12:00:00,1,2,20.00"]
FIRST += ["R2,U2,V1,2024-01-02 10:00:00,2024-01-02 11:00:00,2,1,10.10"]
SECOND = [
    *FIRST,
    "R3,U1,V2,2024-01-03 23:00:00,2024-01-05 01:00:00,1,1,1300.05",
    "R4,U1,V1,2024-01-08 10:30:00,2024-01-08 11:00:00,3,1,0.00",
    "R5,U3,V3,2024-01-09 00:00:00,2024-01-09 10:00:00,1,2,100.00",
    "R6,U9,V1,2024-01-09 00:00:00,2024-01-09 10:00:00,1,2,-5.00",
    "R7,U1,V1,2024-01-09 00:00:00,2024-01-09 10:00:00,1,2,x",
]
FAILED = [*FIRST, "R8,U1,V1,2024-01-09 00:00:00,2024-01-09 10:00:00,9,9,x"]
MASTERS = {"locations": LOCATIONS, "users": USERS, "vehicles": VEHICLES}


@pytest.fixture(scope="session")
def known_lake(stand_in: LocalAws, tmp_path_factory: pytest.TempPathFactory) -> PublishedLake:
    """Runs r1 and r2 are published; a run between them and one after them failed and left only what they rejected."""
    folder: Path = tmp_path_factory.mktemp("known_lake")
    lake = PublishedLake.new(stand_in.url, "known", folder)
    lake.publish("r1", {**MASTERS, "rental_transactions": FIRST})
    lake.reject("r1-failed", {**MASTERS, "rental_transactions": FAILED})
    lake.publish("r2", {**MASTERS, "rental_transactions": SECOND})
    lake.reject("r3-failed", {**MASTERS, "rental_transactions": FAILED})
    lake.crawl()
    return lake
