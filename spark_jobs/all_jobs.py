"""Runs the four Spark jobs in turn in one Spark application, so that Spark starts only once.

    spark-submit --py-files ... spark_jobs/all_jobs.py \\
        clean_rentals --raw data --clean out/clean --rejected out/rejected --run-id try-1 \\
        -- vehicle_location_metrics --clean out/clean --staging out/staging --run-id try-1 \\
        -- user_transaction_metrics ... -- publish_run ...

Each job has its own command line, log lines and summary. If a job fails, the error names it and the
later jobs do not run. The SparkContext lives until the end, so that YARN's cluster mode and an idle
timeout see a running application.
"""

import argparse
import sys
from typing import Any, Dict, List, Optional

import clean_rentals
import lake_job
import publish_run
import user_transaction_metrics
import vehicle_location_metrics

JOB = "all_jobs"
JOBS: Dict[str, Any] = {
    job.JOB: job
    for job in (clean_rentals, vehicle_location_metrics, user_transaction_metrics, publish_run)
}
BETWEEN = "--"


def main(argv: Optional[List[str]] = None) -> int:
    """Run the jobs of the command line; return the exit code of the job that failed, or 0."""
    commands = parse(sys.argv[1:] if argv is None else argv)
    with lake_job.session(JOB) as spark:
        for name, *arguments in commands:
            spark.sparkContext.setJobGroup(name, name)
            print(f"JOB {name}", flush=True)
            code = lake_job.run(name, JOBS[name].main, arguments)
            if code:
                return code
            spark.catalog.clearCache()
    return 0


def parse(argv: List[str]) -> List[List[str]]:
    """Split into one command line per job; an invalid one exits before Spark starts."""
    parser = argparse.ArgumentParser(
        usage=f"{JOB}.py JOB [ARGUMENTS] [{BETWEEN} JOB [ARGUMENTS]] ...",
        description=__doc__,
        epilog=f"jobs: {', '.join(JOBS)}; JOB --help lists its arguments",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if argv[:1] in (["-h"], ["--help"]):
        parser.print_help()
        sys.exit(0)
    commands: List[List[str]] = [[]]
    for text in argv:
        if text == BETWEEN:
            commands.append([])
        else:
            commands[-1].append(text)
    for name, *arguments in [command or [""] for command in commands]:
        if name not in JOBS:
            parser.error(f"'{name}' is none of the jobs {', '.join(JOBS)}")
        JOBS[name].parse(arguments)
    return commands


if __name__ == "__main__":
    sys.exit(main())
