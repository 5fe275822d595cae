"""Scores a run: python -m launch.evaluate --workdir=RUN [--data=DIR] [--split=val]

The last line of standard output is one JSON object. A run that makes pictures from codes is scored by what its
predictor, where it has one, finds of pictures and the generator gives back. A run that translates both ways has scores
for each, under "AtoB" and "BtoA", unless --direction names one.
"""

import json

from absl import flags

import jgan
import launch

_WORKDIR = flags.DEFINE_string("workdir", "", "directory of the run")
_DATA = flags.DEFINE_string("data", "", "folder of other data; by default the run's own data")
_SPLIT = flags.DEFINE_string("split", "", "by default the run's validation split")
_DIRECTION = flags.DEFINE_string("direction", "", "AtoB or BtoA; by default all the run has")
_SIZE = flags.DEFINE_integer("size", None, "resize pictures to this many pixels a side", lower_bound=1)
_PALETTE = flags.DEFINE_string("palette", "", "JSON file of class colours, for segmentation scores")
_STEP = flags.DEFINE_string("step", "latest", "checkpoint: latest, best or a number")
_STATISTICS = flags.DEFINE_enum(
    "statistics",
    "image",
    ["image", "running", "batch"],
    "what normalises: each image, or training's averages",
)
_DROPOUT = flags.DEFINE_bool("dropout", False, "keep dropout on")
_BATCH = flags.DEFINE_integer("batch", 1, "images that pass at once", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "of dropout")


def main() -> None:
    from jgan import trained
    from jgan.programs import evaluate
    from jgan.programs import translate
    from jgan.runs import config as run_config
    from jgan.systems import SYSTEMS

    step = run_config.parse_step(_STEP.value)
    config = run_config.read(_WORKDIR.value)
    if not SYSTEMS[config.system](config).translations:
        for flag in (_DIRECTION, _PALETTE):
            if flag.value:
                raise jgan.UserError(
                    f"--{flag.name}={flag.value}: a run of {config.system} translates no pictures."
                )
        loaded = trained.load(_WORKDIR.value, step, latent=True)
        found = evaluate.evaluate_predictor(
            loaded,
            data=_DATA.value,
            split=_SPLIT.value,
            size=_SIZE.value,
            batch_size=_BATCH.value,
        )
        print(json.dumps({"step": loaded.step, **found}))
        return
    translator = translate.load(
        _WORKDIR.value,
        direction=_DIRECTION.value,
        step=step,
        statistics=_STATISTICS.value,
        dropout=_DROPOUT.value,
    )
    directions = (_DIRECTION.value,) if _DIRECTION.value else translator.directions
    if _PALETTE.value and len(directions) > 1:
        raise jgan.UserError(
            f"--palette={_PALETTE.value}: the run translates both ways, and class colours belong to one; add "
            f"--direction={' or --direction='.join(directions)}."
        )
    scores = {
        direction: evaluate.evaluate_translator(
            translator.to(direction),
            data=_DATA.value,
            split=_SPLIT.value,
            size=_SIZE.value,
            palette=_PALETTE.value,
            batch_size=_BATCH.value,
            seed=_SEED.value,
        )
        for direction in directions
    }
    print(json.dumps({"step": translator.step, **(scores if len(scores) > 1 else scores[directions[0]])}))


if __name__ == "__main__":
    launch.run(main, required=("workdir",), runs=("workdir",), paths=("data", "palette"))
