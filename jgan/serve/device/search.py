"""One session on the device: its candidates, what its drawing asks of them, where they went, and its frames.

Only the engine's thread calls what is here; `Seen` alone is read by others.
"""

from collections.abc import Callable
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

ITERATIONS = 100  # of all candidates after a change of the drawing
FREEZE = 150  # iterations since they began, after which the ranking of candidates stays
_KEPT = 64  # latents along the way of a candidate


@dataclasses.dataclass(frozen=True)
class Frame:
    """What a person gets to see of a session.

    Attributes:
        version, ground: of the drawing that the images follow.
        iteration: steps since the candidates began.
        moving: whether they still change.
        images: [k, h, w, c] uint8, best first.
        ids: [k], the candidates they are of.
        costs: of each of them, {term: number}; `total` is how well it does what is asked.
        pad: [h, w, c] uint8, the image to draw on: a candidate, where the slider stands, or the mean.
        chosen: the candidate on the pad.
        slider: where on its way; None: at the end.
        problem: a sentence where a stroke asks for something that cannot be.
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
    """What a frame showed, for whoever asks for a candidate of it.

    Attributes:
        sight: what was seen.
        way: (iteration, latents [n, d]) along the way.
        iteration: of the sight.
        view: what was looked at.
        given: the values under which the latents were drawn.
    """

    sight: programs_lib.Sight
    way: tuple[tuple[int, np.ndarray], ...]
    iteration: int
    view: sessions.View
    given: sessions.Given

    def candidate(self, number: int | None) -> int:
        """A candidate by its number; None: the one chosen, or the best."""
        for choice in (number, self.view.chosen):
            if choice is not None and choice < len(self.sight.images):
                return choice
        return int(self.sight.shown.indices[0])

    def path(self, number: int | None) -> np.ndarray:
        """The latents [m, d] of a candidate from where it began to where it is, m at least 2."""
        k = self.candidate(number)
        # What a candidate was before it began anew is no part of its way.
        born = self.iteration - self.sight.ages[k]
        steps = [latents[k] for iteration, latents in self.way if iteration > born]
        return np.stack([self.sight.begin[k], *steps, self.sight.latents[k]])


def along(path: np.ndarray, shares: Any) -> np.ndarray:
    """Latents [n, d] at shares [n], 0 to 1, of the length of the broken line through latents [m, d]."""
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
    """The device's side of a session.

    Attributes that the engine's lock guards: `session`, `deliver`, `ready`, `seen`.
    """

    def __init__(self, session: sessions.Session, deliver: Callable[[Frame], None] | None):
        self.session, self.deliver, self.ready = session, deliver, True
        self.seen: Seen | None = None
        self.taken: sessions.Session | None = None  # the session that the rest is about
        self.state: candidates_lib.State | None = None  # None: candidates have to begin
        self.weights: Any = None  # on the device, and what `taken` is given
        self.sight: programs_lib.Sight | None = None
        self.asked: programs_lib.Asked | None = None
        self.judged = False  # by the discriminator
        self.broken = False  # whether even a beginning failed, so that only another drawing may help
        self.version = 0  # of the drawing that `sight` follows
        self.left = 0  # iterations to do
        self.iterations = 0  # since they began
        self.served = 0  # the turn of its last slice
        self.changed = False  # whether there is something that no frame has shown
        self.problem = ""
        self._way: list[tuple[int, np.ndarray]] = []
        self._stride = 1
        self._ground: np.ndarray | None = None  # an image as they began
        self._sources: dict[sessions.Latent, np.ndarray] = {}  # uint8 images that warps take patches from
        self._sources_of: Any = None  # what was given when they were drawn

    def take(self, draw: Callable[..., Any], space: str, under: Callable[[sessions.Given], Any]) -> None:
        """Follows the newest session: what it asks for, and whether candidates begin anew.

        Args:
            draw: (weights, flat latent) -> (image in [-1, 1], image uint8).
            space: the name of the space.
            under: the weights under what a drawing is given.
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
            anew = not strokes and self.iterations > 0  # nothing else would lead back to before the strokes
        self.broken = False
        if anew:
            self.restart()
        self.move()
        if self.state is not None:
            self.ask(draw, space)

    def restart(self) -> None:
        """Has the candidates begin anew."""
        self.state, self.iterations = None, 0

    def move(self) -> None:
        """Has the candidates follow the drawing, which has changed."""
        self.left = ITERATIONS if sessions.strokes(self.taken) else 0
        if not self.left:
            self.version, self.changed = self.taken.drawing.version, True

    def begin(
        self, state: candidates_lib.State, sight: programs_lib.Sight, draw: Callable[..., Any], space: str
    ) -> None:
        """Takes candidates that have just begun; `draw` and `space` as for `take`."""
        self.state, self.iterations, self._way, self._stride = state, 0, [], 1
        anchored = self.taken.drawing.anchor is not None
        images = sight.images[:1] if anchored else sight.images
        self._ground = images.mean(0, dtype=np.float32) / 127.5 - 1
        self.sight, self.changed = sight, True
        self.version = self.taken.drawing.version
        self.ask(draw, space)

    def ask(self, draw: Callable[..., Any], space: str) -> None:
        """Draws the constraints anew; the next slice follows them."""
        drawing, strokes = self.taken.drawing, sessions.strokes(self.taken)
        # A warp's patch stays what it was when the stroke was made, but for what is given: a patch of another class
        # would ask for what the candidates cannot become.
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
        """Takes what a slice made of the candidates."""
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
        # Once after each change, when there was time to follow it and as much is left for those that begin anew. While
        # a pen moves nothing is refilled, and never what was chosen.
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
        """What there is to see now; None as long as `shadow` is needed and not compiled."""
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

    def _constraints(self, strokes: Any, space: str) -> constraints.Constraints:
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
        try:
            self._constraints([stroke], space)
        except jgan.UserError:
            return False
        return True

    def _point(self, view: sessions.View, drawing: sessions.Drawing, shape: tuple[int, ...]) -> np.ndarray:
        # The pointer in pixels of the image; without one the middle.
        if view.cursor is None:
            return np.float32([shape[1] / 2, shape[0] / 2])
        top, left, side = drawing.photo.box if drawing.photo else (0, 0, drawing.size[0])
        return np.float32([view.cursor[0] - left, view.cursor[1] - top]) * np.float32(shape[0] / side)


def _visible(view: sessions.View) -> sessions.View:
    # Where the pointer is shows in a shadow alone.
    return view if view.shadow else view._replace(cursor=None)
