# make demo   build a model from a spec and classify a picture   make lint         run the linter and the type checker
# make test   run what CI runs on every change                   make bench        measure the performance budgets, as ratios
# make bench-gpu   measure training and inference on a GPU; where none is, try the script on the CPU in tiny sizes
# make clean  remove generated files, but not the environments   make fuzz         test N=1000 more random networks of each kind
#                                                                make mutants      plant N=120 small faults, to see whether tests find them
# make dist   build the wheel and the sdist, and try them        make constraints  pin the newest packages that pyproject.toml allows
#
# make test ALL=1      with the thorough tests, which CI runs every week
# make test LATEST=1   with the newest packages that pyproject.toml allows, instead of the pinned ones
# make test LOWEST=1   with the oldest packages that it allows

PYTHON ?= $(if $(filter Windows_NT,$(OS)),python,python3)
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
# pip also builds cnnc itself with pinned packages: older versions read the first variable for that, newer ones the second
INSTALL := PIP_CONSTRAINT=$(PINS) PIP_BUILD_CONSTRAINT=$(PINS) $(BIN)/python -m pip install --quiet --compile --editable

# Without bytecode, every command and every process of the tests would compile its modules again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test lint bench bench-gpu fuzz mutants dist constraints clean
.DELETE_ON_ERROR:

demo: $(VENV)/.compiled
	$(BIN)/cnnc build specs/googlenet.yaml
	$(BIN)/cnnc infer build/googlenet/googlenet.onnx $(PICTURE)

test: lint $(VENV)/.compiled
	$(BIN)/python -m pytest -n 2 $(if $(ALL),-m "") $(ARGS)

lint: $(DEV)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: $(DEV) $(VENV)/.compiled
	$(BIN)/python -m tests.bench $(ARGS)

bench-gpu: $(DEV) $(VENV)/.compiled
	$(BIN)/python -m tests.bench.gpu $(ARGS)

fuzz: $(DEV)
	$(BIN)/python -m tests.fuzz $(N) $(ARGS)

mutants: N := 120
mutants: $(DEV)
	$(BIN)/python -m tests.mutants --n $(N) --seed $(SEED) $(ARGS)

dist: $(PINS)
	$(PYTHON) -m tests.dist $(PINS)

constraints:
	$(call resolve,constraints.txt,--universal --python-version 3.11)

clean:
	find build -mindepth 1 ! -name .gitignore -delete
	rm -rf dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .cache .venv*/.compiled
	find cnnc tests -name __pycache__ -prune -exec rm -rf {} +

# One environment for everything, recreated when the pins change: the demo installs less, development adds to it.
$(VENV)/.installed: pyproject.toml $(PINS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'cnnc needs Python 3.11 or newer; choose one with: make $(MAKECMDGOALS) PYTHON=python3.12' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo '$(PYTHON) cannot create virtual environments; on Debian: apt install python3-venv' >&2; exit 1; }
	@echo 'installing cnnc and its dependencies into $(VENV); torch is large, so the first time takes minutes'
	$(PYTHON) -m venv --clear $(VENV)
	$(INSTALL) '.[all]'
	@touch $@

$(DEV): $(VENV)/.installed
	$(INSTALL) '.[dev]'
	@touch $@

ifdef LATEST
.PHONY: $(VENV)/.installed # always out of date: the newest packages change at any time
endif

# For commands that the user runs later with PYTHONDONTWRITEBYTECODE set.
$(VENV)/.compiled: $(VENV)/.installed $(shell find cnnc -name '*.py')
	@$(BIN)/python -m compileall -q cnnc
	@touch $@

.venv-lowest.txt: pyproject.toml
	$(call resolve,$@,--resolution lowest-direct)

# Pin the dependencies of pyproject.toml and of its build in the file $(1); uv runs in a temporary environment.
define resolve
@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && \
  $(PYTHON) -m venv "$$dir" && "$$dir/$(SCRIPTS)/python" -m pip install --quiet uv && \
  echo 'hatchling>=1.27' | UV_CUSTOM_COMPILE_COMMAND='make constraints' "$$dir/$(SCRIPTS)/uv" pip compile --quiet \
    --no-config --no-annotate --upgrade --python "$$dir" --all-extras $(2) --output-file $(1) pyproject.toml - && \
  echo 'wrote $(1)'
endef
