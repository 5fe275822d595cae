"""Projection: the latent whose image comes closest to a given one.

Zhu et al., "Generative Visual Manipulation on the Natural Image Manifold" (2016), section 3.1: by optimisation
(L-BFGS from a random start), by a network that predicts the latent, or by the hybrid, which starts the optimisation
from the prediction. `project` is for one image and one start; `jax.vmap` makes it many of both.

Spaces of styles are searched as Karras et al. (2020), Abdal et al. (2019, 2020) and Zhu et al. (2020) do: from the mean
style, with a schedule and added noise (`Settings`), with maps of noise and in P-norm coordinates (`coordinates`).

An iteration is one evaluation of the generator and its gradient (`searches`).
"""

from collections.abc import Callable
from typing import Any
from typing import NamedTuple

import jax
import jax.numpy as jnp

import jgan
from jgan import space as space_lib
from jgan.latent import coordinates
from jgan.latent import costs
from jgan.latent import paths
from jgan.latent import searches

METHODS = ("optimise", "network", "hybrid", "mean")
MAX_STARTS, MAX_EVALUATIONS, MAX_NUMBER = 10_000, 1_000_000, 1e12
OPTIMISERS = tuple(searches.SEARCHES)
# The hybrid starts at this share of the distance from the middle of a bounded space to the predicted latent. A
# predictor drives half of its codes to the border, where `bound` is flat and an optimiser hardly moves.
_INWARD = 0.6
_SPREAD = 0.25  # of further starts around the predicted one or the mean, as a share of a draw from the prior

Settings = searches.Settings
reconstruction = costs.reconstruction
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
    if not 1 <= starts <= MAX_STARTS:
        raise jgan.UserError(f"starts={starts}: a projection needs 1 start or more, {MAX_STARTS:,} at most.")
    if not 1 <= settings.evaluations <= MAX_EVALUATIONS:
        raise jgan.UserError(
            f"evaluations={settings.evaluations}: it must be 1 or more, {MAX_EVALUATIONS:,} at most."
        )
    if not 0 < settings.learning_rate <= MAX_NUMBER:
        raise jgan.UserError(f"learning_rate={settings.learning_rate}: it must be a number above 0.")
    for name in ("ramp_up", "ramp_down", "shared"):
        if not 0 <= getattr(settings, name) <= 1:
            raise jgan.UserError(
                f"{name}={getattr(settings, name)}: a share of the evaluations lies in 0 to 1."
            )
    if not 0 < settings.style_noise_until <= 1:
        raise jgan.UserError(
            f"style_noise_until={settings.style_noise_until}: it must be above 0 and at most 1."
        )
    for name in ("style_noise", "noise_evaluations", "noise_regulariser", "p_norm"):
        value = getattr(settings, name)
        most = MAX_EVALUATIONS if name == "noise_evaluations" else MAX_NUMBER
        if not 0 <= value <= most:
            raise jgan.UserError(f"{name}={value}: it must be 0 or more, {most:g} at most.")
    if settings.optimiser != "adam":
        for name in ("style_noise", "shared", "noise_regulariser"):
            if getattr(settings, name):
                raise jgan.UserError(
                    f"{name}={getattr(settings, name)} and optimiser={settings.optimiser}: a line search needs a cost "
                    f"that stays: {name}=0 or optimiser=adam would work."
                )


def check_space(space: space_lib.Space, settings: Settings, method: str) -> None:
    """Refuses what needs styles in a space that has none with a `jgan.UserError`."""
    if space.styles is None and space.rows is None:
        needing = ("style_noise", "shared", "noise_regulariser", "p_norm")
        asked = {name: getattr(settings, name) for name in needing}
        asked = [f"{name}={value}" for name, value in asked.items() if value]
        asked += ["method=mean"] * (method == "mean")
        if asked:
            raise jgan.UserError(f"{asked[0]} is for spaces of styles, and {space.name} is none.")
    if settings.noise_evaluations and space.rows is None:
        raise jgan.UserError(
            f"noise_evaluations={settings.noise_evaluations}: latents of {space.name} have no maps of noise."
        )


def project(
    space: space_lib.Space,
    cost: Callable[[jax.Array], jax.Array],
    start: Any,
    settings: Settings = DEFAULT,
    *,
    history: bool = False,
    key: jax.Array | None = None,
) -> Projection:
    """The projection of one image from one start.

    The memory does not depend on the number of evaluations. Under `vmap` a start that is done no longer changes, and
    all end when the last one is done.

    Args:
        space: the latent space.
        cost: of an image, as `reconstruction` makes it.
        start: a latent.
        settings: of the search. What they say of maps and of P-norm coordinates is for `project_image`.
        history: whether to record the cost after each evaluation.
        key: of the noise that is added to styles, where the settings have some; None: that of seed 0.
    """
    carry = begin(space, cost, start, settings, history=history, key=key)
    return finish(space, advance(space, cost, carry, settings.evaluations, settings))


