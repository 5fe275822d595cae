"""A run as a function from image to image, one way at a time.

translator = translator.load("RUN")                          # way="BtoA" for another one
picture = translator(photo)                                  # [h, w, c] in, same size and type out
jax.vmap(translator.translate, (None, 0, None))(translator.weights, images, key)    # pure
"""

from collections.abc import Callable
from collections.abc import Sequence
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

import jgan
from jgan import fields
from jgan import trained
from jgan.data import examples
from jgan.data import framing
from jgan.data import images as image_files
from jgan.ops import conv
from jgan.ops import pixels
from jgan.programs import controls
from jgan.programs import tiles
from jgan.systems import system as system_lib

_STATISTICS = ("image", "running", "batch")


@dataclasses.dataclass(frozen=True)
class Translator:
    """One way of a run that starts from a picture, ready to translate.

    Attributes:
        config: the run's config.
        step: the training step its weights are from.
        name: of the way, such as `AtoB`.
        way: what the system declares of it.
        weights: the pytree `translate` takes; under `given` what is set of the way's controls.
        translate: `(weights, images [n, h, w, c] or [h, w, c], key) -> images` in [-1, 1]; pure, for the caller's
            own `jit`, `vmap` or `jax.export`. `key` draws dropout and codes that are not set, and is ignored without.
        options: what normalises (`statistics`) and whether `dropout` is on.
        halves: of a run trained on pairs side by side, the least and the largest aspect of their halves; else None.
    """

    config: ml_collections.ConfigDict
    step: int
    name: str
    way: system_lib.Way
    weights: dict[str, Any]
    translate: Callable[..., jax.Array]
    _jitted: Callable[..., dict[str, jax.Array]] = dataclasses.field(repr=False)
    _gather: Callable[..., Any] = dataclasses.field(repr=False)
    _frozen: Callable[..., jax.Array] = dataclasses.field(repr=False)
    _system: system_lib.System = dataclasses.field(repr=False)
    options: dict[str, Any] = dataclasses.field(repr=False)
    halves: tuple[float, float] | None = None

    @property
    def ways(self) -> tuple[str, ...]:
        """All ways of the run that start from a picture."""
        return tuple(ways(self._system))

    @property
    def source(self) -> str:
        """The field of a batch that the way starts from."""
        return self.way.inputs[0]

    @property
    def channels(self) -> int:
        """Of the picture that the way starts from."""
        return fields.of(self.config.data)[self.source].channels

    @property
    def multiple(self) -> int:
        """Sides of pictures are brought to multiples of this many pixels."""
        return self.way.tiling.multiple if self.way.tiling else 1

    def to(self, way: str) -> "Translator":
        """The translator of another way of the same run; a `jgan.UserError` where it has none of that name."""
        other = _translator(self.config, self.step, self.weights, self._system, way, self.options)
        return dataclasses.replace(other, halves=self.halves)

    def set(self, values: dict[str, Any]) -> "Translator":
        """The translator under these values of the way's controls ({name: value of one picture})."""
        return dataclasses.replace(self, weights={**self.weights, "given": values})

    @property
    def loaded(self) -> trained.Run:
        """The run as it was read, with nothing set."""
        weights = {**self.weights, "given": {}}
        return trained.Run(self.config, self.step, self._system, weights, self.halves)

    @property
    def part(self) -> str:
        """The half, A or B, of a pair side by side that is the input of this way."""
        turned = self.config.data.kind == "aligned" and self.config.data.direction == "BtoA"
        return "AB"[("ab".index(self.source) + turned) % 2] if self.source in "ab" else ""

    def __call__(self, image: np.ndarray, seed: int = 0, tile: int = 0) -> np.ndarray:
        """The translation of one picture [h, w, c] or [h, w]: same height, width and type.

        A grey picture is repeated for a net that takes colour, a transparent one is laid on white (`framing.adapt`).
        A run on made pairs (`data.pair`) makes its input from the picture first, and shows the picture a person wants
        to see. Where the run has `data.bits`, integers fill so many bits here too, in and out.

        Args:
            image: uint8, uint16 or float32 in [-1, 1].
            seed: of dropout, where the translator has it on, and of codes that are not set.
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
        inputs, taken = examples.from_photo(self.config.data, image, self.source)
        made = self.tiled(inputs, seed, tile) if tile else np.asarray(self.generate(inputs[None], seed))[0]
        return self.shown(inputs, taken, made)

    def shown(self, inputs: np.ndarray, taken: image_files.Picture, made: np.ndarray) -> image_files.Picture:
        """The translation as a picture of the type that was `taken`, of the net's output.

        Args:
            inputs: as `examples.from_photo` makes them of a picture.
            taken: the picture, as it gives it too.
            made: [h, w, c] in [-1, 1], what the net makes of the inputs.
        """
        data = self.config.data
        made = examples.shown(data, {self.source: inputs}, made)
        if made.dtype == np.float32:
            made = pixels.from_float(made, taken.pixels.dtype)
        else:
            made = image_files.convert(made, taken.pixels.dtype)  # edges are 8 bit whatever the photo is
        target = self.way.target or self.source
        return taken._replace(pixels=framing.shrink(made, framing.bits(data, target)))

    def check_tile(self, tile: int) -> None:
        """Refuses a tile that the way cannot take with a `jgan.UserError`."""
        if self.way.tiling is None:
            raise jgan.UserError(f"tile={tile}: {self.name} takes pictures whole only.")
        tiles.check(tile, radius=self.way.tiling.radius, multiple=self.multiple)

    def tiled(self, image: np.ndarray, seed: int, tile: int) -> np.ndarray:
        """The net's output [h, w, c] in [-1, 1] of its input [h, w, c], by tiles."""
        self.check_tile(tile)
        geometry = {"tile": tile, "multiple": self.multiple}
        weights = self.weights
        if self.options["statistics"] != "running":
            weights = self._gather(weights, tiles.parts(image, **geometry))
        key = jax.random.key(seed)

        def apply(pixels: np.ndarray) -> np.ndarray:
            return np.asarray(self._frozen(weights, pixels[None], key))[0]

        return tiles.translate(apply, image, radius=self.way.tiling.radius, **geometry)

    def hurry(self) -> None:
        """Takes fast programs from now on, so that a translation does not depend on how many came before it."""
        for program in (self._jitted, self._gather, self._frozen):
            program.hurry()

    def generate(self, inputs: np.ndarray, seed: int = 0) -> jax.Array:
        """The net's output [n, h, w, c] in [-1, 1] of its inputs [n, h, w, c] of any pixel type."""
        return self.run(inputs, seed, back=False)[self.way.returns[0]]

    def run(
        self, inputs: np.ndarray, seed: int = 0, back: bool = True, given: dict[str, Any] | None = None
    ) -> dict[str, jax.Array]:
        """As `generate`: {name: images}, the output and, with `back`, all else that the way returns.

        `given` are controls with a leading axis over the images, in the place of those in the weights.
        """

        def apply(images: np.ndarray) -> dict[str, jax.Array]:
            return self._jitted(self.weights, images, jax.random.key(seed), given or {}, back=back)

        return padded(apply, inputs, self.multiple)


