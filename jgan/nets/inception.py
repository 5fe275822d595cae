"""Inception-v3 up to its classifier, as the nets that measure FID have it: images to 2048 numbers each.

Szegedy et al., "Rethinking the Inception Architecture for Computer Vision" (2016), in the version of TensorFlow's file
of December 2015, which Heusel et al. (2017, TTUR) took for FID. It differs from torchvision's: its means of 3x3 pixels
are of those inside the image, and the last block has a maximum in the place of such a mean. Only inference is asked
for, with the statistics that the file has.
"""

from collections.abc import Callable
import functools
from typing import Any
from typing import NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

import jgan
from jgan.nets import layers
from jgan.ops import conv
from jgan.ops import pixels

SIDE = 299  # pixels of the images that it was trained on
LEAST = 75  # of those that it can take
FEATURES = 2048
RESIZES = ("half_pixel", "tf1", "none")
_EPSILON = 1e-3


class Unit(NamedTuple):
    """A convolution without bias, a batch norm and a rectifier."""

    name: str
    features: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    padding: tuple[int, int] = (0, 0)


class Fork(NamedTuple):
    """Two units that see the same, one after the other in the channels."""

    first: Unit
    second: Unit


class Pool(NamedTuple):
    """3x3 pixels as one: their `mean`, their `maximum`, or the `strided` maximum at every second place."""

    kind: str


Branch = tuple[Unit | Fork | Pool, ...]


