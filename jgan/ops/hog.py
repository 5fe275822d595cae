"""A differentiable histogram of oriented gradients, by which a sketched line is compared with an image.

Dalal and Triggs, "Histograms of Oriented Gradients for Human Detection" (2005), in the form in which iGAN compares
strokes with images (Zhu et al., "Generative Visual Manipulation on the Natural Image Manifold", 2016, section 3.2,
and its code): soft bins, overlapping cells, no normalisation by blocks.
"""

import jax
import jax.numpy as jnp
import numpy as np

import jgan

BINS = 8  # orientations k pi / 8, without sign: an edge from dark to light is one from light to dark
_REACH = np.cos(np.pi / BINS)  # a gradient answers in the bins that lie less than pi / 8 from it
_EPSILON = 1e-3  # in the gradient's squared length; it makes the dead zone


def cell_of(channels: int) -> int:
    """The side of a cell in pixels: 4 for images of one channel (drawings), 8 for all others."""
    return 4 if channels == 1 else 8


def describe(image: jax.Array, cell: int = 0) -> jax.Array:
    """The soft histograms of an image's gradients: [h // cell, w // cell, 8], 0 or more.

    The value of bin k at a pixel is max(0, |g . d_k| - a m) / (1 - a), with g the Sobel gradient of the grey image
    in [0, 1] divided by 4, d_k its direction, m = sqrt(|g|^2 + 0.001) and a = cos(pi / 8); a cell sums it under a
    triangular window twice the cell's side, so that neighbours overlap. Nothing is divided: the window adds up to
    cell^2 (64 for 8 px), which is what the weight of the sketch term is tied to.

    Gradients weaker than 0.076 answer with exactly 0 and pass no gradient back (a step of 0.076 of the range between
    black and white; 0.089 for directions between two bins). Outside the image everything is 0, black, so a bright
    image has an edge along its border.

    Args:
        image: [h, w, c] in [-1, 1]. The grey image is the mean over channels mapped to [0, 1]; one channel is
            inverted and mapped to [1/2, 1], which halves its contrast (iGAN's reading of drawings).
        cell: the side of a cell in pixels, even; 0 takes `cell_of`.

    Raises:
        jgan.UserError: the image is smaller than one cell.
    """
    h, w, channels = image.shape
    cell = cell or cell_of(channels)
    if min(h, w) < cell:
        raise jgan.UserError(f"a sketch needs images of at least {cell} pixels a side, not {h}x{w}.")
    grey = (jnp.mean(image, -1) + 1) / 2
    if channels == 1:
        grey = ((1 - grey) + 1) / 2
    gx, gy = _sobel(grey)
    m = jnp.sqrt(gx * gx + gy * gy + _EPSILON)
    angle = np.arange(BINS)[:, None, None] * (np.pi / BINS)
    along = jnp.abs(np.cos(angle).astype(np.float32) * gx + np.sin(angle).astype(np.float32) * gy)
    bins = jax.nn.relu((along - _REACH * m) / (1 - _REACH))
    # The window is a column times a row, so a cell is two products with short matrices: on CPU a fraction of the time
    # of a convolution with one channel per bin.
    triangle = 1 - np.abs(np.arange(2 * cell) - cell + 0.5) / cell
    rows, columns = _windows(h, cell, triangle), _windows(w, cell, triangle)
    across = jnp.einsum("khw,jw->khj", bins, columns, precision="highest")
    return jnp.einsum("khj,ih->ijk", across, rows, precision="highest")


def touched(mask: jax.Array, cell: int) -> jax.Array:
    """The cells whose window meets a stroke: [h // cell, w // cell] bool of a mask [h, w], 0 outside strokes."""
    h, w = mask.shape
    box = np.ones(2 * cell)
    total = _windows(h, cell, box) @ mask.astype(jnp.float32) @ _windows(w, cell, box).T
    return total > 1e-5


def _sobel(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The Sobel gradients along x and y, [h, w] each: [-1, 0, 1] along the axis, [1, 2, 1] across it, divided by 4."""
    x = jnp.pad(x, 1)
    down = x[:-2] + 2 * x[1:-1] + x[2:]
    right = x[:, :-2] + 2 * x[:, 1:-1] + x[:, 2:]
    return (down[:, 2:] - down[:, :-2]) / 4, (right[2:] - right[:-2]) / 4


def _windows(size: int, cell: int, window: np.ndarray) -> np.ndarray:
    """[size // cell, size]: row i holds the window at stride `cell`, half a cell of zeros before the first pixel."""
    out = np.zeros((size // cell, size + 2 * cell), np.float32)
    for i in range(len(out)):
        out[i, i * cell : i * cell + 2 * cell] = window
    return out[:, cell // 2 : cell // 2 + size]
