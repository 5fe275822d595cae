"""What programs leave and tell: files that are there whole or not at all, names that a page can hold, progress."""

import os
import pathlib
import sys
import time

import tqdm

import jgan


def replace(path, data: bytes) -> None:
    """Writes a file that is there whole or not at all.

    Raises:
      jgan.UserError: the file cannot be written.
    """
    path = pathlib.Path(path)
    draft = path.with_name(f".{path.name}.part")
    try:
        draft.write_bytes(data)
        os.replace(draft, path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise jgan.UserError(f"{path} could not be written: {error.strerror}") from error


def readable(path) -> str:
    """A path as a text that a page can hold: what is no UTF-8 in it becomes U+FFFD."""
    return os.fsencode(path).decode(errors="replace")


def progress(total: int, initial: int = 0, unit: str = "step"):
    """A progress bar on a terminal, else a line now and then, both on stderr: .update(n) and .close().

    `.unpause()` leaves the time since the last update out of the rate.
    """
    if sys.stderr.isatty():
        return tqdm.tqdm(total=total, initial=initial, unit=unit, dynamic_ncols=True, smoothing=0.05)
    return _Lines(total, initial, unit)


def progress_over(items, unit: str = "image"):
    """The items one by one, with `progress`."""
    items = list(items)
    bar = progress(len(items), unit=unit)
    try:
        for item in items:
            yield item
            bar.update(1)
    finally:
        bar.close()


class Silent:
    """The progress of a process that is not the first."""

    def update(self, n: int) -> None:
        pass

    def unpause(self) -> None:
        pass

    def close(self) -> None:
        pass


class _Lines:
    """Progress for a log file: the first line after ten seconds, then one every half a minute."""

    def __init__(self, total, initial, unit, clock=time.monotonic):
        self.total, self.done, self.initial, self.unit, self.clock = total, initial, initial, unit, clock
        self.begun = self.last = clock()
        self.due = self.begun + 10
        self.told = initial

    def update(self, n=1):
        self.done += n
        self.last = self.clock()
        if self.last >= self.due:
            self.due = self.last + 30
            self._print()

    def unpause(self):
        away = self.clock() - self.last
        self.begun, self.last, self.due = self.begun + away, self.last + away, self.due + away

    def close(self):
        if self.done > self.told:
            self._print()

    def _print(self):
        self.told = self.done
        seconds = max(self.clock() - self.begun, 1e-9)
        rate = (self.done - self.initial) / seconds
        left = tqdm.tqdm.format_interval((self.total - self.done) / rate) if rate else "?"
        shown = f"{rate:.2f} {self.unit}s/s" if rate >= 1 or not rate else f"{1 / rate:.2f} s/{self.unit}"
        line = f"{self.unit} {self.done}/{self.total}  {shown}"
        line += (
            f"  {left} left" if self.done < self.total else f"  {tqdm.tqdm.format_interval(seconds)} taken"
        )
        print(line, file=sys.stderr, flush=True)
