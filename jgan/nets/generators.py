"""Translation generators: U-Net and encoder-decoder (pix2pix) and the ResNet of CycleGAN.

Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks" (2017), appendix 6.1, and
Zhu et al., "Unpaired Image-to-Image Translation" (2017), appendix 7.2; details as the authors' PyTorch line has
them (where dropout stands, no norm at the bottleneck, encoder before decoder in a skip).
"""

import functools
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

import jgan
from jgan.nets import layers
from jgan.nets import net as nets
from jgan.ops import conv
from jgan.ops import resample

WHERE_ADD = ("all", "input")
ANTIALIAS_UP = ("auto", "on", "off")


class UNet(nn.Module):
    """Images [n, h, w, out] in [-1, 1] from images whose sides are multiples of 2 ** levels.

    Dropout, the only noise of pix2pix, stands at decoder levels 5 to `levels` - 1: all that have full width on
    both sides, but for the bottleneck's own.

    A code z [n, nz] is joined, the same at all pixels, to what every encoder layer takes before its activation
    (`where_add` is `all`) or to the image alone (`input`): Zhu et al., "Toward Multimodal Image-to-Image Translation"
    (2017), figure 3.
    """

    features: int
    levels: int = 8
    ngf: int = 64
    norm: str = "batch"
    dropout: float = 0.5
    upsample: str = "transposed"
    antialias: bool = False
    antialias_up: str = "auto"
    skips: bool = True
    where_add: str = "all"
    logits: bool = False
    dtype: Any = None

    @nn.compact
    def __call__(
        self, x: jax.Array, z: jax.Array | None = None, *, statistics: str, dropout: bool
    ) -> jax.Array:
        bias = self.norm == "instance"
        widths = [self.ngf * min(2**k, 8) for k in range(self.levels)]
        encoded = []
        for k, width in enumerate(widths, start=1):
            code = z if k == 1 or self.where_add == "all" else None
            if k > 1:
                x, code = jax.tree.map(lambda y: nn.leaky_relu(y, 0.2), (x, code))
            if self.antialias:
                x = resample.blur(x)
            x = layers.Conv(width, 4, 2, 1, bias, self.dtype, name=f"down_{k}")(x, code)
            if 1 < k < self.levels:
                x = layers.Norm(self.norm, name=f"down_norm_{k}")(x, statistics)
            encoded.append(x)
        for k in range(self.levels, 0, -1):
            if k < self.levels and self.skips:
                x = jnp.concatenate([encoded[k - 1], x], -1)
            last = k == 1
            x = layers.Upsample(
                self.features if last else widths[k - 2],
                4,
                1,
                0,
                self.upsample,
                _filtered_up(self),
                bias or last,
                self.dtype,
                name=f"up_{k}",
            )(nn.relu(x))
            if last:
                return _output(x, self.logits)
            x = layers.Norm(self.norm, name=f"up_norm_{k}")(x, statistics)
            if 5 <= k < self.levels and self.dropout:
                x = nn.Dropout(self.dropout)(x, deterministic=not dropout)


class ResNet(nn.Module):
    """Images [n, h, w, out] in [-1, 1] from images whose sides are multiples of 4."""

    features: int
    blocks: int = 9
    ngf: int = 64
    norm: str = "instance"
    dropout: float = 0.0
    upsample: str = "transposed"
    antialias: bool = False
    antialias_up: str = "auto"
    logits: bool = False
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array, *, statistics: str, dropout: bool) -> jax.Array:
        bias = self.norm == "instance"

        def block(x, name, width, kernel, stride=1, padding=0):
            x = layers.Conv(width, kernel, stride, padding, bias, self.dtype, name=name)(x)
            return nn.relu(layers.Norm(self.norm, name=f"{name}_norm")(x, statistics))

        x = block(resample.reflect_pad(x, 3), "first", self.ngf, 7)
        for k in (1, 2):
            width = self.ngf * 2**k
            if self.antialias:
                x = resample.blur_downsample(block(x, f"down_{k}", width, 3, 1, 1))
            else:
                x = block(x, f"down_{k}", width, 3, 2, 1)
        # One program for all blocks, [blocks, ...] their parameters. The backward pass keeps inputs and what the
        # convolutions gave; norms are computed again.
        blocks = nn.scan(
            nn.remat(_Residual, policy=conv.is_convolution, prevent_cse=False),
            variable_axes={"params": 0, "stats": 0},
            split_rngs={"params": True, "dropout": True},
            length=self.blocks,
        )
        x, _ = blocks(
            4 * self.ngf, self.norm, self.dropout if dropout else 0.0, statistics, self.dtype, name="blocks"
        )(x, None)
        for k in (1, 2):
            width = self.ngf * 2 ** (2 - k)
            x = layers.Upsample(
                width, 3, 1, 1, self.upsample, _filtered_up(self), bias, self.dtype, name=f"up_{k}"
            )(x)
            x = nn.relu(layers.Norm(self.norm, name=f"up_{k}_norm")(x, statistics))
        x = layers.Conv(self.features, 7, dtype=self.dtype, name="last")(resample.reflect_pad(x, 3))
        return _output(x, self.logits)


