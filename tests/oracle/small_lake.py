"""A small valid raw zone that tests change in one place."""

from __future__ import annotations

from pathlib import Path

from oracle.contract import COLUMNS

ROWS = {
    "locations": [
        "1,Airport,1 Road,Boston,MA,02110,42.3,-71.0",
        "2,Harbour,2 Road,Salem,MA,01970,42.5,-70.9",
    ],
    "users": [
        "U1,Ann,Lee,a@example.com,1,D1,2030-01-01,2020-01-01,1",
        "U2,Bo,Ray,b@example.com,2,D2,2030-01-01,2020-01-01,0",
    ],
    "vehicles": [
        "1,L1,Owner,T,01-01-2030,,2020-01-01,2019,5,Street,V1,01-01-2024 10:00:00,Nissan,basic"
    ],
    "rental_transactions": [
        "R1,U1,V1,2024-01-01 10:00:00,2024-01-01 12:00:00,1,2,20.00",
        "R2,U2,V1,2024-01-02 10:00:00,2024-01-02 11:00:00,2,1,10.00",
        "R3,U1,V1,2024-01-03 10:00:00,2024-01-03 11:00:00,1,1,10.00",
        "R4,U1,V1,2024-01-04 10:00:00,2024-01-04 11:00:00,1,1,0.00",
    ],
}


def write_small_lake(raw: Path) -> Path:
    """Writes four good rentals, one file per table."""
    for table, rows in ROWS.items():
        write_table(raw, table, rows)
    return raw


def write_table(
    raw: Path, table: str, rows: list[str], columns: list[str] | None = None, name: str = "part.csv"
) -> None:
    (raw / table).mkdir(parents=True, exist_ok=True)
    header = ",".join(COLUMNS[table] if columns is None else columns)
    (raw / table / name).write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
