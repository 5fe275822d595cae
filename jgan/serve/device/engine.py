"""The engine: owns the device and moves the candidates of all sessions on, a slice at a time.

    engine = Engine(run)
    engine.start()
    engine.open("key", session, deliver)      # frames from now on
    engine.update("key", session)             # what was drawn takes effect in the next slice
    engine.ready("key")                       # the last frame was shown
    future = engine.submit(jobs.Project(photo))
    engine.stop()

One thread does all of it: takes up what was drawn, begins candidates, runs one slice of the sessions served longest
ago, delivers frames, and moves one job on by a part. Where nothing changes it sleeps.
"""

from collections.abc import Callable
from collections.abc import Iterator
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
from jgan.serve.device import turns
from jgan.serve.device import work

MAX_SESSIONS = 16
_FAILED = "the programs of the editor could not be compiled; the server's log tells why."
_SHARE = 0.5  # of a slice's time that jobs get beside it

Frame = search_lib.Frame


class Status(NamedTuple):
    """How far the engine is: `state` is loading, ready or failed, `message` a sentence."""

    state: str
    message: str


class Engine:
    """The candidates of all sessions, on one device.

    Attributes:
        run: whose pictures are painted on.
        candidates: of each session.
        space: the name of the space that they are latents of.
        controls: {name: field}, what a session may `Give`.
    """

    def __init__(
        self,
        run: trained.Run,
        *,
        candidates: int = 16,
        slice_steps: int = 1,
        lanes: tuple[int, ...] | None = None,
    ):
        """The engine of a run with a latent space.

        Args:
            run: as `trained.load(..., latent=True)` gives it; its first way is painted with.
            candidates: of each session.
            slice_steps: steps of the optimiser after which what was drawn is looked at again.
            lanes: how many sessions programs move on together, 1 first; None: what suits the device.
        """
        self._way = run.way()
        self.run = run = run._replace(weights={**run.weights, "given": controls.standing(self._way)})
        self.candidates = candidates
        self.space = run.space().name
        self.controls = controls.settable(self._way)
        self._changed = threading.Condition()
        self._awake = self._stopped = False
        self._searches: dict[str, search_lib.Search] = {}
        self._jobs = turns.Queue()
        self.programs = programs_lib.Programs(
            run, candidates=candidates, slice_steps=slice_steps, lanes=lanes, changed=self._wake
        )
        self.weights: Any = None  # on the device
        self._aside = futures.ThreadPoolExecutor(1, "jgan-aside")
        self._thread = threading.Thread(target=self._work, name="jgan-engine")
        self._credit = 0.0  # seconds that jobs may take before the next slice

    # For other threads.

    def start(self) -> None:
        self.programs.start()
        self._thread.start()

    def stop(self) -> None:
        """Ends the engine; what it was asked for and has not done fails."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self.programs.stop()
        if self._thread.is_alive():
            self._thread.join()
        self._aside.shutdown(cancel_futures=True)
        self._jobs.stop()

    def status(self) -> Status:
        needed = ("start", "draw", "look", ("slice", self.programs.lanes[0], False))
        if self.programs.failed.intersection(needed):
            return Status("failed", _FAILED)
        if any(self.programs.get(name) is None for name in needed):
            return Status("loading", "the programs of the editor are being compiled.")
        return Status("ready", "")

    def ways(self) -> list[dict[str, Any]]:
        """What the run can do, as JSON (`controls.described`)."""
        return controls.described(self.run)

    def check(self, session: sessions.Session) -> None:
        """Refuses a session with latents or values that are not of this run with a `jgan.UserError`."""
        for operation in session.operations:
            match operation:
                case sessions.Give(name, value):
                    session_file.checked(((name, value),), self.controls)
                case sessions.Open(given=given):
                    session_file.checked(given or (), self.controls)
            latent = getattr(operation, "latent", None)
            if latent is not None and len(latent) != self.programs.codec.size:
                raise jgan.UserError(
                    f"the session has a latent of {len(latent)} numbers; those of this run have "
                    f"{self.programs.codec.size}."
                )

    def open(self, key: str, session: sessions.Session, deliver: Callable[[Frame], None]) -> None:
        """Has frames of a session delivered from now on, in the engine's thread; the present one at once.

        A key that is open already gets a new client.

        Raises:
            jgan.UserError: there are too many sessions, or it is one of another space.
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
        """Takes a session's newest state, of which the next slice knows; no such key: nothing."""
        self._set(key, "session", session)

    def ready(self, key: str) -> None:
        """The client has taken the last frame: another one is made for it when there is something new."""
        self._set(key, "ready", True)

    def detach(self, key: str) -> None:
        """The client is gone, its session stays."""
        self._set(key, "deliver", None)

    def close(self, key: str) -> None:
        """Forgets a session."""
        with self._changed:
            if (search := self._searches.pop(key, None)) is not None:
                search.deliver = None

    def latent(self, key: str, candidate: int | None = None) -> sessions.Latent:
        """The latent of what the last frame showed: of a candidate, or None: of what is on the pad.

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

    def complete(self, key: str, session: sessions.Session, event: Any) -> Any:
        """An event with what only the engine knows: the latent of a choice, and that which a warp begins with.

        A warp under the pen keeps the latent it began with until it is done.

        Raises:
            jgan.UserError: nothing has been shown yet.
        """
        if isinstance(event, session_file.Choice):
            return sessions.Fix(self.latent(key, event.candidate))
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

    def submit(self, job: work.Job, progress: Callable[[float], None] | None = None) -> futures.Future:
        """The future result of a job, done in parts between slices; a `jgan.UserError` where it fails.

        Args:
            job: one of `jgan.serve.jobs`.
            progress: is told the share that is done, in the engine's thread.

        Raises:
            jgan.UserError: there are too many jobs.
        """
        future = self._jobs.add(job.parts(self), progress)
        self._wake()
        return future

    def under(self, given: sessions.Given) -> dict[str, Any]:
        """The weights on the device, and with them the values of controls that are given; for programs."""
        values = controls.given(self._way, session_file.checked(given, self.controls)) if given else {}
        return {**self.weights, "given": {**self.run.weights["given"], **values}}

    def told(self, given: sessions.Given) -> dict[str, Any]:
        """The values of all controls under what is given, as JSON has them; {} of a run without controls."""
        return controls.as_json(self._way, self.under(given)["given"])

    # For jobs, in the engine's thread.

    def seen(self, key: str) -> search_lib.Seen:
        """What the last frame of a session showed; a `jgan.UserError` where there is none."""
        search = self._searches.get(key)
        if search is None or search.seen is None:
            raise jgan.UserError("nothing has been shown yet: wait for the first candidates.")
        return search.seen._replace(view=search.session.view)

    def drawing(self, key: str) -> sessions.Drawing:
        """The drawing of a session whose candidates have been seen."""
        self.seen(key)
        return self._searches[key].session.drawing

    def aside(self, function: Callable[..., Any], *arguments: Any) -> Iterator[None]:
        """Waits for a function in a thread of its own: what is too long for a part, such as a compilation.

        Its programs share the processor with slices, and painting goes on.
        """
        future = self._aside.submit(function, *arguments)
        future.add_done_callback(lambda _: self._wake())
        while not future.done():
            yield None
        return future.result()

    def program(self, name: Any) -> Iterator[None]:
        """Waits for a program, which it has made where need be."""
        self.programs.need(name)
        while (made := self.programs.get(name)) is None:
            if name in self.programs.failed:
                raise jgan.UserError(_FAILED)
            yield None
        return made

    # The thread.

    def _set(self, key: str, name: str, value: Any) -> None:
        with self._changed:
            if key in self._searches:
                setattr(self._searches[key], name, value)
        self._wake()

    def _wake(self) -> None:
        with self._changed:
            self._awake = True
            self._changed.notify()

    def _work(self) -> None:
        self.weights = jax.device_put(self.run.weights)
        slices = schedule.Slices(self.programs, self.under, self.space)
        # Strokes are drawn by a small program of their own, which is compiled here.
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
            except Exception:  # of no session and no job in particular
                logging.exception("a turn of the engine failed")
                busy = False

    def _turn(self, slices: schedule.Slices, present: list[search_lib.Search]) -> bool:
        # Whether anything was done that may go on.
        if self.status().state != "ready":
            return False
        busy = slices.turn(present)
        for search in present:
            slices.guard([search], lambda search=search: self._deliver(slices, search))
        # Beside slices jobs get a share of the time, which they may owe but not save; alone all of it.
        self._credit = min(self._credit, 0.0) + _SHARE * slices.seconds if slices.seconds else 0.0
        moved, self._credit = self._jobs.advance(self._credit)
        return busy or moved

    def _deliver(self, slices: schedule.Slices, search: search_lib.Search) -> None:
        with self._changed:
            deliver = search.deliver
            if search.state is None or not search.changed or not search.ready or deliver is None:
                return
            search.changed = False
        frame = search.frame(self.programs.get("shadow"), slices.draw)
        if frame is None:
            search.changed = True  # what it needs is being compiled
            return
        with self._changed:
            search.ready = False
        try:
            deliver(frame)
        except Exception:
            logging.exception("a frame could not be delivered")
            search.deliver = None
