"""StyleGAN2's nets have the published sizes and equal a PyTorch transcription, in values and in two derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.stylegan2_names import named
import jgan
from jgan import fields
from jgan.nets import equalised
from jgan.nets import stylegan2
from jgan.ops import conv
from jgan.systems import styles

KEY = jax.random.key(0)
W_DIM = 6
SMALL = {"size": 16, "channel_base": 64, "channel_max": 6}  # 6, 6 and 4 channels


def count(net, *inputs):
    """The number of a net's parameters, which nothing is computed for."""
    inputs = [jax.ShapeDtypeStruct(x, jnp.float32) for x in inputs]
    params, stats = jax.eval_shape(net.init, KEY, *inputs)
    assert not stats
    return sum(x.size for x in jax.tree.leaves(params))


# Counted on the authors' classes: with 8 mapping layers, with 2, the synthesis alone, D.
@pytest.mark.parametrize(
    "size, base, eight, two, alone, judge",
    [
        (32, 16384, 21_523_475, 19_947_539, 19_422_227, 21_507_073),
        (32, 32768, 21_523_475, 19_947_539, 19_422_227, 21_507_073),
        (64, 16384, 23_819_544, 22_243_608, 21_718_296, 23_407_361),
        (64, 32768, 27_032_600, 25_456_664, 24_931_352, 26_488_833),
        (128, 16384, 24_525_213, 22_949_277, 22_423_965, 23_882_369),
        (128, 32768, 29_328_669, 27_752_733, 27_227_421, 28_389_121),
        (256, 16384, 24_767_458, 23_191_522, 22_666_210, 24_001_089),
        (256, 32768, 30_034_338, 28_458_402, 27_933_090, 28_864_129),
        (512, 16384, 24_860_935, 23_284_999, 22_759_687, 24_030_753),
        (512, 32768, 30_276_583, 28_700_647, 28_175_335, 28_982_849),
        (1024, 32768, 30_370_060, 28_794_124, 28_268_812, 29_012_513),
    ],
)
def test_parameters(size, base, eight, two, alone, judge):
    synthesis = stylegan2.synthesis(size=size, channel_base=base)
    assert count(synthesis, (2, stylegan2.rows(size), 512)) == alone
    for layers, both in ((8, eight), (2, two)):
        assert count(stylegan2.mapping(num_layers=layers), (2, 512)) == both - alone
    assert count(stylegan2.discriminator(size=size, channel_base=base), (2, size, size, 3)) == judge


def test_parameters_of_the_cifar_preset():
    """Ten classes, two mapping layers, D without a second way around its blocks."""
    synthesis = count(stylegan2.synthesis(size=32), (2, stylegan2.rows(32), 512))
    assert count(stylegan2.mapping(c_dim=10, num_layers=2), (2, 512), (2, 10)) + synthesis == 20_215_315
    assert count(stylegan2.discriminator(size=32, architecture="orig"), (2, 32, 32, 3)) == 20_720_641


def test_rows_and_noise():
    assert [stylegan2.rows(2**k) for k in range(4, 11)] == [6, 8, 10, 12, 14, 16, 18]
    assert stylegan2.noise_shapes(16) == ((4, 4, 1), (8, 8, 1), (8, 8, 1), (16, 16, 1), (16, 16, 1))
    assert [x.shape for x in stylegan2.draw_noise(KEY, 3, 8)] == [(3, 4, 4, 1), (3, 8, 8, 1), (3, 8, 8, 1)]
    constants = stylegan2.noise_constants(KEY, 8)
    assert jax.tree.map(jnp.shape, constants) == {
        "b4": {"conv1": (4, 4)},
        "b8": {"conv0": (8, 8), "conv1": (8, 8)},
    }
    again = stylegan2.constant_noise(constants, 8)
    for x, y in zip(again, stylegan2.draw_noise(KEY, 1, 8), strict=True):
        np.testing.assert_array_equal(x, y)


