"""The judge of directions: its arithmetic with known readings, and the directions it finds of known latents."""

import numpy as np
import pytest

from benchmarks import attributes
from benchmarks import directions as judge
from configs import stylegan2
import jgan
from jgan import trained
from jgan.data import objects
from jgan.systems import SYSTEMS

MUGS = objects.Objects(16, 40, 1, ("mug",))
NAMES = judge.told(("mug",))
FACTORS = [MUGS.factors(i) for i in range(len(MUGS))]
LABELS = np.ones((len(MUGS), 1), np.float32)
TRUTH = attributes.exactly(NAMES, LABELS, FACTORS)
APART = attributes.at_random(NAMES, TRUTH.values)


def steps(by, also=0.0):
    """Readings along a direction that moves the height by `by` in all and, for a share of them, the tone by `also`."""
    made = []
    for t in np.linspace(0, 1, judge.STEPS):
        values = TRUTH.values.copy()
        values[:, NAMES.all.index("height")] += t * by
        values[:, NAMES.all.index("tone")] += t * also
        made.append(attributes.Reading(TRUTH.present, values))
    return made


def test_a_clean_direction_passes_and_its_change_is_told_in_random_differences():
    found = judge.report(NAMES, {"height": steps(0.3)}, APART, NAMES.factors)
    place = NAMES.all.index("height")
    np.testing.assert_allclose(found["moved"]["height"], 0.3 / APART[place], rtol=1e-4)
    assert found["monotone"]["height"] and found["worst"]["height"] < 1e-6
    assert found["family_kept"]["height"] == 1 and found["passed"] == ["height"]


def test_another_factor_that_moves_by_a_quarter_does_not_pass():
    tone, height = (APART[NAMES.all.index(name)] for name in ("tone", "height"))
    for share, passed in ((0.2, ["height"]), (0.3, []), (-0.3, [])):
        also = share * 0.3 / height * tone
        found = judge.report(NAMES, {"height": steps(0.3, also)}, APART, NAMES.factors)
        np.testing.assert_allclose(found["others"]["height"]["tone"], abs(share), rtol=1e-3)
        assert found["passed"] == passed


def test_a_factor_that_falls_on_the_way_is_not_monotone():
    there = steps(0.3)
    there[3], there[4] = there[4], there[3]
    found = judge.report(NAMES, {"height": there}, APART, NAMES.factors)
    assert not found["monotone"]["height"] and found["passed"] == []


def test_directions_of_latents_that_hold_the_factors_are_free_of_each_other():
    """Latents are random mixtures of what is known: a direction changes its factor and no other one."""
    rng = np.random.default_rng(0)
    known = attributes.encoded(NAMES, LABELS, FACTORS)
    mixture = np.linalg.qr(rng.normal(size=(known.shape[1], 30)).T)[0].T
    latents = known @ mixture + 0.001 * rng.normal(size=(len(known), 30))
    moved = ("height", "tone", "hue")
    found = judge.directions(NAMES, latents.astype(np.float32), known, moved)
    assert set(found) == {"height", "tone"}
    for name, vector in found.items():
        change = mixture @ np.asarray(vector)  # of what is known, since the rows are orthogonal
        k = len(NAMES.attributes)
        own, other = (change[k + NAMES.factors.index(x)] for x in (name, *({*found} - {name})))
        assert own > 0 and abs(other) < 0.1 * own


def test_only_runs_with_styles_of_drawn_objects_are_measured():
    config = stylegan2.get_config("tiny")
    config.data.channels = (3,)
    run = trained.Run(config, 1, SYSTEMS["stylegan2"](config), {})
    judge.check(run, "RUN")
    config.data.source = "folder"
    with pytest.raises(jgan.UserError, match="without styles of drawn objects"):
        judge.check(run, "RUN")
