"""The search of the latent of a photo, or of two in one picture: its programs, and the parts of a job that runs them.

It is that of `launch.project` where the space declares its search (`system.Codes.search`), with maps of noise after
the styles where latents have them.
"""

from collections.abc import Callable
from collections.abc import Generator
import functools
import time
from typing import Any
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np

import jgan
from jgan import space as space_lib
from jgan import trained
from jgan.latent import codec as codec_lib
from jgan.latent import coordinates
from jgan.latent import projection
from jgan.programs import project
from jgan.serve import session as sessions

_UNDECLARED = {"starts": 4, "settings": projection.Settings(evaluations=160)}
_PART = 0.1  # seconds that a part should take
_MOST = 32  # evaluations in a part
_PHOTOS = {"project": 1, "cross": 2}  # by the names of programs

Photos = tuple[tuple[Any, Any], ...]  # images in [-1, 1], each with the mask where it is wanted
Source = tuple[Callable[..., Any], tuple[Any, ...]]  # a function to compile, and the shapes of its arguments


class Compiled(Protocol):
    """The part of the engine that a search uses, in its thread."""

    programs: Any

    def under(self, given: sessions.Given) -> dict[str, Any]: ...
    def program(self, name: Any) -> Generator[None, None, Callable[..., Any]]: ...


def choose(run: trained.Run) -> dict[str, Any]:
    """The method, starts and settings of the editor's searches in the run's space."""
    if run.codes.search:
        return project.choose(run)
    return {"method": "hybrid" if run.predicts else "optimise", **_UNDECLARED}


def evaluations(run: trained.Run, search: dict[str, Any]) -> dict[str, int]:
    """{ending of the names of its programs: its evaluations} of one search after the other."""
    made = {"": search["settings"].evaluations}
    return made if run.space().rows is None else {**made, "_maps": search["settings"].noise_evaluations}


def sources(
    run: trained.Run, codec: codec_lib.Codec, search: dict[str, Any]
) -> dict[str, Callable[[], Source]]:
    """{name of a program: a function that returns what to compile}, as in `programs.Programs`."""
    weights, size = jax.tree.map(shape, run.weights), run.config.data.size
    vector = jax.ShapeDtypeStruct((codec.size,), jnp.float32)
    seeds = jax.ShapeDtypeStruct((2,), jnp.uint32)
    image = jax.ShapeDtypeStruct((size, size, run.config.data.channels[0]), jnp.float32)
    square = jax.ShapeDtypeStruct((size, size), jnp.float32)
    method, starts, settings = (search[name] for name in ("method", "starts", "settings"))

    def reconstruction(weights: Any, photos: Photos, judged: bool) -> Callable[[jax.Array], jax.Array]:
        """The sum over all photos, each under its mask; of two it is the cost of a crossover."""

        def features(image: jax.Array) -> list[jax.Array]:
            return [x[0] for x in run.judge(weights, image[None])["features"]]

        given = (features, project.FEATURE_WEIGHT) if judged else (None, 0.0)
        terms = [projection.reconstruction(image, mask, *given) for image, mask in photos]
        return lambda made: sum(term(made) for term in terms)

    def searched(weights: Any, photos: Photos) -> tuple[space_lib.Space, Callable[[jax.Array], jax.Array]]:
        """The space and the cost; of a space with maps of noise its styles."""
        space = run.space(weights)
        return space if space.rows is None else space.rows, reconstruction(weights, photos, run.judges)

    def begin(weights: Any, photos: Photos, seed: jax.Array) -> Any:
        space, cost = searched(weights, photos)
        predicted = None
        if method == "hybrid":
            seen = photos[0][0]
            for image, mask in photos[1:]:
                seen = (1 - mask[..., None]) * seen + mask[..., None] * image
            predicted = jax.tree.map(lambda x: x[0], run.predict(weights, seen[None]))
        latents = projection.starts(space, key(seed), starts, method, predicted)
        keys = jax.random.split(key(seed), starts)
        return jax.vmap(lambda z, k: projection.begin(space, cost, z, settings, key=k))(latents, keys)

    def on(weights: Any, photos: Photos, carries: Any, until: jax.Array) -> Any:
        space, cost = searched(weights, photos)
        carries = jax.vmap(lambda c: projection.advance(space, cost, c, until, settings))(carries)
        results = jax.vmap(lambda c: projection.finish(space, c))(carries)
        best = projection.best(results)
        latent = best.latent
        if run.space(weights).rows is not None:
            latent = {"noise": space.styles.maps, "w_plus": latent}
        # A start that has converged makes no more evaluations, so that its number stays below `until`.
        return carries, (codec.flat(latent), best.cost, jnp.all(results.evaluations < until))

    # Image2StyleGAN++: maps of noise after the styles, by pixels alone.
    of_maps = settings._replace(evaluations=max(settings.noise_evaluations, 1), style_noise=0.0, shared=0.0)

    def begin_maps(weights: Any, photos: Photos, vector: jax.Array) -> Any:
        latent = codec.latent(vector)
        space = coordinates.maps_alone(run.space(weights).rows, latent["w_plus"])
        return projection.begin(space, reconstruction(weights, photos, False), latent["noise"], of_maps)

    def on_maps(weights: Any, photos: Photos, vector: jax.Array, carry: Any, until: jax.Array) -> Any:
        styles = codec.latent(vector)["w_plus"]
        space = coordinates.maps_alone(run.space(weights).rows, styles)
        cost = reconstruction(weights, photos, False)
        carry = projection.advance(space, cost, carry, until, of_maps)
        found = projection.finish(space, carry)
        latent = {"noise": found.latent, "w_plus": styles}
        return carry, (codec.flat(latent), found.cost, found.evaluations < until)

    def search_of(number: int, maps: bool, further: bool) -> Source:
        function, then = (begin_maps, on_maps) if maps else (begin, on)
        given = (weights, ((image, square),) * number)
        if not further:
            return function, (*given, vector if maps else seeds)
        carry = jax.eval_shape(function, *given, vector if maps else seeds)
        count = jax.ShapeDtypeStruct((), jnp.int32)
        return then, (*given, *((vector,) if maps else ()), carry, count)

    return {
        f"{name}{end}{on}": functools.partial(search_of, number, bool(end), bool(on))
        for name, number in _PHOTOS.items()
        for end in evaluations(run, search)
        for on in ("", "_on")
    }


