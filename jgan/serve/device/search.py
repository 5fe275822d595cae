"""One session on the device: its candidates, the constraints of its drawing, the candidates' paths, and its frames.

Only the engine's thread uses this module, except for `Seen`, which other threads read.
"""

from collections.abc import Callable
from collections.abc import Sequence
import dataclasses
from typing import Any
from typing import NamedTuple

import numpy as np

import jgan
from jgan.latent import candidates as candidates_lib
from jgan.latent import constraints
from jgan.latent import document
from jgan.latent import raster
from jgan.serve import session as sessions
from jgan.serve.device import programs as programs_lib

ITERATIONS = 100  # of the candidates after each change of the drawing
FREEZE = 150  # iterations from their beginning, after which the ranking of candidates stays
_KEPT = 64  # latents that are kept of the path of a candidate


@dataclasses.dataclass(frozen=True)
class Frame:
    """The visible state of a session at one moment.

    Attributes:
        version: the version of the drawing that the images follow.
        ground: its ground, as in `session.Drawing`.
        iteration: the number of steps since the candidates began.
        moving: whether they still change.
        images: [k, h, w, c] uint8, best first.
        ids: [k], the numbers of these candidates.
        costs: {term: number} of each of them, as in `programs.Sight`.
        pad: [h, w, c] uint8, the image to draw on: a candidate, a point of its path, or the mean.
        chosen: the number of the candidate on the pad.
        slider: the position on its path; None: its end.
        problem: a sentence if a stroke asks for something impossible, else empty.
    """

    version: int
    ground: int
    iteration: int
    moving: bool
    images: np.ndarray
    ids: tuple[int, ...]
    costs: tuple[dict[str, float], ...]
    pad: np.ndarray
    chosen: int
    slider: float | None
    problem: str = ""


class Seen(NamedTuple):
    """The state behind a frame, from which its candidates and their paths can be read.

    Attributes:
        sight: the state of the candidates.
        way: (iteration, latents [n, d]) of earlier states.
        iteration: the iteration of `sight`.
        view: what the person looked at.
        given: the values under which the latents were drawn.
    """

    sight: programs_lib.Sight
    way: tuple[tuple[int, np.ndarray], ...]
    iteration: int
    view: sessions.View
    given: sessions.Given

    def candidate(self, number: int | None) -> int:
        """The number of a candidate that exists: this one, else the chosen one, else the best one."""
        for choice in (number, self.view.chosen):
            if choice is not None and choice < len(self.sight.images):
                return choice
        return int(self.sight.shown.indices[0])

    def path(self, number: int | None) -> np.ndarray:
        """The latents [m, d] of a candidate from its beginning to its present state; m is at least 2."""
        k = self.candidate(number)
        # The states of a candidate before it began anew do not belong to its path.
        born = self.iteration - self.sight.ages[k]
        steps = [latents[k] for iteration, latents in self.way if iteration > born]
        return np.stack([self.sight.begin[k], *steps, self.sight.latents[k]])


def along(path: np.ndarray, shares: Sequence[float] | np.ndarray) -> np.ndarray:
    """The latents [n, d] at n shares, from 0 to 1, of the length of the polyline through the latents `path` [m, d]."""
    lengths = np.linalg.norm(np.diff(path, axis=0), axis=1)
    at = np.concatenate([[0.0], np.cumsum(lengths)])
    if at[-1] == 0:
        return np.repeat(path[-1:], len(shares), 0)
    wanted = np.asarray(shares) * at[-1]
    after = np.clip(np.searchsorted(at, wanted), 1, len(at) - 1)
    step = np.where(at[after] > at[after - 1], at[after] - at[after - 1], 1)
    share = np.clip((wanted - at[after - 1]) / step, 0, 1)[:, None].astype(path.dtype)
    return (1 - share) * path[after - 1] + share * path[after]


