"""Dense fields on images: sampling along a flow, composition, pyramids, and the smooth solution of a system per pixel.

A flow [h, w, 2] is a displacement (right, down) in pixels at every pixel of the image that is *made*: the made image is
image(p + flow(p)), a backward warp, which leaves no holes. All functions are of one image; `jax.vmap` makes it many.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jgan.ops import pixels


def warp(
    image: jax.Array,
    flow: jax.Array,
    cubic: bool = False,
    begin: tuple[jax.Array | int, jax.Array | int] = (0, 0),
    box: tuple[int, int, int, int] | None = None,
) -> jax.Array:
    """The image sampled at p + flow(p), p the pixels of the flow and positions those of the image: [h, w, ...] floats.

    Bilinear or, with `cubic`, by Catmull-Rom splines (Keys, "Cubic Convolution Interpolation", 1981, a = -1/2), which
    keep fine texture but may overshoot the image's range. At whole displacements both return the pixels themselves.
    Beyond the border the last pixels are repeated.

    Args:
        image: floats, or integers, which are seen in [-1, 1].
        flow: [h, w, 2].
        cubic: the interpolation.
        begin: row and column of the image at which the flow begins.
        box: top, left, height and width of the part that takes the image's place: positions in it read nothing beyond
            it, and where it reaches beyond the image, the image's last pixels are repeated.
    """
    height, width = image.shape[:2]
    top, left, tall, wide = box or (0, 0, height, width)
    y, x = _grid(flow)
    rows = _taps(y + begin[0] + flow[..., 1], top, tall, height, cubic)
    columns = _taps(x + begin[1] + flow[..., 0], left, wide, width, cubic)
    values = image.reshape(height * width, -1)
    made = 0.0
    for row, row_weight in rows:
        line = 0.0
        for column, weight in columns:
            line = line + weight[..., None] * pixels.to_float(values[row * width + column])
        made = made + row_weight[..., None] * line
    return made.reshape(*flow.shape[:2], *image.shape[2:])


def inside(flow: jax.Array) -> jax.Array:
    """The pixels p for which p + flow(p) is within the image: [h, w] bool."""
    y, x = _grid(flow)
    y, x = y + flow[..., 1], x + flow[..., 0]
    return (y >= 0) & (y <= flow.shape[0] - 1) & (x >= 0) & (x <= flow.shape[1] - 1)


def compose(late: jax.Array, early: jax.Array) -> jax.Array:
    """The flow that samples like `early` and then `late`: late(p) + early(p + late(p)), [h, w, 2].

    warp(warp(image, early), late) and warp(image, compose(late, early)) are the same but for one interpolation less.
    """
    return late + warp(early, late)


def resize(field: jax.Array, shape: tuple[int, int]) -> jax.Array:
    """An image or field [h, w, ...] at another size: bilinear, pixel areas aligned, averaged where it shrinks."""
    return jax.image.resize(field, (*shape, *field.shape[2:]), "linear", precision="highest")


def resize_flow(flow: jax.Array, shape: tuple[int, int]) -> jax.Array:
    """A flow at another size, its displacements in the new pixels: [*shape, 2]."""
    ratio = np.array([shape[1] / flow.shape[1], shape[0] / flow.shape[0]], np.float32)
    return resize(flow, shape) * ratio


def pyramid(image: jax.Array, smallest: int = 8) -> list[jax.Array]:
    """The image at halved sizes (rounded up), the finest first, while both sides have at least `smallest` pixels."""
    levels = [image]
    while min(levels[-1].shape[:2]) >= 2 * smallest:
        h, w = levels[-1].shape[:2]
        levels.append(resize(levels[-1], ((h + 1) // 2, (w + 1) // 2)))
    return levels


def smooth(image: jax.Array, deviation: jax.Array | float) -> jax.Array:
    """The image [h, w, ...] blurred by a Gaussian of this standard deviation in pixels, borders mirrored.

    0 changes nothing. The deviation may be traced: the blur is a damping of the cosine transform.
    """
    rows, columns = (
        c.T @ (jnp.exp(-low * deviation**2 / 2)[:, None] * c) for c, low in map(_cosines, image.shape[:2])
    )
    return jnp.einsum("yh,xw,hw...->yx...", rows, columns, image, precision="highest")


def gradient(image: jax.Array) -> jax.Array:
    """The central differences along x and y: [h, w, c, 2]; a border pixel's missing neighbour is the pixel itself."""
    wide = jnp.pad(image, ((1, 1), (1, 1), (0, 0)), mode="edge")
    x = (wide[1:-1, 2:] - wide[1:-1, :-2]) / 2
    y = (wide[2:, 1:-1] - wide[:-2, 1:-1]) / 2
    return jnp.stack([x, y], -1)


