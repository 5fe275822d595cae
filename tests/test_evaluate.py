"""A finished run as a function, as scores and as a program over files."""

import json
import math
import os
import pathlib
import subprocess
import sys

import jax
import jax.export
import numpy as np
import pytest

import jgan
from jgan import evaluate
from jgan import train
from jgan.data import images
from jgan.ops import conv
from jgan.systems.system import Translation


@pytest.fixture(scope="module")
def workdir(tmp_path_factory, small_config):
    """One step of a net with dropout (a U-Net of six levels) on 64 px facades."""
    path = str(tmp_path_factory.mktemp("run"))
    changes = {
        "steps": 1,
        "data.source": "facades",
        "data.number": 2,
        "data.val_number": 3,
        "data.size": 64,
        "data.load_size": 64,
        "generator.levels": 6,
        "generator.ngf": 4,
    }
    config = small_config(**changes)
    config.data.channels = ()
    train.train(config, path)
    return path


@pytest.fixture(scope="module")
def translator(workdir):
    return evaluate.load_translator(workdir)


def picture(height=20, width=33, channels=3, dtype=np.uint8):
    rng = np.random.default_rng(0)
    if dtype == np.float32:
        return rng.uniform(-1, 1, (height, width, channels)).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max + 1, (height, width, channels), dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_picture_keeps_size_and_type(translator, dtype):
    output = translator(picture(dtype=dtype))
    assert output.shape == (20, 33, 3) and output.dtype == dtype


def test_grey_and_opacity_are_understood(translator):
    grey = picture(channels=1)
    np.testing.assert_array_equal(translator(grey[..., 0]), translator(np.repeat(grey, 3, -1)))
    rgba = picture(channels=4)
    np.testing.assert_array_equal(translator(rgba), translator(rgba[..., :3]))
    with pytest.raises(jgan.UserError, match="7 channels"):
        translator(picture(channels=7))


def test_the_pure_function_maps_and_jits(translator):
    batch = np.stack([picture(64, 64), picture(64, 64)[::-1]])
    mapped = jax.jit(jax.vmap(translator.translate, (None, 0, None)))
    one = np.asarray(mapped(translator.weights, batch, jax.random.key(0)))
    many = np.asarray(translator.generate(batch))
    np.testing.assert_allclose(one, many, atol=1e-5)


def test_a_translation_can_be_exported_and_loaded(translator):
    def run(weights, images):
        return translator.translate(weights, images, jax.random.key(0))

    images = picture(64, 64)[None]
    exported = jax.export.export(jax.jit(run), platforms=("cpu", "cuda"))(translator.weights, images)
    again = jax.export.deserialize(exported.serialize())
    np.testing.assert_allclose(
        np.asarray(again.call(translator.weights, images)), np.asarray(translator.generate(images)), atol=1e-5
    )


def test_padding_outside_the_program_is_the_padding_inside(translator):
    image = picture(70, 40)[None]
    inside = np.asarray(translator.translate(translator.weights, image, jax.random.key(0)))
    np.testing.assert_allclose(np.asarray(translator.generate(image)), inside, atol=1e-5)


def test_dropout_and_statistics_are_choices(workdir, translator):
    image = picture(64, 64)
    np.testing.assert_array_equal(translator(image, 1), translator(image, 2))
    noisy = evaluate.load_translator(workdir, dropout=True)
    assert np.any(noisy(image, 1) != noisy(image, 2))
    np.testing.assert_array_equal(noisy(image, 1), noisy(image, 1))
    running = evaluate.load_translator(workdir, statistics="running")
    assert np.any(running(image) != translator(image))
    with pytest.raises(jgan.UserError, match="'mean' is unknown"):
        evaluate.load_translator(workdir, statistics="mean")


def test_scores_of_a_perfect_and_of_a_constant_output():
    palette = {"black": (0, 0, 0), "white": (255, 255, 255)}
    target = np.full((16, 16, 3), -1, np.float32)
    target[:8] = 1
    examples = [{"a": target, "b": target}] * 3
    way = Translation("a", "output", "b", "back")
    perfect = evaluate.scores(
        lambda a: {"output": a, "back": -a}, examples, way, palette=palette, batch_size=2
    )
    assert perfect["cycle"] == 2
    assert perfect["l1"] == 0 and perfect["examples"] == 3 and math.isclose(perfect["ssim"], 1)
    assert perfect["mean_iou"] == perfect["pixel_accuracy"] == perfect["class_accuracy"] == 1
    white = evaluate.scores(
        lambda a: {"output": np.ones_like(a)}, examples, way._replace(back=""), palette=palette
    )
    assert "cycle" not in white
    assert white["l1"] == 1 and math.isclose(white["psnr"], 10 * math.log10(4 / 2), rel_tol=1e-6)
    assert white["iou"] == {"black": 0, "white": 0.5} and white["mean_iou"] == 0.25


