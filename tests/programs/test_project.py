"""Projection of folders: what is written, what is passed over, what is refused."""

import json
import os

import jax
import numpy as np
from PIL import Image
import pytest

from configs import stylegan2
import jgan
from jgan import trained
from jgan.data import images
from jgan.latent import projection
from jgan.programs import project as project_lib
from tests.changed import with_codes

QUICK = projection.Settings("adam", evaluations=3)


@pytest.fixture(scope="module")
def run(small_latent_run):
    return small_latent_run


@pytest.fixture
def photos(tmp_path):
    """A folder with a square, a wide and a grey photo, one in a folder below."""
    rng, folder = np.random.default_rng(0), tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for name, shape in (("a.png", (20, 20, 3)), ("more/b.png", (16, 40, 3)), ("c.png", (24, 24))):
        Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(folder / name)
    return folder


def test_every_photo_leaves_a_latent_a_picture_and_a_place_on_the_page(run, photos, tmp_path):
    out = tmp_path / "out"
    assert project_lib.project_files(run, str(photos), str(out), settings=QUICK, starts=2, batch=2) == 3
    space = run.space()
    for name, size in (("a.png", (20, 20)), ("more/b.png", (40, 16)), ("c.png", (24, 24))):
        with np.load(out / f"{name}.npz") as saved:
            assert str(saved["space"]) == "z" and saved["z"].shape == (5,) and int(saved["step"]) == 6
            assert int(saved["evaluations"]) == 6  # 2 starts, 3 each
            made = np.asarray(space.generate(saved["z"]))
            np.testing.assert_allclose(saved["reconstruction"], (made + 1) * 127.5, atol=0.51)
        assert Image.open(out / f"{name}.png").size == size
    page = (out / "index.html").read_text()
    assert "more/b.png" in page and page.count("<figure>") == 3
    assert json.loads((out / "projection.json").read_text())["starts"] == 2


def test_what_is_done_is_passed_over_and_a_photo_does_not_depend_on_its_neighbours(
    run, photos, tmp_path, capsys
):
    one, two = tmp_path / "one", tmp_path / "two"
    project_lib.project_files(run, str(photos), str(one), settings=QUICK, batch=2)
    project_lib.project_files(run, str(photos), str(two), settings=QUICK, batch=2)
    (two / "c.png.npz").unlink()
    untouched = (two / "a.png.npz").stat().st_mtime_ns
    capsys.readouterr()
    assert project_lib.project_files(run, str(photos), str(two), settings=QUICK, batch=2) == 1
    told = capsys.readouterr()
    assert "2 of 3 photos are projected already\nprojecting onto z: 1 of 3 photos, 1 at once\n" in told.out
    assert "image 1/1" in told.err  # not before it is written
    assert (two / "a.png.npz").stat().st_mtime_ns == untouched
    with np.load(one / "c.png.npz") as a, np.load(two / "c.png.npz") as b:
        np.testing.assert_allclose(a["z"], b["z"], atol=1e-5)


def test_a_photo_of_another_content_is_projected_anew(run, photos, tmp_path, capsys):
    """Even where the new file has the name, the size and the time of the old one."""
    out = tmp_path / "out"
    arguments = {"settings": QUICK, "batch": 2}
    project_lib.project_files(run, str(photos), str(out), **arguments)
    before = {name: (out / f"{name}.npz").read_bytes() for name in ("a.png", "c.png")}
    whole, time = (photos / "a.png").read_bytes(), (photos / "a.png").stat().st_mtime_ns
    other = np.random.default_rng(1).integers(0, 256, (20, 20, 3), np.uint8)
    Image.fromarray(other).save(photos / "a.png")
    os.utime(photos / "a.png", ns=(time, time))
    assert len(whole) - 100 < (photos / "a.png").stat().st_size < len(whole) + 100
    capsys.readouterr()
    assert project_lib.project_files(run, str(photos), str(out), **arguments) == 1
    told = capsys.readouterr().out
    assert "2 of 3 photos are projected already" in told and "1 of 3 photos have changed since" in told
    assert (out / "a.png.npz").read_bytes() != before["a.png"]
    assert (out / "c.png.npz").read_bytes() == before["c.png"]


def test_an_output_in_the_input_is_not_projected_again(run, photos):
    for expected in (3, 0):
        assert project_lib.project_files(run, str(photos), str(photos / "out"), settings=QUICK) == expected
    assert len(list((photos / "out").rglob("*.npz"))) == 3


def test_the_output_of_one_photo_is_not_projected_with_the_folder_of_it(run, photos):
    assert project_lib.project_files(run, str(photos / "a.png"), str(photos / "one"), settings=QUICK) == 1
    assert project_lib.project_files(run, str(photos), str(photos / "all"), settings=QUICK) == 3


