# Needs Python 3.11 or 3.12, make and git; everything else goes into .venv. `make` alone lists the targets.
#
# PYTHON      interpreter for .venv (default: the first of python3.11, python3.12, python3 that fits)
# TORCH_ARGS  options for the installation of PyTorch, which comes first and alone. On Linux, pip's default
#             build brings CUDA (several GB): without a GPU, name PyTorch's index of CPU wheels here,
#             TORCH_ARGS="--index-url URL".
# WORKERS     test processes
# SMOKE       1: reproduce-chainnet takes a handful of deployments and one epoch, to see that it works

PYTHON ?=
TORCH_ARGS ?=
WORKERS ?= 2
SMOKE ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
STAMP := $(VENV)/.installed
PACKAGING := pyproject.toml setup.py constraints.txt

# One thread each: two test processes on two cores are slower when every one starts two threads.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

.PHONY: help venv quickstart reproduce-chainnet test test-all lint docs notebooks clean
.DELETE_ON_ERROR:

help:
	@echo "quickstart  from nothing to a verified placement and runs/quickstart/report.html"
	@echo "reproduce-chainnet  data, training and release of checkpoints/chainnet: hours (SMOKE=1: minutes)"
	@echo "test        every test not marked slow"
	@echo "test-all    every test"
	@echo "lint        format, lint and types"
	@echo "docs        the documentation, into site/"
	@echo "notebooks   run every notebook in full"
	@echo "clean       remove .venv, caches and build outputs (runs/ and data/ stay)"

venv: $(STAMP)

# The pin of PyTorch is taken first, from wherever TORCH_ARGS says, so that nothing later replaces it.
$(STAMP): $(PACKAGING)
	@if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
		for python in $(if $(PYTHON),"$(PYTHON)",python3.11 python3.12 python3); do \
			if "$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' >/dev/null 2>&1; then \
				echo "$$python -m venv $(VENV)"; \
				exec "$$python" -m venv --clear $(VENV); \
			fi; \
		done; \
		echo "make: Python 3.11 or 3.12 must be installed, or named by PYTHON=..., got none." >&2; \
		exit 1; \
	fi
	$(PIP) install --quiet --constraint constraints.txt $(TORCH_ARGS) torch
	$(PIP) install --quiet --constraint constraints.txt --editable '.[dev,docs]'
	@touch $@

$(VENV)/.installed-notebooks: $(STAMP)
	$(PIP) install --quiet --constraint constraints.txt --editable '.[dev,docs,notebooks]'
	@touch $@

quickstart: venv
	$(BIN)/python -m surrogate.quickstart --runs runs/quickstart

# The commands and their numbers are those in the header of the training configuration.
reproduce-chainnet: venv
	$(BIN)/python -m surrogate.reproduce configs/train/chainnet.yaml $(if $(SMOKE),--smoke)

test: venv
	$(PYTEST) -m "not slow"

test-all: venv
	$(PYTEST)

lint: venv
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

# The theme prints a page about its successor otherwise.
docs: venv
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

notebooks: $(VENV)/.installed-notebooks
	$(BIN)/jupyter execute notebooks/*.ipynb

clean:
	rm -rf $(VENV) build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find datagen surrogate tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
