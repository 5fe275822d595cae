"""Editing by constraints: many candidates follow the strokes at once, ranked, the diverse ones shown.

Zhu et al., "Generative Visual Manipulation on the Natural Image Manifold" (2016), section 3.2, and iGAN's code: Adam
with rate 0.1 on the unbounded variable of every candidate. All functions are pure and free of `jit`; a session is one
`State` that they take and return:

    state = edit.start(space, key, 64)                                 # no photo: anything the space can show
    state = edit.steps(space, state, constraints, weights, 40)         # a stroke; again after each further one
    shown = edit.select(state)                                         # what a person gets to see
    chosen = jax.tree.map(lambda x: x[shown.indices[0]], state.latents)
    state = edit.start_from(space, chosen, key, 64)                    # fix it and go on from there

Other than in iGAN, image, latent and cost of a state belong together (there the latent is one step ahead of the
image), and fixing starts with fresh moments (there those of other candidates go on).
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
TOP_K = 16
FREEZE = 150  # iterations since the start, after which an editor keeps the order of its candidates
_ADAM = optax.adam(0.1, 0.9, 0.999, 1e-8)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class State:
    """All candidates of an edit, n of them, as one pytree of arrays.

    Attributes:
        u: unbounded variables [n, ...], where the next step begins.
        opt: Adam's moments, which go on from stroke to stroke.
        latents: the latents [n, ...] of `images`: one step behind `u`, so that what is chosen is what was seen.
        images: [n, h, w, c] in [-1, 1].
        cost: [n], how far `images` are from the strokes, nearness to the start not counted; 0 before the first step.
        begin: latents [n, ...] where the candidates' paths begin.
        anchor: one latent, which smoothness is measured from.
        reference: [h, w, c], its image, which preservation is measured from.
        anchored: 1.0 after `start_from`, 0.0 after `start`: whether the two count.
        iterations: int32 scalar, steps since the start.
    """

    u: Any
    opt: Any
    latents: Any
    images: jax.Array
    cost: jax.Array
    begin: Any
    anchor: Any
    reference: jax.Array
    anchored: jax.Array
    iterations: jax.Array


class Shown(NamedTuple):
    """The candidates for a person to see: `indices` [k] int32, best first, of which `mask` [k] bool are meant."""

    indices: jax.Array
    mask: jax.Array


def start(space: spaces.Space, key: jax.Array, count: int = CANDIDATES) -> State:
    """The state before the first stroke of a new drawing: `count` draws from the prior, nothing to stay near.

    Raises:
        jgan.UserError: there are no candidates.
    """
    latents = jax.vmap(space.sample)(jax.random.split(key, _at_least_one(count)))
    latents = jax.vmap(lambda latent: paths.inside(space, latent))(latents)
    anchor = jax.tree.map(lambda x: x[0], latents)
    return _create(space, latents, None, anchor, 0.0)


def start_from(
    space: spaces.Space, latent: Any, key: jax.Array, count: int = CANDIDATES, spread: float = 0.5
) -> State:
    """The state after a choice or a projection was fixed: candidates around one latent, which they stay near.

    The first candidate is the latent itself, so that its image stays among them; the others are moved by
    `spread` * U(-1, 1) and kept inside the space.

    Raises:
        jgan.UserError: there are no candidates.
    """

    def scatter(key: jax.Array, x: jax.Array) -> jax.Array:
        return x + spread * jax.random.uniform(key, (count, *x.shape), x.dtype, -1, 1)

    _at_least_one(count)
    leaves, treedef = jax.tree.flatten(latent)
    keys = jax.random.split(key, len(leaves))
    latents = treedef.unflatten([scatter(k, x) for k, x in zip(keys, leaves, strict=True)])
    latents = jax.vmap(lambda latent: paths.inside(space, latent))(latents)
    # The latent itself goes nearer to the border than the others, only as far from it as `free` needs.
    own = paths.inside(space, latent, 1 - 1e-6)
    latents = jax.tree.map(lambda xs, x: xs.at[0].set(x), latents, own)
    begin = jax.tree.map(lambda x: jnp.broadcast_to(x, (count, *x.shape)), latent)
    return _create(space, latents, begin, latent, 1.0)


def steps(
    space: spaces.Space,
    state: State,
    constraints: terms.Constraints,
    weights: terms.Weights,
    n: int = ITERATIONS,
    realism_of: Callable[[jax.Array], jax.Array] | None = None,
) -> State:
    """The state after `n` steps of all candidates towards the constraints.

    Every step runs the generator once forward and once back; the images are those of the last pass forward. Without
    a constraint nothing moves.

    Args:
        space: its `generate` is called under `vmap`.
        state: also one that was moved by other strokes: `u` and the moments go on.
        constraints: of the size of the space's images.
        weights: numbers or traced scalars.
        n: static.
        realism_of: `image [h, w, c] -> logit`; without it the discriminator is no part of the program.
    """
    return trace(space, state, constraints, weights, n, realism_of)[0]


def trace(
    space: spaces.Space,
    state: State,
    constraints: terms.Constraints,
    weights: terms.Weights,
    n: int = ITERATIONS,
    realism_of: Callable[[jax.Array], jax.Array] | None = None,
) -> tuple[State, Any]:
    """`steps`, and the latents [n, candidates, ...] after each of them: `paths.resample` makes films of them.

    The last of them are the state's `latents`. `path` adds where the candidate began.
    """

    def body(state: State, _: None) -> tuple[State, Any]:
        state = _step(space, state, constraints, weights, realism_of)
        return state, state.latents

    if n == 1:  # the editor's tick; on CPU a loop of one takes a quarter longer than what is in it
        state, latents = body(state, None)
        return state, jax.tree.map(lambda x: x[None], latents)
    return jax.lax.scan(body, state, length=n)


def path(state: State, latents: Any, candidate: int | jax.Array, n: int = paths.FRAMES) -> Any:
    """The latents [n, ...] of one candidate's film along the steps in `latents`, from its beginning.

    Args:
        state: the one `trace` gave.
        latents: [m, candidates, ...] from `trace`, or several of them joined along the first axis.
        candidate: its index.
        n: frames.
    """
    whole = jax.tree.map(
        lambda first, x: jnp.concatenate([first[candidate][None], x[:, candidate]]), state.begin, latents
    )
    return paths.resample(whole, n)


def select(state: State, top_k: int = TOP_K, apart: float = 0.05, order: jax.Array | None = None) -> Shown:
    """The candidates to show, at most `top_k`, by ascending cost: iGAN's rule, and no two that look alike.

    A candidate is shown if its cost is at most twice the mean cost of the best `top_k` / 2, and if its image differs
    by at least `apart` from every one shown before it. Fewer than `top_k` may remain; without `order` the best does.

    Args:
        state: its `images` and `cost` are looked at.
        top_k: 1 or more.
        apart: root of the mean squared difference over pixels and channels, in units of [-1, 1]; 0.05 is 6 of 255
            levels, and 0 shows all.
        order: candidates [n] in the order to go through instead of by cost, such as an earlier `rank`.
    """
    count = state.cost.shape[0]
    cost = jnp.where(jnp.isfinite(state.cost), state.cost, jnp.inf)
    best = rank(cost)
    order = best if order is None else order
    good = jnp.isfinite(cost) & (cost <= 2 * jnp.mean(cost[best[: max(1, top_k // 2)]]))
    flat = state.images.reshape(count, -1).astype(jnp.float32)

    def visit(shown: jax.Array, index: jax.Array) -> tuple[jax.Array, None]:
        # One row at a time: all differences at once would be n times the images.
        distance = jnp.sqrt(jnp.mean(jnp.square(flat - flat[index]), 1))
        alike = jnp.any(shown & (distance < apart))
        keep = good[index] & ~alike & (jnp.sum(shown) < top_k)
        return shown.at[index].set(keep), None

    shown, _ = jax.lax.scan(visit, jnp.zeros(count, bool), order)
    first = jnp.argsort(~shown[order], stable=True)[: min(top_k, count)]
    indices = order[first]
    return Shown(indices.astype(jnp.int32), shown[indices])


def rank(cost: jax.Array) -> jax.Array:
    """The candidates [n] by ascending cost [n]; those that are not finite come last."""
    return jnp.argsort(jnp.where(jnp.isfinite(cost), cost, jnp.inf), stable=True)


def importance(cost: jax.Array, mask: jax.Array) -> jax.Array:
    """The weights [k] of shown candidates in a mean, adding up to 1: exp(-(cost - mean) / std), 0 outside `mask`.

    Zhu, Lee, Efros, "AverageExplorer" (2014), in iGAN's form; `paths.average` takes them for latents, `average` for
    images.
    """
    count = jnp.maximum(jnp.sum(mask), 1)
    mean = jnp.sum(jnp.where(mask, cost, 0)) / count
    std = jnp.sqrt(jnp.sum(jnp.where(mask, jnp.square(cost - mean), 0)) / count)
    weights = jnp.where(mask, jnp.exp(-(jnp.where(mask, cost, mean) - mean) / (std + 1e-10)), 0)
    return weights / jnp.maximum(jnp.sum(weights), 1e-10)


def average(state: State, shown: Shown) -> jax.Array:
    """The mean [h, w, c] of the shown images, the better ones counting more (`importance`)."""
    weights = importance(state.cost[shown.indices], shown.mask)
    # Images outside the mask are left out, not multiplied by 0: they may be those of a diverged candidate.
    images = jnp.where(shown.mask[:, None, None, None], state.images[shown.indices], 0)
    return jnp.tensordot(weights, images, 1)


def shadow(image: jax.Array, point: tuple[float, float]) -> jax.Array:
    """The image [h, w, c] as a shadow to draw by: a quarter itself, the rest fading to white away from the cursor.

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


