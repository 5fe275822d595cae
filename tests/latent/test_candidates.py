"""Laws of an edit: candidates do not know each other, nothing asked changes nothing, what is shown is kept and differs.

The generator is a soft disc on white whose place and colour are the latent: its edits can be told by eye and by hand.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jgan
from jgan import space as spaces
from jgan.latent import candidates
from jgan.latent import constraints
from jgan.latent import document
from jgan.latent import paths
from jgan.latent import raster

SIZE = (32, 32, 3)
Y, X = (np.mgrid[:32, :32] + 0.5).astype(np.float32)


def disc(z):
    """Centre within 10 px of the middle by z[0] and z[1], radius 8 px, colour z[2:5]."""
    distance = jnp.sqrt((X - 16 - 10 * z[0]) ** 2 + (Y - 16 - 10 * z[1]) ** 2 + 1e-3)
    cover = jax.nn.sigmoid(8 - distance)[..., None]
    return (1 - cover) + cover * z[2:]


SPACE = spaces.Space(
    name="z",
    sample=lambda key: jax.random.uniform(key, (5,), minval=-1, maxval=1),
    free=jnp.arctanh,
    bound=jnp.tanh,
    generate=disc,
    distance=lambda a, b: jnp.mean(jnp.square(a - b)),
)
WEIGHTS = constraints.Weights()
COUNT, N = 12, 10
PLACE = slice(2)  # in a latent


def compiled(f, **options):
    """`f` in one program, its results as NumPy arrays: asserting on those compiles nothing more."""
    f = jax.jit(f, **options)
    return lambda *args, **kwargs: jax.device_get(f(*args, **kwargs))


start = compiled(lambda key: candidates.start(SPACE, key, COUNT))
start_from = compiled(lambda z, key: candidates.start_from(SPACE, z, key, COUNT))
trace = compiled(lambda state, asked, weights: candidates.trace(SPACE, state, asked, weights, N))
refill = compiled(lambda state, kept, key: candidates.refill(SPACE, state, kept, key))
cost = compiled(jax.vmap(constraints.cost, (0, None)))
generate = compiled(jax.vmap(disc))
select = compiled(candidates.select, static_argnames="top_k")
rank, importance = compiled(candidates.rank), compiled(candidates.importance)
average, shadow = compiled(candidates.average), compiled(candidates.shadow)


def steps(state, asked, weights=WEIGHTS, times=1):
    for _ in range(times):
        state, _ = trace(state, asked, weights)
    return state


def strokes(*strokes, image=None):
    return jax.device_get(raster.draw(document.Document("z", (32, 32), strokes), SIZE, image))


@functools.cache
def nothing():
    with jax.ensure_compile_time_eval():  # whoever asks first may be traced, and others get the same arrays
        return jax.device_get(constraints.empty(SIZE))


@functools.cache
def red():
    with jax.ensure_compile_time_eval():
        return strokes(document.Colour(((14.0, 16.0), (18.0, 16.0)), 3.0, (230.0, 25.0, 25.0)))


@functools.cache
def fresh():
    return start(jax.random.key(0))


Z = np.array([0.1, -0.3, 0.5, -0.2, -0.6], np.float32)


@functools.cache
def fixed():
    return start_from(Z, jax.random.key(1))


def looped(state, asked):
    """One candidate after the other, Adam written out."""
    out = []
    for u, anchor in zip(np.asarray(state.u[:3]), state.anchor, strict=False):
        m, v = np.zeros_like(u), np.zeros_like(u)
        for t in range(1, 2 * N + 1):
            g = np.asarray(slope(u, anchor, state.anchored, asked))
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            u = u - 0.1 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        out.append(u)
    return np.stack(out)


@jax.jit
@jax.grad
def slope(u, anchor, anchored, asked):
    z = jnp.tanh(u)
    changed = jnp.square(disc(z) - disc(anchor)) * asked.kept[..., None]
    near = 2 * jnp.mean((z - anchor) ** 2) + 0.3 * jnp.mean(changed) / (jnp.mean(asked.kept) + 1e-5)
    return constraints.cost(disc(z), asked) + anchored * near


@pytest.mark.parametrize("make", [fresh, fixed], ids=["start", "start_from"])
def test_all_candidates_at_once_are_one_after_the_other(make):
    """And two strokes go on like one twice as long: u, the moments and their count are kept."""
    state = make()
    np.testing.assert_allclose(steps(state, red(), times=2).u[:3], looped(state, red()), atol=1e-3)


def test_nothing_asked_changes_nothing():
    before = fresh()
    after = steps(before, nothing())
    assert np.array_equal(after.u, before.u)
    np.testing.assert_allclose(after.images, before.images, atol=1e-5)  # two programs round differently
    assert not np.any(after.cost) and np.all(after.iterations == N)


def test_image_latent_and_cost_belong_together():
    state = steps(fresh(), red())
    np.testing.assert_allclose(generate(state.latents), state.images, atol=1e-5)
    np.testing.assert_allclose(cost(state.images, red()), state.cost, rtol=1e-4)
    assert np.any(np.abs(np.tanh(state.u) - state.latents) > 1e-3)  # which are one step behind


def test_a_colour_is_reached():
    state = steps(fresh(), red(), times=6)
    best = state.images[rank(state)[0]]
    np.testing.assert_allclose(best[15:17, 14:18].mean((0, 1)), [0.804, -0.804, -0.804], atol=0.1)


def test_an_outline_is_followed():
    """Left half of a disc's outline, away from the middle: the candidates' edge costs fall by half."""
    angles = np.linspace(0.5 * np.pi, 1.5 * np.pi, 12)
    line = tuple((20 + 8 * float(np.cos(t)), 13 + 8 * float(np.sin(t))) for t in angles)
    asked = strokes(document.Sketch(line, 1.5), image=fresh().images[0])
    before, after = fresh(), steps(fresh(), asked, times=7)
    assert np.mean(after.cost < cost(before.images, asked)) > 0.9
    assert np.min(after.cost) < 0.6 * cost(np.ones((COUNT, *SIZE), np.float32), asked)[0]
    best = after.latents[rank(after)[0]]
    assert abs(10 * best[0] - 4) < 2 and abs(10 * best[1] + 3) < 2


def test_a_warp_moves_the_disc():
    """The patch around the disc's centre, five pixels to the right."""
    image = fixed().images[0]
    centre = 16 + 10 * float(Z[0]), 16 + 10 * float(Z[1])
    asked = strokes(document.Warp(centre, (centre[0] + 5, centre[1]), 22.0), image=image)
    state = steps(fixed(), asked, WEIGHTS._replace(smoothness=0.0), times=6)
    best = state.latents[rank(state)[0]]
    np.testing.assert_allclose(best, Z + np.array([0.5, 0, 0, 0, 0]), atol=0.12)


