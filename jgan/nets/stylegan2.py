"""StyleGAN2: a mapping from codes to styles, a synthesis of images from styles and noise, and a discriminator.

Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (2020) and "Training Generative Adversarial
Networks with Limited Data" (2020), with every constant of the second paper's PyTorch code. Weights are stored as there,
N(0, 1) divided by the multiplier of the learning rate, and scaled where they are used. Layers have the same names, and
kernels differ by a transposition alone: [in, out] and [kh, kw, in, out], and the inputs of D's first dense layer are in
the order (y, x, c) here and (c, y, x) there. Parameters are float32.

With a shorter type as `dtype`, the blocks of the `num_fp16_res` highest resolutions work in it. 4x4 pixels never do,
nor do the mapping, the styles and the sum of the images. In bfloat16 styles and weights need no normalisation before.
"""

from collections.abc import Callable
import math
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

import jgan
from jgan.nets import equalised
from jgan.nets import net as nets
from jgan.nets import stylegan2_layers as layers
from jgan.ops import fir

ARCHITECTURES = ("skip", "resnet", "orig")


class Mapping(nn.Module):
    """Styles [n, w_dim] from codes [n, z_dim] and labels [n, c_dim], either of which may be absent."""

    z_dim: int
    c_dim: int
    w_dim: int
    num_layers: int = 8
    lr_multiplier: float = 0.01

    @nn.compact
    def __call__(self, *given: jax.Array, statistics: str = "batch", dropout: bool = False) -> jax.Array:
        del statistics, dropout  # it has neither
        count = (self.z_dim > 0) + (self.c_dim > 0)
        if len(given) != count:
            raise jgan.UserError(
                f"the mapping with z_dim={self.z_dim} and c_dim={self.c_dim} takes {count} inputs, not {len(given)}."
            )
        given, parts = list(given), []
        if self.z_dim:
            parts.append(equalised.normalise(equalised.precise(given.pop(0))))
        if self.c_dim:
            parts.append(equalised.normalise(equalised.Dense(self.w_dim, name="embed")(given.pop(0))))
        x = jnp.concatenate(parts, -1)
        for k in range(self.num_layers):
            x = equalised.Dense(self.w_dim, True, self.lr_multiplier, name=f"fc{k}")(x)
        return x


class Synthesis(nn.Module):
    """Images [n, size, size, features], about in [-1, 1] but not clipped, from styles [n, rows(size), w_dim] and noise.

    Noise is a tuple of maps as `noise_shapes` has them, each or all of them None for no noise. In "skip" every
    resolution adds to the image, in "resnet" and "orig" the last one makes it. `change` is applied after the block of
    each resolution, to its activations and to the image so far: (resolution, array) -> array.
    """

    size: int
    features: int = 3
    channel_base: int = 32768
    channel_max: int = 512
    architecture: str = "skip"
    clamp: float | None = 256.0
    num_fp16_res: int = 4
    dtype: Any = None
    prescaled: bool = False

    @nn.compact
    def __call__(
        self,
        ws: jax.Array,
        noise: tuple[jax.Array | None, ...] | None = None,
        change: Callable[[int, jax.Array], jax.Array] | None = None,
        *,
        statistics: str = "batch",
        dropout: bool = False,
    ) -> jax.Array:
        del statistics, dropout  # it has neither
        sizes, x, image, ws = resolutions(self.size), None, None, equalised.precise(ws)
        if ws.ndim != 3 or ws.shape[1] != rows(self.size):
            raise jgan.UserError(
                f"styles of shape {ws.shape} do not fit: images of {self.size} px take [n, {rows(self.size)}, w_dim]."
            )
        noise = _checked(noise, ws.shape[0], self.size)
        for k, r in enumerate(sizes):
            first = max(2 * k - 1, 0)  # the last row of the block before is taken again
            block = layers.SynthesisBlock(
                r,
                channels(r, self.channel_base, self.channel_max),
                self.features,
                self.architecture,
                r == self.size,
                self.clamp,
                _type_at(r, self.size, self.num_fp16_res, self.dtype, ws.dtype),
                self.prescaled,
                name=f"b{r}",
            )
            x, image = block(x, image, ws[:, first : 2 * k + 2], noise[first : 2 * k + 1])
            if change is not None:
                x, image = change(r, x), None if image is None else change(r, image)
        return image


