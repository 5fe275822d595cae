"""The first check of an accelerator: it tells right from wrong, and its programs can be lowered for a GPU."""

import copy
import json
import os
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from benchmarks import accelerator
from benchmarks import accelerator_checks
from benchmarks import accelerator_programs
from jgan.ops import conv
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def checks():
    with jax.default_matmul_precision("highest"):
        yield accelerator_checks.checks()


@pytest.fixture(scope="module")
def expected():
    return json.loads(accelerator.FIGURES.read_text())


def test_a_deviation_is_measured_against_the_size_of_what_deviates(expected):
    figures = expected["gan"]
    assert accelerator.deviation(figures, figures)[0] == 0
    name = "gradients/generator/dense_2/kernel"
    for field, by, error in (
        ("numbers", 0.01 * figures[name]["size"], 0.01),
        ("rms", 0.02 * figures[name]["size"], 0.02),
        ("moved", 0.5 * figures[name]["step"], 50 * accelerator.TOLERANCE),
    ):
        other = copy.deepcopy(figures)
        at = int(np.argmax(np.abs(figures[name]["numbers"])))
        if field == "rms":
            other[name]["rms"] += by
        else:
            other[name][field][at] += by
        assert accelerator.deviation(other, figures) == (pytest.approx(error, rel=1e-6), name)
    other = copy.deepcopy(figures)
    other[name]["numbers"][0] = float("nan")
    assert not accelerator.deviation(other, figures)[0] <= accelerator.TOLERANCE
    del other[name]
    assert not accelerator.deviation(other, figures)[0] <= accelerator.TOLERANCE


def test_a_step_equals_the_figures_and_a_small_mistake_does_not(checks, expected):
    """Another seed's rounding passes; a loss that is off by a thousandth, and a state that is not donated, are seen."""
    found, undonated = accelerator_checks.run(checks["gan"])
    assert undonated == 0 and set(found) == set(expected["gan"])
    assert accelerator.deviation(found, expected["gan"])[0] < accelerator.TOLERANCE / 3

    def wrong(state, batch):
        after, told = checks["gan"].function(state, batch)
        return after, {**told, "g_loss": told["g_loss"] * 1.001}

    found, _ = accelerator_checks.run(checks["gan"]._replace(function=wrong))
    assert accelerator.deviation(found, expected["gan"])[1] == "told/g_loss"


@pytest.mark.slow
def test_every_program_can_be_lowered_for_a_gpu(checks):
    """With convolutions that are XLA's, products that are exact float32, and nothing that only a CPU has."""
    for name, check in checks.items():
        traced = jax.jit(check.function, donate_argnums=0).trace(check.state, check.batch)
        text = traced.lower(lowering_platforms=("cuda",)).as_text()
        convolutions, products = (text.count(f"stablehlo.{x}") for x in ("convolution", "dot_general"))
        # The CPU's forms would be products. What nobody needs is dropped.
        assert (convolutions > 0) == (name != "gan"), name
        assert products <= str(traced.jaxpr).count("dot_general["), name
        assert text.count("HIGHEST") == 2 * (convolutions + products), name
        assert "custom_call" not in text, name


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cyclegan", "dcgan", "projection"])
def test_the_tolerance_lies_between_float32_and_tf32(checks, expected, monkeypatch, name):
    """A fifth of it is more than other products make of the same figures; five times it less than TF32 makes."""

    def error():
        check = checks[name]._replace(function=lambda *args: checks[name].function(*args))
        return accelerator.deviation(accelerator_checks.run(check)[0], expected[name])[0]

    monkeypatch.setattr(conv, "DEFAULT_FORM", "gemm")
    assert error() < accelerator.TOLERANCE / 5
    monkeypatch.setattr(conv, "DEFAULT_FORM", "lax")
    exact = conv._convolution

    def rounded(images, kernel, *args, **options):
        short = (jax.lax.reduce_precision(x, 8, 10) for x in (images, kernel))
        return exact(*short, *args, **options)

    monkeypatch.setattr(conv, "_convolution", rounded)
    assert error() > 5 * accelerator.TOLERANCE


def test_curves_that_part_are_told_from_curves_of_other_seeds():
    rng = np.random.default_rng(0)
    curve, noise = np.linspace(1, 0.5, 10), rng.normal(0, 0.02, (8, 10))
    curves = (curve + noise).tolist()
    assert accelerator_programs.chance(curves[:4], curves[4:]) > 0.1
    apart = (curve + 0.1 + noise[4:]).tolist()
    assert accelerator_programs.chance(curves[:4], apart) == pytest.approx(
        2 / 70
    )  # this way to deal, and its mirror


def performed(parts, seconds):
    """The lines of a run in tiny sizes."""
    command = ["bash", "benchmarks/accelerator.sh", "--tiny", f"--seconds={seconds}", f"--parts={parts}"]
    environment = os.environ | {"PYTHON": sys.executable, "JGAN_CONV": "lax"}
    begun = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert time.monotonic() - begun < seconds + 15
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@pytest.mark.slow
def test_checks_and_steps_run_on_a_cpu_in_tiny_sizes_and_end_in_time():
    """What compilers leave no time for is named."""
    lines = performed("checks,steps", 150)
    assert lines[0]["platform"] == "cpu" and lines[0]["jax"] == jax.__version__
    passed = {line["check"]: line["passed"] for line in lines if "check" in line}
    assert all(passed.values()) and len(passed) == 9
    timed = {x["side"] for x in lines if "images_per_second" in x and x["system"] == "dcgan"}
    assert timed == {"jgan", "pytorch", "pytorch compiled"}
    told = {(x["system"], x["precision"]) for x in lines if "precision" in x}
    systems = {setting.system for setting in accelerator.TINY_SETTINGS}
    assert told == {(s, p) for s in systems for p in ("float32", "bfloat16")}


@pytest.mark.slow
def test_projections_and_losses_run_on_a_cpu_in_tiny_sizes():
    lines = performed("projection,losses", 200)
    projected = {x["side"]: x["images_per_second"] for x in lines if x.get("program") == "projection"}
    assert projected.keys() == {"jgan", "pytorch", "pytorch compiled"} and min(projected.values()) > 0
    chances = {x["loss"]: x["chance"] for x in lines if x.get("program") == "losses"}
    assert chances.keys() == set(accelerator_programs.LOSSES)
    assert all(1 / 35 <= x <= 1 for x in chances.values())
