"""The device programs of the editor, compiled ahead in the background: no stroke waits for a compilation.

All are functions of a run's weights, which hold what is set of its controls under `given`: another value compiles
nothing. In a slice, whose sessions may have set different ones, they are part of what each session asks for. Latents
leave the programs as flat vectors.
"""

from collections.abc import Callable
import functools
import logging
import threading
from typing import Any
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jgan import trained
from jgan.data import framing
from jgan.latent import candidates as candidates_lib
from jgan.latent import codec as codec_lib
from jgan.latent import constraints
from jgan.latent import projection
from jgan.ops import pixels
from jgan.programs import project as project_lib

# Sessions that one program moves on, on an accelerator. On CPU two together take as long as one after the other, and
# the programs for them would be compiled in vain.
LANES = (1, 2, 4, 8)
STARTS = 4  # of a projection
PROJECTION = projection.Settings(evaluations=160)


class Sight(NamedTuple):
    """What is to be seen of a session's candidates, n of them.

    Attributes:
        images: [n, h, w, c] uint8.
        average: [h, w, c] uint8, the mean of those that are shown.
        latents: [n, d].
        steps: latents [m, n, d] after each step.
        begin: where their paths begin, [n, d].
        ages: [n], steps since each of them began.
        shown: which ones a person gets to see, best first; `mask` tells how many of them.
        order: [n], the ranking that `shown` keeps to.
        costs: of every term, {name: [n]}; `total` is how well they do what is asked.
    """

    images: Any
    average: Any
    latents: Any
    steps: Any
    begin: Any
    ages: Any
    shown: candidates_lib.Shown
    order: Any
    costs: dict[str, Any]


class Asked(NamedTuple):
    """What a session asks of its candidates, besides its state.

    Attributes:
        constraints: of its strokes.
        weights: of the terms.
        order: an earlier ranking [n] int32.
        frozen: bool, whether to keep to it.
        before: [n] bool, those that are shown now.
        refill: [n] bool, those that begin anew if they are not shown.
        seed: [2] uint32, of their beginnings.
        given: {control: value of one example}, under which images are drawn.
    """

    constraints: constraints.Constraints
    weights: constraints.Weights
    order: Any
    frozen: Any
    before: Any
    refill: Any
    seed: Any
    given: dict[str, Any]


