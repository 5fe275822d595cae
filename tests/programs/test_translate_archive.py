"""Archives of translations: the files that single ones would be, in shards."""

import json

import numpy as np
import pytest

import jgan
from jgan.data import images
from jgan.programs import archive
from jgan.programs import translate
from jgan.programs import translate_archive


@pytest.fixture(scope="module")
def folder(tmp_path_factory, small_config, drawn_run):
    """The run of a net with dropout (a U-Net of six levels), of drawn weights."""
    path = str(tmp_path_factory.mktemp("run"))
    changes = {"steps": 1, "data.size": 64, "generator.levels": 6, "generator.ngf": 4}
    drawn_run(path, small_config(**changes), 1)
    return path


@pytest.fixture(scope="module")
def translator(folder):
    return translate.load(folder)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of pictures of two sizes, several formats, depths and numbers of channels, and one that is torn."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "more").mkdir()
    rng = np.random.default_rng(0)
    for name, shape, dtype in (
        ("a.png", (60, 64, 3), np.uint8),
        ("b.jpg", (64, 64, 3), np.uint8),
        ("c.png", (64, 50, 3), np.uint16),
        ("d.png", (40, 70, 1), np.uint8),
        ("more/e.webp", (64, 64, 4), np.uint8),
        ("more/f.npy", (64, 64, 3), np.uint8),
    ):
        images.write(folder / name, rng.integers(0, np.iinfo(dtype).max, shape, dtype))
    (folder / "torn.png").write_bytes((folder / "a.png").read_bytes()[:900])
    return folder


def test_an_archive_holds_the_files_that_single_pictures_become(translator, photos, tmp_path, capsys):
    out = tmp_path / "out"
    for made in (6, 0):
        with pytest.raises(
            jgan.UserError, match="1 of 7 pictures have no result: torn.png cannot be decoded"
        ):
            translate_archive.translate(translator, str(photos), str(out), batch=2, way=archive.Way(4))
        told = capsys.readouterr().out
        assert (f"{made} pictures made" in told) == bool(made)
    assert "7 pictures were done already" in told
    with pytest.raises(jgan.UserError, match="1 of 7"):
        translate.files(translator, str(photos), str(tmp_path / "files"))
    lines = [json.loads(line) for line in (out / "index.jsonl").read_text().splitlines()]
    assert len(lines) == 7 and lines[-1].keys() == {"name", "sha256", "shard", "error"}
    for line in lines[:-1]:
        with np.load(out / line["shard"]) as shard:
            (place,) = shard["pictures"][line["row"]]
            assert place == f"pictures/{line['name']}"
            (tmp_path / "taken").mkdir(exist_ok=True)
            path = tmp_path / "taken" / place.replace("/", "-")
            path.write_bytes(shard.zip.read(place))
        found, expected = images.load(path), images.load(tmp_path / "files" / line["name"])
        assert found.pixels.dtype == expected.pixels.dtype and found.shape == expected.shape
        difference = np.abs(found.pixels.astype(int) - expected.pixels.astype(int)).max()
        assert difference <= (2 if found.pixels.dtype == np.uint8 else 64), line
        assert (found.alpha is None) == (expected.alpha is None)


def test_samples_are_those_of_single_pictures_whatever_shares_their_batch(
    translator, folder, photos, tmp_path
):
    """Each draws its own dropout, as if it were alone."""
    drawing, out = translate.load(folder, samples=2), tmp_path / "out"
    (tmp_path / "in").mkdir()
    for name in ("x.png", "y.png"):  # two equal pictures
        (tmp_path / "in" / name).write_bytes((photos / "a.png").read_bytes())
    translate_archive.translate(drawing, str(tmp_path / "in"), str(out), samples=2, seed=7, batch=2)
    with np.load(out / "shard-00000.npz") as shard:
        assert shard["pictures"].tolist() == [[f"pictures/{x}_{k}.png" for k in (1, 2)] for x in "xy"]
        found = {name: images.decode(shard[name], name).astype(int) for name in shard["pictures"].ravel()}
    one, two = found["pictures/x_1.png"], found["pictures/x_2.png"]
    assert (one != two).mean() > 0.1
    for made, name, seed in ((one, "y_1", 7), (two, "y_2", 8)):
        np.testing.assert_array_equal(found[f"pictures/{name}.png"], made)
        alone = drawing.picture(images.load(photos / "a.png"), seed).pixels
        assert np.abs(alone.astype(int) - made).max() <= 1


def test_tiles_are_those_of_single_pictures(translator, photos, tmp_path):
    out = tmp_path / "out"
    assert translate_archive.translate(translator, str(photos / "d.png"), str(out), tile=64, seed=3) == 1
    translator.hurry()
    expected = translator.picture(images.load(photos / "d.png"), 3, 64)
    with np.load(out / "shard-00000.npz") as shard:
        np.testing.assert_array_equal(images.decode(shard["pictures/d.png"], "d.png"), expected.pixels)


def test_an_archive_of_other_settings_is_refused(translator, photos, tmp_path):
    one = str(photos / "b.jpg")
    translate_archive.translate(translator, one, str(tmp_path))
    with pytest.raises(jgan.UserError, match="holds an archive with other seed, part: name another folder"):
        translate_archive.translate(translator, one, str(tmp_path), seed=1, part="whole")
    with pytest.raises(jgan.UserError, match="is an archive: add --archive"):
        translate.files(translator, one, str(tmp_path))
    with pytest.raises(jgan.UserError, match="--batch=-1"):
        translate_archive.translate(translator, one, str(tmp_path), batch=-1)
    with pytest.raises(jgan.UserError, match="is where the input lies"):
        translate_archive.translate(translator, str(photos), str(photos))
