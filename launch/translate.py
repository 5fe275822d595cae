"""Translates pictures: python -m launch.translate --workdir=RUN --input=DIR_OR_FILE --output=DIR

Every picture keeps its name, size and bit depth. For very many pictures, --archive writes shards with an index instead;
docs/scale.md has more.
"""

from absl import flags

import launch
from launch import archive_flags
from launch import control_flags
from launch import shared_flags

_WORKDIR = flags.DEFINE_string("workdir", "", "directory of the run")
_INPUT = flags.DEFINE_string(
    "input",
    "",
    "a picture, or a folder of pictures; with --archive also a list of files (.txt), or ArrayRecord files",
)
_OUTPUT = flags.DEFINE_string("output", "", "folder for the translations")
_WAY = flags.DEFINE_string("way", "", "the way of a run that has several, such as BtoA")
_PART = flags.DEFINE_enum(
    "part",
    "",
    ["", "A", "B", "whole"],
    "of pairs side by side: A, the left half, or B; whole: all pictures as they are",
)
_SAMPLES = flags.DEFINE_integer(
    "samples", 0, "so many outputs of each picture, by codes or else by dropout", lower_bound=0
)
_STRIP = flags.DEFINE_bool(
    "strip",
    False,
    "one PNG for each picture, with its samples or the outputs of all values beside it",
)
_TILE = flags.DEFINE_integer("tile", 0, "translate in overlapping tiles of so many pixels", lower_bound=0)
_STATISTICS = flags.DEFINE_enum(
    "statistics",
    "",
    ["", "image", "running"],
    "what normalises: each image, or training's averages; empty: each image, or what was said at an import",
)
_DROPOUT = flags.DEFINE_bool(
    "dropout", None, "keep dropout on; by default off, or what was said at an import"
)
_BATCH = flags.DEFINE_integer("batch", 0, "pictures of an archive that are translated at once; 0: as fits")
flags.adopt_module_key_flags(shared_flags)
flags.adopt_module_key_flags(archive_flags)
flags.adopt_module_key_flags(control_flags)


def main() -> None:
    archived = archive_flags.ARCHIVE.value
    archive_flags.check()
    launch.goes_with((_BATCH, archived, "--archive"), (_STRIP, not archived, "single files"))
    further = {"strip": _STRIP.value}
    if archived:
        further = {"batch": _BATCH.value, "way": archive_flags.way()}
    from jgan.programs import translate
    from jgan.runs import config as run_config

    translator = translate.load(
        _WORKDIR.value,
        way=_WAY.value,
        step=run_config.parse_step(shared_flags.STEP.value),
        statistics=_STATISTICS.value,
        dropout=_DROPOUT.value,
        samples=_SAMPLES.value,
        given=control_flags.SET.value,
    )
    if archived:
        from jgan.programs import translate_archive

        write = translate_archive.translate
    else:
        write = translate.files
    write(
        translator,
        _INPUT.value,
        _OUTPUT.value,
        samples=_SAMPLES.value,
        seed=shared_flags.SEED.value,
        tile=_TILE.value,
        part=_PART.value,
        **further,
    )


if __name__ == "__main__":
    launch.run(
        main,
        required=("workdir", "input", "output"),
        runs=("workdir",),
        paths=("input",),
        patterns=("input",),
        stores=("workdir", "input", "output"),
    )
