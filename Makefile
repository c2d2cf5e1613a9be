# Two commands on a fresh machine: `make demo` and `make test`. Both set up .venv by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests and training read the labelled cases from here; tests that need them skip where they are absent.
export VOXTRACE_DATA ?= $(abspath ../shared/data)

.PHONY: setup demo test test-slow check lint types layers clean

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip setuptools wheel
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[torch]'
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[torch,test,dev]'
	touch $@

demo: setup
	$(BIN)/python -m voxtrace.demo

# lint, types and import layers first (seconds), then the tests
check: lint types layers

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-test
	$(BIN)/mypy

layers: $(VENV)/.installed-test
	$(BIN)/lint-imports

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m 'not slow and not torch'
	$(BIN)/python -m pytest -m 'torch and not slow'

test-slow: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m slow

clean:
	rm -rf $(VENV) build .ruff_cache .mypy_cache .pytest_cache
