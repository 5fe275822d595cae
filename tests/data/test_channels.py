"""Files as people have them in training: one rule for channels, bits that fill a part, and what is told of both."""

import itertools
import os

import ml_collections
import numpy as np
import pytest

import jgan
from jgan.data import framing
from jgan.data import images
from jgan.data import pipeline


def config(root, **changes):
    data = ml_collections.ConfigDict()
    data.kind, data.source, data.root, data.part = "images", "folder", str(root), ""
    data.split, data.val_split, data.held_out = "train", "val", 0.05
    data.size, data.load_size, data.jitter, data.flip = 8, 10, "none", False
    data.cache_gib, data.cache_dir, data.workers, data.skip_bad = 1.0, str(root / ".cache"), 0, False
    data.channels, data.bits, data.pair, data.direction, data.labels = (), (), "", "AtoB", ""
    data.update(changes)
    return data


def noise(channels, seed=0, dtype=np.uint8, most=None):
    rng = np.random.default_rng(seed)
    return rng.integers(0, (most or np.iinfo(dtype).max) + 1, (8, 8, channels)).astype(dtype)


def put(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write(path, array)
    return array


def stream(data):
    """What training finds: (channels, {name: planes}, notes)."""
    found = pipeline.train(data, batch_size=1, seed=0)
    try:
        batches = list(itertools.islice(found.batches(), found.examples))
    finally:
        found.close()
    names = tuple(batches[0])
    return found, [tuple(batch[name][0] for name in names) for batch in batches]


def has(examples, *planes):
    return any(all(map(np.array_equal, example, planes)) for example in examples)


def photos(root):
    """Three photos, one that is grey, one that is opaque with an opacity, one that is transparent."""
    colours = [put(root / "train" / f"{k}.png", noise(3, k)) for k in range(3)]
    grey = put(root / "train" / "grey.png", noise(1, 5))
    full = put(
        root / "train" / "full.png", np.concatenate([noise(3, 6), np.full((8, 8, 1), 255, np.uint8)], -1)
    )
    half = put(root / "train" / "half.png", noise(4, 7))
    return colours, grey, full, half


def test_photos_of_which_some_are_grey_or_transparent_train_together(tmp_path):
    colours, grey, full, half = photos(tmp_path)
    found, examples = stream(config(tmp_path))
    assert found.facts["channels"] == (3,) and not found.bad and len(examples) == 6
    laid = images.Picture(half[..., :3], half[..., 3:]).on_white()
    for wanted in (*colours, np.repeat(grey, 3, -1), full[..., :3], laid):
        assert has(examples, wanted)
    assert found.notes == [f"1 of 6 pictures: {framing.REPEATED}", f"1 of 6 pictures: {framing.LAID}"]


def test_training_and_use_agree_on_every_file(tmp_path):
    photos(tmp_path)
    found, examples = stream(config(tmp_path))
    for file in images.find(tmp_path / "train"):
        assert has(examples, framing.adapt(images.load(file), 3).pixels), file


def test_opacity_is_a_channel_where_the_config_says_so(tmp_path):
    for k in range(3):
        put(tmp_path / "train" / f"{k}.png", noise(4, k))
    assert stream(config(tmp_path))[0].facts["channels"] == (3,)
    found, examples = stream(config(tmp_path, channels=(4,)))
    assert found.facts["channels"] == (4,) and has(examples, noise(4, 1))
    put(tmp_path / "train" / "3.png", noise(3))
    with pytest.raises(jgan.UserError, match="3.png has 3 channels and the run takes 4"):
        stream(config(tmp_path, channels=(4,)))


def test_grey_stored_as_colour_is_taken_as_grey_where_most_are(tmp_path):
    for k in range(3):
        put(tmp_path / "train" / f"{k}.png", noise(1, k))
    put(tmp_path / "train" / "3.png", np.repeat(noise(1, 3), 3, -1))
    found, examples = stream(config(tmp_path))
    assert found.facts["channels"] == (1,) and has(examples, noise(1, 3)) and not found.bad
    assert found.notes == [f"1 of 4 pictures: {framing.TAKEN}"]
    put(tmp_path / "train" / "4.png", noise(3, 4))
    with pytest.raises(jgan.UserError, match="1 of 5 .*/4.png has 3 channels where most have 1"):
        stream(config(tmp_path))
    found, examples = stream(config(tmp_path, channels=(3,)))  # which the config can ask for
    assert found.facts["channels"] == (3,) and len(examples) == 5 and has(examples, noise(3, 4))


def test_bands_are_never_dropped(tmp_path):
    for k in range(3):
        put(tmp_path / "train" / f"{k}.tif", noise(4, k))
    found, examples = stream(config(tmp_path))
    assert found.facts["channels"] == (4,) and has(examples, noise(4, 2)) and not found.notes
    with pytest.raises(jgan.UserError, match="0.tif has 4 channels and the run takes 3"):
        stream(config(tmp_path, channels=(3,)))


def pair(root, name, a, b):
    put(root / "train" / "A" / f"{name}.png", a)
    put(root / "train" / "B" / f"{name}.png", b)


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_each_side_of_pairs_has_its_channels(tmp_path, direction):
    pair(tmp_path, 0, noise(1, 0), noise(3, 1))
    pair(tmp_path, 1, np.repeat(noise(1, 2), 3, -1), noise(1, 3))
    pair(tmp_path, 2, noise(1, 4), noise(4, 5))
    found, examples = stream(config(tmp_path, kind="aligned", direction=direction))
    assert found.facts["channels"] == ((1, 3) if direction == "AtoB" else (3, 1)) and len(examples) == 3
    one = noise(1, 2), np.repeat(noise(1, 3), 3, -1)
    assert has(examples, *(one if direction == "AtoB" else one[::-1]))


def test_halves_of_a_transparent_pair_side_by_side_are_laid_on_white(tmp_path):
    both = np.concatenate([noise(4, 0), noise(4, 1)], 1)
    put(tmp_path / "train" / "0.png", both)
    put(tmp_path / "train" / "1.png", both[::-1])
    _, examples = stream(config(tmp_path, kind="aligned"))
    laid = [images.Picture(x[..., :3], x[..., 3:]).on_white() for x in (noise(4, 0), noise(4, 1))]
    assert has(examples, *laid)


@pytest.mark.parametrize("bits", [(12,), (12, 16)])
def test_values_of_fewer_bits_are_spread_where_the_config_says_so(tmp_path, bits):
    a, b = noise(1, 0, np.uint16, 4095), noise(1, 1, np.uint16, 65535 if len(bits) > 1 else 4095)
    pair(tmp_path, 0, a, b)
    _, ((found_a, found_b),) = stream(config(tmp_path, kind="aligned", bits=bits))
    np.testing.assert_array_equal(found_a, np.rint(a / 4095 * 65535))
    np.testing.assert_array_equal(found_b, b if len(bits) > 1 else np.rint(b / 4095 * 65535))
    _, ((found_b, found_a),) = stream(config(tmp_path, kind="aligned", bits=bits[::-1], direction="BtoA"))
    np.testing.assert_array_equal(found_a, np.rint(a / 4095 * 65535))
    with pytest.raises(jgan.UserError, match=r"0.png holds values up to \d+, above the 1023 of data.bits=10"):
        stream(config(tmp_path, kind="aligned", bits=(10,)))


@pytest.mark.parametrize(
    ("most_a", "most_b", "dtype", "flag", "size"),
    [
        (4095, 4095, np.uint16, "12", 8),
        (1023, 65535, np.uint16, "10,0", 8),
        (16383, 16383, np.uint16, "14", 24),  # which is resized
        (255, 255, np.uint16, "8", 8),
        (1, 255, np.uint8, "1,0", 24),
        (40_000, 20_000, np.uint16, "", 8),
        (100, 40, np.uint8, "", 8),
    ],
)
def test_values_that_leave_most_of_their_range_are_told_with_the_flag(
    tmp_path, most_a, most_b, dtype, flag, size
):
    for k in range(2):
        a, b = noise(1, k, dtype, most_a), noise(1, k + 9, dtype, most_b)
        a[0, 0], b[0, 0] = most_a, most_b
        pair(tmp_path, k, a, b)
    told = " ".join(stream(config(tmp_path, kind="aligned", size=size))[0].notes)
    assert (f"--config.data.bits={flag} spreads" in told) if flag else not told
    if flag:
        assert not stream(config(tmp_path, kind="aligned", bits=tuple(map(int, flag.split(",")))))[0].notes
        assert not stream(config(tmp_path, kind="aligned", labels="ab"))[0].notes
        turned = ",".join(reversed(flag.split(",")))
        notes = stream(config(tmp_path, kind="aligned", direction="BtoA"))[0].notes
        assert f"--config.data.bits={turned} spreads" in notes[0]


def test_files_left_out_of_a_training_are_counted(tmp_path):
    for side in "AB":
        put(tmp_path / "train" / side / "0.jpg", noise(3))
        put(tmp_path / "train" / side / "1.jfif", noise(3))
        for name in ("2.heic", "deep/3.HEIC", "notes.txt", ".hidden.gif"):
            (tmp_path / "train" / side / name).parent.mkdir(exist_ok=True)
            (tmp_path / "train" / side / name).touch()
    found, examples = stream(config(tmp_path, kind="aligned"))
    assert len(examples) == 2 and len(found.notes) == 1
    assert found.notes[0].startswith("left out: 4 .heic, 2 .txt; read are ")


def test_what_became_of_files_is_told_with_their_number(tmp_path):
    from tests.data import test_colour as colour
    from tests.data import tiffs

    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "0.png").write_bytes(colour.png(noise(3), colour.iccp(b"junk" * 50)))
    (tmp_path / "train" / "1.tif").write_bytes(tiffs.written(noise(3), 2, pages=2))
    put(tmp_path / "train" / "2.png", noise(3))
    notes = stream(config(tmp_path))[0].notes
    assert "1 of 3 pictures: with a colour profile that cannot be used, taken for sRGB" in notes
    assert "1 of 3 pictures: with several pages, of which the first is read" in notes


@pytest.mark.parametrize("kind", ["images", "aligned", "unaligned"])
def test_names_that_are_no_utf8_train(tmp_path, kind):
    root = tmp_path / os.fsdecode(b"caf\xe9")
    splits = {"images": ["train"], "unaligned": ["trainA", "trainB"], "aligned": ["train/A", "train/B"]}
    for split in splits[kind]:
        for name in (b"\xfc.png", b"\xe8.png"):
            put(root / split / os.fsdecode(name), noise(3))
    found, examples = stream(config(root, kind=kind))
    assert len(examples) == 2 and os.fsdecode(b"\xfc") in found.names
    next(root.rglob("*.png")).write_bytes(b"none")
    with pytest.raises(jgan.UserError, match="cannot be decoded"):
        stream(config(root, kind=kind))


@pytest.mark.parametrize("bits", [(17,), (-1,), (1, 2, 3), ("12",)])
def test_bits_that_are_none_are_refused(tmp_path, bits):
    put(tmp_path / "train" / "0.png", noise(3))
    with pytest.raises(jgan.UserError, match="data.bits is .*such as 12 or 12,8, would work"):
        stream(config(tmp_path, bits=bits))
