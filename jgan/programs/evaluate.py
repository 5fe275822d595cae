"""Scores of a run: of what it translates, and of what its predictor of codes gives back."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import itertools
import sys
from typing import Any
from typing import NamedTuple

import ml_collections
import numpy as np

import jgan
from jgan import fields
from jgan import sharding
from jgan import trained
from jgan.data import images as image_files
from jgan.data import pipeline
from jgan.metrics import images as image_metrics
from jgan.metrics import scores as score_lib
from jgan.metrics import segmentation
from jgan.programs import judge as judge_lib
from jgan.programs import passes
from jgan.systems import system as system_lib

# Of what a judge finds: {score: of a confusion matrix}.
JUDGED = {
    "pixel_accuracy": segmentation.pixel_accuracy,
    "class_accuracy": segmentation.class_accuracy,
    "iou": segmentation.mean_iou,
}
_DRAWS = 10  # codes by which the diversity of an input's outputs is measured


class Scored(NamedTuple):
    """What is known of one example after it has passed a way.

    Attributes:
        values: {score: number}, whose mean over examples is the score of a set.
        counts: {prefix: pixels [class of the target, class of the output]}, whose sum over examples gives the scores
            PREFIXpixel_accuracy, PREFIXclass_accuracy and PREFIXmean_iou of a set.
        example: as the data have it.
        output: the way's first picture [h, w, c] in [-1, 1].
    """

    values: dict[str, float]
    counts: dict[str, np.ndarray]
    example: dict[str, Any]
    output: np.ndarray


def scores(
    run: passes.Run,
    examples: Iterable[dict[str, Any]],
    way: system_lib.Way,
    names: Sequence[str],
    *,
    predict: Callable[[np.ndarray, dict[str, Any]], dict[str, Any]] | None = None,
    palette: dict[str, Sequence[int]] | None = None,
    judge: judge_lib.Judge | None = None,
    lpips: passes.Distance | None = None,
    batch_size: int = 1,
    share: tuple[int, int] = (0, 1),
) -> dict[str, Any]:
    """{name: score} of what a way makes of examples, means over images, and "examples", how many there were.

    l1 is the mean absolute error of the output on [-1, 1], psnr in dB, ssim the index of Wang et al. (2004); cycle is
    the l1 between an image and what comes back of it; reconstruction the l1 under the code that is predicted from the
    target; diversity the mean l1 between the outputs of one input under ten codes. A way without inputs is
    scored by what goes to its code and back. With a palette both pictures are mapped to the nearest palette colour and
    one confusion matrix over all images gives "pixel_accuracy", "class_accuracy", "mean_iou" and "iou" by class. With a
    judge inputs are label maps, and what it finds in outputs gives "fcn_pixel_accuracy", "fcn_class_accuracy" and
    "fcn_iou", and in targets the same under "fcn_real_".

    Args:
        run: `(inputs, given, seed=0) -> {name: images in [-1, 1]}` of images [n, h, w, c] of any pixel type, of a way
            without inputs of those that go to their codes and back, and {control: values [n, ...]}; the seed draws
            what is not given.
        examples: dicts of images [h, w, c]; those without what the way starts from are passed over.
        way: of the system.
        names: out of `metrics.scores.of`.
        predict: (images [n, h, w, c] in [-1, 1], {input: images}) -> {control: codes}, where it is asked for.
        palette: {class: [red, green, blue]} in 0..255.
        judge: of photos that are made of label maps.
        lpips: `(images, images) -> [n]`, which adds "lpips" where there is "l1", and "diversity_lpips" where there is
            "diversity".
        batch_size: how many images of one size pass at once.
        share: (k, n) of processes that share the examples: this is number k of n. What each finds is added up.
    """
    sums, count = dict.fromkeys(names, 0.0), 0
    confusion = segmentation.Confusion(palette) if palette and "l1" in names else None
    judged: dict[str, Any] = {}
    for one in each(
        run,
        examples,
        way,
        names,
        predict=predict,
        palette=palette,
        judge=judge,
        lpips=lpips,
        batch_size=batch_size,
        share=share,
    ):
        for name, value in one.values.items():
            sums[name] = sums.get(name, 0.0) + value
        for prefix, matrix in one.counts.items():
            if prefix:
                judged[prefix] = judged.get(prefix, 0) + matrix
            else:
                confusion.matrix += matrix
        count += 1
    if share[1] > 1:
        own = {"": confusion.matrix} if confusion else {}
        parts = [sums, {"examples": count}, own | judged]
        sums, counted, judged = map(sharding.total, parts)
        count = int(counted["examples"])
        if confusion:
            confusion.matrix = judged.pop("")
    result: dict[str, Any] = {name: float(value) / max(count, 1) for name, value in sums.items()}
    result["examples"] = count
    if confusion:
        result |= confusion.scores()
    for prefix, matrix in judged.items():
        result |= {prefix + name: float(score(matrix)) for name, score in JUDGED.items()}
    return result


def each(
    run: passes.Run,
    examples: Iterable[dict[str, Any]],
    way: system_lib.Way,
    names: Sequence[str],
    *,
    predict: Callable[[np.ndarray, dict[str, Any]], dict[str, Any]] | None = None,
    palette: dict[str, Sequence[int]] | None = None,
    judge: judge_lib.Judge | None = None,
    lpips: passes.Distance | None = None,
    batch_size: int = 1,
    share: tuple[int, int] = (0, 1),
) -> Iterator[Scored]:
    """Yields what `scores` adds up, one example after the other; its arguments are the same."""
    paired = [name for name in ("l1", "psnr", "ssim") if name in names]
    start = way.inputs[0] if way.inputs else way.target
    for _, group in passes.groups(way, examples, batch_size, share):
        # A last, smaller batch is filled up, so that it compiles nothing new.
        filled = group + [group[-1]] * (batch_size - len(group))
        inputs = np.stack([example[start] for example, _ in filled])
        given = {name: np.stack([values[name] for _, values in filled]) for name in filled[0][1]}
        made = passes.arrays(run(inputs, given))
        extra = _extra(run, predict, way, names, filled, inputs, given, lpips)
        for k, (example, _) in enumerate(group):
            values: dict[str, float] = {}
            counts: dict[str, np.ndarray] = {}
            output = made[way.returns[0]][k]
            if "cycle" in names:
                source = np.asarray(image_files.convert(example[start], np.float32))
                values["cycle"] = float(image_metrics.l1(made["back"][k], source))
            values |= {name: float(found[k]) for name, found in extra.items()}
            if paired:
                target = np.asarray(image_files.convert(example[way.target], np.float32))
                try:
                    for name in paired:
                        values[name] = float(getattr(image_metrics, name)(output, target))
                except jgan.UserError as error:
                    raise jgan.UserError(f"{example.get('name', 'an example')}: {error}") from None
                if lpips:
                    values["lpips"] = float(lpips(output[None], target[None])[0])
                if palette:
                    counts[""] = segmentation.counts(output, target, palette)
            if judge:
                shown = [output[None]]
                if way.target in example:
                    shown.append(np.asarray(image_files.convert(example[way.target], np.float32))[None])
                for prefix, photo in zip(("fcn_", "fcn_real_"), shown, strict=False):
                    counts[prefix] = judge.counts(photo, example[start][None])[0]
            yield Scored(values, counts, example, output)


def _extra(
    run: passes.Run,
    predict: Any,
    way: system_lib.Way,
    names: Sequence[str],
    group: list[Any],
    inputs: np.ndarray,
    given: dict[str, Any],
    lpips: passes.Distance | None,
) -> dict[str, np.ndarray]:
    """{score: [n]} of those that need passes of their own."""
    values = {}
    if "reconstruction" in names:
        targets = [image_files.convert(example[way.target], np.float32) for example, _ in group]
        codes = predict(np.stack(targets), {way.inputs[0]: inputs})
        output = passes.arrays(run(inputs, given | codes))[way.returns[0]]
        values["reconstruction"] = np.array(
            [image_metrics.l1(a, b) for a, b in zip(output, targets, strict=True)]
        )
    if "diversity" in names:
        outputs = [passes.arrays(run(inputs, given, seed))[way.returns[0]] for seed in range(_DRAWS)]
        both = [np.mean(np.abs(a - b), (1, 2, 3)) for a, b in itertools.combinations(outputs, 2)]
        values["diversity"] = np.mean(both, 0)
        if lpips:
            both = [lpips(a, b) for a, b in itertools.combinations(outputs, 2)]
            values["diversity_lpips"] = np.mean(both, 0)
    return values


def evaluate(run: trained.Run, name: str = "", **options: Any) -> dict[str, Any]:
    """The `scores` of a way of a run on a split of its own data, or on other data of the same kind.

    Args:
        run: as `trained.load` gives it.
        name: of the way; the default one where it is empty.
        **options: those of `each_of`.

    Raises:
        jgan.UserError: data or palette that cannot be used, or a way that has no scores.
    """
    known = arguments(run, name, **options)
    return scores(**known) if known["names"] or known["palette"] or known["judge"] else {}


def each_of(run: trained.Run, name: str = "", **options: Any) -> Iterator[Scored]:
    """As `evaluate`, one example after the other.

    Args:
        run: as `trained.load` gives it.
        name: of the way; the default one where it is empty.
        **options: data: another root folder; split: another than the run's validation split; size: pictures are resized
            to size x size, while by default they are taken as in the run's validation; palette: a JSON file of
            {class: [red, green, blue]}: targets are classes then, and resized as such (a segmenter has its own); judge:
            of photos that are made of label maps: inputs are classes then; batch_size: how many images of one size
            pass at once; statistics: what normalises, as in `translator.load`, and empty as the run says, or what its
            step asks for; dropout: keep it on, and None as the run says, or off; seed: of dropout and of codes; lpips
            and share: as in `scores`; required: whether a way without scores is a mistake.

    Raises:
        jgan.UserError: as in `evaluate`.
    """
    return each(**arguments(run, name, **options))


def arguments(
    run: trained.Run,
    name: str,
    *,
    data: str = "",
    split: str = "",
    size: int | None = None,
    palette: str = "",
    judge: judge_lib.Judge | None = None,
    lpips: passes.Distance | None = None,
    batch_size: int = 1,
    statistics: str = "",
    dropout: bool | None = None,
    seed: int = 0,
    share: tuple[int, int] = (0, 1),
    required: bool = True,
) -> dict[str, Any]:
    """Those of `scores` and `each`, of the options of `each_of`; without `required` there need be no scores."""
    way = run.way(name)
    config = ml_collections.ConfigDict(run.config.data.to_dict())
    _check(run, way, size, palette)
    if judge:
        judge.check(way, fields.of(run.config.data))
    if data:
        config.source, config.root = "folder", data
    colours = segmentation.load_palette(palette) if palette else _own_palette(run)
    plain = {way.target} if colours else {way.inputs[0]} if judge else set()
    if plain and not config.get("pair", ""):
        config.labels = "".join(sorted({*config.get("labels", ""), *plain}))
    examples = pipeline.evaluation(config, split or config.val_split, size)
    for note in [*examples.notes, *(f"left out: {path} ({reason})" for path, reason in examples.bad)]:
        print(note, file=sys.stderr, flush=True)
    if colours and not examples.paired:
        raise jgan.UserError(f"--palette={palette} compares pairs, and these data have none.")
    names = score_lib.of(way, paired=examples.paired, predicts=run.system.spaces and run.predicts)
    if not names and not colours and not judge and required:
        raise jgan.UserError(
            f"a run of {run.config.system} has no score on these data: l1, psnr and ssim compare pairs, cycle needs "
            "a picture that comes back. launch.translate and launch.sample show what it makes."
        )
    statistics = statistics or run.inference.get("statistics") or run.system.statistics(run.step)
    dropout = bool(run.inference.get("dropout")) if dropout is None else dropout
    drops = dropout and way.inputs and run.config.get("generator", {}).get("dropout", 0)
    if drops and "diversity" not in names:
        names = (*names, "diversity")
    return {
        "run": passes.runner(run, way, statistics, dropout, seed),
        "examples": examples,
        "way": way,
        "names": names,
        "predict": passes.predictor(run),
        "palette": colours,
        "judge": judge,
        "lpips": lpips,
        "batch_size": batch_size,
        "share": share,
    }


def _own_palette(run: trained.Run) -> Mapping[str, Sequence[int]] | None:
    """The classes that a segmenter tells apart, or that were named at an import; None without."""
    if "palette" not in run.config:
        return run.palette
    return dict(zip(map(str, run.config.palette.names), run.config.palette.colours, strict=True))


def _check(run: trained.Run, way: system_lib.Way, size: int | None, palette: str) -> None:
    """Refuses what a way without inputs has not with a `jgan.UserError`."""
    if way.inputs:
        return
    if palette:
        raise jgan.UserError(f"--palette={palette}: a run of {run.config.system} translates no pictures.")
    if not run.predicts:
        learnt = run.codes.learnt
        reason = (
            "has none"
            if run.codes.predict is None
            else f"learns it from step {learnt} on, this is step {run.step}"
        )
        remedy = "train with --config.predictor.steps above 0"
        if "predictor" not in run.config:
            remedy = "its system has no predictor to train, and launch.sample shows what the run makes"
        raise jgan.UserError(
            f"a run of {run.config.system} is scored by what its predictor of codes gives back, and this one {reason}: "
            f"{remedy}."
        )
    if size not in (None, run.config.data.size):
        raise jgan.UserError(f"--size={size}: the run's predictor sees {run.config.data.size} pixels a side.")
