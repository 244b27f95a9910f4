"""Spark job 4: publish a run: its seven staged tables go to the processed zone. It moves files and needs no Spark session.

    spark-submit --py-files ... spark_jobs/publish_run.py --clean out/clean --rejected out/rejected --staging out/staging \\
        --processed out/processed --run-id try-1

While a run is being published its staging folder holds an intent file. A publication that was interrupted is taken up
again by running the same run's publish_run once more, or undone by the publish_run of any other run.
"""

import argparse
import sys
from typing import Any, Dict, List, Optional

import lake_job
from contract import INTENT, KPI_JOBS, KPI_TABLES, MASTERS, RENTALS, RUN_SUMMARY, job_summary
from lake_files import Lake, join, run_folder
from lake_job import JobError

JOB = "publish_run"
TABLES_OF, TABLES = KPI_JOBS, KPI_TABLES
CLEAN_TABLES = ["_work", "rentals", *MASTERS]  # as clean_rentals names them

Manifest = Dict[str, Dict[str, Any]]  # table -> {"rows": number, "files": {name: bytes}}, as the KPI job wrote it


def main(argv: Optional[List[str]] = None) -> None:
    args = parse(argv)
    zones = Zones(args.clean, args.rejected, args.staging, args.processed)
    lake_job.report(Publication(Lake.of_gateway(), zones).publish(args.run_id, args.keep_runs))


def parse(argv: Optional[List[str]]) -> argparse.Namespace:
    parser = lake_job.parser("Publish a run: check that its seven staged tables are complete, move them to the processed zone, "
                             "undo publications that were interrupted before, prune old runs.")
    parser.add_argument("--clean", required=True, metavar="URI", help="clean zone, where old runs are pruned")
    parser.add_argument("--rejected", required=True, metavar="URI", help="rejected zone, where the run's summary lies")
    parser.add_argument("--staging", required=True, metavar="URI", help="staging zone, where the KPI jobs left the tables")
    parser.add_argument("--processed", required=True, metavar="URI", help="processed zone: <processed>/<table>/run_id=<ID>/")
    parser.add_argument("--keep-runs", type=at_least_one, default=30, metavar="N",
                        help="after success, remove what is older than the newest N published runs, from all zones")
    return parser.parse_args(argv)


