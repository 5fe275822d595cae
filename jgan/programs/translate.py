"""A run as a function from image to image, one direction at a time.

translator = translate.load("RUN")                           # direction="BtoA" for the other way
picture = translator(photo)                                  # [h, w, c] in, same size and type out
jax.vmap(translator.translate, (None, 0, None))(translator.weights, images, key)    # pure
"""

import collections
from collections.abc import Callable
import dataclasses
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

import jgan
from jgan import output as output_lib
from jgan import trained
from jgan.data import check
from jgan.data import framing
from jgan.data import images as image_files
from jgan.data import outputs
from jgan.data import pairs
from jgan.data.sources import folder
from jgan.ops import conv
from jgan.ops import pixels
from jgan.programs import tiles
from jgan.runs import config as run_config
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
        halves: of a run trained on pairs side by side, the least and the largest aspect of their halves; else None.
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
    halves: tuple[float, float] | None = None

    @property
    def directions(self) -> tuple[str, ...]:
        """All directions of the run."""
        return tuple(self._system.translations)

    def to(self, direction: str) -> "Translator":
        """The translator of another direction of the same run; a `jgan.UserError` where it has none of that name."""
        other = _translator(self.config, self.step, self.weights, self._system, direction, self._controls)
        return dataclasses.replace(other, halves=self.halves)

    @property
    def part(self) -> str:
        """The half, A or B, of a pair side by side that is the input of this direction."""
        turned = self.config.data.kind == "aligned" and self.config.data.direction == "BtoA"
        return "AB"[("ab".index(self.translation.source) + turned) % 2]

    def __call__(self, image: np.ndarray, seed: int = 0, tile: int = 0) -> np.ndarray:
        """The translation of one picture [h, w, c] or [h, w]: same height, width and type.

        A grey picture is repeated for a net that takes colour, a transparent one is laid on white (`framing.adapt`).
        A run on made pairs (`data.pair`) makes its input from the picture first, and shows the picture a person wants
        to see. Where the run has `data.bits`, integers fill so many bits here too, in and out.

        Args:
            image: uint8, uint16 or float32 in [-1, 1].
            seed: of dropout, where the translator has it on.
            tile: pixels a side of overlapping tiles that pass one by one, normalised by the statistics of the
                whole picture; 0 for one pass. Memory then depends on the tile.

        Raises:
            jgan.UserError: the picture has channels that the net cannot take, or the tile does not fit the net.
        """
        image = np.asarray(image)
        return self.picture(image[..., None] if image.ndim == 2 else image, seed, tile).pixels

    def picture(
        self, image: image_files.Picture | np.ndarray, seed: int = 0, tile: int = 0
    ) -> image_files.Picture:
        """As the call, of a picture with its opacity, which the translation gets back where anything shone through."""
        data, way = self.config.data, self.translation
        pair = data.get("pair", "")
        if pair:
            taken = framing.adapt(
                image, 3 if pair in ("gray", "lab") else data.channels[1], framing.bits(data, way.target)
            )
            a, _ = pairs.make(pair, taken.pixels)
        else:
            taken = framing.adapt(
                image, data.channels["ab".index(way.source)], framing.bits(data, way.source)
            )
            a = taken.pixels
        made = framing.shrink(self._made(a, taken.pixels.dtype, seed, tile), framing.bits(data, way.target))
        return taken._replace(pixels=made)

    def _made(self, a: np.ndarray, dtype: np.dtype, seed: int, tile: int) -> np.ndarray:
        pair = self.config.data.get("pair", "")
        output = self._tiled(a, seed, tile) if tile else np.asarray(self.generate(a[None], seed))[0]
        if pair == "lab":
            output = pairs.show(pair, np.asarray(pixels.to_float(a)), output)
        if output.dtype == np.float32:
            return pixels.from_float(output, dtype)
        return image_files.convert(output, dtype)  # edges are 8 bit whatever the photo is

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

        def apply(images: np.ndarray) -> dict[str, jax.Array]:
            return self._jitted(self.weights, images, jax.random.key(seed), back=back)

        return padded(apply, inputs, self._system.multiple)


