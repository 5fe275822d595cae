"""Two domains without pairs: who is drawn when, and that nothing else than the step decides it."""

import itertools

import numpy as np
import pytest

import jgan
from jgan.data import facades
from jgan.data import pipeline
from tests.data import streams
from tests.data.streams import equal
from tests.data.streams import put
from tests.data.streams import refused

A, B = 3, 7  # sizes of the domains


def config(root, **changes):
    # Without `direction` and `pair`: of two domains both directions are trained.
    usual = {"val_split": "test", "size": 4, "load_size": 5, "jitter": "crop"}
    return streams.config(root, "unaligned", **(usual | changes))


def batches(data, count, start=0, batch_size=1, **named):
    return streams.batches(data, count, start, batch_size, **named)


def slope(level, channels=3, dtype=np.uint8):
    # Every pixel tells its column and row; `level`, in the last channel, which picture it is of.
    y, x = np.mgrid[:7, :7]
    picture = np.stack([8 * y + x] * channels, axis=-1).astype(dtype)
    picture[..., -1] = level
    return picture


@pytest.fixture
def root(tmp_path):
    for name, count, channels, dtype in (
        ("trainA", A, 3, np.uint8),
        ("trainB", B, 2, np.uint16),
        ("testA", 2, 3, np.uint8),
        ("testB", 3, 2, np.uint16),
    ):
        for i in range(count):
            suffix = "npy" if channels == 2 else "png"
            put(tmp_path / name / f"{name}{i}.{suffix}", slope(i, channels, dtype))
    return tmp_path


def drawn(found, side):
    return [int(image[0, 0, -1]) for batch in found for image in batch[side]]


def places(found, side):
    # Row, column and mirror of each crop, from its first two pixels.
    for image in itertools.chain.from_iterable(batch[side] for batch in found):
        first, second = image[0, :2, 0].astype(int)
        corner = first if second > first else first - 3
        yield (*divmod(corner, 8), second < first)


def test_domains_keep_their_own_channels_and_types(root):
    stream = pipeline.train(config(root), batch_size=2, seed=0)
    batch = next(stream.batches())
    stream.close()
    assert stream.facts["channels"] == (3, 2) and stream.dtypes == {"a": np.uint8, "b": np.uint16}
    assert stream.examples == B and stream.bad == []
    assert batch["a"].shape == (2, 4, 4, 3) and batch["b"].shape == (2, 4, 4, 2)


def test_an_epoch_goes_through_the_smaller_domain_again_and_again(root):
    found = drawn(batches(config(root), 4 * B), "a")
    epochs = [found[i : i + B] for i in range(0, len(found), B)]
    for epoch in epochs:  # numbers 0 to 6 modulo 3
        assert sorted(epoch) == [0, 0, 0, 1, 1, 2, 2]
    assert len(set(map(tuple, epochs))) > 1


def test_the_larger_domain_is_seen_whole_where_it_is_a(root):
    for i in range(A):
        (root / "trainB" / f"trainB{i + 1}.npy").unlink()
    (root / "trainB").rename(root / "kept")
    (root / "trainA").rename(root / "trainB")
    (root / "kept").rename(root / "trainA")
    found = drawn(batches(config(root), 8), "a")
    assert sorted(found[:4]) == sorted(found[4:]) == [0, 4, 5, 6]


@pytest.fixture
def large(root):
    # 80 in B: grain's shuffle takes milliseconds per index where there are but a few.
    for i in range(B, 80):
        put(root / "trainB" / f"trainB{i}.npy", slope(i, 2, np.uint16))
    return root


def test_b_is_drawn_uniformly_and_independently_of_a(large):
    found = batches(config(large), 24, batch_size=100)
    a, b = np.array(drawn(found, "a")), np.array(drawn(found, "b"))
    # 99.9% of chi-square with 79, and with 2 * 79, degrees of freedom.
    expected = len(b) / 80
    assert ((np.bincount(b, minlength=80) - expected) ** 2 / expected).sum() < 123.7
    table = np.zeros((A, 80))
    np.add.at(table, (a, b), 1)
    outer = np.outer(table.sum(1), table.sum(0)) / len(b)
    assert ((table - outer) ** 2 / outer).sum() < 218.7
    # By chance: in every epoch some are missed, as in no shuffled order.
    assert all(len(set(b[i : i + 80])) < 80 for i in range(0, len(b), 80))


def test_a_and_b_are_cropped_and_mirrored_independently(large):
    found = batches(config(large), 16, batch_size=100)
    a, b = list(places(found, "a")), list(places(found, "b"))
    assert len(set(a)) == len(set(b)) == 4 * 4 * 2
    # Binomial: 1600 / 32 = 50 +- 7 agree in all, 800 +- 20 in the mirror; five deviations are allowed.
    assert 15 < sum(x == y for x, y in zip(a, b, strict=True)) < 85
    assert 700 < sum(x[2] == y[2] for x, y in zip(a, b, strict=True)) < 900
    assert not any(place[2] for place in places(batches(config(large, flip=False), 50), "b"))


