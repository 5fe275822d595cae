"""Very many pictures, translated by a run, as an archive.

run = translate.load("RUN")
translate_archive.translate(run, "photos", "OUT", way=archive.Way(share=(0, 2)))
data = np.load("OUT/shard-00000.npz")["pictures/shoe.jpg"]  # the bytes of the file
"""

from collections.abc import Callable
import hashlib
import pathlib
from typing import Any
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jgan
from jgan import sharding
from jgan.data import examples
from jgan.data import images as image_files
from jgan.data import inputs as inputs_lib
from jgan.data import outputs
from jgan.data.sources import folder as folder_source
from jgan.programs import archive
from jgan.programs import archive_files
from jgan.programs import translate as translate_lib
from jgan.programs import translator as translator_lib
from jgan.runs import config as run_config

MAX_BATCH = 4096
_PIXELS = 2**20  # that a device translates at once, where nobody says how many pictures
_PICTURES = 64  # the same of small ones


def translate(
    translator: translator_lib.Translator,
    source: str,
    output: str,
    *,
    samples: int = 0,
    seed: int = 0,
    tile: int = 0,
    part: str = "",
    batch: int = 0,
    way: archive.Way = archive.ALONE,
) -> int:
    """The number of pictures translated into the archive `output`, which is whole then.

    Below `pictures/` a shard holds the files that `translate.files` would write, under the same names. Records of
    ArrayRecord files become PNG, or TIFF where PNG cannot hold them.

    Args:
        translator: of the run.
        source: as `inputs.open` takes it.
        output: is made where it is missing.
        samples: this and what follows as in `translate.files`.
        seed: of all pictures alike.
        tile: pixels a side of tiles; such pictures are translated one by one.
        part: of pairs side by side.
        batch: pictures of one size at once; 0: about a megapixel on each device, 64 pictures at most. It is brought to
            a multiple of the devices.
        way: how the archive is worked on.

    Raises:
        jgan.UserError: nothing to translate, an output made with other settings, a control that must be set, or, after
            all the others are done, pictures that have no result.
    """
    if not 0 <= batch <= MAX_BATCH:
        raise jgan.UserError(
            f"--batch={batch}: it must be 1 or more, {MAX_BATCH} at most, or 0 for a number that fits."
        )
    translate_lib.choices(translator, samples, False)  # refuses what is not set
    if tile:
        translator.check_tile(tile)
    inputs = inputs_lib.open(source, "input", output)
    outputs.check(output, inputs.root, [])
    folder = outputs.make(output, inputs.root, *run_config.searched(translator.config))
    facts = {
        "program": "translate",
        "system": translator.config.system,
        "step": translator.step,
        "way": translator.name,
        **translator.options,
        "samples": samples,
        "seed": seed,
        "tile": tile,
        "part": part,
        "given": _digest(translator.weights["given"]),
        "weights": translator.loaded.digest,
    }
    how = (_tiles if tile else _batches)(translator, samples, seed, tile or batch)
    job = _job(translator, part, samples > 0, *how)
    return archive.make(folder, job, facts, inputs.names, inputs, way)


class _Input(NamedTuple):
    """A picture that is translated.

    Attributes:
        inputs: of the net.
        taken: the picture whose type and opacity the translation gets.
        padded: the inputs with sides that the net can take.
    """

    inputs: np.ndarray
    taken: image_files.Picture
    padded: np.ndarray