def at_least_one(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError("at least 1, the newest run, is kept")
    return int(text)


class Zones:
    """The folders that hold a folder for each run."""

    def __init__(self, clean: str, rejected: str, staging: str, processed: str) -> None:
        self.clean = [join(clean, table) for table in CLEAN_TABLES]
        self.rejected = join(rejected, RENTALS)
        self.staging = staging
        self.tables = {table: join(processed, table) for table in TABLES}

    def all(self) -> List[str]:
        return self.clean + [self.rejected, self.staging] + list(self.tables.values())


class Publication:
    """Moves runs from the staging to the processed zone."""

    def __init__(self, lake: Lake, zones: Zones) -> None:
        self._lake = lake
        self._zones = zones

    def publish(self, run_id: str, keep_runs: int) -> Dict[str, Any]:
        """Publish the run and return its final summary. Doing it again changes nothing."""
        summary = self._clean_summary(run_id)
        if self._is_published(run_id, summary):
            return summary
        jobs = [self._job_summary(run_id, job) for job in TABLES_OF]
        manifest = {name: table for job in jobs for name, table in job["tables"].items()}
        self._check_complete(run_id, manifest)
        self._roll_back_others(run_id)
        self._move(run_id, manifest)
        summary = final_summary(summary, jobs, manifest)
        self._lake.write_json(self._summary_file(run_id), summary)
        self._lake.delete(run_folder(self._zones.staging, run_id))
        self._prune(keep_runs)
        return summary

    def _clean_summary(self, run_id: str) -> Dict[str, Any]:
        file = self._summary_file(run_id)
        if not self._lake.exists(file):
            raise JobError(f"{file} is not there: run clean_rentals for run {run_id} first")
        summary = self._lake.read_json(file)
        if summary["status"] == "failed":
            raise JobError(f"the validation of run {run_id} failed, see {file}: it cannot be published")
        return summary

    def _is_published(self, run_id: str, summary: Dict[str, Any]) -> bool:
        """Whether an earlier call came to its end; what was staged since then is a new try of the run."""
        if summary["status"] != "published" or self._lake.exists(run_folder(self._zones.staging, run_id)):
            return False
        return all(self._lake.files(self._published(run_id, name)) == table["files"] for name, table in summary["tables"].items())

    def _job_summary(self, run_id: str, job: str) -> Dict[str, Any]:
        file = join(run_folder(self._zones.staging, run_id), job_summary(job))
        if not self._lake.exists(file):
            raise JobError(f"{file} is not there: run {job} for run {run_id} first, and to a good end")
        return self._lake.read_json(file)

    def _check_complete(self, run_id: str, manifest: Manifest) -> None:
        """Every table lies, with all its files, in staging, or, where this run's publication was interrupted, in processed."""
        for table in TABLES:
            wanted = manifest[table]["files"]
            places = [self._staged(run_id, table), self._published(run_id, table)]
            if not wanted or all(self._lake.files(place) != wanted for place in places):
                raise JobError(f"{places[0]} does not hold the {len(wanted)} files that the job wrote: "
                               f"run the KPI jobs of run {run_id} again")

    def _roll_back_others(self, run_id: str) -> None:
        """Remove what interrupted publications of other runs left. No crawl came after them: nobody has seen it."""
        for other in self._lake.runs(self._zones.staging):
            if other != run_id and self._lake.exists(self._intent(other)):
                for table in TABLES:
                    self._lake.delete(self._published(other, table))
                self._lake.delete(run_folder(self._zones.staging, other))

    def _move(self, run_id: str, manifest: Manifest) -> None:
        self._lake.write_json(self._intent(run_id), manifest)
        for table in TABLES:
            staged, published = self._staged(run_id, table), self._published(run_id, table)
            if self._lake.files(staged) == manifest[table]["files"]:
                self._lake.delete(published)
                self._lake.move(staged, published)
        self._lake.delete(self._intent(run_id))

    def _prune(self, keep_runs: int) -> None:
        """Remove what is older than the newest `keep_runs` published runs, also of runs that failed: from every zone."""
        runs = {folder: self._lake.runs(folder) for folder in self._zones.all()}
        published = sorted({run for folder in self._zones.tables.values() for run in runs[folder]})
        oldest_kept = published[-keep_runs:][0]
        for folder in runs:
            for run in runs[folder]:
                if run < oldest_kept:
                    self._lake.delete(run_folder(folder, run))

    def _staged(self, run_id: str, table: str) -> str:
        return join(run_folder(self._zones.staging, run_id), table)

    def _published(self, run_id: str, table: str) -> str:
        return run_folder(self._zones.tables[table], run_id)

    def _intent(self, run_id: str) -> str:
        return join(run_folder(self._zones.staging, run_id), INTENT)

    def _summary_file(self, run_id: str) -> str:
        return join(run_folder(self._zones.rejected, run_id), RUN_SUMMARY)


def final_summary(clean: Dict[str, Any], jobs: List[Dict[str, Any]], manifest: Manifest) -> Dict[str, Any]:
    seconds = clean["seconds"] if clean["status"] == "published" else {clean["job"]: clean["seconds"]}
    seconds = dict(seconds, **{job["job"]: job["seconds"] for job in jobs})
    return {"run_id": clean["run_id"], "status": "published", "rentals": clean["rentals"], "masters": clean["masters"],
            "tables": {table: manifest[table] for table in TABLES}, "seconds": seconds}


if __name__ == "__main__":
    sys.exit(lake_job.run(JOB, main))
