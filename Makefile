# The project's commands; `make` alone lists them. Everything runs in .venv, which they make and keep up to date.
VENV := .venv
BIN := $(VENV)/bin
ENV := env -u PYTHONPATH -u PYTHONHOME
NEEDED := Python 3.11, 3.12 or 3.13 with the module venv is needed (Debian: apt install python3-venv, macOS: brew install python@3.12)
SUITABLE := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
# the environment's own Python, else the first suitable one; PYTHON=python3.13 chooses another
ifndef PYTHON
PYTHON := $(shell for python in $(BIN)/python python3.11 python3.12 python3.13 python3 python; do \
	$(ENV) $$python -c '$(SUITABLE)' 2>/dev/null && echo $$python && break; done)
endif
# an environment is made anew when the version of Python changes, and brought up to date when a requirement does
VERSION := $(shell $(ENV) $(PYTHON) -c 'import platform; print(platform.python_version())' 2>/dev/null)
checksum = $(shell cat $(1) | cksum | cut -d ' ' -f 1)
INSTALLED := $(VENV)/installed-$(VERSION)-$(call checksum,requirements.txt constraints.txt)
INSTALLED_DEV := $(VENV)/installed-dev-$(VERSION)-$(call checksum,requirements.txt constraints.txt tests/requirements.txt)
PIP_INSTALL := $(ENV) $(BIN)/python -m pip install --quiet --disable-pip-version-check --use-pep517 -c constraints.txt -r requirements.txt
WORKERS ?= 4
PYTEST = $(ENV) $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help demo test-unit test test-all test-releases bench stress lint serve notebook docs upgrade test-moto clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(INSTALLED)  ## the whole pipeline on this machine, on sample data
	$(ENV) $(BIN)/python scripts/generate_sample_data.py --next-month
	$(ENV) $(BIN)/python main.py --all --local

test-unit: $(INSTALLED_DEV)  ## the tests to run while editing: no Java, no whole pipeline; three minutes
	$(PYTEST) -m "not (jvm or all or long or moto)"

test: lint  ## the lint and the tests that every change has to pass
	$(PYTEST)

test-all: lint  ## every test: also kills, both pipelines, every Spark release and ANSI mode; an hour
	$(ENV) SPARK_ANSI=both tests/spark_releases.sh -m "not moto"
	SPARK_ANSI=both $(PYTEST) -m "not moto"

test-releases: $(INSTALLED_DEV)  ## the Spark jobs on EMR's oldest and newest Spark, and with ANSI mode on
	$(ENV) tests/spark_releases.sh $(PYTEST_ARGUMENTS)
	SPARK_ANSI=on $(PYTEST) tests/spark_jobs -k oracle

bench: $(INSTALLED_DEV)  ## the Spark jobs beside plain Spark and DuckDB, into benchmarks/RESULTS.md
	$(ENV) $(BIN)/python benchmarks/run.py

stress: $(INSTALLED_DEV)  ## the Spark jobs on 30 million rentals, and on 10 million of which half are one user's
	$(ENV) $(BIN)/python benchmarks/stress.py

lint: $(INSTALLED_DEV)  ## the formatter's check, the linter and the type checker alone
	$(ENV) $(BIN)/ruff format --check --quiet --diff .
	$(ENV) $(BIN)/ruff check .
	$(ENV) $(BIN)/mypy

serve: $(INSTALLED)  ## the lake on this machine, on port 5000, for the scripts and any AWS client
	$(ENV) $(BIN)/python scripts/serve_lake.py

notebook: $(INSTALLED)  ## the analysis in Jupyter, on the lake on this machine or on AWS (it says which)
	$(ENV) $(BIN)/python scripts/open_notebook.py

docs: $(INSTALLED)  ## writes what the documents take from the program
	$(ENV) $(BIN)/python docs/tools/write_docs.py

upgrade: $(INSTALLED_DEV)  ## renews constraints.txt with today's releases, then runs every test
	$(ENV) $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --no-header --no-annotate \
		requirements.txt tests/requirements.txt --output-file constraints.txt
	$(MAKE) test-moto
	$(MAKE) test-all

test-moto: $(INSTALLED_DEV)  ## whether moto still has the flaws that the local AWS makes up for
	$(PYTEST) -m moto

clean:  ## removes what runs have made here, the lake included, but not data/ and .venv
	rm -rf .local_aws reports runs out spark-warehouse metastore_db derby.log .pytest_cache .ruff_cache .mypy_cache .hypothesis

$(INSTALLED):
	@[ "$(PYTHON)" ] || { echo "make: $(NEEDED); PYTHON=/path/to/python names one that is not on the PATH" >&2; exit 2; }
	@$(ENV) $(PYTHON) -c '$(SUITABLE)' 2>/dev/null || { echo "make: $(PYTHON) is $$($(PYTHON) -V 2>&1); $(NEEDED)" >&2; exit 2; }
	@[ $$(df -Pk . | awk 'NR == 2 { print $$4 }') -gt 1500000 ] || { echo "make: this folder needs 1.5 GB of free disk, and has less" >&2; exit 2; }
	@echo "make: installs what the project needs into $(VENV), once: a minute or two of download"
	@$(BIN)/python -m pip -V >/dev/null 2>&1 && [ "$$($(BIN)/python -V)" = "Python $(VERSION)" ] || $(ENV) $(PYTHON) -m venv --clear $(VENV)
	$(PIP_INSTALL)
	$(ENV) $(BIN)/python -m local_aws --prepare
	@rm -f $(VENV)/installed* && touch $@

$(INSTALLED_DEV): $(INSTALLED)
	$(PIP_INSTALL) -r tests/requirements.txt
	@rm -f $(VENV)/installed-dev* && touch $@
