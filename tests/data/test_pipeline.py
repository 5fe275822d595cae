"""Batches depend on the step alone: not on resuming, processes, workers or the cache."""

import itertools
import pathlib
import sys
import threading

import numpy as np
import pytest

import jgan
from jgan.data import images
from jgan.data import pairs
from jgan.data import pipeline
from tests.data import streams
from tests.data.streams import batches
from tests.data.streams import equal
from tests.data.streams import halves
from tests.data.streams import refused

DATA = pathlib.Path(pipeline.__file__).parent


def config(root, **changes):
    return streams.config(root, "aligned", **({"direction": "AtoB", "pair": ""} | changes))


@pytest.fixture
def root(tmp_path):
    for split, count in (("train", 7), ("val", 3)):
        (tmp_path / split).mkdir()
        for index in range(count):
            images.write(tmp_path / split / f"{index}.png", halves(index + 100 * (split == "val")))
    return tmp_path


@pytest.mark.parametrize("jitter", ["resize", "crop", "none"])
def test_halves_stay_aligned_and_resuming_goes_on(root, jitter):
    data = config(root, jitter=jitter)
    whole = batches(data, 12)
    for batch in whole:
        assert batch["a"].shape == batch["b"].shape == (2, 8, 8, 3)
        assert batch["a"].dtype == batch["b"].dtype == np.uint8
        # Resizing rounds a and 255 - a apart by at most one level a pass.
        difference = batch["a"].astype(int) + batch["b"] - 255
        assert np.abs(difference).max() <= (0 if jitter == "crop" else 2)
    assert equal(batches(data, 7, start=5), whole[5:])
    assert not equal(whole[:6], whole[6:])


class Descent:
    """Follows all calls into files of jgan/data; `back` are the ways on which one is entered again from another."""

    def __init__(self):
        self.back, self.seen, self._stacks = set(), set(), {}

    def __call__(self, frame, event, _):
        path = pathlib.Path(frame.f_code.co_filename)
        stack = self._stacks.setdefault(threading.get_ident(), [])
        if event not in ("call", "return") or path.parent not in (DATA, DATA / "sources"):
            return  # drawing calls back the shapes that it paints
        name = path.relative_to(DATA).as_posix()
        if event == "return":
            if stack:
                stack.pop()
            return
        if name in stack and stack[-1] != name:
            self.back.add((*stack[stack.index(name) :], name))
        self.seen.add(name)
        stack.append(name)

    def __enter__(self):
        threading.setprofile(self)
        sys.setprofile(self)
        return self

    def __exit__(self, *_):
        sys.setprofile(None)
        threading.setprofile(None)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"pair": "edges"},
        {"pair": "lab"},
        {"kind": "unaligned"},
        {"kind": "images"},
        {"source": "facades"},
    ],
)
def test_a_batch_followed_down_from_training_comes_back_to_no_file(root, changes):
    """From the pipeline to the examples, their source and the decoders: whoever reads leaves each file once."""
    with Descent() as descent:
        stream = pipeline.train(
            config(root, size=16, load_size=18, jitter="none", **changes), batch_size=1, seed=0
        )
        stream._dataset[0]
    assert {"pipeline.py", "examples.py", "asked.py", "transforms.py"} < descent.seen
    assert "sources/drawn.py" in descent.seen or {"sources/folder.py", "images.py"} < descent.seen
    assert descent.back == set()


def test_every_epoch_has_every_example_once_in_another_order(root):
    data = config(root, jitter="none", flip=False)
    ones = [batch["a"].tobytes() for batch in batches(data, 21, batch_size=1)]
    epochs = [ones[:7], ones[7:14], ones[14:]]
    assert set(epochs[0]) == set(epochs[1]) == set(epochs[2]) and len(set(ones)) == 7
    assert epochs[0] != epochs[1] != epochs[2]


def test_two_processes_share_the_batches_of_one(root):
    data = config(root)
    whole = batches(data, 6, batch_size=4)
    parts = [batches(data, 6, batch_size=4, processes=(index, 2)) for index in range(2)]
    for batch, first, second in zip(whole, *parts, strict=True):
        for k in "ab":
            np.testing.assert_array_equal(batch[k][:2], first[k])
            np.testing.assert_array_equal(batch[k][2:], second[k])


