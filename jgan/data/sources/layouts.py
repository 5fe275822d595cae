"""The examples of a split in folders of files, for each layout that jgan knows.

Pairs side by side, A the left half and B the right (the layout of the pix2pix sets):

    root/train/1.jpg

Pairs in two folders, matched by name without suffix:

    root/train/A/1.jpg  root/train/B/1.png
    root/A/train/1.jpg  root/B/train/1.png
    root/trainA/1.jpg   root/trainB/1.png

Single photos, from which pairs are made (`pair=edges` and so on): `root/train/1.jpg`.

Two domains without pairs lie in the same folders as A and B of pairs, whatever the names of their files. Of pairs side
by side, one picture gives its A, the next its B, and so on, so that no pair is used.

The split may also be empty, which means `root` itself. If neither the training nor the validation split exists but
`root` itself holds examples, every tenth of these is kept for validation and the others are for training.

Single images without a task (`find_images`) may lie in any folder: if there are no splits, all images below it are
used, and a share of them is held out.
"""

import hashlib
import pathlib

import jgan
from jgan import paths
from jgan.data import images
from jgan.data import outputs
from jgan.data.sources.entry import Absent
from jgan.data.sources.entry import Entry

Bad = list[tuple[str, str]]  # (path, reason) of files that are not used


def find(
    root: str, split: str, *, single: bool = False, splits: tuple[str, str] | None = None
) -> tuple[list[Entry], Bad]:
    """`(entries, bad)`: the examples of a split, and `[(path, reason)]` of unmatched files.

    Args:
        root: the folder with the data.
        split: the sub-folder of root, as in the layouts above; "" is root itself.
        single: whether files are photos by themselves rather than pairs.
        splits: the names of the training and the validation split; with them, a root without
            sub-folders is divided as described above.

    Raises:
        jgan.UserError: no such folder or split (existing ones are listed), or nothing in it.
    """
    top = top_folder(root)
    matched = _layout(top, split, single)
    if matched is None and splits and split in splits and "" not in splits:
        if all(_layout(top, name, single) is None for name in splits):
            whole = _layout(top, "", single)
            if whole is not None:
                entries, bad = whole
                return _divided(entries, validation=split == splits[1] != splits[0]), bad
    if matched is None:
        kinds = "photos" if single else "pairs side by side, or A and B"
        raise Absent(nothing(top, split, f"a folder {split} with {kinds}" if split else kinds))
    entries, bad = matched
    if not entries and not bad:
        where = top / split if split else top
        raise Absent(images.none_in(where))
    return entries, bad


def find_images(
    root: str, split: str, *, part: str = "", splits: tuple[str, str] | None = None, share: float = 0.05
) -> list[Entry]:
    """The single images of a split: files below `root/split`, or halves of pairs.

    Where neither the training nor the validation split exists, all files below root are divided by `hold_out`; the
    split "" is all of them.

    Args:
        root: the folder with the data.
        split: the sub-folder of root.
        part: "" for whole files; "A" or "B" for that half of every pair side by side, or for that domain's folder.
        splits: the names of the training and the validation split; with them, a root without splits is divided.
        share: of the images that is held out if root is divided.

    Raises:
        jgan.UserError: no such folder or split (existing ones are listed), or no image in it.
    """
    top = top_folder(root)
    entries = _part(top, split, part)
    if entries is None and splits and split in splits and "" not in splits:
        if all(_part(top, name, part) is None for name in splits):
            refuse_other_splits(top, splits)
            whole = _part(top, "", part)
            if whole:
                entries = whole if splits[0] == splits[1] else hold_out(whole, split == splits[1], share)
    what = f"half {part} of pairs" if part else "images"
    if entries is None:
        raise Absent(nothing(top, split, f"a folder {split} with {what}" if split else what))
    if not entries:
        where = top / split if split else top
        raise Absent(images.none_in(where))
    return entries


def hold_out(entries: list[Entry], held_out: bool, share: float) -> list[Entry]:
    """The entries that are held out for validation if `held_out`, otherwise the others, in their own order.

    A share of them is held out, at least 1 and at most 10,000. Which ones depends on their names alone, so that images
    that are added later hardly change it. A single image is used for both.
    """
    if len(entries) == 1:
        return entries
    number = min(max(1, round(share * len(entries))), 10_000, len(entries) - 1)
    order = sorted(entries, key=lambda entry: hashlib.sha256(entry.name.encode(errors="replace")).digest())
    kept = set(order[len(order) - number :])
    return [entry for entry in entries if (entry in kept) == held_out]


def find_domains(root: str, split: str, *, splits: tuple[str, str] | None = None) -> tuple[list[Entry], ...]:
    """The entries of two domains `(A, B)`, or `(pairs,)` if the split holds pairs side by side.

    Each file of a domain is an example by itself.

    Args:
        root: as in `find`.
        split: as in `find`.
        splits: as in `find`.

    Raises:
        jgan.UserError: no such folder or split (existing ones are listed), or an empty domain.
    """
    top = top_folder(root)
    domains = _domains(top, split)
    if domains is None and splits and split in splits and "" not in splits:
        if all(_domains(top, name) is None for name in splits):
            whole = _domains(top, "") or ()
            domains = tuple(_divided(entries, split == splits[1] != splits[0]) for entries in whole) or None
    if domains is None:
        kinds = f"folders {split}A and {split}B" if split else "folders A and B"
        raise Absent(nothing(top, split, f"{kinds}, or pairs side by side"))
    return domains


