"""The device programs of the editor, compiled ahead in the background, so that no stroke waits for a compilation.

All are functions of the weights of a run, which hold the values of its controls under `given`: another value needs no
compilation. In a slice, the sessions may have different values; these are part of what each session asks for. The
programs return latents as flat vectors.
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
from jgan.ops import pixels
from jgan.serve.device import finding

# The numbers of sessions that one program moves on an accelerator. On CPU two sessions together take as long as one
# after the other, so that programs for several would bring nothing.
LANES = (1, 2, 4, 8)
Name = str | tuple[str, int, bool]  # of a program: see `Programs`


class Sight(NamedTuple):
    """The visible state of the n candidates of a session.

    Attributes:
        images: [n, h, w, c] uint8.
        average: [h, w, c] uint8, the mean of the shown ones.
        latents: [n, d].
        steps: [m, n, d], the latents after each of the m steps.
        begin: [n, d], the latents at which their paths begin.
        ages: [n], the number of steps since each of them began.
        shown: the candidates that a person sees, best first.
        order: [n], the ranking from which `shown` was selected.
        costs: {term: [n]}; `total` is the weighted sum of those for strokes and realism.
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
    """The input of a slice for one session, besides the state of its candidates.

    Attributes:
        constraints: those of its strokes.
        weights: those of the terms.
        order: [n] int32, an earlier ranking.
        frozen: bool, whether that ranking stays.
        before: [n] bool, the candidates that are shown now.
        refill: [n] bool, the candidates that begin anew if they are not shown.
        seed: [2] uint32, the seed of those that begin anew.
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
    """Compiled programs by their names, which a thread compiles one after another.

    These are their names:
        start, start_from: the candidates of a session at random, or around a latent.
        draw: the image of a latent.
        shadow: an image that fades with the distance from a point.
        look: the `Sight` of candidates that have just begun.
        (slice, lanes, judged): a slice of that number of sessions, with the discriminator or without it.
        project, project_on: the beginning of a projection, and further evaluations of it.
        cross, cross_on: the same of a crossover of two photos.
        project_maps, project_maps_on, cross_maps, cross_maps_on: then, in a space that has them, of the maps of noise.

    Attributes:
        codec: of latents as flat vectors.
        image: (height, width, channels) of the images.
        bits: as in `framing.bits`.
        judges: whether the run has a discriminator.
        predicts: whether the run has a trained predictor.
        lanes: the numbers of sessions that a slice can move.
        search: the method, starts and settings by which a photo is searched for.
        evaluations: {ending of the names of its programs: how many there are}, of one search after the other.
        nothing: the input of a slice for a session without strokes.
        failed: names of programs that could not be compiled.
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
        """The programs of a run.

        Args:
            run: as `trained.load(..., latent=True)` gives it.
            candidates: of each session.
            slice_steps: steps of the optimiser in a slice.
            lanes: the numbers of sessions that a slice can move, 1 first; None: those for the device.
            changed: is called, in the thread, after each compilation, also after one that failed.
        """
        self.codec = codec_lib.Codec.of(run.space())
        self.image = (run.config.data.size, run.config.data.size, run.config.data.channels[0])
        self.bits = framing.bits(run.config.data)
        self.judges = run.judges
        self.predicts = run.predicts
        self.lanes = lanes = lanes or (LANES[:1] if jax.default_backend() == "cpu" else LANES)
        self.search = finding.choose(run)
        self.evaluations = finding.evaluations(run, self.search)
        self.nothing = _nothing(self.image, candidates, run.weights["given"])
        self.failed: set[Name] = set()
        self._changed, self._asked_for = changed, threading.Condition()
        self._queue: list[Name] = []
        self._made: dict[Name, Callable[..., Any]] = {}
        self._stopped = False
        self._sources = _sources(run, self, candidates, slice_steps)
        self._thread = threading.Thread(target=self._work, name="jgan-compile")
        self.need("start", "draw", ("slice", lanes[0], False), "look", "start_from", "shadow")
        self.need(*(f"project{end}{on}" for end in self.evaluations for on in ("", "_on")))
        self.need(*(("slice", n, False) for n in lanes[1:]))

    def start(self) -> None:
        """Begins to compile."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread after the program that it is compiling."""
        with self._asked_for:
            self._stopped = True
            self._asked_for.notify()
        if self._thread.is_alive():
            self._thread.join()

    def need(self, *names: Name) -> None:
        """Adds programs to those that are to be compiled, unless they are among them already."""
        with self._asked_for:
            done = {*self._made, *self._queue, *self.failed}
            self._queue += [name for name in names if name not in done]
            self._asked_for.notify()

    def get(self, name: Name) -> Callable[..., Any] | None:
        """The compiled program; None if it is not compiled yet."""
        return self._made.get(name)

    def idle(self) -> bool:
        """Whether all programs that were asked for are compiled."""
        return not self._queue

    def _work(self) -> None:
        """Compiles, until it is stopped."""
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


