"""A trained run as a function from image to image, and its scores.

translator = evaluate.load_translator("RUN")                  # direction="BtoA" for the other way
picture = translator(photo)                                  # [h, w, c] in, same size and type out
jax.vmap(translator.translate, (None, 0, None))(translator.weights, images, key)    # pure
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import os
import pathlib
from typing import Any
from typing import NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

import jgan
from jgan import checkpoint
from jgan import report
from jgan import run
from jgan import tiles
from jgan.data import images as image_files
from jgan.data import pairs
from jgan.data import pipeline
from jgan.metrics import images as image_metrics
from jgan.metrics import segmentation
from jgan.ops import pixels
from jgan.systems import SYSTEMS
from jgan.systems import system as system_lib

# Which way a validation score gets better.
_BETTER = {"l1": "min", "psnr": "max", "ssim": "max", "cycle": "min"}
# Pictures of so many tiles pass whole as well, to tell what tiling changes. Statistics are exact up to half of that.
_COMPARED = 8


@dataclasses.dataclass(frozen=True)
class Translator:
    """One direction of a run, ready to translate.

    Attributes:
        config: the run's config.
        step: the training step its weights are from.
        direction: `AtoB` or `BtoA`.
        translation: what the system calls the input and the output of this direction.
        weights: the pytree `translate` takes.
        translate: `(weights, images [n, h, w, c] or [h, w, c], key) -> images` in [-1, 1]; pure, for the caller's
            own `jit`, `vmap` or `jax.export`. `key` draws dropout and is ignored without it.
    """

    config: ml_collections.ConfigDict
    step: int
    direction: str
    translation: system_lib.Translation
    weights: dict[str, Any]
    translate: Callable[..., jax.Array]
    _jitted: Callable[..., dict[str, jax.Array]] = dataclasses.field(repr=False)
    _gather: Callable[..., Any] = dataclasses.field(repr=False)
    _frozen: Callable[..., jax.Array] = dataclasses.field(repr=False)
    _system: system_lib.System = dataclasses.field(repr=False)
    _controls: dict[str, Any] = dataclasses.field(repr=False)

    @property
    def directions(self) -> tuple[str, ...]:
        """All directions of the run."""
        return tuple(self._system.translations)

    def to(self, direction: str) -> "Translator":
        """The translator of another direction of the same run; a `jgan.UserError` where it has none of that name."""
        return _translator(self.config, self.step, self.weights, self._system, direction, self._controls)

    def __call__(self, image: np.ndarray, seed: int = 0, tile: int = 0) -> np.ndarray:
        """The translation of one picture [h, w, c] or [h, w]: same height, width and type.

        A grey picture is repeated for a net that takes colour, an opacity channel is left out. A run on made
        pairs (`data.pair`) makes its input from the picture first, and shows the picture a person wants to see.

        Args:
            image: uint8, uint16 or float32 in [-1, 1].
            seed: of dropout, where the translator has it on.
            tile: pixels a side of overlapping tiles that pass one by one, normalised by the statistics of the
                whole picture; 0 for one pass. Memory then depends on the tile.

        Raises:
            jgan.UserError: the picture has channels that the net cannot take, or the tile does not fit the net.
        """
        image = np.asarray(image)
        image = image[..., None] if image.ndim == 2 else image
        pair, channels = self.config.data.get("pair", ""), self.config.data.channels
        if pair:
            photo = with_channels(image, 3 if pair in ("gray", "lab") else channels[1])
            a, _ = pairs.make(pair, photo)
        else:
            a = with_channels(image, channels["ab".index(self.translation.source)])
        output = self._tiled(a, seed, tile) if tile else np.asarray(self.generate(a[None], seed))[0]
        if pair == "lab":
            output = pairs.show(pair, np.asarray(pixels.to_float(a)), output)
        if output.dtype == np.float32:
            return np.asarray(pixels.from_float(output, image.dtype))
        return image_files.convert(output, image.dtype)  # edges are 8 bit whatever the photo is

    def _tiled(self, image: np.ndarray, seed: int, tile: int) -> np.ndarray:
        geometry = {"tile": tile, "multiple": self._system.multiple}
        tiles.check(tile, radius=self._system.radius, multiple=self._system.multiple)
        weights = self.weights
        if self._controls["statistics"] != "running":
            weights = self._gather(weights, tiles.parts(image, **geometry))
        key = jax.random.key(seed)

        def apply(pixels: np.ndarray) -> np.ndarray:
            return np.asarray(self._frozen(weights, pixels[None], key))[0]

        return tiles.translate(apply, image, radius=self._system.radius, **geometry)

    def generate(self, inputs: np.ndarray, seed: int = 0) -> jax.Array:
        """The net's output [n, h, w, c] in [-1, 1] of its inputs [n, h, w, c] of any pixel type."""
        return self.run(inputs, seed, back=False)[self.translation.output]

    def run(self, inputs: np.ndarray, seed: int = 0, back: bool = True) -> dict[str, jax.Array]:
        """As `generate`: {name: images}, the translation and, where the system has one, the way back."""
        # Padded here as the system would pad it inside: a folder of photos of many sizes compiles few programs.
        _, h, w, _ = inputs.shape
        down, right = -h % self._system.multiple, -w % self._system.multiple
        top, left = down // 2, right // 2
        sides = ((0, 0), (top, down - top), (left, right - left), (0, 0))
        padded = np.pad(inputs, sides, mode="reflect")
        outputs = self._jitted(self.weights, padded, jax.random.key(seed), back=back)
        return {name: x[:, top : top + h, left : left + w] for name, x in outputs.items()}


