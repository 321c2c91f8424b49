# The two commands of the README are `make demo` and `make test`; `make help` lists all.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt

# xdist on two cores; `make test WORKERS=0` for one process.
WORKERS ?= 2

# Workers use the cores already: a second thread of BLAS, torch or OpenMP in each would only wait for the others.
test test-quick: export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help install install-dev demo test test-quick check format bench clean

help:  ## list these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "mekiki needs Python 3.11 or later: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) -e .
	@touch $@

$(VENV)/.train: $(VENV)/.core
	$(PIP) torch==2.13.0
	$(PIP) -e '.[train]'
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	$(PIP) torch==2.13.0
	$(PIP) -e '.[dev]'
	@touch $@

install: $(VENV)/.core  ## create .venv and install mekiki into it

install-dev: $(VENV)/.dev  ## the same with all that tests and checks need

demo: $(VENV)/.train  ## make a small world of photos and clips, run the main job on it, say where the report is
	$(BIN)/mekiki demo

test: $(VENV)/.dev  ## run all tests; under ten minutes on two cores
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not gpu and not network"

test-quick: $(VENV)/.dev  ## run the quick tests; under two minutes
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not slow and not gpu and not network"

check: $(VENV)/.dev  ## format, lint, types, architecture
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_architecture.py tests/test_public_names.py

format: $(VENV)/.dev  ## format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.dev  ## measure beside what one would use instead, and write docs/benchmarks.md
	$(BIN)/python -m benchmarks --write

clean:  ## delete .venv, caches and the demo
	rm -rf $(VENV) mekiki-demo build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
