# TOROS. `make` alone says what there is.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: help night test lint docs clean

help: ## Show this
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "TOROS needs Python 3.11 or newer: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,docs]'
	@touch $@ $(VENV)/.installed

night: $(VENV)/.installed ## Set up and run a simulated night
	$(BIN)/toros night --simulated --replay gw170817

lint: $(VENV)/.installed-dev ## Style, types and the walls between the rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint ## Everything that must be green
	$(BIN)/python -m pytest

docs: $(VENV)/.installed-dev ## The documentation, as HTML in docs/_build
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build

clean: ## Forget what was built
	rm -rf docs/_build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
