"""The table of a sweep of projections, of reconstructions that are known."""

import csv
import json
import types

import numpy as np
import pytest

from configs import dcgan
import jgan
from jgan import trained
from jgan.data import images
from jgan.programs import projection_files
from jgan.programs import report
from jgan.programs import report_projections
from jgan.runs import config as run_config

SHADE = {
    "exact": 0,
    "near": 10,
    "far": 40,
}  # by how many levels of 255 the reconstructions of a variant differ


@pytest.fixture(scope="module")
def run(drawn_run, tmp_path_factory):
    """The directory of a DCGAN of drawn weights."""
    place = tmp_path_factory.mktemp("run")
    config = dcgan.get_config("tiny")
    config.data.channels = (3,)
    drawn_run(str(place), config, 8)
    return str(place)


def projections(place, run, shades=SHADE, seeds=2):
    """A sweep of projections of two photos, one of them wide, whose margins in reconstructions are noise."""
    rng = np.random.default_rng(0)
    (place / "photos").mkdir(parents=True)
    for name, height in (("square.png", 16), ("wide.png", 12)):
        # Blocks of two pixels, so that the wide photo is itself where it is seen.
        images.write(place / "photos" / name, rng.integers(50, 200, (height, 16, 3), np.uint8))
    digest = trained.load(run, latent=True).digest
    names = [f"{variant}/seed{seed}" for variant in shades for seed in range(seeds)]
    for name in names:
        target = place / name
        target.mkdir(parents=True)
        facts = {"step": 8, "weights": digest, "fit": "letterbox"}
        (target / "projection.json").write_text(json.dumps(facts))
        for photo in ("square.png", "wide.png"):
            pixels = images.read(place / "photos" / photo)
            made = rng.integers(0, 256, (16, 16, 3), np.uint8)
            first = (16 - len(pixels)) // 2
            made[first : first + len(pixels)] = pixels + np.uint8(shades[name.split("/")[0]])
            np.savez(
                target / f"{photo}.npz",
                reconstruction=made,
                evaluations=np.array(3 + len(photo)),
                photo=projection_files.content(place / "photos" / photo),
            )
    content = {
        "sweep": "file.py",
        "program": "project",
        "config": run,
        "given": [],
        "images": str(place / "photos"),
        "runs": [*names, "late/seed0"],
        "variants": dict.fromkeys([*shades, "late"], {}),
        "reference": "near",
        "paper": {"exact": {"psnr": 45.0}},
        "source": "someone",
    }
    (place / "sweep.json").write_text(json.dumps(content))
    return place


def test_a_table_has_what_is_known_of_the_photos_alone(run, tmp_path):
    place = projections(tmp_path / "sweep", run)
    text = report.report(str(place))
    rows = {(row["variant"], row["score"]): row for row in csv.DictReader(open(place / "report.csv"))}
    assert {score for _, score in rows} == {"l1", "psnr", "ssim", "cost", "evaluations"}
    value = {key: float(row["mean"]) for key, row in rows.items()}
    for variant, shade in SHADE.items():
        assert value[variant, "l1"] == pytest.approx(shade / 127.5, abs=1e-6)
        assert value[variant, "evaluations"] == 12
    assert value["exact", "psnr"] == 100 and value["exact", "ssim"] == 1
    assert value["near", "psnr"] == pytest.approx(20 * np.log10(255 / 10), abs=1e-4)
    assert value["exact", "cost"] == pytest.approx(0, abs=1e-9)
    assert value["far", "cost"] > value["near", "cost"] > (10 / 127.5) ** 2  # pixels and features
    far = rows["far", "l1"]
    assert float(far["low"]) == pytest.approx(30 / 127.5, abs=1e-6) and far["seeds"] == "2"
    assert rows["near", "l1"]["difference"] == ""
    assert "Not finished: late/seed0" in text and "of another data set (someone)" in text and "45.00" in text
    assert "**100.00" in text and "0.1 of the features of the discriminator" in text
    assert "data:image/png" in (place / "report.html").read_text()


def test_a_photo_that_is_too_narrow_for_ssim_leaves_it_out(run, tmp_path):
    place = projections(tmp_path / "sweep", run, {"near": 10}, seeds=1)
    wide = images.read(place / "photos" / "wide.png")[:6]
    images.write(place / "photos" / "wide.png", wide)
    path = place / "near" / "seed0" / "wide.png.npz"
    saved = dict(np.load(path))
    np.savez(path, **{**saved, "photo": projection_files.content(place / "photos" / "wide.png")})
    report.report(str(place))
    rows = list(csv.DictReader(open(place / "report.csv")))
    assert [row["score"] for row in rows] == ["l1", "psnr", "cost", "evaluations"]


def test_lpips_is_of_the_photo_alone(run, tmp_path, monkeypatch):
    place = projections(tmp_path / "sweep", run, {"exact": 0, "near": 10}, seeds=1)
    monkeypatch.setattr(
        report_projections.frozen, "lpips", lambda net: lambda a, b: np.mean(np.abs(a - b), (1, 2, 3))
    )
    text = report.report(str(place), features=lambda run: types.SimpleNamespace(name="some net"))
    rows = {(row["variant"], row["score"]): row for row in csv.DictReader(open(place / "report.csv"))}
    assert float(rows["exact", "lpips"]["mean"]) == 0 and "lpips: some net." in text
    assert float(rows["near", "lpips"]["mean"]) == pytest.approx((1 + 12 / 16) / 2 * 10 / 127.5, abs=1e-6)


def changed(path, **facts):
    path.write_text(json.dumps(json.loads(path.read_text()) | facts))


def test_what_is_no_table_is_refused(run, tmp_path):
    place = projections(tmp_path / "sweep", run, {"near": 10, "far": 40}, seeds=1)
    with pytest.raises(jgan.UserError, match="--palette goes with a sweep of trainings alone"):
        report.report(str(place), palette="colours.json")
    with pytest.raises(jgan.UserError, match="--number goes with a sweep of trainings alone"):
        report.report(str(place), number=100)
    with pytest.raises(jgan.UserError, match="--reference=x: the variants are near, far"):
        report.report(str(place), reference="x")
    file = place / "far" / "seed0" / "projection.json"
    before = file.read_text()
    changed(file, weights="other")
    with pytest.raises(jgan.UserError, match="near/seed0 and .*far/seed0 are of two generators"):
        report.report(str(place))
    file.write_text(before)
    for one in ("near", "far"):
        changed(place / one / "seed0" / "projection.json", weights="other")
    with pytest.raises(jgan.UserError, match="is another generator by now"):
        report.report(str(place))
    changed(place / "sweep.json", runs=["late/seed0"])
    with pytest.raises(jgan.UserError, match="holds no finished projection: late/seed0 is not finished"):
        report.report(str(place))
    changed(place / "sweep.json", runs=["near/seed0"])
    run_config.write(str(place / "near" / "seed0"), dcgan.get_config("tiny"))
    with pytest.raises(jgan.UserError, match="is a training in a sweep of projections"):
        report.report(str(place))


def test_trainings_and_projections_make_no_table(run, tmp_path):
    place = projections(tmp_path / "sweep", run, {"near": 10}, seeds=1)
    (place / "sweep.json").unlink()
    with pytest.raises(jgan.UserError, match="near/seed0 is a projection of no sweep"):
        report.report(str(place))
    (place / "a" / "seed0" / "checkpoints" / "8").mkdir(parents=True)
    run_config.write(str(place / "a" / "seed0"), dcgan.get_config("tiny"))
    with pytest.raises(jgan.UserError, match="a/seed0 is a training and .*near/seed0 a projection"):
        report.report(str(place))
