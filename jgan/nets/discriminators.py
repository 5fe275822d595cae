"""Discriminators that judge patches: the PatchGAN of any depth and scales, and the 1x1 PixelGAN of pix2pix.

Isola et al. (2017), section 3.2.2 and appendix 6.1.2; several scales as in Zhu et al., "Toward Multimodal
Image-to-Image Translation" (2017), appendix. With `n_layers` = 1, 2, 3, 4, 5, 6 a logit sees
16, 34, 70, 142, 286, 574 pixels, the PixelGAN 1.
"""

from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

import jgan
from jgan.nets import layers
from jgan.nets import net as nets
from jgan.ops import resample

ANTIALIAS_PLACES = ("before", "after")


class Patch(nn.Module):
    """{"logits": [[n, h', w', 1]], "features": [activations, ...]} of images [n, h, w, c].

    With `antialias` a low-pass filter stands `before` every strided convolution; with `after` as its
    `antialias_place` the convolution has stride 1, and filter and stride follow its activation: so CUT has it.
    """

    n_layers: int = 3
    ndf: int = 64
    norm: str = "batch"
    antialias: bool = False
    dtype: Any = None
    antialias_place: str = "before"

    @nn.compact
    def __call__(self, x: jax.Array, *, statistics: str, dropout: bool) -> dict[str, Any]:
        del dropout  # it has none
        bias = self.norm == "instance"
        features = []
        for k in range(self.n_layers + 1):
            width = self.ndf * min(2**k, 8)
            stride = 2 if k < self.n_layers else 1
            filtered = self.antialias and stride == 2
            after = filtered and self.antialias_place == "after"
            if after:
                stride = 1
            elif filtered:
                x = resample.blur(x)
            x = layers.Conv(width, 4, stride, 1, bias or k == 0, self.dtype, name=f"conv_{k + 1}")(x)
            if k:
                x = layers.Norm(self.norm, name=f"norm_{k + 1}")(x, statistics)
            x = nn.leaky_relu(x, 0.2)
            features.append(x)
            if after:
                x = resample.blur_downsample(x)
        logits = layers.Conv(1, 4, 1, 1, dtype=self.dtype, name="logits")(x)
        return _output(logits, features)


class Pixel(nn.Module):
    """{"logits": [[n, h, w, 1]], "features": [activations, ...]}: every pixel judged alone.

    The last layer has no bias under batch norm: so the PyTorch line has it.
    """

    ndf: int = 64
    norm: str = "batch"
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array, *, statistics: str, dropout: bool) -> dict[str, Any]:
        del dropout
        bias = self.norm == "instance"
        x = nn.leaky_relu(layers.Conv(self.ndf, 1, dtype=self.dtype, name="conv_1")(x), 0.2)
        features = [x]
        x = layers.Conv(2 * self.ndf, 1, bias=bias, dtype=self.dtype, name="conv_2")(x)
        x = nn.leaky_relu(layers.Norm(self.norm, name="norm_2")(x, statistics), 0.2)
        features.append(x)
        logits = layers.Conv(1, 1, bias=bias, dtype=self.dtype, name="logits")(x)
        return _output(logits, features)


class Scales(nn.Module):
    """{"logits": [[n, h', w', 1], ...], "features": [...]}: a PatchGAN for each scale, each half of the one before.

    `ndf` is that of the first; every further one has half of the channels.
    """

    scales: int = 2
    n_layers: int = 3
    ndf: int = 64
    norm: str = "instance"
    antialias: bool = False
    dtype: Any = None
    antialias_place: str = "before"

    @nn.compact
    def __call__(self, x: jax.Array, *, statistics: str, dropout: bool) -> dict[str, Any]:
        outputs = []
        for k in range(self.scales):
            x = resample.mean_downsample(x) if k else x
            width = max(self.ndf // 2**k, 1)
            patch = Patch(
                self.n_layers,
                width,
                self.norm,
                self.antialias,
                self.dtype,
                self.antialias_place,
                name=f"scale_{k + 1}",
            )
            outputs.append(patch(x, statistics=statistics, dropout=dropout))
        return {name: [x for output in outputs for x in output[name]] for name in outputs[0]}


def _output(logits: jax.Array, features: list[jax.Array]) -> dict[str, Any]:
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    return {"logits": [logits], "features": features}


def map_size(name: str, n_layers: int, size: int) -> int:
    """The number of logits along a side of `size` pixels; 0 or less where the map would be empty.

    It is the same wherever a filter stands: a convolution of stride 1 leaves one pixel less, of which every second is
    taken.
    """
    if name == "pixel":
        return size
    for _ in range(n_layers):
        size //= 2
    return size - 2


def discriminator(
    name: str,
    *,
    size: tuple[int, int],
    n_layers: int = 3,
    ndf: int = 64,
    norm: str = "batch",
    antialias: bool = False,
    antialias_place: str = "before",
    scales: int = 1,
    dtype: Any = None,
) -> nets.Net:
    """The discriminator `name`: a net from images [n, h, w, c] to a dict with "logits" and "features".

    Args:
        name: `patch` or `pixel`.
        size: height and width it will see, so that an empty map is refused here and not in the middle of a net.
        n_layers: strided layers of `patch`, 1 to 6.
        ndf: channels after the first layer.
        norm: `batch`, `instance` or `none`.
        antialias: a low-pass filter at every strided layer of `patch`.
        antialias_place: where it stands: `before` the layer, or `after` its activation as CUT has it.
        scales: of how many scales of the image `patch` has a net, each half of the one before.
        dtype: type of the arithmetic; None follows the input.

    Raises:
        jgan.UserError: an unknown name or norm, or a map that would be empty at `size`.
    """
    layers.check(norm)
    if name == "pixel":
        return nets.functions(Pixel(ndf, norm, dtype))
    if name != "patch":
        raise jgan.UserError(f"discriminator {name!r} is unknown: use one of patch, pixel.")
    if not 1 <= n_layers <= 6:
        raise jgan.UserError(f"discriminator.n_layers={n_layers}: it must be 1 to 6.")
    if antialias_place not in ANTIALIAS_PLACES:
        raise jgan.UserError(
            f"discriminator.antialias_place={antialias_place!r} is unknown: use one of "
            f"{', '.join(ANTIALIAS_PLACES)}."
        )
    if scales < 1:
        raise jgan.UserError(f"discriminator.scales={scales}: it must be 1 or more.")
    smallest = -(-min(size) // 2 ** (scales - 1))
    if map_size(name, n_layers, smallest) < 1:
        raise jgan.UserError(
            f"discriminator patch with n_layers={n_layers} has an empty map at {size[0]}x{size[1]} px"
            f"{f' and {scales} scales' if scales > 1 else ''}: it needs {3 * 2 ** (n_layers + scales - 1)} px or "
            "more; use fewer layers or larger images."
        )
    arguments = (n_layers, ndf, norm, antialias, dtype, antialias_place)
    return nets.functions(Patch(*arguments) if scales == 1 else Scales(scales, *arguments))


def of(config: Any, size: int, norm: str, dtype: Any) -> nets.Net:
    """The `discriminator` that the `discriminator` part of a config describes, of images of `size` pixels a side.

    Raises:
        jgan.UserError: as in `discriminator`.
    """
    return discriminator(
        config.name,
        size=(size, size),
        n_layers=config.n_layers,
        ndf=config.ndf,
        norm=norm,
        antialias=config.antialias,
        antialias_place=config.get("antialias_place", "before"),
        scales=config.get("scales", 1),
        dtype=dtype,
    )
