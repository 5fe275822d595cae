"""How a training loop uses its time: the step compiles beside what comes before it, and the rest is measured."""

import contextlib
import threading
import time
from typing import Any

import jax

import jgan
from jgan.programs import usage


class Ahead(threading.Thread):
    """Compiles a program for arguments of these shapes, so that the first call finds it.

    What goes wrong here goes wrong in that call as well, which reports it.

    Attributes:
        shapes: of the arguments, with their shardings.
    """

    def __init__(self, program: Any, *shapes: Any, **static: Any):
        super().__init__(name=jgan.COMPILING)
        self.shapes = shapes
        self._lower = lambda: program.lower(*shapes, **static)

    def run(self) -> None:
        with contextlib.suppress(Exception):
            self.lowered().compile()

    def lowered(self) -> jax.stages.Lowered:
        """The program before it is compiled."""
        return self._lower()

    def wait(self) -> None:
        """Returns once the program is there, or will not be."""
        if self.ident is not None:
            self.join()


class Window:
    """Means over the steps since the last log line, and how the time was spent."""

    def __init__(self, batch_size: int):
        self.batch_size = batch_size
        self._reset()
        self.paused = 0.0

    def begin(self) -> None:
        """Starts the clock: the first step comes now."""
        self._reset()

    def _reset(self) -> None:
        self.sums: dict[str, float] = {}
        self.counts: dict[str, int] = {}  # not all steps of a run have the same metrics
        self.count, self.waited, self.away = 0, 0.0, 0.0
        self.busy: float | None = 0.0
        self.begun = time.perf_counter()

    def add(self, values: dict[str, float], busy: float | None = None) -> None:
        """Takes a step's metrics, and the seconds that a device would compute at its peak; None: not known."""
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1
        self.count += 1
        self.busy = None if busy is None or self.busy is None else self.busy + busy

    def pause(self) -> None:
        self.paused = time.perf_counter()

    def resume(self) -> None:
        self.away += time.perf_counter() - self.paused

    def record(self) -> dict[str, float]:
        """Mean metrics, images per second, shares of time and of the peak, and memory; starts anew."""
        seconds = max(time.perf_counter() - self.begun - self.away, 1e-9)
        record = {name: value / self.counts[name] for name, value in self.sums.items()}
        record["images_per_second"] = self.batch_size * self.count / seconds
        record["input_wait"] = min(self.waited / seconds, 1.0)
        if self.busy:
            record["share_of_peak_flops"] = self.busy / seconds
        memory = usage.memory()
        if memory is not None:
            record["peak_memory_bytes"] = memory
        self._reset()
        return record
