"""Draws from a run as files: pictures one by one, in a grid or as arrays, and walks from code to code."""

from collections.abc import Callable
from collections.abc import Sequence
import io
from typing import Any

import jax
import numpy as np

import jgan
from jgan import fields
from jgan import output as output_lib
from jgan import paths
from jgan import pictures
from jgan import sharding
from jgan import trained
from jgan.data import images as image_files
from jgan.data import outputs
from jgan.latent import codec
from jgan.ops import pixels
from jgan.programs import archive_files
from jgan.programs import controls
from jgan.programs import draws
from jgan.runs import config as run_config

MAX_NUMBER = 1_000_000  # of pictures in one call
MAX_STATIONS = 1_000  # of a walk, which is one film


def write(
    run: trained.Run,
    output: str,
    *,
    number: int = 64,
    seed: int = 0,
    form: str = "files",
    stations: int = 0,
    given: Sequence[str] = (),
) -> None:
    """Writes pictures that a run draws into the folder `output`.

    Args:
        run: as `jgan.trained.load` gives it, with a latent space and a way from codes alone.
        output: is made where it is missing.
        number: how many pictures.
        seed: of their codes, and of the classes and attributes that are not set.
        form: `files` (0000.png, ...), `grid` (grid.png) or `npz` (samples.npz: images uint8 [n, h, w, c], codes by the
            name of their space, classes and attributes by theirs, and whose codes they are).
        stations: instead, a closed walk through so many codes: walk.webp, and walk.png with a row from each to the
            next.
        given: `NAME=VALUE` of the way's controls, as --set has it.

    Raises:
        jgan.UserError: a number that gives nothing, a control that there is not, or a folder that cannot be written.
    """
    check(run, number)
    if stations and not 2 <= stations <= MAX_STATIONS:
        raise jgan.UserError(f"--walk={stations}: a walk needs 2 codes or more, and at most {MAX_STATIONS}.")
    way = run.way()
    asked = fields.parse(controls.settable(way), list(given))  # codes are what is drawn here
    told = controls.told(way, controls.as_json(way, asked))
    archive_files.refuse(paths.of(output))
    folder = outputs.make(output, *run_config.searched(run.config))
    space = run.space()
    made = generator(run)

    def generate(codes: Any) -> jax.Array:
        return made(run.weights, *sharding.over_devices(codes))

    if stations:
        fixed = {**controls.drawn(way, 1, seed), **controls.repeated(asked, 1)}

        def station(codes: Any) -> jax.Array:
            n = len(jax.tree.leaves(codes)[0])
            return generate((codes, {name: np.repeat(x, n, 0) for name, x in fixed.items()}))

        images = draws.walk(space, station, seed, stations)
        pictures.film(folder / "walk.webp", images, seconds=stations)
        rows = [list(images[k : k + draws.BETWEEN : 2]) for k in range(0, len(images), draws.BETWEEN)]
        title = f"a closed walk through {stations} codes, one at the start of each row: step {run.step:,}, seed {seed}"
        titles = [title, *[""] * (len(rows[0]) - 1)]
        image_files.write(folder / "walk.png", pictures.grid(rows, titles, caption=told))
        return
    latents = draws.codes(space, seed, number)
    conditions = {**controls.drawn(way, number, seed), **jax.device_get(controls.repeated(asked, number))}
    images = draws.draw(generate, (latents, conditions))
    if form == "grid":
        title = f"{number} of step {run.step:,}, seed {seed}"
        image_files.write(folder / "grid.png", pictures.mosaic(images, title, caption=told))
    elif form == "npz":
        named = codec.arrays(space.name, latents)
        buffer = io.BytesIO()
        np.savez(buffer, images=_bytes(images), **named, **conditions, generator=np.array(run.digest))
        output_lib.replace(folder / "samples.npz", buffer.getvalue())
    else:
        digits = max(4, len(str(number - 1)))
        for k, image in enumerate(images):
            image_files.write(folder / f"{k:0{digits}d}.png", _bytes(image))


def check(run: trained.Run, number: int) -> None:
    """Refuses a number of pictures that gives nothing, and a run that draws none, with a `jgan.UserError`."""
    if not 1 <= number <= MAX_NUMBER:
        raise jgan.UserError(f"--number={number}: 1 to {MAX_NUMBER:,} would work.")
    if run.way().inputs:
        raise jgan.UserError(
            f"a run of {run.config.system} makes pictures of pictures: launch.translate --samples=8 draws from it."
        )


def generator(run: trained.Run) -> Callable[..., jax.Array]:
    """`(weights, latents [n, ...], {control: values [n, ...]}) -> images [n, h, w, c]` of a run's space, compiled.

    Weights are an argument, not constants of the program.
    """
    return jax.jit(
        lambda weights, z, given: jax.vmap(lambda z, given: run.codes.space(weights, given).generate(z))(
            z, given
        )
    )


def _bytes(images: np.ndarray) -> np.ndarray:
    return np.asarray(pixels.from_float(images, np.uint8))
