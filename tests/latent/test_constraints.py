"""Closed forms of the terms, against a transcription in float64, and their behaviour where nothing is asked."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgan.latent import constraints
from jgan.ops import hog

SIZE = (24, 16, 3)
IMAGE, COLOURS, LINES, PATCHES = np.random.default_rng(0).uniform(-1, 1, (4, *SIZE)).astype(np.float32)
NOWHERE, DOT, BLOCK = np.zeros((3, *SIZE[:2]), np.float32)
DOT[2, 3] = 1
BLOCK[20:, 10:] = 1


def compiled(f):
    """`f` in one program, its results as NumPy arrays."""
    f = jax.jit(f)
    return lambda *args: jax.device_get(f(*args))


build, describe = compiled(constraints.build), compiled(hog.describe)
touched = compiled(lambda mask: hog.touched(mask, 8))
colour, sketch, cost = compiled(constraints.colour), compiled(constraints.sketch), compiled(constraints.cost)
realism = compiled(jax.value_and_grad(constraints.realism))
smoothness, preservation = compiled(constraints.smoothness), compiled(constraints.preservation)


def masked_mean(error, mask):
    """Section 3.1 of the sheet: a mean over everything, over the mask's mean plus 1e-5."""
    error, mask = np.asarray(error, np.float64), np.asarray(mask, np.float64)
    return (error * mask[..., None]).mean() / (mask.mean() + 1e-5)


@pytest.mark.parametrize("mask", [DOT, BLOCK], ids=["dot", "block"])
def test_colour_is_the_mean_over_painted_pixels(mask):
    asked = build(COLOURS, mask, LINES, NOWHERE, PATCHES, NOWHERE, NOWHERE)
    expected = masked_mean((np.asarray(IMAGE) - np.asarray(COLOURS)) ** 2, mask)
    np.testing.assert_allclose(colour(IMAGE, asked), expected, rtol=1e-5)
    # A dot weighs as much as a block: not the share of the image that it covers.
    inside = np.asarray(mask, bool)
    plain = np.mean((np.asarray(IMAGE) - np.asarray(COLOURS))[inside] ** 2)
    np.testing.assert_allclose(expected, plain, rtol=0.01)
    assert sketch(IMAGE, asked) == 0


def test_sketch_is_the_mean_over_touched_cells():
    asked = build(COLOURS, NOWHERE, LINES, BLOCK, PATCHES, NOWHERE, NOWHERE)
    assert np.array_equal(asked.edge_mask, touched(BLOCK)) and 0 < asked.edge_mask.sum() < 6
    expected = masked_mean((describe(IMAGE) - describe(LINES)) ** 2, asked.edge_mask)
    np.testing.assert_allclose(sketch(IMAGE, asked), expected, rtol=1e-4)
    assert colour(IMAGE, asked) == 0 and sketch(LINES, asked) < 1e-6


def test_lines_and_patches_join_cell_by_cell():
    """A dot that shares one cell with the block."""
    near = np.zeros_like(DOT)
    near[18, 3] = 1
    both = build(COLOURS, NOWHERE, LINES, near, PATCHES, BLOCK, NOWHERE)
    lines, patches = touched(near)[..., None], touched(BLOCK)[..., None]
    assert (lines & patches).sum() == 1 and (lines | patches).sum() == 3
    expected = np.maximum(describe(LINES) * lines, describe(PATCHES) * patches)
    np.testing.assert_allclose(both.edge, expected, atol=1e-4)
    assert np.array_equal(both.edge_mask[..., None], lines | patches)


def test_cost_weighs_the_terms():
    asked = build(COLOURS, BLOCK, LINES, DOT, PATCHES, NOWHERE, NOWHERE)
    parts = colour(IMAGE, asked), sketch(IMAGE, asked)
    np.testing.assert_allclose(cost(IMAGE, asked), parts[0] + 0.2 * parts[1], rtol=1e-5)
    weights = constraints.Weights(2.0, 3.0, 0.5, 1e9, 1e9)  # the last two compare with the start
    judged = compiled(lambda *given: constraints.cost(*given, lambda image: jnp.sum(image[0, 0])))
    found = judged(IMAGE, asked, weights)
    likely = 1 / (1 + np.exp(-np.sum(np.asarray(IMAGE[0, 0], np.float64))))
    np.testing.assert_allclose(found, 2 * parts[0] + 3 * parts[1] - 0.5 * np.log(likely), rtol=1e-5)
    assert tuple(constraints.Weights()) == (1.0, 0.2, 0.0, 2.0, 0.3)


