"""Projection: the latent whose image comes closest to a given one.

Zhu et al., "Generative Visual Manipulation on the Natural Image Manifold" (2016), section 3.1: by optimisation
(L-BFGS from a random start), by a network that predicts the latent, or by the hybrid, which starts the optimisation
from the prediction. `project` is for one image and one start; `jax.vmap` makes it many of both.

An iteration is one evaluation of the generator and its gradient (`searches`).
"""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import jax
import jax.numpy as jnp

import jgan
from jgan import space as space_lib
from jgan.latent import paths
from jgan.latent import searches

METHODS = ("optimise", "network", "hybrid")
OPTIMISERS = tuple(searches.SEARCHES)
# The hybrid starts at this share of the distance from the middle of a bounded space to the predicted latent. A
# predictor drives half of its codes to the border, where `bound` is flat and an optimiser hardly moves.
_INWARD = 0.6
_SPREAD = 0.25  # of the hybrid's further starts around the predicted one, as a share of a draw from the prior


Settings = searches.Settings
DEFAULT = Settings()


class Projection(NamedTuple):
    """The result of a projection.

    Attributes:
        latent: the best latent.
        cost: its cost.
        evaluations: the number of evaluations that were made, int32.
        history: the lowest cost after each evaluation, [evaluations] (the last one is repeated when a start is done);
            empty unless asked for.
    """

    latent: Any
    cost: jax.Array
    evaluations: jax.Array
    history: jax.Array


def check(settings: Settings, method: str, starts: int) -> None:
    """Refuses settings that make no sense with a `jgan.UserError`."""
    if method not in METHODS:
        raise jgan.UserError(f"method={method!r} is unknown: use one of {', '.join(METHODS)}.")
    if settings.optimiser not in OPTIMISERS:
        raise jgan.UserError(
            f"optimiser={settings.optimiser!r} is unknown: use one of {', '.join(OPTIMISERS)}."
        )
    if starts < 1:
        raise jgan.UserError(f"starts={starts}: a projection needs 1 start or more.")
    if settings.evaluations < 1:
        raise jgan.UserError(f"evaluations={settings.evaluations}: it must be 1 or more.")


def reconstruction(
    target: jax.Array,
    mask: jax.Array | None = None,
    features: Callable[[jax.Array], Sequence[jax.Array]] | None = None,
    weight: float = 0.0,
) -> Callable[[jax.Array], jax.Array]:
    """The cost of an image [h, w, c] as a reconstruction of `target`: pixels and features.

    Zhu et al. (2016), equations 2 and 3: the mean squared difference of pixels in [-1, 1], plus `weight` times that
    of features. Since layers of different nets differ by orders of magnitude, each layer's difference is divided by
    the mean square of the target's own activations, and layers are averaged.

    Args:
        target: [h, w, c] in [-1, 1].
        mask: [h, w], 1 where the target is known and 0 where it is unknown; None: known everywhere. Where it is 0,
            features are taken of the target itself, so that nothing there counts.
        features: `image -> arrays`, such as a discriminator's activations.
        weight: of the features; 0 leaves them out.
    """
    m = jnp.ones(target.shape[:2], target.dtype) if mask is None else mask.astype(target.dtype)
    m = m[..., None]
    area = jnp.maximum(jnp.sum(m) * target.shape[-1], 1e-6)
    wanted = features(target) if features is not None and weight else ()
    scales = [jnp.mean(jnp.square(f)) + 1e-6 for f in wanted]

    def cost(image: jax.Array) -> jax.Array:
        value = jnp.sum(m * jnp.square(image - target)) / area
        if wanted:
            seen = features(image if mask is None else m * image + (1 - m) * target)
            parts = [jnp.mean(jnp.square(a - b)) / s for a, b, s in zip(seen, wanted, scales, strict=True)]
            value += weight * sum(parts) / len(parts)
        return value

    return cost


def project(
    space: space_lib.Space,
    cost: Callable[[jax.Array], jax.Array],
    start: Any,
    settings: Settings = DEFAULT,
    *,
    history: bool = False,
) -> Projection:
    """The projection of one image from one start.

    The memory does not depend on the number of evaluations. Under `vmap` a start that is done no longer changes, and
    all end when the last one is done.

    Args:
        space: the latent space.
        cost: of an image, as `reconstruction` makes it.
        start: a latent.
        settings: of the search.
        history: whether to record the cost after each evaluation.
    """
    carry = begin(space, cost, start, settings, history=history)
    return finish(space, advance(space, cost, carry, settings.evaluations, settings))


