"""Styles of latents, row by row; directions of known weights; what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jgan
from jgan import space as spaces
from jgan.latent import styles

ROWS, WIDTH = 6, 4
MEAN = jnp.array([1.0, -1.0, 0.5, 0.0])
# Layer k scales 3 channels by styles.
AFFINE = tuple(np.random.default_rng(k).normal(size=(WIDTH, 3)).astype(np.float32) for k in range(ROWS - 1))


def space(rows=ROWS, affine=AFFINE):
    """Latents {"noise": [2], "w": [rows, WIDTH]}."""
    held = spaces.Held(MEAN, lambda x: x["w"], lambda x, w: {**x, "w": w}, affine)
    return spaces.Space(
        "w_plus",
        lambda key: {"noise": jnp.ones(2), "w": jax.random.normal(key, (rows, WIDTH))},
        lambda x: x,
        lambda x: x,
        lambda x: x["w"][..., None],
        lambda a, b: jnp.zeros(()),
        held,
    )


SPACE = space()
A, B, C = (SPACE.sample(key) for key in jax.random.split(jax.random.key(0), 3))


@pytest.mark.parametrize(
    "text, rows",
    [
        ("", range(10)),
        ("0-6", range(7)),
        ("0,2, 5-7", (0, 2, 5, 6, 7)),
        ("9", (9,)),
        ("coarse", range(4)),
        ("middle", range(4, 8)),
        ("fine", (8, 9)),
        ("fine,0", (0, 8, 9)),
    ],
)
def test_rows_by_numbers_and_by_name(text, rows):
    assert styles.choose(text, 10) == tuple(rows)


@pytest.mark.parametrize(
    "text", ["10", "3-10", "6-3", "-1", "all", "0-", "0--3", ",", "1e3", "99999999", "²"]
)
def test_rows_that_there_are_not(text):
    with pytest.raises(jgan.UserError, match="has 10, 0 to 9"):
        styles.choose(text, 10)


def test_small_generators_have_no_fine_rows():
    assert styles.choose("middle", 6) == (4, 5)
    with pytest.raises(jgan.UserError, match="has 6"):
        styles.choose("fine", 6)


def test_mixing_takes_rows_and_nothing_else():
    made = styles.mix(SPACE, A, {**B, "noise": jnp.zeros(2)}, (0, 4))
    np.testing.assert_array_equal(made["w"], np.where([[1], [0], [0], [0], [1], [0]], B["w"], A["w"]))
    np.testing.assert_array_equal(made["noise"], A["noise"])
    with pytest.raises(jgan.UserError, match="one style for all layers"):
        styles.mix(space(1), A, B, (0,))


def test_truncation_ends_at_the_mean():
    np.testing.assert_array_equal(styles.truncate(SPACE, A, 1.0)["w"], A["w"])
    np.testing.assert_allclose(styles.truncate(SPACE, A, 0.0)["w"], jnp.tile(MEAN, (ROWS, 1)), atol=1e-6)
    half = styles.truncate(SPACE, A, 0.5)["w"]
    np.testing.assert_allclose(half - MEAN, (A["w"] - MEAN) / 2, atol=1e-6)


def test_an_expression_is_transferred_by_the_rows_that_differ():
    change = jnp.zeros((ROWS, WIDTH)).at[1].set(2.0).at[3].set(0.1)
    with_it = {**B, "w": B["w"] + change}
    all_rows = styles.transfer(SPACE, A, B, with_it, 0.5)
    np.testing.assert_allclose(all_rows["w"], A["w"] + 0.5 * change, atol=1e-6)
    large = styles.transfer(SPACE, A, B, with_it, 0.5, threshold=0.2)
    np.testing.assert_allclose(large["w"], A["w"] + 0.5 * change.at[3].set(0.0), atol=1e-6)
    np.testing.assert_array_equal(styles.transfer(SPACE, A, B, B, 1.0, 0.2)["w"], A["w"])


def test_a_direction_of_styles_moves_the_rows_that_are_asked_for():
    made = styles.lift(SPACE, jnp.arange(4.0), (2, 3))
    np.testing.assert_array_equal(made["w"], np.isin(np.arange(ROWS), (2, 3))[:, None] * np.arange(4.0))
    assert not np.any(made["noise"])
    np.testing.assert_array_equal(styles.lift(SPACE, C["w"])["w"], C["w"])


def test_closed_form_directions_are_the_singular_vectors_of_the_weights():
    found = styles.closed_form(SPACE, 4)
    a = np.concatenate(AFFINE, 1).astype(np.float64)
    u, s, _ = np.linalg.svd(a / np.linalg.norm(a, axis=0))
    assert (np.diff(s) < -0.05).all()  # an order that can be told
    for vector, axis in zip(found, u.T, strict=True):
        np.testing.assert_allclose(vector, axis * np.sign(axis @ np.asarray(vector)), atol=1e-5)
        assert vector[jnp.argmax(jnp.abs(vector))] > 0


def test_closed_form_of_some_layers_looks_at_these_alone():
    """Channels that follow one number alone have that as their direction, whatever their scale is."""
    one = tuple(np.eye(WIDTH, dtype=np.float32)[:, [k % WIDTH]] * (10.0**k) for k in range(ROWS - 1))
    for k in range(3):
        np.testing.assert_allclose(styles.closed_form(space(affine=one), 1, (k,)), np.eye(4)[[k]], atol=1e-6)
    with pytest.raises(jgan.UserError, match="no layer with styles: .* 0 to 4"):
        styles.closed_form(SPACE, 1, (5,))
    with pytest.raises(jgan.UserError, match="1 to 4 directions, not 5"):
        styles.closed_form(SPACE, 5)


def test_a_space_without_styles_says_so():
    plain = SPACE._replace(name="z", held=None)
    for call in (
        lambda: styles.truncate(plain, A, 0.5),
        lambda: styles.closed_form(plain, 1),
        lambda: styles.count(plain),
    ):
        with pytest.raises(jgan.UserError, match="space 'z' hold no styles"):
            call()
