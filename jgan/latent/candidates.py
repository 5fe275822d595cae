"""Editing by constraints: many candidates follow the strokes at once, ranked, the diverse ones shown.

Zhu et al., "Generative Visual Manipulation on the Natural Image Manifold" (2016), section 3.2, and iGAN's code: Adam
with rate 0.1 on the unbounded variable of every candidate. All functions are pure and free of `jit`; a session is one
`State` that they take and return:

    state = candidates.start(space, key, 64)                           # no photo: anything that the space can show
    state = candidates.steps(space, state, constraints, weights, 40)   # a stroke; again after each further one
    shown = candidates.select(state)                                   # the candidates for a person to see
    chosen = jax.tree.map(lambda x: x[shown.indices[0]], state.latents)
    state = candidates.start_from(space, chosen, key, 64)              # fix one and continue from there

In contrast to iGAN, image, latent and cost of a state belong together (there the latent is one step ahead), fixing
starts with new moments (there those of others are kept), and each candidate stays near its own beginning: pulled to the
latent that was fixed, as in iGAN, all become one picture. A repulsion (Liu and Wang, 2016) would need a second net for
a perceptual distance; as in quality-diversity search (Mouret and Clune, 2015), each beginning is a niche.
"""

from collections.abc import Callable
import dataclasses
from typing import Any
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

import jgan
from jgan import space as spaces
from jgan.latent import constraints as terms
from jgan.latent import paths

CANDIDATES = 64
ITERATIONS = 40  # after a stroke in the editor
REFILL = 40  # steps between the moments at which candidates that are not shown begin anew
TOP_K = 16
_NEAR = 4  # of so many candidates one is held to the start itself
_DRAWN = 0.1, 0.5  # the share of a start's numbers that the nearest and the farthest candidates draw anew
_MET = 0.02  # a cost at which strokes count as met: colours that are 7 % of the range off
_ADAM = optax.adam(0.1, 0.9, 0.999, 1e-8)
_Judge = Callable[[jax.Array], jax.Array] | None  # image [h, w, c] -> logit


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class State:
    """All candidates of an edit, n of them, as one pytree of arrays.

    Attributes:
        u: unbounded variables [n, ...], at which the next step begins.
        opt: Adam's moments of each candidate, which are kept from stroke to stroke.
        latents: the latents [n, ...] of `images`: one step behind `u`, so that what is chosen is what was seen.
        images: [n, h, w, c] in [-1, 1].
        cost: [n], how far `images` are from the strokes, nearness to the start not counted; 0 before the first step.
        away: [n], the cost of distance from the start itself, the same term for all candidates; 0 without a start.
        begin: latents [n, ...] where the candidates' paths begin.
        anchor: latents [n, ...] from which smoothness is measured: the start, which is the first, or their beginnings.
        reference: [n, h, w, c], the images of these latents, from which preservation is measured.
        fresh: [n] bool, candidates that no step has drawn since they began: their next images become references.
        anchored: 1.0 after `start_from`, 0.0 after `start`: whether smoothness and preservation count.
        iterations: [n] int32, steps since each of them began.
    """

    u: Any
    opt: Any
    latents: Any
    images: jax.Array
    cost: jax.Array
    away: jax.Array
    begin: Any
    anchor: Any
    reference: jax.Array
    fresh: jax.Array
    anchored: jax.Array
    iterations: jax.Array


class Shown(NamedTuple):
    """The candidates for a person to see: `indices` [k] int32, best first, of which those in `mask` [k] bool count."""

    indices: jax.Array
    mask: jax.Array


def start(space: spaces.Space, key: jax.Array, count: int = CANDIDATES) -> State:
    """The state before the first stroke of a new drawing: `count` draws from the prior, and no start.

    Raises:
        jgan.UserError: there are no candidates.
    """
    latents = _draws(space, key, _at_least_one(count))
    return _create(space, latents, latents, 0.0)