def _output(x: jax.Array, logits: bool) -> jax.Array:
    """What the last layer gives: images in [-1, 1] by tanh, or logits as they are, in float32 at least."""
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    return x if logits else jnp.tanh(x)


class _Residual(nn.Module):
    """A residual block, as the body of a scan over blocks."""

    features: int
    norm: str
    dropout: float
    statistics: str
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array, _: None) -> tuple[jax.Array, None]:
        y = x
        for name in ("a", "b"):
            y = layers.Conv(
                self.features, 3, bias=self.norm == "instance", dtype=self.dtype, name=f"conv_{name}"
            )(resample.reflect_pad(y, 1))
            y = layers.Norm(self.norm, name=f"norm_{name}")(y, self.statistics)
            if name == "a":
                y = nn.Dropout(self.dropout, deterministic=self.dropout == 0)(nn.relu(y))
        return x + y, None


def _filtered_up(module: UNet | ResNet) -> bool:
    """Whether a generator interpolates with a low-pass filter where it doubles a resolution."""
    return module.antialias if module.antialias_up == "auto" else module.antialias_up == "on"


def _unet(
    levels: int | None = None, skips: bool = True, blocks: int | None = None, **arguments: Any
) -> nets.Net:
    del blocks  # a ResNet's
    if not isinstance(levels, int) or levels < 2:
        raise jgan.UserError(f"generator.levels={levels!r}: a U-Net needs 2 or more levels.")
    module = UNet(levels=levels, skips=skips, **arguments)
    return nets.functions(module, 2**levels)


def _resnet(blocks: int, levels: int | None = None, where_add: str = "all", **arguments: Any) -> nets.Net:
    del levels, where_add  # a U-Net's
    if not isinstance(blocks, int) or blocks < 1:
        raise jgan.UserError(f"generator.blocks={blocks!r}: a ResNet needs 1 block or more.")
    module = ResNet(blocks=blocks, **arguments)
    apart = not layers.is_batch(module.norm) and module.dropout == 0
    return nets.functions(module, 4, _radius(module), apart=apart)


def _radius(module: ResNet) -> int:
    """How many pixels of the input lie between an output pixel and the farthest it sees.

    A change of resolution reaches 1 pixel of its finer side, 2 or 3 with filters or copied pixels; a block of two
    3x3 convolutions reaches 2 of its own, which are 8 of the input.
    """
    down = 2 if module.antialias else 1
    up = 3 if _filtered_up(module) else 2 if module.upsample == "resize_conv" else 1
    return 3 + (1 + 2) * down + 8 * module.blocks + (1 + 2) * up + 3


def _fixed(levels: int, skips: bool = True):
    def make(**arguments: Any) -> nets.Net:
        return _unet(**{**arguments, "levels": levels, "skips": skips})

    return make


def _fixed_blocks(blocks: int):
    def make(**arguments: Any) -> nets.Net:
        return _resnet(**{**arguments, "blocks": blocks})

    return make


GENERATORS = {
    "unet": _unet,
    "unet_64": _fixed(6),
    "unet_128": _fixed(7),
    "unet_256": _fixed(8),
    "encoder_decoder": functools.partial(_unet, skips=False),
    "encoder_decoder_64": _fixed(6, False),
    "encoder_decoder_128": _fixed(7, False),
    "encoder_decoder_256": _fixed(8, False),
    "resnet": _resnet,
    "resnet_6blocks": _fixed_blocks(6),
    "resnet_9blocks": _fixed_blocks(9),
}