def found(
    engine: Compiled,
    name: str,
    photos: tuple[tuple[np.ndarray, np.ndarray], ...],
    seed: int,
    given: sessions.Given,
) -> Generator[float | None, None, Any]:
    """(latent, cost, image uint8) of the search of square images in [-1, 1], each where its mask is above 0.

    `name` is that of its first program: `project` for one image, or `cross` for two. What follows the first search
    begins at the latent that was found.
    """
    photos = tuple((np.float32(image), np.float32(mask)) for image, mask in photos)
    weights, every, before = engine.under(given), sum(engine.programs.evaluations.values()), 0
    latent = start = np.uint32([seed % 2**32, 0])
    for end, evaluations in engine.programs.evaluations.items():
        begin = yield from engine.program(f"{name}{end}")
        on = yield from engine.program(f"{name}{end}_on")
        fixed = (latent,) if end else ()
        carry = begin(weights, photos, start)
        done, until, count = False, 0, 1
        while not done and until < evaluations:
            until = min(until + count, evaluations)
            begun = time.perf_counter()
            carry, best = on(weights, photos, *fixed, carry, np.int32(until))
            latent, cost, done = jax.device_get(best)
            count = min(max(1, int(count * _PART / (time.perf_counter() - begun))), 2 * count, _MOST)
            yield (before + until) / every
        if not np.isfinite(cost):
            raise jgan.UserError("the photo could not be projected: no start has a finite cost.")
        before, start = before + evaluations, latent
    made = np.asarray(engine.programs.get("draw")(weights, latent)[1])
    return tuple(map(float, latent)), float(cost), made


def key(seed: jax.Array) -> jax.Array:
    """The random key of a seed [2] uint32."""
    return jax.random.fold_in(jax.random.key(seed[0]), seed[1])


def shape(x: Any) -> jax.ShapeDtypeStruct:
    """The shape and type of an array, for `lower`."""
    return jax.ShapeDtypeStruct(np.shape(x), jnp.result_type(x))
