"""Directions of a run's codes: python -m launch.directions --workdir=RUN --output=directions.npz --principal=10

Or the direction between photos that have an attribute and photos that lack it, given as folders of launch.project or
as single NAME.npz of such a folder:
python -m launch.directions --workdir=RUN --output=directions.npz --name=smile --with=DIR --without=DIR
Directions that the file already holds stay in it. launch.sample --directions shows them, launch.edit --directions
follows one.
"""

from absl import flags

import jgan
import launch
from launch import control_flags
from launch import latent_flags
from launch import shared_flags

_WORKDIR = flags.DEFINE_string("workdir", "", "directory of the run")
_OUTPUT = flags.DEFINE_string("output", "", "file of directions, .npz")
_PRINCIPAL = flags.DEFINE_integer("principal", 0, "number of directions along which images vary most")
_SAMPLES = flags.DEFINE_integer("samples", 1000, "number of draws from which they are computed")
_NAME = flags.DEFINE_string("name", "", "name of a direction between photos")
_WITH = flags.DEFINE_string("with", "", "projections of photos with the attribute that the direction adds")
_WITHOUT = flags.DEFINE_string("without", "", "projections of photos without it")
flags.adopt_module_key_flags(shared_flags)
flags.adopt_module_key_flags(control_flags)
flags.adopt_module_key_flags(latent_flags)


def main() -> None:
    between = [bool(flag.value) for flag in (_NAME, _WITH, _WITHOUT)]
    if any(between) == _PRINCIPAL.present or any(between) != all(between):
        raise jgan.UserError("--principal must be given, or --name, --with and --without.")
    from jgan import trained
    from jgan.programs import controls
    from jgan.programs import directions
    from jgan.runs import config as run_config

    run = trained.load(_WORKDIR.value, run_config.parse_step(shared_flags.STEP.value), latent=True)
    run = controls.under(run.within(latent_flags.SPACE.value), control_flags.SET.value)
    if _PRINCIPAL.present:
        names = directions.write_principal(
            run, _OUTPUT.value, _PRINCIPAL.value, _SAMPLES.value, shared_flags.SEED.value
        )
        print(f"{names[0]} to {names[-1]} in {_OUTPUT.value}")
    else:
        directions.write_difference(run, _OUTPUT.value, _NAME.value, _WITH.value, _WITHOUT.value)
        print(f"{_NAME.value} in {_OUTPUT.value}")


if __name__ == "__main__":
    launch.run(main, required=("workdir", "output"), runs=("workdir",), paths=("with", "without"))