@pytest.mark.parametrize("logit", [-200.0, -1.0, 0.0, 3.0, 200.0])
def test_realism(logit):
    value, slope = realism(logit)
    np.testing.assert_allclose(value, np.logaddexp(0, -logit), rtol=1e-6, atol=1e-30)
    assert np.isfinite(slope)


def test_smoothness_is_a_mean_over_all_numbers_of_one_latent():
    """Weight 5 and 100 numbers make iGAN's 0.05 |z - z0|^2."""
    z, z0 = np.random.default_rng(1).uniform(-1, 1, (2, 100)).astype(np.float32)
    np.testing.assert_allclose(5 * smoothness(z, z0), 0.05 * np.sum((z - z0) ** 2), rtol=1e-5)
    tree, tree0 = ({"a": x[:90].reshape(9, 10), "b": x[90:]} for x in (z, z0))
    np.testing.assert_allclose(smoothness(tree, tree0), smoothness(z, z0), rtol=1e-5)
    assert not np.any(jax.jit(jax.grad(constraints.smoothness))(z, z))


def test_preservation_is_the_mean_over_what_no_stroke_touches():
    """Painted pixels, cells of lines and patches, and where patches were taken from may change; nothing else."""
    corner = np.zeros_like(DOT)
    corner[:3, 12:] = 1
    asked = build(COLOURS, DOT, LINES, BLOCK, PATCHES, NOWHERE, corner)
    cells = np.repeat(np.repeat(touched(BLOCK), 8, 0), 8, 1)
    free = (DOT + corner + cells) > 0
    assert np.array_equal(asked.kept, ~free) and 0 < free.mean() < 1
    expected = masked_mean((np.asarray(IMAGE) - np.asarray(LINES)) ** 2, ~free)
    np.testing.assert_allclose(preservation(IMAGE, LINES, asked), expected, rtol=1e-5)
    assert preservation(np.where(free[..., None], IMAGE, LINES), LINES, asked) == 0
    # Sides that are no multiple of a cell: what lies beyond the last cell stays.
    odd = compiled(constraints.build)(
        *(x[:20, :13] for x in (COLOURS, NOWHERE, LINES, BLOCK + DOT, PATCHES, NOWHERE, NOWHERE))
    )
    assert np.all(odd.kept[16:]) and np.all(odd.kept[:, 8:]) and not odd.kept.all()


def test_nothing_asked_costs_nothing_and_pulls_nowhere():
    asked = constraints.empty(SIZE)
    built = build(COLOURS, NOWHERE, LINES, NOWHERE, PATCHES, NOWHERE, NOWHERE)
    assert jax.tree.map(jnp.shape, asked) == jax.tree.map(jnp.shape, built)
    pull = compiled(jax.value_and_grad(constraints.cost))
    for nothing in (asked, built):
        value, slope = pull(IMAGE, nothing)
        assert value == 0 and not np.any(slope)
        assert preservation(IMAGE, LINES, nothing) == 0
    # Flat images have no gradients anywhere but at the border: roots must not divide by them.
    something = build(COLOURS, BLOCK, LINES, BLOCK, PATCHES, BLOCK, NOWHERE)
    assert np.all(np.isfinite(pull(np.zeros(SIZE, np.float32), something)[1]))


def test_vmapped_is_looped():
    asked = build(COLOURS, BLOCK, LINES, DOT, PATCHES, NOWHERE, NOWHERE)
    images = np.stack([IMAGE, LINES, PATCHES])
    looped = np.stack([cost(image, asked) for image in images])
    np.testing.assert_allclose(
        compiled(jax.vmap(constraints.cost, (0, None)))(images, asked), looped, rtol=1e-5
    )
