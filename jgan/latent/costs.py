"""What an image costs beside a given one: pixels and features, each under its own mask, and style.

Zhu et al. (2016, iGAN), Abdal et al. (2019, 2020: Image2StyleGAN and Image2StyleGAN++).
"""

from collections.abc import Callable
from collections.abc import Sequence

import jax
import jax.numpy as jnp

Features = Callable[[jax.Array], Sequence[jax.Array]]


def reconstruction(
    target: jax.Array,
    mask: jax.Array | None = None,
    features: Features | None = None,
    weight: float = 0.0,
    *,
    feature_mask: jax.Array | None = None,
    comparable: bool = False,
) -> Callable[[jax.Array], jax.Array]:
    """The cost of an image [h, w, c] as a reconstruction of `target`: pixels and features.

    Zhu et al. (2016), equations 2 and 3: the mean squared difference of pixels in [-1, 1], plus `weight` times that
    of features. Since layers of different nets differ by orders of magnitude, each layer's difference is divided by
    the mean square of the target's own activations, and layers are averaged.

    Args:
        target: [h, w, c] in [-1, 1].
        mask: [h, w], 1 where the target is known, 0 where it is unknown, and anything between; None: known everywhere.
            Where it is 0, features are taken of the target itself, so that nothing there counts.
        features: `image -> arrays`, such as a discriminator's activations.
        weight: of the features; 0 leaves them out.
        feature_mask: [h, w], the mask of the features; None: that of the pixels. Image2StyleGAN++ has M_p beside M_m.
        comparable: activations are those of `nets.perceptual.unit`, as of LPIPS: squared differences are summed over
            channels and layers and averaged over positions, and divided by nothing.
    """
    m = jnp.ones(target.shape[:2], target.dtype) if mask is None else mask.astype(target.dtype)
    m = m[..., None]
    area = jnp.maximum(jnp.sum(m) * target.shape[-1], 1e-6)
    f_mask = mask if feature_mask is None else feature_mask
    wanted = features(target) if features is not None and weight else ()
    scales = [jnp.mean(jnp.square(f)) + 1e-6 for f in wanted]

    def cost(image: jax.Array) -> jax.Array:
        value = jnp.sum(m * jnp.square(image - target)) / area
        if wanted:
            f = None if f_mask is None else f_mask.astype(target.dtype)[..., None]
            seen = features(image if f is None else f * image + (1 - f) * target)
            if comparable:
                parts = [jnp.square(a - b) for a, b in zip(seen, wanted, strict=True)]
                return value + weight * sum(jnp.mean(jnp.sum(x, -1)) for x in parts)
            parts = [jnp.mean(jnp.square(a - b)) / s for a, b, s in zip(seen, wanted, scales, strict=True)]
            value += weight * sum(parts) / len(parts)
        return value

    return cost


def style(
    target: jax.Array, mask: jax.Array, features: Features, weight: float = 1.0
) -> Callable[[jax.Array], jax.Array]:
    """The cost of an image whose style under a mask should be that of `target` there: Gram matrices of activations.

    Abdal et al. (2020), equation of L_style: `weight` times the squared difference of the means of products of every
    two channels, divided by the mean square of the target's, and averaged over layers. Positions count as the mask,
    brought to their grid, says; the paper masks the images instead, which adds the edge of the mask to both.

    Args:
        target: [h, w, c] in [-1, 1].
        mask: [h, w], 1 where the style is taken and asked for.
        features: `image -> arrays [h', w', channels]`.
        weight: of this cost.
    """

    def grams(image: jax.Array) -> list[jax.Array]:
        found = []
        for x in features(image):
            m = jax.image.resize(mask.astype(x.dtype), x.shape[:2], "linear")
            products = jnp.einsum("hwc,hwd->cd", x * m[..., None], x)
            found.append(products / jnp.maximum(jnp.sum(m), 1e-6))
        return found

    wanted = grams(target)

    def cost(image: jax.Array) -> jax.Array:
        parts = [
            jnp.mean(jnp.square(a - b)) / (jnp.mean(jnp.square(b)) + 1e-12)
            for a, b in zip(grams(image), wanted, strict=True)
        ]
        return weight * sum(parts) / len(parts)

    return cost