def padded(
    apply: Callable[[np.ndarray], dict[str, jax.Array]], inputs: np.ndarray, multiple: int
) -> dict[str, jax.Array]:
    """What `apply` makes of inputs [n, h, w, c], which it is given with sides that are multiples of `multiple`.

    Inputs are padded as a system would pad them inside, so that images of many sizes compile few programs.
    """
    rows, columns = sides(inputs.shape[1:], multiple)
    outputs = apply(np.pad(inputs, ((0, 0), rows, columns, (0, 0)), mode="reflect"))
    return {name: inner(x, inputs.shape[1:], multiple) for name, x in outputs.items()}


def sides(shape: tuple[int, ...], multiple: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """((above, below), (left, right)): what pictures of shape (h, w, c) lack to have sides that are multiples."""
    down, right = -shape[0] % multiple, -shape[1] % multiple
    return (down // 2, down - down // 2), (right // 2, right - right // 2)


def inner(padded: Any, shape: tuple[int, ...], multiple: int) -> Any:
    """The pictures [..., h, w, c] of this shape within those that got `sides`."""
    (top, _), (left, _) = sides(shape, multiple)
    return padded[..., top : top + shape[0], left : left + shape[1], :]


def load(
    workdir: str,
    *,
    way: str = "",
    step: int | str = "latest",
    statistics: str = "",
    dropout: bool | None = None,
    samples: int = 0,
    given: Sequence[str] = (),
) -> Translator:
    """The translator of the run in `workdir`; only weights are read.

    Args:
        workdir: the directory of a training run.
        way: such as `AtoB` or `BtoA`; by default the first of the run.
        step: a step with a checkpoint, `latest` or `best`.
        statistics: what normalises: each `image` by itself, however many share a batch, or the `running`
            statistics of training, or the whole `batch`; empty: as the run says (`Run.inference`), or `image`.
        dropout: keep dropout on: the noise z of pix2pix, drawn anew by every seed; None: as the run says, or off.
        samples: of each picture that are wanted: above 0 the way's code draws them, or else dropout.
        given: `NAME=VALUE` of the way's controls, as --set has it.

    Raises:
        jgan.UserError: no run, no such checkpoint, way or control, unknown statistics, or dropout that the run has not.
    """
    loaded = trained.load(workdir, step)
    statistics = statistics or loaded.inference.get("statistics", "image")
    if statistics not in _STATISTICS:
        raise jgan.UserError(f"statistics={statistics!r} is unknown: use one of {', '.join(_STATISTICS)}.")
    dropout = bool(loaded.inference.get("dropout", False)) if dropout is None else dropout
    config, system = loaded.config, loaded.system
    if not ways(system):
        raise jgan.UserError(
            f"{workdir} is a run of {config.system}, which makes pictures from codes and translates none: "
            "launch.sample draws from it."
        )
    way = way or next(iter(ways(system)))
    _check_way(way, system)
    asked = fields.parse(dict(system.ways[way].controls), list(given))
    codes = [name for name, field in system.ways[way].controls.items() if isinstance(field, fields.Code)]
    dropout = dropout or (samples > 0 and not set(codes) - set(asked))
    options = {"statistics": statistics, "dropout": dropout}
    made = _translator(config, loaded.step, loaded.weights, system, way, options)
    made = made.set(controls.values(loaded, made.way, asked))
    if dropout and not _draws(made):
        if samples and set(codes) & set(asked):
            raise jgan.UserError(
                f"--set={codes[0]}=... fixes the code, so that all of --samples={samples} would be the same: leave out "
                "one of the two."
            )
        trained_with = ", or train with --config.generator.dropout above 0 and a net that has a place for it"
        raise jgan.UserError(
            f"{workdir} has a generator without dropout, so that every sample of a picture would be the same: "
            f"translate without --samples and --dropout{trained_with * ('dropout' in config.generator)}."
        )
    return dataclasses.replace(made, halves=loaded.halves)


def _translator(
    config: ml_collections.ConfigDict,
    step: int,
    weights: dict[str, Any],
    system: system_lib.System,
    name: str,
    options: dict[str, Any],
) -> Translator:
    _check_way(name, system)
    way = system.ways[name]
    source, output = way.inputs[0], way.returns[0]

    def inputs(weights: dict[str, Any], images: jax.Array, given: dict[str, Any]) -> dict[str, Any]:
        return {source: images} | controls.repeated(weights["given"], images.shape[0]) | given

    def run(
        weights: dict[str, Any], images: jax.Array, key: jax.Array, given: dict[str, Any], back: bool
    ) -> dict[str, jax.Array]:
        outputs = way.run(weights, inputs(weights, images, given), key, **options)
        return {name: outputs[name] for name in (way.returns if back else (output,))}

    def translate(weights: dict[str, Any], images: jax.Array, key: jax.Array) -> jax.Array:
        one = images.ndim == 3
        made = run(weights, images[None] if one else images, key, {}, back=False)[output]
        return made[0] if one else made

    def gather(weights: dict[str, Any], images: jax.Array) -> dict[str, Any]:
        return way.tiling.gather(weights, inputs(weights, images, {}))

    def frozen(weights: dict[str, Any], images: jax.Array, key: jax.Array) -> jax.Array:
        return way.run(weights, inputs(weights, images, {}), key, **{**options, "statistics": "running"})[
            output
        ]

    return Translator(
        config,
        step,
        name,
        way,
        weights,
        translate,
        conv.Frugal(run, static_argnames="back"),
        conv.Frugal(gather),
        conv.Frugal(frozen),
        system,
        options,
    )


def _draws(translator: Translator) -> bool:
    """Whether a translation depends on its key: where no random number is drawn, it cannot."""
    side = translator.multiple
    image = jax.ShapeDtypeStruct((1, side, side, translator.channels), jnp.float32)
    program = jax.make_jaxpr(translator.translate)(translator.weights, image, jax.random.key(0))
    return "random_bits" in str(program)


def ways(system: system_lib.System) -> dict[str, system_lib.Way]:
    """The ways that start from a picture."""
    return {name: way for name, way in system.ways.items() if way.inputs}


def _check_way(name: str, system: system_lib.System) -> None:
    if name not in ways(system):
        raise jgan.UserError(f"way {name!r}: the run has {' and '.join(ways(system))} only.")