def test_a_photo_of_any_name_and_opacity_has_a_place_on_the_page(run, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    name = os.fsdecode(b"caf\xe9.png")
    rgba = np.random.default_rng(0).integers(0, 256, (16, 16, 4), np.uint8)
    Image.fromarray(rgba).save(tmp_path / "in" / name)
    (tmp_path / "in" / "b.heic").touch()
    assert project_lib.project_files(run, str(tmp_path / "in"), str(tmp_path / "out"), settings=QUICK) == 1
    assert (tmp_path / "out" / f"{name}.npz").exists() and (tmp_path / "out" / f"{name}.png").exists()
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "caf\ufffd.png" in page and page.count("<figure>") == 1
    told = capsys.readouterr().out
    assert "1 of 1 pictures: transparent, laid on white" in told and "left out: 1 .heic" in told


def test_a_photo_of_which_nothing_is_seen_is_refused_and_stops_no_other(run, photos, tmp_path):
    Image.fromarray(np.zeros((1, 200, 3), np.uint8)).save(photos / "row.png")
    out = tmp_path / "out"
    words = "1 of 4 photos were not projected: .*row.png has 1 x 200 pixels .*--fit=crop would work"
    with pytest.raises(jgan.UserError, match=words):
        project_lib.project_files(run, str(photos), str(out), settings=QUICK)
    assert not (out / "row.png.npz").exists() and len(list(out.rglob("*.npz"))) == 3
    crop = project_lib.project_files(
        run, str(photos / "row.png"), str(tmp_path / "crop"), settings=QUICK, fit="crop"
    )
    assert crop == 1


def test_halves_of_pairs_are_projected_by_a_flag(run, tmp_path):
    """By a run that was trained on halves of such files."""
    both = np.random.default_rng(0).integers(0, 256, (16, 32, 3), np.uint8)
    pair, projects = images.Picture(both, name="pair.png"), project_lib.projector(run, settings=QUICK)
    with pytest.raises(jgan.UserError, match="pair.png is 32 x 16 .*--part=A or B"):
        project_lib.view(pair, projects, "letterbox", halves=(1.0, 1.0))
    photo, framed = project_lib.view(pair, projects, "letterbox", part="B", halves=(1.0, 1.0))
    np.testing.assert_array_equal(photo.pixels, both[:, 16:])
    assert framed.mask.all()
    odd = images.Picture(both[:, :1].repeat(33, 1), name="odd.png")
    with pytest.raises(jgan.UserError, match="odd.png is 33 pixels wide"):
        project_lib.view(odd, projects, "letterbox", part="A")


def test_the_weights_of_another_run_are_other_projections(run, photos, tmp_path):
    arguments = str(photos / "a.png"), str(tmp_path / "out")
    project_lib.project_files(run, *arguments, settings=QUICK)
    other = run._replace(
        weights={**run.weights, "params": {**run.weights["params"], "more": {"b": np.ones(1)}}}
    )
    with pytest.raises(jgan.UserError, match="with other weights"):
        project_lib.project_files(other, *arguments, settings=QUICK)


def test_bad_photos_are_passed_over_and_told_at_the_end(run, photos, tmp_path):
    (photos / "broken.png").write_bytes(b"no picture")
    out = tmp_path / "out"
    with pytest.raises(jgan.UserError, match="1 of 4 photos were not projected: .*broken.png"):
        project_lib.project_files(run, str(photos), str(out), settings=QUICK)
    assert len(list(out.rglob("*.npz"))) == 3


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"starts": 0}, "starts=0"),
        ({"fit": "squash"}, "letterbox, crop"),
        ({"method": "guess"}, "optimise, network, hybrid"),
        ({"batch": -1}, "batch=-1"),
        ({"batch": 10**12}, "batch=1000000000000"),
        ({"starts": 10**12}, "starts=1000000000000"),
        ({"feature_weight": float("nan")}, "feature_weight=nan"),
        ({"feature_weight": -1.0}, "feature_weight=-1"),
        ({"settings": QUICK._replace(evaluations=10**12)}, "evaluations=1000000000000"),
        ({"settings": QUICK._replace(learning_rate=float("nan"))}, "learning_rate=nan"),
        ({"settings": QUICK._replace(learning_rate=0.0)}, "learning_rate=0.0"),
        ({"images": "nowhere"}, "does not exist"),
    ],
)
def test_mistakes_leave_nothing_behind(run, photos, tmp_path, changes, message):
    out = tmp_path / "out"
    arguments = {"images": str(photos), "output": str(out), "settings": QUICK, **changes}
    with pytest.raises(jgan.UserError, match=message):
        project_lib.project_files(run, **arguments)
    assert not out.exists()


def test_a_photo_whose_cost_is_not_finite_leaves_no_latent(run, photos, tmp_path):
    broken = run._replace(weights=jax.tree.map(lambda x: x * np.float32("nan"), run.weights))
    with pytest.raises(jgan.UserError, match="1 of 1 photos were not projected: .*a.png has no finite cost"):
        project_lib.project_files(broken, str(photos / "a.png"), str(tmp_path / "out"), settings=QUICK)
    assert not list((tmp_path / "out").glob("*.np*")) and not list((tmp_path / "out").glob("*.png"))


