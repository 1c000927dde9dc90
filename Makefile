# Two commands do everything: `make chat` and `make test`. Run `make` for the rest.
# Messages and progress go to stderr, so that `echo hello | make chat` prints replies alone.

PYTHON    ?= python3
MODEL     ?= smollm2-135m-instruct
PRECISION ?= int8
ARGS      ?=

VENV   := .venv
BIN    := $(VENV)/bin
BUNDLE := build/bundles/$(notdir $(MODEL))-$(PRECISION)
PIP    := $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt
SAY     = @printf '==> %s\n' >&2

# torch's threads wait for each other in a busy loop. With anything else running on the same cores, which a bot on
# the same machine is, that made exports ten times as slow.
export OMP_WAIT_POLICY ?= PASSIVE

.DEFAULT_GOAL := help
.PHONY: help chat model test check format bench docs constraints clean
.DELETE_ON_ERROR:

help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

chat: models/registry.json ## talk to the model in this terminal; makes all that is missing
	@$(BIN)/python -m bots.console $(ARGS)

model: $(VENV)/.export ## export MODEL=... with PRECISION=..., and serve it from now on
	$(SAY) "exporting $(MODEL) as $(PRECISION): about two minutes for the default model"
	@$(BIN)/python -m exporters "$(MODEL)" "$(BUNDLE)" --precision $(PRECISION)
	@$(BIN)/python -m engine add "$(BUNDLE)" --promote --reason "make model" >&2

test: $(VENV)/.dev ## run all tests (about twenty minutes on two cores)
	$(SAY) "running the tests"
	@$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.dev ## formatting, lint and types
	$(SAY) "ruff format"
	@$(BIN)/ruff format --check .
	$(SAY) "ruff"
	@$(BIN)/ruff check .
	$(SAY) "mypy"
	@$(BIN)/mypy

format: $(VENV)/.dev ## format and fix what can be fixed
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: models/registry.json ## measure the default bundle on this machine
	@$(BIN)/python -m benchmarks $(ARGS)

docs: $(VENV)/.dev ## write the settings and commands into the documents
	@$(BIN)/python docs/generate.py

constraints: ## resolve all dependencies anew and pin what comes out
	$(SAY) "resolving in a fresh environment"
	@rm -rf build/resolve && $(PYTHON) -m venv build/resolve
	@build/resolve/bin/python -m pip install --quiet torch==2.13.0 >&2
	@build/resolve/bin/python -m pip install --quiet -e ".[cpu,train,dev]" >&2
	@{ sed -n '/^#/p' constraints.txt; \
	   { build/resolve/bin/python -m pip freeze --all --exclude-editable | sed 's/+cpu//; /^pip==/d'; \
	     grep '^onnxruntime-gpu==' constraints.txt; } | sort -f; } > build/constraints.txt
	@mv build/constraints.txt constraints.txt

clean: ## remove what make has made; the model registry stays
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache

# A first model only: `make model` replaces it, `python -m engine rollback` brings the one before back.
models/registry.json: | $(VENV)/.export
	$(SAY) "exporting $(MODEL) as $(PRECISION): about two minutes, once"
	@$(BIN)/python -m exporters "$(MODEL)" "$(BUNDLE)" --precision $(PRECISION)
	@$(BIN)/python -m engine add "$(BUNDLE)" --promote --reason "first model" >&2

# Each stamp is written after its install has succeeded, so an interrupted one is taken up again.
$(VENV)/.export: $(VENV)/.made pyproject.toml constraints.txt
	$(SAY) "installing what serving and exporting need (about 300 MB without CUDA)"
	@$(PIP) -e ".[cpu,export]" >&2
	@touch $@

$(VENV)/.dev: $(VENV)/.made pyproject.toml constraints.txt
	$(SAY) "installing what the tests need (about 300 MB without CUDA)"
	@$(PIP) -e ".[cpu,train,dev]" >&2
	@touch $@ $(VENV)/.export

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed; try: make PYTHON=python3.11 ...")'
	$(SAY) "making the virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@
