"""Labelled images: every picture keeps its own label, whatever its source and whatever geometry does."""

import itertools

import numpy as np
import pytest

from jgan import fields
from jgan.data import pipeline
from jgan.data.sources import named
from tests.data import streams
from tests.data.streams import batches
from tests.data.streams import equal
from tests.data.streams import refused


def config(root, **changes):
    labels = {
        "label": "class",
        "names": (),
        "exclusive": (),
        "attributes": "",
        "families": (),
        "held_out": 0.05,
    }
    sizes = {"number": 12, "val_number": 5, "channels": (), "bits": ()}
    return streams.config(root, "labelled", **(labels | sizes | changes))


def put(path, level):
    streams.put(path, streams.plain(level))


COUNTS = {"train": 7, "val": 3}
CLASSES = ("bird", "cat", "dog")


@pytest.fixture
def classes(tmp_path):
    """Pictures whose grey is 10 times their class, and their number besides."""
    for split, count in COUNTS.items():
        for k, name in enumerate(CLASSES):
            for i in range(count - k):
                put(tmp_path / split / name / f"{i}.png", 10 * k + i)
    return tmp_path


@pytest.fixture
def attributes(tmp_path):
    """Pictures of grey 100 x + 10 y + their number; y is not known of number 2."""
    lines = ["file,x,y"]
    for split in COUNTS:
        for i, (x, y) in enumerate(itertools.product((0, 1), (0, 1))):
            put(tmp_path / split / f"{split}{i}.png", 100 * x + 10 * y + i)
            lines.append(f"{split}{i}.png,{x},{'' if i == 2 else y}")
    (tmp_path / "attributes.csv").write_text("\n".join(lines))
    return tmp_path


