# make demo    all stages on a simulated genome, from nothing to a report
# make test    lint, types, floors and tests, as CI runs them
# make docs    the pages of docs/ that are made from the code
# make install the environment in .venv

PYTHON ?= python3
BIN := .venv/bin
RUN := runs/demo

.PHONY: install demo test lint long docs clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# //p' Makefile

install: .venv/compiled
	@echo "noncoder is installed: $(BIN)/noncoder --help"

# The stamps make the second time quick: pip runs again only when what is to be installed has changed.
.venv/installed: pyproject.toml constraints.txt
	@echo "==> making the environment in .venv (a few minutes the first time)"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

.venv/installed-dev: .venv/installed
	@echo "==> installing what tests need"
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# Machine code that numba would otherwise make in the middle of the first interpretation.
.venv/compiled: .venv/installed
	@echo "==> compiling what interpretation needs (once; about a minute)"
	$(BIN)/python -m noncoder.interpret.motifs.ahead
	@touch $@

demo: .venv/compiled
	@echo "==> all stages on a simulated genome: data, exploration, training, evaluation, report"
	$(BIN)/noncoder run recipes/demo.yaml run=$(RUN)

lint: .venv/installed-dev
	@echo "==> lint";   $(BIN)/ruff check . && $(BIN)/ruff format --check .
	@echo "==> types";  $(BIN)/mypy
	@echo "==> floors"; $(BIN)/lint-imports

test: lint
	@echo "==> tests (make long runs those that take minutes)"
	$(BIN)/python -m pytest -n auto --dist loadfile

long: .venv/installed-dev
	$(BIN)/python -m pytest -m long

docs: .venv/installed
	@echo "==> pages that are made from the code"
	$(BIN)/python docs/make.py

clean:
	rm -rf .venv runs .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