def alternate(pairs: list[Entry]) -> tuple[list[Entry], list[Entry]]:
    """Two domains without pairs: the A halves of the 1st, 3rd, ... pair, the B halves of the others."""
    return (
        [entry._replace(part="A") for entry in pairs[::2]],
        [entry._replace(part="B") for entry in pairs[1::2]],
    )


def folders(folder: pathlib.Path) -> list[pathlib.Path]:
    """The folders directly in a folder that searches enter, sorted."""
    visible = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    return [path for path in visible if not outputs.is_written(path)]


def top_folder(root: str) -> pathlib.Path:
    """The folder that data.root names; a `jgan.UserError` if it is empty or there is no such folder."""
    if not root:
        raise jgan.UserError("no folder was given: set data.root to one with images in it")
    top = paths.of(root).expanduser()
    if not top.is_dir():
        raise jgan.UserError(f"there is no folder {top}")
    return top


def _layout(top: pathlib.Path, split: str, single: bool) -> tuple[list[Entry], Bad] | None:
    """The entries of a split and unmatched files; None if there is no such split.

    If there are two folders, A and B, files beside them are not used.
    """
    sides = None if single else _sides(top, split)
    if sides:
        a, b = sides
        if a.is_dir() and b.is_dir():
            return _match(a, b)
        there, missing = (a, b) if a.is_dir() else (b, a)
        raise jgan.UserError(f"there is {there} but no {missing}: pairs need both")
    entries = _singles(top, split)
    return None if entries is None else (entries, [])


def _domains(top: pathlib.Path, split: str) -> tuple[list[Entry], ...] | None:
    """The entries of A and B, or of pairs side by side, of a split; None if there is no such split."""
    sides = _sides(top, split)
    if sides is None:
        entries = _singles(top, split)
        if entries == []:
            raise Absent(f"domains A and B are empty: {images.none_in(top / split)}")
        return None if entries is None else (entries,)
    for name, folder, other in (("A", *sides), ("B", *reversed(sides))):
        if not folder.is_dir():
            raise Absent(f"domain {name} is empty: there is {other} but no {folder}")
    both = tuple([Entry(_name(file, side), (str(file),)) for file in images.find(side)] for side in sides)
    for name, folder, entries in zip("AB", sides, both, strict=True):
        if not entries:
            raise Absent(f"domain {name} is empty: {images.none_in(folder)}")
    return both


_SPLITS = {"train", "training", "val", "valid", "validation", "test", "testing"}


def refuse_other_splits(top: pathlib.Path, splits: tuple[str, str]) -> None:
    """Refuses to divide a folder that has splits of other names or domains, which should not be mixed unnoticed."""
    there = sorted(path.name for path in top.iterdir() if path.is_dir())
    domains = [name for name in there if name[:-1] in splits and name[-1] in "AB"]
    if domains:
        raise jgan.UserError(
            f"{top} has {', '.join(domains)}: data.part=A or B would take single images of them"
        )
    known = [name for name in there if name.lower().removesuffix("a").removesuffix("b") in _SPLITS]
    if known:
        raise jgan.UserError(
            f"{top} has no split {splits[0]!r} or {splits[1]!r}, but {', '.join(known)}: "
            "naming two of them in data.split and data.val_split would work"
        )


def _part(top: pathlib.Path, split: str, part: str) -> list[Entry] | None:
    """The single images of a split; None if there is no such split."""
    here = top / split if split else top
    sides = _sides(top, split) if part else None
    if sides:
        here = sides["AB".index(part)]
    if not here.is_dir():
        return None
    entries = [Entry(_name(file, here), (str(file),)) for file in images.find(here)]
    return entries if sides or not part else [entry._replace(part=part) for entry in entries]


def _sides(top: pathlib.Path, split: str) -> tuple[pathlib.Path, pathlib.Path] | None:
    """The folders of A and B, of which at least one exists; None if there are none."""
    here = top / split if split else top
    candidates = [(here / "A", here / "B")]
    if split:
        candidates += [(top / "A" / split, top / "B" / split)]
        candidates += [(top / f"{split}A", top / f"{split}B")]
    for a, b in candidates:
        if a.is_dir() or b.is_dir():
            return a, b
    return None


def _singles(top: pathlib.Path, split: str) -> list[Entry] | None:
    """One entry for each file of a split; None if there is no such split."""
    here = top / split if split else top
    if not here.is_dir():
        return None
    files = images.find(here) if split else [p for p in images.find(here) if p.parent == here]
    if not files and not split:
        return None
    return [Entry(_name(file, here), (str(file),)) for file in files]


def _match(a: pathlib.Path, b: pathlib.Path) -> tuple[list[Entry], Bad]:
    """The pairs of files of the same name in two folders, and the files without a partner."""
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
    """The path of a file below a folder, without its suffix."""
    return file.relative_to(folder).with_suffix("").as_posix()


def _divided(entries: list[Entry], validation: bool) -> list[Entry]:
    """The last of every ten entries and the last of all, for validation, or the others; a single one serves both."""
    kept = [e for i, e in enumerate(entries) if i % 10 == 9 or i == len(entries) - 1]
    if validation or len(entries) == 1:
        return kept
    return [entry for entry in entries if entry not in set(kept)]


def nothing(top: pathlib.Path, split: str, wanted: str) -> str:
    """The sentence on a split that does not exist, with the folders that do."""
    there = sorted(p.name for p in top.iterdir() if p.is_dir() and not p.name.startswith("."))
    has = f"its folders are {', '.join(there[:10])}" if there else "it has no folders"
    if not there and not images.find(top):
        has = "it is empty"
    what = f"split {split!r}" if split else "images"
    return f"{top} has no {what} ({wanted}): {has}"
