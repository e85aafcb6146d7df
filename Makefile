# make demo   a model from a spec, and a picture through it     make lint    the linter and the types
# make test   what CI runs                                       make bench   the budgets, as measured ratios
# make clean  remove what they left, but not .venv               make fuzz   N=1000 more random networks than test does

PYTHON ?= python3
BIN := .venv/bin
DEV := .venv/.installed-dev
PICTURE := tests/data/boot.png
ARGS ?=
N ?= 1000

.PHONY: demo test lint bench fuzz clean
.DELETE_ON_ERROR:

demo: .venv/.installed
	$(BIN)/cnnc build specs/googlenet.yaml
	$(BIN)/cnnc infer build/googlenet/googlenet.onnx $(PICTURE)

test: lint
	$(BIN)/python -m pytest -n 2 $(ARGS)

lint: $(DEV)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: $(DEV)
	$(BIN)/python -m tests.bench $(ARGS)

fuzz: $(DEV)
	$(BIN)/python -m tests.fuzz $(N) $(ARGS)

clean:
	find build -mindepth 1 ! -name .gitignore -delete
	rm -rf dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find cnnc tests -name __pycache__ -prune -exec rm -rf {} +

# One environment for all: the demo's is the lesser, the developer's adds to it.
.venv/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'cnnc needs Python 3.11 or newer; say which with: make $(MAKECMDGOALS) PYTHON=python3.12' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo '$(PYTHON) cannot make virtual environments; on Debian: apt install python3-venv' >&2; exit 1; }
	@echo 'installing cnnc and what it needs into .venv; torch is large, the first time takes minutes'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(DEV): .venv/.installed
	$(BIN)/python -m pip install --quiet --editable '.[train,dev]'
	@touch $@
