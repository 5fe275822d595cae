"""Finds examples in folders of files, however they are laid out.

Pairs side by side, A the left half and B the right (the layout of the pix2pix sets):

    root/train/1.jpg

Pairs in two folders, matched by name without suffix:

    root/train/A/1.jpg  root/train/B/1.png
    root/A/train/1.jpg  root/B/train/1.png
    root/trainA/1.jpg   root/trainB/1.png

Single photos, from which pairs are made (`pair=edges` and so on): `root/train/1.jpg`.

The split may also be empty, which means `root` itself; and where neither the training nor the
validation split exists but `root` itself holds examples, every tenth of these is kept for
validation and the others train.
"""

import pathlib
from typing import NamedTuple

import numpy as np

import jgan
from jgan.data import images


class Entry(NamedTuple):
    """One example: its name (relative path without suffix) and its files, one or A and B."""

    name: str
    files: tuple[str, ...]


def find(root: str, split: str, *, single: bool = False, splits: tuple[str, str] | None = None):
    """Returns `(entries, bad)`: the examples of a split, and `[(path, reason)]` of unmatched files.

    Args:
      root: the folder with the data.
      split: the sub-folder of root, as in the layouts above; "" is root itself.
      single: whether files are photos by themselves rather than pairs.
      splits: the names of the training and the validation split; with them, a root without
        sub-folders is divided as told above.

    Raises:
      jgan.UserError: no such folder or split (existing ones are listed), or nothing in it.
    """
    if not root:
        raise jgan.UserError("no folder was given: set data.root to one with images in it")
    top = pathlib.Path(root).expanduser()
    if not top.is_dir():
        raise jgan.UserError(f"there is no folder {top}")
    found = _layout(top, split, single)
    if found is None and splits and split in splits and "" not in splits:
        if all(_layout(top, name, single) is None for name in splits):
            whole = _layout(top, "", single)
            if whole is not None:
                entries, bad = whole
                return _divided(entries, validation=split == splits[1] != splits[0]), bad
    if found is None:
        raise jgan.UserError(_nothing(top, split, single))
    entries, bad = found
    if not entries and not bad:
        where = top / split if split else top
        raise jgan.UserError(f"{where} holds no images ({' '.join(images.SUFFIXES)})")
    return entries, bad


def read(entry: Entry, single: bool = False) -> tuple[np.ndarray, ...]:
    """Returns the planes of an example: `(photo,)` if single, otherwise `(A, B)` of equal size.

    Raises:
      jgan.UserError: a file that cannot be read, halves of different size, an odd width.
    """
    pictures = [images.read(file) for file in entry.files]
    if single:
        return (pictures[0],)
    if len(pictures) == 1:
        width = pictures[0].shape[1]
        if width % 2:
            raise jgan.UserError(
                f"{entry.files[0]} is {width} pixels wide: side by side, A and B need an even width"
            )
        return pictures[0][:, : width // 2], pictures[0][:, width // 2 :]
    sizes = [f"{p.shape[1]}x{p.shape[0]}" for p in pictures]
    if sizes[0] != sizes[1]:
        raise jgan.UserError(
            f"{entry.files[0]} is {sizes[0]} and {entry.files[1]} is {sizes[1]}: A and B need the same size"
        )
    return tuple(pictures)


def _layout(top: pathlib.Path, split: str, single: bool):
    # None: nothing of this name. The folders of two-folder layouts win over files beside them.
    here = top / split if split else top
    if not single:
        candidates = [(here / "A", here / "B")]
        if split:
            candidates += [(top / "A" / split, top / "B" / split)]
            candidates += [(top / f"{split}A", top / f"{split}B")]
        for a, b in candidates:
            if a.is_dir() and b.is_dir():
                return _match(a, b)
            if a.is_dir() or b.is_dir():
                there, missing = (a, b) if a.is_dir() else (b, a)
                raise jgan.UserError(f"there is {there} but no {missing}: pairs need both")
    if not here.is_dir():
        return None
    files = images.find(here) if split else [p for p in images.find(here) if p.parent == here]
    if not files and not split:
        return None
    return [Entry(_name(file, here), (str(file),)) for file in files], []


def _match(a: pathlib.Path, b: pathlib.Path):
    sides = []
    for folder in (a, b):
        side = {}
        for file in images.find(folder):
            other = side.setdefault(_name(file, folder), file)
            if other is not file:
                raise jgan.UserError(f"{other} and {file.name} have the same name: keep one")
        sides.append(side)
    names = sorted(sides[0].keys() & sides[1].keys())
    bad = []
    for side, other, folder in ((sides[0], sides[1], b), (sides[1], sides[0], a)):
        lonely = sorted(side.keys() - other.keys())
        bad += [(str(side[name]), f"has no partner in {folder}") for name in lonely]
    return [Entry(name, (str(sides[0][name]), str(sides[1][name]))) for name in names], bad


def _name(file: pathlib.Path, folder: pathlib.Path) -> str:
    return file.relative_to(folder).with_suffix("").as_posix()


def _divided(entries: list[Entry], validation: bool) -> list[Entry]:
    # The last of every ten, and of the rest: a single example has to serve both.
    kept = [e for i, e in enumerate(entries) if i % 10 == 9 or i == len(entries) - 1]
    if validation or len(entries) == 1:
        return kept
    return [entry for entry in entries if entry not in set(kept)]


def _nothing(top: pathlib.Path, split: str, single: bool) -> str:
    there = sorted(p.name for p in top.iterdir() if p.is_dir() and not p.name.startswith("."))
    has = f"its folders are {', '.join(there[:10])}" if there else "it has no folders"
    if not there and not images.find(top):
        has = "it is empty"
    kinds = "photos" if single else "pairs side by side, or A and B"
    wanted = f"split {split!r} (a folder {split} with {kinds})" if split else f"images ({kinds})"
    return f"{top} has no {wanted}: {has}"
