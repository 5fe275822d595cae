# Everything on a fresh machine that has Python 3.11 or newer and make.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo editor test test-slow lint clean

.venv: .venv/installed

.venv/installed: requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "jgan needs Python 3.11 or newer")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.venv/installed-test: requirements-test.txt .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-test.txt
	touch $@

demo: .venv
	$(BIN)/python -m launch.train --config=configs/pix2pix.py:demo --workdir=runs/demo
	$(BIN)/python -m launch.train --config=configs/cyclegan.py:demo --workdir=runs/demo_cyclegan
	$(BIN)/python -m launch.train --config=configs/dcgan.py:demo --workdir=runs/demo_dcgan
	$(BIN)/python -m launch.edit --workdir=runs/demo_dcgan --edit=docs/edit.json --image=docs/photo.png --output=runs/demo_edit

editor: .venv
	$(BIN)/python -m launch.serve --workdir=runs/editor --train=configs/dcgan.py:editor --open

test: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -n auto --dist=worksteal --durations=10 -m "not slow"

test-slow: .venv/installed-test
	command -v chromium || (apt-get update && apt-get install -y --no-install-recommends chromium) || true
	$(BIN)/python -m pytest --durations=10 -m slow

lint: .venv/installed-test
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

clean:
	rm -rf .venv runs
