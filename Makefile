# make setup | demo | test | test-all | lint | bench | docs. Everything installs into .venv; nothing else is touched.
# Another Python: make setup PYTHON=python3.12

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
DOCS := .venv/.docs
SITE ?= site
TORCH_INDEX := https://download.pytorch.org/whl/cpu
TORCH := $(shell grep '^torch==' constraints-cpu.txt)
PIP := $(BIN)/python -m pip install -qq --no-compile --disable-pip-version-check

# The tests run in two processes of one thread each; one that has none left takes half of the other's.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist worksteal

# Compiled modules are kept whatever the environment says: the tests start many processes, each of which would compile
# torch anew, and that takes longer than all else that it does.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup demo test test-all lint bench docs

help:
	@echo "make setup     install Echo and its development tools into .venv"
	@echo "make demo      corpus, training, evaluation and pictures from nothing, into runs/demo"
	@echo "make test      the tests that are quick"
	@echo "make test-all  all tests"
	@echo "make lint      ruff, its format, and mypy; .pre-commit-config.yaml has the same"
	@echo "make bench     speed, one JSON line a benchmark"
	@echo "make docs      the pages of docs/ as a site, in $(SITE)/index.html"

setup: $(READY)

# Torch comes first and alone: the small build for CPUs where its index answers, else whatever pip is configured
# with. What is not compiled now is compiled when first imported, which is far less; the largest part of it at the end.
$(READY): pyproject.toml constraints-cpu.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Echo needs Python 3.11 or newer, but $(PYTHON) is $$($(PYTHON) -V 2>&1 | head -n 1);" \
	    "try: make setup PYTHON=python3.11" >&2; exit 1; }
	@echo "Installing Echo into .venv (a minute or more; a warning about an index that does not answer is harmless)"
	@$(PYTHON) -m venv .venv
	@$(PIP) --no-deps --retries 1 --timeout 15 --extra-index-url $(TORCH_INDEX) $(TORCH) -c constraints-cpu.txt
	@$(PIP) -e '.[lm,synth,test]' -c constraints-cpu.txt
	@$(BIN)/python -c 'import torch._dynamo, torch.distributed.run, accelerate, scipy.signal, matplotlib.pyplot'
	@touch $@
	@echo "Installed: .venv/bin/echo-asr"

demo: $(READY)
	$(BIN)/echo-asr demo --out runs/demo

test: $(READY)
	$(PYTEST) -m "not slow"

test-all: $(READY) $(DOCS)
	$(PYTEST)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.features
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.attention --json
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.transcription --json
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.training --json
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.scale --hours 100

docs: $(READY) $(DOCS)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --site-dir $(abspath $(SITE))
	@echo "Built: $(SITE)/index.html"

$(DOCS): $(READY)
	@$(PIP) -e '.[docs]' -c constraints-cpu.txt
	@touch $@
