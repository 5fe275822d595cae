"""Every layout gives the same pairs; what cannot be used is told in one sentence."""

import numpy as np
import pytest

import jgan
from jgan.data import images
from jgan.data.sources import folder
from jgan.data.sources import layouts


def picture(seed, width=8):
    return np.random.default_rng(seed).integers(0, 256, (6, width, 3)).astype(np.uint8)


def put(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write(path, array)


LAYOUTS = {
    "side by side": lambda root, split, name: [root / split / f"{name}.png"],
    "split/A": lambda root, split, name: [root / split / s / f"{name}.png" for s in "AB"],
    "A/split": lambda root, split, name: [root / s / split / f"{name}.png" for s in "AB"],
    "splitA": lambda root, split, name: [root / f"{split}{s}" / f"{name}.png" for s in "AB"],
    "suffixes differ": lambda root, split, name: [
        root / split / "A" / f"{name}.png",
        root / split / "B" / f"{name}.tif",
    ],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_give_the_same_pairs(tmp_path, layout):
    names = ["1", "10", "deep/2"]
    for split in ("train", "val"):
        for seed, name in enumerate(names):
            files = LAYOUTS[layout](tmp_path, split, name)
            if len(files) == 1:
                put(files[0], picture(seed))
            else:
                put(files[0], picture(seed)[:, :4])
                put(files[1], picture(seed)[:, 4:])
    entries, bad = layouts.find(str(tmp_path), "train", splits=("train", "val"))
    assert [entry.name for entry in entries] == names and not bad
    for seed, entry in enumerate(entries):
        a, b = (found.pixels for found in folder.read(entry))
        np.testing.assert_array_equal(a, picture(seed)[:, :4])
        np.testing.assert_array_equal(b, picture(seed)[:, 4:])


@pytest.mark.parametrize("single", [False, True])
def test_a_folder_without_splits_is_divided(tmp_path, single):
    for seed in range(23):
        put(tmp_path / f"{seed:02d}.png", picture(seed))
    parts = [
        layouts.find(str(tmp_path), split, single=single, splits=("train", "val"))[0]
        for split in ("train", "val")
    ]
    assert [entry.name for entry in parts[1]] == ["09", "19", "22"]
    assert len(parts[0]) == 20 and not set(parts[0]) & set(parts[1])
    assert len(layouts.find(str(tmp_path), "", single=single)[0]) == 23


def test_a_single_photo_serves_both_splits(tmp_path):
    put(tmp_path / "only.png", picture(0))
    for split in ("train", "val"):
        entries, _ = layouts.find(str(tmp_path), split, single=True, splits=("train", "val"))
        assert [entry.name for entry in entries] == ["only"]


def test_a_without_its_b_is_reported(tmp_path):
    for name in ("A/1", "A/2", "B/2", "B/3"):
        put(tmp_path / "train" / f"{name}.png", picture(0))
    entries, bad = layouts.find(str(tmp_path), "train")
    assert [entry.name for entry in entries] == ["2"]
    assert [path.rsplit("/", 2)[1:] for path, _ in bad] == [["A", "1.png"], ["B", "3.png"]]


def refused(match, call, *arguments, **named):
    with pytest.raises(jgan.UserError, match=match) as raised:
        call(*arguments, **named)
    assert "\n" not in str(raised.value)


def test_missing_and_empty_folders_are_refused(tmp_path):
    refused("set data.root", layouts.find, "", "train")
    refused("there is no folder", layouts.find, str(tmp_path / "absent"), "train")
    refused("it is empty", layouts.find, str(tmp_path), "train", splits=("train", "val"))
    put(tmp_path / "test" / "1.png", picture(0))
    refused("its folders are test", layouts.find, str(tmp_path), "train", splits=("train", "val"))
    (tmp_path / "train").mkdir()
    refused("train holds no images", layouts.find, str(tmp_path), "train")
    (tmp_path / "val" / "A").mkdir(parents=True)
    refused("but no .*B: pairs need both", layouts.find, str(tmp_path), "val")
    (tmp_path / "val" / "B").mkdir(parents=True)
    refused("holds no images", layouts.find, str(tmp_path), "val")
    (tmp_path / "file").touch()
    refused("there is no folder", layouts.find, str(tmp_path / "file"), "train")


def test_one_name_twice_is_refused(tmp_path):
    for name in ("A/1.png", "A/1.tif", "B/1.png"):
        put(tmp_path / "train" / name, picture(0))
    refused("same name", layouts.find, str(tmp_path), "train")


def test_halves_of_different_size_and_odd_widths_are_refused(tmp_path):
    put(tmp_path / "train/A/1.png", picture(0, width=8))
    put(tmp_path / "train/B/1.png", picture(0, width=10))
    (entry,), _ = layouts.find(str(tmp_path), "train")
    refused("8x6 and .* is 10x6", folder.read, entry)
    put(tmp_path / "val/1.png", picture(0, width=9))
    (entry,), _ = layouts.find(str(tmp_path), "val")
    refused("9 pixels wide", folder.read, entry)


@pytest.mark.parametrize("layout", list(LAYOUTS)[1:4])
def test_layouts_give_the_same_domains(tmp_path, layout):
    for side, name in ((0, "x"), (0, "deep/y"), (1, "z")):
        put(LAYOUTS[layout](tmp_path, "train", name)[side], picture(side))
    a, b = layouts.find_domains(str(tmp_path), "train", splits=("train", "test"))
    assert [entry.name for entry in a] == ["deep/y", "x"] and [entry.name for entry in b] == ["z"]
    np.testing.assert_array_equal(*(folder.read(entry, single=True)[0].pixels for entry in a))
    np.testing.assert_array_equal(folder.read(b[0], single=True)[0].pixels, picture(1))


def test_pairs_side_by_side_give_halves_of_different_pictures(tmp_path):
    for seed in range(5):
        put(tmp_path / "train" / f"{seed}.png", picture(seed))
    (pairs,) = layouts.find_domains(str(tmp_path), "train")
    a, b = layouts.alternate(pairs)
    assert [entry.name for entry in a] == ["0", "2", "4"] and [entry.name for entry in b] == ["1", "3"]
    np.testing.assert_array_equal(folder.read(a[1], single=True)[0].pixels, picture(2)[:, :4])
    np.testing.assert_array_equal(folder.read(b[0], single=True)[0].pixels, picture(1)[:, 4:])
    put(tmp_path / "train" / "0.png", picture(0)[:, :-1])
    refused("7 pixels wide", folder.read, a[0], single=True)


@pytest.mark.parametrize("paired", [False, True])
def test_domains_without_splits_are_divided(tmp_path, paired):
    for seed in range(12):
        for side in [""] if paired else ["A", "B"]:
            put(tmp_path / side / f"{seed:02d}.png", picture(seed))
    parts = [
        layouts.find_domains(str(tmp_path), split, splits=("train", "val")) for split in ("train", "val")
    ]
    for train, val in zip(*parts, strict=True):
        assert [entry.name for entry in val] == ["09", "11"] and len(train) == 10
        assert not set(train) & set(val)
