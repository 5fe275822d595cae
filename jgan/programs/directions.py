"""Directions of a run's latent space as files: made of draws, of photos or of weights, and shown.

run = trained.load("RUN", latent=True)
directions.write_principal(run, "directions.npz", 10)
directions.write_difference(run, "directions.npz", "smile", "WITH", "WITHOUT")   # folders of launch.project
directions.write_closed_form(run.within("w"), "styles.npz", 10)
direction = directions.load(run, "directions.npz", "smile")
"""

from collections.abc import Callable
from collections.abc import Sequence
import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jgan
from jgan import paths
from jgan import pictures
from jgan import space as spaces
from jgan import trained
from jgan.data import images as image_files
from jgan.data import outputs
from jgan.latent import boundary as boundary_lib
from jgan.latent import codec
from jgan.latent import directions
from jgan.latent import styles
from jgan.programs import controls
from jgan.programs import draws
from jgan.programs import latents as latents_lib
from jgan.runs import config as run_config

SAMPLES = 1000  # of which principal directions are taken
MAX_SAMPLES = 10_000  # whose products fit in memory
MAX_ROWS = 1000  # of a picture of directions
_COLUMNS = 7


def write_principal(
    run: trained.Run, path: str, count: int, number: int = SAMPLES, seed: int = 0
) -> list[str]:
    """The names `principal_1`, ... of the directions that `number` draws of the run's images vary along most.

    In a space of styles it is the styles themselves that are analysed, as in GANSpace. They are written to the file
    `path`, where others already there stay and those of the same name are replaced.

    Raises:
        jgan.UserError: too few draws for so many directions, or a file that cannot be written or is another one.
    """
    if not 2 <= number <= MAX_SAMPLES:
        raise jgan.UserError(f"--samples={number}: 2 to {MAX_SAMPLES:,} draws would work.")
    if not 1 <= count < number:
        raise jgan.UserError(
            f"--principal={count}: of {number} draws there are 1 to {number - 1} directions."
        )
    kept = _others(run, path)

    def find(weights: Any, key: jax.Array) -> Any:
        space = run.space(weights)
        if space.held is None:
            return directions.of_generator(space, key, count, number).vectors
        # All rows of a drawn latent are the same style.
        drawn = jax.vmap(lambda k: space.held.rows(space.sample(k))[0])(jax.random.split(key, number))
        return jax.vmap(lambda v: styles.lift(space, v))(directions.principal(drawn, count).vectors)

    return _numbered(run, path, kept, "principal", jax.jit(find)(run.weights, jax.random.key(seed % 2**32)))


def write_closed_form(run: trained.Run, path: str, count: int, rows: str = "") -> list[str]:
    """The names `sefa_1`, ... of the directions to which the generator's layers respond most, in closed form (SeFa).

    They are written to the file `path`, where others already there stay and those of the same name are replaced.

    Args:
        run: within a space of styles.
        path: a file `.npz`.
        count: of the directions.
        rows: those whose layers count, as `styles.choose` has them. Where each layer has a style of its own, these
            rows alone move.

    Raises:
        jgan.UserError: as in `styles.closed_form`, or a file that cannot be written or is another one.
    """
    kept, number = _others(run, path), styles.count(run.space())
    chosen = styles.choose(rows, len(run.space().held.affine) + 1)

    def find(weights: Any) -> Any:
        space = run.space(weights)
        found = styles.closed_form(space, count, chosen)
        return jax.vmap(lambda v: styles.lift(space, v, None if number == 1 else chosen))(found)

    return _numbered(run, path, kept, "sefa", jax.jit(find)(run.weights))


def write_difference(
    run: trained.Run,
    path: str,
    name: str,
    positive: str,
    negative: str,
    *,
    boundary: bool = False,
    conditional: Sequence[str] = (),
) -> None:
    """Writes the direction `name`, from photos that lack something to photos that have it, to the file `path`.

    It is the mean of the first latents less that of the second, so that of one photo each it is v3 - v2. Others in
    the file stay.

    Args:
        run: with a latent space.
        path: a file `.npz`.
        name: of the direction.
        positive: projections by `launch.project` of photos that have it: a folder, or one `NAME.npz`.
        negative: likewise of photos that lack it.
        boundary: it is instead the normal of the linear boundary between the two (InterFaceGAN).
        conditional: names of directions in the file, along which it must not go.

    Raises:
        jgan.UserError: a name or a projection that cannot be used, or a file that cannot be written or is another one.
    """
    kept = _named(run, path, name)
    ours, theirs = (latents_lib.given(place) for place in (positive, negative))
    if ours != theirs:
        raise jgan.UserError(
            f"--with={positive} was projected under {ours or 'the defaults'} and --without={negative} under "
            f"{theirs or 'the defaults'}: launch.project with the same --set for both would work."
        )
    (_, with_it), (_, without) = (
        latents_lib.read(run, flag, place, path)
        for flag, place in (("with", positive), ("without", negative))
    )
    if boundary:
        both = jax.tree.map(lambda a, b: np.concatenate([a, b]), with_it, without)
        counts = [len(jax.tree.leaves(x)[0]) for x in (with_it, without)]
        made = _normal(run, both, np.repeat(np.float32([1, 0]), counts))
    else:
        made = directions.attribute(with_it, without)
        if not any(np.any(x) for x in jax.tree.leaves(made)):
            raise jgan.UserError(
                f"--with={positive} and --without={negative} have the same mean: no direction."
            )
    _write(run, path, kept | {name: _apart(run, kept, jax.device_get(made), conditional)})


