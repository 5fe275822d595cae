"""The closed form of a step's work: against arithmetic by hand, and against the compiled step.

What is counted is the program as XLA rewrites it; the passes that tests leave out come after that.
"""

import jax
import numpy as np
import pytest

from benchmarks import flops
from configs import bicyclegan as bicyclegan_presets
from configs import cyclegan as cyclegan_presets
from configs import pix2pix as presets
from configs import stargan as stargan_presets
from jgan.ops import conv
from jgan.systems import bicyclegan
from jgan.systems import cyclegan
from jgan.systems import pix2pix
from jgan.systems import stargan


def test_unet_on_256_pixels():
    """Decoder layers cost twice or four times their encoder's, so the sums are short: see the lists."""
    layers = flops.unet(256, 8)
    first = 128**2 * 16 * 3 * 64
    second = 64**2 * 16 * 64 * 128  # the same for layers 2, 3 and 4: half the side, twice the widths
    deep = [side**2 * 16 * 512**2 for side in (8, 4, 2, 1)]
    assert layers[:8] == [first, second, second, second, *deep]
    assert layers[8:] == [deep[3], *(2 * x for x in deep[2::-1]), *[2 * second] * 3, 2 * first]
    assert round(sum(layers) / 1e9, 2) == 6.05
    # On the output's grid, among inserted zeros, the decoder would cost four times as much.
    assert round(sum(layers[:8] + [4 * x for x in layers[8:]]) / 1e9, 1) == 18.1


def test_an_encoder_decoder_lacks_the_skips_half():
    unet, plain = flops.unet(64, 6), flops.unet(64, 6, skips=False)
    assert plain[:7] == unet[:7]
    assert [2 * x for x in plain[7:]] == unet[7:]


def test_resnet_on_256_pixels():
    assert [round(sum(flops.resnet(256, blocks)) / 1e9, 1) for blocks in (6, 9)] == [35.1, 49.6]


def test_discriminators_on_256_pixels():
    side = [128, 64, 32, 31, 30]
    pairs = [6 * 64, 64 * 128, 128 * 256, 256 * 512, 512 * 1]
    by_hand = [s**2 * 16 * channels for s, channels in zip(side, pairs, strict=True)]
    assert flops.patch(256) == by_hand
    assert round(sum(by_hand) / 1e9, 1) == 3.2
    assert sum(flops.pixel(256)) == 256**2 * (6 * 64 + 64 * 128 + 128)


def test_a_step_by_hand():
    """G forward once and back twice, D three times and five, less the gradients that nothing learns from."""
    g, d = flops.unet(256, 8), flops.patch(256)
    with_all_gradients = 2 * (3 * sum(g) + 8 * sum(d))
    assert with_all_gradients / 1e9 == pytest.approx(87.5, abs=0.1)
    unneeded = 2 * (g[0] + 2 * d[0] + d[0] / 2)  # to G's input, twice to D's, and to D's condition
    assert flops.pix2pix(g, d) == with_all_gradients - unneeded
    assert flops.pix2pix(g, d, batch=3) == 3 * flops.pix2pix(g, d)
    # An unconditional D sees the fake alone, so the whole gradient to its images is needed.
    assert flops.pix2pix([0], [10, 10], fake_share=1.0) == 2 * (3 * 20 + 2 * 30 + 20)


@pytest.mark.slow
@pytest.mark.parametrize("form, low, high", [("gemm", 0.9, 1.1), ("auto", 0.68, 0.8)])
def test_the_compiled_step_does_no_more_than_it_must(form, low, high, monkeypatch):
    """By direct products within 10 % of the closed form; as it is run, with fast algorithms, a quarter below it.

    A second forward pass of G would add 14 %, multiplying by inserted zeros in its decoder's forward pass
    alone 28 %. What is allowed for is what the closed form leaves out: norms, activations, Adam.
    """
    monkeypatch.setattr(conv, "DEFAULT_FORM", form)
    config = presets.get_config("")
    system = pix2pix.build(config)
    key, n, size = jax.random.key(0), config.batch_size, config.data.size
    batch = {name: jax.ShapeDtypeStruct((n, size, size, 3), np.uint8) for name in "ab"}
    state = jax.eval_shape(system.init, key, batch)
    step = jax.jit(system.step, static_argnames="updates").lower(state, batch, key, system.plan(0))
    counted = step.compile().cost_analysis()["flops"]
    needed = flops.pix2pix(flops.unet(size, 8), flops.patch(size), n)
    assert low < counted / needed < high


