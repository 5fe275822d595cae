"""metrics.jsonl of a run: written line by line, and read back."""

import contextlib
import json
import math
import os
import pathlib
import time
from typing import Any
from typing import TextIO

import jgan
from jgan import output
from jgan import paths

_PAUSE = 15  # seconds between two writes of a log in an object store


class Log:
    """metrics.jsonl: one JSON object per line, each with a `step`, in ascending order.

    On a disk every record is there at once. An object store cannot append: there the log is held in memory and written
    whole when a record comes 15 seconds or more after the last time, by `flush` and by `close`.
    """

    def __init__(self, path: str | os.PathLike[str] | None, step: int = 0) -> None:
        """Opens `path` to append after `step`; lines of later steps and an incomplete last line are dropped.

        Args:
            path: of the file, or None to write nothing, as all processes but the first do.
            step: the step from which the run continues; 0 for a new run, which keeps no lines.
        """
        self._file: TextIO | _Whole | None = None
        self._logged: list[str] = []
        if path is None:
            return
        path, text = paths.of(path), ""
        if path.exists():
            kept = [r for r in read(path) if step and r["step"] <= step]
            self._logged = next((r["warnings"] for r in reversed(kept) if "warnings" in r), [])
            text = "".join(json.dumps(record) + "\n" for record in kept)
            if text != path.read_text(encoding="utf-8", errors="replace"):
                output.replace(path, text.encode())
        self._file = _Whole(path, text) if paths.is_remote(path) else path.open("a", encoding="utf-8")

    def write(self, record: dict) -> None:
        """Appends one record, on disk at once; values that are not finite become null.

        Raises:
            jgan.UserError: the disk is full or the file cannot be written.
        """
        if self._file is None:
            return
        try:
            self._file.write(json.dumps({k: _plain(v) for k, v in record.items()}) + "\n")
            self._file.flush()
        except OSError as error:
            raise jgan.UserError(f"{self._file.name} could not be written: {error.strerror}") from error

    def warn(self, step: int, sentences: list[str]) -> None:
        """Appends a record with the signs that the newest pictures show, where they differ from those logged last."""
        if sentences != self._logged:
            self.write({"step": step, "warnings": sentences})
            self._logged = sentences

    def flush(self) -> None:
        """Writes what an object store does not have yet, as before a checkpoint, after which the run may go on."""
        if isinstance(self._file, _Whole):
            self._file.put()

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # `write` has reported what could not be written
                self._file.close()


class _Whole:
    """The text of an object, in memory, which is put anew in the place of appending to it."""

    def __init__(self, path: pathlib.Path, text: str) -> None:
        self.name, self._path, self._parts = str(path), path, [text]
        self._put, self._due = True, time.monotonic() + _PAUSE

    def write(self, text: str) -> None:
        """Appends a text."""
        self._parts.append(text)
        self._put = False

    def flush(self) -> None:
        """Puts the object if it is time to."""
        if time.monotonic() >= self._due:
            self.put()

    def put(self) -> None:
        """Puts the object, unless it has all."""
        if not self._put:
            self._parts = ["".join(self._parts)]
            self._path.write_text(self._parts[0])
            self._put, self._due = True, time.monotonic() + _PAUSE

    def close(self) -> None:
        """Puts the object."""
        self.put()


def read(path: str | os.PathLike[str]) -> list[dict]:
    """The records of a metrics.jsonl, without lines that are no JSON object with a step; [] if missing."""
    records = []
    try:
        lines = paths.of(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue  # a kill in the middle of a write leaves half a line
        if isinstance(record, dict) and isinstance(record.get("step"), int):
            records.append(record)
    return records


def _plain(value: Any) -> str | bool | int | float | list[Any] | None:
    """A value as JSON has it: numbers of arrays as float, None for what is not finite."""
    if isinstance(value, (str, bool, int, list)) or value is None:
        return value
    value = float(value)
    return value if math.isfinite(value) else None
