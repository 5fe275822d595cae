"""The table of a sweep, of runs with drawn weights."""

import csv
import pathlib

import numpy as np
import pytest

import jgan
from jgan import trained
from jgan.programs import evaluate
from jgan.programs import report
from jgan.programs import report_table
from jgan.programs import sweep
from jgan.runs import config as run_config

SIZES = {"data.source": "facades", "data.number": 2, "data.val_number": 3, "generator.levels": 2, "steps": 2}


@pytest.fixture(scope="module")
def runs(small_config, drawn_run, tmp_path_factory):
    """A directory with two variants of two seeds, and a third run that is not finished."""
    place = tmp_path_factory.mktemp("sweep")
    for variant in ("a", "b"):
        for seed in range(2):
            (place / variant / f"seed{seed}").mkdir(parents=True)
            drawn_run(str(place / variant / f"seed{seed}"), small_config(**SIZES, seed=seed), 2)
    (place / "c" / "seed0").mkdir(parents=True)
    run_config.write(str(place / "c" / "seed0"), small_config(**SIZES))
    return place


def test_a_table_has_the_means_and_the_differences_of_all_finished_runs(runs):
    text = report.report(str(runs), reference="b")
    rows = {(row["variant"], row["score"]): row for row in csv.DictReader(open(runs / "report.csv"))}
    assert {variant for variant, _ in rows} == {"a", "b"} and {score for _, score in rows} == {
        "l1",
        "psnr",
        "ssim",
    }
    assert rows["a", "l1"]["seeds"] == "2" and rows["b", "l1"]["difference"] == ""
    # The weights of all runs are the same.
    assert float(rows["a", "l1"]["difference"]) == float(rows["a", "l1"]["low"]) == 0
    assert "Not finished: c/seed0" in text and (runs / "report.md").read_text() == text
    page = (runs / "report.html").read_text()
    assert page.count("data:image/png") == 1 and "<b>" in page and "Differences to b" in page


def test_a_palette_gives_the_scores_of_launch_evaluate_and_a_column_for_each_class(runs, tmp_path):
    palette = tmp_path / "palette.json"
    palette.write_text('{"dark|wall": [40, 40, 40], "sky": [200, 220, 250], "none": [255, 0, 255]}')
    text = report.report(str(runs), reference="b", palette=str(palette))
    run = trained.load(str(runs / "a" / "seed0"))
    wanted = evaluate.evaluate(run, palette=str(palette))
    ious = {f"iou_{name}": value for name, value in wanted.pop("iou").items() if value is not None}
    assert len(ious) >= 2
    rows = {(row["variant"], row["score"]): row for row in csv.DictReader(open(runs / "report.csv"))}
    wanted = {name: value for name, value in wanted.items() if name != "examples"} | ious
    assert [score for variant, score in rows if variant == "a"] == list(wanted)
    for name, value in wanted.items():
        assert float(rows["a", name]["mean"]) == pytest.approx(value, abs=1e-6), name
        # The weights of all runs are the same, and so are the resamples.
        assert float(rows["a", name]["low"]) == float(rows["a", name]["high"]) == 0
    assert "iou_dark\\|wall ↑" in text and "with the nearest colour" in text
    (tmp_path / "one.json").write_text('{"sky": [200, 220, 250]}')
    with pytest.raises(jgan.UserError, match="at least two classes"):
        report.report(str(runs), palette=str(tmp_path / "one.json"))


def test_classes_that_no_target_has_have_no_column():
    # Targets are of the first two classes, of which the second is in one example alone.
    counts = np.zeros((2, 3, 3), int)
    counts[0, 0], counts[1, 0], counts[1, 1] = [6, 2, 0], [4, 0, 0], [1, 2, 1]
    made = report_table.Result(("x", "y"), {}, {"": counts}, [], ("wall", "door", "roof"))
    other = made._replace(counts={"": counts + np.array([[[0, 0, 0], [1, 0, 0], [0, 0, 0]]])})
    table = report_table.table(
        {report_table.Place("a", 0, ""): made, report_table.Place("b", 0, ""): other}, "a"
    )  # of the second class there is no score in resamples without its example
    assert list(table["a"]) == ["pixel_accuracy", "class_accuracy", "mean_iou", "iou_wall", "iou_door"]
    assert table["a"]["iou_wall"].mean == 10 / 13 and table["a"]["iou_door"].mean == 2 / 6
    assert table["b"]["iou_door"].difference == pytest.approx(2 / 8 - 2 / 6)
    assert np.isfinite(table["b"]["iou_door"].interval).all()


def result(l1, counts):
    return report_table.Result(("x", "y"), {"l1": np.array(l1)}, {"fcn_": np.array(counts)}, [])


def test_differences_are_paired_by_seeds_and_examples():
    counts = [[[3, 1], [0, 4]], [[2, 2], [1, 3]]]
    results = {
        report_table.Place("low", 0, ""): result([0.1, 0.5], counts),
        report_table.Place("low", 1, ""): result([0.3, 0.7], counts),
        report_table.Place("high", 0, ""): result([0.2, 0.6], counts),
        report_table.Place("high", 2, ""): result([9.0, 9.0], counts),
    }
    table = report_table.table(results, "low")
    assert table["low"]["l1"].mean == pytest.approx(0.4) and table["low"]["l1"].error == pytest.approx(0.1)
    assert table["high"]["l1"].difference == pytest.approx(0.1)  # of seed 0, which both have
    assert table["high"]["l1"].interval == pytest.approx((0.1, 0.1))
    assert table["high"]["fcn_pixel_accuracy"].mean == 12 / 16
    facts = {"paper": {"low": {"fcn_iou": 0.5}}, "source": "someone"}
    blocks = report_table.blocks(table, {"fcn_iou": 0.9}, "low", facts)
    assert [title for title, _, _ in blocks][1:] == [
        "Differences to low",
        "The paper's numbers, of another data set (someone)",
    ]
    scores = {row[0]: row[2:] for row in blocks[0][2]}
    assert scores["low"][0] == "**0.400 ± 0.100**" and scores["high"][0].startswith("4.7")
    assert scores["real photos"][-1] == "0.900"


def test_nothing_and_runs_of_two_systems_are_refused(small_config, small_cyclegan, tmp_path, runs):
    with pytest.raises(jgan.UserError, match="holds no finished run; launch.sweep"):
        report.report(str(tmp_path))
    with pytest.raises(jgan.UserError, match="--reference=z: the variants are a, b"):
        report.report(str(runs), reference="z")
    for name, config in (("a", small_config()), ("b", small_cyclegan())):
        place = tmp_path / name / "seed0"
        (place / "checkpoints" / "4").mkdir(parents=True)
        run_config.write(str(place), config)
    with pytest.raises(jgan.UserError, match="is a run of pix2pix and .* one of cyclegan"):
        report.report(str(tmp_path))
    assert sweep.progress(str(pathlib.Path(tmp_path) / "a" / "seed0")) == 4
