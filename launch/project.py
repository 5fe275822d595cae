"""Projects photos onto a run's manifold: python -m launch.project --workdir=RUN --images=DIR --output=OUT

For every photo a latent (NAME.npz), a picture (NAME.png), and a page of all (index.html). The same command continues.
For very many photos, --archive writes shards with an index instead; docs/scale.md has more.
"""

from absl import flags

import launch
from launch import archive_flags
from launch import control_flags
from launch import feature_flags
from launch import latent_flags
from launch import project_flags
from launch import projection_flags
from launch import shared_flags

_WORKDIR = flags.DEFINE_string("workdir", "", "directory of the run")
_IMAGES = flags.DEFINE_string(
    "images",
    "",
    "a picture, or a folder of pictures; with --archive also a list of files (.txt), or ArrayRecord files",
)
_OUTPUT = flags.DEFINE_string("output", "", "folder for latents and pictures")
_RECONSTRUCTIONS = flags.DEFINE_bool(
    "reconstructions", False, "put the pictures of the latents into an archive too"
)
flags.adopt_module_key_flags(archive_flags)
flags.adopt_module_key_flags(project_flags)


def main() -> None:
    feature_flags.check()
    archived = archive_flags.ARCHIVE.value
    archive_flags.check()
    launch.goes_with((_RECONSTRUCTIONS, archived, "--archive"))
    further = {}
    if archived:
        further = {"way": archive_flags.way(), "reconstructions": _RECONSTRUCTIONS.value}
    from jgan import trained
    from jgan.programs import controls
    from jgan.programs import project as project_lib
    from jgan.runs import config as run_config

    run = trained.load(_WORKDIR.value, run_config.parse_step(shared_flags.STEP.value), latent=True)
    run = controls.under(run.within(latent_flags.SPACE.value), control_flags.SET.value)
    if archived:
        from jgan.programs import project_archive

        project = project_archive.project
    else:
        project = project_lib.project_files
    project(
        run,
        _IMAGES.value,
        _OUTPUT.value,
        **projection_flags.choice(
            run, method=project_flags.METHOD.value, learning_rate=project_flags.LEARNING_RATE.value
        ),
        feature_weight=projection_flags.FEATURE_WEIGHT.value,
        features=feature_flags.features(run),
        fit=projection_flags.FIT.value,
        part=projection_flags.PART.value,
        batch=project_flags.BATCH.value,
        seed=shared_flags.SEED.value,
        **further,
    )


if __name__ == "__main__":
    launch.run(
        main,
        required=("workdir", "images", "output"),
        runs=("workdir",),
        paths=("images",),
        patterns=("images",),
        stores=("workdir", "images", "output"),
    )
