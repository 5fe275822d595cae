"""Edits of photos and of random codes: what they leave, what leaves a photo alone, what is refused."""

import json
import os
import re
import subprocess
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest

import jgan
from jgan.data import framing
from jgan.data import images as image_files
from jgan.latent import constraints
from jgan.latent import document
from jgan.latent import raster
from jgan.programs import edit
from jgan.programs import photos as photos_lib
from tests.changed import with_codes

# Projection has tests of its own (test_inversion.py): what the predictor says will do.
QUICK = {"method": "network", "starts": 1, "feature_weight": 0.0}
FEW = edit.Settings(candidates=4, iterations=5, top_k=3, frames=2)
PAINT = {"brush": "colour", "points": [[6, 6], [20, 12]], "width": 4, "colour": [255, 0, 0]}
DRAW = {"brush": "sketch", "points": [[2, 2], [28, 18]], "width": 2}
DRAG = {"brush": "warp", "source": [10, 10], "target": [16, 10], "side": 8}
NOTHING = dict.fromkeys(constraints.Weights._fields, 0)


@pytest.fixture(scope="module")
def generate(run):
    return jax.jit(jax.vmap(run.space().generate))


@pytest.fixture(scope="module")
def run(small_latent_run):
    return small_latent_run


def photo(dtype=np.uint8):
    """20 x 30 pixels: the letterbox has 5 rows above and below."""
    whole = np.random.default_rng(0).uniform(-1, 1, (20, 30, 3)).astype(np.float32)
    return whole if dtype == np.float32 else np.rint((whole + 1) / 2 * np.iinfo(dtype).max).astype(dtype)


def files(folder, *strokes, image=None, suffix="png", **changes):
    """The arguments of an edit of a photo that are files."""
    folder.mkdir(exist_ok=True)
    tree = {"format": "jgan-edit", "version": 1, "space": "z", "size": [20, 30], "strokes": list(strokes)}
    (folder / "edit.json").write_text(json.dumps(tree | changes))
    image_files.write(folder / f"photo.{suffix}", photo() if image is None else image)
    return {"edit": str(folder / "edit.json"), "image": str(folder / f"photo.{suffix}")}


def perform(run, output, *, settings=FEW, **given):
    return edit.edit_file(run, output=str(output), settings=settings, **QUICK | given)


@pytest.mark.slow
def test_an_edit_of_a_photo_leaves_candidates_their_way_and_the_photo(run, generate, tmp_path):
    out = tmp_path / "out"
    count = perform(run, out, **files(tmp_path / "in", PAINT, DRAW, DRAG))
    assert {path.name for path in out.iterdir()} == {
        *(f"candidate_{k:02d}.png" for k in range(count)),
        *(
            "candidates.png",
            "strip.png",
            "latents.npz",
            "path.webp",
            "path.png",
            "photo.png",
            "photo.webp",
            "index.html",
        ),
    }
    made = image_files.read(out / "photo.png")
    assert made.shape == (20, 30, 3) and made.dtype == np.uint8
    with np.load(out / "latents.npz") as saved:
        assert saved["z"].shape == (count, 5) and saved["start"].shape == (5,) and str(saved["space"]) == "z"
        shown = generate(saved["z"])
    for k, picture in enumerate(np.asarray(shown)):
        np.testing.assert_allclose(
            image_files.read(out / f"candidate_{k:02d}.png"), (picture + 1) * 127.5, atol=0.6
        )
    with Image.open(out / "photo.webp") as film:
        assert film.n_frames == 2
    page = (out / "index.html").read_text()
    assert all(f"{k:02d}: cost" in page for k in range(count))
    assert page.count("<svg") == 1 and page.count("<figure>") == 4 + count
    for name in re.findall(r'src="([^":]+)"', page):
        assert (out / name).exists(), name


def test_an_edit_without_weights_leaves_the_photo_and_its_opacity_as_they_are(run, tmp_path):
    alpha = np.random.default_rng(3).integers(0, 65536, (20, 30, 1), np.uint16)
    before = image_files.Picture(photo(np.uint16), alpha)
    perform(run, tmp_path / "out", **files(tmp_path / "in", PAINT, DRAW, image=before, weights=NOTHING))
    made = image_files.load(tmp_path / "out" / "photo.png")
    assert made.shape == before.shape and made.pixels.dtype == np.uint16
    np.testing.assert_allclose(made.pixels.astype(np.float64), before.on_white(), atol=257)
    np.testing.assert_array_equal(made.alpha, alpha)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_film_that_stands_still_leaves_a_photo_of_any_type_as_it_is(dtype):
    film = np.broadcast_to(np.random.default_rng(2).uniform(-1, 1, (16, 16, 3)), (2, 16, 16, 3))
    made, _ = photos_lib.carry(photo(dtype), film.astype(np.float32))
    assert made.shape == (20, 30, 3) and made.dtype == dtype
    step = 2 / 255 if dtype == np.float32 else np.iinfo(dtype).max / 255
    np.testing.assert_allclose(made.astype(np.float64), photo(dtype), atol=step)


