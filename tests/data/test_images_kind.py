"""Single images: what a batch and an example are, who is held out, and that nothing is squashed."""

import pickle

import numpy as np
import pytest

import jgan
from jgan.data import pipeline
from jgan.data import prepare
from jgan.data import transforms
from jgan.data.sources import entry as entry_lib
from jgan.data.sources import layouts
from tests.data import streams
from tests.data.streams import batches
from tests.data.streams import equal
from tests.data.streams import put
from tests.data.streams import refused
from tests.data.streams import slope


def config(root, **changes):
    return streams.config(root, "images", **({"part": "", "held_out": 0.05} | changes))


@pytest.fixture
def root(tmp_path):
    for split, count in (("train", 7), ("val", 3)):
        for i in range(count):
            put(tmp_path / split / "deep" / f"{i}.png", slope(i + 100 * (split == "val")))
    return tmp_path


def levels(found):
    return [int(image[0, 0, -1]) for batch in found for image in batch["images"]]


@pytest.mark.parametrize("jitter", ["resize", "crop", "none"])
def test_batches_go_on_where_a_run_stopped(root, jitter):
    data = config(root, jitter=jitter)
    stream = pipeline.train(data, batch_size=2, seed=4)
    stream.close()
    assert stream.facts["channels"] == (3,) and stream.dtypes == {"images": np.uint8} and stream.examples == 7
    assert sorted(stream.names) == [f"deep/{i}" for i in range(7)]
    whole = batches(data, 12)
    assert all(set(batch) == {"images"} and batch["images"].shape == (2, 8, 8, 3) for batch in whole)
    assert equal(batches(data, 7, start=5), whole[5:])
    assert not equal(whole[:6], whole[6:])


def test_every_epoch_has_every_image_once_in_another_order(root):
    found = levels(batches(config(root), 21, batch_size=1))
    epochs = [found[:7], found[7:14], found[14:]]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


@pytest.mark.parametrize("source", ["folder", "objects"])
def test_processes_and_the_cache_change_nothing(root, source):
    data = config(root, source=source, size=16, load_size=18)
    whole = batches(data, 6, batch_size=4)
    parts = [batches(data, 6, batch_size=4, processes=(index, 2)) for index in range(2)]
    for batch, first, second in zip(whole, *parts, strict=True):
        np.testing.assert_array_equal(batch["images"][:2], first["images"])
        np.testing.assert_array_equal(batch["images"][2:], second["images"])
    for _ in ("made", "from disk"):
        assert equal(
            batches(config(root, source=source, size=16, load_size=18, cache_gib=0.0), 6, 0, 4), whole
        )


@pytest.mark.slow
@pytest.mark.parametrize("source", ["folder", "facades", "objects"])
def test_workers_change_nothing(root, source):
    none, two = (config(root, source=source, size=16, load_size=18, workers=n) for n in (0, 2))
    assert equal(batches(none, 9, start=2), batches(two, 9, start=2))


def test_no_image_is_squashed(tmp_path):
    # 6 levels a pixel in both directions, and as many after any scaling: on 12 x 20 pixels scaled to a
    # short side of 24 that is 3 a pixel; squashed to a square it would be 3 down and 5 across.
    for i in range(4):
        put(tmp_path / "train" / f"{i}.png", slope(i, *((12, 20), (20, 12))[i % 2]))
    for jitter, per_pixel in (("resize", 3), ("crop", 6), ("none", 6)):
        size = 12 if jitter == "none" else 8
        data = config(tmp_path, jitter=jitter, size=size, load_size=24, flip=False)
        for batch in batches(data, 8):
            inner = batch["images"][:, 2:-2, 2:-2].astype(float)
            down, across = np.diff(inner[..., 0], axis=1), np.diff(inner[..., 1], axis=2)
            if jitter != "none":  # whose squares reach the border of the picture
                assert abs(down.mean() - per_pixel) < 0.5 and abs(across.mean() - per_pixel) < 0.5
            else:
                assert down.mean() == across.mean() == per_pixel