def test_a_cyclegan_step_by_hand():
    """Each G passes three images forward and twice back, each D three forward, two to its weights, one to the image."""
    g, d = flops.resnet(256, 9), flops.patch(256, channels=3)
    both = 2 * 2 * (3 * 3 * sum(g) + (3 + 2 * 2 + 1) * sum(d))
    assert both / 1e12 == pytest.approx(1.88, abs=0.02)
    # To a real image no gradient leads: from G's own pass and its identity pass, and from D's two.
    assert flops.cyclegan(g, d) == both - 2 * 2 * (2 * g[0] + 2 * d[0])
    assert flops.cyclegan(g, d, batch=2) == 2 * flops.cyclegan(g, d)
    assert flops.cyclegan(g, d, identity=False) == flops.cyclegan(g, d) - 2 * 2 * (3 * sum(g) - g[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    "form, size, width, low, high", [("gemm", 64, 32, 0.9, 1.1), ("auto", 128, 64, 0.43, 0.55)]
)
def test_the_compiled_cyclegan_step_does_no_more_than_it_must(form, size, width, low, high, monkeypatch):
    """By direct products within 10 % of the closed form; as it is run, with Winograd's algorithm, far below it.

    Loops are unrolled, because XLA counts them as if they ran once.
    """
    scan = jax.lax.scan
    monkeypatch.setattr(jax.lax, "scan", lambda *args, **options: scan(*args, **{**options, "unroll": True}))
    config = cyclegan_presets.get_config("128")
    config.data.size, config.generator.ngf, config.discriminator.ndf = size, width, width
    system = cyclegan.build(config)
    key = jax.random.key(0)
    batch = {name: jax.ShapeDtypeStruct((1, size, size, 3), np.uint8) for name in "ab"}
    state = jax.eval_shape(system.init, key, batch)
    monkeypatch.setattr(conv, "DEFAULT_FORM", form)
    step = jax.jit(system.step, static_argnames="updates").lower(state, batch, key, system.plan(0))
    counted = step.compile().cost_analysis()["flops"]
    needed = flops.cyclegan(flops.resnet(size, 6, width=width), flops.patch(size, channels=3, width=width))
    assert low < counted / needed < high


def test_an_encoder_on_256_pixels():
    """One block more than at 128 pixels, from 8x8 pixels to the mean of all of them."""
    layers = flops.encoder(256, 4)
    block = [128**2 * 9 * 64**2, 64**2 * 16 * 64 * 128, 64**2 * 64 * 128]
    assert layers[:4] == [128**2 * 16 * 3 * 64, *block]
    assert len(layers) == 13 and layers[-1] == 8**2 * 256**2


@pytest.mark.slow
def test_the_compiled_bicyclegan_step_does_no_more_than_it_must(monkeypatch):
    """By direct products within 10 % of the closed form: no branch passes G twice, and the regression of the code goes
    back through E to the picture alone.
    """
    monkeypatch.setattr(conv, "DEFAULT_FORM", "gemm")
    config = bicyclegan_presets.get_config("facades64")
    config.generator.upsample, size, width = "transposed", config.data.size, config.generator.ngf
    system = bicyclegan.build(config)
    key = jax.random.key(0)
    batch = {name: jax.ShapeDtypeStruct((4, size, size, 3), np.uint8) for name in "ab"}
    state = jax.eval_shape(system.init, key, batch)
    step = jax.jit(system.step, static_argnames="updates").lower(state, batch, key, system.plan(0))
    counted = step.compile().cost_analysis()["flops"]
    judge = [x for k in range(2) for x in flops.patch(size // 2**k, 2, channels=3, width=width // 2**k)]
    nets = flops.unet(size, 5, width=width), flops.encoder(size, config.encoder.blocks, width=width), judge
    assert 0.9 < counted / flops.bicyclegan(*nets, batch=4) < 1.1


def test_a_stargan_has_the_layers_of_its_tables():
    """Tables 4 and 5 of the paper at 128 px: the widest layers of G work on 32x32 pixels, D's last ones on 2x2."""
    g, d = flops.stargan_generator(128), flops.stargan_discriminator(128)
    assert g[0] == g[-1] == 128**2 * 49 * 3 * 64
    assert g[1] == g[-2] == 64**2 * 16 * 64 * 128 and g[2] == g[-3] == 32**2 * 16 * 128 * 256
    assert g[3:-3] == [32**2 * 9 * 256**2] * 12
    assert d[0] == 64**2 * 16 * 3 * 64 and d[5] == 2**2 * 16 * 1024 * 2048
    assert d[6:] == [2**2 * 9 * 2048, 2**2 * 2048 * 5]


@pytest.mark.slow
def test_the_compiled_stargan_cycle_does_no_more_than_it_must(monkeypatch):
    """By direct products within 10 % of the closed form: G passes a fake once for both nets, and the penalty's second
    derivatives take no pass that a piecewise linear net does not need.
    """
    scan = jax.lax.scan
    monkeypatch.setattr(jax.lax, "scan", lambda *args, **options: scan(*args, **{**options, "unroll": True}))
    monkeypatch.setattr(conv, "DEFAULT_FORM", "gemm")
    config = stargan_presets.get_config("objects")
    config.update_from_flattened_dict(
        {"batch_size": 4, "data.size": 64, "n_critic": 2, "generator.ngf": 32, "generator.down": 2}
    )
    system = stargan.build(config)
    key = jax.random.key(0)
    shapes = {"images": ((4, 64, 64, 3), np.uint8), "label": ((4, 4), np.float32)}
    batch = {name: jax.ShapeDtypeStruct(*shape) for name, shape in shapes.items()}
    state = jax.eval_shape(system.init, key, batch)
    step = jax.jit(system.step, static_argnames="updates")
    counted = sum(
        step.lower(state, batch, key, system.plan(k)).compile().cost_analysis()["flops"] for k in range(2)
    )
    g = flops.stargan_generator(64, 3, width=32)
    d = flops.stargan_discriminator(64, 4, classes=4, width=32)
    assert 0.9 < counted / flops.stargan(g, d, batch=4, critic=2) < 1.1