def load_translator(
    workdir: str,
    *,
    direction: str = "",
    step: int | str = "latest",
    statistics: str = "image",
    dropout: bool = False,
) -> Translator:
    """The translator of the run in `workdir`; only weights are read.

    Args:
        workdir: the directory of a training run.
        direction: `AtoB` or `BtoA`; by default the one the run was trained for, and `AtoB` of two.
        step: a step with a checkpoint, `latest` or `best`.
        statistics: what normalises: each `image` by itself, however many share a batch, or the `running`
            statistics of training, or the whole `batch`.
        dropout: keep dropout on: the noise z of pix2pix, drawn anew by every seed.

    Raises:
        jgan.UserError: no run, no such checkpoint or direction, or unknown statistics.
    """
    if statistics not in ("image", "running", "batch"):
        raise jgan.UserError(f"statistics={statistics!r} is unknown: use 'image', 'running' or 'batch'.")
    config = run.read(workdir)
    system = SYSTEMS[config.system](config)
    if not system.translations:
        raise jgan.UserError(
            f"{workdir} is a run of {config.system}, which makes pictures from codes and translates none: "
            "launch.sample draws from it."
        )
    direction = direction or next(iter(system.translations))
    _check_direction(direction, system)
    loaded = load_run(workdir, step)
    controls = {"statistics": statistics, "dropout": dropout}
    return _translator(config, loaded.step, loaded.weights, system, direction, controls)


class Run(NamedTuple):
    """A run of any system, for what is made of it: the step its weights are from, and weights as in `State.weights`."""

    config: ml_collections.ConfigDict
    step: int
    system: system_lib.System
    weights: dict[str, Any]


def load_run(workdir: str, step: int | str = "latest", *, latent: bool = False) -> Run:
    """The run in `workdir`; only weights are read.

    Args:
        workdir: the directory of a training run.
        step: a step with a checkpoint, `latest` or `best`.
        latent: whether it must have a latent space, so that `run.system.space(run.weights, None)` is one.

    Raises:
        jgan.UserError: no run, no such checkpoint, or a run without a latent space.
    """
    config = run.read(workdir)
    system = SYSTEMS[config.system](config)
    if latent and system.translations:
        raise jgan.UserError(
            f"{workdir} is a run of {config.system}, which translates pictures and has no codes to draw: a run of "
            "gan or dcgan would work."
        )
    with checkpoint.Checkpoints(
        os.path.join(workdir, "checkpoints"),
        keep=config.keep,
        best=best_policy(config.best, system),
        read_only=True,
    ) as checkpoints:
        found = {"latest": checkpoints.latest, "best": checkpoints.best}.get(step, step)
        if found not in checkpoints.steps:
            raise jgan.UserError(
                f"{workdir} has no checkpoint {step!r}: it has {checkpoints.steps or 'none yet'}."
            )
        params, stats = restore_weights(checkpoints, int(found), config, system)
    return Run(config, int(found), system, {"params": params, "stats": stats, "frozen": {}})