def test_a_stream_goes_on_with_any_number_of_processes_and_has_every_example_once(root):
    """Epochs of 7 examples in batches of 6: steps of 3, of 2 and of 1 process and of 6."""
    data = config(root, jitter="none", flip=False)
    taken = []
    for start, count in ((0, 3), (2, 2), (4, 1), (5, 6)):
        parts = [batches(data, 2, start=start, batch_size=6, processes=(k, count)) for k in range(count)]
        for step in range(2 if start != 4 else 1):
            taken += [row.tobytes() for part in parts for row in part[step]["a"]]
    whole = [row.tobytes() for batch in batches(data, 7, batch_size=6) for row in batch["a"]]
    assert taken == whole
    assert all(len(set(taken[7 * epoch : 7 * (epoch + 1)])) == 7 for epoch in range(6))


@pytest.mark.slow
@pytest.mark.parametrize("source", ["folder", "facades"])
@pytest.mark.parametrize("kind", ["aligned", "unaligned"])
def test_workers_change_nothing(root, source, kind):
    none, two = (config(root, kind=kind, source=source, size=16, load_size=18, workers=n) for n in (0, 2))
    assert equal(batches(none, 9, start=2), batches(two, 9, start=2))


def test_the_cache_changes_nothing(root):
    held = batches(config(root), 8)
    on_disk = config(root, cache_gib=0.0)
    assert equal(batches(on_disk, 8), held)
    assert list((root / ".cache").rglob("*.npy"))
    assert equal(batches(on_disk, 8), held)  # now from disk
    (root / "plain").touch()
    assert equal(batches(config(root, cache_gib=0.0, cache_dir=str(root / "plain")), 8), held)


def test_edges_are_kept_on_disk_as_well(root, monkeypatch):
    held = batches(config(root, pair="edges"), 4)

    def again(*_):
        raise AssertionError("made again")

    monkeypatch.setattr(pairs, "edges", again)
    assert equal(batches(config(root, pair="edges"), 4), held)


def test_training_reads_no_file_once_all_is_cached(root):
    stream = pipeline.train(config(root), batch_size=2, seed=0)
    for path in (root / "train").iterdir():
        path.unlink()
    assert len(list(itertools.islice(stream.batches(), 10))) == 10
    stream.close()


def test_a_seed_is_an_order(root):
    streams = [pipeline.train(config(root), batch_size=2, seed=seed) for seed in (1, 2, -3)]
    first = [[next(stream.batches())] for stream in streams]
    for stream in streams:
        stream.close()
    assert not equal(first[0], first[1]) and not equal(first[0], first[2])


def test_a_batch_may_be_larger_than_the_data(root):
    (batch,) = batches(config(root), 1, batch_size=20)
    assert batch["a"].shape == (20, 8, 8, 3)


def test_direction_swaps_input_and_target(root):
    forth, back = (batches(config(root, direction=d), 3) for d in ("AtoB", "BtoA"))
    for one, other in zip(forth, back, strict=True):
        np.testing.assert_array_equal(one["a"], other["b"])
        np.testing.assert_array_equal(one["b"], other["a"])


def test_mixed_bit_depths_are_brought_to_the_widest(root):
    images.write(root / "train" / "deep.png", halves(9, dtype=np.uint16))
    stream = pipeline.train(config(root, jitter="crop"), batch_size=2, seed=0)
    assert stream.dtypes == {"a": np.uint16, "b": np.uint16}
    for batch in itertools.islice(stream.batches(), 8):
        assert batch["a"].dtype == np.uint16
        assert (batch["a"].astype(int) + batch["b"] == 65535).all()
    stream.close()


@pytest.mark.parametrize(
    ("pair", "channels", "dtype"),
    [
        ("edges", (1, 3), np.uint8),
        ("gray", (1, 3), np.uint8),
        ("lab", (1, 2), np.float32),
        ("downscale", (3, 3), np.uint8),
        ("hole", (3, 3), np.uint8),
    ],
)
@pytest.mark.parametrize("source", ["folder", "facades"])
def test_pairs_are_made_from_photos(root, pair, channels, dtype, source):
    data = config(root, pair=pair, source=source, size=16, load_size=18)
    stream = pipeline.train(data, batch_size=2, seed=0)
    batch = next(stream.batches())
    stream.close()
    assert stream.facts["channels"] == channels
    for name, count in zip("ab", channels, strict=True):
        assert batch[name].shape == (2, 16, 16, count) and batch[name].dtype == dtype
    if pair == "hole":  # in the middle of the crop, not of the photo
        assert (batch["a"][:, 4:12, 4:12] == 255).all()
    held_out = pipeline.evaluation(data, "val")
    assert held_out.facts["channels"] == channels and held_out[0]["b"].shape == (16, 16, channels[1])


