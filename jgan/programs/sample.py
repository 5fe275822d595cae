"""Pictures out of a latent space: fixed codes, interpolations, walks, and images by way of their codes.

Everything here is drawn in batches of one size and is the same on all processes; who calls writes it.
"""

from collections.abc import Callable
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jgan
from jgan import pictures as pictures_lib
from jgan import space as spaces
from jgan.data import images as image_files
from jgan.data import outputs
from jgan.metrics import images as image_metrics
from jgan.ops import pixels
from jgan.runs import config as run_config
from jgan.systems import system as system_lib

BATCH = 64  # images that are generated together
_PAIRS, _STEPS = 6, 8  # rows and columns of a picture of interpolations
_STATIONS, _BETWEEN = 8, 16  # codes of a walk, and images from one to the next
_EXAMPLES = 24  # images that are shown beside what their codes give


def codes(space: spaces.Space, seed: int, number: int) -> Any:
    """Codes [number, ...] drawn from the prior; the first ones are the same for every number."""

    @jax.jit  # one program instead of several, which compile one after another
    def drawn(base: jax.Array) -> Any:
        keys = jax.vmap(lambda k: jax.random.fold_in(base, k))(jnp.arange(number))
        return jax.vmap(space.sample)(keys)

    return drawn(jax.random.key(seed))


def draw(generate: Callable[[Any], jax.Array], codes: Any) -> np.ndarray:
    """The images [n, h, w, c] of codes [n, ...], `BATCH` at a time, so that one program serves all numbers."""
    number = jax.tree.leaves(codes)[0].shape[0]
    parts = []
    for start in range(0, number, BATCH):
        places = np.minimum(np.arange(start, start + BATCH), number - 1)  # the last one fills up
        part = jax.tree.map(lambda x, places=places: x[places], codes)
        parts.append(np.asarray(generate(part))[: number - start])
    return np.concatenate(parts)


def between(space: spaces.Space, a: Any, b: Any, t: jax.Array) -> Any:
    """The code at t in [0, 1] on the way from a to b: along the sphere, and within the space's bounds.

    White (2016), "Sampling Generative Networks": codes of many numbers all have about the same length, and those on
    the straight line are shorter than any that was trained on.
    """

    def one(a: jax.Array, b: jax.Array) -> jax.Array:
        cosine = jnp.vdot(a, b) / jnp.maximum(jnp.linalg.norm(a) * jnp.linalg.norm(b), 1e-12)
        angle = jnp.arccos(jnp.clip(cosine, -1, 1))
        sine = jnp.sin(angle)
        # Where both point the same way, or opposite ways, there is no arc.
        straight = sine < 1e-4
        safe = jnp.where(straight, 1.0, sine)
        arc = (jnp.sin((1 - t) * angle) * a + jnp.sin(t * angle) * b) / safe
        return jnp.where(straight, (1 - t) * a + t * b, arc)

    return space.bound(space.free(jax.tree.map(one, a, b)))


def interpolations(space: spaces.Space, generate: Callable[[Any], jax.Array], seed: int) -> list[list[Any]]:
    """Rows of images, each from one code to another."""
    ends = codes(space, seed, 2 * _PAIRS)
    a, b = (jax.tree.map(lambda x, k=k: x[k::2], ends) for k in (0, 1))
    times = jnp.linspace(0, 1, _STEPS)
    steps = jax.vmap(lambda a, b: jax.vmap(lambda t: between(space, a, b, t))(times))(a, b)
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), steps)
    images = draw(generate, flat)
    return [list(images[k : k + _STEPS]) for k in range(0, len(images), _STEPS)]


def walk(
    space: spaces.Space,
    generate: Callable[[Any], jax.Array],
    seed: int,
    stations: int = _STATIONS,
    between_stations: int = _BETWEEN,
) -> np.ndarray:
    """The images [n, h, w, c] of a closed walk from code to code, which can be shown again and again."""
    here = codes(space, seed, stations)
    there = jax.tree.map(lambda x: jnp.roll(x, -1, 0), here)
    times = jnp.arange(between_stations) / between_stations
    steps = jax.vmap(lambda a, b: jax.vmap(lambda t: between(space, a, b, t))(times))(here, there)
    return draw(generate, jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), steps))


