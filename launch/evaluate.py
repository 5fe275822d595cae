"""Scores a run: python -m launch.evaluate --workdir=RUN [--data=DIR] [--split=val]

The last line of standard output is one JSON object. A run that makes pictures from codes and has a predictor is scored
by the reconstructions that its generator makes from predicted codes. A run that translates both ways has scores for
each, under "AtoB" and "BtoA", unless --way names one.

    --set_scores            what is made, all together, beside real pictures: classifier_fd and others of a small
                            classifier that is trained on the data
    --inception=FILE.pth    the same by Inception-v3: fid, kid, precision and recall
    --features=vgg16.pth --lpips=vgg.pth    LPIPS of pairs, diversity by LPIPS, and ppl of generators with styles

docs/scores.md has the protocol of each.
"""

import json

from absl import flags

import jgan
import launch
from launch import feature_flags
from launch import process_flags
from launch import set_flags
from launch import shared_flags

_WORKDIR = flags.DEFINE_string("workdir", "", "directory of the run")
_DATA = flags.DEFINE_string("data", "", "folder of other data; by default the run's own data")
_SPLIT = flags.DEFINE_string("split", "", "by default the run's validation split")
_WAY = flags.DEFINE_string("way", "", "such as AtoB or BtoA; by default all that the run has")
_SIZE = flags.DEFINE_integer("size", None, "resize pictures to this many pixels a side", lower_bound=1)
_PALETTE = flags.DEFINE_string("palette", "", "JSON file of class colours, for segmentation scores")
_SEGMENTER = flags.DEFINE_string(
    "segmenter",
    "",
    "a run of configs/segmenter.py, which judges photos that are made of label maps (FCN score)",
)
_STATISTICS = flags.DEFINE_enum(
    "statistics",
    "",
    ["", "image", "running", "batch"],
    "what normalises: each image, or training's averages; empty: as the run's own validation",
)
_DROPOUT = flags.DEFINE_bool(
    "dropout", None, "keep dropout on; by default off, or what was said at an import"
)
_BATCH = flags.DEFINE_integer("batch", 1, "images that pass at once", lower_bound=1)
flags.adopt_module_key_flags(feature_flags)
flags.adopt_module_key_flags(process_flags)
flags.adopt_module_key_flags(set_flags)
flags.adopt_module_key_flags(shared_flags)


def main() -> None:
    set_flags.check(bool(feature_flags.LPIPS.value))
    launch.goes_with((feature_flags.FEATURES, bool(feature_flags.LPIPS.value), "--lpips"))
    feature_flags.check()
    process_flags.check(apart=False)
    process_flags.connect()
    from jgan import trained
    from jgan.programs import scoring
    from jgan.runs import config as run_config

    run = trained.load(_WORKDIR.value, run_config.parse_step(shared_flags.STEP.value))
    ways = (_WAY.value,) if _WAY.value else tuple(run.system.ways)
    for flag in (_PALETTE, _SEGMENTER):
        if flag.value and len(ways) > 1:
            raise jgan.UserError(
                f"--{flag.name}={flag.value}: the run has several ways, and class colours belong to one; add "
                f"--way={' or --way='.join(ways)}."
            )
    if _SEGMENTER.value:
        from jgan.programs import judge as judge_lib

        judge = judge_lib.Judge(_SEGMENTER.value)
    else:
        judge = None
    scores = scoring.scores(
        run,
        ways,
        sets=set_flags.wanted(),
        inception=set_flags.INCEPTION.value,
        resize=set_flags.RESIZE.value,
        classifier=set_flags.CLASSIFIER.value,
        number=set_flags.NUMBER.value,
        features=feature_flags.features(run),
        palette=_PALETTE.value,
        judge=judge,
        data=_DATA.value,
        split=_SPLIT.value,
        size=_SIZE.value,
        batch_size=_BATCH.value,
        statistics=_STATISTICS.value,
        dropout=_DROPOUT.value,
        seed=shared_flags.SEED.value,
    )
    if scoring.speaks():
        print(json.dumps({"step": run.step, **(scores if len(scores) > 1 else scores[ways[0]])}))


if __name__ == "__main__":
    launch.run(
        main,
        required=("workdir",),
        runs=("workdir", "segmenter"),
        paths=("data", "palette"),
        stores=("workdir", "data", "palette", "segmenter"),
    )
