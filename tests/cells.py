"""Sample grids read back, for tests that look at them."""

import numpy as np
from PIL import Image

from jgan.pictures import BACKGROUND
from jgan.pictures import TITLE


def cells(picture):
    """The images [h, w, 3] uint8 of each row of a `grid`."""
    body = picture[TITLE:]
    empty = np.all(body == BACKGROUND, axis=-1)
    rows = _runs(~empty.all(axis=1))
    columns = _runs(~empty.all(axis=0))
    return [[body[t + 1 : b - 1, l + 1 : r - 1] for l, r in columns] for t, b in rows]


def _runs(flags):
    """[(start, stop), ...] of the runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def read(path):
    """The picture [h, w, 3] uint8 in a file."""
    with Image.open(path) as opened:
        return np.asarray(opened.convert("RGB"))
