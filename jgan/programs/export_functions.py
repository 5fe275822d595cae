"""The functions of a run as files for programs that do not have jgan: StableHLO for JAX, and ONNX.

functions = functions.of(trained.load("RUN"))
export_functions.write(run, functions, "OUT", "stablehlo", platforms=("cpu", "cuda"))     # and OUT/manifest.json
"""

from collections.abc import Callable
from collections.abc import Sequence
import json
from typing import Any

import jax

import jgan
from jgan import output
from jgan import trained
from jgan.data import outputs
from jgan.programs import functions as functions_lib
from jgan.runs import config as run_config

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
MANIFEST = "manifest.json"
_ONNX = "onnx==1.23.2"  # as in requirements-test.txt
_MOST = 2**31 - 2**20  # bytes of a file of protocol buffers


def write(
    run: trained.Run,
    functions: Sequence[functions_lib.Function],
    directory: str,
    form: str,
    *,
    platforms: Sequence[str] = ("cpu", "cuda", "tpu"),
) -> dict[str, int]:
    """{file: its size in bytes} of one file for each function; `manifest.json`, written last, describes them.

    Weights are in the files, and the number of examples is open in all of them.

    Args:
        run: that the functions are of.
        functions: as `functions.of` gives them.
        directory: made if missing.
        form: one of `FORMS`.
        platforms: of StableHLO, some of `PLATFORMS`. ONNX has none.

    Raises:
        jgan.UserError: another format or platform, a package that is missing, a directory that is in use or cannot be
            written, or a function that the format cannot hold.
    """
    if form not in FORMS:
        raise jgan.UserError(f"--format={form}: {' and '.join(FORMS)} would work.")
    end, make = FORMS[form]
    folder = outputs.make(directory, *run_config.searched(run.config))
    used = [
        x for x in (MANIFEST, *(f"{function.name}.{end}" for function in functions)) if (folder / x).exists()
    ]
    if used:
        raise jgan.UserError(f"--output={directory} holds {used[0]} already: name another directory.")
    sizes, described = {}, {}
    for function in functions:
        file = f"{function.name}.{end}"
        data, facts = make(function, file, platforms)
        output.replace(folder / file, data)
        sizes[file] = len(data)
        described[function.name] = {
            "file": file,
            "meaning": function.meaning,
            "inputs": [functions_lib.described(value) for value in function.inputs],
            "outputs": [functions_lib.described(value) for value in function.outputs],
            **facts,
        }
    facts = {
        "format": form,
        "system": run.config.system,
        "step": run.step,
        "weights": run.digest,
        "jgan": jgan.__version__,
        "jax": jax.__version__,
        "functions": described,
    }
    text = json.dumps(facts, indent=1) + "\n"
    output.replace(folder / MANIFEST, text.encode())
    return sizes


def _stablehlo(
    function: functions_lib.Function, file: str, platforms: Sequence[str]
) -> tuple[bytes, dict[str, Any]]:
    """(what `jax.export.deserialize` reads, facts for the manifest)."""
    unknown = [name for name in platforms if name not in PLATFORMS]
    if unknown or not platforms:
        raise jgan.UserError(f"--platforms={','.join(platforms)}: some of {', '.join(PLATFORMS)} would work.")
    (batch,) = jax.export.symbolic_shape("n")
    closed = jax.jit(functions_lib.closed(function, "lax"))
    exported = jax.export.export(closed, platforms=tuple(platforms))(*function.shapes(batch))
    arrays = ", ".join(_zeros(value) for value in function.inputs)
    facts = {
        "platforms": list(exported.platforms),
        "calling_convention_version": exported.calling_convention_version,
        "example": [
            "import numpy as np; from jax import export",
            f"{function.name} = export.deserialize(bytearray(open('{file}', 'rb').read())).call",
            f"output = {function.name}({arrays})['output']",
        ],
    }
    return bytes(exported.serialize()), facts


def _onnx(function: functions_lib.Function, file: str, _: Sequence[str]) -> tuple[bytes, dict[str, Any]]:
    """(an ONNX model, facts for the manifest)."""
    try:
        from jgan.programs import onnx_graph
    except ImportError as error:
        if error.name != "onnx":
            raise
        raise jgan.UserError(f"--format=onnx needs a package that is missing: pip install {_ONNX}") from None
    inputs = [(value.name, value.shape, value.dtype) for value in function.inputs]
    try:
        model = onnx_graph.model(functions_lib.closed(function, "plain"), inputs, function.name)
    except onnx_graph.NoRule as error:
        raise jgan.UserError(
            f"--format=onnx: {function.name} needs {error}, for which there is no rule: --format=stablehlo would work."
        ) from None
    if sum(len(tensor.raw_data) for tensor in model.graph.initializer) > _MOST:
        raise jgan.UserError("--format=onnx: a file of it holds 2 GB at most: --format=stablehlo would work.")
    arrays = ", ".join(f"'{value.name}': {_zeros(value)}" for value in function.inputs)
    facts = {
        "opset": onnx_graph.OPSET,
        "example": [
            "import numpy as np, onnxruntime",
            f"session = onnxruntime.InferenceSession('{file}')",
            f"(output,) = session.run(['output'], {{{arrays}}})",
        ],
    }
    return model.SerializeToString(), facts


def _zeros(value: functions_lib.Value) -> str:
    return f"np.zeros({(2, *value.shape)}, '{value.dtype}')"


# Of each format the end of its files, and `(function, file, platforms) -> (data, facts)`.
FORMS: dict[str, tuple[str, Callable[..., tuple[bytes, dict[str, Any]]]]] = {
    "stablehlo": ("jax", _stablehlo),
    "onnx": ("onnx", _onnx),
}
