"""Generators have the published sizes and parameter counts, and the noise where it belongs."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jgan
from jgan.nets import generators
from tests.initial_weights import quick_init


def shapes(net, *image):
    return jax.eval_shape(net.init, jax.random.key(0), jax.ShapeDtypeStruct(image, jnp.float32))


def count(tree):
    return sum(x.size for x in jax.tree.leaves(tree))


@pytest.mark.parametrize(
    "name, norm, size, parameters",
    [
        ("unet_256", "batch", 256, 54_413_955),
        ("unet_256", "instance", 256, 54_409_603),
        ("unet_128", "batch", 128, 41_828_995),
        ("resnet_9blocks", "instance", 256, 11_378_179),
        ("resnet_9blocks", "batch", 256, 11_383_427),
        ("resnet_6blocks", "instance", 128, 7_837_699),
        ("resnet_6blocks", "batch", 128, 7_841_411),
    ],
)
def test_parameters_and_size(name, norm, size, parameters):
    net = generators.generator(name, 3, norm=norm)
    params, stats = shapes(net, 1, size, size, 3)
    assert count(params) == parameters
    image = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    output, _ = jax.eval_shape(net.apply, params, stats, image)
    assert output.shape == (1, size, size, 3) and output.dtype == jnp.float32


def test_encoder_decoder_is_the_unet_without_skips():
    net = generators.generator("encoder_decoder_256", 3)
    params, _ = shapes(net, 1, 256, 256, 3)
    widths = [64, 128, 256, 512, 512, 512, 512, 512]
    down = sum(16 * a * b for a, b in zip([3, *widths], widths, strict=False))
    up = sum(16 * a * b for a, b in zip(widths[::-1], [*widths[-2::-1], 3], strict=True)) + 3
    norms = 2 * (sum(widths[1:-1]) + sum(widths[:-1]))
    assert count(params) == down + up + norms


def test_bottleneck_and_ends_have_no_norm():
    params, stats = shapes(generators.generator("unet_64", 3), 1, 64, 64, 3)
    assert {n for n in params if "norm" in n} == {
        *(f"down_norm_{k}" for k in range(2, 6)),
        *(f"up_norm_{k}" for k in range(2, 7)),
    }
    assert set(stats) == {n for n in params if "norm" in n}


def test_dropout_is_the_only_noise():
    net = generators.generator("unet_64", 3, ngf=4)
    x = jax.random.normal(jax.random.key(0), (1, 64, 64, 3))
    params, stats = quick_init(net.init)(jax.random.key(1), x)
    apply = jax.jit(net.apply, static_argnames="statistics")
    still = apply(params, stats, x)[0]
    assert np.array_equal(still, apply(params, stats, x)[0])
    one, two, again = (apply(params, stats, x, dropout=jax.random.key(k))[0] for k in (2, 3, 2))
    assert np.array_equal(one, again)
    assert jnp.max(jnp.abs(one - two)) > 1e-3 and jnp.max(jnp.abs(one - still)) > 1e-3


def test_statistics_of_an_image_ignore_its_batch():
    net = generators.generator("unet", 3, levels=3, ngf=4)
    x = jax.random.normal(jax.random.key(0), (3, 16, 16, 3))
    params, stats = quick_init(net.init)(jax.random.key(1), x)
    apply = jax.jit(net.apply, static_argnames="statistics")
    together, untouched = apply(params, stats, x, statistics="image")
    alone = jnp.concatenate([apply(params, stats, x[k : k + 1], statistics="image")[0] for k in range(3)])
    assert jnp.max(jnp.abs(together - alone)) < 1e-5
    assert jax.tree.all(jax.tree.map(np.array_equal, untouched, stats))
    # With one image the batch is the image.
    batch, updated = apply(params, stats, x[:1], statistics="batch")
    assert jnp.max(jnp.abs(batch - alone[:1])) < 1e-5
    assert not jax.tree.all(jax.tree.map(np.array_equal, updated, stats))


@pytest.mark.parametrize(
    "blocks, radius, arguments",
    [
        (1, 20, {}),
        (2, 31, {"upsample": "resize_conv"}),
        (1, 29, {"antialias": True}),
        (1, 23, {"antialias": True, "antialias_up": "off"}),
    ],
)
def test_a_resnet_sees_as_far_as_it_says(blocks, radius, arguments):
    """The gradient of an output pixel is 0 beyond the radius, and at the radius it is not."""
    net = generators._resnet(blocks, features=1, ngf=2, norm="instance", dropout=0, **arguments)
    assert net.radius == radius
    height, centre, phases = 8, radius // 4 * 4 + 12, 4  # a strip: rows are treated as columns are
    # All averages and positive, so that nothing cancels, no ReLU is shut and no tanh full.
    x = jnp.full((phases, height, 2 * centre, 1), 1e-3)
    params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    params = jax.tree.map(
        lambda p: jnp.full(p.shape, 1 / np.prod(p.shape[-4:-1]) if len(p.shape) >= 4 else 0.0), params
    )
    _, stats = jax.eval_shape(lambda: net.apply(params, {}, x, statistics="gather"))
    stats = jax.tree_util.tree_map_with_path(
        lambda path, s: jnp.full(s.shape, float(path[-1].key == "variance")), stats
    )
    chosen = jnp.arange(phases)  # one pixel of each image, at each place of the strides

    @jax.jit
    @jax.grad
    def gradient(x):
        output, _ = net.apply(params, stats, x, statistics="running")
        return output[chosen, 4, centre + chosen].sum()

    seen = np.asarray(jnp.abs(gradient(x)).max((1, 3)) > 0)  # exactly 0 where no path leads
    reach = [np.abs(np.flatnonzero(row) - centre - k).max() for k, row in enumerate(seen)]
    assert max(reach) == radius and min(reach) > radius - 8


def test_the_radii_of_the_resnets_of_cyclegan():
    assert generators.generator("resnet_6blocks", 3).radius == 60
    assert generators.generator("resnet_9blocks", 3).radius == 84


def test_nets_that_see_the_whole_picture_have_no_radius():
    for name in ("unet_64", "encoder_decoder_64"):
        assert generators.generator(name, 3).radius is None


@pytest.mark.parametrize("upsample, antialias", [("resize_conv", False), ("transposed", True)])
def test_resampling_choices_keep_the_size_and_even_the_grid(upsample, antialias):
    """On a constant picture a decoder without checkerboards stays constant inside, away from zero padding."""
    arguments = {"ngf": 4, "norm": "none", "upsample": upsample, "antialias": antialias}
    for net in (
        generators.generator("unet", 3, levels=3, **arguments),
        generators._resnet(1, features=3, dropout=0, **arguments),  # more blocks would see the padding
    ):
        x = jnp.full((1, 64, 64, 3), 0.5)
        params, stats = quick_init(net.init)(jax.random.key(1), x)
        params = jax.tree.map(lambda p: 10 * p, params)
        y, _ = jax.jit(net.apply)(params, stats, x)
        assert y.shape == x.shape
        inside = y[:, 30:34, 30:34]
        assert jnp.ptp(inside, (1, 2)).max() < 1e-6 * jnp.abs(inside).max() + 1e-7


def test_transposed_shows_the_checkerboard_that_the_choices_avoid():
    net = generators.generator("unet", 3, levels=3, ngf=4, norm="none")
    x = jnp.full((1, 64, 64, 3), 0.5)
    params, stats = quick_init(net.init)(jax.random.key(1), x)
    params = jax.tree.map(lambda p: 10 * p, params)
    y, _ = jax.jit(net.apply)(params, stats, x)
    inside = y[:, 26:38, 26:38]
    assert jnp.ptp(inside, (1, 2)).max() > 1e-3 * jnp.abs(inside).max()


def with_margin(margin):
    """A U-Net of two levels that trains on 32 pixels, with its parameters."""
    config = importlib.import_module("configs.pix2pix").get_config("maps64").generator
    config.update(levels=2, ngf=4, margin=margin)
    net = generators.of(config, 3, 32, None)
    params, stats = quick_init(net.init)(jax.random.key(1), jnp.zeros((1, 32, 32, 3)))
    return net, jax.tree.map(lambda p: 10 * p, params), stats


def test_a_margin_hides_the_edges_of_a_picture():
    """Of a constant picture zero padding makes something else at the edges; behind a margin it is the same all over."""
    x = jnp.full((1, 32, 24, 3), 0.5)
    spread = {}
    for margin in (0, 16):
        net, params, stats = with_margin(margin)
        y, _ = net.apply(params, stats, x, statistics="image")
        assert y.shape == x.shape
        spread[margin] = float(jnp.ptp(y, (1, 2)).max() / jnp.abs(y).max())
    assert spread[0] > 1e-2 and spread[16] < 1e-5


def test_training_has_no_margin():
    x = jax.random.normal(jax.random.key(2), (2, 32, 32, 3))
    made = []
    for margin in (0, 16):
        net, params, stats = with_margin(margin)
        made.append(net.apply(params, stats, x, statistics="batch")[0])
    assert jnp.array_equal(*made)


@pytest.mark.parametrize("margin", [-4, 6, 1.0])
def test_a_margin_is_a_multiple(margin):
    config = importlib.import_module("configs.pix2pix").get_config("maps64").generator
    with config.ignore_type():
        config.update(levels=2, margin=margin)
    with pytest.raises(jgan.UserError, match="generator.margin"):
        generators.of(config, 3, 32, None)


@pytest.mark.parametrize(
    "arguments, word",
    [
        ({"name": "unet_255"}, "unet_255"),
        ({"name": "unet", "norm": "layer"}, "layer"),
        ({"name": "unet_64", "upsample": "bilinear"}, "bilinear"),
        ({"name": "unet", "levels": 1}, "levels"),
        ({"name": "unet_64", "dropout": 1.0}, "dropout"),
        ({"name": "unet_64", "antialias_up": True}, "antialias_up"),
        ({"name": "resnet", "blocks": 0}, "blocks"),
    ],
)
def test_mistakes_are_named(arguments, word):
    with pytest.raises(jgan.UserError, match=word):
        generators.generator(**{"features": 3, "levels": 4, **arguments})