def test_smoothness_pulls_to_the_start():
    """Each candidate to its own: the first ones to the start itself."""

    def away(state):
        return np.mean((np.tanh(state.u) - state.anchor) ** 2, 1)

    before = dataclasses.replace(fixed(), u=fixed().u + 0.3)
    assert np.all(away(steps(before, nothing(), times=4)) < 0.1 * away(before))
    # The prior's own draws are not held at all.
    assert not np.any(steps(fresh(), nothing(), WEIGHTS._replace(smoothness=1e3)).u - fresh().u)


def test_preservation_keeps_what_is_not_painted():
    """Red on the disc: its colour follows; where it stands, which red does not ask for, stays the nearer."""

    def outside(weight):
        state = steps(fixed(), red(), constraints.Weights(smoothness=0.0, preservation=weight), times=4)
        return np.mean(np.square(state.images[0] - fixed().images[0]) * red().kept[..., None])

    assert outside(0.3) < 0.8 * outside(0.0)
    # The prior's own draws have nothing to keep.
    with_, without = (
        steps(fresh(), red(), constraints.Weights(preservation=weight)).u for weight in (1e3, 0.0)
    )
    assert np.array_equal(with_, without)


def test_the_best_does_what_is_asked_and_is_near_the_start():
    state = steps(fixed(), red())
    np.testing.assert_allclose(state.cost, cost(state.images, red()), rtol=1e-4)
    changed = np.square(state.images - fixed().images[0]) * red().kept[..., None]
    away = 2 * np.square(state.latents - Z).mean(1) + 0.3 * changed.mean((1, 2, 3)) / red().kept.mean()
    np.testing.assert_allclose(state.away, away, rtol=1e-3, atol=1e-5)
    assert np.array_equal(rank(state), np.argsort(state.cost + state.away, stable=True))
    assert not np.any(steps(fresh(), red()).away)


