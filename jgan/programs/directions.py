"""Directions of a run's latent space as files: made of draws or of photos, shown, and followed.

run = trained.load("RUN", latent=True)
directions.write_principal(run, "directions.npz", 10)
directions.write_difference(run, "directions.npz", "smile", "WITH", "WITHOUT")   # folders of launch.project
direction = directions.load(run, "directions.npz", "smile")
moved, way = directions.follow(run, latent, direction, amount=1.5, frames=8)
"""

import json
import math
import os
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jgan
from jgan import pictures
from jgan import trained
from jgan.data import images as image_files
from jgan.data import outputs
from jgan.latent import codec
from jgan.latent import directions
from jgan.latent import paths
from jgan.programs import draws
from jgan.runs import config as run_config

SAMPLES = 1000  # of which principal directions are taken
_COLUMNS = 7  # of a picture of directions
_MAX_BYTES = 2**26  # of a photo's projection


def write_principal(
    run: trained.Run, path: str, count: int, number: int = SAMPLES, seed: int = 0
) -> list[str]:
    """The names `principal_1`, ... of the directions that `number` draws of the run's images vary along most.

    They are written to the file `path`, where others already there stay and those of the same name are replaced.

    Raises:
        jgan.UserError: too few draws for so many directions, or a file that cannot be written or is another one.
    """
    if not 1 <= count < number:
        raise jgan.UserError(
            f"--principal={count}: of {number} draws there are 1 to {number - 1} directions."
        )
    kept = _others(run, path)

    def find(weights: Any, key: jax.Array) -> Any:
        return directions.of_generator(run.space(weights), key, count, number)

    principal = jax.device_get(jax.jit(find)(run.weights, jax.random.key(seed % 2**32)))
    names = [f"principal_{k + 1}" for k in range(count)]
    made = {name: jax.tree.map(lambda x, k=k: x[k], principal.vectors) for k, name in enumerate(names)}
    _write(run, path, kept | made)
    return names


def write_difference(run: trained.Run, path: str, name: str, positive: str, negative: str) -> None:
    """Writes the direction `name`, from photos that lack something to photos that have it, to the file `path`.

    It is the mean of the first latents less that of the second, so that of one photo each it is v3 - v2. Others in
    the file stay.

    Args:
        run: with a latent space.
        path: a file `.npz`.
        name: of the direction.
        positive: projections by `launch.project` of photos that have it: a folder, or one `NAME.npz`.
        negative: likewise of photos that lack it.

    Raises:
        jgan.UserError: a name or a projection that cannot be used, or a file that cannot be written or is another one.
    """
    if not 0 < len(name) <= 100 or not name.isprintable():
        raise jgan.UserError("--name must be a name of 1 to 100 letters for the direction.")
    kept = _others(run, path)
    ours, theirs = (_given(place) for place in (positive, negative))
    if ours != theirs:
        raise jgan.UserError(
            f"--with={positive} was projected under {ours or 'the defaults'} and --without={negative} under "
            f"{theirs or 'the defaults'}: launch.project with the same --set for both would work."
        )
    with_it, without = (
        _latents(run, flag, place, path) for flag, place in (("with", positive), ("without", negative))
    )
    _write(run, path, kept | {name: jax.device_get(directions.attribute(with_it, without))})


def load(run: trained.Run, path: str, name: str) -> Any:
    """The direction of that name in a file, or the only one of the file where no name is given.

    Raises:
        jgan.UserError: as `latent.directions.load`, or there is none of that name, or several and no name.
    """
    loaded = load_all(run, path)
    if not name and len(loaded) == 1:
        return next(iter(loaded.values()))
    if name not in loaded:
        known = ", ".join([ascii(known)[1:-1] for known in loaded][:20]) + (
            ", ..." if len(loaded) > 20 else ""
        )
        raise jgan.UserError(f"--direction={name}: {path} has {known}.")
    return loaded[name]


def load_all(run: trained.Run, path: str) -> dict[str, Any]:
    """All directions in a file by name; `latent.directions.load` says what is refused."""
    space = run.space()
    return directions.load(path, space.name, jax.eval_shape(space.sample, jax.random.key(0)))


def follow(
    run: trained.Run, latent: Any, direction: Any, amount: float, frames: int
) -> tuple[Any, np.ndarray]:
    """(the latent `amount` along a direction, the way there as images [frames, h, w, c] in [-1, 1])."""
    check(amount)

    def go(weights: Any, latent: Any, direction: Any, amount: jax.Array) -> Any:
        space = run.space(weights)
        moved = directions.move(space, latent, direction, amount)
        return moved, jax.vmap(space.generate)(paths.linear(latent, moved, frames))

    return jax.device_get(jax.jit(go)(run.weights, latent, direction, jnp.float32(amount)))