@pytest.mark.parametrize("jitter", ["resize", "crop", "none"])
def test_resuming_is_a_slice(root, jitter):
    data = config(root, jitter=jitter)
    whole = batches(data, 20, batch_size=2)
    assert equal(batches(data, 8, start=12, batch_size=2), whole[12:])
    assert not equal(batches(data, 8, start=12, batch_size=2, seed=5), whole[12:])


def test_two_processes_share_the_batches_of_one(root):
    whole = batches(config(root), 6, batch_size=4)
    parts = [batches(config(root), 6, batch_size=4, processes=(index, 2)) for index in range(2)]
    for batch, first, second in zip(whole, *parts, strict=True):
        for k in "ab":
            np.testing.assert_array_equal(batch[k][:2], first[k])
            np.testing.assert_array_equal(batch[k][2:], second[k])


def test_the_cache_changes_nothing(root):
    held = batches(config(root), 12)
    for _ in ("made", "from disk"):
        assert equal(batches(config(root, cache_gib=0.0), 12), held)


def side_by_side(folder, count):
    for i in range(count):
        put(folder / f"{i}.png", np.concatenate([slope(2 * i), slope(2 * i + 1)], axis=1))


def test_of_pairs_side_by_side_no_pair_is_seen(tmp_path):
    side_by_side(tmp_path / "train", 5)
    found = batches(config(tmp_path), 60)
    assert set(drawn(found, "a")) == {0, 4, 8}  # A of pictures 0, 2, 4
    assert set(drawn(found, "b")) == {3, 7}  # B of pictures 1 and 3
    assert {place[1] for place in places(found, "b")} == {0, 1, 2, 3}


def test_pairs_side_by_side_are_scored_as_pairs(tmp_path):
    side_by_side(tmp_path / "test", 5)
    for size in (None, 5):
        found = pipeline.evaluation(config(tmp_path), "test", size)
        assert found.paired and [example["name"] for example in found] == list("01234")
        for i, example in enumerate(found):
            assert (example["a"][..., -1] == 2 * i).all() and (example["b"][..., -1] == 2 * i + 1).all()
            assert example["a"].shape == example["b"].shape == (size or 7, size or 7, 3)


def test_without_pairs_each_domain_is_told_as_far_as_it_goes(root):
    found = pipeline.evaluation(config(root), "test")
    assert not found.paired and len(found) == 3 and found.facts["channels"] == (3, 2)
    assert [set(example) for example in found] == [{"a", "b", "name"}] * 2 + [{"b", "name"}]
    np.testing.assert_array_equal(found[1]["a"], slope(1))
    np.testing.assert_array_equal(found[-1]["b"], slope(2, 2, np.uint16))
    with pytest.raises(IndexError):
        found[3]
    assert pipeline.evaluation(config(root, jitter="resize"), "test")[2]["b"].shape == (4, 4, 2)


@pytest.mark.parametrize("size", [None, 5])
@pytest.mark.parametrize(
    ("names", "paired"),
    [
        ((("1_A", "10_A", "2_A"), ("1_B", "10_B", "2_B")), True),
        ((("x", "y"), ("x", "y")), True),
        ((("x", "y"), ("x", "z")), False),
        ((("x", "y"), ("x",)), False),
        ((("x", "x_A"), ("x_B", "y")), False),
    ],
)
def test_two_folders_are_pairs_by_name_and_size(tmp_path, names, paired, size):
    for side, found in zip("AB", names, strict=True):
        for i, name in enumerate(found):
            put(tmp_path / f"test{side}" / f"{name}.png", slope(i))
    found = pipeline.evaluation(config(tmp_path), "test", size)
    assert found.paired == paired
    if paired:
        assert len(found) == len(names[0])
        for example in found:
            np.testing.assert_array_equal(example["a"], example["b"])
        put(tmp_path / "testB" / f"{names[1][0]}.png", slope(0)[:, :6])
        assert not pipeline.evaluation(config(tmp_path), "test", size).paired


def test_a_pair_with_a_bad_half_is_left_out_whole(tmp_path):
    for name in ("testA/1_A", "testA/2_A", "testB/1_B", "testB/2_B"):
        put(tmp_path / f"{name}.png", slope(int(name[6])))
    (tmp_path / "testA" / "1_A.png").write_bytes(b"")
    found = pipeline.evaluation(config(tmp_path, skip_bad=True), "test")
    assert found.paired and [example["name"] for example in found] == ["2"]
    assert (found[0]["b"][..., -1] == 2).all() and len(found.bad) == 1


