"""The judge of StarGAN's translations: its arithmetic with known readings, and what it is trained and asked with."""

import json
import random

import jax
import numpy as np
import pytest

from benchmarks import attributes as judge
from configs import cgan
from configs import stargan
import jgan
from jgan import trained
from jgan.data import objects
from jgan.data.objects import attributes
from jgan.nets import convnet
from jgan.systems import SYSTEMS

COLOURS = ("red", "green", "blue")
MUGS = attributes.Attributed(16, 60, 1, ("mug",), (*COLOURS, "height"), COLOURS)
NAMES = judge.Names(MUGS.names, COLOURS, objects.FACTORS["mug"])


def truth(source=MUGS):
    labels = np.asarray([source.attributes(i) for i in range(len(source))], np.float32)
    return labels, [source.factors(i) for i in range(len(source))]


def reading(labels, factors):
    return judge.exactly(NAMES, labels, factors)


def changed(name, value):
    """The readings of who knows, of every picture with an attribute set and nothing else changed."""
    labels, factors = truth()
    labels = labels.copy()
    for i, one in enumerate(factors):
        factors[i] = one | attributes.given(random.Random(i), name, value)
    if name in COLOURS:
        labels[:, :3] = 0
    labels[:, MUGS.names.index(name)] = value
    return reading(labels, factors)


def test_who_says_what_is_encoded_is_read_as_it_was():
    labels, factors = truth()
    output = judge.encoded(NAMES, labels, factors)
    output[:, :4] = 20 * output[:, :4] - 10  # logits
    found, known = judge.read(NAMES, output), reading(labels, factors)
    np.testing.assert_array_equal(found.present, known.present)
    assert judge.differences(NAMES, found.values, known.values).max() < 1e-3
    told = judge.trust(NAMES, found, known)
    assert set(told["accuracy"].values()) == {1.0} and max(told["error"].values()) < 1e-2


def test_one_of_what_excludes_each_other_is_present():
    output = np.zeros((2, 4 + len(NAMES.factors) + 2), np.float32)
    output[:, :4] = [[-3, -2, -4, 1], [2, 3, -1, -1]]
    np.testing.assert_array_equal(judge.read(NAMES, output).present, [[0, 1, 0, 1], [0, 1, 0, 0]])


def test_a_hue_goes_round():
    a, b = np.full((2, 1, len(NAMES.all)), 0.95, np.float32)
    b[:] = 0.05
    apart = judge.differences(NAMES, a, b)[0]
    hue = NAMES.all.index("hue")
    assert apart[hue] == pytest.approx(0.1) and np.delete(apart, hue) == pytest.approx(0.9)


def test_a_perfect_translation_reaches_all_and_drifts_nowhere():
    before = reading(*truth())
    outcomes = {name: (name, 1.0, changed(name, 1.0)) for name in MUGS.names}
    outcomes["no height"] = ("height", 0.0, changed("height", 0.0))
    found = judge.report(NAMES, before, outcomes)
    assert found["reached"] == found["reached_from_others"] == 1 and found["drift"] == pytest.approx(0)
    assert set(found["reached_by_target"]) == set(outcomes) and "hue" in found["drift_by_name"]
    json.dumps(found)


def test_who_changes_nothing_reaches_what_was_there_alone():
    before = reading(*truth())
    found = judge.report(NAMES, before, {name: (name, 1.0, before) for name in MUGS.names})
    assert found["reached"] == pytest.approx(before.present.mean()) and found["drift"] == 0
    assert found["reached_from_others"] == 0


def test_any_other_picture_drifts_by_one():
    """All n - 1 others together differ as much as two random pictures: that is the measure."""
    before = reading(*truth())
    n = len(MUGS)
    outcomes = {
        str(k): ("height", 1.0, judge.Reading(*(np.roll(x, k, 0) for x in before))) for k in range(1, n)
    }
    found = judge.report(NAMES, before, outcomes)
    assert found["drift"] == pytest.approx(1, abs=1e-4)
    assert "height" not in found["drift_by_name"] and found["drift_by_name"]["hue"] == pytest.approx(
        1, abs=1e-4
    )