def padded(
    apply: Callable[[np.ndarray], dict[str, jax.Array]], inputs: np.ndarray, multiple: int
) -> dict[str, jax.Array]:
    """What `apply` makes of inputs [n, h, w, c], which it is given with sides that are multiples of `multiple`.

    Inputs are padded as a system would pad them inside, so that images of many sizes compile few programs.
    """
    _, h, w, _ = inputs.shape
    down, right = -h % multiple, -w % multiple
    top, left = down // 2, right // 2
    sides = ((0, 0), (top, down - top), (left, right - left), (0, 0))
    outputs = apply(np.pad(inputs, sides, mode="reflect"))
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
        jgan.UserError: no run, no such checkpoint or direction, unknown statistics, or dropout that the run has not.
    """
    if statistics not in ("image", "running", "batch"):
        raise jgan.UserError(f"statistics={statistics!r} is unknown: use 'image', 'running' or 'batch'.")
    config = run_config.read(workdir)
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
    made = _translator(config, loaded.step, loaded.weights, system, direction, controls)
    if dropout and not _draws(made):
        raise jgan.UserError(
            f"{workdir} has a generator without dropout, so that every sample of a picture would be the same: "
            "translate without --samples and --dropout, or train with --config.generator.dropout above 0 and a net "
            "that has a place for it."
        )
    return dataclasses.replace(made, halves=loaded.halves)


def files(
    translator: Translator,
    source: str,
    output: str,
    *,
    samples: int = 0,
    seed: int = 0,
    tile: int = 0,
    part: str = "",
) -> int:
    """The number of pictures translated from a file or folder into the folder `output`.

    Names, sizes and bit depths stay; sub-folders too. With `samples` every picture gives so many files,
    NAME_1 to NAME_N. With `tile` pictures pass in tiles of so many pixels, and those of at most eight tiles also
    whole, to say by how much the two differ. With `part` A or B the pictures are pairs side by side, and that half
    is translated; by default pairs as those the run was trained on are refused, and `whole` takes all as they are.

    Raises:
        jgan.UserError: nothing to translate, an output that would overwrite the input, or, after all the others
            are done, pictures that could not be translated.
    """
    root, found = _inputs(source, output)
    if tile:
        tiles.check(tile, radius=translator._system.radius, multiple=translator._system.multiple)
        if translator._system.radius is None:
            print(tiles.BLENDED)
    target = outputs.make(output, root, *run_config.searched(translator.config))
    bad, wide, doubtful, differences, remarks = [], [], 0, [], collections.Counter()
    for file in output_lib.progress_over(found):
        try:
            image = image_files.load(file)
            if part in ("A", "B"):
                image = folder.half(image, part, file)
            elif not part and folder.is_pair(image, translator.halves):
                wide.append(f"{file} is {image.shape[1]} x {image.shape[0]}")
                continue
            doubtful += not part and image.shape[1] == 2 * image.shape[0]
            place = target / file.relative_to(root)
            place.parent.mkdir(parents=True, exist_ok=True)
            for k in range(max(samples, 1)):
                name = place.with_stem(f"{place.stem}_{k + 1}") if samples else place
                made = translator.picture(image, seed + k, tile)
                image_files.write(name, made)
                if k == 0:
                    remarks.update(made.remarks)
                if tile and k == 0 and image.shape[0] * image.shape[1] <= _COMPARED * tile**2:
                    whole = translator.picture(image, seed)
                    differences.append(tiles.difference(made.pixels, whole.pixels))
        except jgan.UserError as error:
            bad.append(str(error))
        except OSError as error:
            bad.append(f"{error.filename} cannot be used: {error.strerror}")
    check.tell(remarks, len(found), image_files.told(image_files.others(source, output)))
    if differences:
        print(
            f"tiles differ from one pass over the whole picture (compared: {len(differences)} of at most "
            f"{_COMPARED} tiles) by {np.mean([mean for mean, _ in differences]):.2f} of 255 on average, "
            f"{max(largest for _, largest in differences):.0f} at most"
        )
    if doubtful:
        print(
            f"{doubtful} of {len(found)} pictures are twice as wide as high: of pairs side by side, "
            f"--part={translator.part} translates a half"
        )
    _refuse(bad, wide, len(found), translator.part)
    return len(found)


def _inputs(source: str, output: str) -> tuple[pathlib.Path, list[pathlib.Path]]:
    """(the folder that names are kept of, the pictures to translate)."""
    path = pathlib.Path(source)
    if not path.exists():
        raise jgan.UserError(f"--input={source} does not exist.")
    root = path.parent if path.is_file() else path
    found = [path] if path.is_file() else image_files.find(path, output)
    if not found:
        raise jgan.UserError(f"--input={image_files.none_in(source, output)}.")
    outputs.check(output, root, found)
    return root, found


def _refuse(bad: list[str], wide: list[str], count: int, part: str) -> None:
    """Says which of `count` pictures were not translated, where there are any, and what would work."""
    told = []
    if bad:
        more = "; ..." if len(bad) > 5 else ""
        told.append(f"{len(bad)} of {count} pictures were not translated: {'; '.join(bad[:5])}{more}")
    if wide:
        more = ", ..." if len(wide) > 3 else ""
        half = "left" if part == "A" else "right"
        told.append(
            f"{len(wide)} of {count} pictures were not translated, since they look like pairs side by side, which the "
            f"run was trained on ({', '.join(wide[:3])}{more}): --part={part} translates the {half} halves of all, "
            "--part=whole all as they are"
        )
    if told:
        raise jgan.UserError("; ".join(told))


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


def _draws(translator: Translator) -> bool:
    """Whether a translation depends on its key: where no random number is drawn, it cannot."""
    side, channels = translator._system.multiple, translator.config.data.channels
    count = channels["ab".index(translator.translation.source)]
    image = jax.ShapeDtypeStruct((1, side, side, count), jnp.float32)
    program = jax.make_jaxpr(translator.translate)(translator.weights, image, jax.random.key(0))
    return "random_bits" in str(program)


def _check_direction(direction: str, system: system_lib.System) -> None:
    if direction not in system.translations:
        raise jgan.UserError(
            f"direction {direction!r}: the run translates {' and '.join(system.translations)} only."
        )