class Discriminator(nn.Module):
    """{"logits": [[n, 1]], "features": [activations of every block]} of images [n, size, size, c] and labels, if any.

    With labels [n, c_dim] logits are products of what is seen with what is expected. In "skip" every resolution sees
    the image, in "resnet" a block has a second way around its convolutions.
    """

    size: int
    c_dim: int = 0
    channel_base: int = 32768
    channel_max: int = 512
    architecture: str = "resnet"
    mbstd_group_size: int = 4
    clamp: float | None = 256.0
    num_fp16_res: int = 4
    dtype: Any = None

    @nn.compact
    def __call__(
        self,
        image: jax.Array,
        labels: jax.Array | None = None,
        *,
        statistics: str = "batch",
        dropout: bool = False,
    ) -> dict[str, Any]:
        del statistics, dropout  # it has neither
        if image.ndim != 4 or image.shape[1:3] != (self.size, self.size):
            raise jgan.UserError(
                f"images of shape {image.shape} do not fit: this discriminator's take {self.size}x{self.size} pixels."
            )
        if (labels is not None) != (self.c_dim > 0):
            have = "labels" if labels is not None else "no labels"
            raise jgan.UserError(
                f"a discriminator with c_dim={self.c_dim} got images and {have}: that does not fit."
            )
        image, x, features = equalised.precise(image), None, []
        widths = {r: channels(r, self.channel_base, self.channel_max) for r in resolutions(self.size)}
        skip, residual = self.architecture == "skip", self.architecture == "resnet"
        for r in reversed(resolutions(self.size)[1:]):
            dtype = _type_at(r, self.size, self.num_fp16_res, self.dtype, image.dtype)
            block = layers.DiscriminatorBlock(
                widths[r], widths[r // 2], skip or x is None, residual, self.clamp, name=f"b{r}"
            )
            x = block(None if x is None else x.astype(dtype), image.astype(dtype))
            image = fir.downsample(image) if skip else image
            features.append(x)
        x = equalised.precise(x)
        out = layers.Epilogue(
            widths[4], widths[4] if self.c_dim else 1, self.mbstd_group_size, self.clamp, name="b4"
        )
        x = out(x, image if skip else None)
        if self.c_dim:
            expected = Mapping(0, self.c_dim, widths[4], name="mapping")(labels)
            x = jnp.sum(x * expected, -1, keepdims=True) / math.sqrt(widths[4])
        return {"logits": [x], "features": features}


def resolutions(size: int) -> tuple[int, ...]:
    """The resolutions 4, 8, ..., size of the blocks.

    Raises:
        jgan.UserError: the size is not a power of two, or below 8.
    """
    if size < 8 or size & (size - 1):
        near = max(2 ** round(math.log2(max(size, 1))), 8)
        raise jgan.UserError(
            f"data.size={size}: these nets are of squares of 8, 16, 32, ... px, such as {near}."
        )
    return tuple(2**k for k in range(2, size.bit_length()))


def rows(size: int) -> int:
    """How many styles an image of this size takes, one for each layer: 10 for 64 px, 18 for 1024."""
    return 2 * len(resolutions(size))


def channels(resolution: int, channel_base: int, channel_max: int) -> int:
    """The channels of the activations of a resolution."""
    return min(channel_base // resolution, channel_max)


def noise_shapes(size: int) -> tuple[tuple[int, int, int], ...]:
    """The shapes (r, r, 1) of the maps of noise, one for each 3x3 layer: one of 4 px, two of every other resolution."""
    return tuple((r, r, 1) for r in resolutions(size) for _ in range(1 + (r > 4)))


def draw_noise(key: jax.Array, n: int, size: int, dtype: Any = jnp.float32) -> tuple[jax.Array, ...]:
    """Maps N(0, 1) of noise [n, r, r, 1] for images of a size; with n = 1 a batch shares them."""
    shapes = noise_shapes(size)
    keys = jax.random.split(key, len(shapes))
    return tuple(jax.random.normal(k, (n, *shape), dtype) for k, shape in zip(keys, shapes, strict=True))


def noise_constants(key: jax.Array, size: int) -> dict[str, dict[str, jax.Array]]:
    """Maps [r, r] that a run draws once, in their layers' places: {"b4": {"conv1": ...}, "b8": {"conv0": ...}}."""
    constants = {}
    for (block, layer), noise in zip(_noisy(size), draw_noise(key, 1, size), strict=True):
        constants.setdefault(block, {})[layer] = noise[0, :, :, 0]
    return constants


def constant_noise(constants: dict[str, dict[str, jax.Array]], size: int) -> tuple[jax.Array, ...]:
    """`noise_constants` as the maps [1, r, r, 1] that the synthesis takes."""
    return tuple(constants[block][layer][None, :, :, None] for block, layer in _noisy(size))


def affines(params: dict[str, Any], size: int) -> tuple[jax.Array, ...]:
    """The weights [w_dim, channels] of the affine map of each 3x3 layer of a synthesis; layer i takes row i."""
    return tuple(params[block][layer]["affine"]["kernel"] for block, layer in _noisy(size))


def noise_strengths(params: dict[str, Any], size: int) -> tuple[jax.Array, ...]:
    """How strongly each map of noise is added, scalars in the order of the maps, from the synthesis' parameters."""
    return tuple(params[block][layer]["noise_strength"] for block, layer in _noisy(size))


def _checked(noise: tuple[jax.Array | None, ...] | None, n: int, size: int) -> tuple[jax.Array | None, ...]:
    """The maps of noise for n images, None for each where there are none."""
    shapes = noise_shapes(size)
    noise = (None,) * len(shapes) if noise is None else tuple(noise)
    if len(noise) != len(shapes):
        raise jgan.UserError(
            f"{len(noise)} maps of noise do not fit: images of {size} px take {len(shapes)}, each a map or None."
        )
    for x, shape in zip(noise, shapes, strict=True):
        if x is not None and x.shape not in ((n, *shape), (1, *shape)):
            raise jgan.UserError(
                f"noise of shape {x.shape} does not fit: {(n, *shape)} or {(1, *shape)} would."
            )
    return noise


def _noisy(size: int) -> list[tuple[str, str]]:
    """The blocks and the names of the layers that take noise, in order."""
    return [(f"b{r}", layer) for r in resolutions(size) for layer in ("conv0", "conv1")[r == 4 :]]


def _type_at(resolution: int, size: int, num_fp16_res: int, dtype: Any, otherwise: Any) -> Any:
    """The type of the arithmetic of a block."""
    lowest = max(2 * size >> num_fp16_res, 8)
    return dtype if dtype is not None and resolution >= lowest else otherwise


def mapping(
    *, z_dim: int = 512, c_dim: int = 0, w_dim: int = 512, num_layers: int = 8, lr_multiplier: float = 0.01
) -> nets.Net:
    """A net from codes [n, z_dim] and, with c_dim, labels [n, c_dim] to styles [n, w_dim].

    Args:
        z_dim: numbers of a code; 0 for a net of labels alone.
        c_dim: numbers of a label; 0 for none.
        w_dim: numbers of a style, and units of every layer.
        num_layers: dense layers after the two inputs are joined.
        lr_multiplier: how much slower than other layers they learn.

    Raises:
        jgan.UserError: a number that is too small, or neither codes nor labels.
    """
    for field, value, least in (
        ("z_dim", z_dim, 0),
        ("c_dim", c_dim, 0),
        ("w_dim", w_dim, 1),
        ("num_layers", num_layers, 1),
    ):
        _at_least(f"mapping.{field}", value, least)
    if not z_dim and not c_dim:
        raise jgan.UserError("mapping.z_dim=0 and no labels: a style needs a code or a label to come from.")
    if not lr_multiplier > 0:
        raise jgan.UserError(f"mapping.lr_multiplier={lr_multiplier}: it must be above 0.")
    return nets.functions(Mapping(z_dim, c_dim, w_dim, num_layers, lr_multiplier))


def synthesis(
    *,
    size: int,
    features: int = 3,
    channel_base: int = 32768,
    channel_max: int = 512,
    architecture: str = "skip",
    clamp: float | None = 256.0,
    num_fp16_res: int = 4,
    dtype: Any = None,
    prescaled: bool = False,
) -> nets.Net:
    """A net from styles [n, rows(size), w_dim] and noise to images [n, size, size, features], not clipped.

    Noise is a tuple of maps as `noise_shapes` has them, of which each may be None, or None. A function as third input
    is `Synthesis`' `change`.

    Args:
        size: height and width of the images, a power of two.
        features: their channels.
        channel_base: resolution r has min(channel_base // r, channel_max) channels.
        channel_max: the most channels of a resolution.
        architecture: one of `ARCHITECTURES`.
        clamp: activations are clipped at this number; None for never.
        num_fp16_res: how many of the highest resolutions work in `dtype`.
        dtype: type of the arithmetic there; None follows the input.
        prescaled: kernels are scaled before a style normalises them, as in TensorFlow and in rosinality's port; the
            images differ by about 1e-8 of their size.

    Raises:
        jgan.UserError: a size, an architecture or a number that does not exist.
    """
    _check("generator", size, architecture, channel_base, channel_max, clamp, num_fp16_res)
    return nets.functions(
        Synthesis(
            size, features, channel_base, channel_max, architecture, clamp, num_fp16_res, dtype, prescaled
        )
    )


def discriminator(
    *,
    size: int,
    c_dim: int = 0,
    channel_base: int = 32768,
    channel_max: int = 512,
    architecture: str = "resnet",
    mbstd_group_size: int = 4,
    clamp: float | None = 256.0,
    num_fp16_res: int = 4,
    dtype: Any = None,
) -> nets.Net:
    """A net from images [n, size, size, c] and, with c_dim, labels [n, c_dim] to a dict with "logits" and "features".

    Args:
        size: height and width of the images, a power of two.
        c_dim: numbers of a label; 0 for none.
        channel_base: resolution r has min(channel_base // r, channel_max) channels.
        channel_max: the most channels of a resolution.
        architecture: one of `ARCHITECTURES`.
        mbstd_group_size: examples that are compared with each other.
        clamp: activations are clipped at this number; None for never.
        num_fp16_res: how many of the highest resolutions work in `dtype`.
        dtype: type of the arithmetic there; None follows the input.

    Raises:
        jgan.UserError: a size, an architecture or a number that does not exist.
    """
    _check("discriminator", size, architecture, channel_base, channel_max, clamp, num_fp16_res)
    _at_least("discriminator.c_dim", c_dim, 0)
    _at_least("discriminator.mbstd_group_size", mbstd_group_size, 1)
    return nets.functions(
        Discriminator(
            size, c_dim, channel_base, channel_max, architecture, mbstd_group_size, clamp, num_fp16_res, dtype
        )
    )


def _check(
    of: str,
    size: int,
    architecture: str,
    channel_base: int,
    channel_max: int,
    clamp: float | None,
    num_fp16_res: int,
) -> None:
    _at_least(f"{of}.channel_base", channel_base, size)
    _at_least(f"{of}.channel_max", channel_max, 1)
    _at_least(f"{of}.num_fp16_res", num_fp16_res, 0)
    resolutions(size)
    if architecture not in ARCHITECTURES:
        raise jgan.UserError(
            f"{of}.architecture={architecture!r} is unknown: use one of {', '.join(ARCHITECTURES)}."
        )
    if clamp is not None and not clamp > 0:
        raise jgan.UserError(f"{of}.clamp={clamp}: it must be above 0, or 0 for none.")


def _at_least(field: str, value: int, least: int) -> None:
    if value < least:
        raise jgan.UserError(f"{field}={value}: it must be {least} or more.")
