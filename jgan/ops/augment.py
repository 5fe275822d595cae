"""Differentiable augmentation of what a discriminator sees, and the adaptive probability of it.

Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training" (2020): colour, translation and cutout of
real and of generated images alike, with gradients through them to G. Karras et al., "Training Generative Adversarial
Networks with Limited Data" (2020, ADA): each transformation happens with a probability p that follows a sign of
overfitting; that paper's own transformations are in `ada`. Sønderby et al., "Amortised MAP Inference for Image
Super-Resolution" (2017): instance noise.
"""

from collections.abc import Sequence
import math
from typing import Any

import jax
import jax.numpy as jnp

import jgan
from jgan.ops import ada

_SHIFT, _CUT = 1 / 8, 1 / 2  # largest translation, side of the square cut out; of the image's side


def augment(images: jax.Array, key: jax.Array, p: jax.Array | float, policy: Sequence[str]) -> jax.Array:
    """Images [n, h, w, c] of which each went through each transformation of a policy with probability p.

    Every image has random numbers of its own. Of `TRANSFORMATIONS` the very images come back at p = 0. Values may leave
    [-1, 1] (brightness), and pixels that come in from outside the image are 0, as in the authors' code.

    Args:
        images: in [-1, 1].
        key: of all draws.
        p: 0 or more; above 1 all happen.
        policy: names as `parse` returns them: of `TRANSFORMATIONS`, applied in this order, or groups of `ada`; none for
            no augmentation.
    """
    if not policy:
        return images
    if of_ada(policy):
        return ada.transform(images, ada.draw(key, images.shape, p, policy, images.dtype))

    def one(image: jax.Array, key: jax.Array) -> jax.Array:
        for name in policy:
            key, k_happen, k_draw = jax.random.split(key, 3)
            happens = jax.random.uniform(k_happen) < p
            image = jnp.where(happens, TRANSFORMATIONS[name](image, k_draw), image)
        return image

    return jax.vmap(one)(images, jax.random.split(key, images.shape[0]))


def colour(image: jax.Array, key: jax.Array) -> jax.Array:
    """An image [h, w, c] with another brightness, saturation and contrast. Zhao et al. (2020), their code's ranges.

    Brightness moves by at most 1/2 either way, saturation is multiplied by 0 to 2, contrast by 1/2 to 3/2.
    """
    brightness, saturation, contrast = jax.random.uniform(key, (3,), image.dtype)
    image = image + (brightness - 0.5)
    grey = jnp.mean(image, -1, keepdims=True)
    image = grey + (image - grey) * (2 * saturation)
    level = jnp.mean(image)
    return level + (image - level) * (0.5 + contrast)


def translation(image: jax.Array, key: jax.Array) -> jax.Array:
    """An image [h, w, c] moved by at most an eighth of its sides, in whole pixels; what comes in is 0."""
    h, w, c = image.shape
    down, right = _largest(h), _largest(w)
    k_y, k_x = jax.random.split(key)
    y = jax.random.randint(k_y, (), 0, 2 * down + 1)
    x = jax.random.randint(k_x, (), 0, 2 * right + 1)
    padded = jnp.pad(image, ((down, down), (right, right), (0, 0)))
    return jax.lax.dynamic_slice(padded, (y, x, 0), (h, w, c))


def cutout(image: jax.Array, key: jax.Array) -> jax.Array:
    """An image [h, w, c] with a rectangle of half its sides, centred on any pixel, set to 0."""
    h, w, _ = image.shape
    k_y, k_x = jax.random.split(key)

    def inside(key: jax.Array, side: int) -> jax.Array:
        size = int(side * _CUT + 0.5)
        first = jax.random.randint(key, (), 0, side + 1 - size % 2) - size // 2
        places = jnp.arange(side)
        return (places >= first) & (places < first + size)

    hole = inside(k_y, h)[:, None, None] & inside(k_x, w)[None, :, None]
    return jnp.where(hole, 0, image)


def noisy(images: jax.Array, key: jax.Array, scale: float) -> jax.Array:
    """Images with normal noise of standard deviation `scale` added; at 0 the very images. Sønderby et al. (2017).

    The noise hides that the plain areas of G's images are not quite plain, by which D would recognise generated maps or
    drawings at once.
    """
    return images + scale * jax.random.normal(key, images.shape, images.dtype) if scale else images


