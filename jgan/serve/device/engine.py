"""The engine: it owns the device and moves the candidates of all sessions, one slice at a time.

    engine = Engine(run)
    engine.start()
    engine.open("key", session, deliver)      # frames are delivered from now on
    engine.update("key", session)             # the next slice follows what was drawn
    engine.ready("key")                       # the last frame was shown
    future = engine.submit(work.Project(photo))
    engine.stop()

One thread does all of this: it reads what was drawn, begins candidates, runs one slice of the sessions that have waited
longest, delivers frames, and does one part of a job. If nothing changes, it sleeps.
"""

from collections.abc import Callable
from collections.abc import Generator
from collections.abc import Mapping
from concurrent import futures
import logging
import threading
from typing import Any
from typing import NamedTuple

import jax

import jgan
from jgan import trained
from jgan.latent import document
from jgan.latent import raster
from jgan.programs import controls
from jgan.serve import session as sessions
from jgan.serve import session_file
from jgan.serve.device import programs as programs_lib
from jgan.serve.device import schedule
from jgan.serve.device import search as search_lib
from jgan.serve.device import steering
from jgan.serve.device import turns
from jgan.serve.device import work

MAX_SESSIONS = 16
_FAILED = "the programs of the editor could not be compiled; the server's log says why."
_SHARE = 0.5  # the time that jobs get after a slice, as a share of its duration

Frame = search_lib.Frame


class Status(NamedTuple):
    """The state of the engine: `state` is loading, ready or failed, `message` is a sentence about it."""

    state: str
    message: str


