"""A finished run as a function and as a program over files."""

import copy
import dataclasses
import os
import types

import jax
import jax.export
import ml_collections
import numpy as np
import pytest

import jgan
from jgan import fields
from jgan.data import framing
from jgan.data import images
from jgan.programs import translate


@pytest.fixture(scope="module")
def workdir(tmp_path_factory, small_config, drawn_run):
    """A run of a net with dropout (a U-Net of six levels) on 64 px facades, of drawn weights."""
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
    drawn_run(path, small_config(**changes), 1)
    return path


@pytest.fixture(scope="module")
def translator(workdir):
    return translate.load(workdir)


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
    laid = images.Picture(rgba[..., :3], rgba[..., 3:]).on_white()
    np.testing.assert_array_equal(translator(rgba), translator(laid))
    with pytest.raises(jgan.UserError, match="7 channels"):
        translator(picture(channels=7))


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_opacity_comes_back_in_files(translator, tmp_path, suffix, capsys):
    rgba = picture(channels=4)
    given = images.Picture(rgba[..., :3], rgba[..., 3:])
    (tmp_path / "in").mkdir()
    images.write(tmp_path / "in" / f"half{suffix}", given)
    images.write(tmp_path / "in" / f"full{suffix}", given._replace(alpha=np.full_like(given.alpha, 255)))
    (tmp_path / "in" / "x.heic").touch()
    translate.files(translator, str(tmp_path / "in"), str(tmp_path / "out"))
    found = images.load(tmp_path / "out" / f"half{suffix}")
    np.testing.assert_array_equal(found.alpha, given.alpha)
    np.testing.assert_array_equal(found.pixels, translator(given.on_white()))
    assert images.load(tmp_path / "out" / f"full{suffix}").alpha is None
    told = capsys.readouterr().out
    assert "1 of 2 pictures: transparent, laid on white" in told and "left out: 1 .heic" in told


def test_pictures_of_twelve_bits_come_back_in_twelve(translator):
    config = copy.deepcopy(translator.config)
    config.data.bits = (12,)
    deep = dataclasses.replace(translator, config=config)
    given = picture(dtype=np.uint16) >> 4
    found = deep(given)
    wide = translator(framing.stretch(given, 12))
    np.testing.assert_array_equal(found, np.rint(wide / 65535 * 4095))
    assert found.dtype == np.uint16 and found.max() <= 4095 < wide.max()


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
    noisy = translate.load(workdir, dropout=True)
    assert np.any(noisy(image, 1) != noisy(image, 2))
    np.testing.assert_array_equal(noisy(image, 1), noisy(image, 1))
    running = translate.load(workdir, statistics="running")
    assert np.any(running(image) != translator(image))
    with pytest.raises(jgan.UserError, match="'mean' is unknown"):
        translate.load(workdir, statistics="mean")


# --- files


def test_files_keep_name_size_and_depth(translator, tmp_path):
    source, output = tmp_path / "in", tmp_path / "out"
    (source / "sub").mkdir(parents=True)
    images.write(source / "a.png", picture())
    images.write(source / "sub" / "b.tif", picture(dtype=np.uint16))
    assert translate.files(translator, str(source), str(output)) == 2
    assert images.read(output / "a.png").shape == (20, 33, 3)
    assert images.read(output / "sub" / "b.tif").dtype == np.uint16


def test_samples_are_drawn_by_dropout(workdir, tmp_path):
    images.write(tmp_path / "a.png", picture(64, 64))
    noisy = translate.load(workdir, dropout=True)
    translate.files(noisy, str(tmp_path / "a.png"), str(tmp_path / "out"), samples=3)
    made = sorted(path.name for path in (tmp_path / "out").glob("*.png"))
    assert made == ["a_1.png", "a_2.png", "a_3.png"]
    one, two = (images.read(tmp_path / "out" / f"a_{k}.png") for k in (1, 2))
    assert np.any(one != two)


