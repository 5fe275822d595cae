"""Labels of files: classes, which are folders, or attributes, which are in a list.

Classes lie in a folder each, with splits or without:

    root/train/CLASS/1.jpg  root/val/CLASS/2.jpg
    root/CLASS/1.jpg

Pictures with attributes lie in root/SPLIT, or anywhere below root; if there are no splits, CelebA's
`list_eval_partition` defines them, or a share is held out as for single images. A list names pictures by their place
below root, or by the end of that place: `000001.jpg` is also `img_align_celeba/000001.jpg`, if no other file matches.
If it names a picture with another suffix, as the list of CelebA does for its PNG files, the name without suffix
decides.
"""

import os
import pathlib
from typing import Any
from typing import NamedTuple

import jgan
from jgan import paths
from jgan.data import images
from jgan.data.sources import layouts
from jgan.data.sources import lists
from jgan.data.sources.entry import Absent
from jgan.data.sources.entry import Entry

# The usual names of lists and of files of partitions, and the folders below root in which they may lie.
LISTS = ("list_attr_celeba.txt", "list_attr_celeba.csv", "attributes.csv", "attributes.txt", "labels.csv")
PARTITIONS = ("list_eval_partition.txt", "list_eval_partition.csv")
_PLACES = ("", "Anno", "anno", "annotations", "Eval", "eval")

_SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


class Labelled(NamedTuple):
    """Labelled entries of a split.

    Attributes:
        entries: with their labels.
        names: of the classes or attributes to which the numbers of these labels belong.
        bad: [(path, reason)] of files and lines that belong to no entry.
        lists: files from which the labels were read.
        notes: sentences on what was left out on purpose.
    """

    entries: list[Entry]
    names: tuple[str, ...]
    bad: list[tuple[str, str]]
    lists: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def find(data: Any, split: str, *, whole: bool = False) -> Labelled:
    """The labelled pictures of a split below data.root, by data.label, data.names and data.attributes.

    Args:
        data: the `data` part of a config.
        split: its name.
        whole: for evaluation, where classes may be missing.

    Raises:
        jgan.UserError: there is no such folder or split, a name is unknown, a class is empty, or the list cannot be
            used.
    """
    top = layouts.top_folder(data.root)
    return _classes(data, top, split, whole) if data.label == "class" else _listed(data, top, split)


def chosen(data: Any, there: tuple[str, ...], where: str) -> tuple[str, ...]:
    """Data.names, or all that are there, once they are known to make sense.

    Args:
        data: the `data` part of a config, with `label`, `names` and `exclusive`.
        there: names of all classes or attributes that the data have.
        where: the place of the data, with which the sentences begin.

    Raises:
        jgan.UserError: a name is unknown or given twice or could not be asked for later, there are less than two
            classes, or an exclusive name is not one of the names.
    """
    names, exclusive = _texts(data, "names"), _texts(data, "exclusive")
    kind = "class" if data.label == "class" else "attribute"
    for name in names:
        if name not in there:
            raise jgan.UserError(
                f"{where} has no {kind} {lists.short(name)} of data.names: it has {lists.listed(there) or 'none'}; "
                f"--config.data.names=() would take all of them"
            )
        if names.count(name) > 1:
            raise jgan.UserError(f"data.names has {lists.short(name)} twice: once would work")
    names = names or there
    for name in names:
        if not _is_utf8(name):
            raise jgan.UserError(
                f"{where} has a {kind} {lists.short(name)}, whose name is no UTF-8: another name, or the others in "
                "data.names, would work"
            )
        if kind == "attribute" and set(name) & set(",="):
            raise jgan.UserError(
                f"{where} has an attribute {lists.short(name)}: a name without , and = would work, because --set "
                "separates attributes and values by them"
            )
    if kind == "class" and len(names) < 2:
        only = f"only one class, {lists.short(names[0])}" if names else "no classes"
        raise jgan.UserError(f"{where} has {only}: data.label=class needs two or more")
    if kind == "class" and exclusive:
        raise jgan.UserError(
            f"data.exclusive is {','.join(exclusive)}, but a picture has one class anyway: nothing would work"
        )
    # Those that the data have and the run does not use may stay in a preset.
    for name in exclusive:
        if name not in there:
            raise jgan.UserError(
                f"{where} has no {kind} {lists.short(name)} of data.exclusive: --config.data.exclusive=() or some of "
                f"{lists.listed(names)} would work"
            )
    return names


def _classes(data: Any, top: pathlib.Path, split: str, whole: bool) -> Labelled:
    """The pictures of a split whose classes are folders."""
    on = (data.split, data.val_split)
    here, alone = top / split if split else top, False
    if not here.is_dir():
        alone = split in on and "" not in on and not any((top / name).is_dir() for name in on)
        if not alone:
            raise Absent(layouts.nothing(top, split, f"a folder {split} with one of each class"))
        layouts.refuse_other_splits(top, on)
        here = top
    # The training split defines which classes there are.
    known = here if alone or not (top / data.split).is_dir() else top / data.split
    there = tuple(folder.name for folder in layouts.folders(known))
    names = _texts(data, "names")
    if whole and set(names) & set(there):
        there += tuple(name for name in names if name not in there)
    names = chosen(data, there, str(known))
    entries = []
    for label, name in enumerate(names):
        files = images.find(here / name) if (here / name).is_dir() else []
        if not files and here == known and not whole:
            raise jgan.UserError(
                f"class {lists.short(name)} is empty: {images.none_in(here / name)}; without that folder, or with the "
                "others in data.names, it would work"
            )
        members = [Entry(_name(file, here), (str(file),), label=label) for file in files]
        if alone and data.split != data.val_split:
            members = layouts.hold_out(members, split == on[1], data.get("held_out", 0.05))
        entries += members
    if not entries:
        raise Absent(images.none_in(here))
    lone = sorted(file for file in here.iterdir() if file.is_file() and not file.name.startswith("."))
    lone = [file for file in lone if file.name.lower().endswith(images.SUFFIXES)]
    bad = [(str(file), "lies in no folder of a class") for file in lone]
    others = _other_classes(top, here, on, names) if split == data.split else ()
    return Labelled(entries, names, bad, notes=others)


def _other_classes(
    top: pathlib.Path, here: pathlib.Path, splits: tuple[str, str], names: tuple[str, ...]
) -> tuple[str, ...]:
    """A sentence on folders of other classes in the training and the validation split, if there are any."""
    sides = dict.fromkeys([here, *(top / split for split in splits if split and (top / split).is_dir())])
    left = [
        _place(folder, top) for side in sides for folder in layouts.folders(side) if folder.name not in names
    ]
    what = "a folder that is none" if len(left) == 1 else f"{len(left)} folders that are none"
    return (f"left out: {what} of the classes: {lists.listed(left)}",) if left else ()


def _listed(data: Any, top: pathlib.Path, split: str) -> Labelled:
    """The pictures of a split whose attributes are in a list."""
    path = _list(data, top, split)
    parent = paths.of(path).parent
    table = lists.read(path, _texts(data, "names"))
    names = chosen(data, table.names, path)
    # A list beside the pictures of a split is about these alone; any other list is about all pictures below root.
    scope = top / split if split and parent == top / split else top
    pictures = {_place(file, scope): file for file in images.find(scope)}
    matched = _matched(table, pictures)
    used = {key for key, _ in matched.values()}
    bad = _missing(path, [key for key in table.rows if key not in used], scope)
    partition = next(iter(_near(top, PARTITIONS, parent)), None) if scope == top and split else None
    places, alone = list(pictures), False
    if partition:
        places, lost = _parted(partition, split, places)
        bad += [(str(pictures[place]), f"has no line in {partition}") for place in lost]
    elif scope == top and split:
        places, alone = _of_split(data, top, split, places)
    bad += [(str(pictures[place]), f"has no line in {path}") for place in places if place not in matched]
    start = f"{split}/" if scope == top and split and not partition and not alone else ""
    entries = [
        Entry(
            os.path.splitext(place.removeprefix(start))[0], (str(pictures[place]),), label=matched[place][1]
        )
        for place in places
        if place in matched
    ]
    if alone and data.split != data.val_split:
        entries = layouts.hold_out(entries, split == data.val_split, data.get("held_out", 0.05))
    if not entries and not bad and partition and pictures:
        raise Absent(f"{partition} has none of the {len(pictures)} pictures below {scope} in split {split!r}")
    if not entries and not bad:
        raise Absent(images.none_in(scope))
    return Labelled(entries, names, bad, (path, partition) if partition else (path,))


