"""A profile of some steps of a training, as TensorBoard and Perfetto read it: `launch.train --profile=START:STOP`."""

from collections.abc import Callable
import contextlib
import os
import pathlib
import tempfile

import jax

from jgan import output
from jgan import paths

FOLDER = "profile"  # in the run
STEP = "step"  # the name of a step's span in the profile; its number is `step_num`


class Profile:
    """The profile of one training, which the first process writes."""

    def __init__(
        self, workdir: str, steps: range, wait: Callable[[], None], say: Callable[[str], None]
    ) -> None:
        """Does nothing yet.

        Args:
            workdir: of the run, in whose folder `FOLDER` it is written.
            steps: that are profiled, counted from 0 over the whole run, by steps of 1; empty: none.
            wait: returns when the device has done all that it was given.
            say: prints a line.
        """
        self._folder, self._wait, self._say = os.path.join(workdir, FOLDER), wait, say
        self._steps = steps if jax.process_index() == 0 else range(0)
        self._open: tempfile.TemporaryDirectory[str] | None = None
        self._first = self._last = 0

    def tell(self, start: int, stop: int) -> None:
        """Says why there will be no profile, where steps START to STOP - 1 of the run have none of its steps."""
        steps = self._steps
        if not steps or (steps.start < stop and start < steps.stop):
            return
        these = f"steps {start} to {stop - 1}" if start < stop else "no step"
        self._say(
            f"no profile: this start takes {these}, and --profile={steps.start}:{steps.stop} is of others"
        )

    def due(self, step: int) -> bool:
        """Whether `turn` has something to do before a step."""
        return (step in self._steps) != (self._open is not None)

    def turn(self, step: int) -> None:
        """Begins the profile before the first of its steps, and ends it after the last one."""
        if self._open is not None:
            self.end()
            return
        self._wait()
        self._first = step
        self._open = tempfile.TemporaryDirectory(prefix="jgan-profile-")
        options = jax.profiler.ProfileOptions()
        options.python_tracer_level = 0  # it would tell each call of a function, and slow the steps down
        jax.profiler.start_trace(self._open.name, profiler_options=options)

    def step(self, step: int) -> contextlib.AbstractContextManager[None]:
        """A context that is told in the profile as a step; it costs microseconds where none is written."""
        self._last = step
        return jax.profiler.StepTraceAnnotation(STEP, step_num=step)

    def end(self) -> None:
        """Writes the profile if it was begun, when the device has done its last step."""
        opened, self._open = self._open, None
        if opened is None:
            return
        with opened:
            try:
                self._wait()
            finally:
                jax.profiler.stop_trace()
                self._steps = range(0)
            for file in sorted(pathlib.Path(opened.name).rglob("*")):
                if file.is_file():
                    place = os.path.join(self._folder, file.relative_to(opened.name))
                    paths.of(place).parent.mkdir(parents=True, exist_ok=True)
                    output.replace(place, file.read_bytes())
        self._say(
            f"profile of steps {self._first} to {self._last}: tensorboard --logdir={self._folder}, or its "
            "trace.json.gz in ui.perfetto.dev"
        )