@pytest.mark.parametrize("jitter", ["resize", "crop", "none"])
def test_every_picture_keeps_its_class(classes, jitter):
    data = config(classes, jitter=jitter)
    found = batches(data, 18)
    for batch in found:
        assert batch["images"].shape == (2, 8, 8, 3) and batch["label"].dtype == np.int32
        np.testing.assert_array_equal(batch["images"][:, 0, 0, 0] // 10, batch["label"])
    whole = pipeline.evaluation(data, "val")
    assert len(whole) == 3 + 2 + 1 and not whole.paired
    for example in whole:
        assert set(example) == {"images", "label", "name"}
        assert example["images"][0, 0, 0] // 10 == example["label"]
        assert example["name"].startswith(f"{CLASSES[example['label']]}/")


def test_names_choose_the_classes_and_their_numbers(classes):
    stream = pipeline.train(config(classes, names=("dog", "bird")), batch_size=2, seed=0)
    found = list(itertools.islice(stream.batches(), 12))
    stream.close()
    assert stream.facts == {"channels": (3,), "names": ("dog", "bird")} and stream.examples == 7 + 5
    assert {(int(x[0, 0, 0]) // 10, int(k)) for b in found for x, k in zip(*b.values(), strict=True)} == {
        (2, 0),
        (0, 1),
    }


def test_with_its_facts_a_run_keeps_its_numbers_whatever_class_comes_later(classes):
    data = config(classes)
    before = pipeline.train(data, batch_size=1, seed=0)
    before.close()
    put(classes / "train" / "ant" / "0.png", 200)
    data.update(before.facts)
    after = pipeline.train(data, batch_size=1, seed=0)
    after.close()
    assert after.facts == before.facts and after.names == before.names
    new = pipeline.train(config(classes), batch_size=1, seed=0)
    new.close()
    assert new.facts["names"] == ("ant", *before.facts["names"])


@pytest.mark.parametrize("names", [(), ("y", "x")])
def test_every_picture_keeps_its_attributes_and_what_is_not_known_is_nan(attributes, names):
    data = config(attributes, label="attributes", names=names)
    stream = pipeline.train(data, batch_size=4, seed=0)
    (batch,) = itertools.islice(stream.batches(), 1)
    stream.close()
    assert stream.facts["names"] == (names or ("x", "y")) and batch["label"].dtype == np.float32
    for picture, label in zip(batch["images"], batch["label"], strict=True):
        values = dict(zip(stream.facts["names"], label, strict=True))
        grey = int(picture[0, 0, 0])
        assert values["x"] == grey // 100
        assert np.isnan(values["y"]) if grey % 10 == 2 else values["y"] == grey // 10 % 10
    assert stream.notes == [] and stream.lists.keys() == {"attributes.csv"}


@pytest.mark.parametrize("label", ["class", "attributes"])
def test_batches_go_on_where_a_run_stopped_and_processes_and_the_cache_change_nothing(tmp_path, label):
    changes = {"source": "objects", "label": label, "size": 16, "load_size": 18, "families": ("mug", "hat")}
    whole = batches(config(tmp_path, **changes), 8, batch_size=4)
    assert equal(batches(config(tmp_path, **changes), 3, start=5, batch_size=4), whole[5:])
    parts = [
        batches(config(tmp_path, **changes), 8, batch_size=4, processes=(index, 2)) for index in range(2)
    ]
    for batch, first, second in zip(whole, *parts, strict=True):
        for k in ("images", "label"):
            np.testing.assert_array_equal(batch[k][:2], first[k])
            np.testing.assert_array_equal(batch[k][2:], second[k])
    assert equal(batches(config(tmp_path, cache_gib=0.0, **changes), 8, batch_size=4), whole)


def test_the_cache_holds_pictures_alone_so_that_a_changed_list_counts(attributes):
    data = config(attributes, label="attributes", cache_gib=0.0)
    before = batches(data, 4)
    path = attributes / "attributes.csv"
    path.write_text(path.read_text().replace(",1,", ",0.5,"))
    after = batches(data, 4)
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one["images"], other["images"])
        np.testing.assert_array_equal(one["label"][:, 0] / 2, other["label"][:, 0])


def test_the_digest_of_labels_follows_the_labels_in_use_and_neither_places_nor_other_columns(
    attributes, tmp_path
):
    path = attributes / "attributes.csv"

    def digest(root=attributes, **changes):
        stream = pipeline.train(
            config(root, label="attributes", names=("x", "y"), **changes), batch_size=1, seed=0
        )
        stream.close()
        return stream.labels

    before, text = digest(), path.read_text()
    header, *rows = text.splitlines()
    path.write_text("\n".join([header + ",z", *reversed([f"{row},1" for row in rows])]))
    assert digest() == before != pipeline.evaluation(config(attributes, label="attributes"), "val").labels
    path.write_text(text.replace("train1.png,0,1", "train1.png,1,0"))
    assert digest() != before
    path.write_text(text.replace("file,x,y", "file,y,x"))
    assert digest() != before
    path.write_text(text)
    path.rename(tmp_path / "list.csv")
    (attributes / "train").rename(tmp_path / "moved")
    (tmp_path / "new").mkdir()
    (tmp_path / "moved").rename(tmp_path / "new" / "train")
    skip = {"skip_bad": True}  # pictures of the validation are elsewhere
    assert digest(tmp_path / "new", attributes=str(tmp_path / "list.csv"), **skip) == before


def test_attributes_of_which_the_data_know_too_little_are_refused(attributes):
    data = config(attributes, label="attributes")
    refused(data, "1 of 4 pictures have no value for attribute y: --config.mask=true would work", mask=False)
    path = attributes / "attributes.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0] + ",z", *(f"{line}," for line in lines[1:])]))
    for mask in (False, True):
        refused(data, "the data know attribute z of no picture: data.names without it", mask=mask)
    data.names = ("x",)
    pipeline.train(data, batch_size=1, seed=0, mask=False).close()


def test_an_attribute_that_never_changes_gets_a_remark(attributes):
    path = attributes / "attributes.csv"
    path.write_text(path.read_text().replace(",0\n", ",1\n"))
    stream = pipeline.train(config(attributes, label="attributes"), batch_size=1, seed=0)
    stream.close()
    assert stream.notes == ["attribute y has one value in all pictures: what it changes cannot be learnt"]


@pytest.fixture
def two_sets(tmp_path):
    """Five pictures of which x alone is known, 100 and lighter, and two of which y is; its value is the last digit."""
    lines = ["file,x,y"]
    for i in range(7):
        put(tmp_path / "train" / f"{i}.png", 100 * (i < 5) + 10 * i + i % 2)
        lines.append(f"{i}.png," + (f"{i % 2}," if i < 5 else f",{i % 2}"))
    (tmp_path / "attributes.csv").write_text("\n".join(lines))
    return tmp_path


def test_batches_are_of_one_data_set_in_turn(two_sets):
    data = config(two_sets, label="attributes")
    found = batches(data, 20, sets=(1, 1))
    for step, batch in enumerate(found):
        first = step % 2 == 0
        greys, (x, y) = batch["images"][:, 0, 0, 0], batch["label"].T
        assert ((greys >= 100) == first).all()
        np.testing.assert_array_equal(x if first else y, greys % 10)
        assert np.isnan(y if first else x).all()
    for k, number in enumerate((5, 2)):  # each picture of a set once in an epoch of its own
        greys = np.concatenate([batch["images"][:, 0, 0, 0] for batch in found[k::2]])
        assert all(len(set(epoch)) == number for epoch in greys.reshape(-1, number))
    assert equal(batches(data, 5, start=3, sets=(1, 1)), found[3:8])
    parts = [batches(data, 6, batch_size=4, processes=(index, 2), sets=(1, 1)) for index in range(2)]
    for step, (first, second) in enumerate(zip(*parts, strict=True)):
        for batch in (first, second):
            assert np.isnan(batch["label"][:, 1 - step % 2]).all() and len(batch["label"]) == 2
    # Of numbers that do not fit the system speaks.
    mixed = batches(data, 5)
    assert all(
        equal(batches(data, 5, sets=sets), mixed) for sets in ((1, 2), (3, -1), (2,), (1.0, 1.0), ("1", "1"))
    )
    (two_sets / "attributes.csv").write_text("file,x,y\n" + "".join(f"{i}.png,1,\n" for i in range(7)))
    refused(data, r"sets is 1,1, .* set 2 \(y\): pictures", sets=(1, 1))


@pytest.mark.slow
def test_workers_change_nothing(classes):
    assert equal(batches(config(classes), 9, start=2), batches(config(classes, workers=2), 9, start=2))


KINDS = {
    "aligned": {"kind": "aligned", "source": "facades", "direction": "BtoA", "pair": ""},
    "made": {"kind": "aligned", "source": "facades", "direction": "AtoB", "pair": "lab"},
    "unaligned": {"kind": "unaligned", "source": "facades"},
    "images": {"kind": "images", "source": "objects", "part": ""},
    "classes": {"source": "objects"},
    "families": {"source": "objects", "names": ("hat", "mug")},
    "attributes": {"source": "objects", "label": "attributes", "families": ("mug",)},
    "named attributes": {"source": "objects", "label": "attributes", "names": ("blue", "red", "trim")},
}


@pytest.mark.parametrize("changes", KINDS.values(), ids=KINDS)
def test_with_its_facts_a_config_describes_its_batches_exactly(tmp_path, changes):
    data = config(tmp_path, size=16, load_size=18, **changes)
    stream = pipeline.train(data, batch_size=2, seed=0)
    batch = next(stream.batches())
    stream.close()
    data.update(stream.facts)
    of = fields.of(data)
    assert list(of) == list(batch) == list(stream.dtypes)
    for name, (shape, dtype) in {name: field.spec(2, 16) for name, field in of.items()}.items():
        assert batch[name].shape == shape and batch[name].dtype == stream.dtypes[name]
        # Pictures travel in the type of their files.
        assert isinstance(of[name], fields.Picture) or dtype == batch[name].dtype
    example = pipeline.evaluation(data, "val")[0]
    assert set(example) == {*of, "name"}
    assert all(
        example[name].shape == shape[1:]
        for name, (shape, _) in {name: x.spec(1, 16) for name, x in of.items()}.items()
    )
    # With the facts in the config, the data tell the same again.
    again = pipeline.train(data, batch_size=2, seed=0)
    again.close()
    assert again.facts == stream.facts


def test_of_drawn_colours_only_one_is_present_and_the_facts_say_so(tmp_path):
    data = config(
        tmp_path, source="objects", label="attributes", names=("red", "blue"), size=16, load_size=18
    )
    stream = pipeline.train(data, batch_size=12, seed=0)
    batch = next(stream.batches())
    stream.close()
    assert stream.facts["exclusive"] == ("red", "blue") and (batch["label"].sum(1) == 1).all()


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """A set of TensorFlow Datasets with classes and with attributes, whose pictures tell both by their grey."""
    tfds, root = named.tfds(), tmp_path_factory.mktemp("sets")
    kinds = tfds.features

    class Labelled(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")
        code_path = None

        def _info(self):
            found = kinds.FeaturesDict(
                {
                    "image": kinds.Image(shape=(None, None, 3)),
                    "label": kinds.ClassLabel(names=CLASSES),
                    "attributes": {"x": np.bool_, "y": np.bool_, "age": np.int64},
                }
            )
            return tfds.core.DatasetInfo(builder=self, features=found)

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(12), "test": self._generate_examples(6)}

        def _generate_examples(self, count):
            for i in range(count):
                values = {"x": i % 2 == 1, "y": i % 4 > 1, "age": i}
                path = root / "pictures" / f"{i}.png"  # arrays it would encode by TensorFlow
                put(path, 100 * values["x"] + 50 * values["y"] + i % 3)
                yield str(i), {"image": str(path), "label": CLASSES[i % 3], "attributes": values}

    Labelled.name = "labelled"
    tfds.disable_progress_bar()
    Labelled(data_dir=root).download_and_prepare(file_format=named.FORMAT)
    return root


def test_named_sets_have_classes(sets):
    data = config(sets, source="tfds:labelled", val_split="test")
    stream = pipeline.train(data, batch_size=4, seed=0)
    found = list(itertools.islice(stream.batches(), 3))
    stream.close()
    assert stream.facts == {"channels": (3,), "names": CLASSES}
    for batch in found:
        np.testing.assert_array_equal(batch["images"][:, 0, 0, 0] % 50, batch["label"])
    some = pipeline.evaluation(
        config(sets, source="tfds:labelled", val_split="test", names=("dog", "bird")), "test"
    )
    assert len(some) == 4
    assert {(int(x["images"][0, 0, 0]) % 50, int(x["label"])) for x in some} == {(2, 0), (0, 1)}
    # Without a validation split a share of the training split is held out.
    alone = config(sets, source="tfds:labelled", held_out=0.25)
    assert len(pipeline.evaluation(alone, "val")) == 3 and len(pipeline.evaluation(alone, "train")) == 9


def test_named_sets_have_attributes(sets):
    data = config(sets, source="tfds:labelled", val_split="test", label="attributes")
    found = pipeline.evaluation(data, "test")
    assert found.facts["names"] == ("x", "y")  # an age is neither present nor absent
    for example in found:
        assert tuple(example["label"]) == (
            example["images"][0, 0, 0] // 100,
            example["images"][0, 0, 0] % 100 // 50,
        )
    data.names = ("z",)
    refused(data, "tfds:labelled has no attribute 'z' of data.names: it has x, y")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"label": "both"}, "data.label is 'both': one of class, attributes would work"),
        ({"source": "facades"}, "'facades': one of folder, objects, tfds:NAME would work"),
        ({"held_out": 1.0}, r"data.held_out is 1\.0"),
        (
            {"source": "objects", "families": ("cup",)},
            "data.families has 'cup', which is no family: shoe, bag",
        ),
        ({"source": "objects", "names": ("cup", "mug")}, "data.source=objects has no class 'cup'"),
        ({"source": "objects", "families": ("mug",)}, "families=mug has only one class, 'mug'"),
        (
            {"source": "objects", "families": ("mug", "hat"), "label": "attributes", "names": ("fill",)},
            "with data.families=mug,hat has no attribute 'fill' .*red, green, blue, width, taper, band, hue",
        ),
        (
            {"source": "objects", "label": "attributes", "names": ("red", "trim"), "exclusive": ("bleu",)},
            "no attribute 'bleu' of data.exclusive: .*red, trim would work",
        ),
        ({"label": "attributes"}, "has no list of attributes"),
    ],
)
def test_impossible_settings_are_refused(classes, changes, match):
    refused(config(classes, **changes), match)


