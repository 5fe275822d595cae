"""The runs of the server, one with a latent, one that translates, or both, and the state of their loading."""

import asyncio
from collections.abc import Callable
import logging
import threading
from typing import Any

import jgan
from jgan import trained
from jgan.latent import document
from jgan.runs import config as run_config
from jgan.serve.web import access
from jgan.serve.web import generation
from jgan.serve.web import kept
from jgan.serve.web import store
from jgan.serve.web import training as training_lib
from jgan.systems import SYSTEMS


class Service:
    """The runs of a server, which are trained if necessary, loaded and compiled in a thread."""

    def __init__(
        self,
        latent: str = "",
        translator: str = "",
        training: training_lib.Training | None = None,
        make_engine: Callable[..., kept.Engine] | None = None,
        make_translation: Callable[[str], generation.Translation] | None = None,
        *,
        space: str = "",
        directions: str = "",
    ):
        """The service of runs in these directories.

        Args:
            latent: directory of a run with a latent; empty: none.
            translator: directory of a run that translates; empty: none.
            training: the training that must end before `latent` can be loaded; None: there is none.
            make_engine: makes the engine of a directory, a space and a file of directions; by default that of
                `jgan.serve.device.engine`.
            make_translation: makes the translation of a directory; by default that of `generation`, compiled.
            space: of `latent`; empty: its first one.
            directions: file of directions in that space, or in one of styles that it contains; empty: none.
        """
        self.latent, self.translator = latent, translator
        self._space, self._directions = space, directions
        self._training, self._make_engine = training, make_engine or _engine
        self._make_translation = make_translation or _translation
        self._state, self._message = ("training", "") if training else ("loading", "reading the run")
        self.engine: kept.Engine | None = None
        self.keeper: store.Keeper | None = None
        self.translation: generation.Translation | None = None
        self._palette: list[dict[str, Any]] | None = None
        self._ways: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._load, name="jgan-loading", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """Begins to load; the service can be used from now on."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def stop(self) -> None:
        """Ends everything; a training saves first."""
        self._state = "failed"  # by which the thread knows that it must not load
        if self.keeper:
            await self.keeper.stop()
        if self._training:
            await asyncio.to_thread(self._training.stop)
        await asyncio.to_thread(self._thread.join, 10.0)
        if self.engine:
            await asyncio.to_thread(self.engine.stop)
        if self.translation:
            self.translation.stop()

    def need_keeper(self) -> store.Keeper:
        """The keeper of sessions.

        Raises:
            store.Busy: there is none yet, or no run with a latent.
        """
        if self.keeper is None:
            if self.latent:
                raise store.Busy(f"the editor is not ready: it is {self._state}.")
            raise store.Busy("this server has no run with a latent, only one that translates.")
        return self.keeper

    def need_translation(self) -> generation.Translation:
        """The translator.

        Raises:
            store.Busy: there is none yet, or no run that translates.
        """
        if self.translation is None:
            if self.translator:
                raise store.Busy(f"the translator is not ready: it is {self._state}.")
            raise store.Busy("this server has no run that translates.")
        return self.translation

    def palette(self) -> list[dict[str, Any]] | None:
        """The colours of drawings for the translator; None: black on white, or there is no translator."""
        if self._palette is None and self.translator:
            self._palette = generation.palette(self.translator)
        return self._palette

    def picture(self, name: str) -> bytes:
        """A sample picture of the run in training, by its name.

        Raises:
            store.Unknown: there is no such picture.
        """
        picture = self._training.picture(name) if self._training else None
        if picture is None:
            raise store.Unknown("there is no such picture.")
        return picture

    def status(self) -> dict[str, Any]:
        """The state of the server as JSON, for pages."""
        state, message = self._state, self._message
        if state == "ready" and self.engine is not None:
            state, message = self.engine.status()
        progress = {"step": None, "steps": None, "seconds_left": None, "samples": []}
        if state == "training":
            progress = self._training.progress()
            progress["samples"] = [f"/api/training/{name}" for name in progress["samples"]]
        return {
            "state": state,
            "message": message,
            **progress,
            **self._latent_facts(),
            "ways": self._ways,
            "translations": self.translation.describe() if self.translation else [],
            "palette": self.palette(),
            "limits": {
                "upload_bytes": access.UPLOAD_BYTES,
                "pixels": access.PIXELS,
                "strokes": document.MAX_STROKES,
                "points": document.MAX_POINTS,
            },
            "sessions": len(self.keeper) if self.keeper else 0,
        }

    def _latent_facts(self) -> dict[str, Any]:
        """The part of `status` about the run with a latent."""
        facts = {
            "system": None,
            "space": None,
            "image": None,
            "candidates": None,
            "brushes": [],
            "sliders": {},
        }
        facts |= {"realism": False, "predictor": False}
        if self.engine is None:
            return facts
        run = self.engine.run
        channels = run.config.data.channels[0]
        colours = ["colour"] if channels in (1, 3) else []
        return facts | {
            "system": run.config.system,
            "space": self.engine.space,
            "image": {"size": run.config.data.size, "channels": channels},
            "candidates": self.engine.candidates,
            "brushes": [*colours, "sketch", "warp", "mask"],
            "sliders": {name: field.describe() for name, field in self.engine.sliders.controls.items()},
            "realism": run.judges,
            "predictor": run.predicts,
        }

    def _load(self) -> None:
        """Waits for the training, and loads the runs."""
        try:
            if self._training:
                self._training.wait()
                if self._state == "failed":
                    return
                self._state, self._message = "loading", "reading the run"
            if self.latent:
                engine = self._make_engine(self.latent, self._space, self._directions)
                engine.start()
                self._ways = [{"of": "painting", **way} for way in engine.ways()]
                self.engine = engine
                asyncio.run_coroutine_threadsafe(self._open_keeper(), self._loop).result(10)
            if self.translator:
                self._message = "preparing the translator"
                translation = self._make_translation(self.translator)
                self._ways = [*self._ways, *({"of": "translating", **way} for way in translation.ways())]
                self.translation = translation
            self._state, self._message = "ready", ""
        except jgan.UserError as error:
            self._state, self._message = "failed", str(error)
        except Exception:
            logging.exception("the run could not be loaded")
            self._state, self._message = "failed", "the run could not be loaded; the server's log says more."

    async def _open_keeper(self) -> None:
        """Makes the keeper, in the event loop."""
        self.keeper = store.Keeper(self.engine)


def _engine(workdir: str, space: str = "", directions: str = "") -> kept.Engine:
    """The engine of the run in `workdir`, within that space, with sliders for a file of directions."""
    from jgan.programs import directions as directions_lib
    from jgan.serve.device import engine

    _check_known(workdir)
    run = trained.load(workdir, latent=True).within(space)
    loaded = directions_lib.load_all(run, directions) if directions else {}
    return engine.Engine(run, directions=loaded)


def _translation(workdir: str) -> generation.Translation:
    """The translation of the run in `workdir`, compiled."""
    _check_known(workdir)
    translation = generation.Translation(workdir)
    translation.warm()
    return translation


def _check_known(workdir: str) -> None:
    """Raises a `jgan.UserError` if a run has a system that this version does not know."""
    system = run_config.read(workdir).system
    if system not in SYSTEMS:
        raise jgan.UserError(f"{workdir} is a run of {system!r}, which this program does not know.")
