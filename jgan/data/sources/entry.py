"""What every source of examples gives: entries, and how one of them is read."""

from typing import NamedTuple
from typing import Protocol

import jgan
from jgan.data import decoded


class Absent(jgan.UserError):
    """The data have no split of this name, or nothing in it."""


class Entry(NamedTuple):
    """One example: its name (relative path without suffix) and its files, one or A and B; none where it is drawn.

    Attributes:
      name: of the example.
      files: that it is read from.
      part: what of a file belongs to the example, if not all of it: the half "A" or "B", or the number of a record.
      label: the number of its class, or the values of its attributes; None where the data have no labels.
    """

    name: str
    files: tuple[str, ...] = ()
    part: str = ""
    label: int | tuple[float, ...] | None = None

    @property
    def place(self) -> str:
        """What an error names: the first file, and which of its records."""
        return self.files[0] + f" record {self.part}" * self.is_record

    @property
    def pair_name(self) -> str:
        """The name that both files of a pair share: without a final `_A` or `_B`, as public sets have it."""
        return self.name[:-2] if self.name.endswith(("_A", "_B")) else self.name

    @property
    def is_record(self) -> bool:
        """Whether it is one of many in a file."""
        return self.part.isdigit()


class Source(Protocol):
    """The examples of one split: what `folder.open`, `named.open` and `drawn.open` give, two of domains without pairs.

    Sources pickle, since workers read them. `str` of one whose entries have no files tells it from all others.

    Attributes:
      entries: the examples, in their order.
      fields: names of the pictures that `read` gives, in the order of their planes in a file: those of the batch, or
        `photo`, of which a pair is made.
      names: of the classes or attributes that `Entry.label` numbers; empty where there are none.
      exclusive: those attributes of which the source itself knows that one is present at a time.
      bad: [(path, reason)] of files that belong to no entry.
      lists: files besides the pictures that the source has read.
    """

    entries: list[Entry]
    fields: tuple[str, ...]
    names: tuple[str, ...]
    exclusive: tuple[str, ...]
    bad: list[tuple[str, str]]
    lists: tuple[str, ...]

    def read(self, entry: Entry) -> dict[str, decoded.Picture]:
        """Returns {field: picture} of an entry.

        Raises:
          jgan.UserError: a file that cannot be read; the sentence begins with its place.
        """
        ...