def test_a_folder_of_another_projection_is_refused(run, photos, tmp_path):
    out = tmp_path / "out"
    project_lib.project_files(run, str(photos / "a.png"), str(out), settings=QUICK, method="network")
    with pytest.raises(jgan.UserError, match="with other method"):
        project_lib.project_files(run, str(photos / "a.png"), str(out), settings=QUICK)
    with pytest.raises(jgan.UserError, match="where the images lie"):
        project_lib.project_files(run, str(photos), str(photos), settings=QUICK)


def test_a_run_without_a_predictor_optimises_only(run):
    alone = with_codes(run, predict=None)
    with pytest.raises(jgan.UserError, match="predictor"):
        project_lib.projector(alone, method="hybrid")


def test_margins_of_a_letterbox_do_not_count(run):
    """What is beyond the border changes neither the cost nor where the search goes."""
    projects = project_lib.projector(run, settings=QUICK, batch=2)
    image = np.random.default_rng(1).uniform(-1, 1, (2, 16, 16, 3)).astype(np.float32)
    mask = np.zeros((2, 16, 16), np.float32)
    mask[:, 4:12] = 1
    image[1] = np.where(mask[1][..., None] > 0, image[0], -1)
    pixels_only = project_lib.projector(run, settings=QUICK, batch=2, feature_weight=0.0)
    found, _ = pixels_only(image, mask, [7, 7])
    np.testing.assert_allclose(found.latent[0], found.latent[1], atol=1e-5)
    # D's features do see the margins, of which it is told nothing else than the photo's own last pixels.
    found, _ = projects(image, mask, [7, 7])
    assert np.all(np.isfinite(found.cost))


def test_a_space_declares_how_it_is_searched(run, drawn_run, tmp_path):
    """What is asked for comes before what the space declares, and that before the defaults of all."""
    assert project_lib.choose(run) == {"method": "optimise", "starts": 4, "settings": projection.DEFAULT}
    (tmp_path / "run").mkdir()
    drawn_run(str(tmp_path / "run"), stylegan2.get_config("tiny"), 2)
    drawn = trained.load(str(tmp_path / "run"), latent=True)
    assert project_lib.choose(drawn) == {"method": "optimise", "starts": 4, "settings": projection.DEFAULT}
    rows = project_lib.choose(drawn.within("w_plus"))
    assert (rows["method"], rows["starts"], rows["settings"].optimiser) == ("mean", 1, "adam")
    assert rows["settings"].style_noise == 0.05 and rows["settings"].noise_evaluations == 0
    noisy = project_lib.choose(drawn.within("w_plus_noise"), evaluations=2, style_noise=0.0, starts=None)
    assert noisy["settings"] == rows["settings"]._replace(
        evaluations=2, style_noise=0.0, noise_evaluations=300
    )
    lines = project_lib.choose(drawn.within("w_plus"), optimiser="lbfgs")
    assert lines == {"method": "mean", "starts": 1, "settings": projection.DEFAULT}
    for asked, told in (
        ({"learning_rate": 0.5}, "learning_rate=0.5 has no effect here: optimiser=adam would"),
        ({"noise_regulariser": 1.0, "noise_evaluations": 3}, "noise_evaluations=3 has no effect here"),
        ({"method": "network", "evaluations": 9}, "evaluations=9 has no effect here: method=hybrid would"),
    ):
        with pytest.raises(jgan.UserError, match=told):
            project_lib.choose(run, **asked)
    with pytest.raises(jgan.UserError, match="method=mean is for spaces of styles"):
        project_lib.projector(run, method="mean")


def test_styles_and_maps_of_a_photo_are_written(drawn_run, photos, tmp_path):
    """All that the search needs follows from the name of the space."""
    (tmp_path / "run").mkdir()
    config = stylegan2.get_config("tiny")
    config.data.channels = (3,)
    drawn_run(str(tmp_path / "run"), config, 2)
    drawn = trained.load(str(tmp_path / "run"), latent=True).within("w_plus_noise")
    chosen = project_lib.choose(drawn, evaluations=2, noise_evaluations=3)
    arguments = str(photos / "a.png"), str(tmp_path / "out")
    assert project_lib.project_files(drawn, *arguments, batch=1, **chosen) == 1
    with np.load(tmp_path / "out" / "a.png.npz") as saved:
        assert str(saved["space"]) == "w_plus_noise" and int(saved["evaluations"]) == 5
        noise = tuple(saved[f"w_plus_noise_{k}"] for k in range(5))
        latent = {"noise": noise, "w_plus": saved["w_plus_noise_5"]}
        made = np.asarray(drawn.space().generate(latent))
        np.testing.assert_allclose(
            saved["reconstruction"], np.clip((made + 1) * 127.5, 0, 255), atol=0.51, rtol=0
        )
    told = json.loads((tmp_path / "out" / "projection.json").read_text())["settings"]
    assert told["noise_evaluations"] == 3 and "p_norm" not in told