def test_candidates_begin_and_stay_apart():
    """What a stroke does not ask for is not made alike: places on the disc differ as much as when they began."""
    before, after = fixed(), steps(fixed(), red(), times=6)
    near = COUNT // 4
    place = [np.std(state.latents[near:, PLACE], 0).mean() for state in (before, after)]
    assert place[1] > 0.5 * place[0] and np.mean(after.cost) < 0.5 * np.mean(cost(before.images, red()))
    # The first ones look for the same: a red disc where it was.
    assert np.std(after.latents[:near, PLACE], 0).mean() < 0.2 * place[1]
    assert np.array_equal(before.anchor[:near], np.repeat(before.anchor[:1], near, 0))
    # Numbers of the latent or of the prior; of the later ones more are of the prior.
    drawn = np.concatenate([start_from(Z, jax.random.key(k)).latents for k in range(9)])
    drawn = (np.abs(drawn - Z) > 1e-5).reshape(9, COUNT, 5).mean((0, 2))
    assert not drawn[0] and 0 < drawn[1:5].mean() < 0.3 < drawn[-4:].mean() < 0.6


@pytest.mark.parametrize("make", [fresh, fixed], ids=["start", "start_from"])
def test_those_that_are_not_kept_begin_anew(make):
    state = steps(make(), red())
    kept = np.arange(COUNT) % 3 == 1
    after = refill(state, kept, jax.random.key(5))
    kept[0] |= make is fixed  # which is the start itself
    for name in ("u", "anchor", "iterations"):
        old, new = getattr(state, name), getattr(after, name)
        assert np.array_equal(new[kept], old[kept])
        assert name == "anchor" or np.all(np.any((new != old).reshape(COUNT, -1), 1) == ~kept)
    moments = jax.tree.leaves(after.opt)
    assert all(not np.any(x[~kept]) and np.any(x[kept]) for x in moments)
    assert np.array_equal(after.images, state.images)  # until the next step
    # Then they are as if they had begun there.
    one = compiled(lambda state: candidates.steps(SPACE, state, red(), WEIGHTS, 1))(after)
    np.testing.assert_allclose(one.latents[~kept], after.anchor[~kept], atol=1e-5)
    assert np.array_equal(one.reference[~kept], one.images[~kept]) and np.all(one.iterations[~kept] == 1)
    assert np.array_equal(one.reference[kept], state.reference[kept])
    np.testing.assert_allclose(np.abs(one.u - after.u)[~kept], 0.1, rtol=0.01)  # Adam's first step
    # The film of one of them does not show what it was before.
    k = int(np.flatnonzero(~kept)[0])
    way = np.stack([state.latents, one.latents])
    film = jax.jit(candidates.path, static_argnums=3)(one, way, k, 3)
    np.testing.assert_allclose(film[0], Z if make is fixed else after.anchor[k], atol=1e-5)
    np.testing.assert_allclose(film[-1], one.latents[k], atol=1e-6)
    assert not np.allclose(film[1], state.latents[k], atol=1e-2)


def test_long_edits_refill_their_candidates():
    """Two that begin alike: one of them is not shown, and begins anew."""
    twins = jax.tree.map(lambda x: np.copy(x), fixed())
    for x in jax.tree.leaves((twins.u, twins.anchor, twins.reference)):
        x[5] = x[4]
    run = compiled(
        lambda s, key: candidates.trace(SPACE, s, red(), WEIGHTS, 2 * candidates.REFILL, None, key)[0]
    )
    after = run(twins, jax.random.key(0))
    assert set(after.iterations.tolist()) == {candidates.REFILL, 2 * candidates.REFILL}
    assert after.iterations[0] == 2 * candidates.REFILL and candidates.REFILL in after.iterations[[4, 5]]
    assert select(after).mask.sum() > select(run(twins, None)).mask.sum()


def test_fixing_keeps_what_was_chosen():
    state = steps(fresh(), red())
    chosen = select(state).indices[0]
    z = jax.tree.map(lambda x: x[chosen], state.latents)
    after = start_from(z, jax.random.key(2))
    np.testing.assert_allclose(after.images[0], state.images[chosen], atol=1e-5)
    np.testing.assert_allclose(after.anchor[0], z, atol=1e-5)
    assert np.array_equal(after.begin, np.broadcast_to(z, (COUNT, 5)))
    assert after.anchored == 1 and not after.iterations.any()
    assert np.all(np.abs(after.latents[1:]) <= 0.99 + 1e-6)
    # At the very border of the space too, where u is infinite.
    corner = start_from(np.ones(5, np.float32), jax.random.key(3))
    assert np.all(np.isfinite(corner.u))
    np.testing.assert_allclose(corner.images[0], generate(np.ones((COUNT, 5), np.float32))[0], atol=1e-4)


