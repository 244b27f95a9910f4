# The project's commands; `make` alone lists them. Everything runs in .venv, which they make and keep up to date.
PYTHON ?= $(shell command -v python3.11 || echo python3)
VENV := .venv
BIN := $(VENV)/bin
ENV := env -u PYTHONPATH -u PYTHONHOME
WORKERS ?= 2
PYTEST = $(ENV) $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help demo test test-long test-releases bench stress lint serve notebook docs clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/installed  ## the whole pipeline on this machine, on sample data
	$(ENV) $(BIN)/python main.py --all --local

test: lint  ## every test, the linter and the type checker
	$(PYTEST) -m "not long"

test-long: $(VENV)/installed-dev  ## the tests that take minutes each
	$(PYTEST) -m long

test-releases: $(VENV)/installed  ## the Spark jobs' tests on EMR's oldest and newest Spark
	$(ENV) PYTHON=$(PYTHON) WORKERS=$(WORKERS) tests/spark_releases.sh $(PYTEST_ARGUMENTS)

bench: $(VENV)/installed-dev  ## the Spark jobs beside plain Spark and DuckDB, into benchmarks/RESULTS.md
	$(ENV) $(BIN)/python benchmarks/run.py

stress: $(VENV)/installed-dev  ## the Spark jobs on 30 million rentals, and on 10 million of which half are one user's
	$(ENV) $(BIN)/python benchmarks/stress.py

lint: $(VENV)/installed-dev  ## the linter and the type checker alone
	$(ENV) $(BIN)/ruff check .
	$(ENV) $(BIN)/mypy

serve: $(VENV)/installed  ## the local AWS on port 5000, for running scripts by hand
	$(ENV) $(BIN)/python -m local_aws --port 5000

notebook: $(VENV)/installed  ## the analysis in Jupyter, with the settings of .env
	$(ENV) $(BIN)/jupyter notebook notebooks/athena_queries.ipynb

docs: $(VENV)/installed  ## writes what the documents take from the program
	$(ENV) $(BIN)/python scripts/write_docs.py

clean:  ## removes what runs have made here, but not data/ and .venv
	rm -rf .local_aws reports runs out spark-warehouse metastore_db derby.log .pytest_cache .ruff_cache .mypy_cache .hypothesis

# the stamps stand for an environment that holds what the requirements say
$(VENV)/installed: requirements.txt
	$(ENV) $(PYTHON) -m venv $(VENV)
	$(ENV) $(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(ENV) $(BIN)/python -m local_aws --prepare
	touch $@

$(VENV)/installed-dev: $(VENV)/installed tests/requirements.txt
	$(ENV) $(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -r tests/requirements.txt
	touch $@