def test_a_bad_picture_stops_no_other(translator, tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    images.write(source / "a.png", picture())
    (source / "b.png").write_bytes((source / "a.png").read_bytes()[:200])
    with pytest.raises(jgan.UserError, match="1 of 2 pictures were not translated: .*b.png"):
        translate.files(translator, str(source), str(tmp_path / "out"))
    assert os.listdir(tmp_path / "out") == ["a.png"]


def test_mistakes(translator, tmp_path):
    for arguments, words in (
        ((str(tmp_path / "no"), "out"), "does not exist"),
        ((str(tmp_path), "out"), "holds no images"),
    ):
        with pytest.raises(jgan.UserError, match=words):
            translate.files(translator, *arguments)
    images.write(tmp_path / "a.png", picture())
    with pytest.raises(jgan.UserError, match="name another folder"):
        translate.files(translator, str(tmp_path / "a.png"), str(tmp_path))
    with pytest.raises(jgan.UserError, match="holds no run"):
        translate.load(str(tmp_path))


def test_an_output_in_the_input_is_not_translated_again(translator, tmp_path):
    """The same command twice, and another program's output beside it."""
    for k in range(2):
        images.write(tmp_path / f"{k}.png", picture(8, 8))
    for _ in range(2):
        assert translate.files(translator, str(tmp_path), str(tmp_path / "out")) == 2
        assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == ["0.png", "1.png"]
    assert translate.files(translator, str(tmp_path), str(tmp_path / "deep" / "out")) == 2
    assert not (tmp_path / "out" / "out").exists()


def test_the_output_of_one_picture_is_not_translated_with_the_folder_of_it(translator, tmp_path):
    images.write(tmp_path / "a.png", picture(8, 8))
    assert translate.files(translator, str(tmp_path / "a.png"), str(tmp_path / "one")) == 1
    assert translate.files(translator, str(tmp_path), str(tmp_path / "all")) == 1


def test_an_output_over_the_input_is_refused(translator, tmp_path):
    (tmp_path / "in" / "in").mkdir(parents=True)
    images.write(tmp_path / "in" / "in" / "a.png", picture(8, 8))
    with pytest.raises(jgan.UserError, match="a.png among the input: name another folder"):
        translate.files(translator, str(tmp_path / "in"), str(tmp_path))
    assert os.listdir(tmp_path / "in") == ["in"]


def test_pairs_side_by_side_are_recognised_and_halved_by_a_flag(translator, tmp_path):
    """By a run that was trained on such files; by others they are doubted aloud."""
    both = picture(8, 16)
    images.write(tmp_path / "in.png", both)
    trained_on_pairs = dataclasses.replace(translator, halves=(1.0, 1.0))
    arguments = str(tmp_path / "in.png"), str(tmp_path / "out")
    words = r"1 of 1 .* side by side.*in.png is 16 x 8.*--part=A .* left.*--part=whole"
    with pytest.raises(jgan.UserError, match=words):
        translate.files(trained_on_pairs, *arguments)
    assert not list((tmp_path / "out").glob("*.png"))
    for part, half in (("A", both[:, :8]), ("B", both[:, 8:]), ("whole", both)):
        translate.files(trained_on_pairs, *arguments, part=part)
        np.testing.assert_array_equal(images.read(tmp_path / "out" / "in.png"), translator(half))
    images.write(tmp_path / "in.png", picture(8, 15))
    translate.files(trained_on_pairs, *arguments)  # of another aspect


def test_a_picture_twice_as_wide_is_doubted_where_the_run_does_not_tell(translator, tmp_path, capsys):
    images.write(tmp_path / "in.png", picture(8, 16))
    translate.files(translator, str(tmp_path / "in.png"), str(tmp_path / "out"))
    assert "1 of 1 pictures are twice as wide as high" in capsys.readouterr().out
    translate.files(translator, str(tmp_path / "in.png"), str(tmp_path / "out"), part="whole")
    assert "twice" not in capsys.readouterr().out


def test_the_half_that_is_translated_is_the_input_of_the_direction(both_ways, translator):
    assert (both_ways.part, both_ways.to("BtoA").part, translator.part) == ("A", "B", "A")
    turned = ml_collections.ConfigDict(translator.config.to_dict())
    turned.data.direction = "BtoA"
    assert dataclasses.replace(translator, config=turned).part == "B"


def test_samples_of_a_net_without_dropout_are_refused(both_ways):
    """They would all be the same."""
    workdir = os.path.join(os.path.dirname(both_ways.config.data.root), "run")
    with pytest.raises(jgan.UserError, match="without dropout.*--samples"):
        translate.load(workdir, dropout=True)


def test_a_folder_that_cannot_be_made_costs_only_its_pictures(translator, tmp_path):
    for name in ("a", "b"):
        (tmp_path / "in" / name).mkdir(parents=True)
        images.write(tmp_path / "in" / name / "x.png", picture(8, 8))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").write_text("a file")
    with pytest.raises(jgan.UserError, match="1 of 2 pictures were not translated: .*out/a cannot be used"):
        translate.files(translator, str(tmp_path / "in"), str(tmp_path / "out"))
    assert images.read(tmp_path / "out" / "b" / "x.png").shape == (8, 8, 3)


# --- directions


def test_one_run_answers_both_directions_and_the_round_trip(both_ways):
    there, back = both_ways, both_ways.to("BtoA")
    assert there.name == "AtoB" and there.ways == back.ways == ("AtoB", "BtoA")
    assert back.to("AtoB").name == "AtoB" and back.step == there.step == 2
    image = picture(dtype=np.float32)
    assert there(image).shape == back(image).shape == (20, 33, 3)
    assert np.max(np.abs(there(image) - back(image))) > 1e-4
    one = picture(16, 16, dtype=np.float32)[None]  # no padding: what comes out can go in again
    made = there.run(one)
    np.testing.assert_allclose(made["output"], there.generate(one), atol=1e-6)
    np.testing.assert_allclose(made["back"], back.generate(np.asarray(made["output"])), atol=1e-5)
    assert set(made) == set(back.run(one)) == {"output", "back"}
    assert set(there.run(one, back=False)) == {"output"}


def test_a_direction_can_be_asked_for_by_name(both_ways, tmp_path):
    with pytest.raises(jgan.UserError, match="'CtoA': the run has AtoB and BtoA only"):
        both_ways.to("CtoA")
    images.write(tmp_path / "a.png", picture(16, 16))
    back = both_ways.to("BtoA")
    translate.files(back, str(tmp_path / "a.png"), str(tmp_path / "out"))
    np.testing.assert_array_equal(images.read(tmp_path / "out" / "a.png"), back(picture(16, 16)))


def test_a_run_of_one_direction_has_no_other(translator):
    assert translator.ways == ("AtoB",)
    with pytest.raises(jgan.UserError, match="'BtoA': the run has AtoB only"):
        translator.to("BtoA")


def test_a_strip_of_too_many_values_is_refused():
    many = fields.Label(tuple(f"class {k}" for k in range(101)))
    way = types.SimpleNamespace(controls={"to": many})
    asked = types.SimpleNamespace(way=way, weights={"given": {}})
    with pytest.raises(jgan.UserError, match="shows 100 values of to .*: --set=to=VALUE would work"):
        translate._titles(asked, 0)
    way.controls["to"] = fields.Label(many.names[1:])
    assert len(translate._titles(asked, 0)) == 100