def test_crops_of_a_panorama_reach_both_ends(tmp_path):
    put(tmp_path / "train" / "0.png", slope(0, 8, 40))
    left = [int(b["images"][0, 4, 4, 1]) for b in batches(config(tmp_path, flip=False), 200, batch_size=1)]
    assert min(left) < 6 * 5 and max(left) > 6 * 33 and len(set(left)) > 20
    mirrored = batches(config(tmp_path), 60, batch_size=1)
    rising = [bool(b["images"][0, 4, 6, 1] > b["images"][0, 4, 1, 1]) for b in mirrored]
    assert 15 < sum(rising) < 45


def test_a_fit_keeps_the_aspect():
    fit = transforms.Fit
    picture = slope(0, 12, 20)
    assert transforms.fit(picture, fit()) is picture
    assert transforms.fit(picture, fit(short=6)).shape == (6, 10, 3)
    assert transforms.fit(picture.transpose(1, 0, 2), fit(short=24)).shape == (40, 24, 3)
    assert transforms.fit(slope(0, 7, 7), fit(short=5)).shape == (5, 5, 3)
    np.testing.assert_array_equal(transforms.fit(picture, fit(square=8)), picture[2:10, 6:14])
    np.testing.assert_array_equal(transforms.fit(picture, fit(12, 12)), picture[:, 4:16])
    assert transforms.fit(slope(0, 3, 20), fit(square=8)).shape == (3, 8, 3)


def test_evaluation_is_the_middle_without_chance(root):
    picture = slope(101)
    for jitter in ("resize", "none"):
        found = pipeline.evaluation(config(root, jitter=jitter), "val")
        assert len(found) == 3 and not found.paired and found.facts["channels"] == (3,)
        assert [example["name"] for example in found] == ["deep/0", "deep/1", "deep/2"]
        assert set(found[1]) == {"images", "name"}
        expected = transforms.resize(picture, (8, 13))[:, 2:10]
        np.testing.assert_array_equal(found[1]["images"], expected)
    native = pipeline.evaluation(config(root, jitter="crop"), "val")
    np.testing.assert_array_equal(native[1]["images"], picture[2:10, 6:14])
    other = pipeline.evaluation(config(root, jitter="crop"), "val", 12)
    np.testing.assert_array_equal(other[1]["images"], picture[:, 4:16])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(other))[1]["images"], other[1]["images"])
    with pytest.raises(IndexError):
        native[3]


@pytest.mark.parametrize("source", ["objects", "facades"])
def test_drawn_splits_are_apart_and_follow_the_seed(tmp_path, source):
    data = config(tmp_path, source=source, size=16, load_size=18, number=9, val_number=6)
    stream = pipeline.train(data, batch_size=2, seed=0)
    batch = next(stream.batches())
    stream.close()
    assert (
        stream.examples == 9 and stream.facts["channels"] == (3,) and batch["images"].shape == (2, 16, 16, 3)
    )
    seen = []
    for seed in (0, 1):
        data.seed = seed
        seen += [pipeline.evaluation(data, split) for split in ("train", "val")]
    assert [len(found) for found in seen] == [9, 6, 9, 6]
    assert len({example["images"].tobytes() for found in seen for example in found}) == 30
    assert pipeline.evaluation(data, "val", 24)[0]["images"].shape == (24, 24, 3)
    with pytest.raises(jgan.UserError, match="no split 'test': there are train, val"):
        pipeline.evaluation(data, "test")


def plain(root, count, **changes):
    for i in range(count):
        put(root / ("cats" if i % 2 else ".") / f"{i:03d}.png", slope(i))
    return config(root, **changes)


@pytest.mark.parametrize(
    ("count", "share", "kept"), [(60, 0.05, 3), (3, 0.05, 1), (40, 0.25, 10), (2, 0.99, 1)]
)
def test_a_plain_folder_holds_some_images_out(tmp_path, count, share, kept):
    data = plain(tmp_path, count, held_out=share)
    stream = pipeline.train(data, batch_size=1, seed=0)
    stream.close()
    held_out = pipeline.evaluation(data, "val")
    assert len(held_out) == kept and stream.examples == count - kept
    assert sorted(stream.names + held_out.names) == sorted(
        f"cats/{i:03d}" if i % 2 else f"{i:03d}" for i in range(count)
    )
    assert pipeline.evaluation(data, "val").names == held_out.names


