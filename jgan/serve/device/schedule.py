"""Slices: the choice of the sessions whose candidates the device moves next, and the handling of their errors.

Only the engine's thread uses this module.
"""

from collections.abc import Callable
import logging
import time
from typing import Any

import jax
import numpy as np

from jgan.serve import session as sessions
from jgan.serve.device import programs as programs_lib
from jgan.serve.device import search as search_lib

_TRIALS = 2  # slices of each number of sessions that are timed before the fastest number is chosen


class Slices:
    """Moves the candidates of sessions, those that waited longest first.

    Attributes:
        seconds: the duration of the slice in the last turn; 0 if there was none.
    """

    def __init__(
        self,
        programs: programs_lib.Programs,
        under: Callable[[sessions.Given], dict[str, Any]],
        space: str,
    ):
        """The slices of one engine.

        Args:
            programs: those of the run.
            under: the weights on the device, with the values of controls that a drawing is given.
            space: the name of the space.
        """
        self.seconds = 0.0
        self._programs, self._under, self._space = programs, under, space
        self._weights = under(())
        self._turns = 0
        self._times: dict[tuple[int, bool], list[float]] = {}  # of slices, by (sessions in them, judged)

    def turn(self, present: list[search_lib.Search]) -> bool:
        """Reads all changes, begins the candidates of one session, runs one slice; returns whether there was work."""
        self._turns += 1
        self.seconds = 0.0
        for search in present:
            if search.taken is not search.session:
                self.guard([search], lambda search=search: search.take(self.draw, self._space, self._under))
        began = self._begin(present)
        batch, judged = self._pick(present)
        if batch:
            begun = time.perf_counter()
            self.guard(batch, lambda: self._slice(batch, judged))
            self.seconds = time.perf_counter() - begun
        return began or bool(batch)

    def guard(self, batch: list[search_lib.Search], action: Callable[[], None]) -> bool:
        """Whether an action ended without an error; otherwise its sessions begin anew and wait for another stroke."""
        try:
            action()
            return True
        except Exception:
            logging.exception("a session failed and begins anew")
            for search in batch:
                search.restart()
                search.left = 0
                search.problem = "this drawing could not be followed; the candidates began anew."
            return False

    def draw(self, weights: dict[str, Any], latent: np.ndarray) -> tuple[jax.Array, jax.Array]:
        """The image of a flat latent, in [-1, 1] and in uint8."""
        return self._programs.get("draw")(weights, latent)

    def _begin(self, present: list[search_lib.Search]) -> bool:
        """Begins the candidates of one session, if any has to begin; returns whether there was one."""
        # Only one in a turn, so that other sessions do not wait for many.
        for search in sorted(present, key=lambda search: search.served):
            if search.state is not None or search.broken or search.taken is None:
                continue
            anchored = search.taken.drawing.anchor is not None
            if (program := self._programs.get("start_from" if anchored else "start")) is not None:
                search.broken = not self.guard([search], lambda: self._begin_one(search, program))  # noqa: B023
                return True
        return False

    def _begin_one(self, search: search_lib.Search, program: Callable[..., Any]) -> None:
        """Begins the candidates of a session by `start` or `start_from`."""
        drawing = search.taken.drawing
        latent = [] if drawing.anchor is None else [np.float32(drawing.anchor)]
        state = program(search.weights, np.uint32([drawing.seed, drawing.since]), *latent)
        sight = jax.device_get(self._programs.get("look")(state, self._programs.nothing))
        search.begin(state, sight, self.draw, self._space)

    def _pick(self, present: list[search_lib.Search]) -> tuple[list[search_lib.Search], bool]:
        """(the sessions of the next slice, which have waited longest, whether the discriminator judges them)."""
        for search in present:
            if search.state is not None and search.judged != (judged := self._judged(search)):
                search.judged = judged
                search.move()
        working = [search for search in present if search.state is not None and search.left > 0]
        working.sort(key=lambda search: search.served)
        if not working:
            return [], False
        judged = working[0].judged
        alike = [search for search in working if search.judged == judged]
        return alike[: self._lanes(len(alike), judged)], judged

    def _judged(self, search: search_lib.Search) -> bool:
        """Whether the discriminator has to judge the candidates of a session, and the program for it is compiled."""
        if not self._programs.judges or search.taken.drawing.weights.realism <= 0:
            return False
        names = [("slice", n, True) for n in self._programs.lanes]
        if self._programs.get(names[0]) is None:
            self._programs.need(*names)  # until it is compiled, slices go on without it
            return False
        return True

    def _lanes(self, waiting: int, judged: bool) -> int:
        """How many sessions one slice moves: the number with the least time for each, after all numbers were tried."""
        made = [n for n in self._programs.lanes if n <= waiting and self._programs.get(("slice", n, judged))]
        times = {n: self._times.get((n, judged), []) for n in made}
        untried = [n for n in made if len(times[n]) < _TRIALS]
        return max(untried) if untried else min(made, key=lambda n: min(times[n]) / n)

    def _slice(self, batch: list[search_lib.Search], judged: bool) -> None:
        """Runs one slice of these sessions."""
        begun = time.perf_counter()
        for search in batch:
            search.served = self._turns
        program = self._programs.get(("slice", len(batch), judged))
        made = program(self._weights, tuple(x.state for x in batch), tuple(x.asked for x in batch))
        sights = jax.device_get([sight for _, sight in made])
        for search, (state, _), sight in zip(batch, made, sights, strict=True):
            search.step(state, sight)
        seconds = time.perf_counter() - begun
        key = (len(batch), judged)
        self._times[key] = [*self._times.get(key, []), seconds][-_TRIALS:]
