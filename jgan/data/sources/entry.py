"""The interface of all sources of examples: entries, and a way to read one of them."""

from typing import NamedTuple
from typing import Protocol

import jgan
from jgan.data import decoded


class Absent(jgan.UserError):
    """The data have no split of this name, or the split is empty."""


class Entry(NamedTuple):
    """One example.

    Attributes:
        name: of the example, a relative path without suffix.
        files: from which it is read: one, or those of A and B; none if it is drawn.
        part: the part of a file that is the example, if not all of it: the half "A" or "B", or the number of a record.
        label: the number of its class, or the values of its attributes; None where the data have no labels.
    """

    name: str
    files: tuple[str, ...] = ()
    part: str = ""
    label: int | tuple[float, ...] | None = None

    @property
    def place(self) -> str:
        """The place that an error message names: the first file, and which of its records."""
        return self.files[0] + f" record {self.part}" * self.is_record

    @property
    def pair_name(self) -> str:
        """The name that both files of a pair share: without the final `_A` or `_B` of public sets."""
        return self.name[:-2] if self.name.endswith(("_A", "_B")) else self.name

    @property
    def is_record(self) -> bool:
        """Whether the example is one of many in a file."""
        return self.part.isdigit()


class Source(Protocol):
    """The examples of one split, as `folder.open`, `named.open` and `drawn.open` return them.

    Domains without pairs have two sources. Sources can be pickled, since workers read them. If the entries of a source
    have no files, its `str` is different from that of all other sources.

    Attributes:
        entries: the examples, in their order.
        fields: names of the pictures that `read` returns, in the order of their planes in a file: those of the batch,
            or `photo`, from which a pair is made.
        names: of the classes or attributes to which the numbers of `Entry.label` belong; empty if there are none.
        exclusive: those attributes of which, as the source knows, one is present at a time.
        bad: [(path, reason)] of files that belong to no entry.
        lists: files besides the pictures that the source has read.
        notes: sentences on what it leaves out on purpose.
    """

    entries: list[Entry]
    fields: tuple[str, ...]
    names: tuple[str, ...]
    exclusive: tuple[str, ...]
    bad: list[tuple[str, str]]
    lists: tuple[str, ...]
    notes: tuple[str, ...]

    def read(self, entry: Entry) -> dict[str, decoded.Picture]:
        """{field: picture} of an entry.

        Raises:
            jgan.UserError: a file cannot be read; the sentence begins with its place.
        """
        ...
