"""Changes of a latent before anything is drawn: along a direction, towards, or by rows of styles of, another one.

run = trained.load("RUN", latent=True).within("w_plus")
change = operations.mix(run, "OUT/other.jpg.npz", "coarse")      # latents from folders of launch.project
moved, way = operations.follow(run, latent, change, frames=8)
"""

from collections.abc import Callable
from collections.abc import Sequence
import math
from typing import Any
from typing import NamedTuple

import jax
import numpy as np

import jgan
from jgan import paths as paths_lib
from jgan import pictures
from jgan import space as spaces
from jgan import trained
from jgan.data import images as image_files
from jgan.data import outputs
from jgan.latent import directions as directions_lib
from jgan.latent import paths
from jgan.latent import styles
from jgan.programs import controls
from jgan.programs import directions
from jgan.programs import draws
from jgan.programs import latents as latents_lib
from jgan.runs import config as run_config

GRID = 6  # latents on each side of a grid of mixtures
_MOST = 32


class Operation(NamedTuple):
    """A change of a latent.

    Attributes:
        apply: `(space, latent, given) -> latent`, pure.
        given: what it needs besides, as arrays.
    """

    apply: Callable[[spaces.Space, Any, Any], Any]
    given: Any


def follow(run: trained.Run, latent: Any, operation: Operation, frames: int) -> tuple[Any, np.ndarray]:
    """(the latent after an operation, the straight way there as images [frames, h, w, c] in [-1, 1])."""

    def go(weights: Any, latent: Any, given: Any) -> Any:
        space = run.space(weights)
        moved = operation.apply(space, latent, given)
        return moved, jax.vmap(space.generate)(paths.linear(latent, moved, frames))

    return jax.device_get(jax.jit(go)(run.weights, latent, operation.given))


def direction(run: trained.Run, path: str, name: str = "", amount: float = 1.0, rows: str = "") -> Operation:
    """`amount` along the direction of that name in a file, in these rows; see `programs.directions.load`."""
    vector, amount = directions.load(run, path, name, rows), _finite("amount", amount)
    return Operation(lambda space, x, given: directions_lib.move(space, x, *given), (vector, amount))


def morph(run: trained.Run, other: str, amount: float = 1.0) -> Operation:
    """Towards the latent in a file: at 0 as it was, at 1 the other one, all rows and maps alike.

    Raises:
        jgan.UserError: no latent of the run's space, or an amount beyond [0, 1].
    """
    if not 0 <= amount <= 1:
        raise jgan.UserError(f"--amount={amount}: a morph goes from 0, the latent, to 1, the other one.")

    def apply(space: spaces.Space, x: Any, given: Any) -> Any:
        del space
        return jax.tree.map(lambda a, b: (1 - given[1]) * a + given[1] * b, x, given[0])

    return Operation(apply, (one(run, "morph", other), np.float32(amount)))


def mix(run: trained.Run, other: str, rows: str) -> Operation:
    """Rows of styles from the latent in a file: the coarse ones have its shape, the fine ones its colours.

    Raises:
        jgan.UserError: no latent of the run's space, or rows that there are not.
    """
    if not rows:
        raise jgan.UserError("--mix needs --rows: the rows of styles to take, such as 0-3, coarse or fine.")
    chosen = _rows(run, rows)
    return Operation(lambda space, x, given: styles.mix(space, x, given, chosen), one(run, "mix", other))


def transfer(run: trained.Run, ends: Sequence[str], amount: float = 1.0, threshold: float = 0.0) -> Operation:
    """What changes from the first latent to the second, in files, added: the transfer of an expression.

    Raises:
        jgan.UserError: not two files with latents of the run's space, or numbers that make no sense.
    """
    if len(ends) != 2:
        raise jgan.UserError(
            f"--transfer={','.join(ends)}: two latents would work, the one without the expression and the one with it."
        )
    if not 0 <= threshold <= 1:
        raise jgan.UserError(
            f"--threshold={threshold}: 0, all rows, to 1, the longest row alone, would work."
        )
    styles.held(run.space())
    v2, v3 = (one(run, "transfer", end) for end in ends)
    given = (v2, v3, _finite("amount", amount), np.float32(threshold))
    return Operation(lambda space, x, given: styles.transfer(space, x, *given), given)