def test_which_images_are_held_out_follows_from_their_names():
    few, many = ([entry_lib.Entry(f"{i:04d}", (f"{i}.png",)) for i in range(n)] for n in (1000, 1100))
    kept = [{e.name for e in layouts.hold_out(entries, True, 0.05)} for entries in (few, many)]
    assert len(kept[0]) == 50 and len(kept[1]) == 55
    # A tenth more images move few others from one side to the other.
    moved = {name for name in kept[0] ^ kept[1] if name < "1000"}
    assert len(moved) < 10
    places = sorted(int(name) for name in kept[0])
    assert np.diff(places).max() < 150  # from everywhere, not the tail of the names
    assert len(layouts.hold_out([entry_lib.Entry("x", ("x.png",))], True, 0.05)) == 1
    assert len(layouts.hold_out([entry_lib.Entry("x", ("x.png",))], False, 0.05)) == 1
    lots = [entry_lib.Entry(str(i), ("x",)) for i in range(210_000)]
    assert len(layouts.hold_out(lots, True, 0.05)) == 10_000


def test_the_empty_split_is_everything(tmp_path):
    data = plain(tmp_path, 6, split="", val_split="")
    stream = pipeline.train(data, batch_size=1, seed=0)
    stream.close()
    assert stream.examples == len(pipeline.evaluation(data, "")) == 6


@pytest.mark.parametrize("layout", ["halves", "folders", "plain halves"])
def test_a_part_of_pairs(tmp_path, layout):
    for split, count in (("train", 6), ("val", 4)):
        for i in range(count):
            level = 2 * i + 50 * (split == "val")
            a, b = slope(level, 12, 12), slope(level + 1, 12, 12)
            where = tmp_path if layout == "plain halves" else tmp_path / split
            if layout == "folders":
                put(where.with_name(f"{split}A") / f"{i}.png", a)
                put(where.with_name(f"{split}B") / f"{i}.png", b)
            else:
                put(where / f"{split}{i}.png", np.concatenate([a, b], axis=1))
    for offset, part in enumerate("AB"):
        data = config(tmp_path, part=part, jitter="crop")
        found = levels(batches(data, 10, batch_size=4))
        held_out = {int(example["images"][0, 0, -1]) for example in pipeline.evaluation(data, "val")}
        every = {2 * i + offset for i in range(6)} | {50 + 2 * i + offset for i in range(4)}
        assert set(found) | held_out == every and not set(found) & held_out
        assert len(held_out) == (1 if layout == "plain halves" else 4)
    if layout == "halves":
        whole = pipeline.evaluation(config(tmp_path), "val", 12)[0]["images"]
        assert set(whole[0, :, -1].tolist()) == {50, 51}  # without a part, the middle of both


