"""What every source gives: entries, and the error that there are none."""

from typing import NamedTuple

import jgan


class Absent(jgan.UserError):
    """The data have no split of this name, or nothing in it."""


class Entry(NamedTuple):
    """One example: its name (relative path without suffix) and its files, one or A and B.

    `part` says what of a file belongs to the example, if not all of it: the half "A" or "B", or the number of a
    record.
    """

    name: str
    files: tuple[str, ...]
    part: str = ""

    @property
    def place(self) -> str:
        """What an error names: the first file, and which of its records."""
        return self.files[0] + f" record {self.part}" * self.part.isdigit()
