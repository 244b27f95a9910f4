"""`make bench`: measures our jobs, plain Spark and DuckDB on the same data; writes RESULTS.md.

Our jobs are measured twice: as four applications and as one.

python benchmarks/run.py --rentals 1000000 10000000 --repeat 3
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from equal_tables import check_equal
from measure import Measured, measure

HERE = Path(__file__).parent
ROOT = HERE.parent
JOBS = ROOT / "spark_jobs"
JOB_NAMES = ("clean_rentals", "vehicle_location_metrics", "user_transaction_metrics", "publish_run")
ONE_APPLICATION = "all_jobs"
SCRATCH = ROOT / "out" / "bench"
DRIVER_MEMORY = "2g"
Contender = Callable[[Path, Path], Measured]


def main() -> None:
    args = parse()
    lines = list(report(args.rentals, args.repeat, args.work))
    (HERE / "RESULTS.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rentals", type=int, nargs="+", default=[1_000_000, 10_000_000], metavar="N"
    )
    parser.add_argument(
        "--repeat", type=int, default=3, metavar="N", help="number of runs; the median is reported"
    )
    parser.add_argument(
        "--work", type=Path, default=SCRATCH, help="folder for data and results (several GB)"
    )
    return parser.parse_args()


def report(sizes: list[int], repeat: int, work: Path) -> Iterator[str]:
    yield "# Measured"
    yield ""
    yield (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {platform.machine()}, Python"
        f" {platform.python_version()}, PySpark {version('pyspark')}, DuckDB {version('duckdb')};"
        f" medians of {repeat}, made by `benchmarks/run.py`."
    )
    for rentals in sizes:
        yield from table(rentals, repeat, work)


def table(rentals: int, repeat: int, work: Path) -> Iterator[str]:
    raw = generated(rentals, work)
    rounds = [one_round(raw, work / "results", CONTENDERS) for _ in range(repeat)]
    medians = {name: median([one[name] for one in rounds]) for name in CONTENDERS}
    ours = medians[OURS]
    yield from (
        "",
        f"## {rentals:,} rentals",
        "",
        "| | wall s | CPU s | peak MB | our CPU / its CPU |",
        "|---|---|---|---|---|",
    )
    for name, measured in medians.items():
        yield (
            f"| {name} | {measured.wall:.0f} | {measured.cpu:.0f} | {measured.peak_mb:.0f} |"
            f" {ours.cpu / measured.cpu:.2f} |"
        )


def one_round(raw: Path, results: Path, contenders: dict[str, Contender]) -> dict[str, Measured]:
    """Runs each program once, in turn.

    Raises TablesDiffer if our tables differ from DuckDB's.
    """
    measured = {name: run(raw, fresh(results / name)) for name, run in contenders.items()}
    for name in {OURS, IN_ONE} & set(contenders):
        check_equal(results / name, results / DUCKDB)
    return measured


def generated(rentals: int, work: Path) -> Path:
    """A raw zone with `rentals` rentals, generated once; one folder per table, for all programs."""
    raw = work / f"raw-{rentals}"
    if not (raw / "complete").exists():
        command = [
            sys.executable,
            str(ROOT / "scripts" / "generate_sample_data.py"),
            "--rentals",
            str(rentals),
            "--output",
            str(fresh(raw)),
        ]
        measure(command, work / "generate.log")
        for file in raw.glob("*.csv"):
            (raw / file.stem).mkdir()
            file.rename(raw / file.stem / file.name)
        (raw / "complete").touch()
    return raw


def ours(raw: Path, out: Path) -> Measured:
    shared = py_files({*JOB_NAMES, ONE_APPLICATION})
    return total(
        [
            spark_submit([*shared, str(JOBS / f"{job}.py"), *arguments], job)
            for job, arguments in job_arguments(raw, out).items()
        ]
    )


def ours_in_one(raw: Path, out: Path) -> Measured:
    commands = [["--", job, *arguments] for job, arguments in job_arguments(raw, out).items()]
    arguments = [argument for command in commands for argument in command][1:]
    return spark_submit(
        [*py_files({ONE_APPLICATION}), str(JOBS / f"{ONE_APPLICATION}.py"), *arguments],
        ONE_APPLICATION,
    )


def py_files(programs: set[str]) -> list[str]:
    return [
        "--py-files",
        ",".join(str(path) for path in sorted(JOBS.glob("*.py")) if path.stem not in programs),
    ]


def job_arguments(raw: Path, out: Path) -> dict[str, list[str]]:
    """Each job's command line."""
    zones = {
        zone: ["--" + zone, str(out / zone)]
        for zone in ("clean", "rejected", "staging", "processed")
    }
    arguments = {
        "clean_rentals": ["--raw", str(raw), *zones["clean"], *zones["rejected"]],
        "vehicle_location_metrics": [*zones["clean"], *zones["staging"]],
        "user_transaction_metrics": [*zones["clean"], *zones["staging"]],
        "publish_run": [
            *zones["clean"],
            *zones["rejected"],
            *zones["staging"],
            *zones["processed"],
        ],
    }
    return {job: [*arguments[job], "--run-id", "bench"] for job in JOB_NAMES}


def plain_spark(raw: Path, out: Path) -> Measured:
    program = str(HERE / "plain_spark.py")
    jobs = ("vehicle", "user")
    return total([spark_submit([program, job, str(raw), str(out)], f"plain_{job}") for job in jobs])


def duckdb(raw: Path, out: Path) -> Measured:
    sql = (HERE / "duckdb_contract.sql").read_text(encoding="utf-8").format(raw=raw, out=out)
    return measure(
        [sys.executable, "-c", "import duckdb, sys; duckdb.execute(sys.argv[1]).fetchall()", sql],
        out / "log",
    )


def spark_submit(arguments: list[str], name: str) -> Measured:
    """Runs spark-submit with Spark's default Java options, as users do."""
    import pyspark

    SCRATCH.mkdir(parents=True, exist_ok=True)
    home = Path(pyspark.__file__).parent
    environment = {
        **os.environ,
        "SPARK_HOME": str(home),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    command = [str(home / "bin" / "spark-submit"), "--driver-memory", DRIVER_MEMORY]
    measured = measure([*command, *arguments], SCRATCH / f"{name}.log", environment)
    print(f"{name}: {measured}", file=sys.stderr, flush=True)
    return measured


OURS, IN_ONE, DUCKDB = "ours, four jobs", "ours, one application", "DuckDB"
CONTENDERS: dict[str, Contender] = {
    OURS: ours,
    IN_ONE: ours_in_one,
    "plain Spark, no validation": plain_spark,
    DUCKDB: duckdb,
}


def total(steps: list[Measured]) -> Measured:
    whole = steps[0]
    for step in steps[1:]:
        whole = whole + step
    return whole


def median(runs: list[Measured]) -> Measured:
    return Measured(
        *[
            statistics.median(getattr(run, field) for run in runs)
            for field in ("wall", "cpu", "peak_mb")
        ]
    )


def fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


if __name__ == "__main__":
    main()
