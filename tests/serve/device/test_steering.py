"""Sliders on the flat vectors of latents, against the operations on latents themselves."""

import jax
import numpy as np
import pytest

import jgan
from jgan.latent import codec as codec_lib
from jgan.latent import styles
from jgan.serve import session as sessions
from jgan.serve.device import steering


@pytest.mark.parametrize("name", ["w_plus", "w_plus_noise"])
def test_sliders_are_the_operations_on_styles(styles_run, name):
    run = styles_run.within(name)
    space, codec = run.space(), codec_lib.Codec.of(run.space())
    x, y, along = (np.random.default_rng(k).normal(size=codec.size).astype(np.float32) for k in range(3))
    sliders = steering.Steering(run, {"smile": codec.latent(along)})
    assert list(sliders.controls) == ["truncation", "mix_coarse", "mix_middle", "along_smile"]
    second = sessions.Second("2", "b", (8, 8), (0, 0, 8), tuple(map(float, y)))
    base = tuple(map(float, x))

    def moved(**values):
        return np.float32(sliders.move(base, tuple(sorted(values.items())), second))

    @jax.jit
    def expected(x, y):
        a, b = codec.latent(x), codec.latent(y)
        mixed = styles.mix(space, a, b, range(4))
        return codec.flat(mixed), codec.flat(styles.truncate(space, a, 0.25))

    mixed, truncated = expected(x, y)
    np.testing.assert_array_equal(moved(), x)
    np.testing.assert_allclose(moved(mix_coarse=1.0), mixed, atol=1e-6)
    np.testing.assert_allclose(moved(mix_coarse=0.5), (x + mixed) / 2, atol=1e-6)
    np.testing.assert_allclose(moved(truncation=0.25), truncated, atol=1e-6)
    np.testing.assert_allclose(moved(along_smile=-2.0), x - 2 * along, atol=1e-5)
    np.testing.assert_allclose(moved(truncation=0.25, along_smile=1.0), truncated + along, atol=1e-5)


def test_a_space_without_rows_has_fewer_sliders(styles_run):
    assert list(steering.Steering(styles_run.within("w"), {}).controls) == ["truncation"]
    z = steering.Steering(styles_run.within("z"), {"up": np.float32([1, 0, 0, 0, 0])})
    assert list(z.controls) == ["along_up"]
    assert z.move((0.0, 1.0, 0.0, 0.0, 0.0), (("along_up", 2.0),), None) == (2.0, 1.0, 0.0, 0.0, 0.0)


def test_sliders_that_there_are_not(styles_run):
    sliders, base = steering.Steering(styles_run, {}), (0.0,) * 36
    for values, message in (
        ({"along_smile": 1.0}, "no slider 'along_smile'; there are truncation, mix_coarse"),
        ({"truncation": 1.5}, "truncation"),
        ({"truncation": float("nan")}, "truncation"),
        ({"mix_coarse": 0.5}, "open one first"),
    ):
        with pytest.raises(jgan.UserError, match=message):
            sliders.move(base, tuple(values.items()), None)
    assert sliders.move(base, (("mix_coarse", 0.0),), None) == base