def test_named_sets(tmp_path):
    photos, sets = tmp_path / "photos", tmp_path / "sets"
    for name, count in (("trainA", 20), ("trainB", 2), ("testA", 2)):
        for i in range(count):
            put(photos / name / f"{i}.png", slope(i + 100 * (name == "testA") + 200 * (name == "trainB")))
    prepare.from_folder("mine", str(photos), str(sets))
    data = config(sets, source="tfds:mine", split="trainA", val_split="testA")
    assert set(levels(batches(data, 40))) == set(range(20))
    assert {int(e["images"][0, 0, -1]) for e in pipeline.evaluation(data, "testA")} == {100, 101}
    data = config(sets, source="tfds:mine", split="train", val_split="test", part="A")
    assert set(levels(batches(data, 40))) == set(range(20))
    # Without a validation split, a share of the training split.
    data = config(sets, source="tfds:mine", split="trainA", val_split="val", held_out=0.2)
    held_out = {int(e["images"][0, 0, -1]) for e in pipeline.evaluation(data, "val")}
    assert len(held_out) == 4 and set(levels(batches(data, 40))) == set(range(20)) - held_out
    with pytest.raises(jgan.UserError, match="no split 'other': its splits are"):
        pipeline.evaluation(data, "other")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"source": "web"}, "'web': one of folder, facades, objects, tfds:NAME would work"),
        (
            {"kind": "aligned", "source": "objects", "pair": "", "direction": "AtoB"},
            "folder, facades, tfds:NAME",
        ),
        ({"part": "C"}, "data.part is 'C': one of '', A, B would work"),
        ({"part": "A", "source": "objects"}, "data.part is 'A': one of '' would work"),
        ({"held_out": 0.0}, r"data.held_out is 0\.0: a share"),
        ({"held_out": 1.0}, r"data.held_out is 1\.0: a share"),
        ({"split": "trian"}, "has no split 'trian' .*its folders are train, val"),
        ({"load_size": 7}, "load_size is 7"),
        ({"workers": 8}, "only 7 examples"),
        ({"jitter": "crop", "size": 16}, "7 of 7 .*is 20x12, smaller than the crop of 16"),
    ],
)
def test_impossible_settings_are_refused(root, changes, match):
    refused(config(root, **changes), match)


def test_a_folder_that_is_no_plain_folder_is_not_mixed(tmp_path):
    put(tmp_path / "Training" / "0.png", slope(0))
    refused(config(tmp_path), "has no split 'train' or 'val', but Training: naming two")
    (tmp_path / "Training").rename(tmp_path / "trainA")
    refused(config(tmp_path), "has trainA: data.part=A or B")


def test_empty_folders_are_told(tmp_path):
    (tmp_path / "photos").mkdir()
    refused(config(tmp_path / "photos"), "photos has no split 'train' .*it is empty")
    refused(config(tmp_path / "nothing"), "there is no folder .*nothing")
    data = config(tmp_path)
    data.root = ""
    refused(data, "no folder was given")
    (tmp_path / "photos" / "train").mkdir()
    refused(config(tmp_path / "photos"), "photos/train holds no images")
    refused(config(tmp_path / "photos", part="A"), "photos/train holds no images")
    put(tmp_path / "photos" / "train" / "0.png", slope(0))
    assert pipeline.train(config(tmp_path / "photos"), batch_size=1, seed=0).examples == 1
    with pytest.raises(jgan.UserError, match="no split 'val' .*its folders are train"):
        pipeline.evaluation(config(tmp_path / "photos"), "val")


@pytest.mark.parametrize("kind", ["truncated", "bands", "text"])
def test_bad_files_are_named_or_left_out(root, kind):
    file = root / "train" / "deep" / "3.png"
    if kind == "bands":
        file.unlink()
        file = file.with_suffix(".tif")
        put(file, np.zeros((12, 20, 6), np.uint8))
    else:
        file.write_bytes(file.read_bytes()[:60] if kind == "truncated" else b"no image")
    refused(config(root), r"1 of 7 .*skip_bad.*/3\.(png|tif has 6 channels where most have 3)")
    stream = pipeline.train(config(root, skip_bad=True), batch_size=1, seed=0)
    stream.close()
    assert stream.examples == 6 and "deep/3" not in stream.names
    assert [path for path, _ in stream.bad] == [str(file)]
    for path in (root / "train" / "deep").iterdir():
        path.write_bytes(b"")
    refused(config(root, skip_bad=True), "7 of 7 .*nothing is left")


def test_other_types_and_channels(root):
    for i in range(7):
        put(root / "train" / "deep" / f"{i}.png", slope(i, channels=1, dtype=np.uint16))
    stream = pipeline.train(config(root), batch_size=3, seed=0)
    batch = next(stream.batches())["images"]
    stream.close()
    assert stream.facts["channels"] == (1,) and stream.dtypes == {"images": np.uint16}
    assert batch.shape == (3, 8, 8, 1) and batch.dtype == np.uint16
