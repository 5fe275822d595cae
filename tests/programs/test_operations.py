"""Changes of latents from files, what an edit makes of them, and a grid of mixtures."""

import jax
import numpy as np
import pytest

import jgan
from jgan.data import images as image_files
from jgan.latent import directions
from jgan.latent import styles
from jgan.programs import edit
from jgan.programs import latents as latents_lib
from jgan.programs import operations
from jgan.programs import projection_files

ROWS, WIDTH = 6, 6


@pytest.fixture(scope="module")
def run(styles_run):
    return styles_run


@pytest.fixture(scope="module")
def latents():
    return np.random.default_rng(0).normal(size=(3, ROWS, WIDTH)).astype(np.float32)


@pytest.fixture
def files(tmp_path, latents):
    """Three projections."""
    (tmp_path / "photos").mkdir()
    for name, x in zip("abc", latents, strict=True):
        np.savez(tmp_path / "photos" / f"{name}.png.npz", w_plus=x)
    return [str(tmp_path / "photos" / f"{name}.png.npz") for name in "abc"]


def applied(run, operation, latent):
    return np.asarray(
        jax.jit(lambda x, given: operation.apply(run.space(), x, given))(latent, operation.given)
    )


def test_what_each_operation_makes_of_a_latent(run, files, latents, tmp_path):
    a, b, c = latents
    mean = run.weights["stats"]["mapping"]["w_avg"]
    rows = np.arange(ROWS)[:, None]
    directions.save(tmp_path / "d.npz", "w", {"one": np.ones(WIDTH, np.float32)})
    large = np.linalg.norm(c - b, axis=1, keepdims=True)
    for operation, expected in (
        (operations.morph(run, files[1], 0.25), 0.75 * a + 0.25 * b),
        (operations.morph(run, files[1], 1.0), b),
        (operations.mix(run, files[1], "coarse"), np.where(rows < 4, b, a)),
        (operations.truncate(run, 0.5), (a + mean) / 2),
        (operations.transfer(run, files[1:], 2.0), a + 2 * (c - b)),
        (
            operations.transfer(run, files[1:], 1.0, 0.9),
            a + np.where(large >= 0.9 * large.max(), c - b, 0),
        ),
        (
            operations.direction(run, str(tmp_path / "d.npz"), "", -2.0, "5"),
            a - 2 * (rows == 5),
        ),
    ):
        np.testing.assert_allclose(applied(run, operation, a), expected, atol=1e-5)


def test_an_edit_may_be_a_mixture_of_two_photos(run, files, latents, tmp_path):
    out = tmp_path / "out"
    change = operations.mix(run, files[1], "0-1")
    settings = edit.Settings(frames=3)
    assert edit.edit_file(run, "", str(out), operation=change, latent=files[0], settings=settings) == 1
    mixed = np.where(np.arange(ROWS)[:, None] < 2, latents[1], latents[0])
    with np.load(out / "latents.npz") as saved:
        np.testing.assert_array_equal(saved["start"], latents[0])
        np.testing.assert_allclose(saved["w_plus"], mixed[None], atol=1e-6)
    made = image_files.read(out / "candidate_00.png")
    expected = np.asarray(jax.jit(run.space().generate)(mixed))
    np.testing.assert_allclose(made, np.clip((expected + 1) * 127.5, 0, 255), atol=0.6)
    assert (out / "path.webp").exists()
    # No strokes: the start and what came of it, and nothing about candidates or costs.
    assert image_files.read(out / "strip.png").shape[1] == 2 * (256 + 2) + 3 * 6
    page = (out / "index.html").read_text()
    assert "changed" in page and "Candidates" not in page and "cost" not in page.lower()
    # What it left is a beginning for the next one.
    np.testing.assert_allclose(operations.one(run, "latent", str(out / "latents.npz")), mixed, atol=1e-6)


