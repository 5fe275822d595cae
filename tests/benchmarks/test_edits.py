"""Random edits: strokes lie where they should, figures follow from their definitions, and all of it runs."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import edits
from benchmarks import edits_report
from benchmarks import edits_strokes
from jgan import space as spaces
from jgan.data import objects
from jgan.latent import constraints

Y, X = (np.mgrid[:32, :32] + 0.5).astype(np.float32)


@pytest.fixture(scope="module")
def pictures():
    drawn = objects.Objects(32, 64, seed=5)
    return np.stack([drawn[k] for k in range(64)]).astype(np.float32) / 127.5 - 1


def test_strokes_lie_on_the_object_and_ask_for_something_new(pictures):
    rng = np.random.default_rng(0)
    for k in range(8):
        for colours in ("others", "saturated"):
            stroke, _ = edits_strokes.colour(rng, pictures, k, colours)
            (x, y), (u, v) = stroke.points
            inside = edits_strokes.on_object(pictures[k])
            assert inside[int(y), int(x)] and inside[int(v), int(u)] and 4 <= np.hypot(x - u, y - v) <= 8
            middle = pictures[k][int((y + v) / 2), int((x + u) / 2)]
            assert colours == "others" or np.ptp(stroke.colour) == 255
            assert np.abs(np.array(stroke.colour) / 127.5 - 1 - middle).max() > 0.2
        stroke, donor = edits_strokes.sketch(rng, pictures, k)
        lent = edits_strokes.slope(pictures[donor])
        at = [lent[int(y), int(x)] for x, y in stroke.points]
        assert donor != k and len(at) >= 4 and min(at) > 0.2
        steps = np.diff(np.array(stroke.points), axis=0)
        assert np.abs(steps).max() == 1  # one line, without a gap
        stroke, _ = edits_strokes.warp(rng, pictures, k)
        moved = np.hypot(*(np.array(stroke.target) - stroke.source))
        assert 2 <= moved <= 4 and 8 <= stroke.side <= 12


def asked(n, **fields):
    empty = constraints.Constraints(
        np.zeros((8, 8, 3), np.float32),
        np.zeros((8, 8), np.float32),
        np.zeros((1, 1, 8), np.float32),
        np.zeros((1, 1), np.float32),
        np.zeros((8, 8), np.float32),
    )
    one = constraints.Constraints(**{**vars(empty), **fields})
    return [one] * n


def test_colours_are_judged_by_their_definition():
    before = np.zeros((4, 8, 8, 3), np.float32)
    mask = np.zeros((8, 8), np.float32)
    mask[:4] = 1
    wanted = asked(4, colour=np.ones((8, 8, 3), np.float32), colour_mask=mask)
    after = before.copy()
    after[:, :4] = 1
    after[0, :4] = 0.79  # 10.5 % of the range away
    after[1, :4, ::2] = 0.7
    after[1, :4, 1::2] = 1.3  # off by 15 % of the range everywhere, and right on the mean
    after[:, 4:] = 0.25
    found = edits_report.judge("colour", before, after, before, wanted)
    assert found["colour"] == 0.5 and found["colour_mean"] == 0.75
    np.testing.assert_allclose(found["colour_outside"], 0.25 / np.mean([0.79, 1, 1, 1]), rtol=1e-5)


def test_edges_and_patches_are_judged_by_their_cost():
    rng = np.random.default_rng(0)
    before, after = rng.uniform(-1, 1, (2, 3, 8, 8, 3)).astype(np.float32)
    mask = np.ones((8, 8), np.float32)
    one = asked(
        3, colour=before[0], colour_mask=mask, edge=np.ones((1, 1, 8), np.float32), edge_mask=mask[:1, :1]
    )
    found = edits_report.judge(
        "warp", before[[1, 1, 1]], np.stack([before[0], after[0], before[1]]), before, one
    )
    costs = [np.square(x - before[0]).mean() for x in (before[0], after[0], before[1])]
    np.testing.assert_allclose(found["warp"], np.mean(np.array(costs) < costs[2] * (1 - 1e-6)))
    found = edits_report.judge("sketch", before, before, before[::-1], one)
    assert found["sketch"] == 0 and found["sketch_ratio"] == 1


def test_candidates_are_judged_by_their_spread_and_their_median():
    """Pictures of one grey each: two of them differ by the difference of the greys."""
    greys = np.random.default_rng(0).uniform(-1, 1, 64).astype(np.float32)
    run = types.SimpleNamespace(judges=False, weights={})

    def plain(greys):
        return np.broadcast_to(np.float32(greys)[..., None, None, None], (*np.shape(greys), 8, 8, 3))

    spread = edits_report.spreads(run, plain(greys))
    prior = np.median(np.abs(greys[:, None] - greys)[np.triu_indices(64, 1)])
    np.testing.assert_allclose(spread(plain([0.0, 0.1, 0.4])), 0.3 / prior, rtol=1e-5)
    assert spread(plain([0.5])) == 0
    mask = np.zeros((8, 8), np.float32)
    mask[:4] = 1
    wanted = asked(2, colour=np.ones((8, 8, 3), np.float32), colour_mask=mask)
    made = edits.Made(
        None, plain([[0.9, 0.7, 0.85], [0.72, 0.9, 0.75]]), np.array([[1, 1, 1], [1, 1, 0]], bool)
    )
    found = edits_report.judge_shown(made, wanted, spread)
    # The median errors are 0.15 and 0.19 of a range of 2.
    assert found["shown"] == 2.5 and found["shown_least"] == 2 and found["colour_shown"] == 1.0
    assert found["colour_best"] == 0.5
    np.testing.assert_allclose(found["spread"], np.median([0.15, 0.18]) / prior, rtol=1e-4)
    assert (
        edits_report.judge_shown(made._replace(images=made.images - 0.1), wanted, spread)["colour_shown"] == 0
    )


def disc(z):
    """Centre by z[0] and z[1], colour z[2:5], on white."""
    distance = jnp.sqrt((X - 16 - 6 * z[0]) ** 2 + (Y - 16 - 6 * z[1]) ** 2 + 1e-3)
    cover = jax.nn.sigmoid(2 * (9 - distance))[..., None]
    return (1 - cover) + cover * (0.9 * z[2:] - 0.1)


@pytest.mark.slow
def test_a_disc_is_coloured_and_moved():
    """With as many degrees of freedom as the edits need, colours are met and patches follow."""
    space = spaces.Space(
        name="z",
        sample=lambda key: jax.random.uniform(key, (5,), minval=-0.9, maxval=0.9),
        free=jnp.arctanh,
        bound=jnp.tanh,
        generate=disc,
        distance=lambda a, b: jnp.mean(jnp.square(a - b)),
    )
    run = types.SimpleNamespace(space=lambda weights=None: space, judges=False, weights={})
    # Smoothness is a mean over the numbers of a code: of five of them each is held the tighter.
    weights = constraints.Weights(smoothness=0.02)
    found = edits.measure(run, number=6, photos=0, candidates=4, iterations=30, pool=64, weights=weights)
    assert found["colour"] >= 0.8 and found["colour_outside"] < 0.6 and found["warp"] >= 0.8
    assert 0 < found["sketch_ratio"] < 1 and found["number"] == 6
    timed = edits.step_ratio(run, turns=1, count=2)
    assert timed["step_ratio"] > 0 and timed["size"] == 32