def smooth_solution(
    matrices: jax.Array, right: jax.Array, weights: tuple[jax.Array, jax.Array], ridge: float, iterations: int
) -> jax.Array:
    """The field x [h, w, k, m] of least x'Mx - 2 right.x + ridge |x|^2 at all pixels + weight |x - x'|^2 of neighbours.

    These are the normal equations of least squares at every pixel with smoothness between neighbours: M x + L x + ridge
    x = right, with L the weighted Laplacian without anything beyond the border. It is solved by conjugate gradients
    from 0. The preconditioner is the inverse for the mean matrix and the mean weight, which the cosine transform makes
    diagonal, so the number of iterations hardly grows with the image.

    Args:
        matrices: M, [h, w, k, k], symmetric and positive semi-definite.
        right: [h, w, k, m].
        weights: of neighbours below each other, [h - 1, w], and beside each other, [h, w - 1].
        ridge: above 0.
        iterations: the largest number; the solver ends earlier at a residual of 1e-4 of `right`.
    """
    down, across = weights[0][..., None, None], weights[1][..., None, None]

    def system(x: jax.Array) -> jax.Array:
        out = jnp.einsum("hwij,hwjm->hwim", matrices, x, precision="highest") + ridge * x
        step = down * (x[1:] - x[:-1])
        out = out.at[1:].add(step).at[:-1].add(-step)
        step = across * (x[:, 1:] - x[:, :-1])
        return out.at[:, 1:].add(step).at[:, :-1].add(-step)

    h, w = matrices.shape[:2]
    (rows, low), (columns, across_low) = _cosines(h), _cosines(w)
    values, vectors = jnp.linalg.eigh(jnp.mean(matrices, (0, 1)))
    mean = [jnp.mean(x) if x.size else 0.0 for x in weights]
    frequencies = mean[0] * low[:, None] + mean[1] * across_low[None]
    scale = 1 / (frequencies[..., None] + jnp.maximum(values, 0) + ridge)

    def precondition(r: jax.Array) -> jax.Array:
        r = jnp.einsum("yh,xw,ki,hwkm->yxim", rows, columns, vectors, r, precision="highest")
        r = r * scale[..., None]
        return jnp.einsum("yh,xw,ki,yxim->hwkm", rows, columns, vectors, r, precision="highest")

    solution, _ = jax.scipy.sparse.linalg.cg(system, right, tol=1e-4, maxiter=iterations, M=precondition)
    return solution


def even_weights(shape: tuple[int, int], weight: float) -> tuple[jax.Array, jax.Array]:
    """The same weight between all neighbours, for `smooth_solution`."""
    h, w = shape
    return jnp.full((h - 1, w), weight, jnp.float32), jnp.full((h, w - 1), weight, jnp.float32)


def _grid(flow: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The rows [h, 1] and columns [1, w] of the pixels of a flow."""
    h, w = flow.shape[:2]
    return jnp.arange(h, dtype=flow.dtype)[:, None], jnp.arange(w, dtype=flow.dtype)[None]


def _taps(
    position: jax.Array, begin: int, count: int, size: int, cubic: bool
) -> list[tuple[jax.Array, jax.Array]]:
    """[(indices, weights)] of the pixels of an image of that size that positions in a box are read from."""
    position = jnp.clip(position, begin, begin + count - 1)
    first = jnp.floor(position)
    t = position - first
    if cubic:
        weights = [
            ((2 - t) * t - 1) * t / 2,
            ((3 * t - 5) * t * t + 2) / 2,
            ((4 - 3 * t) * t + 1) * t / 2,
            (t - 1) * t * t / 2,
        ]
    else:
        weights = [1 - t, t]
    index = first.astype(jnp.int32) - (1 if cubic else 0)
    low, high = max(begin, 0), min(begin + count, size) - 1
    return [(jnp.clip(index + i, low, high), weight) for i, weight in enumerate(weights)]


def _cosines(size: int) -> tuple[np.ndarray, np.ndarray]:
    """The orthonormal cosine transform [size, size] and the eigenvalues of the Laplacian that it makes diagonal."""
    k, i = np.arange(size)[:, None], np.arange(size)[None]
    rows = np.cos(np.pi * k * (2 * i + 1) / (2 * size)) * np.sqrt(2 / size)
    rows[0] /= np.sqrt(2)
    return rows.astype(np.float32), (2 - 2 * np.cos(np.pi * k[:, 0] / size)).astype(np.float32)