def begin(
    space: space_lib.Space,
    cost: Callable[[jax.Array], jax.Array],
    start: Any,
    settings: Settings = DEFAULT,
    *,
    history: bool = False,
    key: jax.Array | None = None,
) -> dict[str, Any]:
    """The state of a search before the first evaluation, a pytree of arrays. The arguments are those of `project`."""
    u = space.free(start)
    dtype = jax.eval_shape(lambda u: cost(space.generate(space.bound(u))), u).dtype
    added = {}
    if settings.style_noise:
        added = {"key": jax.random.key(0) if key is None else key, "deviation": space.styles.deviation()}
    return {
        **added,
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
        def total(u: Any) -> jax.Array:
            value = cost(space.generate(space.bound(u)))
            return value + space.penalty(u) if space.penalty else value

        return jax.value_and_grad(total)(u)

    def unfinished(carry: dict[str, Any]) -> jax.Array:
        return (carry["count"] < until) & ~search.done(carry["search"])

    def body(carry: dict[str, Any]) -> dict[str, Any]:
        at = search.trial(carry["search"])
        if settings.style_noise:
            at = _noisy(at, carry["deviation"], settings.noise(carry["count"]), carry["key"], carry["count"])
        value, gradient = evaluate(at)
        if settings.shared:
            # Adam moves numbers alike that begin alike and have the same gradients.
            together = carry["count"] < settings.shared * settings.evaluations
            gradient = searches.where(together, space.styles.shared(gradient), gradient)
        better = value < carry["cost"]
        lowest = jnp.where(better, value, carry["cost"])
        past = carry["history"]
        if past.size:
            past = jnp.where(jnp.arange(past.shape[0]) >= carry["count"], lowest, past)
        moved = search.update(carry["search"], at, value, gradient)
        if space.settle:
            moved = {**moved, "u": space.settle(moved["u"])}
        return {
            **carry,
            "search": moved,
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

    `optimise` draws them from the prior. `mean` begins with the mean style. The other methods begin with the predicted
    latent, moved towards the middle of a bounded space; further starts lie around it, in the optimiser's variable, a
    quarter of a draw from the prior away, and around the mean style a quarter of the way to a draw.
    """
    drawn = jax.vmap(space.sample)(jax.random.split(key, number))
    if method == "optimise":
        return drawn
    first = space.styles.middle() if method == "mean" else paths.inward(space, predicted, _INWARD)
    centre = space.free(first) if method == "mean" else None

    def near(k: jax.Array, latent: Any) -> Any:
        away = space.free(latent)
        if centre is not None:
            away = jax.tree.map(jnp.subtract, away, centre)
        u = jax.tree.map(lambda a, b: a + _SPREAD * b, space.free(first), away)
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
    pixel_cost: Callable[[jax.Array], jax.Array] | None = None,
) -> Projection:
    """The best projection of one image from `number` starts; `evaluations` is then the sum over starts.

    Of a space with maps of noise, styles are searched for first and then the maps, and the cost is that of the second
    search. With `settings.noise_regulariser` both are searched for together, and a space without maps forgets them
    afterwards, so that the cost is that of the latent with the generator's own noise.

    Args:
        space: the latent space.
        cost: of an image, as `reconstruction` makes it.
        key: of the starts.
        settings: of the search.
        method: `optimise`, `network` (the prediction alone, one evaluation), `hybrid`, or `mean` for styles.
        number: of starts.
        predicted: the network's latent for this image, for `network` and `hybrid`.
        history: whether to record the lowest cost over all starts after each evaluation.
        pixel_cost: the cost by which maps of noise are searched for, since features would move them to their blind
            spots; None: `cost`.
    """
    if method == "network":
        value = cost(space.generate(predicted))
        past = jnp.full((settings.evaluations if history else 0,), value)
        return Projection(predicted, value, jnp.ones((), jnp.int32), past)
    inner = space if space.rows is None else space.rows
    if settings.p_norm:
        inner = coordinates.p_norm(inner, settings.p_norm)
    if settings.noise_regulariser:
        joint = coordinates.with_maps(inner, settings.noise_regulariser)
        found = _from_starts(joint, inner, cost, key, settings, method, number, predicted, history)
        latent, maps = found.latent
        if space.rows is not None:
            return found._replace(latent={"noise": coordinates.added(inner, maps), "w_plus": latent})
        return found._replace(latent=latent, cost=cost(space.generate(latent)))
    found = _from_starts(inner, inner, cost, key, settings, method, number, predicted, history)
    if space.rows is None:
        return found
    maps = inner.styles.maps
    if not settings.noise_evaluations:
        return found._replace(latent={"noise": maps, "w_plus": found.latent})
    then = settings._replace(evaluations=settings.noise_evaluations, style_noise=0.0, shared=0.0)
    alone = coordinates.maps_alone(inner, found.latent)
    last = project(alone, pixel_cost or cost, maps, then, history=history)
    return Projection(
        {"noise": last.latent, "w_plus": found.latent},
        last.cost,
        found.evaluations + last.evaluations,
        jnp.concatenate([found.history, last.history]),
    )


def _from_starts(
    space: space_lib.Space,
    styles: space_lib.Space,
    cost: Callable[[jax.Array], jax.Array],
    key: jax.Array,
    settings: Settings,
    method: str,
    number: int,
    predicted: Any | None,
    history: bool,
) -> Projection:
    """The best projection in `space` from starts in it or, where it has maps beside the styles, in `styles`."""
    latents = starts(styles, key, number, method, predicted)
    keys = jax.random.split(jax.random.fold_in(key, 1), number)
    if space is not styles:
        latents = latents, jax.vmap(lambda k: coordinates.draw_maps(styles, jax.random.fold_in(k, 1)))(keys)

    def one(latent: Any, key: jax.Array) -> Projection:
        return project(space, cost, latent, settings, history=history, key=key)

    every = jax.vmap(one)(latents, keys)
    chosen = best(every)
    return chosen._replace(evaluations=jnp.sum(every.evaluations), history=jnp.min(every.history, 0))


def _noisy(u: Any, deviation: Any, share: jax.Array, key: jax.Array, count: jax.Array) -> Any:
    """A variable with noise of a share of its deviation, that of one evaluation."""
    leaves, tree = jax.tree.flatten(u)
    keys = jax.random.split(jax.random.fold_in(key, count), len(leaves))
    return tree.unflatten(
        [
            x + (share * d).astype(x.dtype) * jax.random.normal(k, x.shape, x.dtype)
            for x, d, k in zip(leaves, jax.tree.leaves(deviation), keys, strict=True)
        ]
    )