def test_facades_by_day_and_at_dusk_share_no_building(tmp_path, monkeypatch):
    data = config(tmp_path, source="facades", size=16, load_size=18, number=4, val_number=3, jitter="resize")
    asked, original = [], facades.Facades

    def noted(size, number, seed=0, style="day"):
        asked.append((number, seed, style))
        return original(size, number, seed, style)

    monkeypatch.setattr(facades, "Facades", noted)
    for seed in (0, 1):
        data.seed = seed
        stream = pipeline.train(data, batch_size=2, seed=0)
        stream.close()
        assert stream.examples == 4 and stream.facts["channels"] == (3, 3)
        held_out = pipeline.evaluation(data, "test")
        assert len(held_out) == 3 and not held_out.paired and set(held_out[2]) == {"a", "b", "name"}
    assert [(number, style) for number, _, style in asked] == [
        (4, "day"),
        (4, "dusk"),
        (3, "day"),
        (3, "dusk"),
    ] * 2
    assert len({seed for _, seed, _ in asked}) == 8
    means = [np.mean([example[side] for example in pipeline.evaluation(data, "train")]) for side in "ab"]
    assert means[1] < 0.75 * means[0]  # at dusk
    with pytest.raises(jgan.UserError, match="no split 'val': there are train, test"):
        pipeline.evaluation(data, "val")


def test_label_maps_and_photos_share_no_building_and_what_is_held_out_are_pairs(tmp_path):
    data = config(tmp_path, source="facades", size=16, load_size=18, number=2, val_number=3, jitter="resize")
    data.drawn = "labels"
    held_out = pipeline.evaluation(data, "test")
    assert held_out.paired and len(held_out) == 3
    for i in range(3):
        made = facades.Facades(16, 3, seed=2)[i]
        assert np.array_equal(held_out[i]["a"], made["labels"])
        assert np.array_equal(held_out[i]["b"], made["photo"])
    examples = pipeline.evaluation(data, "train")
    assert not examples.paired
    assert np.array_equal(examples[1]["a"], facades.Facades(16, 2, seed=0)[1]["labels"])
    assert np.array_equal(examples[1]["b"], facades.Facades(16, 2, seed=1)[1]["photo"])
    data.drawn = "photos"
    refused(data, "data.drawn is 'photos'")


def test_an_empty_domain_is_named(root):
    for path in (root / "trainB").iterdir():
        path.unlink()
    refused(config(root), r"domain B is empty: .*/trainB holds no images")
    (root / "trainB").rmdir()
    refused(config(root), r"domain B is empty: there is .*/trainA but no .*/trainB")
    (root / "trainA").rename(root / "trainB")
    refused(config(root), r"domain A is empty: there is .*/trainB but no .*/trainA")
    side_by_side(root / "train", 1)
    refused(config(root, split="other"), "no split 'other' .*otherA and otherB.*testA")
    for path in (root / "trainB").iterdir():
        path.unlink()
    (root / "trainB").rmdir()
    refused(config(root), r"domain B is empty: .*/train/0\.png is the only file")
    (root / "train" / "0.png").unlink()
    refused(config(root), "domains A and B are empty: .*/train holds no images")


def spoil(root, kind):
    if kind == "truncated":
        (root / "trainB" / "trainB3.npy").write_bytes((root / "trainB" / "trainB3.npy").read_bytes()[:150])
    elif kind == "grey":
        put(root / "trainB" / "trainB3.npy", slope(3, 1, np.uint16))
    elif kind == "small":
        put(root / "trainB" / "trainB3.npy", slope(3, 2, np.uint16)[:3])


@pytest.mark.parametrize("kind", ["truncated", "grey", "small"])
def test_bad_files_of_either_domain_are_named_or_left_out(root, kind):
    spoil(root, kind)
    put(root / "trainA" / "trainA1.png", slope(1)[:, :2])
    refused(config(root), r"2 of 10 .*skip_bad.*/trainA1\.png is 2x7.*/trainB3\.npy ")
    data = config(root, skip_bad=True)
    stream = pipeline.train(data, batch_size=1, seed=0)
    found = list(itertools.islice(stream.batches(), 60))
    stream.close()
    assert stream.examples == B - 1 and len(stream.bad) == 2
    assert set(drawn(found, "a")) == {0, 2} and set(drawn(found, "b")) == set(range(B)) - {3}


def test_a_domain_of_bad_files_alone_is_refused(root):
    for path in (root / "trainA").iterdir():
        path.write_bytes(b"")
    refused(config(root, skip_bad=True), "3 of 3 .*nothing is left: .*/trainA/")


def test_workers_are_counted_by_the_larger_domain(root):
    refused(config(root, workers=B + 1), f"only {B} examples")
