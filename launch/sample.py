"""Draws from a run with a latent space: python -m launch.sample --workdir=RUN --output=DIR --number=64 --seed=0

The same seed draws the same codes; the first codes of a larger number are those of a smaller number. For very many
pictures, --archive writes shards with an index instead; docs/scale.md has more.
"""

from absl import flags

import jgan
import launch
from launch import archive_flags
from launch import control_flags
from launch import latent_flags
from launch import shared_flags

_WORKDIR = flags.DEFINE_string("workdir", "", "directory of the run")
_OUTPUT = flags.DEFINE_string("output", "", "folder for the pictures")
_NUMBER = flags.DEFINE_integer("number", 64, "how many pictures")
_FORMAT = flags.DEFINE_enum(
    "format", "files", ["files", "grid", "npz"], "a PNG each, one grid, or images and codes in samples.npz"
)
_WALK = flags.DEFINE_integer("walk", 0, "instead, walk through so many codes: walk.webp and walk.png")
_DIRECTIONS = flags.DEFINE_string("directions", "", "instead, show a file of directions: directions.png")
_DIRECTION = flags.DEFINE_string("direction", "", "only the one of this name, on --number codes")
_ROWS = flags.DEFINE_string(
    "rows", "", "rows of styles that directions move, such as 0-3, coarse, middle or fine; empty: all"
)
_MIX = flags.DEFINE_string(
    "mix", "", "instead, mix rows of styles, such as 0-3 or coarse, of --number codes: mix.png"
)
_LATENTS = flags.DEFINE_string("latents", "", "projections whose styles are mixed; empty: drawn ones")
_AMOUNT = flags.DEFINE_float("amount", 3.0, "how far along directions, both ways")
_BATCH = flags.DEFINE_integer("batch", 0, "pictures of an archive that are drawn at once; 0: as fits")
flags.adopt_module_key_flags(shared_flags)
flags.adopt_module_key_flags(archive_flags)
flags.adopt_module_key_flags(control_flags)
flags.adopt_module_key_flags(latent_flags)


def main() -> None:
    instead = [f"--{flag.name}" for flag in (_WALK, _DIRECTIONS, _MIX) if flag.value]
    if len(instead) > 1:
        raise jgan.UserError(f"{' and '.join(instead)} are pictures of their own: one of them at a time.")
    archived = archive_flags.ARCHIVE.value
    archive_flags.check()
    launch.goes_with(
        (archive_flags.ARCHIVE, not instead, "pictures without --walk, --directions or --mix"),
        (_BATCH, archived, "--archive"),
        (_FORMAT, not archived, "pictures without --archive"),
        (_LATENTS, bool(_MIX.value), "--mix, which mixes them,"),
        *((flag, bool(_DIRECTIONS.value), "--directions") for flag in (_DIRECTION, _ROWS, _AMOUNT)),
        (_FORMAT, not instead, "pictures without --walk, --directions or --mix"),
        (_NUMBER, not _WALK.value, "pictures without --walk, which has its own number of codes,"),
        (
            _NUMBER,
            not _DIRECTIONS.value or bool(_DIRECTION.value),
            "--direction, of those of a file of directions,",
        ),
    )
    way = archive_flags.way() if archived else None
    from jgan import trained
    from jgan.programs import controls
    from jgan.programs import directions
    from jgan.programs import operations
    from jgan.programs import sample
    from jgan.runs import config as run_config

    run = trained.load(_WORKDIR.value, run_config.parse_step(shared_flags.STEP.value), latent=True)
    run = run.within(latent_flags.SPACE.value)
    if _MIX.value:
        operations.write_grid(
            controls.under(run, control_flags.SET.value),
            _OUTPUT.value,
            _MIX.value,
            number=_NUMBER.value if _NUMBER.present else operations.GRID,
            seed=shared_flags.SEED.value,
            latents=_LATENTS.value,
        )
        print(f"mix.png in {_OUTPUT.value}")
        return
    if _DIRECTIONS.value:
        directions.show(
            controls.under(run, control_flags.SET.value),
            _DIRECTIONS.value,
            _OUTPUT.value,
            name=_DIRECTION.value,
            rows=_ROWS.value,
            amount=_AMOUNT.value,
            number=_NUMBER.value if _NUMBER.present else 8,
            seed=shared_flags.SEED.value,
        )
        print(f"directions.png in {_OUTPUT.value}")
        return
    if archived:
        from jgan.programs import sample_archive

        sample_archive.sample(
            run,
            _OUTPUT.value,
            number=_NUMBER.value,
            seed=shared_flags.SEED.value,
            given=control_flags.SET.value,
            batch=_BATCH.value,
            way=way,
        )
        return
    sample.write(
        run,
        _OUTPUT.value,
        number=_NUMBER.value,
        seed=shared_flags.SEED.value,
        form=_FORMAT.value,
        stations=_WALK.value,
        given=control_flags.SET.value,
    )
    made = {"files": f"{_NUMBER.value} pictures", "grid": "grid.png", "npz": "samples.npz"}[_FORMAT.value]
    print(f"{'walk.webp and walk.png' if _WALK.value else made} in {_OUTPUT.value}")


if __name__ == "__main__":
    launch.run(
        main,
        required=("workdir", "output"),
        runs=("workdir",),
        paths=("directions", "latents"),
        stores=("workdir", "output", "directions", "latents"),
    )