def test_a_batch_scores_as_its_images_alone(translator):
    alone = evaluate.evaluate(translator)
    together = evaluate.evaluate(translator, batch_size=2)  # 3 images: the last batch is filled up
    assert alone["examples"] == together["examples"] == 3
    for name in ("l1", "psnr", "ssim"):
        assert math.isclose(alone[name], together[name], rel_tol=1e-5)


def test_files_keep_name_size_and_depth(translator, tmp_path):
    source, output = tmp_path / "in", tmp_path / "out"
    (source / "sub").mkdir(parents=True)
    images.write(source / "a.png", picture())
    images.write(source / "sub" / "b.tif", picture(dtype=np.uint16))
    assert evaluate.translate_files(translator, str(source), str(output)) == 2
    assert images.read(output / "a.png").shape == (20, 33, 3)
    assert images.read(output / "sub" / "b.tif").dtype == np.uint16


def test_samples_are_drawn_by_dropout(workdir, tmp_path):
    images.write(tmp_path / "a.png", picture(64, 64))
    noisy = evaluate.load_translator(workdir, dropout=True)
    evaluate.translate_files(noisy, str(tmp_path / "a.png"), str(tmp_path / "out"), samples=3)
    assert sorted(os.listdir(tmp_path / "out")) == ["a_1.png", "a_2.png", "a_3.png"]
    one, two = (images.read(tmp_path / "out" / f"a_{k}.png") for k in (1, 2))
    assert np.any(one != two)


def test_a_bad_picture_stops_no_other(translator, tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    images.write(source / "a.png", picture())
    (source / "b.png").write_bytes((source / "a.png").read_bytes()[:200])
    with pytest.raises(jgan.UserError, match="1 of 2 pictures were not translated: .*b.png"):
        evaluate.translate_files(translator, str(source), str(tmp_path / "out"))
    assert os.listdir(tmp_path / "out") == ["a.png"]


# --- a run that goes both ways


def domains(root, names_b, size=(16, 16)):
    """Folders testA and testB of three small pictures; pairs where the names agree."""
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for side, names in (("A", "xyz"), ("B", names_b)):
            for name in names:
                path = root / f"{split}{side}" / f"{name}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                images.write(path, rng.integers(0, 256, (*size, 3), np.uint8))
    return str(root)


@pytest.fixture(scope="module")
def both_ways(tmp_path_factory, small_cyclegan):
    """The translator of two steps of a CycleGAN on 16 px pictures that are pairs where they are scored."""
    root = tmp_path_factory.mktemp("both")
    changes = {
        "steps": 2,
        "data.root": domains(root / "data", "xyz"),
        "loss.pool_size": 2,
        "ema": 0.9,
        "optimiser.schedule": "constant",  # now its programs are those of tests/test_train.py, and compiled once
    }
    config = small_cyclegan(**changes)
    config.data.channels = ()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conv, "DEFAULT_FORM", "lax")  # it compiles in half the time
        train.train(config, str(root / "run"))
    return evaluate.load_translator(str(root / "run"))


def test_one_run_answers_both_directions_and_the_round_trip(both_ways):
    there, back = both_ways, both_ways.to("BtoA")
    assert there.direction == "AtoB" and there.directions == back.directions == ("AtoB", "BtoA")
    assert back.to("AtoB").direction == "AtoB" and back.step == there.step == 2
    image = picture(dtype=np.float32)
    assert there(image).shape == back(image).shape == (20, 33, 3)
    assert np.max(np.abs(there(image) - back(image))) > 1e-4
    one = picture(16, 16, dtype=np.float32)[None]  # no padding: what comes out can go in again
    made = there.run(one)
    np.testing.assert_allclose(made["fake_b"], there.generate(one), atol=1e-6)
    np.testing.assert_allclose(made["back_a"], back.generate(np.asarray(made["fake_b"])), atol=1e-5)
    assert set(made) == {"fake_b", "back_a"} and set(back.run(one)) == {"fake_a", "back_b"}
    assert set(there.run(one, back=False)) == {"fake_b"}