def _missing(path: str, names: list[str], scope: pathlib.Path) -> list[tuple[str, str]]:
    """One sentence on all lines whose pictures are missing, because a list may have hundreds of thousands of lines."""
    if not names:
        return []
    some = ", ".join(map(lists.short, names[:3])) + ", ..." * (len(names) > 3)
    what = "a file that is" if len(names) == 1 else f"{len(names)} files that are"
    return [(path, f"names {what} not below {scope}: {some}")]


def _list(data: Any, top: pathlib.Path, split: str) -> str:
    """The path of the list of attributes: that of data.attributes, or one of the usual names."""
    given = data.get("attributes", "")
    if given:
        path = paths.of(given).expanduser()
        return str(path if path.is_file() or path.is_absolute() or not (top / path).is_file() else top / path)
    for path in _near(top, LISTS, *([top / split] if split else [])):
        return path
    raise jgan.UserError(
        f"{top} has no list of attributes ({', '.join(LISTS)}): data.attributes=FILE would work"
    )


def _near(top: pathlib.Path, names: tuple[str, ...], *first: pathlib.Path) -> list[str]:
    """The existing files of these names in the folders where they may lie, those in `first` before the others."""
    folders = [*first, *(top / place for place in _PLACES)]
    return [str(folder / name) for folder in folders for name in names if (folder / name).is_file()]


def _matched(
    table: lists.Table, pictures: dict[str, pathlib.Path]
) -> dict[str, tuple[str, tuple[float, ...]]]:
    """{place of a picture: (its name in the list, its values)}."""
    stems: dict[str, list[str]] = {}
    for key in table.rows:
        stems.setdefault(os.path.splitext(key)[0], []).append(key)
    matched, owners = {}, {}
    for place in pictures:
        parts = place.split("/")
        ends = ["/".join(parts[k:]) for k in range(len(parts))]
        key = next((end for end in ends if end in table.rows), None)
        if key is None:
            alike = next(
                (stems[stem] for stem in (os.path.splitext(end)[0] for end in ends) if stem in stems), ()
            )
            key = alike[0] if len(alike) == 1 else None
        if key is None:
            continue
        if key in owners:
            raise jgan.UserError(
                f"{table.path} line {table.rows[key][0]} names {lists.short(key)}, which is "
                f"{pictures[owners[key]]} and {pictures[place]}: names with their folders would separate them"
            )
        owners[key] = place
        matched[place] = key, table.rows[key][1]
    return matched


def _of_split(data: Any, top: pathlib.Path, split: str, places: list[str]) -> tuple[list[str], bool]:
    """The pictures of a split by folders, or all pictures if there are no splits, and whether there are none."""
    if (top / split).is_dir():
        return [place for place in places if place.startswith(f"{split}/")], False
    on = (data.split, data.val_split)
    if split in on and "" not in on and not any((top / name).is_dir() for name in on):
        layouts.refuse_other_splits(top, on)
        return places, True
    raise Absent(layouts.nothing(top, split, f"a folder {split}"))


def _parted(path: str, split: str, places: list[str]) -> tuple[list[str], list[str]]:
    """The pictures of a split by a file of partitions, and the pictures that it does not name."""
    wanted = _SPLITS.get(split)
    if wanted is None:
        raise Absent(f"{path} has no split {split!r}: its splits are train, val, test")
    of, members, lost = lists.partition(path), [], []
    for place in places:
        name = place.rsplit("/", 1)[-1]
        stem = os.path.splitext(name)[0]
        side = next((of[key] for key in (place, name, f"{stem}.jpg", f"{stem}.png") if key in of), None)
        if side is None:
            lost.append(place)
        elif side == wanted:
            members.append(place)
    return members, lost


def _texts(data: Any, field: str) -> tuple[str, ...]:
    """The names in a field of `data`, as texts even where they look like numbers."""
    return tuple(map(str, data.get(field, ())))


def _is_utf8(name: str) -> bool:
    """Whether a name can be written as UTF-8; on disk it may be any bytes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _place(file: pathlib.Path, folder: pathlib.Path) -> str:
    """The path of a file below a folder."""
    return file.relative_to(folder).as_posix()


def _name(file: pathlib.Path, folder: pathlib.Path) -> str:
    """The path of a file below a folder, without its suffix."""
    return file.relative_to(folder).with_suffix("").as_posix()