def test_half_a_change_of_one_factor_counts_by_its_share_of_all():
    before = reading(*truth())
    values = before.values.copy()
    k = NAMES.all.index("taper" if "taper" in NAMES.all else NAMES.all[0])
    values[:, k] += 0.5 * judge.at_random(NAMES, before.values)[k]
    found = judge.report(NAMES, before, {"red": ("red", 1.0, judge.Reading(before.present, values))})
    assert found["drift"] == pytest.approx(0.5 / NAMES.left("red").sum(), rel=1e-3)
    # What cannot be seen does not count.
    seen = np.arange(len(NAMES.all)) != k
    found = judge.report(NAMES, before, {"red": ("red", 1.0, judge.Reading(before.present, values))}, seen)
    assert found["drift"] == 0 and NAMES.all[k] not in found["drift_by_name"]


def test_a_colour_leaves_shapes_alone_and_a_shape_leaves_colours_alone():
    left = {name: dict(zip(NAMES.all, NAMES.left(name), strict=True)) for name in ("red", "height")}
    assert not any(left["red"][name] for name in ("hue", "chroma", "tone", "red", "green", "blue"))
    assert left["red"]["height"] and not left["height"]["height"]
    assert all(left["height"][name] for name in ("hue", "chroma", "tone", "red", "green", "blue"))


def test_drawings_with_the_target_stay_and_others_are_drawn_again():
    pictures, labels, _ = judge.drawn(MUGS)
    again = judge.drawn_again(MUGS, 12, "green", 1.0, pictures)
    same = (again == pictures[:12]).all((1, 2, 3))
    np.testing.assert_array_equal(same, labels[:12, 1] == 1)
    other = again[~same].astype(int)
    brightest = [x[x.min(-1) < 200].mean(0).argmax() for x in other]
    assert np.mean(np.asarray(brightest) == 1) > 0.7


def test_targets_of_a_run_and_what_its_translations_become():
    config = stargan.get_config("tiny")
    system = SYSTEMS["stargan"](config)

    def negative(weights, inputs, key=None, *, statistics, dropout=False):
        images = jax.numpy.asarray(inputs["images"], jax.numpy.float32) / 127.5 - 1
        return {"output": -images, "back": images + 0.25}

    way = system.ways["translate"]._replace(run=negative)
    run = trained.Run(config, 4, system._replace(ways={"translate": way}), {})
    judge.check(run, "RUN")
    found = judge.targets(run)
    assert [title for title, *_ in found] == [*COLOURS, "height", "no height"]
    assert [value for _, _, value, _ in found] == [1, 1, 1, 1, 0]
    np.testing.assert_array_equal(found[1][3], [0, 1, 0, np.nan])
    pictures = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3)).astype(np.uint8)
    output, back = judge.translator(run)(pictures, found[0][3])
    np.testing.assert_array_equal(output, 255 - pictures)
    assert np.abs(back - convnet.scaled(pictures)).mean() == pytest.approx(0.25, abs=1e-5)


def test_the_run_s_own_drawings_are_judged():
    data = stargan.get_config("tiny").data
    assert judge.told(data) == NAMES
    source = judge.of(data, 3, 1)
    np.testing.assert_array_equal(
        source[2], attributes.Attributed(16, 3, 1, ("mug",), MUGS.names, COLOURS)[2]
    )


def test_runs_of_other_systems_are_refused():
    for config in (cgan.get_config("tiny"), stargan.get_config("rafd")):
        config.data.names = ("mug", "hat")
        run = trained.Run(config, 3, SYSTEMS[config.system](config), {})
        with pytest.raises(jgan.UserError, match=f"RUN is a run of {config.system} .*would work"):
            judge.check(run, "RUN")


def test_the_convnet_learns_what_a_picture_shows():
    """Plain pictures, whose colour says the attribute, and their brightness the height."""
    labels, factors = truth()
    pictures = np.full((len(MUGS), 16, 16, 3), 60, np.uint8)
    pictures[np.arange(len(MUGS)), :, :, labels[:, :3].argmax(-1)] = 200
    for picture, one in zip(pictures, factors, strict=True):
        picture[: round(16 * one["height"])] //= 2
    params = judge.train(pictures, labels, factors, NAMES, steps=60)
    found = judge.read(NAMES, convnet.predict(params, pictures))
    told = judge.trust(NAMES, found, reading(labels, factors))
    assert min(told["accuracy"][name] for name in COLOURS) > 0.9
    assert told["error"]["height"] < 0.6