def write(
    run: Any, output: str, *, number: int = 64, seed: int = 0, form: str = "files", stations: int = 0
) -> None:
    """Writes pictures that a run draws into the folder `output`.

    Args:
        run: as `jgan.trained.load` gives it, with a latent space.
        output: is made where it is missing.
        number: how many pictures.
        seed: of their codes.
        form: `files` (0000.png, ...), `grid` (grid.png) or `npz` (samples.npz: images uint8 [n, h, w, c], codes by the
            name of their space).
        stations: instead, a closed walk through so many codes: walk.webp, and walk.png with a row from each to the
            next.

    Raises:
        jgan.UserError: a number that gives nothing, or a folder that cannot be written.
    """
    if number < 1:
        raise jgan.UserError(f"--number={number}: 1 or more would work.")
    if stations and stations < 2:
        raise jgan.UserError(f"--walk={stations}: a walk needs 2 codes or more.")
    folder = outputs.make(output, *run_config.searched(run.config))
    space = run.system.space(run.weights, None)
    # Weights are an argument, not constants of the program.
    made = jax.jit(lambda weights, z: jax.vmap(run.system.space(weights, None).generate)(z))

    def generate(codes: Any) -> jax.Array:
        return made(run.weights, codes)

    if stations:
        images = walk(space, generate, seed, stations)
        pictures_lib.film(folder / "walk.webp", images, seconds=stations)
        rows = [list(images[k : k + _BETWEEN : 2]) for k in range(0, len(images), _BETWEEN)]
        image_files.write(folder / "walk.png", pictures_lib.grid(rows, [""] * len(rows[0])))
        return
    latents = codes(space, seed, number)
    images = draw(generate, latents)
    if form == "grid":
        title = f"{number} of step {run.step:,}, seed {seed}"
        image_files.write(folder / "grid.png", pictures_lib.mosaic(images, title))
    elif form == "npz":
        leaves = jax.tree.leaves(latents)
        named = {space.name if len(leaves) == 1 else f"{space.name}_{k}": x for k, x in enumerate(leaves)}
        np.savez(folder / "samples.npz", images=_bytes(images), **named)
    else:
        digits = max(4, len(str(number - 1)))
        for k, image in enumerate(images):
            image_files.write(folder / f"{k:0{digits}d}.png", _bytes(image))


def _bytes(images: np.ndarray) -> np.ndarray:
    return np.asarray(pixels.from_float(images, np.uint8))


class Previews:
    """What a run with a latent space shows while it trains."""

    def __init__(
        self,
        config: Any,
        system: system_lib.System,
        apply: Callable[..., dict[str, jax.Array]],
        predict: Callable[..., Any] | None,
    ):
        """Of a run's config and system, with `System.apply` and `System.predict` as the caller compiled them."""
        self._config, self._system, self._apply, self._predict = config, system, apply, predict

    def predicts(self, step: int) -> bool:
        """Whether after so many steps codes of images have begun to be learnt."""
        phase = self._system.phases.get("predictor", range(0))
        return self._predict is not None and step > phase.start

    def score(self, weights: dict[str, Any], examples: Iterable[dict[str, Any]]) -> float:
        """The mean absolute error, on [-1, 1], of images that went to their codes and back."""
        images, made = self._reconstruct(weights, examples)
        return float(np.mean([image_metrics.l1(y, x) for x, y in zip(images, made, strict=True)]))

    def pictures(
        self, weights: dict[str, Any], step: int, examples: Callable[[], Any]
    ) -> dict[str, np.ndarray]:
        """{"": a grid}, and at the end of the run {file name: a picture, or the images of an animation} besides.

        The grid shows what became of the same codes, or images of the data beside what their codes give.

        Args:
            weights: as in `State.weights`.
            step: steps taken so far.
            examples: gives the examples to show, where they are needed.
        """
        space = self._system.space(weights, None)
        # Before the statistics for inference are taken only those of a batch fit averaged weights.
        later = self._system.phases.get("statistics")
        statistics = "batch" if later and step <= later.start else "running"

        def generate(codes: Any) -> jax.Array:
            return self._apply(weights, {space.name: codes}, statistics=statistics)["images"]

        if self.predicts(step):
            found = examples()
            shown = (found[i] for i in range(min(len(found), _EXAMPLES)))
            both = zip(*self._reconstruct(weights, shown), strict=True)
            title = "images, and what their codes give, in turn"
            pictures = {"": pictures_lib.mosaic([x for pair in both for x in pair], title)}
        else:
            images = draw(generate, codes(space, self._config.seed, BATCH))
            pictures = {"": pictures_lib.mosaic(images, "the same codes at every step")}
        if step == self._config.steps:
            rows = interpolations(space, generate, self._config.seed)
            pictures["interpolation.png"] = pictures_lib.grid(rows, [""] * len(rows[0]))
            pictures["walk.webp"] = walk(space, generate, self._config.seed)
        return pictures

    def _reconstruct(
        self, weights: dict[str, Any], examples: Iterable[dict[str, Any]]
    ) -> tuple[np.ndarray, np.ndarray]:
        images = np.stack([image_files.convert(example["images"], np.float32) for example in examples])
        name = self._system.space(weights, None).name

        def back(images: np.ndarray) -> jax.Array:
            found = self._predict(weights, images)
            return self._apply(weights, {name: found}, statistics="running")["images"]

        return images, draw(back, images)