def test_single_steps_are_steps():
    """The program of one step has no loop."""
    one = compiled(lambda state, asked: candidates.steps(SPACE, state, asked, WEIGHTS, 1))
    state = fresh()
    for _ in range(N):
        state = one(state, red())
    np.testing.assert_allclose(state.u, steps(fresh(), red()).u, atol=1e-4)


def test_realism_is_a_term_of_the_cost():
    """A judge who wants it dark: -log D falls, and is part of what candidates are ranked by."""
    weights = WEIGHTS._replace(realism=1.0)
    judge = lambda image: -5 * jnp.mean(image)  # noqa: E731
    run = compiled(lambda state: candidates.steps(SPACE, state, nothing(), weights, N, judge))
    first = run(fresh())
    second = run(first)
    np.testing.assert_allclose(
        second.cost, np.logaddexp(0, 5 * np.asarray(second.images).mean((1, 2, 3))), rtol=1e-4
    )
    assert np.all(second.cost < first.cost)


def test_the_path_leads_from_the_beginning_to_what_is_shown():
    state, first = trace(fixed(), red(), WEIGHTS)
    state, second = trace(state, red(), WEIGHTS)
    assert first.shape == (N, COUNT, 5) and np.array_equal(second[-1], state.latents)
    film = jax.jit(candidates.path, static_argnums=3)(state, np.concatenate([first, second]), 3, 9)
    np.testing.assert_allclose(film[0], Z, atol=1e-6)
    np.testing.assert_allclose(film[-1], state.latents[3], atol=1e-6)
    lengths = np.linalg.norm(np.diff(film, axis=0), axis=1)
    assert lengths.max() < 1.2 * np.median(lengths)  # chords of a curve in equal arcs


def test_sessions_side_by_side_are_each_by_itself():
    """vmap over images: the same program on a batch of states."""
    states = jax.tree.map(lambda *x: np.stack(x), fresh(), fixed())
    asked = jax.tree.map(lambda *x: np.stack(x), red(), nothing())
    both = compiled(jax.vmap(lambda s, a: candidates.steps(SPACE, s, a, WEIGHTS, N)))(states, asked)
    for i, alone in enumerate((steps(fresh(), red()), steps(fixed(), nothing()))):
        jax.tree.map(lambda a, b, i=i: np.testing.assert_allclose(a[i], b, atol=1e-4, rtol=1e-3), both, alone)


