"""Labels of files: whose label a picture gets, which split it is in, and what is said of what does not fit."""

import os

import ml_collections
import numpy as np
import pytest

import jgan
from jgan.data import images
from jgan.data.sources import labels
from jgan.data.sources.entry import Absent


def config(root, **changes):
    data = ml_collections.ConfigDict()
    data.root, data.split, data.val_split, data.held_out = str(root), "train", "val", 0.05
    data.label, data.names, data.exclusive, data.attributes = "class", (), (), ""
    data.update(changes)
    return data


def attributes(root, **changes):
    return config(root, label="attributes", **changes)


def put(root, *places):
    for place in places:
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        images.write(path, np.zeros((2, 2, 3), np.uint8))


def told(found):
    return {entry.name: entry.label for entry in found.entries}


def test_folders_of_a_split_are_classes_in_the_order_of_their_names(tmp_path):
    put(
        tmp_path,
        "train/dog/1.png",
        "train/cat/deep/1.png",
        "train/cat/2.jpg",
        "train/.x/1.png",
        "val/dog/9.png",
    )
    found = labels.find(config(tmp_path), "train")
    assert found.names == ("cat", "dog") and found.bad == []
    assert told(found) == {"cat/2": 0, "cat/deep/1": 0, "dog/1": 1}
    # The training split numbers them, whatever another split holds.
    found = labels.find(config(tmp_path), "val")
    assert found.names == ("cat", "dog") and told(found) == {"dog/9": 1}


def test_names_choose_classes_and_number_them(tmp_path):
    put(tmp_path, *(f"train/{name}/1.png" for name in ("a", "b", "c")))
    found = labels.find(config(tmp_path, names=("c", "a")), "train")
    assert found.names == ("c", "a") and told(found) == {"c/1": 0, "a/1": 1}


def test_names_that_look_like_numbers_are_names(tmp_path):
    put(tmp_path, *(f"train/{name}/1.png" for name in ("0", "1", "2")))
    found = labels.find(config(tmp_path, names=(1, 0)), "train")
    assert found.names == ("1", "0") and told(found) == {"1/1": 0, "0/1": 1}


def test_folders_of_other_classes_are_told_also_those_of_the_validation(tmp_path):
    put(tmp_path, *(f"train/{name}/1.png" for name in ("a", "b", "c")), "val/a/1.png", "val/z/1.png")
    found = labels.find(config(tmp_path, names=("b", "a")), "train")
    assert found.notes == ("left out: 2 folders that are none of the classes: train/c, val/z",)
    assert labels.find(config(tmp_path), "train").notes == (
        "left out: a folder that is none of the classes: val/z",
    )
    assert labels.find(config(tmp_path), "val").notes == ()


def test_a_class_whose_name_is_no_utf8_is_refused_unless_it_is_not_used(tmp_path):
    put(tmp_path, *(f"train/{name}/1.png" for name in ("a", "b", os.fsdecode(b"c\xff"))))
    with pytest.raises(jgan.UserError, match=r"train has a class 'c\\\\udcff', whose name is no UTF-8"):
        labels.find(config(tmp_path), "train")
    assert len(labels.find(config(tmp_path, names=("a", "b")), "train").entries) == 2


def test_without_splits_a_share_of_each_class_is_held_out(tmp_path):
    put(tmp_path, *(f"{name}/{i}.png" for name in ("a", "b") for i in range(20)), "c/1.png")
    data = config(tmp_path, held_out=0.1)
    train, val = (told(labels.find(data, split)) for split in ("train", "val"))
    assert len(train) == 37 and [*val.values()] == [0, 0, 1, 1, 2]
    assert set(train) & set(val) == {"c/1"}  # one picture has to serve both
    assert len(told(labels.find(config(tmp_path, split="", val_split=""), ""))) == 41
    with pytest.raises(Absent, match="has no split 'test'"):
        labels.find(data, "test")


def test_for_evaluation_a_class_may_have_no_pictures(tmp_path):
    put(tmp_path, "val/a/1.png")
    data = config(tmp_path, names=("b", "a"))
    assert told(labels.find(data, "val", whole=True)) == {"a/1": 1}
    with pytest.raises(jgan.UserError, match="has no class 'b' of data.names: it has a"):
        labels.find(data, "val")


