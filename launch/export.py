"""A run for others to use: python -m launch.export --workdir=RUN --output=DIR [--format=stablehlo]

With --format=run, the default, DIR holds the config and the weights, without what only training needs. It takes the
place of a run's directory in every program but training itself, which takes it as --init_from. --format=stablehlo and
--format=onnx write functions with the weights inside, for programs that do not have jgan, and manifest.json, which
describes them. --format=safetensors and --format=pth write the nets of pix2pix, CycleGAN and StyleGAN2 in the names of
the tools that people have.
"""

from typing import Any

from absl import flags

import launch
from launch import latent_flags
from launch import shared_flags

_WORKDIR = flags.DEFINE_string("workdir", "", "directory of the run")
_OUTPUT = flags.DEFINE_string("output", "", "directory for what is written")
_FORMAT = flags.DEFINE_enum(
    "format",
    "run",
    ["run", "stablehlo", "onnx", "safetensors", "pth"],
    "config.json and weights.safetensors; functions for JAX or for ONNX; nets in the names of other tools",
)
_DTYPE = flags.DEFINE_enum(
    "dtype", "float32", ["float32", "float16"], "type of the numbers in weights.safetensors"
)
_NAMES = flags.DEFINE_enum(
    "names",
    "ada",
    ["ada", "rosinality"],
    "whose names the nets of a StyleGAN2 have: those of its authors' PyTorch code, or rosinality's",
)
_FUNCTIONS = flags.DEFINE_list(
    "functions", [], "of the run: translate_AtoB, sample, project and so on; empty: all of them"
)
_PLATFORMS = flags.DEFINE_list("platforms", ["cpu", "cuda", "tpu"], "where functions for JAX are to run")
_SIZE = flags.DEFINE_list(
    "size", [], "height and width of pictures to translate, such as 256 or 256,384; empty: those of training"
)
_STATISTICS = flags.DEFINE_enum(
    "statistics",
    "image",
    ["image", "running"],
    "what normalises translations: each image, or training's averages",
)
_DROPOUT = flags.DEFINE_bool("dropout", False, "keep dropout on in translations, which then take keys")
_STARTS = flags.DEFINE_integer("starts", None, "of the projection of each picture; the best is kept")
_EVALUATIONS = flags.DEFINE_integer("evaluations", None, "of the generator by each start of a projection")
flags.adopt_module_key_flags(shared_flags)
flags.adopt_module_key_flags(latent_flags)


def main() -> None:
    functions = _FORMAT.value in ("stablehlo", "onnx")
    settings = (_FUNCTIONS, _SIZE, _STATISTICS, latent_flags.SPACE)
    launch.goes_with(
        (_DTYPE, _FORMAT.value == "run", "--format=run"),
        (_NAMES, _FORMAT.value in ("safetensors", "pth"), "--format=safetensors and --format=pth"),
        *(
            (x, _FORMAT.value == "stablehlo", "--format=stablehlo")
            for x in (_PLATFORMS, _DROPOUT, _STARTS, _EVALUATIONS)
        ),
        *((flag, functions, "--format=stablehlo and --format=onnx") for flag in settings),
    )
    from jgan import trained
    from jgan.runs import config as run_config

    run = trained.load(_WORKDIR.value, run_config.parse_step(shared_flags.STEP.value))
    write = {"run": _run, "safetensors": _named, "pth": _named, "stablehlo": _functions, "onnx": _functions}
    write[_FORMAT.value](run)


def _run(run: Any) -> None:
    from jgan.programs import export

    size = export.write(run, _WORKDIR.value, _OUTPUT.value, _DTYPE.value)
    print(f"{_OUTPUT.value}: step {run.step}, {size / 2**20:.1f} MiB of weights")


def _named(run: Any) -> None:
    from jgan.programs import export_names

    for file, loaded in export_names.write(run, _OUTPUT.value, _FORMAT.value, _NAMES.value).items():
        print(f"{_OUTPUT.value}/{file}: step {run.step}, for {loaded}")


def _functions(run: Any) -> None:
    from jgan.programs import export_functions
    from jgan.programs import functions

    search = {"starts": _STARTS.value, "evaluations": _EVALUATIONS.value}
    made = functions.of(
        run.within(latent_flags.SPACE.value),
        _FUNCTIONS.value,
        without=("project",) if _FORMAT.value == "onnx" else (),  # a search is a loop whose end is not known
        size=_SIZE.value,
        statistics=_STATISTICS.value,
        dropout=_DROPOUT.value,
        **{name: value for name, value in search.items() if value is not None},
    )
    sizes = export_functions.write(
        run, made, _OUTPUT.value, _FORMAT.value, platforms=tuple(dict.fromkeys(_PLATFORMS.value))
    )
    for file, size in sizes.items():
        print(f"{_OUTPUT.value}/{file}: step {run.step}, {size / 2**20:.1f} MiB")


if __name__ == "__main__":
    launch.run(main, required=("workdir", "output"), runs=("workdir",), stores=("workdir", "output"))
