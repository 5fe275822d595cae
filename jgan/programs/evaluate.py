"""Scores of a run: of what it translates, and of what its predictor of codes gives back."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import sys
from typing import Any

import jax
import ml_collections
import numpy as np

import jgan
from jgan import trained
from jgan.data import images as image_files
from jgan.data import pipeline
from jgan.metrics import images as image_metrics
from jgan.metrics import segmentation
from jgan.ops import conv
from jgan.programs import translate
from jgan.systems import system as system_lib


def scores(
    run: Callable[[np.ndarray], dict[str, jax.Array]],
    examples: Iterable[dict[str, Any]],
    way: system_lib.Translation,
    *,
    paired: bool = True,
    palette: dict[str, Sequence[int]] | None = None,
    batch_size: int = 1,
) -> dict[str, Any]:
    """{"l1", "psnr", "ssim"} of outputs against targets, "cycle" of the way back, "examples"; means over images.

    l1 is the mean absolute error on [-1, 1], psnr in dB, ssim the index of Wang et al. (2004); cycle is the l1
    between an image and its reconstruction. With a palette both pictures are mapped to the nearest palette colour
    and one confusion matrix over all images gives "pixel_accuracy", "class_accuracy", "mean_iou" and "iou" by
    class. What needs targets or a way back is left out where there are none.

    Args:
        run: inputs [n, h, w, c] of any pixel type -> {name: images in [-1, 1]}.
        examples: dicts of images [h, w, c]; those without the source of `way` are passed over.
        way: names of source, output, target and reconstruction.
        paired: whether an example's source and target belong together.
        palette: {class: [red, green, blue]} in 0..255.
        batch_size: how many images of one size pass at once.
    """
    sums, count = {"l1": 0.0, "psnr": 0.0, "ssim": 0.0} if paired else {}, 0
    sums |= {"cycle": 0.0} if way.back else {}
    confusion = segmentation.Confusion(palette) if palette and paired else None
    examples = (example for example in examples if way.source in example)
    for group in _batches(examples, way.source, batch_size):
        stacked = np.stack([example[way.source] for example in group])
        # A last, smaller batch is filled up, so that it compiles nothing new.
        missing = batch_size - len(group)
        padded = np.concatenate([stacked, np.repeat(stacked[-1:], missing, 0)])
        made = {name: np.asarray(images) for name, images in run(padded).items()}
        for k, example in enumerate(group):
            if way.back:
                source = np.asarray(image_files.convert(example[way.source], np.float32))
                sums["cycle"] += float(image_metrics.l1(made[way.back][k], source))
            if paired:
                output = made[way.output][k]
                target = np.asarray(image_files.convert(example[way.target], np.float32))
                try:
                    for name in ("l1", "psnr", "ssim"):
                        sums[name] += float(getattr(image_metrics, name)(output, target))
                except jgan.UserError as error:
                    raise jgan.UserError(f"{example.get('name', 'an example')}: {error}") from None
                if confusion:
                    confusion.add(output, target)
            count += 1
    result: dict[str, Any] = {name: value / max(count, 1) for name, value in sums.items()}
    result["examples"] = count
    if confusion:
        result |= confusion.scores()
    return result


def evaluate_translator(
    translator: translate.Translator,
    *,
    data: str = "",
    split: str = "",
    size: int | None = None,
    palette: str = "",
    batch_size: int = 1,
    seed: int = 0,
) -> dict[str, Any]:
    """The `scores` of a translator on a split of its run's own data, or on other data of the same kind.

    Args:
        translator: of one direction of the run.
        data: another root folder.
        split: another split than the run's validation split.
        size: pictures are resized to size x size; by default they are taken as in the run's validation.
        palette: JSON file of {class: [red, green, blue]}; targets are classes then, and resized as such.
        batch_size: how many images of one size pass at once.
        seed: of dropout, where the translator has it on.

    Raises:
        jgan.UserError: data or palette that cannot be used.
    """
    config = ml_collections.ConfigDict(translator.config.data.to_dict())
    if data:
        config.source, config.root = "folder", data
    colours = segmentation.load_palette(palette) if palette else None
    if colours:
        labels = {*config.get("labels", ""), translator.translation.target}
        config.labels = "".join(sorted(labels)) if not config.get("pair", "") else ""
    examples = pipeline.evaluation(config, split or config.val_split, size)
    _tell(examples)
    if colours and not examples.paired:
        raise jgan.UserError(f"--palette={palette} compares pairs, and these data have none.")
    return scores(
        lambda inputs: translator.run(inputs, seed),
        examples,
        translator.translation,
        paired=examples.paired,
        palette=colours,
        batch_size=batch_size,
    )


def evaluate_predictor(
    run: trained.Run, *, data: str = "", split: str = "", size: int | None = None, batch_size: int = 1
) -> dict[str, Any]:
    """The `scores` of images that went to their codes by the run's predictor, and back by its generator.

    Args:
        run: with a latent space.
        data: another folder of images.
        split: another split than the run's validation split.
        size: only the run's own would do.
        batch_size: how many images pass at once.

    Raises:
        jgan.UserError: the run has no predictor that was trained, or data that cannot be used.
    """
    system, config = run.system, ml_collections.ConfigDict(run.config.data.to_dict())
    begins = system.phases.get("predictor", range(0)).start
    if system.predict is None or run.step <= begins:
        reason = (
            "has none"
            if system.predict is None
            else f"learns it from step {begins} on, this is step {run.step}"
        )
        raise jgan.UserError(
            f"a run of {run.config.system} is scored by what its predictor of codes gives back, and this one {reason}: "
            "train with --config.predictor.steps above 0."
        )
    if size not in (None, config.size):
        raise jgan.UserError(f"--size={size}: the run's predictor sees {config.size} pixels a side.")
    if data:
        config.source, config.root = "folder", data

    def back(weights: dict[str, Any], images: jax.Array) -> jax.Array:
        codes = system.predict(weights, images)
        return jax.vmap(system.space(weights, None).generate)(codes)

    made = conv.Frugal(back)
    examples = pipeline.evaluation(config, split or config.val_split)
    _tell(examples)
    return scores(
        lambda images: {"images": made(run.weights, images)},
        examples,
        system_lib.Translation("images", "images", "images"),
        batch_size=batch_size,
    )


def _tell(examples: Any) -> None:
    for note in [*examples.notes, *(f"left out: {path} ({reason})" for path, reason in examples.bad)]:
        print(note, file=sys.stderr, flush=True)


def _batches(examples: Iterable[dict[str, Any]], source: str, size: int) -> Iterator[list[dict[str, Any]]]:
    """Runs of at most `size` neighbours whose sources have one shape."""
    group: list[dict[str, Any]] = []
    for example in examples:
        if group and (len(group) == size or group[0][source].shape != example[source].shape):
            yield group
            group = []
        group.append(example)
    if group:
        yield group