class Search:
    """The state of a session in the engine.

    Other threads may use `session`, `deliver`, `ready`, `changed` and `seen` under the lock of the engine.
    """

    def __init__(self, session: sessions.Session, deliver: Callable[[Frame], None] | None):
        """A session whose candidates have not begun; `deliver` is called with its frames."""
        self.session, self.deliver, self.ready = session, deliver, True
        self.seen: Seen | None = None
        self.taken: sessions.Session | None = None  # the state of the session that the rest follows
        self.state: candidates_lib.State | None = None  # None: candidates must begin
        self.weights: dict[str, Any] = {}  # on the device, with the values of controls of `taken`
        self.sight: programs_lib.Sight | None = None
        self.asked: programs_lib.Asked | None = None
        self.judged = False  # whether the discriminator judges the candidates
        self.broken = False  # whether the candidates failed to begin, so that only another drawing may help
        self.version = 0  # the version of the drawing that `sight` follows
        self.left = 0  # iterations that are to be done
        self.iterations = 0  # iterations since the candidates began
        self.served = 0  # the turn of its last slice
        self.changed = False  # whether something has changed since the last frame
        self.problem = ""
        self._way: list[tuple[int, np.ndarray]] = []
        self._stride = 1
        self._ground: np.ndarray | None = (
            None  # the image behind sketches: the mean of the candidates when they began
        )
        self._sources: dict[sessions.Latent, np.ndarray] = {}  # uint8 images from which warps take patches
        self._sources_of: sessions.Given | None = None  # the values of controls under which they were drawn

    def take(self, draw: Callable[..., Any], space: str, under: Callable[[sessions.Given], Any]) -> None:
        """Reads the newest state of the session, and makes candidates follow it or begin anew.

        Args:
            draw: (weights, flat latent) -> (image in [-1, 1], image in uint8).
            space: the name of the space.
            under: the weights on the device, with the values of controls that a drawing is given.
        """
        before, self.taken = self.taken, self.session
        after = self.taken
        if before is None or before.drawing.given != after.drawing.given:
            self.weights = under(after.drawing.given)
        strokes, anew = sessions.strokes(after), False
        if before is None or before.drawing.ground != after.drawing.ground:
            anew = True
        elif _visible(before.view) != _visible(after.view):
            self.changed = True
        if not anew:
            drawn = sessions.strokes(before)
            if strokes == drawn and before.drawing.weights == after.drawing.weights and not self.broken:
                self.version = self.version if self.left else after.drawing.version
                return
            anew = (
                not strokes and self.iterations > 0
            )  # only this gives the candidates before the strokes again
        self.broken = False
        if anew:
            self.restart()
        self.move()
        if self.state is not None:
            self.ask(draw, space)

    def restart(self) -> None:
        """Makes the candidates begin anew in a later turn."""
        self.state, self.iterations = None, 0

    def move(self) -> None:
        """Makes the candidates follow the drawing, which has changed."""
        self.left = ITERATIONS if sessions.strokes(self.taken) else 0
        if not self.left:
            self.version, self.changed = self.taken.drawing.version, True

    def begin(
        self, state: candidates_lib.State, sight: programs_lib.Sight, draw: Callable[..., Any], space: str
    ) -> None:
        """Takes candidates that have just begun; `draw` and `space` are as in `take`."""
        self.state, self.iterations, self._way, self._stride = state, 0, [], 1
        anchored = self.taken.drawing.anchor is not None
        images = sight.images[:1] if anchored else sight.images
        self._ground = images.mean(0, dtype=np.float32) / 127.5 - 1
        self.sight, self.changed = sight, True
        self.version = self.taken.drawing.version
        self.ask(draw, space)

    def ask(self, draw: Callable[..., Any], space: str) -> None:
        """Draws the constraints, which the next slice follows; `draw` and `space` are as in `take`."""
        drawing, strokes = self.taken.drawing, sessions.strokes(self.taken)
        # A warp keeps the latent of its patch, but the patch is drawn under the present values of controls: candidates
        # of one class cannot become like a patch of another class.
        known = self._sources if self._sources_of == drawing.given else {}
        self._sources_of = drawing.given
        self._sources = {
            latent: known[latent]
            if latent in known
            else np.asarray(draw(self.weights, np.float32(latent))[1])
            for latent in {stroke.latent for stroke in strokes} - {None}
        }
        self.problem = ""
        try:
            drawn = self._constraints(strokes, space)
        except jgan.UserError as error:
            self.problem, self.changed = str(error), True
            drawn = self._constraints([s for s in strokes if self._possible(s, space)], space)
        weights = constraints.Weights(*map(np.float32, drawing.weights))
        self.asked = programs_lib.Asked(drawn, weights, **self._upkeep())

    def step(self, state: candidates_lib.State, sight: programs_lib.Sight) -> None:
        """Takes the candidates after a slice."""
        self.left = max(0, self.left - len(sight.steps))
        if not sight.shown.mask.any():  # no cost is finite
            self.restart()
            return
        for latents in sight.steps:
            self.iterations += 1
            if self.iterations % self._stride == 0:
                self._way.append((self.iterations, latents))
            if len(self._way) > _KEPT:
                self._way, self._stride = self._way[1::2], 2 * self._stride
        self.state, self.sight, self.changed = state, sight, True
        self.asked = self.asked._replace(**self._upkeep(len(sight.steps)))
        self.version = self.taken.drawing.version

    def _upkeep(self, steps: int = 1) -> dict[str, Any]:
        """The fields of `programs.Asked` that differ in every slice."""
        # Candidates begin anew once after each change: late enough for all of them to follow it, and early enough for
        # the new ones to do so as well. While a pen moves none begins anew, and the chosen one never does.
        due = ITERATIONS - candidates_lib.REFILL
        numbers = np.arange(len(self.sight.images))
        return {
            "order": self.sight.order,
            "frozen": np.bool_(self.iterations >= FREEZE),
            "before": np.isin(numbers, self.sight.shown.indices[self.sight.shown.mask]),
            "refill": (self.left > due >= self.left - steps) & (numbers != self.taken.view.chosen),
            "seed": np.uint32([self.taken.drawing.seed, self.iterations]),
            "given": self.weights["given"],
        }

    def frame(self, shadow: Callable[..., Any] | None, draw: Callable[..., Any]) -> Frame | None:
        """The frame of the present state; None if it needs `shadow`, which is not compiled yet."""
        sight, drawing, view = self.sight, self.taken.drawing, self.taken.view
        seen = Seen(sight, tuple(self._way), self.iterations, view, drawing.given)
        chosen = seen.candidate(None)
        pad = sight.images[chosen]
        if view.average:
            pad = sight.average
        elif view.slider is not None:
            pad = np.asarray(draw(self.weights, along(seen.path(chosen), [view.slider])[0])[1])
        if view.shadow:
            if shadow is None:
                return None
            pad = np.asarray(shadow(pad, self._point(view, drawing, pad.shape)))
        ids = sight.shown.indices[sight.shown.mask]
        self.seen = seen
        return Frame(
            version=self.version,
            ground=drawing.ground,
            iteration=self.iterations,
            moving=self.left > 0,
            images=sight.images[ids],
            ids=tuple(map(int, ids)),
            costs=tuple({name: float(x[k]) for name, x in sight.costs.items()} for k in ids),
            pad=pad,
            chosen=chosen,
            slider=view.slider,
            problem=self.problem,
        )

    def _constraints(self, strokes: Sequence[sessions.Stroke], space: str) -> constraints.Constraints:
        """The constraints of strokes on the canvas of the session."""
        drawing = self.taken.drawing
        drawn = document.Document(space, drawing.size, tuple(stroke.stroke for stroke in strokes))
        if drawing.photo is not None:
            drawn = raster.framed(drawn, drawing.photo.size, drawing.photo.box)
        sources = {
            k: self._sources[stroke.latent] / 127.5 - 1
            for k, stroke in enumerate(strokes)
            if stroke.latent is not None
        }
        return raster.draw(drawn, self._ground.shape, self._ground, sources)

    def _possible(self, stroke: sessions.Stroke, space: str) -> bool:
        """Whether a stroke alone can be drawn."""
        try:
            self._constraints([stroke], space)
        except jgan.UserError:
            return False
        return True

    def _point(self, view: sessions.View, drawing: sessions.Drawing, shape: tuple[int, ...]) -> np.ndarray:
        """The position (x, y) of the pointer in pixels of the image; its middle if there is no pointer."""
        if view.cursor is None:
            return np.float32([shape[1] / 2, shape[0] / 2])
        top, left, side = drawing.photo.box if drawing.photo else (0, 0, drawing.size[0])
        return np.float32([view.cursor[0] - left, view.cursor[1] - top]) * np.float32(shape[0] / side)


def _visible(view: sessions.View) -> sessions.View:
    """The view without what no frame shows: the pointer is visible only by its shadow."""
    return view if view.shadow else view._replace(cursor=None)
