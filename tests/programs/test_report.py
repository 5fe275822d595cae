"""The table of a sweep, of runs with drawn weights."""

import csv
import pathlib

import numpy as np
import pytest

import jgan
from jgan.programs import report
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


def result(l1, counts):
    return report.Result(("x", "y"), {"l1": np.array(l1)}, {"fcn_": np.array(counts)}, [])


def test_differences_are_paired_by_seeds_and_examples():
    counts = [[[3, 1], [0, 4]], [[2, 2], [1, 3]]]
    results = {
        report.Place("low", 0, ""): result([0.1, 0.5], counts),
        report.Place("low", 1, ""): result([0.3, 0.7], counts),
        report.Place("high", 0, ""): result([0.2, 0.6], counts),
        report.Place("high", 2, ""): result([9.0, 9.0], counts),
    }
    table = report._table(results, "low")
    assert table["low"]["l1"].mean == pytest.approx(0.4) and table["low"]["l1"].error == pytest.approx(0.1)
    assert table["high"]["l1"].difference == pytest.approx(0.1)  # of seed 0, which both have
    assert table["high"]["l1"].interval == pytest.approx((0.1, 0.1))
    assert table["high"]["fcn_pixel_accuracy"].mean == 12 / 16
    facts = {"paper": {"low": {"fcn_iou": 0.5}}, "source": "someone"}
    blocks = report._blocks(table, {"fcn_iou": 0.9}, "low", facts)
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
