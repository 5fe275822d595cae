"""Examples in folders of files, which `layouts` and `labels` find and this file reads."""

from typing import Any

import jgan
from jgan.data import images
from jgan.data.sources import labels
from jgan.data.sources import layouts
from jgan.data.sources.entry import Entry


def open(kind: str, data: Any, split: str, *, whole: bool = False) -> tuple["Folder", ...]:
    """The examples of a split; for domains without pairs two sources, A and B.

    Args:
        kind: of the batches.
        data: the `data` part of a config.
        split: its name.
        whole: for evaluation, where files that hold pairs side by side are pairs, even of domains.

    Raises:
        jgan.UserError: there is no such folder or split, or it is empty.
    """
    on = (data.split, data.val_split)
    if kind == "images":
        share = data.get("held_out", 0.05)
        part = data.get("part", "")
        return (
            Folder(layouts.find_images(data.root, split, part=part, splits=on, share=share), ("images",)),
        )
    if kind == "labelled":
        labelled = labels.find(data, split, whole=whole)
        return (
            Folder(
                labelled.entries, ("images",), labelled.bad, labelled.names, labelled.lists, labelled.notes
            ),
        )
    if kind == "unaligned":
        domains = layouts.find_domains(data.root, split, splits=on)
        if len(domains) == 1 and whole:
            return (Folder(*domains, ("a", "b")),)
        if len(domains) == 1:
            domains = layouts.alternate(*domains)
            if not domains[1]:
                raise jgan.UserError(
                    f"domain B is empty: {domains[0][0].files[0]} is the only file, and gives A its left half"
                )
        return tuple(Folder(entries, (side,)) for entries, side in zip(domains, "ab", strict=True))
    entries, bad = layouts.find(data.root, split, single=bool(data.pair), splits=on)
    sides = ("a", "b") if data.direction == "AtoB" else ("b", "a")
    return (Folder(entries, ("photo",) if data.pair else sides, bad),)


class Folder:
    """The examples of one split; an `entry.Source`."""

    def __init__(
        self,
        entries: list[Entry],
        fields: tuple[str, ...],
        bad: list[tuple[str, str]] | None = None,
        names: tuple[str, ...] = (),
        lists: tuple[str, ...] = (),
        notes: tuple[str, ...] = (),
    ) -> None:
        """The examples of these entries.

        Args:
            entries: of the split.
            fields: the pictures that their files hold, side by side in one file or each in a file of its own.
            bad: as in `entry.Source`, and so are `names` and `lists`.
            names: of classes or attributes.
            lists: files besides the pictures.
            notes: as in `entry.Source`.
        """
        self.entries, self.fields, self.bad = entries, fields, bad or []
        self.names, self.exclusive, self.lists, self.notes = names, (), lists, notes

    def read(self, entry: Entry) -> dict[str, images.Picture]:
        """{field: picture} of an entry; raises the errors of `read`."""
        return dict(zip(self.fields, read(entry, single=len(self.fields) == 1), strict=True))


def read(entry: Entry, single: bool = False) -> tuple[images.Picture, ...]:
    """The pictures of an example: `(photo,)` or `(half,)` if single, otherwise `(A, B)` of equal size.

    Raises:
        jgan.UserError: a file cannot be read, the halves differ in size, or the width is odd.
    """
    pictures = [images.load(file) for file in entry.files]
    if single and not entry.part:
        return (pictures[0],)
    if len(pictures) == 1:
        return tuple(half(pictures[0], part, entry.files[0]) for part in entry.part or "AB")
    sizes = [f"{p.shape[1]}x{p.shape[0]}" for p in pictures]
    if sizes[0] != sizes[1]:
        raise jgan.UserError(
            f"{entry.files[0]} is {sizes[0]} and {entry.files[1]} is {sizes[1]}: A and B need the same size"
        )
    return tuple(pictures)


def half(picture: images.Picture, part: str, name: str) -> images.Picture:
    """A half of a picture that holds a pair side by side: the left one is part A, the right one is part B.

    Raises:
        jgan.UserError: the width is odd; the sentence begins with `name`.
    """
    width = picture.shape[1]
    if width % 2:
        raise jgan.UserError(f"{name} is {width} pixels wide: side by side, A and B need an even width")
    columns = slice(0, width // 2) if part == "A" else slice(width // 2, width)
    alpha = None if picture.alpha is None else picture.alpha[:, columns]
    return picture._replace(pixels=picture.pixels[:, columns], alpha=alpha)


def is_pair(picture: images.Picture, halves: tuple[float, float] | None) -> bool:
    """Whether a picture holds a pair side by side, given the least and the largest aspect of known halves."""
    height, width = picture.shape[:2]
    return (
        halves is not None and width % 2 == 0 and 0.98 * halves[0] <= width / 2 / height <= 1.02 * halves[1]
    )