TRANSFORMATIONS = {"colour": colour, "translation": translation, "cutout": cutout}


def parse(policy: str) -> tuple[str, ...]:
    """The transformations of a policy as a config writes it; () for an empty one.

    Args:
        policy: names with commas between, all of `TRANSFORMATIONS` (`colour,translation,cutout`) or all of ADA: presets
            (`bgc`) and groups (`blit,color`). What `cutout` is follows from the others; alone it is the first.

    Raises:
        jgan.UserError: a name that does not exist, or some of either kind.
    """
    names = tuple(name.strip() for name in policy.split(",") if name.strip())
    ours, theirs = tuple(TRANSFORMATIONS), (*ada.PRESETS, *ada.GROUPS)
    if set(names) <= set(ours):
        return names
    for name in names:
        if name not in (*ours, *theirs):
            raise jgan.UserError(
                f"augment.policy={policy!r}: {name!r} is unknown; use {', '.join(ours)} or several of them with commas "
                f"between, or those of ADA: {', '.join(theirs)}."
            )
    if not set(names) <= set(theirs):
        raise jgan.UserError(
            f"augment.policy={policy!r} mixes two pipelines: use only {', '.join(ours)}, or only {', '.join(theirs)}."
        )
    groups = {group for name in names for group in ada.PRESETS.get(name, (name,))}
    return tuple(group for group in ada.GROUPS if group in groups)


def check(asked: Any) -> None:
    """Refuses numbers of a config's part `augment` that make no sense with a `jgan.UserError`."""
    if not 0 <= asked.p <= 1:
        raise jgan.UserError(f"augment.p={asked.p}: a probability is 0 to 1.")
    if asked.noise < 0:
        raise jgan.UserError(f"augment.noise={asked.noise}: a standard deviation is 0 or more.")
    if not 0 <= asked.target < 1 or asked.ramp <= 0:
        raise jgan.UserError(
            f"augment.target={asked.target} and augment.ramp={asked.ramp}: a target below 1 (0 keeps p as it is) and a "
            "ramp of 1 image or more would work."
        )


def of_ada(policy: Sequence[str]) -> bool:
    """Whether the names that `parse` returned are groups of ADA."""
    return not set(policy) <= set(TRANSFORMATIONS)


def limit(policy: Sequence[str]) -> float:
    """The largest p that an adaptive one reaches: 1; for ADA's own transformations none, as in the authors' code."""
    return math.inf if of_ada(policy) else 1.0


def controller(p: float) -> dict[str, jax.Array]:
    """The state of an adaptive probability that starts at p: {"p", "signs", "batches"}."""
    return {
        "p": jnp.asarray(p, jnp.float32),
        "signs": jnp.zeros((), jnp.float32),
        "batches": jnp.zeros((), jnp.int32),
    }


def adapt(
    state: dict[str, jax.Array],
    logits: jax.Array,
    target: float,
    ramp: float,
    interval: int = 4,
    most: float = 1.0,
) -> dict[str, jax.Array]:
    """The controller's state after one more batch of D's logits of real images. Karras et al. (2020), section 3.1.

    Every `interval` batches p moves by a fixed step, up where r_t = E[sign D(real)] was above the target over those
    batches (D is too sure of the training images) and down where it was below; not below 0.

    Args:
        state: as `controller` makes it.
        logits: of any shape, the batch first; above 0 says real.
        target: of r_t; the paper has 0.6.
        ramp: images in which p would go from 0 to 1; the paper has 500,000.
        interval: batches between two moves; the paper has 4.
        most: the largest p. From above 1 it takes as long to come back.
    """
    signs = state["signs"] + jnp.mean(jnp.sign(logits)).astype(jnp.float32)
    batches = state["batches"] + 1
    due = batches == interval
    move = jnp.sign(signs / interval - target) * (logits.shape[0] * interval / ramp)
    p = jnp.where(due, jnp.clip(state["p"] + move, 0, most), state["p"])
    return {"p": p, "signs": jnp.where(due, 0, signs), "batches": jnp.where(due, 0, batches)}


def _largest(side: int) -> int:
    """The largest translation of a side, in pixels."""
    return int(side * _SHIFT + 0.5)