def write_boundary(
    run: trained.Run,
    path: str,
    name: str,
    latents: str,
    scores: str,
    *,
    conditional: Sequence[str] = (),
) -> None:
    """Writes the direction `name`, along which the scores of latents grow, to the file `path`; others in it stay.

    Args:
        run: with a latent space.
        path: a file `.npz`.
        name: of the direction.
        latents: a folder of `launch.project`, or a `samples.npz` of `launch.sample --format=npz`.
        scores: a file of lines `NAME,score`: of a photo by its name below the folder, of a sample by its number.
        conditional: as in `write_difference`.

    Raises:
        jgan.UserError: a name, latents or scores that cannot be used, or a file that cannot be written or is another
            one.
    """
    kept = _named(run, path, name)
    names, found = latents_lib.read(run, "latents", latents, path)
    known = latents_lib.scores(scores, names)
    taken = jax.tree.map(lambda x: x[list(known)], found)
    made = _normal(run, taken, np.float32(list(known.values())))
    _write(run, path, kept | {name: _apart(run, kept, made, conditional)})


def load(run: trained.Run, path: str, name: str, rows: str = "") -> Any:
    """The direction of that name in a file, or the only one of the file where no name is given.

    Raises:
        jgan.UserError: as `load_all`, or there is none of that name, or several and no name.
    """
    loaded = load_all(run, path, rows)
    if not name and len(loaded) == 1:
        return next(iter(loaded.values()))
    if name not in loaded:
        known = ", ".join([ascii(known)[1:-1] for known in loaded][:20]) + (
            ", ..." if len(loaded) > 20 else ""
        )
        raise jgan.UserError(f"--direction={name}: {path} has {known}.")
    return loaded[name]


def load_all(run: trained.Run, path: str, rows: str = "") -> dict[str, Any]:
    """All directions in a file by name; `latent.directions.load` says what is refused.

    Directions of styles that all layers share are also directions of styles for each layer.

    Args:
        run: within the space to which they have to belong.
        path: of the file.
        rows: of styles, as `styles.choose` has them: those that move; empty: all.

    Raises:
        jgan.UserError: as said, or rows that there are not.
    """
    space, kept = run.space(), directions.space_of(path)
    of = run.within(kept).space() if kept in run.system.spaces else space
    lifts = of.name != space.name and None not in (of.held, space.held) and styles.count(of) == 1
    of = of if lifts else space
    loaded = directions.load(path, of.name, jax.eval_shape(of.sample, jax.random.key(0)), run.digest)
    number = styles.count(space) if rows or lifts else 0
    if rows and number == 1:
        raise jgan.UserError(
            f"--rows={rows}: the space {space.name!r} has one style for all layers; --space=w_plus would work."
        )
    chosen = styles.choose(rows, number) if rows else None
    if rows or lifts:
        moved = {name: styles.lift(space, of.held.rows(v), chosen) for name, v in loaded.items()}
        loaded = jax.device_get(moved)
    return loaded