def test_neighbours_are_groups():
    """Of six examples in groups of 3, the first three are compared, and the others."""
    x = np.random.default_rng(0).normal(size=(6, 4, 4, 5)).astype(np.float32)
    y = np.asarray(equalised.minibatch_stddev(jnp.asarray(x), 3))
    np.testing.assert_array_equal(y[..., :5], x)
    for part in (slice(3), slice(3, None)):
        expected = np.sqrt(x[part].var(0) + 1e-8).mean()
        np.testing.assert_allclose(y[part, :, :, 5], expected, rtol=1e-5)
    # A batch smaller than the group is one group.
    np.testing.assert_allclose(
        equalised.minibatch_stddev(jnp.asarray(x), 8)[0, 0, 0, 5], np.sqrt(x.var(0) + 1e-8).mean(), rtol=1e-5
    )


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: stylegan2.synthesis(size=48), "squares of 8, 16, 32, ... px, such as 64"),
        (lambda: stylegan2.discriminator(size=4), "such as 8"),
        (lambda: stylegan2.synthesis(size=8, architecture="unet"), "use one of skip, resnet, orig"),
        (lambda: stylegan2.synthesis(size=64, channel_base=32), "generator.channel_base=32: it must be 64"),
        (lambda: stylegan2.discriminator(size=8, clamp=0.0), "discriminator.clamp=0.0: it must be above 0"),
        (lambda: stylegan2.discriminator(size=8, mbstd_group_size=0), "mbstd_group_size=0: it must be 1"),
        (lambda: stylegan2.mapping(z_dim=0), "a style needs a code or a label"),
        (lambda: stylegan2.mapping(num_layers=0), "mapping.num_layers=0: it must be 1"),
        (lambda: stylegan2.mapping(lr_multiplier=0.0), "lr_multiplier=0.0: it must be above 0"),
        (lambda: count(stylegan2.mapping(c_dim=3), (2, 512)), "takes 2 inputs, not 1"),
        (lambda: count(stylegan2.synthesis(size=8), (2, 6, 512)), r"take \[n, 4, w_dim\]"),
        (
            lambda: count(stylegan2.discriminator(size=8), (6, 8, 8, 3)),
            "a batch of 6 cannot be cut into groups of 4",
        ),
        (lambda: count(stylegan2.discriminator(size=8), (4, 16, 16, 3)), "take 8x8 pixels"),
        (lambda: count(stylegan2.discriminator(size=8, c_dim=3), (4, 8, 8, 3)), "and no labels"),
    ],
)
def test_mistakes(make, message):
    with pytest.raises(jgan.UserError, match=message):
        make()


def test_noise_of_another_size():
    net = stylegan2.synthesis(**SMALL)
    ws = jnp.zeros((2, 6, W_DIM))
    for noise, message in (
        (stylegan2.draw_noise(KEY, 2, 8), "3 maps of noise do not fit: images of 16 px take 5"),
        ((*stylegan2.draw_noise(KEY, 2, 8), None, jnp.zeros((2, 8, 8, 1))), r"noise of shape \(2, 8, 8, 1\)"),
    ):
        with pytest.raises(jgan.UserError, match=message):
            jax.eval_shape(net.init, KEY, ws, noise)