@pytest.mark.parametrize(
    ("places", "changes", "match"),
    [
        (["train/a/1.png"], {}, "train has only one class, 'a': data.label=class needs two or more"),
        (["train/a/1.png", "train/b/1.png"], {"names": ("a",)}, "only one class"),
        (["train/a/1.png", "train/b/1.png"], {"names": ("a", "c")}, "train has no class 'c' .*: it has a, b"),
        (["train/a/1.png", "train/b/1.png"], {"names": ("a", "a")}, "data.names has 'a' twice"),
        (["train/a/1.png", "train/b/1.png"], {"exclusive": ("a",)}, "a picture has one class anyway"),
        (["train/1.png"], {}, "train has no classes"),
        (["train/a/1.png", "train/b/c.txt"], {}, r"class 'b' is empty: .*/b holds no images .*1 \.txt"),
        (["Training/a/1.png"], {}, "no split 'train' or 'val', but Training"),
        (["other/a/1.png"], {"split": "x"}, "only one class, 'other'"),
    ],
)
def test_mistakes_with_classes_are_told(tmp_path, places, changes, match):
    put(tmp_path, *(place for place in places if place.endswith(".png")))
    for place in places:
        if place.endswith(".txt"):
            (tmp_path / place).parent.mkdir(parents=True)
            (tmp_path / place).touch()
    data = config(tmp_path, **changes)
    with pytest.raises(jgan.UserError, match=match) as raised:
        labels.find(data, data.split)
    assert "\n" not in str(raised.value)


def test_pictures_beside_the_folders_of_classes_are_bad(tmp_path):
    put(tmp_path, "train/a/1.png", "train/b/1.png", "train/lone.png")
    assert labels.find(config(tmp_path), "train").bad == [
        (str(tmp_path / "train/lone.png"), "lies in no folder of a class")
    ]


ROWS = {"1.jpg": (0, 1), "2.jpg": (1, 0), "3.jpg": (1, 1), "4.jpg": (0, 0)}


def listing(path, rows=ROWS, names="x,y"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"file,{names}\n" + "".join(f"{k},{a},{b}\n" for k, (a, b) in rows.items()))


@pytest.mark.parametrize("folder", ["", "img_align_celeba/", "deep/down/"])
def test_pictures_lie_anywhere_below_root(tmp_path, folder):
    put(tmp_path, *(folder + name for name in ROWS))
    listing(tmp_path / "attributes.csv")
    data = attributes(tmp_path, held_out=0.25, names=("y", "x"))
    both = [labels.find(data, split) for split in ("train", "val")]
    assert [len(found.entries) for found in both] == [3, 1]
    assert told(both[0]) | told(both[1]) == {folder + k[0]: (y, x) for k, (x, y) in ROWS.items()}
    assert all(found.lists == (str(tmp_path / "attributes.csv"),) and not found.bad for found in both)


def test_splits_are_folders_and_one_list_serves_all(tmp_path):
    put(tmp_path, "train/1.jpg", "train/sub/2.jpg", "val/3.jpg", "val/4.jpg")
    listing(tmp_path / "list_attr_celeba.csv")
    found = {split: labels.find(attributes(tmp_path), split) for split in ("train", "val")}
    assert told(found["train"]) == {"1": (0, 1), "sub/2": (1, 0)}
    assert told(found["val"]) == {"3": (1, 1), "4": (0, 0)}
    assert found["train"].bad == found["val"].bad == []


def test_each_split_may_have_its_own_list(tmp_path):
    for split, rows in (("train", {"1.jpg": (0, 1)}), ("val", {"1.jpg": (1, 0)})):
        put(tmp_path, f"{split}/1.jpg")
        listing(tmp_path / split / "attributes.csv", rows)
        assert told(labels.find(attributes(tmp_path), split)) == {"1": tuple(rows["1.jpg"])}


def celeba(root, suffix=".jpg", partition=True):
    put(root, *(f"img_align_celeba/{i:06d}{suffix}" for i in range(1, 5)))
    lines = "".join(f"{i:06d}.jpg {2 * (i % 2) - 1} -1\n" for i in range(1, 5))
    (root / "Anno").mkdir()
    (root / "Anno" / "list_attr_celeba.txt").write_text("4\nx y\n" + lines)
    (root / "Eval").mkdir()
    if partition:
        (root / "Eval" / "list_eval_partition.txt").write_text(
            "000001.jpg 0\n000002.jpg 0\n000003.jpg 1\n000004.jpg 2\n"
        )


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_celeba_as_it_is_handed_out(tmp_path, suffix):
    celeba(tmp_path, suffix)
    found = {split: told(labels.find(attributes(tmp_path), split)) for split in ("train", "valid", "test")}
    assert [list(one.values()) for one in found.values()] == [[(1, 0), (0, 0)], [(1, 0)], [(0, 0)]]
    assert list(found["test"]) == ["img_align_celeba/000004"]
    assert len(told(labels.find(attributes(tmp_path, split=""), ""))) == 4
    with pytest.raises(Absent, match="no split 'dev': its splits are train, val, test"):
        labels.find(attributes(tmp_path), "dev")


