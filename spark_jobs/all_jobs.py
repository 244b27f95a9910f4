"""The four Spark jobs in one Spark application, one after the other: Spark starts once in place of
four times.

    spark-submit --py-files ... spark_jobs/all_jobs.py \\
        clean_rentals --raw data --clean out/clean --rejected out/rejected --run-id try-1 \\
        -- vehicle_location_metrics --clean out/clean --staging out/staging --run-id try-1 \\
        -- user_transaction_metrics ... -- publish_run ...

Each job has its own command line, log lines and summary. A failure names the job, and those after
it do not run. The SparkContext lives until the end, so YARN's cluster mode and an idle timeout see
an application at work.
"""

import sys
from typing import Callable, Dict, List, Optional

import clean_rentals
import lake_job
import publish_run
import user_transaction_metrics
import vehicle_location_metrics

JOB = "all_jobs"
JOBS: Dict[str, Callable[[Optional[List[str]]], None]] = {
    "clean_rentals": clean_rentals.main,
    "vehicle_location_metrics": vehicle_location_metrics.main,
    "user_transaction_metrics": user_transaction_metrics.main,
    "publish_run": publish_run.main,
}
BETWEEN = "--"


def main(argv: Optional[List[str]] = None) -> int:
    """Run the jobs of the command line; return the exit code of the one that failed, or 0."""
    commands = split(sys.argv[1:] if argv is None else argv)
    with lake_job.session(JOB) as spark:
        for name, *arguments in commands:
            spark.sparkContext.setJobGroup(name, name)
            print(f"JOB {name}", flush=True)
            code = lake_job.run(name, JOBS[name], arguments)
            if code:
                return code
            spark.catalog.clearCache()
    return 0


def split(arguments: List[str]) -> List[List[str]]:
    """One command line a job; ends the program with exit code 2 when one is none."""
    commands: List[List[str]] = [[]]
    for argument in arguments:
        if argument == BETWEEN:
            commands.append([])
        else:
            commands[-1].append(argument)
    unknown = [command for command in commands if not command or command[0] not in JOBS]
    if unknown:
        asked = bool({"-h", "--help"} & set(arguments[:1]))
        print(
            f"usage: {JOB}.py JOB [ARGUMENTS] [{BETWEEN} JOB [ARGUMENTS]] ...\n\n"
            f"{(__doc__ or '').strip()}\n\njobs: {', '.join(JOBS)}; JOB --help lists its arguments",
            file=sys.stdout if asked else sys.stderr,
        )
        sys.exit(0 if asked else 2)
    return commands


if __name__ == "__main__":
    sys.exit(main())