def _unit(name: str, features: int, height: int = 1, width: int = 1) -> Unit:
    """A unit that keeps height and width."""
    return Unit(name, features, (height, width), 1, (height // 2, width // 2))


def _strided(name: str, features: int) -> Unit:
    return Unit(name, features, (3, 3), 2)


def _units(name: str, *shapes: tuple[int, ...]) -> Branch:
    """Units `name_1`, `name_2` and so on, each of (features, height, width)."""
    return tuple(_unit(f"{name}_{k}", *shape) for k, shape in enumerate(shapes, 1))


def _a(pooled: int) -> tuple[Branch, ...]:
    return (
        (_unit("branch1x1", 64),),
        _units("branch5x5", (48,), (64, 5, 5)),
        _units("branch3x3dbl", (64,), (96, 3, 3), (96, 3, 3)),
        (Pool("mean"), _unit("branch_pool", pooled)),
    )


def _c(width: int) -> tuple[Branch, ...]:
    down, across = (width, 7, 1), (width, 1, 7)
    return (
        (_unit("branch1x1", 192),),
        _units("branch7x7", (width,), across, (192, 7, 1)),
        _units("branch7x7dbl", (width,), down, across, down, (192, 1, 7)),
        (Pool("mean"), _unit("branch_pool", 192)),
    )


def _e(pool: str) -> tuple[Branch, ...]:
    def fork(name: str, number: int) -> Fork:
        return Fork(_unit(f"{name}_{number}a", 384, 1, 3), _unit(f"{name}_{number}b", 384, 3, 1))

    return (
        (_unit("branch1x1", 320),),
        (_unit("branch3x3_1", 384), fork("branch3x3", 2)),
        (*_units("branch3x3dbl", (448,), (384, 3, 3)), fork("branch3x3dbl", 3)),
        (Pool(pool), _unit("branch_pool", 192)),
    )


STEM: Branch = (
    _strided("Conv2d_1a_3x3", 32),
    Unit("Conv2d_2a_3x3", 32, (3, 3)),
    _unit("Conv2d_2b_3x3", 64, 3, 3),
    Pool("strided"),
    _unit("Conv2d_3b_1x1", 80),
    Unit("Conv2d_4a_3x3", 192, (3, 3)),
    Pool("strided"),
)
BLOCKS = {
    "Mixed_5b": _a(32),
    "Mixed_5c": _a(64),
    "Mixed_5d": _a(64),
    "Mixed_6a": (
        (_strided("branch3x3", 384),),
        (*_units("branch3x3dbl", (64,), (96, 3, 3)), _strided("branch3x3dbl_3", 96)),
        (Pool("strided"),),
    ),
    "Mixed_6b": _c(128),
    "Mixed_6c": _c(160),
    "Mixed_6d": _c(160),
    "Mixed_6e": _c(192),
    "Mixed_7a": (
        (_unit("branch3x3_1", 192), _strided("branch3x3_2", 320)),
        (*_units("branch7x7x3", (192,), (192, 1, 7), (192, 7, 1)), _strided("branch7x7x3_4", 192)),
        (Pool("strided"),),
    ),
    "Mixed_7b": _e("mean"),
    "Mixed_7c": _e("maximum"),
}


class Layer(nn.Module):
    """What a `Unit` describes."""

    unit: Unit

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        unit = self.unit
        w = self.param("kernel", layers.FAN_IN, (*unit.kernel, x.shape[-1], unit.features))
        (height, width), stride = unit.padding, unit.stride
        x = conv.conv(x, w, stride, ((height, height), (width, width)))
        return nn.relu(layers.Norm("batch", _EPSILON, name="norm")(x, "running"))


class Block(nn.Module):
    """Branches that see the same, one after the other in the channels."""

    branches: tuple[Branch, ...]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.concatenate([_follow(branch, x) for branch in self.branches], -1)


class Inception(nn.Module):
    """Means over all places of the last activations, [n, 2048], of images [n, h, w, 3] in about [-1, 1]."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = _follow(STEM, x)
        for name, branches in BLOCKS.items():
            x = Block(branches, name=name)(x)
        return jnp.mean(x, (1, 2))


def _follow(branch: Branch, x: jax.Array) -> jax.Array:
    """What a branch makes of x; its units become layers of the module that calls."""
    for part in branch:
        match part:
            case Pool("mean"):
                x = nn.avg_pool(x, (3, 3), (1, 1), ((1, 1), (1, 1)), count_include_pad=False)
            case Pool("maximum"):
                x = nn.max_pool(x, (3, 3), (1, 1), ((1, 1), (1, 1)))
            case Pool():
                x = nn.max_pool(x, (3, 3), (2, 2))
            case Fork():
                x = jnp.concatenate([Layer(unit, name=unit.name)(x) for unit in part], -1)
            case Unit():
                x = Layer(part, name=part.name)(x)
    return x


@functools.cache
def shapes() -> dict[str, Any]:
    """{"params", "stats"}: nested dicts of the shapes, with types, of what the net has."""
    image = jax.ShapeDtypeStruct((1, LEAST, LEAST, 3), jnp.float32)
    return dict(jax.eval_shape(Inception().init, jax.random.key(0), image))


def net(resize: str = "half_pixel") -> Callable[[Any, jax.Array], jax.Array]:
    """`(weights {"params", "stats"}, images [n, h, w, c]) -> features [n, 2048]`.

    Images are uint8, or floats in [-1, 1]; grey ones are repeated. The ports of FID differ in how they make them
    299 x 299, and features of one kind must not be compared with those of another:

    * `half_pixel`: as pytorch-fid does; bilinear between the middles of pixels, without a filter; scaled to [-1, 1].
    * `tf1`: as TensorFlow 1 and torch-fidelity do; bilinear between the corners of pixels; (x - 128) / 128.
    * `none`: not at all, and scaled to [-1, 1]; 75 x 75 pixels or more.

    Raises:
        jgan.UserError: another kind, and on application images that the net cannot take.
    """
    if resize not in RESIZES:
        raise jgan.UserError(f"resize={resize!r} is unknown: use one of {', '.join(RESIZES)}.")
    module = Inception()

    def apply(weights: Any, images: jax.Array) -> jax.Array:
        return module.apply(weights, prepare(images, resize))

    return apply


def prepare(images: jax.Array, resize: str) -> jax.Array:
    """Images [n, h, w, 3] as the net sees them; arguments as in `net`."""
    _, height, width, channels = images.shape
    if channels not in (1, 3):
        raise jgan.UserError(f"Inception-v3 sees images of 1 or 3 channels, these have {channels}.")
    if resize == "none" and min(height, width) < LEAST:
        raise jgan.UserError(
            f"images of {height}x{width} pixels are too small for Inception-v3 as they are: {LEAST}x{LEAST} or more, "
            "or a resize, would work."
        )
    x = pixels.to_float(images)
    x = jnp.broadcast_to(x, (*x.shape[:3], 3))
    if resize != "none":
        # Sums of few numbers, which must not be rounded to fewer digits on an accelerator.
        for axis, size in ((1, height), (2, width)):
            if size != SIDE:
                lines = jnp.asarray(_lines(size, resize == "tf1"), x.dtype)
                x = jnp.moveaxis(jnp.tensordot(lines, x, (1, axis), precision="highest"), 0, axis)
    return (127.5 * (x + 1) - 128) / 128 if resize == "tf1" else x


def _lines(size: int, corners: bool) -> np.ndarray:
    """[299, size]: the shares of the lines of an image in the lines of one of 299."""
    places = np.arange(SIDE)
    at = places * (size / SIDE) if corners else np.maximum((places + 0.5) * (size / SIDE) - 0.5, 0)
    low = np.minimum(np.floor(at).astype(int), size - 1)
    share = at - low
    made = np.zeros((SIDE, size))
    made[places, low] = 1 - share
    made[places, np.minimum(low + 1, size - 1)] += share
    return made
