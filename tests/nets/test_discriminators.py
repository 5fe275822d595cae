"""Discriminators have the published sizes, parameter counts and receptive fields."""

import jax
import jax.numpy as jnp
import pytest

import jgan
from jgan.nets import discriminators
from tests.initial_weights import quick_init


@pytest.mark.parametrize(
    "name, layers, out, batch6, instance3",
    [
        ("pixel", 0, 256, 9_024, 8_705),
        ("patch", 1, 126, 139_585, 136_385),
        ("patch", 2, 62, 666_433, 662_977),
        ("patch", 3, 30, 2_768_705, 2_764_737),
        ("patch", 4, 14, 6_964_033, 6_959_553),
        ("patch", 5, 6, 11_159_361, 11_154_369),
        ("patch", 6, 2, None, None),
    ],
)
def test_parameters_and_map(name, layers, out, batch6, instance3):
    for norm, channels, expected in (("batch", 6, batch6), ("instance", 3, instance3)):
        net = discriminators.discriminator(name, size=(256, 256), n_layers=layers, norm=norm)
        image = jax.ShapeDtypeStruct((1, 256, 256, channels), jnp.float32)
        params, stats = jax.eval_shape(net.init, jax.random.key(0), image)
        output, _ = jax.eval_shape(net.apply, params, stats, image)
        assert [x.shape for x in output["logits"]] == [(1, out, out, 1)]
        assert discriminators.map_size(name, layers, 256) == out
        if expected:
            assert sum(x.size for x in jax.tree.leaves(params)) == expected


@pytest.mark.parametrize(
    "name, layers, field",
    [("pixel", 0, 1), ("patch", 1, 16), ("patch", 2, 34), ("patch", 3, 70), ("patch", 4, 142)],
)
def test_receptive_field(name, layers, field):
    _receptive_field(name, layers, field)


@pytest.mark.slow
@pytest.mark.parametrize("layers, field", [(5, 286), (6, 574)])
def test_receptive_field_of_the_large(layers, field):
    _receptive_field("patch", layers, field)


def _receptive_field(name, layers, field):
    """Pixels along each side on which one logit has a gradient, without norm (which sees everything)."""
    side = 2 * field + 2 ** (layers + 2)
    net = discriminators.discriminator(name, size=(side, side), n_layers=layers, ndf=1, norm="none")
    x = jax.random.normal(jax.random.key(0), (1, side, side, 1))
    params, stats = quick_init(net.init)(jax.random.key(1), x)

    def one(x):
        logits = net.apply(params, stats, x)[0]["logits"][0]
        return logits[0, logits.shape[1] // 2, logits.shape[2] // 2, 0]

    seen = jax.jit(jax.grad(one))(x)[0, :, :, 0] != 0
    assert int(jnp.any(seen, 0).sum()) == int(jnp.any(seen, 1).sum()) == field


def test_an_empty_map_is_refused_by_name():
    with pytest.raises(jgan.UserError, match="n_layers=5 has an empty map at 64x64"):
        discriminators.discriminator("patch", size=(64, 64), n_layers=5)
    discriminators.discriminator("patch", size=(96, 96), n_layers=5)  # 3 * 2^5: one logit


@pytest.mark.parametrize(
    "arguments, word",
    [
        ({"name": "global"}, "global"),
        ({"name": "patch", "n_layers": 7}, "n_layers=7"),
        ({"name": "pixel", "norm": "x"}, "'x'"),
        ({"name": "patch", "antialias_place": "x"}, "antialias_place='x'"),
    ],
)
def test_mistakes_are_named(arguments, word):
    with pytest.raises(jgan.UserError, match=word):
        discriminators.discriminator(size=(256, 256), **arguments)
