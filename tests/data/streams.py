"""What tests of batches share: the `data` part of a config, pictures in files, batches, and what is refused."""

import itertools

import ml_collections
import numpy as np
import pytest

import jgan
from jgan.data import images
from jgan.data import pipeline


def config(root, kind, /, **changes):
    """The `data` part of a config of small pictures in a folder, with the fields that all kinds have."""
    data = ml_collections.ConfigDict()
    data.kind, data.source, data.root = kind, "folder", str(root)
    data.split, data.val_split = "train", "val"
    data.size, data.load_size, data.jitter, data.flip = 8, 10, "resize", True
    data.cache_gib, data.cache_dir, data.workers, data.skip_bad = 1.0, str(root / ".cache"), 0, False
    data.number, data.val_number, data.seed = 5, 2, 0
    data.update(changes)
    return data


def put(path, array):
    """Writes a picture, whose folder is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write(path, array)


def plain(level, height=12, width=14):
    """A picture of one grey."""
    return np.full((height, width, 3), level, np.uint8)


def slope(level, height=12, width=20, channels=3, dtype=np.uint8):
    """A picture whose rows and columns rise by 6 a pixel, whatever their number; the last channel is `level`."""
    y, x = np.mgrid[:height, :width]
    picture = np.stack([6 * y, 6 * x, 0 * x][-channels:], axis=-1).astype(dtype)
    picture[..., -1] = level
    return picture


def halves(seed, height=12, width=20, channels=3, dtype=np.uint8):
    """A pair side by side: both halves hold one pattern, B inverted, so that b = white - a in any geometry."""
    rng = np.random.default_rng(seed)
    white = np.iinfo(dtype).max
    half = rng.integers(0, white + 1, (height, width // 2, channels)).astype(dtype)
    return np.concatenate([half, white - half], axis=1)


def batches(data, count, start=0, batch_size=2, seed=4, **named):
    """So many batches of a training, from step `start` on."""
    stream = pipeline.train(data, batch_size=batch_size, seed=seed, **named)
    try:
        return list(itertools.islice(stream.batches(start), count))
    finally:
        stream.close()


def equal(one, other):
    """Whether two lists of batches are the same to the bit; what is not known (NaN) equals itself."""
    return len(one) == len(other) and all(
        set(x) == set(y) and all(np.array_equal(x[k], y[k], equal_nan=True) for k in x)
        for x, y in zip(one, other, strict=True)
    )


def refused(data, match, batch_size=1, **named):
    """Asserts that a training is refused by one sentence."""
    with pytest.raises(jgan.UserError, match=match) as raised:
        pipeline.train(data, batch_size=batch_size, seed=0, **named)
    assert "\n" not in str(raised.value)
