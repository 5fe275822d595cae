"""The table of a sweep, of runs with drawn weights."""

import csv
import functools
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from configs import dcgan
import jgan
from jgan import frozen
from jgan import trained
from jgan.programs import classifier
from jgan.programs import evaluate
from jgan.programs import report
from jgan.programs import report_table
from jgan.programs import scoring
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
    for variant in ("a", "b"):
        records = [{"step": step, "val_l1": 0.5, "g_loss": 1.0} for step in (1, 2)]
        (runs / variant / "seed0" / "metrics.jsonl").write_text(
            "".join(json.dumps(one) + "\n" for one in records)
        )
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
    assert "<span>Validation L1</span>" in page and "<span>Generator loss</span>" in page
    # A variant has one colour in tables and curves.
    for colour, variant in (("s0", "a"), ("s1", "b")):
        assert f'<i class="swatch {colour}"></i>{variant}</th>' in page
        assert f'<span class="{colour}">{variant}</span>' in page
    assert "http" not in page.replace("http://www.w3.org", "")


def test_a_palette_gives_the_scores_of_launch_evaluate_and_a_column_for_each_class(runs, tmp_path):
    palette = tmp_path / "palette.json"
    palette.write_text('{"dark|wall": [40, 40, 40], "sky": [200, 220, 250], "none": [255, 0, 255]}')
    # A net whose features are pixels, so that LPIPS needs no file.
    pixels = frozen.Features("pixels", (), lambda params, images: [images], comparable=True)
    text = report.report(str(runs), reference="b", palette=str(palette), features=lambda run: pixels)
    run = trained.load(str(runs / "a" / "seed0"))
    wanted = evaluate.evaluate(run, palette=str(palette), lpips=frozen.lpips(pixels))
    ious = {f"iou_{name}": value for name, value in wanted.pop("iou").items() if value is not None}
    assert len(ious) >= 2
    rows = {(row["variant"], row["score"]): row for row in csv.DictReader(open(runs / "report.csv"))}
    wanted = {name: value for name, value in wanted.items() if name != "examples"} | ious
    assert {score for variant, score in rows if variant == "a"} == wanted.keys() and "lpips" in wanted
    for name, value in wanted.items():
        assert float(rows["a", name]["mean"]) == pytest.approx(value, abs=1e-6), name
        # The weights of all runs are the same, and so are the resamples.
        assert float(rows["a", name]["low"]) == float(rows["a", name]["high"]) == 0
    assert "lpips: pixels." in text and "| lpips ↓ |" in text
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


@pytest.fixture
def draws(drawn_run, tmp_path, monkeypatch):
    """A directory with two variants of two seeds of DCGANs without a predictor; classifiers learn hardly anything."""
    for variant, codes in (("few", 3), ("many", 5)):
        for seed in range(2):
            config = dcgan.get_config("tiny")
            config.update_from_flattened_dict(
                {"data.channels": (3,), "data.number": 9, "latent.nz": codes, "seed": seed, "steps": 2}
            )
            config.update_from_flattened_dict({"predictor.steps": 0, "predictor.warm_steps": 0, "best": ""})
            (tmp_path / variant / f"seed{seed}").mkdir(parents=True)
            drawn_run(str(tmp_path / variant / f"seed{seed}"), config, 2)
    monkeypatch.setattr(classifier, "of_run", functools.partial(classifier.of_run, steps=2))
    return tmp_path


@pytest.mark.slow
def test_runs_that_draw_are_scored_as_sets_by_one_classifier(draws):
    with pytest.raises(
        jgan.UserError, match="a run of dcgan .* no scores of single examples: add --set_scores"
    ):
        report.report(str(draws))
    with pytest.raises(jgan.UserError, match="--palette=x.json: a run of dcgan translates no pictures"):
        report.report(str(draws), palette="x.json", sets=True, number=9)
    text = report.report(str(draws), sets=True, number=9)
    kept = (draws / "classifier.npz").stat().st_mtime_ns
    assert report.report(str(draws), sets=True, number=9) == text  # by the same classifier
    assert (draws / "classifier.npz").stat().st_mtime_ns == kept
    rows = {(row["variant"], row["score"]): row for row in csv.DictReader(open(draws / "report.csv"))}
    run = trained.load(str(draws / "many" / "seed1"))
    wanted = scoring.scores(run, ("sample",), sets=True, number=9, classifier=str(draws / "classifier.npz"))[
        "sample"
    ]
    protocol = wanted.pop("protocol")
    wanted |= {f"lab_intersection_{name}": value for name, value in wanted.pop("lab_intersection").items()}
    del wanted["classifier_kd_error"]
    assert {score for _, score in rows} == wanted.keys()
    for name, value in wanted.items():  # the weights of both seeds are the same
        row = rows["many", name]
        assert float(row["mean"]) == pytest.approx(value, rel=1e-4) and row["seeds"] == "2", name
        assert row["low"] == row["high"] == row["difference"]
    assert f"Real pictures are those of few; {protocol['classifier_fd']}." in text
    assert "classifier_fd ↓" in text and "classifier_precision ↑" in text
    assert (draws / "report.html").read_text().count("data:image/png") == 1


def test_a_score_of_runs_has_students_interval_over_the_seeds_that_both_have():
    def run(value, real=0.9):
        numbers = {"classifier_kd": value, "label_agreement": 0.5, "classifier_accuracy": real}
        return report_table.Result((), {}, {}, [], numbers=numbers | {"classifier_kd_error": 1.0})

    results = {
        report_table.Place(variant, seed, ""): run(value)
        for variant, values in {"a": [0.0011, 0.0013, 0.0012], "b": [0.0021, 0.0022], "c": [0.0015]}.items()
        for seed, value in enumerate(values)
    }
    table = report_table.table(results, "a")
    assert set(table["a"]) == {"classifier_kd", "label_agreement"}
    cell = table["b"]["classifier_kd"]
    assert cell.difference == pytest.approx(0.00095) and cell.runs == 2
    wanted = stats.t.interval(0.95, 1, 0.00095, stats.sem([0.0010, 0.0009]))
    assert cell.interval == pytest.approx(wanted)
    assert table["c"]["classifier_kd"].interval is None
    blocks = report_table.blocks(table, report_table.real(results["a", 0, ""]), "a", {})
    rows = {row[0]: row[2:] for row in blocks[0][2]}
    assert rows["a"][0] == "**0.00120 ± 0.00006**"  # a smaller one is better
    assert rows["real pictures"] == ["", "0.900"]
    assert {row[0]: row[1] for row in blocks[1][2]}["c"] == "+0.00040"


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
    assert scores["real pictures"][-1] == "0.900"


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


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--number=20"], "--number goes with --set_scores, --inception or --lpips alone"),
        (["--resize=tf1", "--set_scores"], "--resize goes with --inception alone"),
        (["--features=vgg.pth"], "--features goes with --lpips alone"),
        (["--inception=none.pth"], "none.pth"),
        (["--palette=none.json"], "--palette=none.json does not exist"),
        (["--set_scores"], "holds no finished run; launch.sweep makes them"),
    ],
)
def test_mistakes_end_in_a_sentence(tmp_path, flags, words):
    command = [sys.executable, "-m", "launch.report", f"--workdir={tmp_path}", *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert not list(tmp_path.iterdir())