def _sources(
    run: trained.Run, programs: Programs, count: int, steps: int
) -> dict[Name, Callable[[], finding.Source]]:
    """{name of a program: a function that returns (the function to compile, the shapes of its arguments)}."""
    codec = programs.codec
    weights = jax.tree.map(finding.shape, run.weights)
    asked, key = jax.tree.map(finding.shape, programs.nothing), jax.ShapeDtypeStruct((2,), jnp.uint32)
    vector = jax.ShapeDtypeStruct((codec.size,), jnp.float32)

    def realism_of(weights: Any, image: jax.Array) -> jax.Array:
        logits = run.judge(weights, image[None])["logits"]
        return sum(jnp.mean(x) for x in logits) / len(logits)

    def start(weights: Any, seed: jax.Array) -> candidates_lib.State:
        return candidates_lib.start(run.space(weights), finding.key(seed), count)

    def start_from(weights: Any, seed: jax.Array, latent: jax.Array) -> candidates_lib.State:
        return candidates_lib.start_from(run.space(weights), codec.latent(latent), finding.key(seed), count)

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
            return candidates_lib.refill(space, state, kept, finding.key(asked.seed)), seen

        if len(states) == 1:
            return (one(states[0], asked[0]),)
        stacked = jax.tree.map(lambda *x: jnp.stack(x), *zip(states, asked, strict=True))
        made = jax.vmap(one)(*stacked)
        return tuple(jax.tree.map(lambda x, i=i: x[i], made) for i in range(len(states)))

    def look(state: candidates_lib.State, asked: Asked) -> Sight:
        return sight(codec, state, jax.tree.map(lambda x: x[None], state.latents), asked, False)

    def state() -> candidates_lib.State:
        return jax.eval_shape(start, weights, key)

    def slice_of(lanes: int, judged: bool) -> Callable[[], finding.Source]:
        return lambda: (
            functools.partial(slices, judged),
            (weights, (state(),) * lanes, (asked,) * lanes),
        )

    return {
        "start": lambda: (start, (weights, key)),
        "start_from": lambda: (start_from, (weights, key, vector)),
        "draw": lambda: (draw, (weights, vector)),
        "shadow": lambda: (
            shadow,
            (jax.ShapeDtypeStruct(programs.image, jnp.uint8), jax.ShapeDtypeStruct((2,), jnp.float32)),
        ),
        "look": lambda: (look, (state(), asked)),
        **finding.sources(run, codec, programs.search),
        **{("slice", n, judged): slice_of(n, judged) for n in programs.lanes for judged in (False, True)},
    }


def sight(codec: codec_lib.Codec, state: candidates_lib.State, way: Any, asked: Asked, judged: bool) -> Sight:
    """The visible state of candidates.

    Args:
        codec: of latents as flat vectors.
        state: the state of the candidates.
        way: the latents [m, n, ...] after each of the steps that led to this state.
        asked: the input of the slice.
        judged: whether `state.cost` includes realism.
    """
    weights, flat = asked.weights, jax.vmap(codec.flat)
    order = jnp.where(asked.frozen, asked.order, candidates_lib.rank(state))
    shown = candidates_lib.select(state, order=order, before=asked.before)
    colour = jax.vmap(lambda image: constraints.colour(image, asked.constraints))(state.images)
    sketch = jax.vmap(lambda image: constraints.sketch(image, asked.constraints))(state.images)
    # The discriminator was computed in the step already: realism is the rest of the cost.
    rest = state.cost - weights.colour * colour - weights.sketch * sketch
    # Distances are from the start, at which the first candidate began, and not from each candidate's own beginning.
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
    """The input of a slice for a session without strokes."""
    # In numpy, because each jnp function here would be compiled.
    shapes = jax.eval_shape(lambda: constraints.empty(image))
    drawn = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)
    weights = constraints.Weights(*map(np.float32, constraints.Weights()))
    order, none = np.zeros(count, np.int32), np.zeros(count, bool)
    return Asked(drawn, weights, order, np.bool_(False), none, none, np.zeros(2, np.uint32), given)
