"""Values of controls on the device: codes by a seed, numbers, between two and in a picture; defaults in one shape."""

import json

import jax
import numpy as np
import pytest

from configs import bicyclegan
from configs import cgan
import jgan
from jgan import fields
from jgan import pictures
from jgan import trained
from jgan.data import images
from jgan.latent import paths
from jgan.latent import projection
from jgan.ops import pixels
from jgan.programs import controls
from jgan.programs import draws
from jgan.programs import project
from jgan.programs import sample
from jgan.programs import translate
from jgan.systems import SYSTEMS
from jgan.systems import system
from tests.initial_weights import quick_init


@pytest.fixture(scope="module")
def folder(tmp_path_factory, drawn_run):
    folder = tmp_path_factory.mktemp("run")
    config = bicyclegan.get_config("tiny")
    config.data.channels = (3, 3)
    drawn_run(str(folder), config, config.steps)
    return folder


@pytest.fixture(scope="module")
def made(folder):
    """(the run, its way, its codes as people give them)."""
    translator = translate.load(str(folder))
    return translator.loaded, translator.way, controls.Codes(translator.loaded, translator.way, "z")


def test_a_code_is_a_seed_numbers_or_a_point_on_the_arc_between_two(made):
    run, way, codes = made
    space = run.system.spaces["z"].space(run.weights, {})
    drawn = np.asarray(draws.codes(space, 7, 1)[0])
    np.testing.assert_array_equal(codes.vector(7), drawn)
    np.testing.assert_array_equal(codes.vector(2**32 - 1), draws.codes(space, 2**32 - 1, 1)[0])
    np.testing.assert_array_equal(codes.vector(tuple(drawn.tolist())), drawn)
    np.testing.assert_array_equal(controls.values(run, way, {"z": 7})["z"], drawn)
    other = codes.vector(8)
    arc = np.asarray(paths.spherical(drawn, other, 5))
    for share, there in zip((0, 0.25, 0.5, 0.75, 1), arc, strict=True):
        np.testing.assert_allclose(codes.vector(fields.Between(7, 8, share)), there, atol=1e-6)
    with pytest.raises(jgan.UserError, match="has 2 numbers: those of this run have 8"):
        codes.vector((1.0, 2.0))


def test_set_takes_the_style_of_a_file(made, folder, tmp_path):
    run, _, codes = made
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    images.write(tmp_path / "style.png", picture)
    found = codes.encode(picture)
    predicted = run.system.spaces["z"].predict(run.weights, np.float32(picture[None]) / 127.5 - 1, {})[0]
    np.testing.assert_allclose(found, predicted, atol=1e-5)
    translator = translate.load(str(folder), given=[f"z={tmp_path / 'style.png'}"])
    np.testing.assert_array_equal(translator.weights["given"]["z"], found)
    for text in (tmp_path / "none.png", folder / "config.json"):
        with pytest.raises(jgan.UserError):
            translate.load(str(folder), given=[f"z={text}"])


def test_a_strip_names_the_seeds_of_its_codes_and_none_where_one_is_set(folder):
    assert translate._titles(translate.load(str(folder)), 0) == [(f"z={k}", k) for k in range(4)]
    assert translate._titles(translate.load(str(folder), given=["z=0"]), 0) == [("output", None)]


@pytest.mark.parametrize("inputs", [(), ("images",)])
def test_what_is_not_set_stands_at_its_default_in_the_same_shapes(inputs):
    look = fields.Attributes(("red", "blue", "striped"), exclusive=("red", "blue"))
    label, amount = fields.Label(("cat", "dog")), fields.Amount(0.1, 1.0, 0.7)
    declared = {"label": label, "look": look, "amount": amount, "z": fields.Code(("z",))}
    way = system.Way(run=lambda: None, inputs=inputs, controls=declared)
    standing = controls.standing(way)
    open_or_absent = [np.nan] * 3 if inputs else [1, 0, 0]
    np.testing.assert_array_equal(standing["look"], np.float32(open_or_absent))
    assert standing["label"] == 0 and standing["amount"] == np.float32(0.7) and "z" not in standing
    asked = fields.check(declared, {"label": "dog", "look": {"blue": 1}, "amount": 0.1})
    given = controls.given(way, asked)
    np.testing.assert_array_equal(given["look"], np.float32([0, 1, np.nan if inputs else 0]))
    assert given["label"] == 1
    told = controls.as_json(way, given)
    look = {"red": 0.0, "blue": 1.0} | ({} if inputs else {"striped": 0.0})
    assert told == {"label": "dog", "look": look, "amount": 0.1}
    shown = "red=0,blue=1" if inputs else "red=0,blue=1,striped=0"
    assert controls.told(way, told) == f"label=dog, look={shown}, amount=0.1" and not controls.told(way, {})
    again = controls.given(way, fields.check(declared, told))
    assert all(np.array_equal(again[name], given[name], equal_nan=True) for name in given)
    for name, value in standing.items():
        assert (given[name].shape, given[name].dtype) == (value.shape, value.dtype)


def test_a_run_under_a_class_projects_onto_its_pictures_and_says_so(tmp_path, monkeypatch):
    config = cgan.get_config("tiny")
    config.data.channels, config.data.names = (3,), ("shoe", "hat")
    made = SYSTEMS["cgan"](config)
    shapes = {n: np.zeros(x.shape, x.dtype) for n, x in trained.batch_shape(config).items()}
    weights = quick_init(made.init)(jax.random.key(0), shapes).weights()
    run = trained.Run(config, config.steps, made, weights | {"given": {}})
    hat = controls.under(run, ["label=hat"])
    code = draws.codes(run.space(), 3, 1)[0]
    expected = run.way().run(run.weights, {"z": code[None], "label": np.array([1], np.int32)})["output"][0]
    np.testing.assert_allclose(hat.space().generate(code), expected, atol=1e-5)
    assert np.isfinite(expected).all() and np.abs(run.space().generate(code) - expected).max() > 1e-4
    assert controls.under(run, []) is run
    (tmp_path / "photos").mkdir()
    images.write(tmp_path / "photos" / "a.png", np.zeros((16, 16, 3), np.uint8))
    quick = projection.Settings(optimiser="adam", evaluations=2)
    project.project_files(hat, str(tmp_path / "photos"), str(tmp_path / "out"), settings=quick)
    told = json.loads((tmp_path / "out" / "projection.json").read_text())
    assert told["given"] == {"label": "hat", "truncation": 1.0}
    assert "; under label=hat, truncation=1." in (tmp_path / "out" / "index.html").read_text()
    with np.load(tmp_path / "out" / "a.png.npz") as saved:
        made = pixels.from_float(hat.space().generate(saved["z"]), np.uint8)
        np.testing.assert_allclose(saved["reconstruction"], np.float32(made), atol=1)
    below = []
    monkeypatch.setattr(
        pictures, "mosaic", lambda x, title, *, caption: below.append(caption) or np.uint8(x[0])
    )
    for given in (["label=hat", "truncation=0.7"], []):
        sample.write(run, str(tmp_path / "drawn"), number=2, form="grid", given=given)
    assert below == ["label=hat, truncation=0.7", ""]
    with pytest.raises(jgan.UserError, match="with other given"):
        project.project_files(run, str(tmp_path / "photos"), str(tmp_path / "out"), settings=quick)
    with pytest.raises(jgan.UserError, match="'boot' is none of the classes: shoe, hat would work"):
        controls.under(run, ["label=boot"])
    with pytest.raises(jgan.UserError, match="there is no 'z'"):
        controls.under(run, ["z=3"])
