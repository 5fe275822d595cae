"""Makes a table of a sweep: python -m launch.report --workdir=DIR [--segmenter=RUN] [--set_scores]

All finished runs are scored on the validation split. DIR/report.md and DIR/report.csv hold the table, and
DIR/report.html the same with curves and what all variants make of the same inputs.

    --palette=FILE.json     accuracies and the IoU of each class, of label maps
    --set_scores            what is made, all together, beside real pictures: the scores of runs that draw from codes
    --inception=FILE.pth    the same by Inception-v3: fid, kid, precision and recall
    --features=vgg16.pth --lpips=vgg.pth    LPIPS of pairs, and ppl of generators with styles

docs/scores.md has the protocol of each.
"""

from absl import flags

import launch
from launch import feature_flags
from launch import set_flags

_WORKDIR = flags.DEFINE_string("workdir", "", "directory of a sweep, or of runs in VARIANT/seedN")
_SEGMENTER = flags.DEFINE_string(
    "segmenter",
    "",
    "a run of configs/segmenter.py, which judges photos that are made of label maps (FCN score)",
)
_PALETTE = flags.DEFINE_string("palette", "", "JSON file of class colours, for segmentation scores")
_WAY = flags.DEFINE_string("way", "", "such as AtoB or BtoA; by default the first that the runs have")
_REFERENCE = flags.DEFINE_string("reference", "", "the variant that others are compared with")
_SPLIT = flags.DEFINE_string(
    "split", "", "by default the runs' validation split; training's for --set_scores of draws"
)
flags.adopt_module_key_flags(feature_flags)
flags.adopt_module_key_flags(set_flags)


def main() -> None:
    set_flags.check(bool(feature_flags.LPIPS.value))
    launch.goes_with((feature_flags.FEATURES, bool(feature_flags.LPIPS.value), "--lpips"))
    feature_flags.check()
    from jgan.programs import report

    text = report.report(
        _WORKDIR.value,
        segmenter=_SEGMENTER.value,
        palette=_PALETTE.value,
        way=_WAY.value,
        reference=_REFERENCE.value,
        split=_SPLIT.value,
        sets=set_flags.wanted(),
        inception=set_flags.INCEPTION.value,
        resize=set_flags.RESIZE.value,
        classifier=set_flags.CLASSIFIER.value,
        number=set_flags.NUMBER.value,
        features=feature_flags.features if feature_flags.LPIPS.value else None,
    )
    print(text, end="")


if __name__ == "__main__":
    launch.run(
        main,
        required=("workdir",),
        runs=("segmenter",),
        paths=("workdir", "palette"),
        stores=("workdir", "segmenter", "palette"),
    )
