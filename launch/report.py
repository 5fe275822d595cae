"""Makes a table of a sweep: python -m launch.report --workdir=DIR [--segmenter=RUN]

All finished runs are scored on the validation split. DIR/report.md and DIR/report.csv hold the table, and
DIR/report.html the same with what all variants make of the same inputs.
"""

from absl import flags

import launch

_WORKDIR = flags.DEFINE_string("workdir", "", "directory of a sweep, or of runs in VARIANT/seedN")
_SEGMENTER = flags.DEFINE_string(
    "segmenter",
    "",
    "a run of configs/segmenter.py, which judges photos that are made of label maps (FCN score)",
)
_PALETTE = flags.DEFINE_string("palette", "", "JSON file of class colours, for segmentation scores")
_WAY = flags.DEFINE_string("way", "", "such as AtoB or BtoA; by default the first that the runs have")
_REFERENCE = flags.DEFINE_string("reference", "", "the variant that others are compared with")
_SPLIT = flags.DEFINE_string("split", "", "by default the runs' validation split")


def main() -> None:
    from jgan.programs import report

    text = report.report(
        _WORKDIR.value,
        segmenter=_SEGMENTER.value,
        palette=_PALETTE.value,
        way=_WAY.value,
        reference=_REFERENCE.value,
        split=_SPLIT.value,
    )
    print(text, end="")


if __name__ == "__main__":
    launch.run(main, required=("workdir",), runs=("segmenter",), paths=("workdir", "palette"))
