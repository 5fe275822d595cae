"""What a run makes of a photo is what it was trained on, and what is shown of an output is what a person expects."""

import ml_collections
import numpy as np
import pytest

import jgan
from jgan.data import examples
from jgan.data import images
from jgan.data import pairs
from jgan.data import pipeline


def config(root, **changes):
    data = ml_collections.ConfigDict()
    data.kind, data.source, data.root = "aligned", "folder", str(root)
    data.split, data.val_split, data.direction, data.pair = "train", "val", "AtoB", ""
    data.size, data.load_size, data.jitter, data.flip = 16, 18, "none", False
    data.channels, data.bits, data.labels = (), (), ""
    data.cache_gib, data.cache_dir, data.workers, data.skip_bad = 1.0, str(root / ".cache"), 0, False
    data.update(changes)
    return data


def noise(channels=3, dtype=np.uint8, most=255, width=16):
    return np.random.default_rng(0).integers(0, most + 1, (16, width, channels)).astype(dtype)


def one(data):
    """The only example that training sees; writes its facts into the config."""
    stream = pipeline.train(data, batch_size=1, seed=0)
    batch = next(stream.batches())
    stream.close()
    data.update(stream.facts)
    return {name: value[0] for name, value in batch.items()}


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
@pytest.mark.parametrize("pair", pairs.PAIRS)
def test_a_photo_becomes_the_input_that_training_saw(tmp_path, pair, direction):
    (tmp_path / "train").mkdir()
    images.write(tmp_path / "train" / "0.png", noise())
    data = config(tmp_path, pair=pair, direction=direction)
    seen = one(data)
    made, taken = examples.from_photo(data, images.load(tmp_path / "train" / "0.png"))
    np.testing.assert_array_equal(made, seen["a"])
    np.testing.assert_array_equal(taken.pixels, noise())
    # Of the pair `lab` the whole photo is shown, whichever of its parts was the input; of others the output.
    target = examples.shown(data, seen, seen["b"])
    if pair == "lab":
        np.testing.assert_allclose(target, noise() / 127.5 - 1, atol=5e-5)
    else:
        assert target is seen["b"]


@pytest.mark.parametrize("kind", ["images", "unaligned"])
def test_without_a_pair_a_photo_is_adapted_as_files_are(tmp_path, kind):
    for folder in ("train", "trainA", "trainB"):
        (tmp_path / folder).mkdir()
        images.write(tmp_path / folder / "0.png", noise(4, np.uint16, 4095))
    data = config(tmp_path, kind=kind, bits=(12,))
    seen, name = one(data), {"images": "images", "unaligned": "b"}[kind]
    made, taken = examples.from_photo(data, images.load(tmp_path / "train" / "0.png"), name)
    assert made.shape == (16, 16, 3) and taken.alpha is not None
    np.testing.assert_array_equal(made, seen[name])
    assert examples.shown(data, {name: made}, made) is made


def test_a_photo_of_other_channels_is_refused(tmp_path):
    with pytest.raises(jgan.UserError, match="has 5 channels and the run takes 3"):
        examples.from_photo(config(tmp_path, pair="lab"), noise(5))