def test_bfloat16():
    """Half precision is near, and the sum of the images and the logits stay in single precision."""
    rng = np.random.default_rng(0)
    ws, noise = rng.normal(size=(4, 6, W_DIM)), [rng.normal(size=(1, *x)) for x in stylegan2.noise_shapes(16)]
    ws, *noise = (jnp.asarray(x, jnp.float32) for x in (ws, *noise))
    images = jnp.asarray(rng.normal(size=(4, 16, 16, 3)), jnp.float32)
    for make, inputs in ((stylegan2.synthesis, (ws, tuple(noise))), (stylegan2.discriminator, (images,))):
        params = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), drawn(make(**SMALL), *inputs))
        single, half = (
            jax.jit(make(**SMALL, dtype=dtype).apply)(params, {}, *inputs)[0]
            for dtype in (None, jnp.bfloat16)
        )
        if make is stylegan2.discriminator:
            # The blocks of 8 and of 16 px are the only ones that it is for.
            assert all(x.dtype == jnp.bfloat16 for x in half["features"])
            single, half = single["logits"][0], half["logits"][0]
        assert half.dtype == jnp.float32
        assert (
            0 < jnp.sqrt(jnp.mean(jnp.square(single - half))) < 0.02 * jnp.sqrt(jnp.mean(jnp.square(single)))
        )
    shapes, _ = jax.eval_shape(stylegan2.synthesis(**SMALL, dtype=jnp.bfloat16).init, KEY, ws)
    assert {x.dtype for x in jax.tree.leaves(shapes)} == {jnp.dtype("float32")}


# Against PyTorch.


@pytest.fixture(scope="module")
def peer():
    pytest.importorskip("torch", reason="PyTorch is not installed; requirements-test.txt has it")
    return pytest.importorskip("benchmarks.peer_stylegan2")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """XLA's convolutions, which compile in half the time; tests/ops holds all forms equal."""
    monkeypatch.setattr(conv, "DEFAULT_FORM", "lax")


def drawn(net, *inputs):
    """Parameters N(0, 1), so that nothing is right by chance, of the arguments' type."""
    rng = np.random.default_rng(1)
    shapes, _ = jax.eval_shape(net.init, KEY, *inputs)
    return jax.tree.map(lambda x: rng.normal(size=x.shape), shapes)


def theirs(module, params):
    """Their net in float64 with our parameters, every one of which it has under its name and in its shape."""
    import torch

    torch.set_num_threads(1)
    module.double().load_state_dict({k: torch.from_numpy(np.array(x)) for k, x in named(params).items()})
    return module


def tensor(x):
    import torch

    x = np.array(x)
    return torch.from_numpy(x.transpose(0, 3, 1, 2).copy() if x.ndim == 4 else x).requires_grad_(True)


def ours(function, *arguments):
    with jax.enable_x64(True):
        return jax.device_get(jax.jit(function)(*jax.tree.map(jnp.asarray, arguments)))


def assert_near(made, expected, what=""):
    """Equality of our arrays and their tensors; images are transposed where they are ours."""
    if made.ndim == 4 and not what:
        made = made.transpose(0, 3, 1, 2)
    expected = expected.detach().numpy()
    assert np.abs(made - expected).max() <= 1e-8 * max(np.abs(expected).max(), 1), what


def assert_gradients(gradients, module):
    found = named(gradients)
    for name, parameter in module.named_parameters():
        expected = 0 * parameter if parameter.grad is None else parameter.grad
        assert_near(found[name], expected, name)


@pytest.mark.parametrize("z_dim, c_dim", [(7, 0), (7, 3), (0, 3)])
def test_mapping(peer, z_dim, c_dim):
    net, rng = (
        stylegan2.mapping(z_dim=z_dim, c_dim=c_dim, w_dim=W_DIM, num_layers=3),
        np.random.default_rng(0),
    )
    given = [rng.normal(size=(4, size)) for size in (z_dim, c_dim) if size]
    params = drawn(net, *given)
    w, _ = ours(net.apply, params, {}, *given)
    z, label = tensor(given[0]) if z_dim else None, tensor(given[-1]) if c_dim else None
    assert_near(w, theirs(peer.Mapping(z_dim, c_dim, W_DIM, 3), params)(z, label))


