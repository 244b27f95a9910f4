"""The benchmark's DuckDB script computes everything that the contract requires.

A script that did less would make the comparison with the Spark jobs unfair.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import duckdb
import generate_sample_data
import pytest
from equal_tables import TABLES
from oracle.contract import COLUMNS, Table, contract_tables

SQL = (Path(__file__).parents[2] / "benchmarks" / "duckdb_contract.sql").read_text(encoding="utf-8")
REJECTED = f"""
    SELECT list_sort(reasons) AS reasons, {", ".join(COLUMNS["rental_transactions"])},
    malformed_row,
        'rental_transactions/' || parse_filename(source_file) AS source_file
    FROM rejected
"""


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """3,000 rentals with every defect of the sample data, and one with tabs around its fields."""
    folder = tmp_path / "raw"
    generate_sample_data.main(
        ["--rentals", "3000", "--seed", "7", "--defects", "0.04", "--output", str(folder)]
    )
    for file in folder.glob("*.csv"):
        (folder / file.stem).mkdir()
        file.rename(folder / file.stem / file.name)
    rentals = folder / "rental_transactions" / "rental_transactions.csv"
    lines = rentals.read_text(encoding="utf-8").splitlines()
    odd = ",".join(
        f"\t{field} \t" for field in lines[-1].replace(lines[-1].split(",")[0], "tabs").split(",")
    )
    rentals.write_text("\n".join([*lines, odd]) + "\n", encoding="utf-8")
    return folder


def test_the_duckdb_script_computes_the_same_tables_as_the_oracle(
    raw: Path, tmp_path: Path
) -> None:
    expected = contract_tables(raw)
    with duckdb.connect() as connection:
        connection.execute(SQL.format(raw=raw, out=tmp_path)).fetchall()
        for name in TABLES:
            table = Table.of(connection.read_parquet(str(tmp_path / f"{name}.parquet")))
            assert table == expected[name], name
        assert Table.of(connection.sql(REJECTED)) == expected["rejected_rentals"]
        assert connection.sql("SELECT count(*) FROM kept").fetchall() == [
            (len(expected["kept_rentals"].rows),)
        ]
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    rejected = expected["rejected_rentals"].rows
    assert summary["read"] == len(expected["kept_rentals"].rows) + len(rejected)
    assert summary["rejected_by_reason"] == Counter(reason for row in rejected for reason in row[0])


def test_the_duckdb_script_fails_on_too_many_rejected_rentals(raw: Path, tmp_path: Path) -> None:
    strict = SQL.replace("rejected > 0.05 * read", "rejected > 0.01 * read")
    assert strict != SQL
    with (
        duckdb.connect() as connection,
        pytest.raises(duckdb.InvalidInputException, match="too many rejected"),
    ):
        connection.execute(strict.format(raw=raw, out=tmp_path)).fetchall()
