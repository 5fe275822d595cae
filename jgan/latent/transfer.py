"""Edit transfer: the changes of an edited generated picture, applied to the photo at the photo's own resolution.

Zhu et al., "Generative Visual Manipulation on the Natural Image Manifold" (2016), section 4.3; the authors published no
code. The frames are the generated pictures from the photo's projection to its edited version. Between neighbours a flow
and an affine change of colour are estimated at every pixel; concatenated over all frames, enlarged along the photo's
edges and applied to the photo they keep the texture that a generator cannot make.

All fields point backwards: a field has the geometry of the *later* picture and holds, for each pixel, its place in the
earlier picture and the change of its colour, so pictures are made by backward warps, without holes.
"""

from typing import Any
from typing import NamedTuple

import jax
import jax.numpy as jnp

import jgan
from jgan.latent import strips
from jgan.ops import flow as flows
from jgan.ops import guided
from jgan.ops import pixels

ENDS = ("both", "a", "b")
_COARSE, _BLURS = 24, (3.0, 1.0, 0.0)  # the smallest size in pixels, and how it is blurred at first
_RIDGE = 1e-4  # the weight of "no change at all" for colours and flow, which decides where nothing else does
_FADE = 1 / 16  # of a crop's side, over which the edit fades to the untouched rest of the photo


class Settings(NamedTuple):
    """The settings by which fields are estimated and enlarged; colours are in [-1, 1], pixels are those of the frames.

    Attributes:
        flow_smoothness: the paper's sigma_s.
        colour_smoothness: the paper's sigma_c for frames of 64 pixels; it grows with their area, so that colours
            reach as far in all of them.
        edge: the contrast of neighbours at which the smoothness of colour has lost half its weight; with an infinite
            one it is the paper's objective, whose colours bleed over outlines.
        outlier: the residual at which a pixel has lost 30 % of its weight (Charbonnier).
        alternations: of colour and flow, at every size (the paper's 3).
        warps: linearisations of the flow in every alternation.
        iterations: the largest number of iterations of conjugate gradients in every one of these.
        radius: of the guided filter, in pixels of the frames.
        epsilon: of the guided filter for colours: contrasts below its square root count as smooth.
        flow_epsilon: of the guided filter for the flow, which is smooth already; a flow that follows the guide closely
            would draw outlines twice.
    """

    flow_smoothness: float = 0.3
    colour_smoothness: float = 30.0
    edge: float = 0.1
    outlier: float = 0.2
    alternations: int = 3
    warps: int = 2
    iterations: int = 40
    radius: int = 2
    epsilon: float = 1e-2
    flow_epsilon: float = 10.0


DEFAULT = Settings()

Box = tuple[int, int, int, int]  # top, left, height, width


def motion_and_colour(
    picture: jax.Array, source: jax.Array, settings: Settings = DEFAULT
) -> tuple[jax.Array, jax.Array]:
    """The flow [h, w, 2] in pixels (right, down) and the colours A [h, w, c, c + 1] that make `picture` from `source`.

    picture(p) = A(p) [source(p + flow(p)); 1] by the objective of section 4.3: the squared difference (here that of
    Charbonnier, because of pixels without a counterpart) + sigma_s |grad flow|^2 + sigma_c |grad A|^2, minimised
    alternately for A and for the flow, from coarse to fine. Equal pictures give exactly no flow and the identity.

    Args:
        picture: [h, w, c] float32 in [-1, 1].
        source: of the same shape.
        settings: of the estimation.
    """
    pictures, sources = flows.pyramid(picture, _COARSE), flows.pyramid(source, _COARSE)
    c = picture.shape[-1]
    shape = pictures[-1].shape[:2]
    start = jnp.zeros((*shape, 2), jnp.float32), jnp.zeros((*shape, c, c + 1), jnp.float32)
    stiff = settings.colour_smoothness * (max(picture.shape[:2]) / 64) ** 2

    def sharper(both: tuple[jax.Array, jax.Array], blur: jax.Array) -> tuple[Any, None]:
        pair = (flows.smooth(x, blur) for x in (pictures[-1], sources[-1]))
        return _refine(*pair, *both, stiff * (1 + blur) ** 2, settings), None

    # The smallest size, blurred, is used for all sizes below it: one compiled body instead of one for every size.
    (flow, change), _ = jax.lax.scan(sharper, start, jnp.array(_BLURS, jnp.float32))
    for picture, source in reversed(list(zip(pictures[:-1], sources[:-1], strict=True))):
        shape = picture.shape[:2]
        flow, change = flows.resize_flow(flow, shape), flows.resize(change, shape)
        flow, change = _refine(picture, source, flow, change, stiff, settings)
    return flow, change + _identity(c)