@pytest.mark.parametrize("grouped", [True, False])
def test_modulated_layers(peer, grouped):
    """A layer that doubles the size, one that does not, and one to colours; per example, weights of its own or not."""
    from jgan.nets import stylegan2_layers as layers

    rng = np.random.default_rng(0)
    x, w, noise = rng.normal(size=(3, 5, 5, 4)), rng.normal(size=(3, W_DIM)), rng.normal(size=(3, 10, 10, 1))
    for module, other, given in (
        (layers.Modulated(5, True, 0.9, 0.7), peer.SynthesisLayer(4, 5, W_DIM, True, 0.9), (noise,)),
        (layers.Modulated(5), peer.SynthesisLayer(4, 5, W_DIM), (noise[:1, :5, :5],)),
        (layers.ToRGB(3, 0.9), peer.ToRGB(4, 3, W_DIM, 0.9), ()),
    ):
        shapes = jax.eval_shape(module.init, KEY, x, w, *given)["params"]
        params = jax.tree.map(lambda x: rng.normal(size=x.shape), shapes)
        made = ours(module.apply, {"params": params}, x, w, *given)
        more = (0.7,) if getattr(module, "up", False) else ()
        expected = theirs(other, params)(tensor(x), tensor(w), *map(tensor, given), *more, grouped=grouped)
        assert_near(made, expected)


def synthesis_case(peer, **changes):
    net, rng = stylegan2.synthesis(**SMALL, **changes), np.random.default_rng(0)
    ws = rng.normal(size=(3, 6, W_DIM))
    # One map for all examples, one for each, and none.
    shapes = stylegan2.noise_shapes(16)
    noise = [rng.normal(size=(1 if k == 1 else 3, *shape)) for k, shape in enumerate(shapes)]
    noise[3] = None
    params = drawn(net, ws, tuple(noise))
    architecture, clamp = changes.get("architecture", "skip"), changes.get("clamp", 256.0)
    module = theirs(peer.Synthesis(16, W_DIM, 3, 64, 6, architecture, clamp), params)
    return net, module, params, ws, tuple(noise)


@pytest.mark.parametrize("architecture, clamp", [("skip", 1.5), ("resnet", 1.5), ("orig", None)])
def test_synthesis(peer, architecture, clamp):
    net, module, params, ws, noise = synthesis_case(peer, architecture=architecture, clamp=clamp)
    image, _ = ours(net.apply, params, {}, ws, noise)
    assert image.shape == (3, 16, 16, 3)
    for grouped in (True, False):
        maps = [None if x is None else tensor(x) for x in noise]
        assert_near(image, module(tensor(ws), maps, grouped))


def test_whole_generator(peer):
    """From codes and classes to pictures: the mapping, the mean style, styles for all layers, the run's own noise."""
    import torch

    rng = np.random.default_rng(3)
    mapping, synthesis = stylegan2.mapping(z_dim=7, c_dim=3, w_dim=W_DIM), stylegan2.synthesis(**SMALL)
    z, label, truncation = rng.normal(size=(2, 7)), np.array([2, 0]), np.array([0.5, 1.0], np.float32)
    named_classes, ws = np.eye(3)[label], np.zeros((2, 6, W_DIM))
    params = {"mapping": drawn(mapping, z, named_classes), "synthesis": drawn(synthesis, ws)}
    constants = jax.tree.map(
        lambda x: rng.normal(size=x.shape), stylegan2.noise_constants(KEY, SMALL["size"])
    )
    stats = {"mapping": {"w_avg": rng.normal(size=W_DIM)}, "synthesis": constants}
    generator = styles.Generator(mapping, synthesis, SMALL["size"], 7, fields.Label(("a", "b", "c")))

    def run(weights, z, label, truncation):
        return generator.way().run(weights, {"z": z, "label": label, "truncation": truncation})["output"]

    made = ours(run, {"params": params, "stats": stats}, z, label, truncation)
    w = theirs(peer.Mapping(7, 3, W_DIM, 8), params["mapping"])(tensor(z), tensor(named_classes))
    mean = torch.from_numpy(stats["mapping"]["w_avg"])
    w = mean + torch.from_numpy(truncation).double()[:, None] * (w - mean)
    layers = [("b4", "conv1"), ("b8", "conv0"), ("b8", "conv1"), ("b16", "conv0"), ("b16", "conv1")]
    noise = [tensor(constants[block][layer][None, :, :, None]) for block, layer in layers]
    module = theirs(peer.Synthesis(16, W_DIM, 3, 64, 6, "skip", 256.0), params["synthesis"])
    assert_near(made, module(w[:, None].repeat(1, 6, 1), noise, False))


