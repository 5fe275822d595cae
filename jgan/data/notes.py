"""What whoever trains is told of files that can all be used: what became of them, and what may not be meant so."""

import collections
from collections.abc import Iterable
import os
import pathlib
from typing import NamedTuple

import numpy as np

from jgan.data import images
from jgan.data.sources import entry as entry_lib


class Peak(NamedTuple):
    """The largest value in the files of a side, which is `what`, of all that their type has."""

    what: str
    value: int
    most: int

    @property
    def bits(self) -> int:
        """How many bits it needs, where it leaves three quarters (of 8 bits: fifteen sixteenths) unused; else 0."""
        low = self.most // 4 if self.most > 255 else self.most // 16
        return int(self.value).bit_length() if 0 < self.value <= low else 0


def left_out(entries: Iterable[entry_lib.Entry], lists: Iterable[str] = ()) -> list[str]:
    """A sentence on the files in the folders of these entries that are neither pictures nor `lists`, if there are any.

    Records lie in no folder of pictures.
    """
    # Of a million files in a few folders.
    files = ((file, entry) for entry in entries if not entry.is_record for file in entry.files)
    places = {(os.path.dirname(file), entry.name.count("/")) for file, entry in files}
    roots = {pathlib.Path(place, "_").parents[depth] for place, depth in places}
    found = sum(map(images.others, sorted(roots)), collections.Counter())
    inside = [file for file in map(pathlib.Path, lists) if roots & set(file.parents)]
    told = images.told(found - collections.Counter(file.suffix.lower() for file in inside))
    return [told] if told else []


def unused_range(peaks: list[Peak]) -> list[str]:
    """A sentence where values of a side leave most of their type's range unused, with the flag that spreads them."""
    low = [peak for peak in peaks if peak.bits]
    if not low:
        return []
    reached = " and ".join(f"{peak.what} reach {peak.value} of {peak.most}" for peak in low)
    asked = [str(peak.bits) for peak in peaks]
    flag = asked[0] if len(set(asked)) == 1 else ",".join(asked)
    return [
        f"the values of {reached} at most, and look nearly black: if that is all they can, "
        f"--config.data.bits={flag} spreads them over the whole range"
    ]


def peak(planes: Iterable[np.ndarray]) -> list[int]:
    """The largest value of each plane of integers, -1 of floats."""
    return [int(plane.max()) if plane.dtype.kind == "u" else -1 for plane in planes]