def begin(
    space: space_lib.Space,
    cost: Callable[[jax.Array], jax.Array],
    start: Any,
    settings: Settings = DEFAULT,
    *,
    history: bool = False,
) -> dict[str, Any]:
    """The state of a search before the first evaluation, a pytree of arrays. The arguments are those of `project`."""
    u = space.free(start)
    dtype = jax.eval_shape(lambda u: cost(space.generate(space.bound(u))), u).dtype
    return {
        "search": searches.SEARCHES[settings.optimiser](settings).init(u, dtype),
        "best": u,
        "cost": jnp.full((), jnp.inf, dtype),
        "count": jnp.zeros((), jnp.int32),
        "history": jnp.full((settings.evaluations if history else 0,), jnp.inf, dtype),
    }


def advance(
    space: space_lib.Space,
    cost: Callable[[jax.Array], jax.Array],
    carry: dict[str, Any],
    until: int | jax.Array,
    settings: Settings = DEFAULT,
) -> dict[str, Any]:
    """The state of a search, from `begin` or `advance`, after `until` evaluations in all or when the search is done.

    A projection in several parts is the same as in one. `until` may be traced.
    """
    search = searches.SEARCHES[settings.optimiser](settings)

    def evaluate(u: Any) -> tuple[jax.Array, Any]:
        return jax.value_and_grad(lambda u: cost(space.generate(space.bound(u))))(u)

    def unfinished(carry: dict[str, Any]) -> jax.Array:
        return (carry["count"] < until) & ~search.done(carry["search"])

    def body(carry: dict[str, Any]) -> dict[str, Any]:
        at = search.trial(carry["search"])
        value, gradient = evaluate(at)
        better = value < carry["cost"]
        lowest = jnp.where(better, value, carry["cost"])
        past = carry["history"]
        if past.size:
            past = jnp.where(jnp.arange(past.shape[0]) >= carry["count"], lowest, past)
        return {
            "search": search.update(carry["search"], at, value, gradient),
            "best": searches.where(better, at, carry["best"]),
            "cost": lowest,
            "count": carry["count"] + 1,
            "history": past,
        }

    return jax.lax.while_loop(unfinished, body, carry)


def finish(space: space_lib.Space, carry: dict[str, Any]) -> Projection:
    """The projection that a search has reached."""
    return Projection(space.bound(carry["best"]), carry["cost"], carry["count"], carry["history"])


def starts(
    space: space_lib.Space, key: jax.Array, number: int, method: str, predicted: Any | None = None
) -> Any:
    """`number` latents for one image to start from, along a new first axis.

    `optimise` draws them from the prior. The other methods begin with the predicted latent, moved towards the middle of
    a bounded space; further starts lie around it, in the optimiser's variable, a quarter of a draw from the prior away.
    """
    drawn = jax.vmap(space.sample)(jax.random.split(key, number))
    if method == "optimise":
        return drawn
    first = paths.inward(space, predicted, _INWARD)

    def near(k: jax.Array, latent: Any) -> Any:
        u = jax.tree.map(lambda a, b: a + _SPREAD * b, space.free(first), space.free(latent))
        # The first is the latent itself, not the result of `free` and `bound`.
        return jax.tree.map(lambda a, b: jnp.where(k == 0, a, b), first, space.bound(u))

    return jax.vmap(near)(jnp.arange(number), drawn)


def best(projections: Projection) -> Projection:
    """The projection of the lowest cost along the first axis; a cost that is not a number is never the lowest."""
    costs = jnp.where(jnp.isnan(projections.cost), jnp.inf, projections.cost)
    k = jnp.argmin(costs)
    return jax.tree.map(lambda x: x[k], projections)


def project_image(
    space: space_lib.Space,
    cost: Callable[[jax.Array], jax.Array],
    key: jax.Array,
    settings: Settings = DEFAULT,
    *,
    method: str = "optimise",
    number: int = 1,
    predicted: Any | None = None,
    history: bool = False,
) -> Projection:
    """The best projection of one image from `number` starts; `evaluations` is then the sum over starts.

    Args:
        space: the latent space.
        cost: of an image, as `reconstruction` makes it.
        key: of the starts.
        settings: of the search.
        method: `optimise`, `network` (the prediction alone, one evaluation) or `hybrid`.
        number: of starts.
        predicted: the network's latent for this image, for the last two methods.
        history: whether to record the lowest cost over all starts after each evaluation.
    """
    if method == "network":
        value = cost(space.generate(predicted))
        past = jnp.full((settings.evaluations if history else 0,), value)
        return Projection(predicted, value, jnp.ones((), jnp.int32), past)
    latents = starts(space, key, number, method, predicted)
    every = jax.vmap(lambda z: project(space, cost, z, settings, history=history))(latents)
    chosen = best(every)
    return chosen._replace(evaluations=jnp.sum(every.evaluations), history=jnp.min(every.history, 0))