def test_a_picture_without_a_partition_is_in_no_split(tmp_path):
    celeba(tmp_path)
    put(tmp_path, "img_align_celeba/000009.jpg")
    for split in ("train", "val"):
        (bad,) = labels.find(attributes(tmp_path), split).bad
        assert bad[0].endswith("000009.jpg") and bad[1].startswith("has no line in ")


def test_a_partition_without_pictures_of_a_split_is_told_as_that(tmp_path):
    celeba(tmp_path)
    (tmp_path / "Eval" / "list_eval_partition.txt").write_text(
        "".join(f"{i:06d}.jpg 2\n" for i in range(1, 5))
    )
    with pytest.raises(Absent, match=r"partition\.txt has none of the 4 pictures below .* in split 'train'"):
        labels.find(attributes(tmp_path), "train")


@pytest.mark.parametrize("name", ["x=1", '"x,1"'])
def test_an_attribute_that_no_flag_could_set_is_refused_unless_it_is_not_used(tmp_path, name):
    put(tmp_path, "train/1.jpg")
    listing(tmp_path / "attributes.csv", {"1.jpg": (0, 1)}, names=f"{name},y")
    with pytest.raises(jgan.UserError, match=r"has an attribute 'x[=,]1': a name without , and = would work"):
        labels.find(attributes(tmp_path), "train")
    assert labels.find(attributes(tmp_path, names=("y",)), "train").names == ("y",)


def test_a_list_that_does_not_fit_its_pictures_is_told(tmp_path):
    put(tmp_path, "train/1.jpg", "train/5.jpg", "val/2.jpg")
    listing(tmp_path / "attributes.csv")
    bad = labels.find(attributes(tmp_path), "train").bad
    path = str(tmp_path / "attributes.csv")
    assert bad == [
        (path, f"names 2 files that are not below {tmp_path}: '3.jpg', '4.jpg'"),
        (str(tmp_path / "train/5.jpg"), f"has no line in {path}"),
    ]


@pytest.mark.parametrize("name", ["../out.jpg", "{outside}", "train/../../out.jpg", "..\\out.jpg", "."])
def test_no_list_leads_out_of_root(tmp_path, name):
    root = tmp_path / "root"
    put(tmp_path, "out.jpg", "root/train/1.jpg")
    rows = {"1.jpg": (0, 1), name.replace("{outside}", str(tmp_path / "out.jpg")): (1, 1)}
    listing(root / "attributes.csv", rows)
    found = labels.find(attributes(root), "train")
    assert [entry.files for entry in found.entries] == [(str(root / "train/1.jpg"),)]
    assert "names a file that is not below" in found.bad[0][1]


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"names": ("z",)}, "attributes.csv has no attribute 'z': it has x, y"),
        ({"names": ("x", "x")}, "data.names has 'x' twice"),
        (
            {"exclusive": ("x", "z")},
            "no attribute 'z' of data.exclusive: .*exclusive=.. or some of x, y would work",
        ),
        ({"attributes": "none.csv"}, "there is no list none.csv"),
        ({"split": "trian", "val_split": "vla"}, "but train, val: naming two"),
        ({"split": "trian"}, "has no split 'trian'"),
    ],
)
def test_mistakes_with_attributes_are_told(tmp_path, changes, match):
    put(tmp_path, "train/1.jpg", "train/2.jpg", "val/3.jpg", "val/4.jpg")
    listing(tmp_path / "attributes.csv")
    data = attributes(tmp_path, **changes)
    with pytest.raises(jgan.UserError, match=match):
        labels.find(data, data.split)


def test_a_name_that_two_pictures_share_is_refused_and_no_list_is_told(tmp_path):
    put(tmp_path, "train/1.jpg", "val/1.jpg")
    with pytest.raises(
        jgan.UserError, match=r"has no list of attributes \(list_attr_celeba.txt, .*: data.attr"
    ):
        labels.find(attributes(tmp_path), "train")
    listing(tmp_path / "attributes.csv", {"1.jpg": (0, 1)})
    with pytest.raises(
        jgan.UserError, match=r"line 2 names '1\.jpg', which is .*/train/1\.jpg and .*/val/1\.jpg"
    ):
        labels.find(attributes(tmp_path), "train")
    listing(tmp_path / "mine.csv", {"train/1.jpg": (0, 1), "val/1.jpg": (1, 1)})
    for given in ("mine.csv", str(tmp_path / "mine.csv")):
        assert told(labels.find(attributes(tmp_path, attributes=given), "train")) == {"1": (0, 1)}
