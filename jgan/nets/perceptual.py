"""AlexNet, VGG-16 and VGG-19 up to their classifiers, as functions from images to named activations.

Krizhevsky (2014), "One weird trick for parallelizing convolutional neural networks" (AlexNet on one device, as
torchvision has it), and Simonyan and Zisserman (2015), "Very Deep Convolutional Networks", configurations D and E.
Their weights are the user's: `jgan.frozen` reads them. What is asked for are distances of activations: Zhu et al.
(2016, iGAN) take AlexNet's conv4, Abdal et al. (2019, Image2StyleGAN) VGG-16's conv1_1, conv1_2, conv3_2 and conv4_2,
Wang et al. (2018, pix2pixHD) the first layer of each of VGG-19's blocks.
"""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp

import jgan
from jgan.nets import layers

# Mean and deviation of ImageNet's colours in [0, 1], which torchvision's nets were trained to expect.
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Convolution(NamedTuple):
    """A convolution with bias and rectifier."""

    name: str
    features: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1


class Pool(NamedTuple):
    """The largest of kernel x kernel pixels, every second one."""

    kernel: int


class Architecture(NamedTuple):
    """A net as the list of its layers.

    Attributes:
        title: its name in sentences.
        layers: in order.
        default: names of the activations that the papers compare.
        lpips: names of those that LPIPS compares; empty where LPIPS has no weights for the net.
        least: images of fewer pixels a side are enlarged, each pixel to a square, until they have as many.
    """

    title: str
    layers: tuple[Convolution | Pool, ...]
    default: tuple[str, ...]
    lpips: tuple[str, ...]
    least: int


def _vgg(*blocks: tuple[int, int]) -> tuple[Convolution | Pool, ...]:
    found: list[Convolution | Pool] = []
    for k, (number, features) in enumerate(blocks, 1):
        found += [Convolution(f"conv{k}_{i}", features) for i in range(1, number + 1)]
        found.append(Pool(2))
    return tuple(found)


ARCHITECTURES = {
    "alexnet": Architecture(
        "AlexNet",
        (
            Convolution("conv1", 64, 11, 4, 2),
            Pool(3),
            Convolution("conv2", 192, 5, 1, 2),
            Pool(3),
            Convolution("conv3", 384),
            Convolution("conv4", 256),
            Convolution("conv5", 256),
        ),
        ("conv4",),
        ("conv1", "conv2", "conv3", "conv4", "conv5"),
        224,  # of 64 pixels its stride of 4 would leave 3 at conv4; iGAN enlarges them to 256 likewise
    ),
    "vgg16": Architecture(
        "VGG-16",
        _vgg((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)),
        ("conv1_1", "conv1_2", "conv3_2", "conv4_2"),
        ("conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3"),
        32,
    ),
    "vgg19": Architecture(
        "VGG-19",
        _vgg((2, 64), (2, 128), (4, 256), (4, 512), (4, 512)),
        ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"),
        (),
        32,
    ),
}


class Perceptual(nn.Module):
    """The activations, after their rectifiers, of the layers named `wanted`, in the net's order."""

    architecture: Architecture
    wanted: tuple[str, ...]

    @nn.compact
    def __call__(self, x: jax.Array) -> list[jax.Array]:
        activations: list[jax.Array] = []
        for layer in self.architecture.layers:
            if len(activations) == len(self.wanted):
                break
            if isinstance(layer, Pool):
                x = nn.max_pool(x, (layer.kernel, layer.kernel), (2, 2))
                continue
            x = layers.Conv(layer.features, layer.kernel, layer.stride, layer.padding, name=layer.name)(x)
            x = nn.relu(x)
            if layer.name in self.wanted:
                activations.append(x)
        return activations


def shapes(architecture: Architecture) -> dict[str, dict[str, tuple[int, ...]]]:
    """{layer: {"kernel": [height, width, in, out], "bias": [out]}} of a net, the shapes of its parameters."""
    found, channels = {}, 3
    for layer in architecture.layers:
        if isinstance(layer, Convolution):
            kernel = (layer.kernel, layer.kernel, channels, layer.features)
            found[layer.name] = {"kernel": kernel, "bias": (layer.features,)}
            channels = layer.features
    return found


def net(
    name: str, wanted: Sequence[str] = (), normalised: bool = True
) -> Callable[[Any, jax.Array], list[jax.Array]]:
    """`(params, images [n, h, w, c] in [-1, 1]) -> activations [n, h', w', features]` of the layers `wanted`.

    Images of any size are normalised as ImageNet's are; grey ones are repeated. What lies behind the last layer that
    is wanted is not computed, and its parameters need not be there.

    Args:
        name: a key of `ARCHITECTURES`.
        wanted: names of layers; by default `Architecture.default`.
        normalised: False gives the net images in [-1, 1], as version 0.0 of LPIPS did.

    Raises:
        jgan.UserError: a net or a layer that does not exist, and on application images of 2 or more than 3 channels.
    """
    if name not in ARCHITECTURES:
        raise jgan.UserError(f"{name!r} is unknown: there are {', '.join(ARCHITECTURES)}.")
    architecture = ARCHITECTURES[name]
    wanted = tuple(wanted) or architecture.default
    known = shapes(architecture)
    for layer in wanted:
        if layer not in known:
            raise jgan.UserError(f"{architecture.title} has no layer {layer!r}: it has {', '.join(known)}.")
    module = Perceptual(architecture, tuple(layer for layer in known if layer in wanted))

    def apply(params: Any, images: jax.Array) -> list[jax.Array]:
        return module.apply({"params": params}, _prepare(images, architecture, normalised))

    return apply


def unit(x: jax.Array, weights: jax.Array | None = None) -> jax.Array:
    """Activations [..., h, w, channels] of length 1 at every position, times the roots of `weights` [channels].

    Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric" (2018, LPIPS), equation 1:
    summed squared differences of what comes out are those of a layer of LPIPS, which learnt the weights.
    """
    # Inside the root a number that changes no result keeps the gradient finite where all channels are 0.
    length = jnp.sqrt(jnp.sum(jnp.square(x), -1, keepdims=True) + 1e-20)
    x = x / (length + 1e-10)
    # The weights are constants; none of them is below 0.
    return x if weights is None else x * jnp.sqrt(weights)


def _prepare(images: jax.Array, architecture: Architecture, normalised: bool = True) -> jax.Array:
    """Images as the net was trained to see them."""
    _, height, width, channels = images.shape
    if channels not in (1, 3):
        raise jgan.UserError(
            f"{architecture.title} sees images of 1 or 3 channels, these have {channels}: use the discriminator's "
            "features."
        )
    x = jnp.broadcast_to(images, (*images.shape[:3], 3))
    if normalised:
        x = ((x + 1) / 2 - jnp.asarray(_MEAN, x.dtype)) / jnp.asarray(_DEVIATION, x.dtype)
    times = -(-architecture.least // min(height, width))
    return x.repeat(times, 1).repeat(times, 2) if times > 1 else x
