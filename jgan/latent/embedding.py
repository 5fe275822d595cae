"""Local edits of photos by what a generator with styles and maps of noise can draw: Image2StyleGAN++.

Abdal et al., "Image2StyleGAN++: How to Edit the Embedded Images?" (2020). Two blocks, W_l (`embed_styles`) and M_n
(`embed_maps`), and of them crossover, inpainting, scribbles and local style; I_att is `transfer_attributes`. Styles and
maps are never searched for both at once. All are pure functions of the arrays of one photo, which `jax.vmap` makes
functions of many:

    space = run.within("w_plus_noise").space()
    settings = project.choose(run.within("w_plus_noise"))["settings"]
    latent = embedding.inpaint(space, photo, known, key, settings)
    picture = space.generate(latent)

Rows of styles that a recipe moves are the paper's of 18, scaled to the rows that the generator has.
"""

from collections.abc import Callable
import math
from typing import Any

import jax
import jax.numpy as jnp

import jgan
from jgan import space as space_lib
from jgan.latent import coordinates
from jgan.latent import costs
from jgan.latent import projection
from jgan.latent import searches

Cost = Callable[[jax.Array], jax.Array]

_PAPER_ROWS = 18  # of 1024 px
_INPAINT = (*range(9), 16, 17)  # places and colours, but not what lies between
_SCRIBBLE = tuple(range(6))  # places, and shapes of what is large
_BLUR = 3 / 256  # deviation of the blur of masks, as a share of the side
_HOLD = 0.01  # of the squared distance of a scribble's styles from those of the photo


def rows_of(count: int, wanted: tuple[int, ...]) -> tuple[int, ...]:
    """The rows of a generator with `count` of them that correspond to rows of the paper's 18, from 0."""
    return tuple(k for k in range(count) if math.floor((k + 0.5) * _PAPER_ROWS / count) in wanted)


def embed_styles(
    space: space_lib.Space,
    cost: Cost,
    start: Any,
    key: jax.Array,
    settings: searches.Settings,
    *,
    rows: tuple[int, ...] | None = None,
    hold: float = 0.0,
) -> Any:
    """W_l: a latent whose styles cost least, under its own maps of noise.

    Args:
        space: `w_plus_noise` of a run.
        cost: of an image, such as sums of `costs.reconstruction` and `costs.style`.
        start: a latent.
        key: of the noise that is added to styles.
        settings: of the search.
        rows: those that move, from 0; None: all of them.
        hold: weight of the mean squared distance of the styles from those of `start`.

    Raises:
        jgan.UserError: rows that there are not, or none.
    """
    begin, maps = start["w_plus"], start["noise"]
    if rows is not None and (not rows or not set(rows) <= set(range(len(begin)))):
        raise jgan.UserError(f"rows={rows}: this generator has rows of styles 0 to {len(begin) - 1}.")
    moving = jnp.array([[rows is None or k in rows] for k in range(len(begin))])
    inner = coordinates.p_norm(space.rows, settings.p_norm) if settings.p_norm else space.rows

    def bound(u: jax.Array) -> jax.Array:
        return jnp.where(moving, inner.bound(u), begin)

    def penalty(u: jax.Array) -> jax.Array:
        value = hold * jnp.mean(jnp.square(bound(u) - begin))
        return value + inner.penalty(u) if inner.penalty else value

    of_rows = inner._replace(
        bound=bound, penalty=penalty, generate=lambda ws: space.generate({"noise": maps, "w_plus": ws})
    )
    found = projection.project(of_rows, cost, begin, settings, key=key)
    return {"noise": maps, "w_plus": found.latent}


def embed_maps(space: space_lib.Space, cost: Cost, start: Any, settings: searches.Settings) -> Any:
    """M_n: a latent whose maps of noise cost least, under its own styles.

    Args:
        space: `w_plus_noise` of a run.
        cost: of an image; features would move maps to their blind spots, so `between` is what fits.
        start: a latent.
        settings: of the search, which has `noise_evaluations`.
    """
    alone = coordinates.maps_alone(space.rows, start["w_plus"])
    then = settings._replace(evaluations=max(settings.noise_evaluations, 1), style_noise=0.0, shared=0.0)
    found = projection.project(alone, cost, start["noise"], then)
    return {"noise": found.latent, "w_plus": start["w_plus"]}