class Programs:
    """Compiled programs by name, made one after another in a thread of their own.

    Names: `start`, `start_from`, `draw`, `shadow`, `look`, (`slice`, lanes, judged), `project`, `project_on`.
    """

    def __init__(
        self,
        run: trained.Run,
        *,
        candidates: int,
        slice_steps: int,
        lanes: tuple[int, ...] | None,
        changed: Callable[[], None],
    ):
        """`changed` is called, in that thread, whenever a program has been made or could not be."""
        self.codec = codec_lib.Codec.of(run.space())
        self.image = (run.config.data.size, run.config.data.size, run.config.data.channels[0])
        self.bits = framing.bits(run.config.data)
        self.judges = run.judges
        self.predicts = run.predicts
        self.lanes = lanes = lanes or (LANES[:1] if jax.default_backend() == "cpu" else LANES)
        self.nothing = _nothing(self.image, candidates, run.weights["given"])
        self.failed: set[Any] = set()
        self._changed, self._asked_for = changed, threading.Condition()
        self._queue: list[Any] = []
        self._made: dict[Any, Any] = {}
        self._stopped = False
        self._sources = _sources(run, self, candidates, slice_steps)
        self._thread = threading.Thread(target=self._work, name="jgan-compile")
        self.need("start", "draw", ("slice", lanes[0], False), "look", "start_from", "shadow")
        self.need("project", "project_on", *(("slice", n, False) for n in lanes[1:]))

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread after the program it is at."""
        with self._asked_for:
            self._stopped = True
            self._asked_for.notify()
        if self._thread.is_alive():
            self._thread.join()

    def need(self, *names: Any) -> None:
        """Has programs made, if they are not yet."""
        with self._asked_for:
            done = {*self._made, *self._queue, *self.failed}
            self._queue += [name for name in names if name not in done]
            self._asked_for.notify()

    def get(self, name: Any) -> Callable[..., Any] | None:
        """The program, or None as long as it is not made."""
        return self._made.get(name)

    def idle(self) -> bool:
        """Whether all programs that were asked for are made."""
        return not self._queue

    def _work(self) -> None:
        while True:
            with self._asked_for:
                self._asked_for.wait_for(lambda: self._stopped or self._queue)
                if self._stopped:
                    return
                name = self._queue[0]
            try:
                function, arguments = self._sources[name]()
                made = jax.jit(function).lower(*arguments).compile()
            except Exception:
                logging.exception("the program %s could not be compiled", name)
                made = None
            with self._asked_for:
                self._queue.pop(0)
                if made is None:
                    self.failed.add(name)
                else:
                    self._made[name] = made
            self._changed()


def _sources(run: trained.Run, programs: Programs, count: int, steps: int) -> dict[Any, Callable]:
    """{name: () -> (function, shapes of its arguments)}."""
    codec = programs.codec
    weights = jax.tree.map(_shape, run.weights)
    asked, key = jax.tree.map(_shape, programs.nothing), jax.ShapeDtypeStruct((2,), jnp.uint32)
    vector = jax.ShapeDtypeStruct((codec.size,), jnp.float32)
    image = jax.ShapeDtypeStruct(programs.image, jnp.float32)
    square = jax.ShapeDtypeStruct(programs.image[:2], jnp.float32)

    def realism_of(weights: Any, image: jax.Array) -> jax.Array:
        logits = run.judge(weights, image[None])["logits"]
        return sum(jnp.mean(x) for x in logits) / len(logits)

    def start(weights: Any, seed: jax.Array) -> candidates_lib.State:
        return candidates_lib.start(run.space(weights), _key(seed), count)

    def start_from(weights: Any, seed: jax.Array, latent: jax.Array) -> candidates_lib.State:
        return candidates_lib.start_from(run.space(weights), codec.latent(latent), _key(seed), count)

    def draw(weights: Any, latent: jax.Array) -> tuple[jax.Array, jax.Array]:
        made = run.space(weights).generate(codec.latent(latent))
        return made, pixels.from_float(made, jnp.uint8)

    def shadow(image: jax.Array, point: jax.Array) -> jax.Array:
        return pixels.from_float(
            candidates_lib.shadow(pixels.to_float(image), (point[0], point[1])), jnp.uint8
        )

    def slices(judged: bool, weights: Any, states: Any, asked: Any) -> Any:
        def one(state: candidates_lib.State, asked: Asked) -> tuple[candidates_lib.State, Sight]:
            under = {**weights, "given": asked.given}
            space = run.space(under)
            realism = functools.partial(realism_of, under) if judged else None
            state, way = candidates_lib.trace(space, state, asked.constraints, asked.weights, steps, realism)
            seen = sight(codec, state, way, asked, judged)
            kept = candidates_lib.shows(seen.shown, count) | ~asked.refill
            return candidates_lib.refill(space, state, kept, _key(asked.seed)), seen

        if len(states) == 1:
            return (one(states[0], asked[0]),)
        stacked = jax.tree.map(lambda *x: jnp.stack(x), *zip(states, asked, strict=True))
        made = jax.vmap(one)(*stacked)
        return tuple(jax.tree.map(lambda x, i=i: x[i], made) for i in range(len(states)))

    def look(state: candidates_lib.State, asked: Asked) -> Sight:
        return sight(codec, state, jax.tree.map(lambda x: x[None], state.latents), asked, False)

    def reconstruction(weights: Any, image: jax.Array, mask: jax.Array) -> Callable:
        def features(image: jax.Array) -> list[jax.Array]:
            return [x[0] for x in run.judge(weights, image[None])["features"]]

        judged = run.judges
        return projection.reconstruction(
            image, mask, features if judged else None, project_lib.FEATURE_WEIGHT if judged else 0.0
        )

    def begin(weights: Any, image: jax.Array, mask: jax.Array, seed: jax.Array) -> Any:
        space, cost = run.space(weights), reconstruction(weights, image, mask)
        method = "hybrid" if programs.predicts else "optimise"
        predicted = None
        if programs.predicts:
            predicted = jax.tree.map(lambda x: x[0], run.predict(weights, image[None]))
        starts = projection.starts(space, _key(seed), STARTS, method, predicted)
        return jax.vmap(lambda z: projection.begin(space, cost, z, PROJECTION))(starts)

    def on(weights: Any, image: jax.Array, mask: jax.Array, carries: Any, until: jax.Array) -> Any:
        space, cost = run.space(weights), reconstruction(weights, image, mask)
        carries = jax.vmap(lambda c: projection.advance(space, cost, c, until, PROJECTION))(carries)
        found = jax.vmap(lambda c: projection.finish(space, c))(carries)
        best = projection.best(found)
        # Starts that are done stop counting before the others do.
        return carries, (codec.flat(best.latent), best.cost, jnp.all(found.evaluations < until))

    def state() -> candidates_lib.State:
        return jax.eval_shape(start, weights, key)

    def slice_of(lanes: int, judged: bool) -> Callable:
        return lambda: (
            functools.partial(slices, judged),
            (weights, (state(),) * lanes, (asked,) * lanes),
        )

    photo = (weights, image, square)
    return {
        "start": lambda: (start, (weights, key)),
        "start_from": lambda: (start_from, (weights, key, vector)),
        "draw": lambda: (draw, (weights, vector)),
        "shadow": lambda: (
            shadow,
            (jax.ShapeDtypeStruct(programs.image, jnp.uint8), jax.ShapeDtypeStruct((2,), jnp.float32)),
        ),
        "look": lambda: (look, (state(), asked)),
        "project": lambda: (begin, (*photo, key)),
        "project_on": lambda: (
            on,
            (*photo, jax.eval_shape(begin, *photo, key), jax.ShapeDtypeStruct((), jnp.int32)),
        ),
        **{("slice", n, judged): slice_of(n, judged) for n in programs.lanes for judged in (False, True)},
    }


def sight(codec: codec_lib.Codec, state: candidates_lib.State, way: Any, asked: Asked, judged: bool) -> Sight:
    """What is to be seen of a state; `way` are the latents [m, n, ...] after the steps that led to it."""
    weights, flat = asked.weights, jax.vmap(codec.flat)
    order = jnp.where(asked.frozen, asked.order, candidates_lib.rank(state))
    shown = candidates_lib.select(state, order=order, before=asked.before)
    colour = jax.vmap(lambda image: constraints.colour(image, asked.constraints))(state.images)
    sketch = jax.vmap(lambda image: constraints.sketch(image, asked.constraints))(state.images)
    # The discriminator has been asked in the step; its answer is what is left of the cost.
    rest = state.cost - weights.colour * colour - weights.sketch * sketch
    # Of the start, which is where the first candidate began, and not of each one's own beginning.
    start, picture = jax.tree.map(lambda x: x[0], (state.anchor, state.reference))
    pull = jax.vmap(lambda latent: constraints.smoothness(latent, start))(state.latents)
    unpainted = jax.vmap(lambda x: constraints.preservation(x, picture, asked.constraints))
    costs = {
        "colour": colour,
        "sketch": sketch,
        "realism": rest / jnp.maximum(weights.realism, 1e-12) if judged else jnp.zeros_like(rest),
        "smoothness": state.anchored * pull,
        "preservation": state.anchored * unpainted(state.images),
        "total": state.cost,
    }
    return Sight(
        images=pixels.from_float(state.images, jnp.uint8),
        average=pixels.from_float(candidates_lib.average(state, shown), jnp.uint8),
        latents=flat(state.latents),
        steps=jax.vmap(flat)(way),
        begin=flat(state.begin),
        ages=state.iterations,
        shown=shown,
        order=order.astype(jnp.int32),
        costs=costs,
    )


def _nothing(image: tuple[int, int, int], count: int, given: dict[str, Any]) -> Asked:
    # On the host: an array made by jnp would have a program of its own compiled.
    shapes = jax.eval_shape(lambda: constraints.empty(image))
    drawn = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)
    weights = constraints.Weights(*map(np.float32, constraints.Weights()))
    order, none = np.zeros(count, np.int32), np.zeros(count, bool)
    return Asked(drawn, weights, order, np.bool_(False), none, none, np.zeros(2, np.uint32), given)


def _key(seed: jax.Array) -> jax.Array:
    return jax.random.fold_in(jax.random.key(seed[0]), seed[1])


def _shape(x: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(np.shape(x), jnp.result_type(x))
