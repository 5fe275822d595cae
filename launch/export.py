"""A run in two small files, for others to use: python -m launch.export --workdir=RUN --output=DIR [--dtype=float16]

DIR holds the config and the weights, without what only training needs. It takes the place of a run's directory in every
program but training itself, which takes it as --init_from.
"""

from absl import flags

import launch
from launch import shared_flags

_WORKDIR = flags.DEFINE_string("workdir", "", "directory of the run")
_OUTPUT = flags.DEFINE_string("output", "", "directory for config.json and weights.safetensors")
_DTYPE = flags.DEFINE_enum("dtype", "float32", ["float32", "float16"], "type of the numbers in the file")
flags.adopt_module_key_flags(shared_flags)


def main() -> None:
    from jgan import trained
    from jgan.programs import export
    from jgan.runs import config as run_config

    run = trained.load(_WORKDIR.value, run_config.parse_step(shared_flags.STEP.value))
    size = export.write(run, _WORKDIR.value, _OUTPUT.value, _DTYPE.value)
    print(f"{_OUTPUT.value}: step {run.step}, {size / 2**20:.1f} MiB of weights")


if __name__ == "__main__":
    launch.run(main, required=("workdir", "output"), runs=("workdir",))