def between(inside: jax.Array, outside: jax.Array, mask: jax.Array) -> Cost:
    """The cost of an image that should be one image under a mask and another beside it: the two terms of M_n."""
    m = mask[..., None]

    def cost(image: jax.Array) -> jax.Array:
        return jnp.mean(m * jnp.square(image - inside) + (1 - m) * jnp.square(image - outside))

    return cost


def blurred(mask: jax.Array) -> jax.Array:
    """M_blur: a mask [h, w] whose border is soft, by a Gaussian of three pixels in 256."""
    deviation = _BLUR * mask.shape[0]
    reach = max(math.ceil(3 * deviation), 1)
    taps = jnp.exp(-0.5 * jnp.square(jnp.arange(-reach, reach + 1) / deviation))
    taps = (taps / jnp.sum(taps)).astype(jnp.float32)
    x = jnp.pad(mask.astype(jnp.float32), reach, mode="edge")
    x = jax.vmap(lambda row: jnp.convolve(row, taps, "valid"))(x)
    return jax.vmap(lambda row: jnp.convolve(row, taps, "valid"))(x.T).T


def middle(space: space_lib.Space, settings: searches.Settings) -> Any:
    """The latent of the mean style under the generator's own noise, at which embeddings begin.

    In P-norm coordinates the mean is their own, because that of styles may be far out there.
    """
    rows = coordinates.p_norm(space.rows, settings.p_norm) if settings.p_norm else space.rows
    return {"noise": rows.styles.maps, "w_plus": rows.styles.middle()}


def crossover(
    space: space_lib.Space,
    first: jax.Array,
    second: jax.Array,
    mask: jax.Array,
    key: jax.Array,
    settings: searches.Settings,
    *,
    features: costs.Features | None = None,
    weight: float = 0.0,
) -> Any:
    """The latent of the first photo under a mask and of the second one beside it.

    Args:
        space: `w_plus_noise` of a run.
        first: a photo [h, w, c] in [-1, 1].
        second: another one.
        mask: [h, w], 1 where the first is wanted and 0 where the second is.
        key: of the search.
        settings: of the search.
        features: `image -> activations` beside the pixels.
        weight: of the features.

    Raises:
        jgan.UserError: a space without maps of noise, or sizes that do not fit.
    """
    _check(space, (first, second), mask)
    soft = blurred(mask)
    one = costs.reconstruction(first, soft, features, weight)
    other = costs.reconstruction(second, 1 - soft, features, weight)
    latent = embed_styles(space, lambda x: one(x) + other(x), middle(space, settings), key, settings)
    return embed_maps(space, between(first, second, soft), latent, settings)


def inpaint(
    space: space_lib.Space,
    photo: jax.Array,
    known: jax.Array,
    key: jax.Array,
    settings: searches.Settings,
    *,
    features: costs.Features | None = None,
    weight: float = 0.0,
    rows: tuple[int, ...] | None = None,
) -> Any:
    """The latent of a photo whose unknown part the generator fills.

    Args:
        space: `w_plus_noise` of a run.
        photo: [h, w, c] in [-1, 1]; what it has where it is unknown does not matter.
        known: [h, w], 1 where it is known and 0 elsewhere.
        key: of the search.
        settings: of the search.
        features: `image -> activations` beside the pixels.
        weight: of the features.
        rows: of styles that move; None: the paper's, 1 to 9, 17 and 18 of 18.

    Raises:
        jgan.UserError: as in `crossover`.
    """
    _check(space, (photo,), known)
    start = middle(space, settings)
    moving = rows_of(len(start["w_plus"]), _INPAINT) if rows is None else rows
    cost = costs.reconstruction(photo, known, features, weight)
    latent = embed_styles(space, cost, start, key, settings, rows=moving)
    return embed_maps(space, between(photo, space.generate(latent), known), latent, settings)


