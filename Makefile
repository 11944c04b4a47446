# make demo   set up, run the job over data/sample, print the summary
# make test   set up, lint, types, tests: all that CI runs
# make lock   renew requirements.lock from pyproject.toml
# make sample build data/sample again from data/stories
# make clean  remove everything that make made

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CACHE := $(CURDIR)/.cache

# Prefect's settings and database stay inside the project, and nothing is reported to anyone.
export PREFECT_HOME ?= $(CACHE)/prefect
export DO_NOT_TRACK := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Compiled once: otherwise each of the processes that the tests start compiles every module again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test setup lint types kernels unit lock sample clean
.DEFAULT_GOAL := test

# Prefect makes its home, but not the folder that it is in.
setup: $(VENV)/.installed
	@mkdir -p "$(PREFECT_HOME)"

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "respun needs Python 3.11 or later; name one with make PYTHON=...")'
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

# The lock first, then the project without its dependencies: what is installed is what was locked.
$(VENV)/.installed: $(VENV)/.created requirements.lock pyproject.toml
	@echo "installing into $(VENV)"
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup
	$(BIN)/respun run data/sample/articles.parquet --output out/demo --config smoke

# Either keeps one core busy for half a minute, the kernels only the first time.
test: lint
	@$(MAKE) --no-print-directory --jobs 2 types kernels
	@$(MAKE) --no-print-directory unit

lint: setup
	$(BIN)/ruff check .

types: setup
	$(BIN)/mypy

# Compiled when they are imported, into numba's cache.
kernels: setup
	$(BIN)/python -c 'import pipeline.job'

unit: setup
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

lock: $(VENV)/.created
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.11 --all-extras \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links --output-file requirements.lock pyproject.toml

sample: setup
	$(BIN)/python data/build_sample.py

clean:
	rm -rf $(VENV) .cache out build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
