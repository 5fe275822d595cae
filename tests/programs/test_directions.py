"""Files of directions: made of draws and of photos, shown, followed, and what is refused."""

import json

import jax
import numpy as np
import pytest

import jgan
from jgan import pictures
from jgan.data import images as image_files
from jgan.latent import directions
from jgan.programs import directions as directions_lib
from jgan.programs import draws
from jgan.programs import edit
from jgan.programs import operations

FEW = edit.Settings(frames=3)


@pytest.fixture(scope="module")
def run(small_latent_run):
    return small_latent_run


@pytest.fixture
def file(tmp_path):
    path = str(tmp_path / "directions.npz")
    both = {"first": np.float32([0.3, 0, 0, 0, 0]), "second": np.float32([0, -0.2, 0, 0, 5])}
    directions.save(path, "z", both)
    return path


def test_principal_directions_join_what_a_file_holds(run, file):
    assert directions_lib.write_principal(run, file, 2, number=20) == ["principal_1", "principal_2"]
    found = directions_lib.load_all(run, file)
    assert list(found) == ["first", "second", "principal_1", "principal_2"]
    made = jax.jit(lambda key: directions.of_generator(run.space(), key, 2, 20).vectors)
    np.testing.assert_allclose(
        [found["principal_1"], found["principal_2"]], made(jax.random.key(0)), rtol=1e-3, atol=1e-4
    )
    assert np.array_equal(found["first"], np.float32([0.3, 0, 0, 0, 0]))


def projections(folder, latents):
    folder.mkdir(parents=True)
    for k, z in enumerate(latents):
        np.savez(folder / f"{k}.png.npz", z=z, space=np.array("z"), cost=0.0)
    return str(folder)


def test_a_difference_of_photos_is_that_of_their_means(run, tmp_path):
    a, b = np.random.default_rng(0).uniform(-1, 1, (2, 3, 5)).astype(np.float32)
    smiling, not_smiling = projections(tmp_path / "a" / "deep", a), projections(tmp_path / "b", b[:2])
    path = str(tmp_path / "new" / "d.npz")
    directions_lib.write_difference(run, path, "smile", str(tmp_path / "a"), not_smiling)
    np.testing.assert_allclose(directions_lib.load(run, path, ""), a.mean(0) - b[:2].mean(0), atol=1e-6)
    # Of one photo each it is v3 - v2.
    directions_lib.write_difference(run, path, "step", f"{smiling}/1.png.npz", f"{not_smiling}/0.png.npz")
    np.testing.assert_allclose(directions_lib.load(run, path, "step"), a[1] - b[0], atol=1e-6)
    assert {file.name for file in (tmp_path / "new").iterdir()} == {"d.npz"}


def test_a_file_of_directions_beside_the_projections_is_not_read_as_one(run, tmp_path):
    """The same command twice."""
    latents = np.random.default_rng(0).uniform(-1, 1, (2, 5)).astype(np.float32)
    with_it, without = projections(tmp_path / "a", latents[:1]), projections(tmp_path / "b", latents[1:])
    for _ in range(2):
        directions_lib.write_difference(run, f"{with_it}/d.npz", "smile", with_it, without)
    np.testing.assert_allclose(
        directions_lib.load(run, f"{with_it}/d.npz", "smile"), latents[0] - latents[1], atol=1e-6
    )


@pytest.mark.slow
def test_an_edit_may_be_the_way_along_a_direction(run, file, tmp_path):
    space = run.space()
    out = tmp_path / "out"
    change = operations.direction(run, file, "first", 2.0)
    assert edit.edit_file(run, "", str(out), operation=change, seed=4, settings=FEW) == 1
    z = np.asarray(draws.codes(space, 4, 1)[0])
    moved = np.clip(z + 2 * np.float32([0.3, 0, 0, 0, 0]), -1, 1)
    with np.load(out / "latents.npz") as saved:
        np.testing.assert_allclose(saved["start"], z, atol=1e-6)
        np.testing.assert_allclose(saved["z"], moved[None], atol=1e-5)
    made = image_files.read(out / "candidate_00.png")
    np.testing.assert_allclose(made, (np.asarray(space.generate(moved)) + 1) * 127.5, atol=0.6)
    assert (out / "strip.png").exists() and (out / "index.html").exists()