def shown_by_hand(images, cost, top_k, apart):
    def distance(i, j):
        return np.sqrt(np.mean((images[i] - images[j]) ** 2))

    order = [i for i in np.argsort(cost, kind="stable") if np.isfinite(cost[i])]
    limit = max(0.02, 2 * np.mean([cost[i] for i in order[: max(1, min(top_k, len(cost)) // 2)]]))
    kept = []
    for i in order:
        if cost[i] <= limit and all(distance(i, j) >= apart for j in kept):
            kept.append(int(i))
    chosen = kept[:1]
    while len(chosen) < min(top_k, len(kept)):
        gaps = {i: min(distance(i, j) for j in chosen) for i in kept if i not in chosen}
        chosen.append(max(gaps, key=gaps.get))
    return [i for i in kept if i in chosen]


@pytest.mark.parametrize("top_k, apart", [(12, 0.0), (4, 0.0), (12, 0.3), (4, 0.1), (1, 0.05), (40, 0.1)])
def test_what_is_shown(top_k, apart):
    rng = np.random.default_rng(0)
    images = rng.choice([0.0, 0.2, 0.6, 0.9], (COUNT, 1, 1, 1)) + rng.uniform(0, 0.05, (COUNT, 1, 1, 1))
    images = np.broadcast_to(images.astype(np.float32), (COUNT, *SIZE))
    costs = np.append(rng.uniform(0.2, 1.5, COUNT - 1), np.nan).astype(np.float32)
    shown = select(dataclasses.replace(fresh(), images=images, cost=costs), top_k, apart)
    assert shown.indices.shape == (min(top_k, COUNT),)
    assert list(shown.indices[shown.mask]) == shown_by_hand(images, costs, top_k, apart)
    assert np.all(shown.mask[:-1] >= shown.mask[1:]) and len(set(np.asarray(shown.indices).tolist())) == len(
        shown.mask
    )


def test_a_frozen_order_is_kept():
    state = steps(fresh(), red())
    order = rank(state)[::-1]
    shown = select(state, 12, 0.0, order)
    places = [int(np.flatnonzero(np.asarray(order) == i)[0]) for i in shown.indices[shown.mask]]
    assert places == sorted(places)
    assert set(shown.indices[shown.mask].tolist()) == set(
        (s := select(state, 12, 0.0)).indices[s.mask].tolist()
    )


def test_what_was_shown_stays_rather_than_what_looks_like_it():
    images = np.zeros((COUNT, *SIZE), np.float32)
    images[5:] = 0.5
    state = dataclasses.replace(fresh(), images=images, cost=np.linspace(0.2, 0.21, COUNT, dtype=np.float32))
    for before, expected in (([], [0, 5]), ([3, 9], [3, 9]), ([7], [0, 7])):
        shown = select(state, before=np.isin(np.arange(COUNT), before))
        assert shown.indices[shown.mask].tolist() == expected


def test_the_mean_counts_the_better_ones_more():
    cost = np.array([1.0, 2.0, 4.0, np.nan], np.float32)
    mask = np.array([True, True, True, False])
    deviations = (np.array([1, 2, 4]) - 7 / 3) / np.std([1, 2, 4])
    expected = np.exp(-deviations) / np.exp(-deviations).sum()
    np.testing.assert_allclose(importance(cost, mask), [*expected, 0], rtol=1e-5)
    np.testing.assert_allclose(
        importance(np.ones(4, np.float32), mask), np.array([1, 1, 1, 0]) / 3, rtol=1e-6
    )
    state = dataclasses.replace(
        fresh(), images=fresh().images.copy(), cost=np.arange(1, COUNT + 1, dtype=np.float32)
    )
    state.images[7] = np.nan
    shown = candidates.Shown(np.array([2, 5, 7]), np.array([True, True, False]))
    weights = importance(np.array([3.0, 6.0, 0, 0], np.float32), np.array([True, True, False, False]))[:2]
    np.testing.assert_allclose(
        average(state, shown), weights[0] * state.images[2] + weights[1] * state.images[5], atol=1e-6
    )
    np.testing.assert_allclose(
        compiled(paths.average)(state.latents[[2, 5]], weights),
        weights[0] * state.latents[2] + weights[1] * state.latents[5],
        atol=1e-6,
    )


def test_a_shadow_fades_with_the_distance():
    image = np.full((8, 8, 1), -1.0, np.float32)
    faded = shadow(image, (2.5, 3.5))
    assert faded[3, 2, 0] == -1
    keep = np.exp(-3 / 4)  # three pixels from the cursor, of half the side's four
    np.testing.assert_allclose(faded[3, 5, 0], -0.25 + 0.75 * (-keep + 1 - keep), rtol=1e-5)
    np.testing.assert_allclose(shadow(-image, (0.0, 0.0)), 1.0)


def test_latents_of_several_arrays():
    """A pytree is edited like the vector of its numbers."""
    split = SPACE._replace(
        sample=lambda key: {"place": jnp.zeros(2), "colour": SPACE.sample(key)[2:]},
        free=lambda z: jax.tree.map(jnp.arctanh, z),
        bound=lambda u: jax.tree.map(jnp.tanh, u),
        generate=lambda z: disc(jnp.concatenate([z["place"], z["colour"]])),
    )
    z = {"place": Z[:2], "colour": Z[2:]}
    state = compiled(lambda z, key: candidates.start_from(split, z, key, COUNT))(z, jax.random.key(1))
    # The noise of the two differs: give both the same candidates.
    u, anchor = ({"place": x[:, :2], "colour": x[:, 2:]} for x in (fixed().u, fixed().anchor))
    state = dataclasses.replace(state, u=u, anchor=anchor, reference=fixed().reference)
    after = compiled(lambda s, a: candidates.steps(split, s, a, WEIGHTS, N))(state, red())
    joined = np.concatenate([after.u["place"], after.u["colour"]], 1)
    np.testing.assert_allclose(joined, steps(fixed(), red()).u, atol=1e-3)


def test_no_candidates_are_refused():
    for make in (
        lambda: candidates.start(SPACE, jax.random.key(0), 0),
        lambda: candidates.start_from(SPACE, Z, jax.random.key(0), -1),
    ):
        with pytest.raises(jgan.UserError, match="at least 1 candidate"):
            make()