def start_from(space: spaces.Space, latent: Any, key: jax.Array, count: int = CANDIDATES) -> State:
    """The state after a choice or a projection was fixed: candidates near and far from one latent.

    The first candidate is the latent itself, so that its image stays among them. The others begin farther and farther
    from it: a growing share of their numbers is drawn from the prior, as in uniform crossover (Syswerda, 1989), so that
    their numbers keep its distribution. The first quarter stays near the latent, since one candidate alone may not
    follow a stroke well; those that become alike begin anew by `refill`. The others stay near their own beginnings.

    Raises:
        jgan.UserError: there are no candidates.
    """
    latents = _around(space, latent, key, _at_least_one(count))
    # The latent itself may lie nearer to the border than the others, only as far from it as `free` needs.
    own = paths.inside(space, latent, 1 - 1e-6)
    latents = jax.tree.map(lambda xs, x: xs.at[0].set(x), latents, own)
    begin = jax.tree.map(lambda x: jnp.broadcast_to(x, (count, *x.shape)), latent)
    state = _create(space, latents, begin, 1.0)
    far = jnp.arange(count) >= max(1, count // _NEAR)
    own = jax.tree.map(lambda x: x[0], (state.anchor, state.reference))
    anchor, reference = _where(far, (state.anchor, state.reference), own)
    return dataclasses.replace(state, anchor=anchor, reference=reference)


def refill(space: spaces.Space, state: State, kept: jax.Array, key: jax.Array) -> State:
    """The state in which all candidates but those in `kept` [n] bool begin anew, in the same way with other draws.

    Their images, latents and costs are the old ones until the next step. A start, the first candidate, always stays.
    """
    count = kept.shape[0]
    kept = kept | ((jnp.arange(count) == 0) & (state.anchored > 0))
    start = jax.tree.map(lambda x: x[0], state.anchor)
    anchored = jnp.broadcast_to(state.anchored > 0, kept.shape)
    latents = _where(anchored, _around(space, start, key, count), _draws(space, key, count))
    return dataclasses.replace(
        state,
        u=_where(kept, state.u, jax.vmap(space.free)(latents)),
        opt=_where(kept, state.opt, jax.tree.map(jnp.zeros_like, state.opt)),
        begin=_where(kept | anchored, state.begin, latents),
        anchor=_where(kept, state.anchor, latents),
        fresh=state.fresh | ~kept,
        iterations=jnp.where(kept, state.iterations, 0),
    )


def steps(
    space: spaces.Space,
    state: State,
    constraints: terms.Constraints,
    weights: terms.Weights,
    n: int = ITERATIONS,
    realism_of: _Judge = None,
) -> State:
    """The state after `n` steps of all candidates towards the constraints.

    Every step has one forward and one backward pass of the generator; the images are those of the last forward pass.
    Without a constraint nothing moves.

    Args:
        space: its `generate` is called under `vmap`.
        state: perhaps one that was moved by other strokes: `u` and the moments continue.
        constraints: of the size of the space's images.
        weights: numbers or traced scalars.
        n: the number of steps, static.
        realism_of: `image [h, w, c] -> logit`; without it the discriminator is not part of the program.
    """
    return trace(space, state, constraints, weights, n, realism_of)[0]


def trace(
    space: spaces.Space,
    state: State,
    constraints: terms.Constraints,
    weights: terms.Weights,
    n: int = ITERATIONS,
    realism_of: _Judge = None,
    key: jax.Array | None = None,
) -> tuple[State, Any]:
    """The state of `steps`, and the latents [n, candidates, ...] after each step, the last being those of the state.

    With a `key`, candidates that `select` would not show begin anew after every `REFILL` steps, if as many are left.
    """

    def body(state: State, done: jax.Array) -> tuple[State, Any]:
        state = _step(space, state, constraints, weights, realism_of)
        latents = state.latents
        if key is not None:
            state = jax.lax.cond(
                (done % REFILL == 0) & (done <= n - REFILL),
                lambda: refill(
                    space, state, shows(select(state), state.cost.shape[0]), jax.random.fold_in(key, done)
                ),
                lambda: state,
            )
        return state, latents

    if n == 1:  # the editor's tick; on CPU a loop of one turn takes a quarter longer than its body
        state, latents = body(state, jnp.ones((), jnp.int32))
        return state, jax.tree.map(lambda x: x[None], latents)
    return jax.lax.scan(body, state, 1 + jnp.arange(n))


def path(state: State, latents: Any, candidate: int | jax.Array, n: int = paths.FRAMES) -> Any:
    """The latents [n, ...] of one candidate's film along the steps in `latents`, from its beginning.

    Args:
        state: from `trace`.
        latents: [m, candidates, ...] from `trace`, or several of them joined along the first axis.
        candidate: its index.
        n: frames.
    """
    steps = jax.tree.leaves(latents)[0].shape[0]
    lived = jnp.arange(steps) >= steps - state.iterations[candidate]

    def leaf(first: jax.Array, x: jax.Array) -> jax.Array:
        # The latents of a candidate before it began anew are not part of its path.
        way = _where(lived, x[:, candidate], first[candidate])
        return jnp.concatenate([first[candidate][None], way])

    return paths.resample(jax.tree.map(leaf, state.begin, latents), n)


def select(
    state: State, top_k: int = TOP_K, apart: float = 0.05, order: Any = None, before: Any = None
) -> Shown:
    """The candidates to show, at most `top_k`, best first: those that follow the strokes, and no two that look alike.

    A candidate follows them if its cost is at most twice the mean cost of the best `top_k` / 2 (iGAN's rule) or so low
    that strokes count as met. One whose image differs by less than `apart` from an earlier one is left out. If more
    than `top_k` remain, the best is shown and then repeatedly the one farthest from all shown (Gonzalez, 1985).

    Args:
        state: of which `images`, `cost` and `away` are used.
        top_k: 1 or more.
        apart: root of the mean squared difference of pixels, of a range of 2; 0.05 is 6 of 255 levels, 0 shows all.
        order: candidates [n] in the order in which they are compared; None: that of `rank`.
        before: [n] bool, those shown before, which are kept rather than others that look like them.
    """
    count = state.cost.shape[0]
    cost = jnp.where(jnp.isfinite(state.cost), state.cost, jnp.inf)
    order = rank(state) if order is None else order
    limit = 2 * jnp.mean(jnp.sort(cost)[: max(1, min(top_k, count) // 2)])
    good = jnp.isfinite(cost) & (cost <= jnp.maximum(limit, _MET))
    # Distances come from the Gram matrix, since the differences themselves would take n times the memory of the images.
    flat = jnp.where(jnp.isfinite(cost)[:, None], state.images.reshape(count, -1).astype(jnp.float32), 0)
    products = jnp.matmul(flat, flat.T, precision="highest") / flat.shape[1]
    squares = jnp.diagonal(products)
    distance = jnp.sqrt(jnp.maximum(squares[:, None] + squares - 2 * products, 0))

    def visit(shown: jax.Array, index: jax.Array) -> tuple[jax.Array, None]:
        alike = jnp.any(shown & (distance[index] < apart))
        return shown.at[index].set(good[index] & ~alike), None

    first = order if before is None else order[jnp.argsort(~before[order], stable=True)]
    shown, _ = jax.lax.scan(visit, jnp.zeros(count, bool), first)
    if top_k < count:
        shown = _farthest(shown, distance, order, top_k)
    first = jnp.argsort(~shown[order], stable=True)[: min(top_k, count)]
    indices = order[first]
    return Shown(indices.astype(jnp.int32), shown[indices])


def shows(shown: Shown, count: int) -> jax.Array:
    """Which of `count` candidates are shown, [count] bool."""
    return jnp.zeros(count, bool).at[shown.indices].set(shown.mask)


def rank(state: State) -> jax.Array:
    """The candidates [n] by ascending `cost + away`; those that are not finite come last."""
    total = state.cost + state.away
    return jnp.argsort(jnp.where(jnp.isfinite(total), total, jnp.inf), stable=True)


def importance(cost: jax.Array, mask: jax.Array) -> jax.Array:
    """The weights [k] of shown candidates in a mean, adding up to 1: exp(-(cost - mean) / std), 0 outside `mask`.

    Zhu, Lee, Efros, "AverageExplorer" (2014), in iGAN's form; for `paths.average` (latents) and `average` (images).
    """
    count = jnp.maximum(jnp.sum(mask), 1)
    mean = jnp.sum(jnp.where(mask, cost, 0)) / count
    std = jnp.sqrt(jnp.sum(jnp.where(mask, jnp.square(cost - mean), 0)) / count)
    weights = jnp.where(mask, jnp.exp(-(jnp.where(mask, cost, mean) - mean) / (std + 1e-10)), 0)
    return weights / jnp.maximum(jnp.sum(weights), 1e-10)


def average(state: State, shown: Shown) -> jax.Array:
    """The mean [h, w, c] of the shown images, weighted by `importance`."""
    weights = importance(state.cost[shown.indices], shown.mask)
    # Images outside the mask are left out, not multiplied by 0, because they may be those of a diverged candidate.
    images = jnp.where(shown.mask[:, None, None, None], state.images[shown.indices], 0)
    return jnp.tensordot(weights, images, 1)


def shadow(image: jax.Array, point: tuple[float, float]) -> jax.Array:
    """The image [h, w, c] as a shadow for drawing: a quarter of it is kept, the rest fades to white around the cursor.

    Lee, Zitnick, Cohen, "ShadowDraw" (2011), in iGAN's form: at distance d from the cursor the fading part keeps
    exp(-d / (s / 2)) of the image, with s the longer side.

    Args:
        image: usually an `average`, in [-1, 1].
        point: x and y of the cursor in pixels from the top left corner.
    """
    h, w, _ = image.shape
    y, x = jnp.arange(h)[:, None] + 0.5, jnp.arange(w)[None] + 0.5
    distance = jnp.hypot(x - point[0], y - point[1])
    keep = jnp.exp(-distance / (max(h, w) / 2))[..., None]
    return 0.25 * image + 0.75 * (keep * image + (1 - keep))


def _create(space: spaces.Space, latents: Any, begin: Any, anchored: float) -> State:
    u = jax.vmap(space.free)(latents)
    latents = jax.vmap(space.bound)(u)
    images = jax.vmap(space.generate)(latents)
    nought = jnp.zeros(images.shape[0], images.dtype)
    return State(
        u=u,
        opt=jax.vmap(_ADAM.init)(u),
        latents=latents,
        images=images,
        cost=nought,
        away=nought,
        begin=begin,
        anchor=latents,
        reference=images,
        fresh=jnp.zeros(images.shape[0], bool),
        anchored=jnp.asarray(anchored, jnp.float32),
        iterations=jnp.zeros(images.shape[0], jnp.int32),
    )


def _step(
    space: spaces.Space, state: State, constraints: terms.Constraints, weights: terms.Weights, judge: _Judge
) -> State:
    """The state after one step of Adam for all candidates."""
    start, picture = jax.tree.map(lambda x: x[0], (state.anchor, state.reference))

    def pull(latent: Any, image: jax.Array, anchor: Any, reference: jax.Array) -> jax.Array:
        near = weights.smoothness * terms.smoothness(latent, anchor)
        kept = weights.preservation * terms.preservation(image, reference, constraints)
        return state.anchored * (near + kept)

    def objective(u: Any, anchor: Any, reference: jax.Array, fresh: jax.Array) -> tuple[jax.Array, Any]:
        latent = space.bound(u)
        image = space.generate(latent)
        reference = jnp.where(fresh, jax.lax.stop_gradient(image), reference)
        cost = terms.cost(image, constraints, weights, judge)
        away = jax.lax.stop_gradient(pull(latent, image, start, picture))
        seen = cost.astype(state.cost.dtype), away.astype(state.away.dtype), image, latent, reference
        return cost + pull(latent, image, anchor, reference), seen

    grads, (cost, away, images, latents, reference) = jax.vmap(jax.grad(objective, has_aux=True))(
        state.u, state.anchor, state.reference, state.fresh
    )
    changes, opt = jax.vmap(_ADAM.update)(grads, state.opt)
    return dataclasses.replace(
        state,
        u=optax.apply_updates(state.u, changes),
        opt=opt,
        latents=latents,
        images=images,
        cost=cost,
        away=away,
        reference=reference,
        fresh=jnp.zeros_like(state.fresh),
        iterations=state.iterations + 1,
    )


def _around(space: spaces.Space, latent: Any, key: jax.Array, count: int) -> Any:
    """`count` latents with a growing share of numbers drawn from the prior and the others from one latent."""
    own, treedef = jax.tree.flatten(paths.inside(space, latent))
    keys = jax.random.split(jax.random.fold_in(key, 0), count)

    def mix(key: jax.Array, share: jax.Array, draw: Any) -> Any:
        keys, draws = jax.random.split(key, len(own)), jax.tree.leaves(draw)
        new = [jax.random.bernoulli(k, share, x.shape) for k, x in zip(keys, own, strict=True)]
        return treedef.unflatten(map(jnp.where, new, draws, own))

    return jax.vmap(mix)(keys, jnp.linspace(*_DRAWN, count), _draws(space, key, count))


def _draws(space: spaces.Space, key: jax.Array, count: int) -> Any:
    latents = jax.vmap(space.sample)(jax.random.split(key, count))
    return jax.vmap(lambda latent: paths.inside(space, latent))(latents)


def _where(those: jax.Array, a: Any, b: Any) -> Any:
    """Arrays of `a` where `those` [n] bool are, otherwise of `b`, along their first axis."""
    return jax.tree.map(lambda x, y: jnp.where(those.reshape(-1, *[1] * (x.ndim - 1)), x, y), a, b)


def _farthest(those: jax.Array, distance: jax.Array, order: jax.Array, number: int) -> jax.Array:
    # At most `number` of `those` [n] bool: the first in the order, then repeatedly the farthest from all chosen.
    def choose(chosen: jax.Array, _: None) -> tuple[jax.Array, None]:
        gap = jnp.where(those & ~chosen, jnp.min(jnp.where(chosen, distance, jnp.inf), 1), -1)
        best = jnp.argmax(gap)
        return chosen.at[best].set(chosen[best] | (gap[best] >= 0)), None

    first = jnp.arange(those.size) == order[jnp.argmax(those[order])]
    return jax.lax.scan(choose, first & those, length=number - 1)[0]


def _at_least_one(count: int) -> int:
    if count < 1:
        raise jgan.UserError(f"an edit needs at least 1 candidate, not {count}.")
    return count
