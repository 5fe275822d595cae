"""Prepared sets of TensorFlow Datasets by name (`tfds:cycle_gan/horse2zebra`), read without TensorFlow.

A name is NAME, NAME/CONFIG or either with :VERSION; without a version the newest prepared one is used. Sets lie where
TensorFlow Datasets keeps them, in ROOT/NAME/CONFIG/VERSION, and are read from its format array_record, which gives
random access to records. Nothing is downloaded here: `prepare` makes such folders.
"""

from collections.abc import Iterable
import contextlib
import difflib
import os
import pathlib
import re
import types
from typing import Any
from typing import NamedTuple

import numpy as np

import jgan
from jgan import paths
from jgan.data import framing
from jgan.data import images
from jgan.data.sources import entry as entry_lib
from jgan.data.sources import labels
from jgan.data.sources import layouts

PREFIX = "tfds:"
FORMAT = "array_record"

_NAME = re.compile(r"(?P<set>[a-z]\w*)(/(?P<config>[\w.+-]+))?(:(?P<version>\d+\.\d+\.\d+))?")


class Name(NamedTuple):
    """The parts of a name; config and version may be empty."""

    set: str
    config: str
    version: str


def is_name(source: str) -> bool:
    """Whether `data.source` names a set of TensorFlow Datasets."""
    return source.startswith(PREFIX)


def parse(name: str) -> Name:
    """The parts of a name, given with or without `tfds:`; a `jgan.UserError` if it is not a name."""
    match = _NAME.fullmatch(name.removeprefix(PREFIX))
    if not match:
        raise jgan.UserError(
            f"{name} is no name of a data set: NAME, NAME/CONFIG or NAME/CONFIG:1.2.3 would work"
        )
    return Name(*(part or "" for part in match.group("set", "config", "version")))


def root_folder(root: str) -> pathlib.Path:
    """The folder with all prepared sets: the given one, or that of TensorFlow Datasets."""
    if paths.is_remote(root):
        raise jgan.UserError(
            f"{root}: sets of TensorFlow Datasets are read from disks alone; copied to one they would work, "
            "and so would folders of pictures."
        )
    return pathlib.Path(root or tfds().core.constants.DATA_DIR).expanduser()


def prepared(root: str, name: str) -> list[pathlib.Path]:
    """The folders of the prepared versions of a set, the newest last; only that version which the name has, if any."""
    parts = parse(name)
    where = root_folder(root) / parts.set / parts.config
    versions = [path.parent for path in where.glob("*/dataset_info.json")]
    numbered = {tuple(map(int, path.name.split("."))): path for path in versions if _is_version(path.name)}
    return [path for _, path in sorted(numbered.items()) if parts.version in ("", path.name)]


def check_known(root: str, name: str) -> None:
    """Refuses a set that TensorFlow Datasets does not have, or not in this configuration, with a `jgan.UserError`."""
    parts = parse(name)
    known = tfds().list_builders(with_community_datasets=False)
    if parts.set not in known:
        here = root_folder(root)
        infos = [*here.glob("*/*/dataset_info.json"), *here.glob("*/*/*/dataset_info.json")]
        there = {path.relative_to(here).parts[0] for path in infos}
        if parts.set in there:
            raise jgan.UserError(f"{here} has {parts.set}, but not {name.removeprefix(PREFIX)}")
        near = difflib.get_close_matches(parts.set, sorted(there | set(known)))
        meant = f", perhaps {' or '.join(near)} was meant" if near else ""
        raise jgan.UserError(
            f"there is no data set {parts.set}, neither prepared in {root_folder(root)} nor in "
            f"TensorFlow Datasets{meant}"
        )
    try:
        configs = list(tfds().builder_cls(parts.set).builder_configs)
    except ImportError:  # its module imports TensorFlow at once
        return
    if configs and parts.config not in configs:
        asked = f"no configuration {parts.config!r}" if parts.config else "several configurations"
        raise jgan.UserError(
            f"{parts.set} has {asked}: {parts.set}/NAME with NAME one of {_listed(configs)} would work"
        )
    if parts.config and not configs:
        raise jgan.UserError(f"{parts.set} has no configurations: {parts.set} alone would work")


