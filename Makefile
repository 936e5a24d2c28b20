# Two commands matter: `make demo` shows it, `make test` checks it. Both install what they need into
# .venv/ and the user's cache folder, and nowhere else. Only `make node-packages` installs into the system.
SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v $$p; break; }; done)
# Without compiled modules each start of Python compiles anew what it imports: seconds, and tests start hundreds.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
INSTALLED := .venv/.installed
LINTERS := .venv/linters/.installed
N ?= 1
MODE ?= irsa
LEVEL ?= real
SEEDS ?= 500
RIGS ?= 3

.PHONY: help install binaries demo test lint lint-chart unit simulation cluster-test rig-test durations node-packages node-ready image node-test proof matrix bench chart release requirements clean

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(INSTALLED): requirements/uv.txt requirements/dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or name it with PYTHON=/path/to/python3"; exit 1; }
	@test ! -L .venv || { echo ".venv is a link: run make install in the folder that it leads to"; exit 1; }
	@echo "installing the Python packages into .venv"
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

install: $(INSTALLED) ## the Python packages, into .venv/

binaries: $(INSTALLED) ## the Kubernetes binaries, into the user's cache folder (built once)
	@$(BIN)/python -m rig.tools

demo: $(INSTALLED) ## one control plane gets its identity; N=50, MODE=pod-identity, LEVEL=simulated
	@$(BIN)/python -m rig.demo $(N) $(MODE) $(LEVEL)

test: lint unit simulation cluster-test ## lint, unit tests, 500 simulated schedules of faults, and the tests on clusters

lint: $(INSTALLED) ## ruff, mypy strict, import-linter, hadolint
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/hadolint Dockerfile

lint-chart: binaries $(LINTERS) ## checkov and Kubernetes' schemas on what the chart installs; `make proof` runs it too
	@$(BIN)/python -m pytest -m proof tests/chart/test_checkov.py tests/chart/test_schemas.py

$(LINTERS): requirements/linters.txt $(INSTALLED)
	@echo "installing the linters of the chart into .venv/linters"
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv/linters
	@$(BIN)/uv pip install --quiet --python .venv/linters/bin/python --require-hashes -r requirements/linters.txt
	@touch $@

unit: binaries ## everything that needs no API server
	@$(BIN)/python -m pytest -m "not rig and not node and not proof" -n 3 --dist worksteal

simulation: $(INSTALLED) ## SEEDS random schedules of faults in virtual time; a failing one is replayed by --seed N
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS) --processes 2

cluster-test: binaries node-ready ## rig-test and node-test side by side: the node's tests mostly wait
	@$(BIN)/python -m pytest -m "(rig or node) and not proof" $(IN_RIGS)

rig-test: binaries ## the program against a real API server and the AWS stand-in; RIGS of them side by side
	@$(BIN)/python -m pytest -m "rig and not proof" $(IN_RIGS)

durations: binaries ## measure again how long each file of the rig's tests takes; writes tests/durations.json
	@$(BIN)/python -m pytest -m "rig and not proof" $(IN_RIGS) --write-durations

# Each file in one worker, those that take longest first.
IN_RIGS = -n $(RIGS) --dist loadfile --no-loadscope-reorder

node-packages: $(INSTALLED) ## Debian's packages for a real node; the only target that touches the system (needs root)
	@$(BIN)/python -m rig.node packages

image: binaries node-ready ## the image of the Dockerfile, built without a registry; says how large it is
	@$(BIN)/python -m rig.node image

node-ready: $(INSTALLED)
	@$(BIN)/python -m rig.node ready

node-test: binaries node-ready ## the image and the chart on a real node; skipped with its reason where none can run
	@$(BIN)/python -m pytest -m "node and not proof" --durations=3

proof: binaries $(LINTERS) ## the long checks; writes docs/evidence/proof.md
	@$(BIN)/python -m tests.proof

matrix: binaries ## each version of Kubernetes and of Python; writes docs/run/versions.md; ONLY="1.34 3.13"
	@$(BIN)/python -m tests.versions --jobs $(RIGS) $(ONLY)

bench: binaries ## the measurements; writes docs/evidence/bench.md
	@$(BIN)/python -m bench

chart: $(INSTALLED) ## write the table of values in the chart's README
	@$(BIN)/python -m rig.chart

release: binaries ## wheel, chart, images and their lists, into dist/; PUSH=oci://REGISTRY pushes image and chart
	@$(BIN)/python -m rig.release
	@$(if $(PUSH),$(BIN)/python -m rig.release.push dist $(PUSH))

requirements: $(INSTALLED) ## compile the locked requirement files anew
	@cd requirements && $(CURDIR)/$(BIN)/uv pip compile uv.in $(COMPILE) -o uv.txt
	@cd requirements && $(CURDIR)/$(BIN)/uv pip compile go.in $(COMPILE) -o go.txt
	@$(BIN)/uv pip compile pyproject.toml $(COMPILE) -o requirements/runtime.txt
	@$(BIN)/uv pip compile pyproject.toml --extra rig --extra dev -c requirements/runtime.txt $(COMPILE) -o requirements/dev.txt
	@cd requirements && $(CURDIR)/$(BIN)/uv pip compile build.in -c dev.txt $(COMPILE) -o build.txt
	@cd requirements && $(CURDIR)/$(BIN)/uv pip compile linters.in $(COMPILE) -o linters.txt

COMPILE := --quiet --upgrade --generate-hashes --universal --python-version 3.11 --no-emit-index-url --no-header

clean: ## remove .venv/, dist/ and what tests left behind; the cached binaries stay
	@rm -rf .venv dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .rig