def _translator(
    config: ml_collections.ConfigDict,
    step: int,
    weights: dict[str, Any],
    system: system_lib.System,
    direction: str,
    controls: dict[str, Any],
) -> Translator:
    _check_direction(direction, system)
    way = system.translations[direction]

    def run(weights: dict[str, Any], images: jax.Array, key: jax.Array, back: bool) -> dict[str, jax.Array]:
        outputs = system.apply(weights, {way.source: images}, key, **controls)
        return {name: outputs[name] for name in (way.output, way.back if back else "") if name}

    def translate(weights: dict[str, Any], images: jax.Array, key: jax.Array) -> jax.Array:
        one = images.ndim == 3
        output = run(weights, images[None] if one else images, key, back=False)[way.output]
        return output[0] if one else output

    def gather(weights: dict[str, Any], images: jax.Array) -> dict[str, Any]:
        return system.gather(weights, {way.source: images})

    def frozen(weights: dict[str, Any], images: jax.Array, key: jax.Array) -> jax.Array:
        outputs = system.apply(weights, {way.source: images}, key, **{**controls, "statistics": "running"})
        return outputs[way.output]

    return Translator(
        config,
        step,
        direction,
        way,
        weights,
        translate,
        jax.jit(run, static_argnames="back"),
        jax.jit(gather),
        jax.jit(frozen),
        system,
        controls,
    )


def _check_direction(direction: str, system: system_lib.System) -> None:
    if direction not in system.translations:
        raise jgan.UserError(
            f"direction {direction!r}: the run translates {' and '.join(system.translations)} only."
        )


