"""The cache never changes what is read, whatever happens to its memory or its folder."""

import concurrent.futures
import os
import pickle

import numpy as np
import pytest

from jgan.data import cache
from jgan.data import images


def planes(seed, dtype=np.uint16):
    rng = np.random.default_rng(seed)
    return tuple(rng.integers(0, 200, (6, 5, c)).astype(dtype) for c in (3, 1))


def same(a, b):
    return len(a) == len(b) and all(
        x.dtype == y.dtype and np.array_equal(x, y) for x, y in zip(a, b, strict=True)
    )


def get(store, name, make):
    """The planes of that name, made if they are not there."""
    found = store.find(name)
    return store.put(name, make()) if found is None else found


def never():
    raise AssertionError("made again")


def test_beyond_its_limit_memory_gives_way_to_disk(tmp_path):
    size = sum(plane.nbytes for plane in planes(0))
    store = cache.Cache(2 * size, tmp_path)
    for seed in range(4):
        assert same(get(store, f"{seed:040d}", lambda seed=seed: planes(seed)), planes(seed))
    assert len(list(tmp_path.rglob("*.npy"))) == 2 * 2  # two items of two planes
    for seed in range(4):
        assert same(get(store, f"{seed:040d}", never), planes(seed))
    # Another process finds what is on disk; what was in memory alone it makes itself.
    other = pickle.loads(pickle.dumps(store))
    assert same(get(other, f"{3:040d}", never), planes(3))
    with pytest.raises(AssertionError, match="made again"):
        get(other, f"{0:040d}", never)


def test_one_plane_and_float_survive_the_disk(tmp_path):
    store = cache.Cache(0, tmp_path)
    one = (np.linspace(-1, 1, 12, dtype=np.float32).reshape(2, 2, 3),)
    get(store, "a" * 40, lambda: one)
    assert same(get(store, "a" * 40, never), one)


def test_a_cache_among_the_pictures_is_not_searched_for_pictures(tmp_path):
    cache.Cache(0, tmp_path / "cache").put("a" * 40, planes(1))
    assert images.find(tmp_path) == [] and len(images.find(tmp_path / "cache")) == 2


def test_a_damaged_item_is_made_again(tmp_path):
    store = cache.Cache(0, tmp_path)
    get(store, "b" * 40, lambda: planes(1))
    for path in tmp_path.rglob("*.npy"):
        path.write_bytes(path.read_bytes()[:90])
    assert same(get(store, "b" * 40, lambda: planes(2)), planes(2))
    assert same(get(store, "b" * 40, never), planes(2))


@pytest.mark.parametrize("fault", ["full", "nearly full", "a file", "no folder"])
def test_without_a_disk_items_are_made(tmp_path, monkeypatch, fault):
    where = tmp_path / "cache"
    if fault == "full":

        def full(*_, **__):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(np, "save", full)
    elif fault == "nearly full":
        monkeypatch.setattr(cache, "_SPARE_BYTES", 1 << 62)
    elif fault == "a file":
        where.touch()
    else:
        where = None
    store = cache.Cache(0, where)
    for _ in range(2):
        assert same(get(store, "c" * 40, lambda: planes(3)), planes(3))
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".npy", ".part")]


def test_a_full_disk_still_gives_what_it_holds(tmp_path, monkeypatch):
    cache.Cache(0, tmp_path).put("d" * 40, planes(4))
    monkeypatch.setattr(cache, "_SPARE_BYTES", 1 << 62)
    store = cache.Cache(0, tmp_path)
    get(store, "e" * 40, lambda: planes(5))
    assert same(get(store, "d" * 40, never), planes(4))


def test_two_writers_do_not_disturb_each_other(tmp_path):
    def work(seed):
        store = cache.Cache(0, tmp_path)
        return all(same(get(store, f"{i:040d}", lambda i=i: planes(i)), planes(i)) for i in range(30))

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))
    assert not list(tmp_path.rglob("*.part"))


def test_a_changed_file_has_another_key(tmp_path):
    file = tmp_path / "x"
    file.write_bytes(b"123")
    first = cache.key((str(file),), "size 5")
    assert first == cache.key((str(file),), "size 5") != cache.key((str(file),), "size 6")
    file.write_bytes(b"1234")
    second = cache.key((str(file),), "size 5")
    os.utime(file, ns=(0, 0))
    assert len({first, second, cache.key((str(file),), "size 5")}) == 3


def test_the_folder_is_the_users_unless_told(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.folder().is_relative_to(tmp_path)
    assert cache.folder(str(tmp_path / "mine")) == tmp_path / "mine"
