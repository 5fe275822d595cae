"""Notes for the person who trains, on files that can be used: how they were changed, and what may be a mistake."""

import collections
from collections.abc import Iterable
import os
from typing import NamedTuple

import numpy as np

from jgan import paths
from jgan.data import images
from jgan.data.sources import entry as entry_lib


class Peak(NamedTuple):
    """The largest value in the files of a side.

    Attributes:
        what: the side, as a sentence names it.
        value: the largest value.
        most: the largest value of their type.
    """

    what: str
    value: int
    most: int

    @property
    def bits(self) -> int:
        """The bits that the value needs, if three quarters (of 8 bits: fifteen sixteenths) are unused; otherwise 0."""
        low = self.most // 4 if self.most > 255 else self.most // 16
        return int(self.value).bit_length() if 0 < self.value <= low else 0


def left_out(entries: Iterable[entry_lib.Entry], lists: Iterable[str] = ()) -> list[str]:
    """A sentence on the files in the folders of these entries that are neither pictures nor `lists`, if there are any.

    Records do not lie in a folder of pictures and are left aside.
    """
    # A set of places, because a million files may lie in a few folders.
    files = ((file, entry) for entry in entries if not entry.is_record for file in entry.files)
    places = {(os.path.dirname(file), entry.name.count("/")) for file, entry in files}
    roots = {(paths.of(place) / "_").parents[depth] for place, depth in places}
    others = sum(map(images.others, sorted(roots)), collections.Counter())
    inside = [file for file in map(paths.of, lists) if roots & set(file.parents)]
    sentence = images.left_out(others - collections.Counter(file.suffix.lower() for file in inside))
    return [sentence] if sentence else []


def unused_range(peaks: list[Peak]) -> list[str]:
    """A sentence if the values of a side leave most of their type's range unused, with the flag that spreads them."""
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
    """The largest value of each plane of integers; -1 for planes of floats."""
    return [int(plane.max()) if plane.dtype.kind == "u" else -1 for plane in planes]
