# Everything on a fresh machine that has Python 3.11 or newer and make.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo editor test test-slow lint clean

.venv: .venv/installed

.venv/installed: requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "jgan needs Python 3.11 or newer")'
	@echo 'Installing JAX, Flax and what else requirements.txt lists into .venv: once, about 1 GB, a few minutes.'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements.txt
	touch $@

.venv/installed-test: requirements-test.txt .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-test.txt
	touch $@

demo: .venv
	$(BIN)/python -m launch.demo --workdir=runs/demo

editor: .venv
	$(BIN)/python -m launch.serve --workdir=runs/editor --train=configs/dcgan.py:editor --open

test: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -n auto --dist=loadfile -m "not slow"

test-slow: .venv/installed-test
	command -v chromium || (apt-get update && apt-get install -y --no-install-recommends chromium) || true
	$(BIN)/python -m pytest -m slow

lint: .venv/installed-test
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

clean:
	rm -rf .venv runs
