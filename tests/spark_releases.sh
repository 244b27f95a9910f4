#!/usr/bin/env bash
# Runs the tests of the Spark jobs on the oldest and the newest Spark that EMR has, each in an environment of its own
# under .venvs/; each in its own ANSI mode (3.3 off, 4.1 on), or as SPARK_ANSI says. Arguments go to pytest: -k oracle
# Java is the one that the project itself runs on, found or installed by `python -m local_aws --prepare`.
set -euo pipefail
cd "$(dirname "$0")/.."

RELEASES=${SPARK_RELEASES:-"3.3.4 4.1.1"} # emr-6.10, emr-spark-8.1; `make test` runs those of emr-7
PYTHON=${PYTHON:-python3.11}
WORKERS=${WORKERS:-2} # of pytest, each with a Spark of its own
if [ -x .venv/bin/python ]; then
    JAVA_HOME=$(.venv/bin/python -c "from local_aws.java import find_java; print(find_java().home)")
    export JAVA_HOME
fi

environment() { # of a PySpark version; brought up to date when what it needs has changed
    local folder=.venvs/pyspark-$1
    local needs=("pyspark==$1" duckdb pyarrow numpy pytz boto3 python-dotenv rich vermin pytest pytest-timeout pytest-xdist hypothesis)
    mkdir -p "$folder"
    { echo "# ${needs[*]}"; grep -vE '^(pyspark|py4j)==' constraints.txt; } >"$folder/wanted.txt"
    if ! cmp -s "$folder/wanted.txt" "$folder/installed.txt"; then
        "$PYTHON" -m venv "$folder"
        "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --use-pep517 \
            -c "$folder/wanted.txt" "${needs[@]}"
        cp "$folder/wanted.txt" "$folder/installed.txt"
    fi
    echo "$folder"
}

for release in $RELEASES; do
    folder=$(environment "$release")
    echo "== PySpark $release"
    "$folder/bin/python" -m pytest tests/spark_jobs --confcutdir=tests/spark_jobs -n "$WORKERS" --dist loadfile -q "$@"
done