def test_a_film_that_brightens_brightens_the_photo():
    film = np.broadcast_to(np.float32([[0], [0.5]])[..., None, None], (2, 16, 16, 3))
    made, moving = photos_lib.carry(photo(), film)
    assert made.mean() > photo().mean() + 20
    # The picture and the end of the film are the same photo.
    np.testing.assert_allclose(made, (moving[-1] + 1) * 127.5, atol=0.51)
    np.testing.assert_allclose(moving[0], image_files.convert(photo(), np.float32), atol=2 / 255)


def test_candidates_are_counted_as_their_files_are(run, tmp_path, monkeypatch):
    titles = []
    monkeypatch.setattr(edit.pictures, "grid", lambda rows, row: titles.extend(row) or rows[0][0])
    images, codes = np.zeros((3, 16, 16, 3), np.float32), np.zeros((3, 5), np.float32)
    made = types.SimpleNamespace(images=images, costs=np.float32([0.1, 0.2, 0.3]), latents=codes)
    edit._save_candidates(run, tmp_path, made, codes[0])
    assert titles == ["00: 0.1000", "01: 0.2000", "02: 0.3000", ""]
    assert {path.name for path in tmp_path.glob("candidate_*")} == {
        f"candidate_{k:02d}.png" for k in range(3)
    }