def splits(root: str, name: str) -> list[str]:
    """The names of the splits of a prepared set; raises the errors of `open_set`."""
    return sorted(open_set(root, name).info.splits)


def open_set(root: str, name: str) -> Any:
    """The builder of a prepared set, which TensorFlow Datasets makes from its folder.

    Raises:
        jgan.UserError: there is no such set, configuration or version, or it is not prepared in the format
        array_record.
    """
    where = _find(root, name)
    try:
        builder = tfds().builder_from_directory(where)
        formats = {known.value for known in builder.info.available_file_formats()}
    except Exception as error:  # any error that a damaged folder causes
        raise jgan.UserError(f"{where} is not a whole data set: {_reason(error)}") from None
    if FORMAT not in formats:
        raise jgan.UserError(
            f"{where} is prepared as {', '.join(sorted(formats))}, not as {FORMAT}: remove it, and "
            f"{_command(root, name)} prepares it anew"
        )
    return builder


def tfds() -> types.ModuleType:
    """The package TensorFlow Datasets, imported only when a named set is used; it does not import TensorFlow."""
    import tensorflow_datasets

    return tensorflow_datasets


def open(kind: str, data: Any, split: str, *, whole: bool = False) -> tuple["Images", ...]:
    """The examples of a split of the set `data.source`; for domains without pairs two sources, A and B.

    If a set of single images has a training but no validation split, a share `data.held_out` of the training split is
    used for validation. `whole` is as in `folder.open` and changes nothing.

    Raises:
        jgan.UserError: as in `open_set`, or there is no such split, or no images in it.
    """
    root, name = data.root, data.source
    if kind == "unaligned":
        return tuple(Images(root, name, split + side, field=side.lower()) for side in "AB")
    if kind == "aligned":  # sets hold no pairs: one is made of each photo
        return (Images(root, name, split, field="photo"),)
    return (_single(data, split),)


def _single(data: Any, split: str) -> "Images":
    """Images by themselves, with labels if the kind has them."""
    part, on = data.get("part", ""), (data.split, data.val_split)
    known = splits(data.root, data.source)
    there = [name + part for name in on]
    alone = on[0] != on[1] and split in on and there[0] in known and there[1] not in known
    source = Images(data.root, data.source, there[0] if alone else split + part)
    if data.kind == "labelled":
        source.take_labels(data)
    if alone:
        source.entries = layouts.hold_out(source.entries, split == on[1], data.get("held_out", 0.05))
    return source


def _labels(features: Any, data: Any) -> tuple[str, tuple[str, ...]]:
    """The feature that holds the labels, and the names of all classes or attributes."""
    kinds, source, features = tfds().features, data.source, dict(features.items())
    if data.label == "class":
        if isinstance(features.get("label"), kinds.ClassLabel):
            return "label", tuple(features["label"].names)
        raise jgan.UserError(
            f"{source} has no classes, which are a ClassLabel 'label': it has {_listed(features)}"
        )
    if isinstance(features.get("attributes"), kinds.FeaturesDict):
        there = [name for name, one in features["attributes"].items() if one.np_dtype == np.bool_]
        if there:
            return "attributes", tuple(sorted(there))  # their own order differs from process to process
    raise jgan.UserError(
        f"{source} has no attributes, which are a dict 'attributes' of yes and no: it has {_listed(features)}"
    )