def concatenate(steps: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
    """The fields from the first picture to every one: flows [n, h, w, 2] and colours [n, h, w, c, c + 1].

    Warps are composed, and the colour changes so far are read at the place from which a pixel came, before the new
    change is applied to them. Field 0 changes nothing.

    Args:
        steps: fields of every picture from the one before it, [n - 1, h, w, 2] and [n - 1, h, w, c, c + 1].
    """
    c = steps[1].shape[-2]
    flow = jnp.zeros(steps[0].shape[1:], jnp.float32)
    change = jnp.zeros(
        steps[1].shape[1:], jnp.float32
    )  # A less the identity, which is exact where nothing changes

    def step(before: tuple[Any, Any], new: tuple[Any, Any]) -> tuple[Any, Any]:
        (flow, change), (late, colours) = before, new
        earlier = flows.warp(change, late)
        late_change = colours - _identity(c)
        # (I + D)[(I + E) s + e; 1] - s, with the columns of additions last.
        mixed = jnp.einsum("hwij,hwjk->hwik", late_change[..., :c], earlier, precision="highest")
        both = (flows.compose(late, flow), late_change + earlier + mixed)
        return both, both

    _, (made, changes) = jax.lax.scan(step, (flow, change), steps)
    return (
        jnp.concatenate([flow[None], made]),
        jnp.concatenate([change[None], changes]) + _identity(c),
    )


def fields(frames: jax.Array, settings: Settings = DEFAULT) -> tuple[jax.Array, jax.Array]:
    """The fields that make every frame from the first: flows [n, h, w, 2], colours [n, h, w, c, c + 1].

    Args:
        frames: [n, h, w, c] float32 in [-1, 1], n at least 2 and neighbours alike; the paper takes 8.
        settings: of the estimation.

    Raises:
        jgan.UserError: there is only one frame.
    """
    if frames.shape[0] < 2:
        raise jgan.UserError(
            f"frames has shape {frames.shape}: an edit is transferred from 2 frames or more."
        )
    pairs = frames[1:], frames[:-1]
    return concatenate(jax.lax.map(lambda pair: motion_and_colour(*pair, settings), pairs))


def apply(
    photo: jax.Array,
    flow: jax.Array,
    colours: jax.Array,
    settings: Settings = DEFAULT,
    box: Box | None = None,
) -> jax.Array:
    """The photo [H, W, c], warped and recoloured: the same shape and type.

    The fields are enlarged to the photo's size along the edges of the photo after the warp, whose geometry they have;
    displacements are enlarged with them. Everything is computed strip by strip, up to three times (for the small copies
    to which the filters are fitted, and for the result), so that the memory besides the result hardly grows with the
    photo.

    Args:
        photo: uint8, uint16, or float32 in [-1, 1].
        flow: [h, w, 2] in pixels of h x w.
        colours: [h, w, c, c + 1].
        settings: of the guided filters.
        box: as in `transfer`.

    Raises:
        jgan.UserError: the box lies outside the photo.
    """
    c = photo.shape[-1]
    box = box or (0, 0, *photo.shape[:2])
    top, left, height, width = box
    kept_top, kept_left, tall, wide = _kept(photo.shape, box)
    h, w = flow.shape[:2]
    ratio = jnp.array([width / w, height / h], jnp.float32)

    def warp(flow: jax.Array, y: jax.Array, x: int, cubic: bool = False) -> jax.Array:
        return flows.warp(photo, flow, cubic, (y + top, x + left), box)

    def grown(field: jax.Array, y: jax.Array, rows: int, x: int, columns: int) -> jax.Array:
        return guided.between(guided.between(field, 0, height, y, rows), 1, width, x, columns)

    def guide(*part: Any) -> jax.Array:  # part: the first row, rows, the first column and columns of the box
        return warp(grown(flow, *part) * ratio, part[0], part[2])

    def moved(*part: Any) -> jax.Array:
        large = guided.evaluate(grown(motion, *part), guide(*part)) * ratio
        return jnp.clip(warp(large, part[0], part[2], cubic=True), -1, 1)

    motion = guided.models(
        strips.reduced(guide, (height, width), (h, w), c), flow, settings.radius, settings.flow_epsilon
    )
    change = (colours - _identity(c)).reshape(h, w, -1)
    small = strips.reduced(moved, (height, width), (h, w), c)
    recolour = guided.models(small, change, settings.radius, settings.epsilon)
    # Only a border with photo beyond it is faded.
    down = _ramp(height, top > 0, top + height < photo.shape[0])
    across = _ramp(width, left > 0, left + width < photo.shape[1])
    rows = strips.rows_of(tall, wide)

    def strip(i: jax.Array, made: jax.Array) -> jax.Array:
        at = kept_top + jnp.minimum(i * rows, tall - rows)  # the last may begin within the one before it
        part = at - top, rows, kept_left - left, wide
        seen = moved(*part)
        changed = guided.evaluate(grown(recolour, *part), seen).reshape(rows, wide, c, c + 1)
        new = jnp.clip(_coloured(changed, seen), -1, 1)
        old = pixels.to_float(jax.lax.dynamic_slice(photo, (at, kept_left, 0), (rows, wide, c)))
        fade = jax.lax.dynamic_slice(down, (at - top,), (rows,))[:, None] * across[part[2] :][:wide]
        new = pixels.from_float(old + fade[..., None] * (new - old), photo.dtype)
        return jax.lax.dynamic_update_slice(made, new, (at, kept_left, 0))

    return jax.lax.fori_loop(0, -(-tall // rows), strip, photo)


def transfer(
    photo: jax.Array,
    frames: jax.Array,
    settings: Settings = DEFAULT,
    box: Box | None = None,
    last: bool = False,
) -> jax.Array:
    """The photo with the changes of all frames, [n, H, W, c] of its type, the photo itself first; or `last`, [H, W, c].

    Frames are computed one after another, so that the memory besides the result does not grow with them.

    Args:
        photo: [H, W, c], uint8, uint16, or float32 in [-1, 1].
        frames: [n, h, w, c] in [-1, 1], from the projection of the photo to its edit.
        settings: of the estimation and of the guided filters.
        box: top, left, height and width, in the photo's pixels, of the part that the frames show, if that is not the
            photo: it may begin before the photo (a letterbox) or within it (a crop, outside of which the photo does not
            change).
        last: whether to return the last frame alone.

    Raises:
        jgan.UserError: there is only one frame, the channels differ, or the box lies outside the photo.
    """
    if photo.shape[-1] != frames.shape[-1]:
        raise jgan.UserError(
            f"the photo has {photo.shape[-1]} channels and the frames have {frames.shape[-1]}: give both the same."
        )
    _kept(photo.shape, box or (0, 0, *photo.shape[:2]))  # a mistake is named before anything is computed
    made = fields(frames, settings)
    if last:
        return apply(photo, *jax.tree.map(lambda x: x[-1], made), settings, box)
    return film(photo, made, settings, box)


def film(
    photo: jax.Array,
    made: tuple[jax.Array, jax.Array],
    settings: Settings = DEFAULT,
    box: Box | None = None,
) -> jax.Array:
    """The photo under every one of n fields: [n, H, W, c] of its type.

    Args:
        photo: as in `transfer`.
        made: flows [n, h, w, 2] and colours [n, h, w, c, c + 1], from `fields`.
        settings: of the guided filters.
        box: as in `transfer`.

    Raises:
        jgan.UserError: the box lies outside the photo.
    """
    return jax.lax.map(lambda field: apply(photo, *field, settings, box), made)


def generative_transformation(
    photo_a: jax.Array,
    photo_b: jax.Array,
    frames: jax.Array,
    settings: Settings = DEFAULT,
    ends: str = "both",
) -> jax.Array:
    """A film [n, H, W, c] from one photo to another along the path between their projections, in [-1, 1].

    Both photos take the shape and colours of every frame, each from its own end of the path, and one fades into the
    other; with `ends` "a" or "b" only that photo's texture is shown.

    Args:
        photo_a: [H, W, c] float32 in [-1, 1].
        photo_b: of the same shape.
        frames: [n, h, w, c], from the projection of a to that of b.
        settings: of the estimation and of the guided filters.
        ends: "both", "a" or "b".

    Raises:
        jgan.UserError: the shapes differ, there is only one frame, or the ends are unknown.
    """
    if photo_a.shape != photo_b.shape:
        raise jgan.UserError(
            f"the photos have shapes {photo_a.shape} and {photo_b.shape}: cut or resize them to one."
        )
    if ends not in ENDS:
        raise jgan.UserError(f"ends={ends!r} is unknown: use one of {', '.join(ENDS)}.")
    if ends != "both":
        first = ends == "a"
        shown = transfer(photo_a if first else photo_b, frames if first else frames[::-1], settings)
        return shown if first else shown[::-1]
    pair = jnp.stack([photo_a, photo_b]), jnp.stack([frames, frames[::-1]])
    a, b = jax.lax.map(lambda end: transfer(*end, settings), pair)
    share = jnp.linspace(0, 1, frames.shape[0], dtype=jnp.float32)[:, None, None, None]
    return (1 - share) * a + share * b[::-1]


def _refine(
    picture: jax.Array,
    source: jax.Array,
    flow: jax.Array,
    change: jax.Array,
    stiff: jax.Array | float,
    settings: Settings,
) -> tuple[jax.Array, jax.Array]:
    """The flow and the change of colour, A less the identity, after the alternations at one size."""
    h, w, c = picture.shape
    weights = flows.even_weights((h, w), settings.flow_smoothness)
    edges = _edges(picture, stiff, settings.edge)

    def trust(made: jax.Array, flow: jax.Array) -> jax.Array:
        # Charbonnier's weight, and 0 for pixels that come from outside the source, of which nothing is known.
        error = jnp.sum(jnp.square(made - picture), -1)
        return flows.inside(flow) / jnp.sqrt(1 + error / settings.outlier**2)

    def colour(flow: jax.Array, change: jax.Array) -> jax.Array:
        seen = flows.warp(source, flow)
        sure = trust(_coloured(change, seen), flow)[..., None, None]
        s = jnp.concatenate([seen, jnp.ones((h, w, 1))], -1)
        matrices = sure * s[..., :, None] * s[..., None, :]
        right = sure * s[..., :, None] * (picture - seen)[..., None, :]
        solution = flows.smooth_solution(matrices, right, edges, _RIDGE, settings.iterations)
        return jnp.swapaxes(solution, -1, -2)

    def move(flow: jax.Array, change: jax.Array) -> jax.Array:
        made = _coloured(change, flows.warp(source, flow))
        sure = trust(made, flow)[..., None]
        j = flows.gradient(made)
        error = jnp.sum(j * flow[..., None, :], -1) + picture - made
        matrices = jnp.einsum("hwci,hwcj->hwij", j, sure[..., None] * j, precision="highest")
        right = jnp.sum(sure[..., None] * j * error[..., None], -2)[..., None]
        solution = flows.smooth_solution(matrices, right, weights, _RIDGE, settings.iterations)
        return solution[..., 0]

    def alternate(_: jax.Array, both: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        flow, change = both
        flow = jax.lax.fori_loop(0, settings.warps, lambda _, flow: move(flow, change), flow)
        return flow, colour(flow, change)

    return jax.lax.fori_loop(0, settings.alternations, alternate, (flow, change))


def _edges(picture: jax.Array, stiff: jax.Array | float, edge: float) -> tuple[jax.Array, jax.Array]:
    """The smoothness of colour between neighbours below and beside each other, lower across the picture's edges."""
    down = jnp.sum(jnp.square(picture[1:] - picture[:-1]), -1)
    across = jnp.sum(jnp.square(picture[:, 1:] - picture[:, :-1]), -1)
    return tuple(stiff / (1 + x / edge**2) for x in (down, across))


def _identity(c: int) -> jax.Array:
    """The change of colours [c, c + 1] that changes nothing."""
    return jnp.eye(c, c + 1, dtype=jnp.float32)


def _coloured(change: jax.Array, image: jax.Array) -> jax.Array:
    """The image with changed colours, as a sum that is exactly the image where the change is 0."""
    return image + jnp.sum(change[..., :-1] * image[..., None, :], -1) + change[..., -1]


def _kept(shape: tuple[int, ...], box: Box) -> Box:
    """The part of a box that lies on a photo of this shape."""
    top, left, height, width = box
    tall, wide, _ = shape
    bottom, right = min(top + height, tall), min(left + width, wide)
    if bottom <= max(top, 0) or right <= max(left, 0):
        raise jgan.UserError(
            f"box={box} misses a photo of {tall}x{wide} pixels: top, left, height, width within it."
        )
    return max(top, 0), max(left, 0), bottom - max(top, 0), right - max(left, 0)


def _ramp(size: int, begin: bool, end: bool) -> jax.Array:
    """Weights [size], 1 in the middle and falling to 0 towards the ends that are asked for."""
    at = (jnp.arange(size, dtype=jnp.float32) + 0.5) / (size * _FADE)
    first, last = jnp.minimum(at, 1), jnp.minimum(at[::-1], 1)
    one = jnp.ones(size)
    return (first if begin else one) * (last if end else one)