def scribble(
    space: space_lib.Space,
    photo: jax.Array,
    scribbled: jax.Array,
    mask: jax.Array,
    start: Any,
    key: jax.Array,
    settings: searches.Settings,
    *,
    features: costs.Features | None = None,
    weight: float = 0.0,
    rows: tuple[int, ...] | None = None,
) -> Any:
    """The latent of a photo in which the generator has made a person's scribble its own.

    Args:
        space: `w_plus_noise` of a run.
        photo: [h, w, c] in [-1, 1].
        scribbled: the same with the scribble on it.
        mask: [h, w], 1 where the scribble is.
        start: the latent of the photo, as a projection gives it.
        key: of the search.
        settings: of the search.
        features: `image -> activations` beside the pixels.
        weight: of the features.
        rows: of styles that move; None: the first third, which decide about places and shapes.

    Raises:
        jgan.UserError: as in `crossover`.
    """
    _check(space, (photo, scribbled), mask)
    soft = blurred(mask)
    moving = rows_of(len(start["w_plus"]), _SCRIBBLE) if rows is None else rows
    cost = costs.reconstruction(
        soft[..., None] * scribbled + (1 - soft[..., None]) * photo, None, features, weight
    )
    # Maps that already hold the photo would draw it over the scribble.
    begin = {"noise": space.rows.styles.maps, "w_plus": start["w_plus"]}
    latent = embed_styles(space, cost, begin, key, settings, rows=moving, hold=_HOLD)
    return embed_maps(space, between(photo, space.generate(latent), 1 - soft), latent, settings)


def local_style(
    space: space_lib.Space,
    photo: jax.Array,
    other: jax.Array,
    mask: jax.Array,
    key: jax.Array,
    settings: searches.Settings,
    *,
    features: costs.Features,
    weight: float = 0.0,
    style_weight: float = 0.05,
) -> Any:
    """The latent of a photo that has the style of another one beside a mask.

    Args:
        space: `w_plus_noise` of a run.
        photo: [h, w, c] in [-1, 1], kept under the mask.
        other: the photo whose style is taken.
        mask: [h, w], 1 where the photo stays.
        key: of the search.
        settings: of the search.
        features: `image -> activations`, of which the style is made.
        weight: of the features beside the pixels.
        style_weight: of the style; the paper's 5e-7 beside 1e-5.

    Raises:
        jgan.UserError: as in `crossover`.
    """
    _check(space, (photo, other), mask)
    soft = blurred(mask)
    kept = costs.reconstruction(photo, soft, features, weight)
    style = costs.style(other, 1 - soft, features, style_weight)
    latent = embed_styles(space, lambda x: kept(x) + style(x), middle(space, settings), key, settings)
    return embed_maps(space, between(photo, space.generate(latent), soft), latent, settings)


def transfer_attributes(
    space: space_lib.Space, first: Any, second: Any, mask: jax.Array, resolution: int
) -> jax.Array:
    """I_att: the image of a latent with the activations of another one under a mask, from one resolution on.

    Args:
        space: `w_plus_noise` of a run.
        first: a latent; its styles and maps draw what comes after.
        second: the latent whose activations are taken under the mask.
        mask: [h, w], 1 where they are taken.
        resolution: of the block after which they are, a power of two from 4 on.

    Raises:
        jgan.UserError: a space without maps of noise, or a resolution that the generator has not.
    """
    _check(space, (), mask)
    size = jax.eval_shape(space.generate, first).shape[0]
    if resolution < 4 or resolution > size or resolution & (resolution - 1):
        raise jgan.UserError(
            f"resolution={resolution}: activations are exchanged at 4, 8, ... or {size} pixels a side."
        )
    m = jax.image.resize(mask.astype(jnp.float32), (resolution, resolution), "linear")[..., None]

    def change(at: int, x: jax.Array) -> jax.Array:
        if at != resolution:
            return x
        share = m.astype(x.dtype)
        return jnp.stack([(1 - share) * x[0] + share * x[1], x[1]])

    latents = jax.tree.map(lambda a, b: jnp.stack([a, b]), first, second)
    return space.rows.styles.changed(latents["w_plus"], latents["noise"], change)[0]


def _check(space: space_lib.Space, images: tuple[jax.Array, ...], mask: jax.Array) -> None:
    """Refuses what has no maps of noise, and images and masks of other sizes."""
    if space.rows is None:
        raise jgan.UserError(
            f"latents of {space.name} have no maps of noise beside their styles: w_plus_noise would work."
        )
    shape = jax.eval_shape(lambda key: space.generate(space.sample(key)), jax.random.key(0)).shape
    for image in images:
        if image.shape != shape:
            raise jgan.UserError(
                f"an image of shape {image.shape} does not fit: the generator makes {shape}."
            )
    if mask.shape != shape[:2]:
        raise jgan.UserError(f"a mask of shape {mask.shape} does not fit: {shape[:2]} would.")
