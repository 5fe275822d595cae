"""A run as a function from image to image, one direction at a time.

translator = translate.load("RUN")                           # direction="BtoA" for the other way
picture = translator(photo)                                  # [h, w, c] in, same size and type out
jax.vmap(translator.translate, (None, 0, None))(translator.weights, images, key)    # pure
"""

from collections.abc import Callable
import dataclasses
import pathlib
from typing import Any

import jax
import ml_collections
import numpy as np

import jgan
from jgan import report
from jgan import run
from jgan import tiles
from jgan import trained
from jgan.data import framing
from jgan.data import images as image_files
from jgan.data import pairs
from jgan.ops import conv
from jgan.ops import pixels
from jgan.systems import SYSTEMS
from jgan.systems import system as system_lib

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
            photo = framing.with_channels(image, 3 if pair in ("gray", "lab") else channels[1])
            a, _ = pairs.make(pair, photo)
        else:
            a = framing.with_channels(image, channels["ab".index(self.translation.source)])
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


def load(
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
    loaded = trained.load(workdir, step)
    controls = {"statistics": statistics, "dropout": dropout}
    return _translator(config, loaded.step, loaded.weights, system, direction, controls)


def files(
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
    found = [source_path] if source_path.is_file() else image_files.find(source_path)
    if not found:
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
    for file in report.progress_over(found):
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
            f"{len(bad)} of {len(found)} pictures were not translated: {'; '.join(bad[:5])}"
            + ("; ..." if len(bad) > 5 else "")
        )
    return len(found)


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
        conv.Frugal(run, static_argnames="back"),
        conv.Frugal(gather),
        conv.Frugal(frozen),
        system,
        controls,
    )


def _check_direction(direction: str, system: system_lib.System) -> None:
    if direction not in system.translations:
        raise jgan.UserError(
            f"direction {direction!r}: the run translates {' and '.join(system.translations)} only."
        )