def restore_weights(
    checkpoints: checkpoint.Checkpoints, step: int, config: ml_collections.ConfigDict, system: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(parameters, with averages in their place where the run has them, and statistics) at `step`, by net."""
    abstract = jax.eval_shape(system.init, jax.random.key(0), batch_shape(config))
    fields = {"params": abstract.params, "stats": abstract.stats, "ema": abstract.ema}
    fields = {name: tree for name, tree in fields.items() if jax.tree.leaves(tree)}
    loaded = checkpoints.restore_weights(step, fields)
    return {**loaded["params"], **loaded.get("ema", {})}, loaded.get("stats", abstract.stats)


def batch_shape(config: ml_collections.ConfigDict) -> dict[str, jax.ShapeDtypeStruct]:
    """The shapes of one training batch of the run, as a `System.init` needs them."""
    n, size = config.batch_size, config.data.size
    names = ("images",) if config.data.kind == "images" else ("a", "b")
    return {
        name: jax.ShapeDtypeStruct((n, size, size, channels), jnp.float32)
        for name, channels in zip(names, config.data.channels, strict=True)
    }


def best_policy(best: str, system: system_lib.System) -> tuple[str, str] | None:
    """(metric, "min" or "max") of `config.best`, None for an empty one."""
    if not best:
        return None
    if not system.translations:
        if best == "l1" and system.predict is not None:
            return best, _BETTER[best]
        raise jgan.UserError(
            f"best={best!r}: a run that makes pictures from codes is scored by 'l1' where it learns to predict "
            "codes, and by nothing (an empty best) elsewhere."
        )
    prefixes = [f"{name}_" for name in system.translations] if len(system.translations) > 1 else [""]
    back = any(way.back for way in system.translations.values())
    known = {
        p + name: better for p in prefixes for name, better in _BETTER.items() if back or name != "cycle"
    }
    if best not in known:
        raise jgan.UserError(f"best={best!r} is unknown: use one of {', '.join(known)}, or nothing.")
    return best, known[best]


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
                for name in ("l1", "psnr", "ssim"):
                    sums[name] += float(getattr(image_metrics, name)(output, target))
                if confusion:
                    confusion.add(output, target)
            count += 1
    result: dict[str, Any] = {name: value / max(count, 1) for name, value in sums.items()}
    result["examples"] = count
    if confusion:
        result |= confusion.scores()
    return result


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


def evaluate(
    translator: Translator,
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
        palette: JSON file of {class: [red, green, blue]}.
        batch_size: how many images of one size pass at once.
        seed: of dropout, where the translator has it on.

    Raises:
        jgan.UserError: data or palette that cannot be used.
    """
    config = ml_collections.ConfigDict(translator.config.data.to_dict())
    if data:
        config.source, config.root = "folder", data
    examples = pipeline.evaluation(config, split or config.val_split, size)
    colours = segmentation.load_palette(palette) if palette else None
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
    run: Run, *, data: str = "", split: str = "", size: int | None = None, batch_size: int = 1
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

    made = jax.jit(back)
    return scores(
        lambda images: {"images": made(run.weights, images)},
        pipeline.evaluation(config, split or config.val_split),
        system_lib.Translation("images", "images", "images"),
        batch_size=batch_size,
    )


def translate_files(
    translator: Translator, source: str, output: str, *, samples: int = 0, seed: int = 0, tile: int = 0
) -> int:
    """The number of pictures translated from a file or folder into the folder `output`.

    Names, sizes and bit depths stay; sub-folders too. With `samples` every picture gives so many files,
    NAME_1 to NAME_N. With `tile` pictures pass in tiles of so many pixels, and those of at most eight tiles also
    whole, to say by how much the two differ.

    Raises:
        jgan.UserError: nothing to translate, an output that would overwrite the input, or, after all the others
            are done, pictures that could not be translated.
    """
    source_path, target = pathlib.Path(source), pathlib.Path(output)
    if not source_path.exists():
        raise jgan.UserError(f"--input={source} does not exist.")
    root = source_path.parent if source_path.is_file() else source_path
    files = [source_path] if source_path.is_file() else image_files.find(source_path)
    if not files:
        raise jgan.UserError(f"--input={source} holds no images ({' '.join(image_files.SUFFIXES)}).")
    if target.resolve() == root.resolve():
        raise jgan.UserError(f"--output={output} is where the input lies: name another folder.")
    if target.exists() and not target.is_dir():
        raise jgan.UserError(f"--output={output} is a file: name a folder.")
    if tile:
        tiles.check(tile, radius=translator._system.radius, multiple=translator._system.multiple)
        if translator._system.radius is None:
            print(tiles.BLENDED)
    bad, differences = [], []
    for file in report.progress_over(files):
        try:
            image = image_files.read(file)
            place = target / file.relative_to(root)
            place.parent.mkdir(parents=True, exist_ok=True)
            for k in range(max(samples, 1)):
                name = place.with_stem(f"{place.stem}_{k + 1}") if samples else place
                made = translator(image, seed + k, tile)
                image_files.write(name, made)
                if tile and k == 0 and image.shape[0] * image.shape[1] <= _COMPARED * tile**2:
                    differences.append(tiles.difference(made, translator(image, seed)))
        except jgan.UserError as error:
            bad.append(str(error))
    if differences:
        print(
            f"tiles differ from one pass over the whole picture (compared: {len(differences)} of at most "
            f"{_COMPARED} tiles) by {np.mean([mean for mean, _ in differences]):.2f} of 255 on average, "
            f"{max(largest for _, largest in differences):.0f} at most"
        )
    if bad:
        raise jgan.UserError(
            f"{len(bad)} of {len(files)} pictures were not translated: {'; '.join(bad[:5])}"
            + ("; ..." if len(bad) > 5 else "")
        )
    return len(files)


def parse_step(text: str) -> int | str:
    """The checkpoint a flag names: `latest`, `best` or a step."""
    if text in ("latest", "best"):
        return text
    try:
        return int(text)
    except ValueError:
        raise jgan.UserError(f"--step={text}: use latest, best or a number.") from None


def with_channels(image: np.ndarray, channels: int) -> np.ndarray:
    """The picture with as many channels as the net takes, where there is one way to do it."""
    have = image.shape[-1]
    if have == channels:
        return image
    if have in (2, 4) and have - 1 in (1, channels):
        return with_channels(image[..., :-1], channels)
    if have == 1:
        return np.repeat(image, channels, -1)
    raise jgan.UserError(f"the picture has {have} channels and the run takes {channels}.")