def _job(
    translator: translator_lib.Translator,
    part: str,
    numbered: bool,
    size: Callable[[Any], int],
    make: Callable[[list[str], list[_Input]], Any],
) -> archive.Job:
    multiple = translator.multiple

    def read(name: str, data: bytes) -> archive.Item:
        image = image_files.parse(data, name, arrays=True)
        if part in ("A", "B"):
            image = folder_source.half(image, part, name)
        elif not part and folder_source.is_pair(image, translator.halves):
            raise jgan.UserError(
                f"{name} is {image.shape[1]} x {image.shape[0]} and looks like a pair side by side, which the run was "
                f"trained on: --part={translator.part} would translate a half, --part=whole the picture as it is"
            )
        inputs, taken = examples.from_photo(translator.config.data, image, translator.source)
        rows, columns = translator_lib.sides(inputs.shape, multiple)
        padded = np.pad(inputs, (rows, columns, (0, 0)), mode="reflect")
        return archive.Item(_Input(inputs, taken, padded), (padded.shape, padded.dtype.str), taken.remarks)

    def finish(name: str, one: _Input, made: np.ndarray) -> dict[str, np.ndarray | bytes]:
        values = {}
        for k, image in enumerate(translator_lib.inner(made, one.inputs.shape, multiple)):
            picture = translator.shown(one.inputs, one.taken, image)
            file = pathlib.PurePosixPath(_named(name, picture))
            if numbered:
                file = file.with_stem(f"{file.stem}_{k + 1}")
            file = archive_files.place(str(file))
            values[file] = image_files.encode(file, picture)
        return values

    return archive.Job(size, read, make, finish, {"step": translator.step})


def _batches(
    translator: translator_lib.Translator, samples: int, seed: int, batch: int
) -> tuple[Callable[[Any], int], Callable[[list[str], list[_Input]], Any]]:
    """(the number of pictures of a group at once, what makes them): each by itself, divided over devices."""
    devices = jax.local_device_count()

    def every(whole: Any, images: jax.Array) -> jax.Array:
        weights, keys = whole
        of_keys = jax.vmap(translator.translate, (None, None, 0))
        return jax.vmap(of_keys, (None, 0, None))(weights, images, keys)

    keys = jnp.stack([jax.random.key(seed + k) for k in range(max(samples, 1))])
    whole, program = sharding.on_devices((translator.weights, keys)), sharding.per_device(every)

    def size(group: Any) -> int:
        (height, width, _), _ = group
        fits = max(1, min(_PICTURES, _PIXELS // (height * width * len(keys))))
        return -(-batch // devices) * devices or fits * devices

    def make(names: list[str], ones: list[_Input]) -> Any:
        # A power of two on each device: pictures of many sizes would fill whole batches with little else.
        full = devices
        while full < len(ones):
            full *= 2
        full = min(full, size((ones[0].padded.shape, None)))
        images = np.stack([one.padded for one in ones])
        return program(whole, images[np.minimum(np.arange(full), len(ones) - 1)])

    return size, make


def _tiles(
    translator: translator_lib.Translator, samples: int, seed: int, tile: int
) -> tuple[Callable[[Any], int], Callable[[list[str], list[_Input]], Any]]:
    """As `_batches`, of one picture at a time in tiles."""
    translator.hurry()

    def make(names: list[str], ones: list[_Input]) -> Any:
        (one,) = ones
        made = [translator.tiled(one.inputs, seed + k, tile) for k in range(max(samples, 1))]
        rows, columns = translator_lib.sides(one.inputs.shape, translator.multiple)
        return np.pad(np.stack(made), ((0, 0), rows, columns, (0, 0)))[None]

    return lambda group: 1, make


def _named(name: str, picture: image_files.Picture) -> str:
    """The name of a translation: that of its picture, with a suffix where that has none of a picture."""
    if name.lower().endswith(image_files.SUFFIXES):
        return name
    holds = picture.pixels.dtype != np.float32 and picture.joined().shape[-1] <= 4
    return f"{name}.{'png' if holds else 'tiff'}"


def _digest(given: dict[str, Any]) -> str:
    """What tells values of controls apart; empty where none is set."""
    digest = hashlib.sha256()
    for name, value in sorted(given.items()):
        digest.update(name.encode())
        for leaf in jax.tree.leaves(value):
            digest.update(np.ascontiguousarray(leaf))
    return digest.hexdigest()[:16] if given else ""
