# Two commands on a fresh machine: `make demo` and `make test`. Both set up .venv by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BARE := $(VENV)-without-torch
# Tests and training read the labelled cases from here; tests that need them skip where they are absent.
export VOXTRACE_DATA ?= $(abspath ../shared/data)

.PHONY: setup demo demo-without-torch competition weights test test-slow oracle check lint types layers clean

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip setuptools wheel
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[torch,eval,report]'
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[torch,eval,report,test,dev]'
	touch $@

demo: setup
	$(BIN)/python -m voxtrace.demo

# The same without PyTorch, in an environment of its own: nets run from their exported graphs.
demo-without-torch: $(BARE)/.installed
	$(BARE)/bin/python -c "import importlib.util as u, sys; sys.exit(u.find_spec('torch') is not None)"
	$(BARE)/bin/python -m voxtrace.demo --out demo_output/without-torch

$(BARE)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear $(BARE)
	$(BARE)/bin/python -m pip install --quiet --upgrade pip setuptools wheel
	$(BARE)/bin/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

# every submission in competition/, in a sandbox, on cases made from the labelled ones
competition: setup
	$(BIN)/python -m voxtrace.bench.competition --data $(VOXTRACE_DATA) --out out/competition

# The embedded weights anew, from the recipes and the labelled cases: about 100 minutes, said beforehand; it goes on where
# it was stopped, replaces the file in the end, registers its hash and ties the graphs to it.
weights: $(VENV)/.installed-test
	$(BIN)/python -m voxtrace.train.remake --data $(VOXTRACE_DATA) --out out/weights \
		--to src/voxtrace/weights/voxtrace-small.safetensors
	$(BIN)/python -m voxtrace.export.embed

# lint, types and import layers first (seconds), then the tests
check: lint types layers

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-test
	$(BIN)/mypy

layers: $(VENV)/.installed-test
	$(BIN)/lint-imports

# the fast ones first; then sandboxes, processes, labelled scans and whole benchmarks; then the nets; trainings in a process
# of their own: they fork, which the threads of runtimes that other tests opened do not bear
test: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m 'not slow and not torch and not real'
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m 'real and not slow and not torch'
	$(BIN)/python -m pytest -m 'torch and not slow' --ignore-glob='*/test_train_*'
	$(BIN)/python -m pytest -m 'torch and not slow' tests/test_train_*.py

# The official SAM 2 (a repack on PyPI), which some parity tests ask if it is there. It stays out of $(VENV)'s packages.
oracle: $(VENV)/oracle/.installed

$(VENV)/oracle/.installed: $(VENV)/.installed-test
	SAM2_BUILD_CUDA=0 $(BIN)/python -m pip install --quiet --upgrade --no-deps --no-build-isolation \
		--target $(VENV)/oracle sam2==1.1.0 hydra-core==1.3.8 omegaconf==2.3.1 antlr4-python3-runtime==4.9.3 \
		iopath==0.1.10 portalocker==4.4.2 PyYAML==6.0.3 tqdm==4.70.1 packaging==26.3
	touch $@

test-slow: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m slow

clean:
	rm -rf $(VENV) build .ruff_cache .mypy_cache .pytest_cache
