"""Directions of a run's codes: python -m launch.directions --workdir=RUN --output=directions.npz --principal=10

Of a StyleGAN2 run also those of its weights alone, of all layers or of those of some rows of styles:
python -m launch.directions --workdir=RUN --output=directions.npz --space=w --sefa=10 --rows=0-3
Or the direction between photos that have an attribute and photos that lack it, given as folders of launch.project or
as single NAME.npz of such a folder, by the difference of their means or, with --boundary, by a linear boundary:
python -m launch.directions --workdir=RUN --output=directions.npz --name=smile --with=DIR --without=DIR --boundary
Or along which the scores of latents grow, of a folder of launch.project or of the samples.npz of launch.sample:
python -m launch.directions --workdir=RUN --output=directions.npz --name=height --latents=DIR --scores=scores.csv
Directions that the file already holds stay in it; --conditional=age,glasses keeps a new one from going along them.
launch.sample --directions shows them, launch.edit --directions follows one.
"""

from absl import flags

import jgan
import launch
from launch import control_flags
from launch import latent_flags
from launch import shared_flags

_WORKDIR = flags.DEFINE_string("workdir", "", "directory of the run")
_OUTPUT = flags.DEFINE_string("output", "", "file of directions, .npz")
_PRINCIPAL = flags.DEFINE_integer(
    "principal", 0, "number of directions along which images or styles vary most"
)
_SAMPLES = flags.DEFINE_integer("samples", 1000, "number of draws from which they are computed")
_SEFA = flags.DEFINE_integer(
    "sefa", 0, "number of directions to which the layers' weights respond most (SeFa)"
)
_ROWS = flags.DEFINE_string("rows", "", "rows of styles whose layers count for --sefa, such as 0-3 or coarse")
_NAME = flags.DEFINE_string("name", "", "name of a direction between photos")
_WITH = flags.DEFINE_string("with", "", "projections of photos with the attribute that the direction adds")
_WITHOUT = flags.DEFINE_string("without", "", "projections of photos without it")
_BOUNDARY = flags.DEFINE_bool(
    "boundary", False, "across the linear boundary between the two (InterFaceGAN), not from mean to mean"
)
_LATENTS = flags.DEFINE_string("latents", "", "projections or samples.npz that have scores")
_SCORES = flags.DEFINE_string("scores", "", "file of lines NAME,score: of photos, or of samples by number")
_CONDITIONAL = flags.DEFINE_list(
    "conditional", [], "directions of the file along which the new one must not go"
)
flags.adopt_module_key_flags(shared_flags)
flags.adopt_module_key_flags(control_flags)
flags.adopt_module_key_flags(latent_flags)

_WANTED = "--principal, --sefa, --name with --with and --without, or --name with --latents and --scores"


def main() -> None:
    photos = all(flag.value for flag in (_NAME, _WITH, _WITHOUT))
    scored = all(flag.value for flag in (_NAME, _LATENTS, _SCORES))
    some = any(flag.value for flag in (_NAME, _WITH, _WITHOUT, _LATENTS, _SCORES))
    between = any(flag.value for flag in (_WITH, _WITHOUT)) and any(
        flag.value for flag in (_LATENTS, _SCORES)
    )
    asked = [bool(_PRINCIPAL.present), bool(_SEFA.present), some]
    if asked.count(True) != 1 or between or (some and not photos and not scored):
        raise jgan.UserError(f"one of these must be given, and no other with it: {_WANTED}.")
    for flag, belongs in ((_ROWS, _SEFA.present), (_BOUNDARY, photos), (_CONDITIONAL, photos or scored)):
        if flag.value and not belongs:
            raise jgan.UserError(f"--{flag.name} does not go with these flags; --help shows what it is for.")
    launch.goes_with((_SAMPLES, _PRINCIPAL.present, "--principal"))
    from jgan import trained
    from jgan.programs import controls
    from jgan.programs import directions
    from jgan.runs import config as run_config

    run = trained.load(_WORKDIR.value, run_config.parse_step(shared_flags.STEP.value), latent=True)
    run = controls.under(run.within(latent_flags.SPACE.value), control_flags.SET.value)
    if _PRINCIPAL.present or _SEFA.present:
        if _SEFA.present:
            names = directions.write_closed_form(run, _OUTPUT.value, _SEFA.value, _ROWS.value)
        else:
            names = directions.write_principal(
                run, _OUTPUT.value, _PRINCIPAL.value, _SAMPLES.value, shared_flags.SEED.value
            )
        print(f"{names[0]} to {names[-1]} in {_OUTPUT.value}")
        return
    if scored:
        directions.write_boundary(
            run,
            _OUTPUT.value,
            _NAME.value,
            _LATENTS.value,
            _SCORES.value,
            conditional=_CONDITIONAL.value,
        )
    else:
        directions.write_difference(
            run,
            _OUTPUT.value,
            _NAME.value,
            _WITH.value,
            _WITHOUT.value,
            boundary=_BOUNDARY.value,
            conditional=_CONDITIONAL.value,
        )
    print(f"{_NAME.value} in {_OUTPUT.value}")


if __name__ == "__main__":
    launch.run(
        main,
        required=("workdir", "output"),
        runs=("workdir",),
        paths=("with", "without", "latents", "scores"),
        stores=("workdir", "output", "with", "without", "latents", "scores"),
    )