@pytest.mark.parametrize(
    "architecture", ["skip", *(pytest.param(x, marks=pytest.mark.slow) for x in ("resnet", "orig"))]
)
def test_path_length(peer, architecture):
    """The gradient of the images to the styles, and the gradient of its length to the parameters."""
    import torch

    net, module, params, ws, noise = synthesis_case(peer, architecture=architecture)
    y = np.random.default_rng(2).normal(size=(3, 16, 16, 3)) / 16

    def penalty(params, ws):
        slope = jax.grad(lambda ws: jnp.sum(net.apply(params, {}, ws, noise)[0] * y))(ws)
        length = jnp.sqrt(jnp.mean(jnp.sum(jnp.square(slope), 2), 1))
        return jnp.mean(jnp.square(length - 1)), slope

    (value, slope), gradients = ours(jax.value_and_grad(penalty, has_aux=True), params, ws)
    given = tensor(ws)
    maps = [None if x is None else tensor(x) for x in noise]
    (expected,) = torch.autograd.grad((module(given, maps, True) * tensor(y)).sum(), given, create_graph=True)
    assert_near(slope, expected)
    loss = (expected.square().sum(2).mean(1).sqrt() - 1).square().mean()
    assert_near(value, loss)
    loss.backward()
    assert_gradients(gradients, module)


def discriminator_case(peer, n=6, group=3, **changes):
    net = stylegan2.discriminator(**SMALL, mbstd_group_size=group, **changes)
    rng, c_dim = np.random.default_rng(0), changes.get("c_dim", 0)
    given = [rng.normal(size=(n, 16, 16, 3))] + [rng.normal(size=(n, c_dim))] * (c_dim > 0)
    params = drawn(net, *given)
    architecture, clamp = changes.get("architecture", "resnet"), changes.get("clamp", 256.0)
    module = theirs(peer.Discriminator(16, 3, c_dim, 64, 6, architecture, group, clamp), params)
    return net, module, params, given


@pytest.mark.parametrize(
    "architecture, c_dim, clamp", [("resnet", 3, 1.5), ("skip", 0, 1.5), ("orig", 0, None)]
)
def test_discriminator(peer, architecture, c_dim, clamp):
    net, module, params, given = discriminator_case(peer, architecture=architecture, c_dim=c_dim, clamp=clamp)
    # In the authors' groups of 3 the examples are two apart.
    order = np.arange(6).reshape(3, 2).T.ravel()
    told, _ = ours(net.apply, params, {}, *(x[order] for x in given))
    assert [x.shape for x in told["features"]] == [(6, 8, 8, 6), (6, 4, 4, 6)]
    assert_near(told["logits"][0], module(*map(tensor, given))[order])


@pytest.mark.parametrize(
    "architecture", ["resnet", *(pytest.param(x, marks=pytest.mark.slow) for x in ("skip", "orig"))]
)
def test_gradient_penalty(peer, architecture):
    """The gradient of the logits to the images, and the gradient of its square to the parameters."""
    import torch

    net, module, params, (images,) = discriminator_case(peer, architecture=architecture)
    module.b4.neighbours = True

    def penalty(params, images):
        slope = jax.grad(lambda images: jnp.sum(net.apply(params, {}, images)[0]["logits"][0]))(images)
        return jnp.mean(jnp.sum(jnp.square(slope), (1, 2, 3))), slope

    (value, slope), gradients = ours(jax.value_and_grad(penalty, has_aux=True), params, images)
    given = tensor(images)
    (expected,) = torch.autograd.grad(module(given).sum(), given, create_graph=True)
    assert_near(slope, expected)
    loss = expected.square().sum((1, 2, 3)).mean()
    assert_near(value, loss)
    loss.backward()
    assert_gradients(gradients, module)
