"""Spark job 4: publish a run by moving its seven staged tables to the processed zone.

The job only moves files, so it needs no Spark session.

    spark-submit --py-files ... spark_jobs/publish_run.py --clean out/clean \\
        --rejected out/rejected --staging out/staging --processed out/processed --run-id try-1

While a run is being published, its staging folder contains an intent file. To resume an interrupted
publication, call publish_run for the same run again. The publish_run of another run rolls it back,
but only if it holds the lake's lock (`--lock`, `--owner`): a run gets the lock only if the previous
owner has ended. If a commit and a roll-back race, the outcome file decides: it is created
exclusively, so the first one wins.
"""

import argparse
import sys
from typing import Any, Dict, List, Optional

import lake_job
from contract import (
    CLEAN_RENTALS,
    CLEAN_WORK,
    INTENT,
    KPI_JOBS,
    KPI_TABLES,
    MASTERS,
    OUTCOME,
    RAW_COLUMNS,
    RENTALS,
    RUN_SUMMARY,
    job_summary,
)
from lake_files import Lake, join, run_folder
from lake_job import JobError

JOB = "publish_run"
PUBLISHED, ROLLED_BACK = "published", "rolled back"

Manifest = Dict[
    str, Dict[str, Any]
]  # table -> {"rows": number, "files": {name: bytes}}, as the KPI job wrote it


def main(argv: Optional[List[str]] = None) -> None:
    args = parse(argv)
    zones = Zones(args.clean, args.rejected, args.staging, args.processed)
    lake = Lake.of_gateway()
    publication = Publication(lake, zones, Lock(lake, args.lock, args.owner))
    lake_job.report(publication.publish(args.run_id, args.keep_runs))


def parse(argv: Optional[List[str]]) -> argparse.Namespace:
    parser = lake_job.parser(
        JOB,
        "Publish a run: check that its seven staged tables are complete, move them to the processed"
        " zone, undo publications that were interrupted before, prune old runs.",
    )
    parser.add_argument(
        "--clean", required=True, metavar="URI", help="clean zone, where old runs are pruned"
    )
    parser.add_argument(
        "--rejected",
        required=True,
        metavar="URI",
        help="rejected zone, which contains the run's summary",
    )
    parser.add_argument(
        "--staging",
        required=True,
        metavar="URI",
        help="staging zone, where the KPI jobs left the tables",
    )
    parser.add_argument(
        "--processed",
        required=True,
        metavar="URI",
        help="processed zone: <processed>/<table>/run_id=<ID>/",
    )
    parser.add_argument(
        "--keep-runs",
        type=number_of_runs,
        default=30,
        metavar="N",
        help="after success, remove what is older than the newest N published runs, from all zones"
        " (default: %(default)s)",
    )
    parser.add_argument(
        "--lock",
        default="",
        metavar="URI",
        help="the lake's lock; nothing is published unless it names --owner",
    )
    parser.add_argument("--owner", default="", metavar="TEXT", help="owner of the lock: this run")
    args = parser.parse_args(argv)
    if bool(args.lock) != bool(args.owner):
        parser.error("--lock and --owner belong together")
    return args


