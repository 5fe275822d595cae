"""Progressive GAN's nets: their published size, strided kernels, and what a level between two sizes is."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jgan
from jgan.nets import progressive
from jgan.ops import conv
from jgan.ops import resample

pytestmark = pytest.mark.usefixtures("quick_convolutions")

KEY, SIZE, NZ = jax.random.key(8), 16, 5
WIDTHS = {"channel_base": 64, "channel_max": 8}


@functools.cache
def drawn(kind):
    """(net, its parameters, all of them drawn)."""
    if kind == "generator":
        net = progressive.generator(size=SIZE, features=3, **WIDTHS)
        like = jnp.zeros((4, NZ))
    else:
        net = progressive.discriminator(size=SIZE, **WIDTHS)
        like = jnp.zeros((4, SIZE, SIZE, 3))
    shapes = jax.eval_shape(net.init, KEY, like, 0.0)[0]
    rng = np.random.default_rng(1)
    return net, jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), shapes)


@functools.cache
def compiled(kind):
    """`(parameters, input, level, low=0, top=None) -> output`."""
    net = drawn(kind)[0]
    return jax.jit(
        lambda params, x, level, low=0, top=None: net.apply(params, {}, x, level, low, top)[0],
        static_argnames=("low", "top"),
    )


def made(level, low=0, top=None):
    return compiled("generator")(drawn("generator")[1], jax.random.normal(KEY, (3, NZ)), level, low, top)


def test_the_nets_of_celeba_hq_have_the_published_size():
    """Table 2 of the paper: 23.1 M of either at 1024 px. Of each layer the kernel and one bias for a channel."""

    def layers(*shapes):
        return sum(math.prod(shape) + shape[-1] for shape in shapes)

    widths = [512, 512, 512, 512, 256, 128, 64, 32, 16]
    blocks = list(zip(widths, widths[1:], strict=False))
    g = 512 * 16 * 512 + 512 + layers((9, 512, 512))
    g += layers(*((9, a, b) for a, b in blocks), *((9, b, b) for _, b in blocks), *((w, 3) for w in widths))
    d = layers((9, 513, 512), (16, 512, 512), (512, 1), *((3, w) for w in widths))
    d += layers(*((9, b, b) for _, b in blocks), *((9, b, a) for a, b in blocks))
    nets = {
        "generator": (progressive.generator(size=1024, features=3), jnp.zeros((1, 512))),
        "discriminator": (progressive.discriminator(size=1024), jnp.zeros((1, 1024, 1024, 3))),
    }
    counts = {
        name: sum(x.size for x in jax.tree.leaves(jax.eval_shape(net.init, KEY, like, 8.0)[0]))
        for name, (net, like) in nets.items()
    }
    assert counts == {"generator": g, "discriminator": d}
    assert (round(g / 1e6, 1), round(d / 1e6, 1)) == (23.1, 23.1)


@pytest.mark.parametrize("resampled", ["up", "down"])
def test_a_strided_layer_is_one_of_3x3_and_blocks(resampled):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 6, 6, 3))
    params = {"kernel": rng.normal(size=(3, 3, 3, 5)), "bias": rng.normal(size=5)}
    layer = progressive.Layer(5, resampled=resampled)
    with jax.enable_x64(True):
        ours = jax.jit(layer.apply)({"params": params}, x)
        big = resample.nearest_upsample(jnp.asarray(x)) if resampled == "up" else jnp.asarray(x)
        y = conv.conv(big, jnp.asarray(params["kernel"]), 1, ((1, 1), (1, 1))) * math.sqrt(2 / 27)
        y = (resample.halve(y) if resampled == "down" else y) + params["bias"]
        np.testing.assert_allclose(ours, np.where(y > 0, y, 0.2 * y), rtol=0, atol=1e-12)


def test_pixels_of_the_generator_have_a_root_mean_square_of_one():
    x = np.random.default_rng(0).normal(3, 2, (2, 4, 4, 6))
    params = {"kernel": np.ones((3, 3, 6, 8)), "bias": np.arange(8.0)}
    y = progressive.Layer(8, normal=True).apply({"params": params}, x)
    np.testing.assert_allclose(jnp.mean(jnp.square(y), -1), 1, rtol=1e-5)


def test_a_generator_that_has_not_grown_shows_its_pictures_as_blocks():
    for level, size in ((0.0, 4), (1.0, 8)):
        small = made(level, low=int(level), top=int(level))
        assert small.shape == (3, size, size, 3)
        np.testing.assert_allclose(made(level), progressive.enlarged(small, SIZE), atol=1e-5)
    assert np.abs(made(1.0) - made(0.0)).max() > 0.01


def test_a_fade_is_between_two_sizes():
    old, new = progressive.enlarged(made(1.0, 1, 1), SIZE), made(2.0, 2, 2)
    np.testing.assert_allclose(made(1.25), 0.75 * old + 0.25 * new, atol=1e-5)
    np.testing.assert_allclose(made(1.25, 1, 2), made(1.25), atol=1e-5)


def test_a_discriminator_sees_what_it_has_grown_to():
    """Large pictures are judged by the means of their blocks, and in a fade by both sizes."""
    judge, params = compiled("discriminator"), drawn("discriminator")[1]
    images = jax.random.normal(KEY, (4, SIZE, SIZE, 3))
    for level in (0, 1):
        small = progressive.shrunk(images, 4 << level)
        alone = judge(params, small, float(level), low=level, top=level)["logits"][0]
        whole = judge(params, images, float(level))
        np.testing.assert_allclose(whole["logits"][0], alone, rtol=1e-4, atol=1e-5)
    assert alone.shape == (4, 1) and len(whole["features"]) == 2
    partly = judge(params, images, 1.25)["logits"][0]
    np.testing.assert_allclose(judge(params, images, 1.25, 1, 2)["logits"][0], partly, rtol=1e-4, atol=1e-5)
    assert np.abs(partly - alone).max() > 1e-4


def test_real_images_fade_in_as_generated_ones_do():
    images = jax.random.normal(KEY, (2, 8, 8, 3))
    blocks = progressive.enlarged(progressive.shrunk(images, 4), 8)
    np.testing.assert_array_equal(progressive.faded(images, 0.0, 1), blocks)
    np.testing.assert_array_equal(progressive.faded(images, 1.0, 1), images)
    np.testing.assert_allclose(progressive.faded(images, 0.75, 1), 0.25 * blocks + 0.75 * images, atol=1e-6)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: progressive.generator(size=24, features=3), "data.size=24.*8, 16, 32"),
        (lambda: progressive.discriminator(size=4), "data.size=4"),
        (
            lambda: progressive.generator(size=64, features=3, channel_base=32),
            "generator.channel_base=32.*64",
        ),
        (lambda: progressive.discriminator(size=8, channel_max=0), "discriminator.channel_max=0"),
    ],
)
def test_nets_that_cannot_be_are_refused(make, message):
    with pytest.raises(jgan.UserError, match=message):
        make()