def truncate(run: trained.Run, psi: float) -> Operation:
    """Towards the mean style: at 1 as it was, at 0 the mean.

    Raises:
        jgan.UserError: a space without styles, or a number that makes no sense.
    """
    styles.held(run.space())
    return Operation(styles.truncate, _finite("truncate", psi))


def one(run: trained.Run, flag: str, path: str) -> Any:
    """The latent in a file: a projection, or the first of several; errors are those of `latents.read`."""
    if paths_lib.is_folder(path):
        raise jgan.UserError(f"--{flag}={path} is a folder: one NAME.npz in it would work.")
    _, found = latents_lib.read(run, flag, path)
    return jax.tree.map(lambda x: x[0], found)


def write_grid(
    run: trained.Run, output: str, rows: str, *, number: int = GRID, seed: int = 0, latents: str = ""
) -> None:
    """Writes `mix.png` into the folder `output`: what becomes of each latent with rows of styles from each other one.

    The first row and the first column show the latents themselves. A picture below and beside two of them has these
    rows from the one above it, and the others from the one to its left. The caption says so.

    Args:
        run: within a space with a style for each layer.
        output: is made where it is missing.
        rows: as `styles.choose` has them.
        number: of the latents.
        seed: of those that are drawn.
        latents: a folder of `launch.project` or a `samples.npz`, whose first ones are taken; empty: drawn ones.

    Raises:
        jgan.UserError: rows that there are not, latents of another space, or a folder that cannot be written.
    """
    chosen = _rows(run, rows)
    if not 2 <= number <= _MOST:
        raise jgan.UserError(f"--number={number}: 2 to {_MOST} latents on each side would work.")
    if latents:
        titles, codes = latents_lib.read(run, "latents", latents)
        codes, titles = jax.tree.map(lambda x: x[:number], codes), titles[:number]
    else:
        codes, titles = draws.codes(run.space(), seed, number), [str(k) for k in range(number)]

    def made(weights: Any, codes: Any) -> Any:
        space = run.space(weights)

        def row(x: Any) -> jax.Array:
            return jax.vmap(lambda y: space.generate(styles.mix(space, x, y, chosen)))(codes)

        return jax.vmap(space.generate)(codes), jax.lax.map(row, codes)

    alone, mixed = jax.device_get(jax.jit(made)(run.weights, codes))
    table = [[np.ones_like(alone[0]), *alone]]
    table += [[alone[k], *mixed[k]] for k in range(len(alone))]
    folder = outputs.make(output, *run_config.searched(run.config))
    told = f"rows {rows} of the picture above, the others of the picture to the left"
    told = "; ".join(filter(None, (told, controls.told(run.way(), controls.changed(run)))))
    titles = [title[-14:] for title in titles]
    picture = pictures.grid(
        [list(map(pictures.show, row)) for row in table], ["", *titles], names=["", *titles], caption=told
    )
    image_files.write(folder / "mix.png", picture)


def _rows(run: trained.Run, rows: str) -> tuple[int, ...]:
    """The rows of a space with a style for each layer."""
    space = run.space()
    number = styles.count(space)
    if number == 1:
        raise jgan.UserError(
            f"the space {space.name!r} has one style for all layers, so that none can be mixed: "
            "--space=w_plus would work."
        )
    return styles.choose(rows, number)


def _finite(flag: str, value: float) -> np.float32:
    """A finite number, which is not too large."""
    if not math.isfinite(value) or abs(value) > styles.MAX_AMOUNT:
        raise jgan.UserError(f"--{flag}={value}: it must be a number such as 1.5 or -2.")
    return np.float32(value)
