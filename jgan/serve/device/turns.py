"""The jobs that wait, of which each is moved on by a part when its turn comes; only the engine's thread does it."""

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

MAX_JOBS = 32


class Queue:
    """Jobs of which each is moved on by a part when its turn comes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[_Running] = deque()

    def add(self, parts: Iterator[float | None], progress: Callable[[float], None] | None) -> futures.Future:
        """The future result of a job; a `jgan.UserError` where there are too many."""
        running = _Running(parts, futures.Future(), progress)
        with self._lock:
            if len(self._waiting) >= MAX_JOBS:
                raise jgan.UserError(f"{MAX_JOBS} jobs are waiting, which is the most: try again later.")
            self._waiting.append(running)
        return running.future

    def advance(self, seconds: float) -> tuple[bool, float]:
        """(whether a job was moved on, what is left of the seconds that jobs may take); none where it is below 0."""
        for _ in range(len(self._waiting)):
            if seconds < 0:
                break
            with self._lock:
                running = self._waiting.popleft()
            begun = time.perf_counter()
            told = running.advance()
            seconds -= time.perf_counter() - begun
            if not running.future.done():
                with self._lock:
                    self._waiting.append(running)
            if told is not None:
                return True, seconds
        return False, seconds

    def stop(self) -> None:
        """Fails what is not done."""
        for running in self._waiting:
            running.parts.close()
            running.settle(running.future.set_exception, jgan.UserError("the editor was shut down."))


@dataclasses.dataclass(eq=False)
class _Running:
    parts: Iterator[float | None]
    future: futures.Future
    progress: Callable[[float], None] | None

    def advance(self) -> float | None:
        """Does a part; None if it only waits."""
        told = None
        try:
            if self.future.cancelled():
                self.parts.close()
                return None
            told = next(self.parts)
            if told is not None and self.progress is not None:
                self.progress(told)
        except StopIteration as end:
            if self.progress is not None:
                self.progress(1.0)
            self.settle(self.future.set_result, end.value)
        except jgan.UserError as error:
            self.settle(self.future.set_exception, error)
        except Exception:
            logging.exception("a job failed")
            self.settle(
                self.future.set_exception, jgan.UserError("the job failed; the server's log tells why.")
            )
        return told

    def settle(self, how: Callable[[Any], None], value: Any) -> None:
        with contextlib.suppress(futures.InvalidStateError):  # cancelled meanwhile
            how(value)