def number_of_runs(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError("at least 1, the newest run, is kept")
    return int(text)


class Zones:
    """The folders in which each run has a subfolder."""

    def __init__(self, clean: str, rejected: str, staging: str, processed: str) -> None:
        self.clean = [join(clean, name) for name in (CLEAN_WORK, CLEAN_RENTALS, *MASTERS)]
        self.rejected = {table: join(rejected, table) for table in RAW_COLUMNS}
        self.staging = staging
        self.tables = {table: join(processed, table) for table in KPI_TABLES}

    def all(self) -> List[str]:
        return [*self.clean, *self.rejected.values(), self.staging, *self.tables.values()]


class Lock:
    """The lake's lock: an object whose first word is its owner. Without a URI there is no lock."""

    def __init__(self, lake: Lake, uri: str = "", owner: str = "") -> None:
        self._lake = lake
        self._uri = uri
        self.owner = owner

    def check(self) -> None:
        """Raise JobError unless `owner` still holds the lock."""
        if not self._uri:
            return
        text = self._lake.read_text(self._uri) if self._lake.exists(self._uri) else ""
        words = text.strip().strip('"').split()  # Step Functions writes a text as JSON
        if words[:1] != [self.owner]:
            raise JobError(
                f"{self._uri} names {' '.join(words) or 'nobody'}: another run has taken over, "
                "this one publishes nothing"
            )


class Publication:
    """Moves runs from the staging to the processed zone."""

    def __init__(self, lake: Lake, zones: Zones, lock: Lock) -> None:
        self._lake = lake
        self._zones = zones
        self._lock = lock

    def publish(self, run_id: str, keep_runs: int) -> Dict[str, Any]:
        """Publish the run and return its final summary. Idempotent."""
        summary = self._clean_summary(run_id)
        if self._is_published(run_id, summary):
            return summary
        self._lock.check()
        self._finish_roll_back(run_id)
        manifest = self._manifest(run_id)
        self._check_complete(run_id, manifest)
        self._settle_others(run_id)
        self._refuse_old(run_id)
        self._move(run_id, manifest)
        summary = self._commit(run_id)
        self._prune(run_id, keep_runs)
        self._require_whole(run_id, manifest)
        return summary

    def _refuse_old(self, run_id: str) -> None:
        """Raise JobError if a later run is published, because readers use the largest run id.

        A publication that has already begun may finish.
        """
        newest = max(
            (run for folder in self._zones.tables.values() for run in self._lake.runs(folder)),
            default="",
        )
        if run_id < newest and not self._lake.exists(self._intent(run_id)):
            raise JobError(
                f"run {run_id} sorts before run {newest}, which is published: no reader would see"
                " it. Start a run with a later id"
            )

    def _manifest(self, run_id: str) -> Manifest:
        jobs = [self._job_summary(run_id, job) for job in KPI_JOBS]
        return {name: table for job in jobs for name, table in job["tables"].items()}

    def _clean_summary(self, run_id: str) -> Dict[str, Any]:
        file = self._summary_file(run_id)
        if not self._lake.exists(file):
            raise JobError(f"{file} is not there: run clean_rentals for run {run_id} first")
        summary = self._lake.read_json(file)
        if summary["status"] == "failed":
            raise JobError(
                f"the validation of run {run_id} failed, see {file}: it cannot be published"
            )
        return summary

    def _is_published(self, run_id: str, summary: Dict[str, Any]) -> bool:
        """Returns whether an earlier call has published this run.

        If tables were staged since then, they are a new attempt, and the result is False.
        """
        staging = run_folder(self._zones.staging, run_id)
        staged = all(self._lake.exists(join(staging, job_summary(job))) for job in KPI_JOBS)
        if summary["status"] != "published" or staged or self._missing(run_id, summary["tables"]):
            return False
        self._lake.delete(staging)
        return True

    def _job_summary(self, run_id: str, job: str) -> Dict[str, Any]:
        file = join(run_folder(self._zones.staging, run_id), job_summary(job))
        if not self._lake.exists(file):
            raise JobError(
                f"{file} is not there: run {job} for run {run_id} first, and to a good end"
            )
        return self._lake.read_json(file)

    def _check_complete(self, run_id: str, manifest: Manifest) -> None:
        """Raise JobError unless each file of the manifest is in staging or in processed.

        After an interrupted publication of this run, some files are already in processed.
        """
        for table in KPI_TABLES:
            wanted = manifest[table]["files"]
            staged = self._staged(run_id, table)
            existing = set(self._lake.files(staged).items()) | set(
                self._lake.files(self._published(run_id, table)).items()
            )
            if not wanted or not existing >= set(wanted.items()):
                raise JobError(
                    f"{staged} does not hold the {len(wanted)} files that the job wrote: "
                    f"run the KPI jobs of run {run_id} again"
                )

    def _settle_others(self, run_id: str) -> None:
        """Settle interrupted publications of other runs: commit complete ones, else roll back."""
        for other in self._lake.runs(self._zones.staging):
            if other != run_id and self._lake.exists(self._intent(other)):
                self._require_dead(other)
                outcome = self._claim(other, ROLLED_BACK)
                if outcome == PUBLISHED and not self._missing(other, self._manifest(other)):
                    self._commit(other)
                else:
                    self._roll_back(other)

    def _require_dead(self, other: str) -> None:
        """Raise JobError unless the owner in the other run's intent file is dead.

        An owner is dead if this run has taken the lock over from it. Without a lock, no owner is
        known to be dead.
        """
        owner = self._lake.read_json(self._intent(other)).get("owner")
        if not self._lock.owner or not owner or owner == self._lock.owner:
            raise JobError(
                f"run {other} is being published, or its publication was interrupted. "
                f"Wait for it; if it has died, end it: publish_run with --run-id {other}"
            )

    def _finish_roll_back(self, run_id: str) -> None:
        """Complete an interrupted roll-back of this run, and fail: its staged files are gone."""
        file = self._outcome(run_id)
        if self._lake.exists(file) and self._lake.read_json(file)["outcome"] == ROLLED_BACK:
            self._roll_back(run_id)
            raise JobError(f"run {run_id} was rolled back by another run: run its KPI jobs again")

    def _roll_back(self, run_id: str) -> None:
        """Delete staged tables first, so that a publication still at work has nothing to move."""
        for table in KPI_TABLES:
            self._lake.delete(self._staged(run_id, table))
        for table in KPI_TABLES:
            self._lake.delete(self._published(run_id, table))
        self._lake.delete(run_folder(self._zones.staging, run_id))

    def _move(self, run_id: str, manifest: Manifest) -> None:
        """Move file by file, so that a repeated or concurrent call loses no file."""
        self._lake.write_json(self._intent(run_id), {"owner": self._lock.owner})
        for table in KPI_TABLES:
            self._lock.check()
            staged, published = self._staged(run_id, table), self._published(run_id, table)
            wanted, there = manifest[table]["files"], self._lake.files(published)
            for name, size in wanted.items():
                if there.get(name) != size:
                    if name in there:
                        self._lake.delete(join(published, name))
                    self._move_file(join(staged, name), join(published, name))
            for name in there.keys() - wanted.keys():  # left by an earlier attempt
                self._lake.delete(join(published, name))

    def _move_file(self, source: str, target: str) -> None:
        try:
            self._lake.move(source, target)
        except FileNotFoundError:
            raise JobError(
                f"{source} has gone while it was being published: another program publishes this"
                " run, or has rolled it back"
            ) from None

    def _commit(self, run_id: str) -> Dict[str, Any]:
        """Make the publication final: no other run can roll it back any more.

        If this is interrupted, the next call completes it.
        """
        self._lock.check()
        jobs = [self._job_summary(run_id, job) for job in KPI_JOBS]
        manifest = self._manifest(run_id)
        if self._claim(run_id, PUBLISHED) != PUBLISHED:
            raise JobError(
                f"run {run_id} was rolled back by another run while it was being published: "
                "nothing of it is published"
            )
        self._require_whole(run_id, manifest)
        summary = final_summary(self._clean_summary(run_id), jobs, manifest)
        self._lake.write_json(self._summary_file(run_id), summary)
        self._lake.delete(self._intent(run_id))
        self._lake.delete(run_folder(self._zones.staging, run_id))
        return summary

    def _claim(self, run_id: str, outcome: str) -> str:
        """Record `outcome` unless the run has one already; return the recorded outcome."""
        file = self._outcome(run_id)
        if self._lake.write_new_json(file, {"outcome": outcome, "by": self._lock.owner}):
            return outcome
        return str(self._lake.read_json(file)["outcome"])

    def _require_whole(self, run_id: str, manifest: Manifest) -> None:
        missing = self._missing(run_id, manifest)
        if missing:
            raise JobError(
                f"run {run_id} is not whole, so it is not published: {', '.join(missing)} differs"
                " from what the KPI jobs wrote. Another program has changed it; run the jobs again"
                " with a new run id"
            )

    def _missing(self, run_id: str, manifest: Manifest) -> List[str]:
        """The published folders that do not hold exactly the run's files."""
        folders = {table: self._published(run_id, table) for table in KPI_TABLES}
        return [
            folder
            for table, folder in folders.items()
            if self._lake.files(folder) != manifest[table]["files"]
        ]

    def _prune(self, run_id: str, keep_runs: int) -> None:
        """Remove runs older than the newest `keep_runs` published ones from every zone.

        Older failed runs are removed too. The run that was just published always stays.
        """
        runs = {folder: self._lake.runs(folder) for folder in self._zones.all()}
        published = sorted({run for folder in self._zones.tables.values() for run in runs[folder]})
        oldest_kept = min(published[-keep_runs:] + [run_id])
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

    def _outcome(self, run_id: str) -> str:
        return join(run_folder(self._zones.staging, run_id), OUTCOME)

    def _summary_file(self, run_id: str) -> str:
        return join(run_folder(self._zones.rejected[RENTALS], run_id), RUN_SUMMARY)


def final_summary(
    clean: Dict[str, Any], jobs: List[Dict[str, Any]], manifest: Manifest
) -> Dict[str, Any]:
    seconds = (
        clean["seconds"] if clean["status"] == "published" else {clean["job"]: clean["seconds"]}
    )
    seconds = dict(seconds, **{job["job"]: job["seconds"] for job in jobs})
    return {
        "run_id": clean["run_id"],
        "status": "published",
        "rentals": clean["rentals"],
        "masters": clean["masters"],
        "not_read": clean.get("not_read", {}),
        "tables": {table: manifest[table] for table in KPI_TABLES},
        "seconds": seconds,
    }


if __name__ == "__main__":
    sys.exit(lake_job.run(JOB, main))
