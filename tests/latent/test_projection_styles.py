"""Projection into spaces of styles: the schedule, added noise, maps of noise and P-norm coordinates."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import stylegan2 as presets
import jgan
from jgan.latent import coordinates
from jgan.latent import projection
from jgan.systems import stylegan2
from jgan.systems import styles
from tests.initial_weights import quick_init

pytestmark = pytest.mark.usefixtures("quick_convolutions")

KEY = jax.random.key(4)
# The optimiser's and the start's defaults without those for the number of evaluations.
SETTINGS = projection.Settings(
    **{name: x for name, x in styles.SEARCHES["w"].items() if name not in ("method", "starts")}
)


@functools.cache
def weights():
    """(system, weights of a drawn net): the first layer's noise has no strength, that of the others differs."""
    system = stylegan2.build(presets.get_config("tiny"))
    images = np.zeros((2, 16, 16, 3), np.uint8)
    drawn = quick_init(system.init)(KEY, {"images": images}).weights()
    count = iter(range(1, 100))

    def strong(path, x):
        if path[-1].key != "noise_strength":
            return x
        return jnp.float32(0.0 if path[-3].key == "b4" else 0.1 * next(count))

    return system, {**drawn, "params": jax.tree_util.tree_map_with_path(strong, drawn["params"])}


@functools.cache
def space(name):
    system, drawn = weights()
    return system.spaces[name].space(drawn, {})


@functools.cache
def photo():
    """A picture that no style makes, of colours that all of them can."""
    return 0.5 * jnp.sin(jnp.arange(16 * 16 * 3.0).reshape(16, 16, 3) / 7)


@pytest.mark.parametrize(
    "step, rate, noise",
    [(0, 0.0, 0.05), (10, 0.02, 0.048676), (50, 0.1, 0.043556), (800, 0.09045085, 0.0), (1000, 0.0, 0.0)],
)
def test_the_schedule_is_that_of_stylegan2s_projector(step, rate, noise):
    """Worked out by hand for 1,000 steps: (0.5 - 0.5 cos(pi 0.2 / 0.25)) 0.1, and 0.05 (1 - t / 0.75)^2."""
    settings = SETTINGS._replace(evaluations=1000)
    np.testing.assert_allclose(settings.rate(jnp.int32(step)), rate, atol=1e-6)
    np.testing.assert_allclose(settings.noise(jnp.int32(step)), noise, atol=1e-6)


