# Two promises, each with all its own set-up: `make train` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: train test lint types check slow clean

train: $(VENV)/.run
	$(BIN)/beeline train cancer-treatment --horizon 100 --out runs/cancer-treatment --overwrite

test: lint types check

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/basedpyright

check: $(VENV)/.dev
	$(BIN)/python -m pytest --numprocesses auto --dist loadscope

slow: $(VENV)/.dev
	$(BIN)/python -m pytest -m slow --numprocesses auto --dist loadscope

$(VENV)/.run: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Beeline needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.run
	$(PIP) --editable '.[dev,baselines,data,export,oracle]'
	touch $@

clean:
	rm -rf $(VENV) runs .pytest_cache .ruff_cache