class Engine:
    """The candidates of all sessions, on one device.

    Attributes:
        run: the run whose generator draws the candidates.
        candidates: how many each session has.
        space: the name of the space of their latents.
        controls: {name: field} of the controls that a session may `Give`.
        sliders: what a session may `Steer` by.
        programs: the compiled programs of the run.
        weights: those of the run on the device, from the start of the thread on.
    """

    def __init__(
        self,
        run: trained.Run,
        *,
        candidates: int = 16,
        slice_steps: int = 1,
        lanes: tuple[int, ...] | None = None,
        directions: Mapping[str, Any] | None = None,
    ):
        """The engine of a run with a latent space.

        Args:
            run: as `trained.load(..., latent=True)` gives it; its first way draws the candidates.
            candidates: how many each session has.
            slice_steps: steps of the optimiser in a slice, before which the newest drawing is read.
            lanes: the numbers of sessions that a program can move together, 1 first; None: those for the device.
            directions: {name: latent} of the directions that have sliders.
        """
        self._way = run.way()
        self.run = run = run._replace(weights={**run.weights, "given": controls.standing(self._way)})
        self.candidates = candidates
        self.space = run.space().name
        self.controls = controls.settable(self._way)
        self.sliders = steering.Steering(run, directions or {})
        self._changed = threading.Condition()
        self._awake = self._stopped = False
        self._searches: dict[str, search_lib.Search] = {}
        self._jobs = turns.Queue()
        self.programs = programs_lib.Programs(
            run, candidates=candidates, slice_steps=slice_steps, lanes=lanes, changed=self._wake
        )
        self.weights: dict[str, Any] = {}
        self._aside = futures.ThreadPoolExecutor(1, "jgan-aside")
        self._thread = threading.Thread(target=self._work, name="jgan-engine")
        self._credit = 0.0  # seconds that jobs may take before the next slice

    # Methods for other threads.

    def start(self) -> None:
        """Begins to compile and to work."""
        self.programs.start()
        self._thread.start()

    def stop(self) -> None:
        """Ends the engine; jobs that are not done fail."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self.programs.stop()
        if self._thread.is_alive():
            self._thread.join()
        self._aside.shutdown(cancel_futures=True)
        self._jobs.stop()

    def status(self) -> Status:
        """Whether the programs that every session needs are compiled."""
        needed = ("start", "draw", "look", ("slice", self.programs.lanes[0], False))
        if self.programs.failed.intersection(needed):
            return Status("failed", _FAILED)
        if any(self.programs.get(name) is None for name in needed):
            return Status("loading", "the programs of the editor are being compiled.")
        return Status("ready", "")

    def ways(self) -> list[dict[str, Any]]:
        """The ways of the run as JSON (`controls.described`)."""
        return controls.described(self.run)

    def check(self, session: sessions.Session) -> None:
        """Raises a `jgan.UserError` if a session has latents or values that do not belong to this run."""
        for operation in session.operations:
            match operation:
                case sessions.Give(name, value):
                    session_file.checked(((name, value),), self.controls)
                case sessions.Open(given=given):
                    session_file.checked(given or (), self.controls)
                case sessions.Second(given=given):
                    session_file.checked(given or (), self.controls)
            for latent in (getattr(operation, name, None) for name in ("latent", "base")):
                if latent is not None and len(latent) != self.programs.codec.size:
                    raise jgan.UserError(
                        f"the session has a latent of {len(latent)} numbers; those of this run have "
                        f"{self.programs.codec.size}."
                    )

    def open(self, key: str, session: sessions.Session, deliver: Callable[[Frame], None]) -> None:
        """Begins to deliver the frames of a session, the present one first.

        Args:
            key: the key of the session; if it is open already, its frames now go to the new `deliver`.
            session: its state.
            deliver: is called with each frame, in the engine's thread.

        Raises:
            jgan.UserError: there are too many sessions, or it does not belong to this run.
        """
        self.check(session)
        with self._changed:
            if key in self._searches:
                search = self._searches[key]
                search.session, search.deliver, search.ready, search.changed = session, deliver, True, True
            elif len(self._searches) >= MAX_SESSIONS:
                raise jgan.UserError(f"{MAX_SESSIONS} sessions are open, which is the most: try again later.")
            else:
                self._searches[key] = search_lib.Search(session, deliver)
        self._wake()

    def update(self, key: str, session: sessions.Session) -> None:
        """Gives the next slice the newest state of a session; nothing happens if there is no such key."""
        self._set(key, "session", session)

    def ready(self, key: str) -> None:
        """Reports that the client has shown the last frame: another one follows when something has changed."""
        self._set(key, "ready", True)

    def detach(self, key: str) -> None:
        """Ends the delivery of frames; the session stays."""
        self._set(key, "deliver", None)

    def close(self, key: str) -> None:
        """Removes a session."""
        with self._changed:
            if (search := self._searches.pop(key, None)) is not None:
                search.deliver = None

    def latent(self, key: str, candidate: int | None = None) -> sessions.Latent:
        """The latent of a candidate in the last frame, or of the picture on the pad if `candidate` is None.

        Raises:
            jgan.UserError: nothing has been shown yet.
        """
        with self._changed:
            search = self._searches.get(key)
            if search is None or search.seen is None:
                raise jgan.UserError("nothing has been shown yet: wait for the first candidates.")
            seen, view = search.seen, search.session.view
        path = seen._replace(view=view).path(candidate)
        return tuple(map(float, search_lib.along(path, [1.0 if view.slider is None else view.slider])[0]))

    def complete(
        self,
        key: str,
        session: sessions.Session,
        event: sessions.Event | session_file.Choice | session_file.Steering,
    ) -> sessions.Event:
        """An event with the latents that only the engine knows: of a `Choice`, of a `Steering` and of a new warp.

        A warp under the pen keeps the latent with which it began until it is done.

        Raises:
            jgan.UserError: nothing has been shown yet.
        """
        if isinstance(event, session_file.Choice):
            return sessions.Fix(self.latent(key, event.candidate))
        if isinstance(event, session_file.Steering):
            before = session.drawing.steered
            base = self.latent(key) if before is None else before.base
            moved = self.sliders.move(base, event.values, session.drawing.second)
            return sessions.Steer(moved, event.values, base if before is None else None)
        made = event.stroke if isinstance(event, sessions.Live) else event
        if not isinstance(made, sessions.Stroke) or not isinstance(made.stroke, document.Warp):
            return event
        old, new = session.live, made.stroke
        same = (
            old is not None
            and isinstance(old.stroke, document.Warp)
            and (old.stroke.source, old.stroke.side) == (new.source, new.side)
        )
        made = made._replace(latent=old.latent if same else self.latent(key))
        return sessions.Live(made) if isinstance(event, sessions.Live) else made

    def submit(self, job: work.Job, progress: Callable[[float], None] | None = None) -> futures.Future[Any]:
        """The future result of a job, which is done in parts between slices.

        If the job fails, the future has a `jgan.UserError`.

        Args:
            job: one of `jgan.serve.device.work`.
            progress: is called with the share that is done, in the engine's thread.

        Raises:
            jgan.UserError: there are too many jobs.
        """
        future = self._jobs.add(job.parts(self), progress)
        self._wake()
        return future

    def under(self, given: sessions.Given) -> dict[str, Any]:
        """The weights on the device together with the values of controls, as programs take them."""
        values = controls.given(self._way, session_file.checked(given, self.controls)) if given else {}
        return {**self.weights, "given": {**self.run.weights["given"], **values}}

    def values(self, given: sessions.Given) -> dict[str, Any]:
        """The values of all controls, as JSON has them, where these are set; {} for a run without controls."""
        return controls.as_json(self._way, self.under(given)["given"])

    # Methods for jobs, in the engine's thread.

    def seen(self, key: str) -> search_lib.Seen:
        """The content of the last frame of a session; raises a `jgan.UserError` if there is none."""
        search = self._searches.get(key)
        if search is None or search.seen is None:
            raise jgan.UserError("nothing has been shown yet: wait for the first candidates.")
        return search.seen._replace(view=search.session.view)

    def drawing(self, key: str) -> sessions.Drawing:
        """The drawing of a session; raises a `jgan.UserError` if it has had no frame."""
        self.seen(key)
        return self._searches[key].session.drawing

    def aside(self, function: Callable[..., Any], *arguments: Any) -> Generator[None, None, Any]:
        """Yields None until a function has ended in another thread, and returns its result.

        This is for what takes too long for a part, such as a compilation. It shares the processor with slices, so that
        painting goes on.
        """
        future = self._aside.submit(function, *arguments)
        future.add_done_callback(lambda _: self._wake())
        while not future.done():
            yield None
        return future.result()

    def program(self, name: programs_lib.Name) -> Generator[None, None, Callable[..., Any]]:
        """Yields None until a program is compiled, and returns it.

        Raises:
            jgan.UserError: it could not be compiled.
        """
        self.programs.need(name)
        while (made := self.programs.get(name)) is None:
            if name in self.programs.failed:
                raise jgan.UserError(_FAILED)
            yield None
        return made

    # The engine's thread, and what wakes it.

    def _set(self, key: str, name: str, value: Any) -> None:
        """Sets an attribute of the search of a session, if there is such a session."""
        with self._changed:
            if key in self._searches:
                setattr(self._searches[key], name, value)
        self._wake()

    def _wake(self) -> None:
        """Makes the thread look for work."""
        with self._changed:
            self._awake = True
            self._changed.notify()

    def _work(self) -> None:
        """Does all work of the thread, until the engine is stopped."""
        self.weights = jax.device_put(self.run.weights)
        slices = schedule.Slices(self.programs, self.under, self.space)
        # Strokes are drawn by a small program, which is compiled by this call.
        dot = document.Sketch(((0.0, 0.0),), 1.0)
        size = self.programs.image
        raster.draw(document.Document(self.space, size[:2], (dot,)), size)
        busy = False
        while True:
            with self._changed:
                if not busy:
                    self._changed.wait_for(lambda: self._awake or self._stopped)
                self._awake = False
                if self._stopped:
                    return
                present = list(self._searches.values())
            try:
                busy = self._turn(slices, present)
            except Exception:  # one that belongs to no single session or job
                logging.exception("a turn of the engine failed")
                busy = False

    def _turn(self, slices: schedule.Slices, present: list[search_lib.Search]) -> bool:
        """Does the work of one turn; returns whether there may be more of it."""
        if self.status().state != "ready":
            return False
        busy = slices.turn(present)
        for search in present:
            slices.guard([search], lambda search=search: self._deliver(slices, search))
        # After a slice, jobs get a share of its time: a long part is subtracted from the next turns, but unused time is
        # not kept. Without slices they get all of the time.
        self._credit = min(self._credit, 0.0) + _SHARE * slices.seconds if slices.seconds else 0.0
        moved, self._credit = self._jobs.advance(self._credit)
        return busy or moved

    def _deliver(self, slices: schedule.Slices, search: search_lib.Search) -> None:
        """Delivers a frame of a session, if something has changed and its client is ready."""
        with self._changed:
            deliver = search.deliver
            if search.state is None or not search.changed or not search.ready or deliver is None:
                return
            search.changed = False
        frame = search.frame(self.programs.get("shadow"), slices.draw)
        if frame is None:
            search.changed = True  # a program that it needs is being compiled
            return
        with self._changed:
            search.ready = False
        try:
            deliver(frame)
        except Exception:
            logging.exception("a frame could not be delivered")
            search.deliver = None