@pytest.mark.slow
def test_a_photo_follows_a_direction_and_stays_as_it_is_for_an_amount_of_nothing(run, file, tmp_path):
    before = np.random.default_rng(1).integers(0, 256, (12, 18, 3), np.uint8)
    image_files.write(tmp_path / "photo.png", before)
    given = {
        "image": str(tmp_path / "photo.png"),
        "method": "network",
        "feature_weight": 0.0,
        "settings": FEW,
    }
    for amount in (0.0, 1.5):
        out = tmp_path / str(amount)
        change = operations.direction(run, file, "second", amount)
        edit.edit_file(run, "", str(out), operation=change, **given)
        after = image_files.read(out / "photo.png")
        assert after.shape == before.shape
        assert (np.abs(after.astype(int) - before).max() <= 1) == (amount == 0)


def test_directions_are_shown(run, file, tmp_path, monkeypatch):
    grid, beside = pictures.grid, []
    monkeypatch.setattr(
        pictures, "grid", lambda *given, **more: beside.append(more["names"]) or grid(*given, **more)
    )
    directions_lib.show(run, file, str(tmp_path / "all"))
    directions_lib.show(run, file, str(tmp_path / "one"), name="second", number=3)
    assert beside == [["first", "second"], ["second"] * 3]
    sizes = [image_files.read(tmp_path / name / "directions.png").shape for name in ("all", "one")]
    assert sizes[0][0] < sizes[1][0]


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda run, file, out: directions_lib.load(run, file, "third"),
            "--direction=third: .* has first, second",
        ),
        (lambda run, file, out: directions_lib.load(run, file, ""), "has first, second"),
        (lambda run, file, out: directions_lib.load(run, f"{out}/no.npz", ""), "cannot be read"),
        (lambda run, file, out: directions_lib.write_principal(run, file, 0), "--principal=0"),
        (lambda run, file, out: directions_lib.write_principal(run, file, 5, number=5), "1 to 4 directions"),
        (lambda run, file, out: directions_lib.write_principal(run, f"{out}/x.txt", 1), "ends in .npz"),
        (lambda run, file, out: directions_lib.write_difference(run, file, "", file, file), "--name"),
        (
            lambda run, file, out: directions_lib.write_difference(run, file, "a", f"{out}/no", file),
            "--with=.* holds no",
        ),
        (
            lambda run, file, out: directions_lib.write_difference(run, file, "a", file, file),
            "is no projection onto the space 'z'",
        ),
        (
            lambda run, file, out: directions_lib.show(run, file, str(out), amount=float("nan")),
            "--amount=nan",
        ),
        (lambda run, file, out: edit.edit_file(run, "", str(out)), "an edit, an operation or both"),
        (lambda run, file, out: operations.direction(run, file, "x"), "--direction=x"),
        (lambda run, file, out: operations.direction(run, file, "first", float("inf")), "--amount=inf"),
    ],
)
def test_mistakes_are_told_and_leave_nothing_behind(run, file, tmp_path, call, message):
    before, out = open(file, "rb").read(), tmp_path / "out"
    with pytest.raises(jgan.UserError, match=message):
        call(run, file, out)
    assert open(file, "rb").read() == before and not out.exists()


def test_projections_under_other_values_have_no_direction_between_them(run, tmp_path):
    """A latent is a picture only under the values it was found with."""
    for name, given in (("a", {"label": "hat"}), ("b", {})):
        (tmp_path / name).mkdir()
        (tmp_path / name / "projection.json").write_text(json.dumps({"given": given} if given else {}))
    with pytest.raises(jgan.UserError, match="under {'label': 'hat'} and --without=.*b under the defaults"):
        directions_lib.write_difference(
            run, str(tmp_path / "d.npz"), "n", str(tmp_path / "a"), str(tmp_path / "b")
        )
