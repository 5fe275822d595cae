"""The outputs of programs: files that exist whole or not at all, names that a page can contain, progress."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import os
import secrets
import sys
import time
from typing import Any

import tqdm

import jgan
from jgan import paths


def replace(path: str | os.PathLike[str], data: bytes) -> None:
    """Writes a file that exists whole or not at all.

    Raises:
        jgan.UserError: the file cannot be written.
    """
    path = paths.of(path)
    if paths.is_remote(path):
        path.write_bytes(data)
        return
    draft = path.with_name(f".{path.name}.part")
    try:
        draft.write_bytes(data)
        os.replace(draft, path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise jgan.UserError(f"{path} could not be written: {error.strerror}") from error


def publish(path: str | os.PathLike[str], data: bytes, *, anew: bool = False) -> bool:
    """Whether this call wrote a file, which exists whole or not at all. Several processes may do it at a time.

    Args:
        path: of the file.
        data: its content.
        anew: whether it takes the place of a file that is there; otherwise the first one stays.

    Raises:
        jgan.UserError: the file cannot be written.
    """
    path = paths.of(path)
    if paths.is_remote(path):
        if not anew:
            return path.create(data)
        path.write_bytes(data)
        return True
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        draft.write_bytes(data)
        if anew:
            os.replace(draft, path)
            return True
        try:
            os.link(draft, path)
        except FileExistsError:
            return False
        except (
            OSError
        ):  # a file system without hard links: here two may both be the first, and the last one stays
            if path.exists():
                return False
            os.replace(draft, path)
        return True
    except OSError as error:
        raise jgan.UserError(f"{path} could not be written: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)


def readable(path: str | os.PathLike[str]) -> str:
    """A path as a text that a page can contain: bytes that are not UTF-8 become U+FFFD."""
    return os.fsencode(path).decode(errors="replace")


def progress(total: int, initial: int = 0, unit: str = "step") -> "tqdm.tqdm | _Lines":
    """The progress on stderr, with .update(n) and .close(): a bar on a terminal, otherwise a line every half minute.

    `.unpause()` leaves the time since the last update out of the rate.
    """
    if sys.stderr.isatty():
        return tqdm.tqdm(total=total, initial=initial, unit=unit, dynamic_ncols=True, smoothing=0.05)
    return _Lines(total, initial, unit)


def progress_over(items: Iterable[Any], unit: str = "image") -> Iterator[Any]:
    """Yields the items one by one and shows the progress."""
    items = list(items)
    bar = progress(len(items), unit=unit)
    try:
        for item in items:
            yield item
            bar.update(1)
    finally:
        bar.close()


class Silent:
    """The progress of a process that is not the first, which shows nothing."""

    def update(self, n: int) -> None:
        """Does nothing."""

    def unpause(self) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""


class _Lines:
    """The progress in a log file: the first line after ten seconds, then one every half minute."""

    def __init__(
        self, total: int, initial: int, unit: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.total, self.done, self.initial, self.unit, self.clock = total, initial, initial, unit, clock
        self.begun = self.last = clock()
        self.due = self.begun + 10
        self.printed = initial

    def update(self, n: int = 1) -> None:
        """Counts n more, and prints a line if it is time for one."""
        self.done += n
        self.last = self.clock()
        if self.last >= self.due:
            self.due = self.last + 30
            self._print()

    def unpause(self) -> None:
        """Leaves the time since the last update out of the rate."""
        away = self.clock() - self.last
        self.begun, self.last, self.due = self.begun + away, self.last + away, self.due + away

    def close(self) -> None:
        """Prints a last line, unless it would repeat the one before."""
        if self.done > self.printed:
            self._print()

    def _print(self) -> None:
        """Prints a line: how many are done, how fast, and the time that is left."""
        self.printed = self.done
        seconds = max(self.clock() - self.begun, 1e-9)
        rate = (self.done - self.initial) / seconds
        left = tqdm.tqdm.format_interval((self.total - self.done) / rate) if rate else "?"
        shown = f"{rate:.2f} {self.unit}s/s" if rate >= 1 or not rate else f"{1 / rate:.2f} s/{self.unit}"
        line = f"{self.unit} {self.done}/{self.total}  {shown}"
        line += (
            f"  {left} left" if self.done < self.total else f"  {tqdm.tqdm.format_interval(seconds)} taken"
        )
        print(line, file=sys.stderr, flush=True)