def test_a_projection_with_schedule_and_noise_in_parts_is_the_same_as_in_one():
    settings, w = SETTINGS._replace(evaluations=12, learning_rate=0.02), space("w")
    cost, start = projection.reconstruction(photo()), jnp.zeros(6)

    @jax.jit
    def begin(key):
        return projection.begin(w, cost, start, settings, key=key, history=True)

    @jax.jit
    def advance(carry, until):
        return projection.advance(w, cost, carry, until, settings)

    whole = advance(begin(jax.random.key(1)), 12)
    parts = advance(advance(advance(begin(jax.random.key(1)), 5), 6), 12)
    for a, b in zip(
        jax.tree.leaves(projection.finish(w, whole)),
        jax.tree.leaves(projection.finish(w, parts)),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
    assert whole["count"] == 12
    other = advance(begin(jax.random.key(2)), 12)
    assert np.abs(whole["history"] - other["history"]).max() > 1e-6  # the key decides the noise


def test_rows_that_move_together_are_a_search_in_w_and_then_move_apart():
    settings = SETTINGS._replace(evaluations=8, style_noise=0.0)
    cost, w, rows = projection.reconstruction(photo()), space("w"), space("w_plus")

    def search(within, share):
        return projection.project(within, cost, within.styles.middle(), settings._replace(shared=share))

    alone, whole, half = jax.jit(lambda: (search(w, 0.0), search(rows, 1.0), search(rows, 0.5)))()
    np.testing.assert_allclose(whole.latent, np.broadcast_to(alone.latent, whole.latent.shape), atol=1e-5)
    assert np.ptp(half.latent, axis=0).max() > 1e-3 and half.cost < whole.cost


def test_the_first_evaluation_is_that_of_the_start_with_noise_of_the_deviation():
    """And as the rate is 0 there, the second is that of the same point with other noise."""
    w, seen = space("w"), []
    settings = SETTINGS._replace(evaluations=2, ramp_down=0.0, style_noise=0.5)
    watched = w._replace(generate=lambda u: jax.debug.callback(seen.append, u) or w.generate(u))
    start = jnp.arange(6.0)
    projection.project(watched, projection.reconstruction(photo()), start, settings, key=KEY)
    jax.effects_barrier()
    deviation = float(w.styles.deviation())
    away = [np.linalg.norm(u - start) / deviation for u in seen]
    assert 0.2 < away[0] < 3 and len(seen) == 2  # half the deviation times the root of about 6
    assert not np.allclose(seen[0], seen[1])


def test_mean_and_deviation_are_those_of_the_mapping():
    w = space("w")
    drawn = jax.vmap(w.sample)(jax.random.split(jax.random.key(7), 4000))
    spread = np.sqrt(np.mean(np.sum(np.square(drawn - drawn.mean(0)), 1)))
    np.testing.assert_allclose(w.styles.deviation(), spread, rtol=0.03)
    np.testing.assert_allclose(w.styles.middle(), drawn.mean(0), atol=0.05 * spread)
    rows = space("w_plus").styles.middle()
    np.testing.assert_array_equal(rows, np.broadcast_to(w.styles.middle(), rows.shape))


def test_starts_lie_around_the_mean():
    w = space("w")
    begin = projection.starts(w, KEY, 3, "mean")
    np.testing.assert_array_equal(begin[0], w.styles.middle())
    away = np.linalg.norm(begin[1:] - begin[0], axis=1) / float(w.styles.deviation())
    assert ((0.01 < away) & (away < 0.75)).all()


def test_maps_in_latents_are_those_that_are_added():
    """The generator's own maps times the strengths give its own image; a layer of strength 0 takes a map too."""
    rows, whole = space("w_plus"), space("w_plus_noise")
    latent = rows.sample(KEY)
    own = {"w_plus": latent, "noise": rows.styles.maps}
    np.testing.assert_allclose(whole.generate(own), rows.generate(latent), atol=1e-5)
    assert rows.styles.strengths[0] == 0 and not np.any(own["noise"][0])
    changed = {**own, "noise": (jnp.ones((4, 4, 1)), *own["noise"][1:])}
    assert np.abs(whole.generate(changed) - whole.generate(own)).max() > 1e-3


def test_styles_come_first_and_maps_after_them():
    """The styles are those of w_plus, and the maps bring the picture nearer by squares alone."""
    settings = SETTINGS._replace(evaluations=6, learning_rate=0.05, noise_evaluations=20)
    cost, image = projection.reconstruction(photo()), photo()
    doubled = lambda made: 2 * cost(made)  # noqa: E731

    @jax.jit
    def both(key):
        alone = projection.project_image(
            space("w_plus"), cost, key, settings._replace(noise_evaluations=0), method="mean"
        )
        every = projection.project_image(
            space("w_plus_noise"), cost, key, settings, method="mean", history=True, pixel_cost=doubled
        )
        return alone, every, space("w_plus_noise").generate(every.latent)

    alone, every, made = both(KEY)
    np.testing.assert_array_equal(every.latent["w_plus"], alone.latent)
    assert every.evaluations == 26 and every.history.shape == (26,)
    np.testing.assert_allclose(every.cost, 2 * np.mean(np.square(made - image)), rtol=1e-4)
    assert every.cost < 0.8 * 2 * alone.cost
    assert np.any(every.latent["noise"][0])  # that of no strength


def test_images_can_be_projected_together():
    settings = SETTINGS._replace(evaluations=4, noise_evaluations=3)
    images = jnp.stack([photo(), -photo()])
    every = jax.jit(
        jax.vmap(
            lambda image, key: projection.project_image(
                space("w_plus_noise"),
                projection.reconstruction(image),
                key,
                settings,
                method="mean",
                number=2,
            )
        )
    )(images, jax.random.split(KEY, 2))
    one = jax.jit(
        lambda image, key: projection.project_image(
            space("w_plus_noise"), projection.reconstruction(image), key, settings, method="mean", number=2
        )
    )(images[1], jax.random.split(KEY, 2)[1])
    for a, b in zip(jax.tree.leaves(every), jax.tree.leaves(one), strict=True):
        np.testing.assert_allclose(a[1], b, atol=1e-4)


def _by_loops(x):
    """The cost of one map, by loops over pixels."""
    total = 0.0
    while True:
        r = len(x)
        total += np.mean([x[i, j] * x[i, j - 1] for i in range(r) for j in range(r)]) ** 2
        total += np.mean([x[i, j] * x[i - 1, j] for i in range(r) for j in range(r)]) ** 2
        if r <= 8:
            return total
        x = [
            [np.mean([x[2 * i + a][2 * j + b] for a in (0, 1) for b in (0, 1)]) for j in range(r // 2)]
            for i in range(r // 2)
        ]
        x = np.array(x)


def test_the_autocorrelation_of_maps_is_that_of_every_scale():
    rng = np.random.default_rng(0)
    maps = [rng.normal(size=(r, r)) for r in (4, 8, 16)]
    wanted = sum(_by_loops(x) for x in maps)
    found = coordinates.autocorrelation(tuple(jnp.asarray(x[..., None], jnp.float32) for x in maps))
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


def test_maps_and_styles_together_as_in_stylegan2s_projector():
    """The maps keep mean 0 and mean square 1; of a space without maps they are forgotten."""
    settings = SETTINGS._replace(evaluations=5, noise_regulariser=1e5)
    cost = projection.reconstruction(photo())

    @jax.jit
    def both(key):
        kept = projection.project_image(space("w_plus_noise"), cost, key, settings, method="mean")
        lost = projection.project_image(space("w"), cost, key, settings, method="mean")
        return kept, lost, cost(space("w").generate(lost.latent))

    kept, lost, cost_of_lost = both(KEY)
    for x, strength in zip(kept.latent["noise"], space("w_plus").styles.strengths, strict=True):
        np.testing.assert_allclose([np.mean(x), np.sqrt(np.mean(x**2))], [0, strength], atol=1e-5)
    assert lost.latent.shape == (6,)
    np.testing.assert_allclose(lost.cost, cost_of_lost, rtol=1e-5)


def test_p_norm_coordinates_are_standard_normal_and_their_own_inverse():
    w = space("w")
    made = coordinates.p_norm(w, 0.5)
    drawn = jax.vmap(w.sample)(jax.random.split(jax.random.key(7), 4000))
    u = jax.vmap(made.free)(drawn)
    np.testing.assert_allclose(np.mean(u, 0), np.zeros(6), atol=0.1)
    # The mapping of the smallest preset has five inputs, so that one direction may hardly be used.
    np.testing.assert_allclose(np.std(u, 0)[1:], np.ones(5), rtol=0.1)
    np.testing.assert_allclose(jax.vmap(made.bound)(u), drawn, atol=1e-3 * float(w.styles.deviation()))
    np.testing.assert_allclose(made.penalty(u[0]), 0.5 * np.mean(u[0] ** 2), rtol=1e-5)


def test_a_prior_in_p_norm_coordinates_keeps_styles_near_the_others():
    settings = SETTINGS._replace(evaluations=30, style_noise=0.0)
    cost, rows = projection.reconstruction(photo()), space("w_plus")

    @jax.jit
    def length(key):
        coordinate = coordinates.p_norm(rows, 1.0)
        return [
            jnp.mean(
                jnp.square(
                    coordinate.free(
                        projection.project_image(
                            rows, cost, key, settings._replace(p_norm=p), method="mean"
                        ).latent
                    )
                )
            )
            for p in (1e-6, 1.0)
        ]

    free, held = length(KEY)
    assert held < 0.5 * free


@pytest.mark.parametrize(
    "name, change, method, message",
    [
        ("z", {}, "mean", "method=mean is for spaces of styles, and z is none"),
        ("z", {"style_noise": 0.1}, "optimise", "style_noise=0.1 is for spaces of styles"),
        ("z", {"p_norm": 0.1}, "optimise", "p_norm=0.1 is for spaces of styles"),
        ("w", {"noise_evaluations": 3}, "mean", "noise_evaluations=3: latents of w have no maps"),
        (
            "w",
            {"optimiser": "lbfgs", "style_noise": 0.1},
            "mean",
            "style_noise=0 or optimiser=adam would work",
        ),
        ("w", {"ramp_up": 2.0}, "mean", "ramp_up=2.0"),
        ("w_plus", {"shared": 1.5}, "mean", "shared=1.5: a share of the evaluations"),
        ("w_plus", {"optimiser": "lbfgs", "shared": 0.5}, "mean", "shared=0 or optimiser=adam would work"),
        ("z", {"shared": 0.5}, "optimise", "shared=0.5 is for spaces of styles"),
        ("w", {"p_norm": -1.0}, "mean", "p_norm=-1.0: it must be 0 or more"),
    ],
)
def test_what_does_not_fit_is_refused(name, change, method, message):
    settings = projection.Settings(**{"optimiser": "adam", **change})
    with pytest.raises(jgan.UserError, match=message):
        projection.check(settings, method, 1)
        projection.check_space(space(name), settings, method)