def generator(
    name: str,
    features: int,
    *,
    levels: int | None = None,
    blocks: int = 9,
    ngf: int = 64,
    norm: str = "batch",
    dropout: float = 0.5,
    upsample: str = "transposed",
    antialias: bool = False,
    antialias_up: str = "auto",
    where_add: str = "all",
    logits: bool = False,
    dtype: Any = None,
) -> nets.Net:
    """The generator `name`: a net from images [n, h, w, any] to images [n, h, w, features] in [-1, 1].

    All but the residual ones take codes [n, nz] as a second input.

    Args:
        name: a key of `GENERATORS`; a U-Net named by a size halves an image of that size to one pixel.
        features: channels of the output.
        levels: how often `unet` and `encoder_decoder` halve the image; the other names say it.
        blocks: residual blocks of `resnet`; the other names say it.
        ngf: channels after the first layer.
        norm: `batch`, `instance` or `none`.
        dropout: the share of activations dropped, 0 for none.
        upsample: `transposed` or `resize_conv`.
        antialias: low-pass filters around every change of resolution.
        antialias_up: whether they are there where the resolution grows: `on`, `off`, or `auto`, which is as
            `antialias` says. CUT's ResNet has them or not in either direction.
        where_add: where codes come in, `all` layers of the encoder or its `input`.
        logits: the output is not bounded: no tanh follows the last layer.
        dtype: type of the arithmetic; None follows the input.

    Raises:
        jgan.UserError: a name or an option that does not exist.
    """
    if name not in GENERATORS:
        raise jgan.UserError(f"generator {name!r} is unknown: use one of {', '.join(GENERATORS)}.")
    if not 0 <= dropout < 1:
        raise jgan.UserError(f"generator.dropout={dropout}: it must be at least 0 and below 1.")
    layers.check(norm, upsample)
    if where_add not in WHERE_ADD:
        raise jgan.UserError(
            f"generator.where_add={where_add!r} is unknown: use one of {', '.join(WHERE_ADD)}."
        )
    if antialias_up not in ANTIALIAS_UP:
        raise jgan.UserError(
            f"generator.antialias_up={antialias_up!r} is unknown: use one of {', '.join(ANTIALIAS_UP)}."
        )
    return GENERATORS[name](
        features=features,
        levels=levels,
        blocks=blocks,
        ngf=ngf,
        norm=norm,
        dropout=dropout,
        upsample=upsample,
        antialias=antialias,
        antialias_up=antialias_up,
        where_add=where_add,
        logits=logits,
        dtype=dtype,
    )


def of(config: Any, features: int, size: int, dtype: Any, *, logits: bool = False) -> nets.Net:
    """The `generator` that the `generator` part of a config describes, for training on images of `size` pixels a side.

    With `margin` whole pictures (`statistics="image"`) are mirrored over so many pixels on every side before they are
    translated, and the result is cut to their size. A net with zero padding can know from it where an edge is, and
    draw something there; with a margin it never is at an edge of the picture. Training is the same.

    Raises:
        jgan.UserError: as in `generator`, or a size or a margin that it cannot take.
    """
    net = generator(
        config.name,
        features,
        levels=config.levels,
        blocks=config.get("blocks", 9),
        ngf=config.ngf,
        norm=config.norm,
        dropout=config.dropout,
        upsample=config.upsample,
        antialias=config.antialias,
        antialias_up=config.get("antialias_up", "auto"),
        where_add=config.get("where_add", "all"),
        logits=logits,
        dtype=dtype,
    )
    if size % net.multiple:
        raise jgan.UserError(
            f"generator {config.name} trains on sizes that are multiples of {net.multiple}; data.size={size} is "
            "not: choose another size or fewer levels."
        )
    margin = config.get("margin", 0)
    if not isinstance(margin, int) or margin < 0 or margin % net.multiple:
        raise jgan.UserError(f"generator.margin={margin!r}: it must be 0 or a multiple of {net.multiple}.")
    return _with_margin(net, margin) if margin else net


def _with_margin(net: nets.Net, margin: int) -> nets.Net:
    """The net that takes whole pictures with mirrored pixels around them."""

    def apply(
        params: Any, stats: Any, x: jax.Array, *codes: jax.Array, statistics: str = "batch", **rest: Any
    ) -> tuple[jax.Array, Any]:
        if statistics != "image":
            return net.apply(params, stats, x, *codes, statistics=statistics, **rest)
        mirrored = resample.reflect_pad(x, margin)
        y, stats = net.apply(params, stats, mirrored, *codes, statistics=statistics, **rest)
        return resample.crop_centre(y, *x.shape[1:3]), stats

    return net._replace(apply=apply)