class Images:
    """All images of one split, in uint8 or uint16: an `entry.Source` and a sequence of arrays [h, w, c]."""

    def __init__(
        self, root: str, name: str, split: str, feature: str = "image", field: str = "images"
    ) -> None:
        """Opens a split of a prepared set, of whose examples `feature` becomes `field` of the batch.

        Raises:
            jgan.UserError: as in `open_set`, or there is no such split, or no images under this name.
        """
        builder = open_set(root, name)
        info = builder.info
        if split not in info.splits:
            raise entry_lib.Absent(
                f"{name} has no split {split!r}: its splits are {', '.join(sorted(info.splits))}"
            )
        there = {key: kind for key, kind in info.features.items() if isinstance(kind, tfds().features.Image)}
        if feature not in there:
            raise jgan.UserError(f"{name} has no images {feature!r}: it has {_listed(there) or 'none'}")
        if there[feature].np_dtype not in (np.uint8, np.uint16):
            raise jgan.UserError(
                f"images {feature!r} of {name} are {there[feature].np_dtype}, not uint8 or uint16"
            )
        if not info.splits[split].num_examples:
            raise entry_lib.Absent(f"split {split!r} of {name} is empty")
        self._feature, self._channels = feature, there[feature].shape[-1]
        skip = {feature: tfds().decode.SkipDecoding()}  # its decoder differs from that for files
        self._records = builder.as_data_source(split, decoders=skip, file_format=FORMAT)
        self.fields, self.names, self.exclusive, self.bad, self.lists, self.notes = (
            (field,),
            (),
            (),
            [],
            (),
            (),
        )
        self.entries, shards = [], info.splits[split]
        for file, length in zip(shards.filepaths, shards.shard_lengths, strict=True):
            for record in range(length):
                entry = entry_lib.Entry(f"{len(self.entries):05d}", (os.fspath(file),), str(record))
                self.entries.append(entry)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.read(self.entries[index])[self.fields[0]].joined()

    def take_labels(self, data: Any) -> None:
        """Adds the labels that data.label and data.names ask for to the entries, and drops entries of other classes.

        Raises:
            jgan.UserError: the set has no labels or not these, or its records cannot be read.
        """
        feature, there = _labels(open_set(data.root, data.source).info.features, data)
        self.names = labels.chosen(data, there, data.source)
        try:
            values = [self._records[int(entry.name)][feature] for entry in self.entries]
        except Exception as error:  # of the reader's own kinds
            raise jgan.UserError(f"{data.source} cannot be read: {_reason(error)}") from None
        if feature == "attributes":
            values = [tuple(float(one[name]) for name in self.names) for one in values]
        else:
            number = {there.index(name): label for label, name in enumerate(self.names)}
            values = [number.get(int(one)) for one in values]
        both = zip(self.entries, values, strict=True)
        self.entries = [entry._replace(label=value) for entry, value in both if value is not None]

    def read(self, entry: entry_lib.Entry) -> dict[str, images.Picture]:
        """{field: picture} of an entry; a `jgan.UserError` if it is damaged."""
        try:
            data = self._records[int(entry.name)][self._feature]
        except Exception as error:  # of the reader's own kinds
            raise jgan.UserError(f"{entry.place} cannot be read: {_reason(error)}") from None
        picture = images.parse(data, entry.place)
        # Such a set declares one number of channels, and neither grey images among colour nor transparency.
        if self._channels in (1, 3):
            with contextlib.suppress(
                jgan.UserError
            ):  # colour among grey, which is reported with all other bad files
                picture = framing.adapt(picture, self._channels)._replace(alpha=None)
        return {self.fields[0]: picture}


def _find(root: str, name: str) -> pathlib.Path:
    """The folder of the version that a name means."""
    versions = prepared(root, name)
    if versions:
        return versions[-1]
    parts = parse(name)
    others = prepared(root, name.removesuffix(f":{parts.version}"))
    if others:
        there = ", ".join(path.name for path in others)
        raise jgan.UserError(
            f"{name} is not prepared in {root_folder(root)} in this version: there is {there}"
        )
    check_known(root, name)
    raise jgan.UserError(f"{name} is not prepared in {root_folder(root)}: {_command(root, name)} does that")


def _command(root: str, name: str) -> str:
    """The command that prepares a set."""
    where = f" --data_dir={root}" if root else ""
    return f"python -m launch.prepare_data --name={name.removeprefix(PREFIX)}{where}"


def _listed(names: Iterable[str]) -> str:
    """The first twelve names in alphabetical order, and how many more there are."""
    names = sorted(names)
    return ", ".join(names[:12]) + f" and {len(names) - 12} more" * (len(names) > 12)


def _reason(error: Exception) -> str:
    """The text of an error, in one line."""
    return " ".join(str(error).split())[:300]


def _is_version(name: str) -> bool:
    """Whether a folder is named as a version."""
    return re.fullmatch(r"\d+\.\d+\.\d+", name) is not None
