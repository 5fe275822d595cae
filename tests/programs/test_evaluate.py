"""The scores of a run, in one direction and in both, with pairs and without."""

import json
import math
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import jgan
from jgan import trained
from jgan.data import images
from jgan.programs import evaluate
from jgan.systems.system import Way


def run_of(translator):
    """The directory of the run that the fixture `both_ways` is of."""
    return str(pathlib.Path(translator.config.data.root).parent / "run")


def test_scores_of_a_perfect_and_of_a_constant_output():
    palette = {"black": (0, 0, 0), "white": (255, 255, 255)}
    target = np.full((16, 16, 3), -1, np.float32)
    target[:8] = 1
    examples = [{"a": target, "b": target}] * 3
    way = Way(None, inputs=("a",), target="b", returns=("output", "back"))
    pairs = ("l1", "psnr", "ssim")
    perfect = evaluate.scores(
        lambda a, given: {"output": a, "back": -a},
        examples,
        way,
        (*pairs, "cycle"),
        palette=palette,
        batch_size=2,
    )
    assert perfect["cycle"] == 2
    assert perfect["l1"] == 0 and perfect["examples"] == 3 and math.isclose(perfect["ssim"], 1)
    assert perfect["mean_iou"] == perfect["pixel_accuracy"] == perfect["class_accuracy"] == 1
    white = evaluate.scores(
        lambda a, given: {"output": np.ones_like(a)}, examples, way, pairs, palette=palette
    )
    assert "cycle" not in white
    assert white["l1"] == 1 and math.isclose(white["psnr"], 10 * math.log10(4 / 2), rel_tol=1e-6)
    assert white["iou"] == {"black": 0, "white": 0.5} and white["mean_iou"] == 0.25


def test_a_batch_scores_as_its_images_alone(small_config, drawn_run, tmp_path):
    """Of a net with batch norm, whose images are normalised one by one however many pass at once."""
    config = small_config(
        **{"data.source": "facades", "data.number": 2, "data.val_number": 3, "generator.levels": 2}
    )
    drawn_run(str(tmp_path), config, 1)
    run = trained.load(str(tmp_path))
    alone = evaluate.evaluate(run)
    together = evaluate.evaluate(run, batch_size=2)  # 3 images: the last batch is filled up
    assert alone["examples"] == together["examples"] == 3
    for name in ("l1", "psnr", "ssim"):
        assert math.isclose(alone[name], together[name], rel_tol=1e-5)


def test_pairs_are_scored_in_both_directions(both_ways, tmp_path):
    palette = tmp_path / "palette.json"
    palette.write_text(json.dumps({"dark": [0, 0, 0], "light": [255, 255, 255]}))
    for direction, source in (("AtoB", "A"), ("BtoA", "B")):
        translator = both_ways.to(direction)
        found = evaluate.evaluate(
            trained.load(run_of(both_ways)), direction, palette=str(palette), batch_size=2
        )
        assert {"l1", "psnr", "ssim", "cycle", "pixel_accuracy", "mean_iou"} <= set(found)
        assert found["examples"] == 3
        # The cycle error by hand, from one direction's translations and the other's of them.
        other = both_ways.to({"AtoB": "BtoA", "BtoA": "AtoB"}[direction])
        folder = pathlib.Path(both_ways.config.data.root) / f"test{source}"
        photos = np.stack([images.read(folder / f"{name}.png") for name in "xyz"]).astype(np.float32)
        photos = photos / 127.5 - 1
        again = other.generate(np.asarray(translator.generate(photos)))
        assert math.isclose(found["cycle"], np.mean(np.abs(again - photos)), rel_tol=1e-5)


def test_without_pairs_the_cycle_alone_is_scored(both_ways, domains, tmp_path):
    root = domains(tmp_path / "data", "pq")
    for direction, count in (("AtoB", 3), ("BtoA", 2)):
        found = evaluate.evaluate(trained.load(run_of(both_ways)), direction, data=root)
        assert set(found) == {"cycle", "examples"} and found["examples"] == count
    (tmp_path / "palette.json").write_text(json.dumps({"dark": [0, 0, 0], "light": [255, 255, 255]}))
    with pytest.raises(jgan.UserError, match="compares pairs, and these data have none"):
        evaluate.evaluate(trained.load(run_of(both_ways)), data=root, palette=str(tmp_path / "palette.json"))


@pytest.mark.slow
def test_the_programs_of_a_run_of_two_directions(both_ways, tmp_path):
    """`evaluate` answers for both; a direction that does not exist, and classes of none, end in a sentence."""
    workdir = run_of(both_ways)

    def program(module, *flags):
        return subprocess.run(
            [sys.executable, "-m", module, f"--workdir={workdir}", *flags],
            capture_output=True,
            text=True,
            timeout=120,
        )

    done = program("launch.evaluate")
    assert done.returncode == 0, done.stderr
    palette = tmp_path / "palette.json"
    palette.write_text('{"ground": [0, 0, 0]}')
    found = json.loads(done.stdout.splitlines()[-1])
    assert found.keys() == {"step", "AtoB", "BtoA"} and found["AtoB"]["examples"] == 3
    for module, flags, words in (
        ("launch.evaluate", ["--way=AtoC"], "--way=AtoC: the run has AtoB and BtoA only"),
        ("launch.evaluate", [f"--palette={palette}"], "add --way=AtoB or --way=BtoA"),
        (
            "launch.translate",
            [f"--input={tmp_path}", "--output=y", "--way=AtoC"],
            "way 'AtoC': the run has",
        ),
    ):
        done = program(module, *flags)
        assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr
