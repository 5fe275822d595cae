"""metrics.jsonl of a run: written line by line, and read back."""

import contextlib
import json
import math
import pathlib

import jgan
from jgan import output


class Log:
    """metrics.jsonl: one JSON object per line, each with a `step`, in ascending order."""

    def __init__(self, path, step: int = 0):
        """Opens `path` to append after `step`; lines of later steps and a torn last line are dropped.

        Args:
          path: of the file, or None to write nothing, as all processes but the first do.
          step: the step the run goes on from, 0 for a new one, which keeps nothing.
        """
        self._file = None
        self._told: list[str] = []
        if path is None:
            return
        path = pathlib.Path(path)
        if path.exists():
            kept = [r for r in read(path) if step and r["step"] <= step]
            self._told = next((r["warnings"] for r in reversed(kept) if "warnings" in r), [])
            text = "".join(json.dumps(record) + "\n" for record in kept)
            if text != path.read_text(encoding="utf-8", errors="replace"):
                output.replace(path, text.encode())
        self._file = open(path, "a", encoding="utf-8")

    def write(self, record: dict) -> None:
        """Appends one record, on disk at once; what is not finite becomes null.

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
        """Appends a record with the signs that the newest pictures show, where they are not those told last."""
        if sentences != self._told:
            self.write({"step": step, "warnings": sentences})
            self._told = sentences

    def close(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # what could not be written has been told by `write`
                self._file.close()


def read(path) -> list[dict]:
    """The records of a metrics.jsonl, without lines that are no JSON object with a step; [] if missing."""
    records = []
    try:
        lines = pathlib.Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
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


def _plain(value):
    if isinstance(value, (str, bool, int, list)) or value is None:
        return value
    value = float(value)
    return value if math.isfinite(value) else None
