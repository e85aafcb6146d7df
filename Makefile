# make demo   a model from a spec, and a picture through it     make lint         the linter and the types
# make test   what CI runs                                       make bench        the budgets, as measured ratios
# make clean  remove what they left, but not the environments    make fuzz         N=1000 more random networks of each kind than test does
#                                                                make mutants      N=120 small faults, planted to see whether tests find them
#                                                                make constraints  pin the newest packages that pyproject.toml allows
#
# make test LATEST=1   with the newest packages that pyproject.toml allows, not with the pinned ones
# make test LOWEST=1   with the oldest that it allows

PYTHON ?= python3
PICTURE := tests/data/boot.png
ARGS ?=
N ?= 1000
SEED ?= 0

ifdef LATEST
  VENV := .venv-latest
else ifdef LOWEST
  VENV := .venv-lowest
  PINS := .venv-lowest.txt
else
  VENV := .venv
  PINS := constraints.txt
endif
SCRIPTS := $(if $(filter Windows_NT,$(OS)),Scripts,bin)
BIN := $(VENV)/$(SCRIPTS)
DEV := $(VENV)/.installed-dev
# pip builds cnnc itself by pinned packages too: older ones read the first variable for that, newer ones the second
INSTALL := PIP_CONSTRAINT=$(PINS) PIP_BUILD_CONSTRAINT=$(PINS) $(BIN)/python -m pip install --quiet --compile --editable

.PHONY: demo test lint bench fuzz mutants constraints clean
.DELETE_ON_ERROR:

demo: $(VENV)/.compiled
	$(BIN)/cnnc build specs/googlenet.yaml
	$(BIN)/cnnc infer build/googlenet/googlenet.onnx $(PICTURE)

test: lint $(VENV)/.compiled
	$(BIN)/python -m pytest -n 2 $(ARGS)

lint: $(DEV)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: $(DEV) $(VENV)/.compiled
	$(BIN)/python -m tests.bench $(ARGS)

fuzz: $(DEV)
	$(BIN)/python -m tests.fuzz $(N) $(ARGS)

mutants: N := 120
mutants: $(DEV)
	$(BIN)/python -m tests.mutants --n $(N) --seed $(SEED) $(ARGS)

constraints:
	$(call resolve,constraints.txt,--universal --python-version 3.11)

clean:
	find build -mindepth 1 ! -name .gitignore -delete
	rm -rf dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .cache .venv*/.compiled
	find cnnc tests -name __pycache__ -prune -exec rm -rf {} +

# One environment for all, made anew when the pins change: the demo's is the lesser, the developer's adds to it.
$(VENV)/.installed: pyproject.toml $(PINS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'cnnc needs Python 3.11 or newer; say which with: make $(MAKECMDGOALS) PYTHON=python3.12' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo '$(PYTHON) cannot make virtual environments; on Debian: apt install python3-venv' >&2; exit 1; }
	@echo 'installing cnnc and what it needs into $(VENV); torch is large, the first time takes minutes'
	$(PYTHON) -m venv --clear $(VENV)
	$(INSTALL) '.[train]'
	@touch $@

$(DEV): $(VENV)/.installed
	$(INSTALL) '.[train,dev]'
	@touch $@

ifdef LATEST
.PHONY: $(VENV)/.installed # what is newest changes without us
endif

# Python leaves no bytecode where PYTHONDONTWRITEBYTECODE is set, and every command would compile all of cnnc anew.
$(VENV)/.compiled: $(VENV)/.installed $(shell find cnnc -name '*.py')
	@$(BIN)/python -m compileall -q cnnc
	@touch $@

.venv-lowest.txt: pyproject.toml
	$(call resolve,$@,--resolution lowest-direct)

# Pin all that pyproject.toml and its build need, in the file $(1); uv comes and goes with an environment of its own.
define resolve
@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && \
  $(PYTHON) -m venv "$$dir" && "$$dir/$(SCRIPTS)/python" -m pip install --quiet uv && \
  echo 'hatchling>=1.27' | UV_CUSTOM_COMPILE_COMMAND='make constraints' "$$dir/$(SCRIPTS)/uv" pip compile --quiet \
    --no-config --no-annotate --upgrade --python "$$dir" --all-extras $(2) --output-file $(1) pyproject.toml - && \
  echo 'wrote $(1)'
endef