def test_evaluation_is_whole_and_without_chance(root):
    wide = {0: (12, 10), 5: (5, 5)}
    for size, shape in wide.items():
        found = pipeline.evaluation(config(root, jitter="crop"), "val", size or None)
        assert len(found) == 3 and [example["name"] for example in found] == ["0", "1", "2"]
        assert found[0]["a"].shape == (*shape, 3)
    for jitter in ("resize", "none"):
        found = pipeline.evaluation(config(root, jitter=jitter), "val")
        assert found[-1]["b"].shape == (8, 8, 3)
    native = pipeline.evaluation(config(root, jitter="crop"), "val")[1]
    np.testing.assert_array_equal(np.concatenate([native["a"], native["b"]], 1), halves(101))
    with pytest.raises(IndexError):
        found[3]
    # Smaller than a training crop is no fault of a picture that is not cropped.
    assert len(pipeline.evaluation(config(root, jitter="crop", size=64), "val")) == 3


def test_drawn_facades_are_labels_to_photo_with_splits_apart(tmp_path):
    data = config(tmp_path, source="facades", size=16, load_size=18, number=4, val_number=4)
    stream = pipeline.train(data, batch_size=2, seed=0)
    assert stream.examples == 4 and stream.facts["channels"] == (3, 3)
    stream.close()
    train, val = (pipeline.evaluation(data, split) for split in ("train", "val"))
    assert train[0]["a"].shape == (16, 16, 3)
    assert not {e["b"].tobytes() for e in train} & {e["b"].tobytes() for e in val}
    from jgan.data import facades

    known = {tuple(colour) for colour in facades.PALETTE.values()}
    assert {tuple(c) for c in train[0]["a"].reshape(-1, 3).tolist()} <= known
    with pytest.raises(jgan.UserError, match="train, val"):
        pipeline.evaluation(data, "test")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"kind": "captions"}, "aligned, unaligned"),
        ({"source": "web"}, "folder, facades, tfds:NAME"),
        ({"source": "tfds:my set"}, "NAME/CONFIG"),
        ({"pair": "sketch"}, "edges, gray"),
        ({"jitter": "wild"}, "resize, crop, none"),
        ({"direction": "AtoC"}, "AtoB, BtoA"),
        ({"size": 0}, "data.size is 0"),
        ({"size": 20}, "load_size"),
        ({"workers": -1}, "data.workers"),
        ({"workers": 8}, "only 7 examples"),
        ({"split": "trian"}, "its folders are train, val"),
        ({"size": 11, "jitter": "crop"}, "smaller than the crop of 11"),
    ],
)
def test_impossible_settings_are_refused(root, changes, match):
    refused(config(root, **changes), match)


def test_an_indivisible_batch_is_refused(root):
    refused(config(root), "multiple of 3", batch_size=4, processes=(0, 3))
    refused(config(root), "batch_size is 0", batch_size=0)


def spoil(root, kind):
    train = root / "train"
    if kind == "truncated":
        (train / "3.png").write_bytes((train / "3.png").read_bytes()[:200])
    elif kind == "odd width":
        images.write(train / "3.png", halves(3)[:, :-1])
    elif kind == "bands":
        (train / "3.png").unlink()
        images.write(train / "3.tif", np.repeat(halves(3), 2, -1))
    elif kind == "small":
        images.write(train / "3.png", halves(3, height=6))


@pytest.mark.parametrize("kind", ["truncated", "odd width", "bands", "small"])
def test_bad_files_are_named_or_left_out(root, kind):
    spoil(root, kind)
    data = config(root, jitter="crop")
    refused(data, r"1 of 7 .*skip_bad.*/3\.(png|tif) ")
    data.skip_bad = True
    stream = pipeline.train(data, batch_size=1, seed=0)
    assert stream.examples == 6 and "3" not in stream.names
    ((path, reason),) = stream.bad
    assert path.endswith(("/3.png", "/3.tif")) and reason and path not in reason
    assert len(list(itertools.islice(stream.batches(), 20))) == 20
    stream.close()


def test_lonely_and_unequal_halves_are_named_or_left_out(tmp_path):
    for name, width in (("A/1", 20), ("B/1", 20), ("A/2", 20), ("A/3", 20), ("B/3", 22)):
        path = tmp_path / "train" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        images.write(path, halves(0, width=width))
    refused(config(tmp_path), r"2 of 3 .*A/2\.png.*A/3\.png")
    stream = pipeline.train(config(tmp_path, skip_bad=True), batch_size=1, seed=0)
    stream.close()
    assert stream.names == ["1"] and len(stream.bad) == 2


def test_nothing_but_bad_files_is_refused(root):
    for path in (root / "train").iterdir():
        path.write_bytes(b"")
    refused(config(root, skip_bad=True), "7 of 7 .*nothing is left")
