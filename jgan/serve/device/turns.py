"""The queue of jobs: in each turn the engine's thread does one part of one job."""

from collections import deque
from collections.abc import Callable
from collections.abc import Iterator
from concurrent import futures
import contextlib
import dataclasses
import logging
import threading
import time
from typing import Any

import jgan

MAX_JOBS = 32  # that wait at the same time


class Queue:
    """The jobs that are not done, in the order of their turns."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[_Running] = deque()

    def add(
        self, parts: Iterator[float | None], progress: Callable[[float], None] | None
    ) -> futures.Future[Any]:
        """The future result of a job.

        Args:
            parts: does one part of the job at each step; yields the share that is done, or None if the job only waits.
            progress: is called with the share that is done.

        Raises:
            jgan.UserError: there are too many jobs.
        """
        running = _Running(parts, futures.Future(), progress)
        with self._lock:
            if len(self._waiting) >= MAX_JOBS:
                raise jgan.UserError(f"{MAX_JOBS} jobs are waiting, which is the most: try again later.")
            self._waiting.append(running)
        return running.future

    def advance(self, seconds: float) -> tuple[bool, float]:
        """(whether a part of a job was done, the seconds left to jobs); none is done if they are below 0 before."""
        for _ in range(len(self._waiting)):
            if seconds < 0:
                break
            with self._lock:
                running = self._waiting.popleft()
            begun = time.perf_counter()
            share = running.advance()
            seconds -= time.perf_counter() - begun
            if not running.future.done():
                with self._lock:
                    self._waiting.append(running)
            if share is not None:
                return True, seconds
        return False, seconds

    def stop(self) -> None:
        """Makes the futures of all jobs that are not done fail."""
        for running in self._waiting:
            running.parts.close()
            running.settle(running.future.set_exception, jgan.UserError("the editor was shut down."))


@dataclasses.dataclass(eq=False)
class _Running:
    """A job that has begun."""

    parts: Iterator[float | None]
    future: futures.Future[Any]
    progress: Callable[[float], None] | None

    def advance(self) -> float | None:
        """Does one part and returns the share of the job that is done; None if the job only waits or has ended."""
        share = None
        try:
            if self.future.cancelled():
                self.parts.close()
                return None
            share = next(self.parts)
            if share is not None and self.progress is not None:
                self.progress(share)
        except StopIteration as end:
            if self.progress is not None:
                self.progress(1.0)
            self.settle(self.future.set_result, end.value)
        except jgan.UserError as error:
            self.settle(self.future.set_exception, error)
        except Exception:
            logging.exception("a job failed")
            self.settle(
                self.future.set_exception, jgan.UserError("the job failed; the server's log says why.")
            )
        return share

    def settle(self, how: Callable[[Any], None], value: Any) -> None:
        """Gives the future its result or its error: `how` is its method for that."""
        with contextlib.suppress(futures.InvalidStateError):  # it was cancelled meanwhile
            how(value)