def test_a_grid_shows_each_latent_with_rows_of_each(run, files, latents, tmp_path):
    operations.write_grid(run, str(tmp_path / "grid"), "4-5", number=2, latents=str(tmp_path / "photos"))
    picture = image_files.read(tmp_path / "grid" / "mix.png")
    side = 112 + 2
    # A title above each column, a name beside each row, and below them what comes from where.
    margin = picture.shape[1] - (3 * side + 4 * 6)
    assert picture.shape[0] == 26 + 3 * side + 3 * 6 + 26 and margin > 20
    assert np.any(picture[-26:] != picture[-1, -1])
    space = run.space()
    mixed = jax.jit(lambda x, y: space.generate(styles.mix(space, x, y, (4, 5))))(latents[1], latents[0])
    top, left = 26 + 2 * (side + 6) + 1, margin + 6 + (side + 6) + 1
    cell = picture[top : top + 112 : 7, left : left + 112 : 7]
    np.testing.assert_allclose(cell, np.clip((np.asarray(mixed) + 1) * 127.5, 0, 255), atol=0.6)
    operations.write_grid(run, str(tmp_path / "drawn"), "coarse", number=3)
    assert image_files.read(tmp_path / "drawn" / "mix.png").shape[1] > 4 * side + 5 * 6


def test_a_latent_of_another_generator_is_refused(run, latents, tmp_path):
    np.savez(tmp_path / "a.npz", w_plus=latents[0], generator=np.array(run.digest))
    operations.one(run, "latent", str(tmp_path / "a.npz"))
    other = run._replace(weights=jax.tree.map(lambda x: x + 1, run.weights))
    with pytest.raises(jgan.UserError, match=f"another generator, of weights {run.digest}") as caught:
        operations.one(other, "latent", str(tmp_path / "a.npz"))
    assert "\n" not in str(caught.value)


def test_a_latent_of_another_photo_is_refused(latents, tmp_path):
    image, other = tmp_path / "a.png", tmp_path / "b.png"
    for file in (image, other):
        file.write_bytes(file.name.encode())
    file, photo = str(tmp_path / "a.npz"), np.array(projection_files.content(image))
    np.savez(file, w_plus=latents[0], photo=photo, square=np.array([0, 0, 8]))
    latents_lib.check_photo(file, str(image), (0, 0, 8))
    with pytest.raises(jgan.UserError, match="projection of another photo"):
        latents_lib.check_photo(file, str(other), (0, 0, 8))
    with pytest.raises(jgan.UserError, match="its own --fit and --part would work"):
        latents_lib.check_photo(file, str(image), (0, 2, 4))


def test_operations_that_make_no_sense(run, files, tmp_path):
    shared, z = run.within("w"), run.within("z")
    for call, message in (
        (lambda: operations.morph(run, files[1], 1.5), "--amount=1.5: a morph goes from 0"),
        (lambda: operations.morph(run, files[1], float("nan")), "--amount=nan"),
        (lambda: operations.morph(run, str(tmp_path / "no.npz")), "--morph=.* holds no projections"),
        (lambda: operations.morph(run, str(tmp_path / "photos")), "--morph=.*photos is a folder"),
        (lambda: operations.morph(z, files[1]), "no projection onto the space 'z'"),
        (lambda: operations.mix(run, files[1], ""), "--mix needs --rows"),
        (lambda: operations.mix(run, files[1], "7"), "has 6, 0 to 5"),
        (lambda: operations.mix(shared, files[1], "0"), "one style for all layers"),
        (lambda: operations.mix(z, files[1], "0"), "space 'z' hold no styles"),
        (lambda: operations.transfer(run, files[:1]), "two latents would work"),
        (lambda: operations.transfer(run, files[1:], 1.0, 2.0), "--threshold=2"),
        (lambda: operations.transfer(run, files[1:], float("inf")), "--amount=inf"),
        (lambda: operations.truncate(run, float("nan")), "--truncate=nan"),
        (lambda: operations.truncate(z, 0.5), "space 'z' hold no styles"),
        (lambda: operations.write_grid(run, str(tmp_path / "out"), "0", number=1), "--number=1"),
        (lambda: operations.write_grid(shared, str(tmp_path / "out"), "0"), "one style for all layers"),
    ):
        with pytest.raises(jgan.UserError, match=message):
            call()
    assert not (tmp_path / "out").exists()
