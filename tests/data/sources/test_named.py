"""Sets of TensorFlow Datasets read back as the files they were made of, and TensorFlow is never loaded."""

import itertools
import json
import pickle
import shutil
import subprocess
import sys

import ml_collections
import numpy as np
import pytest

import jgan
from jgan.data import images
from jgan.data import pipeline
from jgan.data import prepare
from jgan.data.sources import named

COUNTS = {"trainA": 4, "trainB": 3, "testA": 1, "testB": 2}


def picture(split, index):
    rng = np.random.default_rng([index, *map(ord, split)])
    return rng.integers(0, 256, (9, 7 + index, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    top = tmp_path_factory.mktemp("photos")
    for split, count in COUNTS.items():
        (top / split).mkdir()
        for i in range(count):
            images.write(top / split / f"{i}.png", picture(split, i))
    return top


@pytest.fixture(scope="module")
def root(source, tmp_path_factory):
    where = tmp_path_factory.mktemp("sets")
    prepare.from_folder("mine", str(source), str(where))
    return where


def config(root, **changes):
    data = ml_collections.ConfigDict()
    data.kind, data.source, data.root = "unaligned", "tfds:mine", str(root)
    data.split, data.val_split = "train", "test"
    data.size, data.load_size, data.jitter, data.flip = 6, 7, "crop", True
    data.cache_gib, data.cache_dir, data.workers, data.skip_bad = 1.0, "", 0, False
    data.update(changes)
    return data


def contents(pictures):
    return sorted((image.shape, image.dtype.str, image.tobytes()) for image in pictures)


def test_every_split_reads_back_bit_equal(root):
    for split, count in COUNTS.items():
        found = named.Images(str(root), "tfds:mine:1.0.0", split)
        assert len(found) == count
        assert contents(found) == contents(picture(split, i) for i in range(count))
        assert contents(pickle.loads(pickle.dumps(found))) == contents(found)


def test_the_pipeline_reads_it_without_tensorflow(root, tmp_path):
    program = f"""
import itertools, json, sys
import ml_collections
from jgan.data import pipeline
data = ml_collections.ConfigDict(json.loads({config(root).to_json()!r}))
stream = pipeline.train(data, batch_size=2, seed=0)
assert stream.examples == 4 and stream.facts["channels"] == (3, 3)
for batch in itertools.islice(stream.batches(), 5):
    assert batch["a"].shape == batch["b"].shape == (2, 6, 6, 3)
stream.close()
found = pipeline.evaluation(data, "train")
assert len(found) == 4 and not found.paired
print(json.dumps([[example[side].tolist() for example in found if side in example] for side in "ab"]))
assert "tensorflow" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    for side, read in zip("AB", json.loads(done.stdout), strict=True):
        split = f"train{side}"
        expected = contents(picture(split, i) for i in range(COUNTS[split]))
        assert contents(np.array(image, np.uint8) for image in read) == expected


def test_what_a_step_sees_depends_on_the_step_alone(root, tmp_path):
    def batches(start, count, **changes):
        stream = pipeline.train(config(root, **changes), batch_size=2, seed=0)
        found = list(itertools.islice(stream.batches(start), count))
        stream.close()
        return [batch[side].tobytes() for batch in found for side in "ab"]

    whole = batches(0, 8)
    assert batches(5, 3) == whole[10:]
    disk = {"cache_gib": 0.0, "cache_dir": str(tmp_path)}
    assert batches(0, 8, **disk) == batches(0, 8, **disk) == whole


def test_pairs_are_made_from_single_images(root):
    data = config(root, kind="aligned", split="trainA", val_split="testA", pair="gray", direction="AtoB")
    stream = pipeline.train(data, batch_size=2, seed=0)
    batch = next(stream.batches())
    stream.close()
    assert batch["a"].shape == (2, 6, 6, 1) and batch["b"].shape == (2, 6, 6, 3)
    data.pair = ""
    refused(data, "holds single images: data.kind=unaligned or")


def refused(data, match):
    with pytest.raises(jgan.UserError, match=match) as raised:
        pipeline.train(data, batch_size=1, seed=0)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("min", "there is no data set min, .*perhaps mine was meant"),
        ("cycle_gam/maps", "there is no data set cycle_gam, .*cycle_gan"),
        ("cycle_gan", "several configurations: .*horse2zebra"),
        ("cycle_gan/horse3zebra", "no configuration 'horse3zebra': .*horse2zebra"),
        ("mnist/large", "mnist has no configurations"),
        ("mine/large", "has mine, but not mine/large"),
        (
            "cycle_gan/horse2zebra",
            r"is not prepared in .*: python -m launch.prepare_data "
            r"--name=cycle_gan/horse2zebra --data_dir=\S+ does that",
        ),
        ("mine:2.0.0", r"mine:2\.0\.0 is not prepared in .* in this version: there is 1\.0\.0"),
        ("mine:2", "is no name of a data set"),
        ("/mine", "is no name of a data set"),
    ],
)
def test_names_that_cannot_be_read_are_refused(root, name, match):
    refused(config(root, source=f"tfds:{name}"), match)


def test_splits_and_features_that_are_not_there_are_listed(root):
    refused(config(root, split="val"), "no split 'valA': its splits are testA, testB, trainA, trainB")
    with pytest.raises(jgan.UserError, match="no images 'photo': it has image"):
        named.Images(str(root), "tfds:mine", "trainA", feature="photo")


def test_another_format_and_damage_are_told(root, tmp_path):
    where = tmp_path / "mine" / "1.0.0"
    shutil.copytree(root / "mine" / "1.0.0", where)
    told = json.loads((where / "dataset_info.json").read_text())
    assert told["fileFormat"] == "array_record"
    (where / "dataset_info.json").write_text(json.dumps(told | {"fileFormat": "tfrecord"}))
    refused(config(tmp_path), "prepared as tfrecord, not as array_record: remove it, and python -m")
    (where / "dataset_info.json").write_text(json.dumps(told))
    shard = next(where.glob("*-trainB.*"))
    shard.write_bytes(shard.read_bytes()[:100])
    refused(config(tmp_path, skip_bad=True), r"3 of 3 .*nothing is left: .*-trainB\.\S+ record 0 ")
    shard.unlink()
    refused(config(tmp_path), r"3 of 7 .*-trainB\.|-trainB\.")
    (where / "dataset_info.json").write_text("{")
    refused(config(tmp_path), "1.0.0 is not a whole data set: ")


def test_the_newest_version_is_read_unless_one_is_named(root, tmp_path):
    for version in ("1.0.0", "1.10.0", "1.9.0"):
        shutil.copytree(root / "mine" / "1.0.0", tmp_path / "mine" / version)
    (tmp_path / "mine" / "1.11.0.incomplete").mkdir()
    assert [path.name for path in named.prepared(str(tmp_path), "mine")] == ["1.0.0", "1.9.0", "1.10.0"]
    assert [path.name for path in named.prepared(str(tmp_path), "tfds:mine:1.9.0")] == ["1.9.0"]


def test_bad_images_are_named_or_left_out(source, tmp_path):
    shutil.copytree(source, tmp_path / "photos")
    images.write(tmp_path / "photos" / "trainB" / "tiny.png", picture("trainB", 0)[:5, :5])
    prepare.from_folder("mine", str(tmp_path / "photos"), str(tmp_path / "sets"))
    refused(config(tmp_path / "sets"), r"1 of 8 .*-trainB\.\S+ record \d is 5x5, smaller than the crop of 6")
    stream = pipeline.train(config(tmp_path / "sets", skip_bad=True), batch_size=1, seed=0)
    assert len(list(itertools.islice(stream.batches(), 20))) == 20 and len(stream.bad) == 1
    stream.close()


def test_grey_images_among_colour_are_colour_and_alone_are_grey(tmp_path):
    deep = np.random.default_rng(0).integers(0, 65536, (8, 8, 1)).astype(np.uint16)
    for name, array in (
        ("mixed/grey", picture("trainA", 1)[..., :1]),
        ("mixed/rgb", picture("trainA", 1)),
        ("grey/deep", deep),
    ):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        images.write(tmp_path / "photos" / f"{name}.png", array)
    for splits in (("mixed", "grey"), ("grey",), ("mixed",)):
        folder = tmp_path / "-".join(splits)
        for split in splits:
            shutil.copytree(tmp_path / "photos" / split, folder / split)
        prepare.from_folder("_".join(("set", *splits)), str(folder), str(tmp_path))
    (alone,) = named.Images(str(tmp_path), "tfds:set_grey", "grey")
    np.testing.assert_array_equal(alone, deep)
    (beside,) = named.Images(str(tmp_path), "tfds:set_mixed_grey", "grey")
    np.testing.assert_array_equal(beside, deep)
    first, second = sorted(
        named.Images(str(tmp_path), "tfds:set_mixed", "mixed"), key=lambda x: x.std(-1).max()
    )
    np.testing.assert_array_equal(first, np.repeat(picture("trainA", 1)[..., :1], 3, axis=-1))
    np.testing.assert_array_equal(second, picture("trainA", 1))
