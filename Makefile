# Everything on a fresh machine that has Python 3.11 or newer and make.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo editor test test-slow test-newest lint clean

.venv: .venv/installed

.venv/installed: requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "jgan needs Python 3.11 or newer")'
	@echo 'Installing JAX, Flax and what else requirements.txt lists into .venv: once, about 1 GB, 1 to 3 minutes.'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements.txt
	touch $@

.venv/installed-test: requirements-test.txt .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-test.txt
	touch $@

demo: .venv
	$(BIN)/python -m launch.demo --workdir=runs/demo

# With the generator that comes with the project; make editor TRAIN=configs/dcgan.py:editor trains one first, in runs/editor.
editor: .venv
ifdef TRAIN
	$(BIN)/python -m launch.serve --workdir=runs/editor --train=$(TRAIN) --open
else
	$(BIN)/python -m launch.serve --workdir=models/objects64 --space=w_plus --open
endif

test: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -n auto --dist=worksteal --durations=10 -m "not slow"

test-slow: .venv/installed-test
	command -v chromium || (apt-get update && apt-get install -y --no-install-recommends chromium) || true
	$(BIN)/python -m pytest -n 2 --dist=loadfile --no-loadscope-reorder --durations=10 -m slow

# The newest release of everything, whatever is pinned: make test-newest PYTHON=python3.13. PyTorch is left out, and the
# tests that compare with it skip themselves.
NEWEST ?= .venv-newest

test-newest:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 12) and "newest releases need PYTHON=python3.12 or newer")'
	$(PYTHON) -m venv --clear $(NEWEST)
	$(NEWEST)/bin/python -c 'import tomllib; \
	print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")' > $(NEWEST)/requirements.txt
	sed -n 's/==.*//p' requirements-test.txt | grep -vx -e torch -e ruff >> $(NEWEST)/requirements.txt
	$(NEWEST)/bin/python -m pip install --quiet --disable-pip-version-check -r $(NEWEST)/requirements.txt
	$(NEWEST)/bin/python -m pip list --disable-pip-version-check | grep -i -E '^(jax|jaxlib|flax|optax|orbax-checkpoint|grain|numpy) '
	$(NEWEST)/bin/python -m pytest -n auto --dist=loadfile -m "not slow"

lint: .venv/installed-test
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

clean:
	rm -rf .venv $(NEWEST) runs