def test_sets_without_labels_are_refused(tmp_path):
    from jgan.data import prepare

    put(tmp_path / "photos" / "train" / "0.png", 5)
    prepare.from_folder("plain", str(tmp_path / "photos"), str(tmp_path / "sets"))
    data = config(tmp_path / "sets", source="tfds:plain")
    refused(data, "tfds:plain has no classes, which are a ClassLabel 'label': it has image")
    data.label = "attributes"
    refused(data, "tfds:plain has no attributes, which are a dict 'attributes' of yes and no: it has image")


def test_what_has_no_label_is_refused_or_left_out(attributes):
    put(attributes / "train" / "more.png", 1)
    with (attributes / "attributes.csv").open("a") as file:
        file.write("\ngone.png,0,1\n")
    data = config(attributes, label="attributes")
    refused(
        data, r"2 of 6 .*skip_bad.*attributes\.csv names a file that is not below .*more\.png has no line in"
    )
    data.skip_bad = True
    stream = pipeline.train(data, batch_size=1, seed=0)
    stream.close()
    assert stream.examples == 4 and [reason[:5] for _, reason in stream.bad] == ["names", "has n"]


def test_a_damaged_picture_is_left_out_with_its_label(classes):
    (classes / "train" / "cat" / "2.png").write_bytes(b"")
    refused(config(classes), r"1 of 18 .*/cat/2\.png cannot be decoded")
    stream = pipeline.train(config(classes, skip_bad=True), batch_size=1, seed=0)
    found = list(itertools.islice(stream.batches(), 17))
    stream.close()
    assert sorted(int(b["label"][0]) for b in found) == [0] * 7 + [1] * 5 + [2] * 5
    assert all(b["images"][0, 0, 0, 0] // 10 == b["label"][0] for b in found)