def check(amount: float) -> None:
    """Refuses an amount that is no finite number, or too large a one, with a `jgan.UserError`."""
    if not abs(amount) <= styles.MAX_AMOUNT:
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
    rows: str = "",
) -> None:
    """Writes `directions.png` into the folder `output`: from -amount to amount along directions.

    Without a name there is a row for each direction, of one code; with a name a row for each of `number` codes. Each
    row has the name of its direction beside it.

    Raises:
        jgan.UserError: as `load`, or a folder that cannot be written.
    """
    check(amount)
    if not 1 <= number <= MAX_ROWS:
        raise jgan.UserError(f"--number={number}: 1 to {MAX_ROWS} rows would work.")
    loaded = {name: load(run, path, name, rows)} if name else load_all(run, path, rows)
    vectors = jax.tree.map(lambda *x: np.stack(x), *loaded.values())
    codes = draws.codes(run.space(), seed, number if name else 1)

    def shown(weights: Any, codes: Any, vectors: Any) -> jax.Array:
        space = run.space(weights)

        def row(z: Any, v: Any) -> jax.Array:
            steps = jnp.linspace(-amount, amount, _COLUMNS)
            return jax.vmap(lambda t: space.generate(directions.move(space, z, v, t)))(steps)

        return jax.lax.map(lambda z: jax.lax.map(lambda v: row(z, v), vectors), codes)

    made = np.asarray(jax.jit(shown)(run.weights, codes, vectors))
    made = made.reshape(-1, *made.shape[2:])
    folder = outputs.make(output, *run_config.searched(run.config))
    titles = [f"{x:g}" for x in np.round(np.linspace(-amount, amount, _COLUMNS), 2)]
    picture = pictures.grid(
        [list(map(pictures.show, row)) for row in made],
        titles,
        names=list(loaded) * (number if name else 1),
        caption=controls.told(run.way(), controls.changed(run)),
    )
    image_files.write(folder / "directions.png", picture)


def _numbered(run: trained.Run, path: str, kept: dict[str, Any], title: str, vectors: Any) -> list[str]:
    """The names `title_1`, ... of directions [k, ...], which are written beside what a file holds already."""
    vectors = jax.device_get(vectors)
    names = [f"{title}_{k + 1}" for k in range(len(jax.tree.leaves(vectors)[0]))]
    made = {name: jax.tree.map(lambda x, k=k: x[k], vectors) for k, name in enumerate(names)}
    _write(run, path, kept | made)
    return names


def _named(run: trained.Run, path: str, name: str) -> dict[str, Any]:
    """What a file to be written holds already, if the name of a new direction can be used."""
    if not 0 < len(name) <= 100 or not name.isprintable():
        raise jgan.UserError("--name must be a name of 1 to 100 letters for the direction.")
    return _others(run, path)


def _normal(run: trained.Run, latents: Any, scores: np.ndarray) -> Any:
    """The direction in which the scores [m] of latents [m, ...] grow; of those with styles in their styles alone."""

    def find(weights: Any, latents: Any) -> Any:
        space = run.space(weights)
        flat = _flat(space)
        found = boundary_lib.normal(jax.vmap(flat)(latents), jnp.asarray(scores))
        if space.held is None:
            return codec.Codec.of(space).latent(found)
        return styles.lift(space, found.reshape(styles.count(space), -1))

    made = jax.device_get(jax.jit(find)(run.weights, latents))
    if not any(np.any(x) for x in jax.tree.leaves(made)):
        raise jgan.UserError("there is no boundary between these latents: the two sets are the same.")
    return made


def _apart(run: trained.Run, kept: dict[str, Any], direction: Any, names: Sequence[str]) -> Any:
    """A direction without its parts along directions that a file holds, by their names."""
    if not names:
        return direction
    for name in names:
        if name not in kept:
            known = ", ".join([ascii(x)[1:-1] for x in kept][:20]) or "none"
            raise jgan.UserError(f"--conditional={ascii(name)[1:-1]}: the file holds {known}.")
    space = run.space()
    codes = codec.Codec.of(space)
    others = jnp.stack([codes.flat(kept[name]) for name in names])
    made = jax.device_get(codes.latent(boundary_lib.conditional(codes.flat(direction), others)))
    if not any(np.any(x) for x in jax.tree.leaves(made)):
        raise jgan.UserError(
            f"--conditional={','.join(names)}: nothing is left of the direction without its part along these."
        )
    return made


def _flat(space: spaces.Space) -> Callable[[Any], jax.Array]:
    """What makes a vector of a latent: of its styles where it has some, or of all its numbers."""
    if space.held is None:
        return codec.Codec.of(space).flat
    return lambda latent: space.held.rows(latent).ravel()


def _others(run: trained.Run, path: str) -> dict[str, Any]:
    """What a file to be written holds already."""
    if not path.endswith(".npz"):
        raise jgan.UserError(f"--output={path}: the name of a file of directions ends in .npz.")
    if not paths.exists(path):
        return {}
    space = run.space()  # directions of another one would become those of this one
    return directions.load(path, space.name, jax.eval_shape(space.sample, jax.random.key(0)), run.digest)


def _write(run: trained.Run, path: str, named: dict[str, Any]) -> None:
    """Writes directions by their names."""
    # Whole or not at all: what was there before is not lost by a full disk.
    part = path if paths.is_remote(path) else f"{path}.part.npz"
    try:
        paths.of(path).parent.mkdir(parents=True, exist_ok=True)
        directions.save(part, run.space().name, named, run.digest)
        if part != path:
            os.replace(part, path)
    except OSError as error:
        raise jgan.UserError(f"--output={path} cannot be written: {error.strerror}.") from error
