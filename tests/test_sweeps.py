"""Sweeps as values: how variants are composed, and what none may be."""

import importlib
import pathlib

import pytest

import jgan
from jgan import sweeps

ROOT = pathlib.Path(__file__).parent.parent
FILES = sorted(p.stem for p in (ROOT / "configs" / "sweeps").glob("*.py") if p.stem != "common")
A = sweeps.named("x", {"one": 1, "two": 2})
B = sweeps.named("y.z", {"on": True, "off": False})


def test_a_product_is_every_variant_with_every_other():
    made = sweeps.product(A, B)
    assert [name for name, _ in made] == ["one_on", "one_off", "two_on", "two_off"]
    assert dict(made)["two_on"] == {"x": 2, "y.z": True}


def test_a_zip_is_one_variant_with_one_other():
    assert sweeps.zipped(A, B) == (("one_on", {"x": 1, "y.z": True}), ("two_off", {"x": 2, "y.z": False}))


def test_seeds_lie_below_their_variants():
    assert sweeps.seeds(A[:1], 2) == (("one/seed0", {"x": 1, "seed": 0}), ("one/seed1", {"x": 1, "seed": 1}))


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: sweeps.product(A, A), "two parts of the sweep set x"),
        (lambda: sweeps.zipped(A, B[:1]), "a zip of 2 and 1 variants"),
        (lambda: sweeps.check(sweeps.Sweep("c.py", ())), "no variants"),
        (lambda: sweeps.check(sweeps.Sweep("c.py", A + A)), "two variants have the name 'one'"),
        (lambda: sweeps.check(sweeps.Sweep("c.py", (("../x", {}),))), "the name of a directory"),
        (lambda: sweeps.check(sweeps.Sweep("c.py", A, reference="three")), "'three' is no variant"),
    ],
)
def test_what_makes_no_sense_is_refused(make, words):
    with pytest.raises(jgan.UserError, match=words):
        make()


@pytest.mark.parametrize("name", FILES)
def test_a_ready_sweep_is_one_and_its_paper_has_its_variants(name):
    made = importlib.import_module(f"configs.sweeps.{name}").get_sweep()
    variants = dict(sweeps.check(made).variants).keys()
    assert not made.paper or made.paper.keys() == variants