def check(amount: float) -> None:
    """Refuses an amount that is no finite number with a `jgan.UserError`."""
    if not math.isfinite(amount):
        raise jgan.UserError(f"--amount={amount}: it must be a number such as 1.5 or -2.")


def show(
    run: trained.Run,
    path: str,
    output: str,
    *,
    name: str = "",
    amount: float = 3.0,
    number: int = 8,
    seed: int = 0,
) -> None:
    """Writes `directions.png` into the folder `output`: from -amount to amount along directions.

    Without a name there is a row for each direction, of one code; with a name a row for each of `number` codes.

    Raises:
        jgan.UserError: as `load`, or a folder that cannot be written.
    """
    check(amount)
    if number < 1:
        raise jgan.UserError(f"--number={number}: 1 or more would work.")
    loaded = {name: load(run, path, name)} if name else load_all(run, path)
    vectors = jax.tree.map(lambda *x: np.stack(x), *loaded.values())
    codes = draws.codes(run.space(), seed, number if name else 1)

    def rows(weights: Any, codes: Any, vectors: Any) -> jax.Array:
        space = run.space(weights)

        def row(z: Any, v: Any) -> jax.Array:
            steps = jnp.linspace(-amount, amount, _COLUMNS)
            return jax.vmap(lambda t: space.generate(directions.move(space, z, v, t)))(steps)

        return jax.lax.map(lambda z: jax.lax.map(lambda v: row(z, v), vectors), codes)

    made = np.asarray(jax.jit(rows)(run.weights, codes, vectors))
    made = made.reshape(-1, *made.shape[2:])
    folder = outputs.make(output, *run_config.searched(run.config))
    titles = [f"{x:g}" for x in np.round(np.linspace(-amount, amount, _COLUMNS), 2)]
    image_files.write(
        folder / "directions.png", pictures.grid([list(map(pictures.show, row)) for row in made], titles)
    )


def _others(run: trained.Run, path: str) -> dict[str, Any]:
    """What a file to be written holds already."""
    if not path.endswith(".npz"):
        raise jgan.UserError(f"--output={path}: the name of a file of directions ends in .npz.")
    return load_all(run, path) if os.path.exists(path) else {}


def _write(run: trained.Run, path: str, named: dict[str, Any]) -> None:
    """Writes directions by their names."""
    # Whole or not at all: what was there before is not lost by a full disk.
    part = f"{path}.part.npz"
    try:
        pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
        directions.save(part, run.space().name, named)
        os.replace(part, path)
    except OSError as error:
        raise jgan.UserError(f"--output={path} cannot be written: {error.strerror}.") from error


def _given(place: str) -> dict[str, Any]:
    """The values of controls under which launch.project made a folder, or one file of it; {}: the defaults."""
    source = pathlib.Path(place)
    try:
        facts = json.loads(((source if source.is_dir() else source.parent) / "projection.json").read_text())
    except (OSError, ValueError, RecursionError):
        return {}  # of another program; whether the latents fit is seen when they are read
    return facts.get("given", {}) if isinstance(facts, dict) else {}


def _latents(run: trained.Run, flag: str, place: str, output: str) -> Any:
    """The latents [m, ...] of projections in a folder and below, the file `output` left out, or of one."""
    source, written = pathlib.Path(place), pathlib.Path(output).resolve()
    files = [source]
    if source.is_dir():
        files = sorted(file for file in source.rglob("*.npz") if file.resolve() != written)
    if not files or not all(file.is_file() for file in files):
        raise jgan.UserError(
            f"--{flag}={place} holds no projections: a folder that launch.project wrote would work."
        )
    space = run.space()
    leaves, tree = jax.tree.flatten(jax.eval_shape(space.sample, jax.random.key(0)))
    names = codec.names(space.name, leaves)
    rows = []
    for file in files:
        try:
            if file.stat().st_size > _MAX_BYTES:
                raise ValueError
            with np.load(file, allow_pickle=False) as saved:
                arrays = [saved[name] for name in names]
            fits = all(
                x.shape == leaf.shape and x.dtype.kind == "f" for x, leaf in zip(arrays, leaves, strict=True)
            )
            if not fits or not all(np.isfinite(x).all() for x in arrays):
                raise ValueError
        except Exception:  # decoders of archives raise whatever they meet; it all means the same here
            raise jgan.UserError(
                f"{file} is no projection onto the space {space.name!r} of this run."
            ) from None
        rows.append(arrays)
    return tree.unflatten([np.stack(column) for column in zip(*rows, strict=True)])
