#!/usr/bin/env bash
# A first check of a machine with an accelerator: see benchmarks/accelerator.py, which gets all flags.
#
# The machine needs its own JAX, flax, optax and absl-py, PyTorch for the other side, and no network. What jgan needs
# besides is ml_collections (77 kB, pure Python): where the machine has none, its wheel is taken from .whl/, which
# does not belong to the project. Where there is a network, once:
#
#     echo /.whl/ >> "$(git rev-parse --git-path info/exclude)"
#     python3 -m pip download --no-deps --only-binary=:all: --python-version 3.12 -d .whl ml_collections==1.1.0
#
# Then, on a machine that is lent by the call, with the folder .whl carried along:
#
#     run(command="set -o pipefail; bash benchmarks/accelerator.sh | tee $OUT/accelerator.jsonl", carry=[".whl"], timeout_s=420)
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
if ! "$PYTHON" -c "import ml_collections" 2>/dev/null; then
    site=$(mktemp -d)
    trap 'rm -rf "$site"' EXIT
    "$PYTHON" -m pip install --quiet --no-index --no-deps --target "$site" .whl/ml_collections-*.whl
    export PYTHONPATH=$site${PYTHONPATH:+:$PYTHONPATH}
fi
PYTHONUNBUFFERED=1 "$PYTHON" -m benchmarks.accelerator "$@"
