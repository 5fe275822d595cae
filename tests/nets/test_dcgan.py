"""DCGAN's nets have the published sizes, and their transposed convolutions the geometry of iGAN's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jgan
from jgan.nets import dcgan
from jgan.nets import mlp
from jgan.ops import conv
from tests.initial_weights import quick_init

KEY = jax.random.key(0)


def shapes(net, *inputs):
    """(number of parameters, number of statistics, abstract output) of a net."""
    inputs = [jax.ShapeDtypeStruct(x, jnp.float32) for x in inputs]
    params, stats = jax.eval_shape(net.init, KEY, *inputs)
    output, _ = jax.eval_shape(net.apply, params, stats, *inputs)
    return *(sum(x.size for x in jax.tree.leaves(tree)) for tree in (params, stats)), output


# The sheet of iGAN's code for 64 px; the usual 4x4 nets at width 64 as PyTorch's example has them.
@pytest.mark.parametrize(
    "size, width, kernel, g, d, p",
    [
        (64, 128, 5, 18_885_760, 17_232_768, 18_854_784),
        (64, 64, 4, 3_576_704, 2_765_568, None),
    ],
)
def test_parameters(size, width, kernel, g, d, p):
    codes, images = (2, 100), (2, size, size, 3)
    generator = dcgan.generator(size=size, features=3, ngf=width, kernel=kernel)
    count, statistics, output = shapes(generator, codes)
    assert count == g and output.shape == images
    # Two numbers for each unit of the first layer (iGAN) or channel (the usual), and each channel after it.
    top = 8 * width
    first = 16 * top if kernel == 5 else top
    assert statistics == 2 * (first + top // 2 + top // 4 + top // 8)
    count, statistics, output = shapes(dcgan.discriminator(size=size, ndf=width, kernel=kernel), images)
    assert count == d and [x.shape for x in output["logits"]] == [(2, 1)]
    sides = [(2, size // 2**k, size // 2**k, width * 2 ** (k - 1)) for k in (1, 2, 3, 4)]
    assert [x.shape for x in output["features"]] == sides
    count, _, output = shapes(dcgan.predictor(size=size, ndf=width, kernel=kernel), images)
    assert p is None or count == p
    assert output.shape == codes


@pytest.mark.parametrize("size", [32, 64, 128])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kernel", [4, 5])
def test_every_size_and_number_of_channels(size, channels, kernel):
    net = dcgan.generator(size=size, features=channels, ngf=4, kernel=kernel)
    _, _, output = shapes(net, (3, 7))
    assert output.shape == (3, size, size, channels)
    _, _, output = shapes(dcgan.discriminator(size=size, ndf=4, kernel=kernel), output.shape)
    assert output["features"][-1].shape[1:3] == (4, 4)


@pytest.mark.parametrize("kernel", [4, 5])
def test_a_layer_of_g_is_the_input_gradient_of_a_layer_of_d(kernel):
    """Padding alike on both sides, 2 for 5x5 and 1 for 4x4; a library's own SAME would shift the image."""
    padding, output_padding = dcgan.KERNELS[kernel]
    x, w = jax.random.normal(KEY, (2, 4, 4, 3)), jax.random.normal(KEY, (kernel, kernel, 5, 3))
    down = lambda y: conv.conv(y, w, 2, ((padding, padding),) * 2)  # noqa: E731
    (expected,) = jax.vjp(down, jnp.zeros((2, 8, 8, 5)))[1](x)
    made = conv.conv_transpose(x, w.transpose(0, 1, 3, 2), 2, padding, output_padding)
    np.testing.assert_allclose(made, expected, atol=1e-4)
    # One pixel of a 5x5 kernel's middle comes to lie at twice its place.
    if kernel == 5:
        dot = jnp.zeros((1, 4, 4, 1)).at[0, 1, 2, 0].set(1.0)
        spread = conv.conv_transpose(dot, jnp.ones((5, 5, 1, 1)), 2, padding, output_padding)[0, :, :, 0]
        rows, columns = np.nonzero(spread)
        assert (rows.min(), rows.max(), columns.min(), columns.max()) == (0, 4, 2, 6)


def test_the_first_norm_is_per_unit_in_igan_and_per_channel_in_the_usual_form():
    z = jax.random.normal(KEY, (4, 5))
    for kernel, units in ((5, 16 * 4), (4, 4)):
        net = dcgan.generator(size=8, features=3, ngf=4, kernel=kernel)
        params, stats = jax.eval_shape(net.init, KEY, z)
        assert params["dense_norm"]["scale"].shape == stats["dense_norm"]["mean"].shape == (units,)


def test_epsilon_is_added_to_the_variance():
    """A generator whose activations vary by 1e-4 tells 1e-8 from 1e-5."""
    z = 1e-4 * jax.random.normal(KEY, (8, 5))
    spreads = []
    for epsilon in (1e-8, 1e-5):
        net = dcgan.generator(size=8, features=3, ngf=4, kernel=5, epsilon=epsilon)
        params, stats = quick_init(net.init)(KEY, z)
        spreads.append(float(jnp.std(jax.jit(net.apply)(params, stats, z)[0])))
    assert spreads[0] > 3 * spreads[1]


def test_a_predictor_is_bounded_where_codes_are():
    x = 100 * jax.random.normal(KEY, (2, 8, 8, 3))
    codes = {}
    for bounded in (True, False):
        net = dcgan.predictor(size=8, nz=5, bounded=bounded, ndf=4, norm="none")
        params, stats = quick_init(net.init)(KEY, x)
        codes[bounded] = jax.jit(net.apply)(params, stats, 100 * x)[0]
    np.testing.assert_allclose(codes[True], jnp.tanh(codes[False]), atol=1e-6)
    assert float(jnp.max(jnp.abs(codes[False]))) > 1


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: dcgan.generator(size=48, features=3), "data.size=48: a DCGAN makes squares of 8, 16, 32"),
        (lambda: dcgan.generator(size=64, features=3, kernel=3), "kernel=3: a DCGAN has kernels of 4"),
        (lambda: dcgan.discriminator(size=64, ndf=0), "discriminator.ndf=0"),
        (lambda: dcgan.discriminator(size=64, norm="layer"), "'layer' is unknown"),
        (lambda: mlp.generator(size=8, features=3, widths=()), "generator.widths"),
        (lambda: mlp.generator(size=8, features=3, norm="instance"), "'batch' or 'none'"),
        (lambda: mlp.discriminator(widths=(4, 0)), "discriminator.widths"),
    ],
)
def test_mistakes_are_named(make, words):
    with pytest.raises(jgan.UserError, match=words):
        make()


def test_dense_nets_have_the_sizes_of_their_widths():
    count, statistics, output = shapes(mlp.generator(size=28, features=1, widths=(256, 512)), (2, 100))
    assert count == 101 * 256 + 257 * 512 + 513 * 784 and output.shape == (2, 28, 28, 1) and statistics == 0
    count, statistics, _ = shapes(
        mlp.generator(size=28, features=1, widths=(256, 512), norm="batch"), (2, 100)
    )
    assert count == 101 * 256 + 257 * 512 + 513 * 784 + 2 * 768 and statistics == 2 * 768
    count, _, output = shapes(mlp.discriminator(widths=(512, 256)), (2, 28, 28, 1))
    assert count == 785 * 512 + 513 * 256 + 257
    assert output["logits"][0].shape == (2, 1) and [x.shape for x in output["features"]] == [
        (2, 512),
        (2, 256),
    ]