def _create(space: spaces.Space, latents: Any, begin: Any, anchor: Any, anchored: float) -> State:
    u = jax.vmap(space.free)(latents)
    latents = jax.vmap(space.bound)(u)
    images = jax.vmap(space.generate)(latents)
    return State(
        u=u,
        opt=_ADAM.init(u),
        latents=latents,
        images=images,
        cost=jnp.zeros(images.shape[0], images.dtype),
        begin=latents if begin is None else begin,
        anchor=anchor,
        reference=images[0],  # of the anchor itself, or of no meaning without one
        anchored=jnp.asarray(anchored, jnp.float32),
        iterations=jnp.zeros((), jnp.int32),
    )


def _step(space, state, constraints, weights, realism_of):
    def objective(u):
        latent = space.bound(u)
        image = space.generate(latent)
        cost = terms.cost(image, constraints, weights, realism_of)
        pull = weights.smoothness * terms.smoothness(latent, state.anchor)
        pull += weights.preservation * terms.preservation(image, state.reference, constraints)
        return cost + state.anchored * pull, (cost.astype(state.cost.dtype), image, latent)

    grads, (cost, images, latents) = jax.vmap(jax.grad(objective, has_aux=True))(state.u)
    changes, opt = _ADAM.update(grads, state.opt)
    return dataclasses.replace(
        state,
        u=optax.apply_updates(state.u, changes),
        opt=opt,
        latents=latents,
        images=images,
        cost=cost,
        iterations=state.iterations + 1,
    )


def _at_least_one(count: int) -> int:
    if count < 1:
        raise jgan.UserError(f"an edit needs at least 1 candidate, not {count}.")
    return count