def test_a_direction_can_be_asked_for_by_name(both_ways, tmp_path):
    with pytest.raises(jgan.UserError, match="'CtoA': the run translates AtoB and BtoA only"):
        both_ways.to("CtoA")
    images.write(tmp_path / "a.png", picture(16, 16))
    back = both_ways.to("BtoA")
    evaluate.translate_files(back, str(tmp_path / "a.png"), str(tmp_path / "out"))
    np.testing.assert_array_equal(images.read(tmp_path / "out" / "a.png"), back(picture(16, 16)))


def test_a_run_of_one_direction_has_no_other(translator):
    assert translator.directions == ("AtoB",)
    with pytest.raises(jgan.UserError, match="'BtoA': the run translates AtoB only"):
        translator.to("BtoA")


def test_pairs_are_scored_in_both_directions(both_ways, tmp_path):
    palette = tmp_path / "palette.json"
    palette.write_text(json.dumps({"dark": [0, 0, 0], "light": [255, 255, 255]}))
    for direction, source in (("AtoB", "A"), ("BtoA", "B")):
        translator = both_ways.to(direction)
        found = evaluate.evaluate(translator, palette=str(palette), batch_size=2)
        assert {"l1", "psnr", "ssim", "cycle", "pixel_accuracy", "mean_iou"} <= set(found)
        assert found["examples"] == 3
        # The cycle error by hand, from one direction's translations and the other's of them.
        other = both_ways.to({"AtoB": "BtoA", "BtoA": "AtoB"}[direction])
        folder = pathlib.Path(both_ways.config.data.root) / f"test{source}"
        photos = np.stack([images.read(folder / f"{name}.png") for name in "xyz"]).astype(np.float32)
        photos = photos / 127.5 - 1
        again = other.generate(np.asarray(translator.generate(photos)))
        assert math.isclose(found["cycle"], np.mean(np.abs(again - photos)), rel_tol=1e-5)


def test_without_pairs_the_cycle_alone_is_scored(both_ways, tmp_path):
    root = domains(tmp_path / "data", "pq")
    for direction, count in (("AtoB", 3), ("BtoA", 2)):
        found = evaluate.evaluate(both_ways.to(direction), data=root)
        assert set(found) == {"cycle", "examples"} and found["examples"] == count
    (tmp_path / "palette.json").write_text(json.dumps({"dark": [0, 0, 0], "light": [255, 255, 255]}))
    with pytest.raises(jgan.UserError, match="compares pairs, and these data have none"):
        evaluate.evaluate(both_ways, data=root, palette=str(tmp_path / "palette.json"))


def test_the_programs_of_a_run_of_two_directions(both_ways, tmp_path):
    """`evaluate` answers for both; a direction that does not exist, and classes of none, end in a sentence."""
    workdir = pathlib.Path(both_ways.config.data.root).parent / "run"

    def program(module, *flags):
        return subprocess.run(
            [sys.executable, "-m", module, f"--workdir={workdir}", *flags],
            capture_output=True,
            text=True,
            timeout=120,
        )

    done = program("launch.evaluate")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found.keys() == {"step", "AtoB", "BtoA"} and found["AtoB"]["examples"] == 3
    for module, flags, words in (
        ("launch.evaluate", ["--direction=AtoC"], "'AtoC': the run translates AtoB and BtoA only"),
        ("launch.evaluate", ["--palette=x.json"], "add --direction=AtoB or --direction=BtoA"),
        ("launch.translate", ["--input=x", "--output=y", "--direction=AtoC"], "'AtoC': the run translates"),
    ):
        done = program(module, *flags)
        assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr


def test_mistakes(workdir, translator, tmp_path):
    for arguments, words in (
        ((str(tmp_path / "no"), "out"), "does not exist"),
        ((str(tmp_path), "out"), "holds no images"),
    ):
        with pytest.raises(jgan.UserError, match=words):
            evaluate.translate_files(translator, *arguments)
    images.write(tmp_path / "a.png", picture())
    with pytest.raises(jgan.UserError, match="name another folder"):
        evaluate.translate_files(translator, str(tmp_path / "a.png"), str(tmp_path))
    with pytest.raises(jgan.UserError, match="holds no run"):
        evaluate.load_translator(str(tmp_path))
    with pytest.raises(jgan.UserError, match="no checkpoint 7"):
        evaluate.load_translator(workdir, step=7)
    with pytest.raises(jgan.UserError, match="--step=last"):
        evaluate.parse_step("last")
