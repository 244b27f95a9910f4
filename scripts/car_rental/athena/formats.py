"""The rows of a query as CSV, and as JSON with one object per line."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import IO, Any

from car_rental.athena.client import QueryResult


def write_csv(result: QueryResult, out: IO[str]) -> None:
    """Writes a header and one line per row. NULL is an empty field."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(result.names)
    writer.writerows([_text(cell) for cell in row] for row in result.rows)


def write_json_lines(result: QueryResult, out: IO[str]) -> None:
    """Writes one object per row. Decimals are numbers with all digits."""
    for row in result.rows:
        fields = (
            f"{_json(name)}: {_json(cell)}" for name, cell in zip(result.names, row, strict=True)
        )
        out.write("{" + ", ".join(fields) + "}\n")


def rows_for_people(result: QueryResult) -> Sequence[Sequence[Any]]:
    """The rows for a table on the terminal.

    Numbers stay numbers, NULL stays None, other values become text.
    """
    return [
        [cell if _is_number(cell) else _text(cell) or None for cell in row] for row in result.rows
    ]


def _is_number(cell: Any) -> bool:
    return isinstance(cell, (int, float, Decimal)) and not isinstance(cell, bool)


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, datetime):
        return cell.isoformat(sep=" ", timespec="milliseconds")
    return str(cell)


def _json(cell: Any) -> str:
    if isinstance(cell, Decimal):
        return format(cell, "f")
    if isinstance(cell, date) or (isinstance(cell, float) and not math.isfinite(cell)):
        cell = _text(cell)  # JSON has neither dates nor NaN
    return json.dumps(cell, ensure_ascii=False)
