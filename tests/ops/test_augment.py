"""Augmentation of what D sees: what it leaves alone, what it passes back, and when it happens."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jgan
from jgan.ops import ada
from jgan.ops import augment

KEY = jax.random.key(3)
ALL = tuple(augment.TRANSFORMATIONS)


@functools.cache
def images(n=6, size=16, channels=3):
    return jax.random.uniform(KEY, (n, size, size, channels), minval=-1, maxval=1)


@functools.cache
def compiled(policy):
    return jax.jit(functools.partial(augment.augment, policy=policy))


def test_with_probability_0_the_very_images_come_back():
    np.testing.assert_array_equal(compiled(ALL)(images(), KEY, 0.0), images())
    assert augment.augment(images(), KEY, 1.0, ()) is images()


def test_every_image_draws_for_itself_and_by_its_own_key_alone():
    same = jnp.repeat(images()[:1], 6, 0)
    made = np.asarray(compiled(ALL)(same, KEY, 1.0))
    assert len({image.tobytes() for image in made}) == 6
    other = compiled(ALL)(same.at[1:].set(0.5), KEY, 1.0)
    np.testing.assert_array_equal(made[0], other[0])


@pytest.mark.parametrize("p", [0.25, 0.75])
def test_a_transformation_happens_with_its_probability(p):
    made = compiled(("colour",))(jnp.tile(images(1, 2), (4000, 1, 1, 1)), KEY, p)
    changed = jnp.mean(jnp.any(made != images(1, 2), (1, 2, 3)))
    assert abs(changed - p) < 4 * (p * (1 - p) / 4000) ** 0.5


def test_gradients_reach_what_is_seen():
    """Each transformation is linear in the image, but for a constant: its derivative along x is its change along x."""

    @jax.jit
    def both(x):
        value, pull = jax.vjp(lambda x: augment.augment(x, KEY, 1.0, ALL), x)
        return value, *pull(jnp.ones_like(value))

    x = images(4, 8)
    (value, back), (changed, _) = both(x), both(x + 0.01 * x)
    np.testing.assert_allclose(jnp.sum(back * 0.01 * x), jnp.sum(changed - value), rtol=1e-3)
    assert float(jnp.mean(back != 0)) > 0.5


def test_colour_moves_brightness_saturation_and_contrast_within_their_ranges():
    x = images(1)[0]
    grey = jnp.repeat(jnp.mean(x, -1, keepdims=True), 3, -1)
    for k in range(20):
        key = jax.random.key(k)
        b, s, c = jax.random.uniform(key, (3,))
        made = augment.colour(x, key)
        # All three are linear: what they do to the mean, to the grey picture and to the colours is told apart.
        np.testing.assert_allclose(jnp.mean(made), jnp.mean(x) + b - 0.5, atol=1e-5)
        shades = jnp.mean(made, -1) - jnp.mean(made)
        np.testing.assert_allclose(shades, (grey[..., 0] - jnp.mean(grey)) * (0.5 + c), atol=1e-5)
        hues = made - jnp.mean(made, -1, keepdims=True)
        np.testing.assert_allclose(hues, (x - grey) * 2 * s * (0.5 + c), atol=1e-5)


def test_translation_moves_by_at_most_an_eighth_and_lets_zeros_in():
    x = images(1)[0]
    moves = set()
    for k in range(40):
        made = np.asarray(augment.translation(x, jax.random.key(k)))
        padded = np.pad(x, ((4, 4), (4, 4), (0, 0)))
        found = [
            (dy, dx)
            for dy in range(-3, 4)
            for dx in range(-3, 4)
            if np.array_equal(padded[4 - dy : 20 - dy, 4 - dx : 20 - dx], made)
        ]
        assert len(found) == 1
        moves.add(found[0])
    assert {a for a, _ in moves} == {b for _, b in moves} == {-2, -1, 0, 1, 2}


def test_cutout_clears_a_square_of_half_the_side_and_nothing_else():
    x = images(1)[0]
    sizes = set()
    for k in range(40):
        made = np.asarray(augment.cutout(x, jax.random.key(k)))
        hole = np.all(made == 0, -1)
        np.testing.assert_array_equal(made[~hole], np.asarray(x)[~hole])
        rows, columns = hole.any(1).sum(), hole.any(0).sum()
        assert hole.sum() == rows * columns
        sizes |= {int(rows), int(columns)}
    assert max(sizes) == 8 and min(sizes) >= 4  # cut by the edge, at most in half


def test_noise_has_its_deviation_and_no_mean_and_is_none_at_0():
    x = images(64)
    added = np.asarray(augment.noisy(x, KEY, 0.2) - x)
    assert abs(added.std() - 0.2) < 4 * 0.2 / (2 * added.size) ** 0.5
    assert abs(added.mean()) < 4 * 0.2 / added.size**0.5
    assert augment.noisy(x, KEY, 0.0) is x


def run(logits, batches=40, start=0.2, target=0.6):
    state = augment.controller(start)
    step = jax.jit(lambda s: augment.adapt(s, logits, target, ramp=1000.0, interval=4))
    seen = []
    for _ in range(batches):
        state = step(state)
        seen.append(float(state["p"]))
    return seen


def test_the_probability_rises_when_d_overfits_and_falls_when_it_does_not():
    """8 images a batch, 4 batches a move, 1000 images from 0 to 1: a move is 0.032."""
    sure = run(jnp.full((8, 1), 3.0))
    np.testing.assert_allclose(sure, [0.2 + 0.032 * ((k + 1) // 4) for k in range(40)], atol=1e-6)
    unsure = run(jnp.array([[1.0], [-1.0]] * 4))
    np.testing.assert_allclose(unsure, [max(0.2 - 0.032 * ((k + 1) // 4), 0) for k in range(40)], atol=1e-6)
    assert max(run(jnp.full((8, 1), 3.0), batches=120)) == 1.0


def test_the_target_is_a_share_of_signs_not_of_sizes():
    """Five sixths of the signs above 0 is r_t = 2/3, above 0.6; four fifths is 0.6 up to rounding; 3/4 is below."""
    assert run(jnp.array([[100.0], [0.1], [0.1], [0.1], [0.1], [-100.0]]))[-1] > 0.2
    assert run(jnp.array([[100.0], [100.0], [100.0], [-0.1]]))[-1] < 0.2


def test_without_a_limit_the_probability_passes_one():
    """As ADA's: 8 images a batch, 4 batches a move, 1000 images from 0 to 1."""
    step = jax.jit(
        lambda s: augment.adapt(s, jnp.full((8, 1), 3.0), 0.6, ramp=1000.0, interval=4, most=jnp.inf)
    )
    state = augment.controller(0.9)
    for _ in range(40):
        state = step(state)
    np.testing.assert_allclose(state["p"], 0.9 + 0.32, atol=1e-6)


def test_policies_are_read_and_refused_by_name():
    assert augment.parse("") == () and augment.parse("colour, cutout") == ("colour", "cutout")
    assert augment.parse("bgc") == ("blit", "geom", "color") and augment.parse("bgcfnc") == ada.GROUPS
    assert augment.parse("cutout, blit") == ("blit", "cutout") and augment.parse("cutout") == ("cutout",)
    assert augment.of_ada(("blit", "cutout")) and not augment.of_ada(("cutout",))
    with pytest.raises(jgan.UserError, match="'blur' is unknown; use colour, translation, cutout.*bgc.*geom"):
        augment.parse("blur")
    with pytest.raises(jgan.UserError, match="colour,color' mixes two pipelines"):
        augment.parse("colour,color")
