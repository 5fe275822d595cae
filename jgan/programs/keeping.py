"""What a training leaves in the directory of its run: checkpoints, metrics, trace, pictures and page."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
import os
from typing import Any
from typing import NamedTuple

import jax
import ml_collections
import numpy as np

import jgan
from jgan import paths
from jgan import pictures as pictures_lib
from jgan.data import images as image_files
from jgan.programs import previews
from jgan.programs import timing
from jgan.runs import checkpoint
from jgan.runs import log
from jgan.runs import page
from jgan.runs import trace
from jgan.runs import tracking


class Member(NamedTuple):
    """A run that is to be trained.

    Attributes:
        config: with what its data know.
        workdir: of the run.
        stream: its training batches.
        checkpoints: its own.
        trackers: what else is told of its metrics and pictures.
    """

    config: ml_collections.ConfigDict
    workdir: str
    stream: Any
    checkpoints: checkpoint.Checkpoints
    trackers: Sequence[tracking.Factory] = ()

    @property
    def start(self) -> int:
        """The step after which it goes on."""
        return self.checkpoints.latest or 0


class Keeping:
    """The keeper of one run. All processes call it; the first one writes."""

    def __init__(
        self,
        member: Member,
        previewed: previews.Previews,
        finite: Callable[[Any], jax.Array],
        *,
        digested: Iterable[int] = trace.DIGESTED,
        title: str = "",
    ) -> None:
        """Opens metrics and trace of the run to go on after its last checkpoint.

        Args:
            member: the run.
            previewed: its scores and pictures.
            finite: whether all numbers of a tree are finite.
            digested: steps of which the trace has every array.
            title: of the run in sentences, where several are trained together; empty otherwise.
        """
        self.config, self.workdir, self.checkpoints = member.config, member.workdir, member.checkpoints
        self.previews, self._finite, self._title = previewed, finite, title
        first, start = jax.process_index() == 0, member.start
        self.log = log.Log(os.path.join(self.workdir, "metrics.jsonl") if first else None, start)
        self.trace = trace.Trace(self.workdir if first else None, start, digested)
        self.window = timing.Window(self.config.batch_size)
        self._trackers = [track(self.workdir, self.config, start) for track in member.trackers if first]

    def observe(
        self, step: int, values: dict[str, float], batch: dict[str, str], busy: float | None = None
    ) -> None:
        """Takes the metrics of a step, refuses what is not finite, and logs when it is time.

        Args:
            step: that they are of.
            values: the metrics.
            batch: the checksums of its batch, as the trace gave them.
            busy: seconds that a device at the peak of its chip would have computed; None: not known.

        Raises:
            jgan.NotFinite: a metric is not finite.
        """
        for name, value in values.items():
            if not np.isfinite(value):
                raise self._diverged(step, f"{name} is {value}")
        self.trace.metrics(step, values, batch)
        self.window.add(values, busy)
        if step % self.config.log_every == 0 or step == self.config.steps:
            self._write(step, self.window.record())

    def save(self, step: int, state: Any, scores: dict[str, float] | None) -> None:
        """Saves a state.

        Raises:
            jgan.NotFinite: it is not finite.
        """
        if not self._finite((state.params, state.stats, state.ema)):
            raise self._diverged(step, "a parameter is not finite")
        self.trace.state(step, state, saved=True)
        self.log.flush()  # a run that goes on from here has nothing else of what was before
        self.trace.flush()
        self.checkpoints.save(step, state, scores)

    def validate(self, step: int, weights: dict[str, Any]) -> dict[str, float] | None:
        """Scores and logs the weights after a step; None where there is nothing to compare with."""
        values = self.previews.scores(weights, step)
        if values is not None:
            self._write(step, {f"val_{name}": value for name, value in values.items()})
        return values

    def sample(self, step: int, weights: dict[str, Any]) -> None:
        """Writes samples/STEP.png: fixed examples or codes and what becomes of them. All processes draw, one writes."""
        made = self.previews.pictures(weights, step)
        if jax.process_index():
            return
        folder = os.path.join(self.workdir, "samples")
        paths.of(folder).mkdir(parents=True, exist_ok=True)
        for name, picture in made.items():
            path = os.path.join(folder, name or f"{step:06d}.png")
            if name.endswith(".webp"):
                pictures_lib.film(path, picture)
                continue
            image_files.write(path, picture)
            for tracker in self._trackers:
                tracker.picture(step, name.partition(".")[0] or "samples", picture)
        self.log.warn(step, self.previews.warnings)
        self.page()

    def page(self) -> None:
        """Writes the page of the run."""
        if jax.process_index() == 0:
            self.log.flush()  # the page has what can be read
            page.write(self.workdir)

    def close(self) -> None:
        """Closes the files, and ends what is told besides."""
        self.log.close()
        self.trace.close()
        for tracker in self._trackers:
            tracker.close()

    def _write(self, step: int, values: dict[str, float]) -> None:
        """Logs numbers of a step."""
        self.log.write({"step": step, **values})
        for tracker in self._trackers:
            tracker.scalars(step, values)

    def _diverged(self, step: int, what: str) -> jgan.NotFinite:
        """The error of a run that is not finite."""
        latest = self.checkpoints.latest
        kept = (
            "no checkpoint was saved before"
            if latest is None
            else f"step {latest} is the last good checkpoint"
        )
        of = f" ({self._title})" if self._title else ""
        return jgan.NotFinite(f"stopped at step {step}{of}: {what}; {kept}.")
