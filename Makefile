# Two commands for a newcomer: `make demo` and `make test`. The rest is for those who build weft.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
DATA   ?=
OUT    ?= runs/demo
STAMP  := $(VENV)/.installed

.PHONY: help demo test test-all check format same size wheel clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

# A torch that is already there (a GPU user's, say) is used as it is; otherwise the tested version is installed.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "weft needs Python 3.11 or newer; name one: make PYTHON=python3.12 demo"; exit 1; }
	@if $(PYTHON) -c 'import torch' 2>/dev/null; then \
	  $(PYTHON) -m venv --system-site-packages $(VENV) && grep -v '^torch==' constraints.txt > $(VENV)/constraints.txt; \
	else \
	  $(PYTHON) -m venv $(VENV) && cp constraints.txt $(VENV)/constraints.txt; \
	fi
	@echo "installing weft into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(VENV)/constraints.txt -e '.[test,check]'
	@touch $@

demo: $(STAMP)  ## train a language model on this machine's Python library (or DATA=folder), in five to nine minutes
	@$(BIN)/weft train python_stdlib $(if $(DATA),--data $(DATA)) --out $(OUT) --overwrite

test: $(STAMP)  ## the whole suite: 12 minutes is the aim, 25 on two slow cores
	@$(BIN)/python -m pytest -n 2 --dist worksteal

test-all: $(STAMP) same  ## the suite with all that is slow, and the stored traces
	@$(BIN)/python -m pytest -n 2 --dist worksteal -m "slow or not slow"

check: $(STAMP)  ## format, lint, types, floors: under 30 seconds
	@$(BIN)/ruff format --check src tests benchmarks docs
	@$(BIN)/ruff check src tests benchmarks docs
	@$(BIN)/pyright
	@$(BIN)/python -m pytest tests/test_floors.py

format: $(STAMP)  ## put the code into shape
	@$(BIN)/ruff format src tests benchmarks docs
	@$(BIN)/ruff check --fix src tests benchmarks docs

same: $(STAMP)  ## bit-identical loss over ten debug steps against the stored trace, to guard refactors
	@$(BIN)/python tests/same.py

size: $(STAMP)  ## lines of the parts and the families, per file
	@$(BIN)/python tests/size.py

wheel: $(STAMP)  ## build a wheel into dist/
	@$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

clean:  ## remove what was made (the environment stays)
	rm -rf dist build .pytest_cache .ruff_cache .hypothesis src/*.egg-info