@pytest.mark.slow
@pytest.mark.parametrize("fit", framing.FITS)
def test_a_large_photo_and_its_small_film_tell_the_same(fit, monkeypatch):
    large = np.asarray(
        Image.fromarray(photo() // 2).resize((90, 60))
    )  # so dark that nothing is cut off at white
    film = np.broadcast_to(np.float32([[0], [0.5]])[..., None, None], (2, 16, 16, 3))
    whole, _ = photos_lib.carry(large, film, fit)
    monkeypatch.setattr(photos_lib, "_FILM", 30)
    made, moving = photos_lib.carry(large, film, fit)
    assert moving.shape == (2, 20, 30, 3)
    np.testing.assert_allclose(made.astype(float), whole, atol=1)
    reduced = np.asarray(Image.fromarray(made).resize((30, 20), Image.Resampling.BICUBIC))
    np.testing.assert_allclose((moving[-1] + 1) * 127.5, reduced, atol=12)


PEAK = """
import resource, sys
import numpy as np
from jgan.programs import photos as photos_lib
film = np.broadcast_to(np.float32([[0], [0.5]])[..., None, None], (2, 64, 64, 3))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
photo = np.zeros((int(sys.argv[1]), int(sys.argv[2]), 3), np.uint8)
made, _ = photos_lib.carry(photo, film)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.slow
def test_a_large_photo_needs_little_more_than_itself():
    """MiB beyond those of the program itself, for a photo of 12 megapixels (34 MiB) and a small one."""
    command = [sys.executable, "-c", PEAK]
    env = {**os.environ, "JAX_DISABLE_MOST_OPTIMIZATIONS": "0"}  # the programs that users have
    small, large = (
        float(subprocess.run([*command, *shape], capture_output=True, text=True, check=True, env=env).stdout)
        for shape in (("200", "300"), ("3000", "4000"))
    )
    assert large - small < 250


def test_what_a_generator_shows_beside_the_photo_does_not_count():
    rng = np.random.default_rng(1)
    film = rng.uniform(-1, 1, (2, 16, 16, 3)).astype(np.float32)
    mask = framing.fit(photo(), 16).mask
    assert mask.sum(0).tolist() == [10] * 16
    other = np.where(mask[..., None] > 0, film, rng.uniform(-1, 1, film.shape).astype(np.float32))
    np.testing.assert_array_equal(photos_lib.carry(photo(), film)[0], photos_lib.carry(photo(), other)[0])


def test_without_a_photo_candidates_begin_at_random_and_realism_counts(run, generate, tmp_path):
    """The judge takes dark images for real; the cost that is told is the one of the strokes and of its word."""
    dark = with_codes(run, judge=lambda _, images, given: {"logits": [darkness(images)]})
    given = files(tmp_path / "in", PAINT | {"points": [[4, 4], [8, 8]]}, size=[16, 16]) | {"image": ""}
    count = perform(dark, tmp_path / "out", seed=3, realism=2.0, **given)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert not any(name.startswith("photo") for name in names) and "path.webp" in names
    with np.load(tmp_path / "out" / "latents.npz") as saved:
        assert saved["start"].shape == saved["z"].shape == (count, 5)
        found, began, cost = saved["z"], saved["start"], saved["cost"]
    asked = raster.draw(document.read(given["edit"]), (16, 16, 3))
    judged = jax.jit(
        jax.vmap(
            lambda image: constraints.cost(image, asked) + 2 * constraints.realism(darkness(image[None])[0])
        )
    )
    np.testing.assert_allclose(judged(generate(found)), cost, rtol=1e-3)
    assert np.all(cost < judged(generate(began)))


def darkness(images):
    return -10 * jnp.mean(images, (1, 2, 3))


def test_the_film_goes_from_the_start_to_the_best(run, generate):
    editor = edit.editor(run, FEW)
    z = np.float32([0.1, -0.2, 0.3, 0, 0.5])
    asked = raster.draw(
        document.Document("z", (16, 16), (document.Colour(((8, 8),), 6, (0, 255, 0)),)), (16, 16, 3)
    )
    found = editor.follow(editor.begin(1, z), asked, constraints.Weights())
    np.testing.assert_allclose(found.film[0], generate(z[None])[0], atol=1e-5)
    np.testing.assert_allclose(found.film[-1], found.images[0], atol=1e-5)
    np.testing.assert_array_equal(found.begin, np.broadcast_to(z, found.latents.shape))


def test_an_edit_beside_its_photo_is_no_photo_for_the_next_program(run, tmp_path):
    image_files.write(tmp_path / "photo.png", np.zeros((20, 30, 3), np.uint8))
    output = edit.claim(run, str(tmp_path / "out"), str(tmp_path / "photo.png"))
    image_files.write(output / "photo.png", np.zeros((20, 30, 3), np.uint8))
    assert image_files.find(tmp_path) == [tmp_path / "photo.png"]


def test_the_costs_that_are_told_are_those_of_the_best_the_least_and_the_greatest(
    run, tmp_path, monkeypatch, capsys
):
    """Candidates are ranked by more than their costs: the first is not always the one of least cost."""
    follow = edit.Editor.follow

    def other_costs(*given):
        found = follow(*given)
        return found._replace(costs=np.resize(np.float32([0.25, 0.75, 0.125]), len(found.costs)))

    monkeypatch.setattr(edit.Editor, "follow", other_costs)
    settings = FEW._replace(candidates=16, top_k=9, iterations=1)
    count = perform(run, tmp_path / "out", settings=settings, **files(tmp_path / "in", PAINT))
    assert count >= 3
    line = f"{count} of 16 candidates kept: the best at cost 0.2500, all between 0.1250 and 0.7500"
    assert line in capsys.readouterr().out.splitlines()
    page = (tmp_path / "out" / "index.html").read_text()
    assert "by cost<" not in page and "00: cost 0.2500" in page


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"image": "none.png"}, "there is no file none.png"),
        ({"image": "edit.txt"}, "edit.txt is not an image this program reads"),
        ({"edit": "none.json"}, "the edit none.json cannot be read"),
        ({"settings": FEW._replace(candidates=0)}, "candidates=0"),
        ({"settings": FEW._replace(iterations=0)}, "iterations=0"),
        ({"settings": FEW._replace(top_k=0)}, "top_k=0"),
        ({"settings": FEW._replace(frames=1)}, "frames=1: an edit needs 2"),
        ({"starts": 0}, "starts=0"),
        ({"fit": "squash"}, "letterbox, crop"),
        ({"method": "guess"}, "optimise, network, hybrid"),
        ({"realism": -1.0}, "--realism=-1"),
        (
            {"fit": "crop", "strokes": [PAINT | {"points": [[1, 4]], "width": 1}]},
            "beyond the part of the photo",
        ),
        ({"strokes": []}, "0 strokes"),
        ({"strokes": [PAINT | {"points": [[31, 4]]}]}, "outside the canvas of 30 x 20"),
        ({"strokes": [PAINT | {"brush": "spray"}]}, "brush 'spray'"),
        ({"version": 2}, "version 2"),
        ({"space": "w_plus"}, "'w_plus', not for 'z'"),
        ({"size": [20, 40]}, "neither the proportions of the photo of 20 x 30 nor"),
        ({"photo": np.zeros((20, 30, 5), np.uint8), "suffix": "npy"}, "photo.npy has 5 channels"),
        ({"photo": np.zeros((1, 90, 3), np.uint8), "size": [1, 90]}, "--fit=crop would work"),
        ({"image": "", "strokes": [DRAG], "size": [16, 16]}, "no image|there is none"),
        ({"image": ""}, "other proportions"),
    ],
)
def test_mistakes_leave_nothing_behind(run, tmp_path, changes, message):
    changes = dict(changes)
    strokes = changes.pop("strokes", [PAINT | {"points": [[6, 0.5]]}])
    document_ = {k: changes.pop(k) for k in ("version", "space", "size") if k in changes}
    given = files(
        tmp_path / "in",
        *strokes,
        image=changes.pop("photo", None),
        suffix=changes.pop("suffix", "png"),
        **document_,
    )
    with pytest.raises(jgan.UserError, match=message) as told:
        perform(run, tmp_path / "out", **given | changes)
    assert "\n" not in str(told.value) and not (tmp_path / "out").exists()


def test_the_folder_of_the_photo_is_not_written_to(run, tmp_path):
    given = files(tmp_path, PAINT)
    with pytest.raises(jgan.UserError, match="is where the photo lies"):
        perform(run, tmp_path, **given)
    (tmp_path / "file").write_text("")
    with pytest.raises(jgan.UserError, match="cannot be made"):
        perform(run, tmp_path / "file", **given)
