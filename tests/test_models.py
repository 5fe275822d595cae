"""The models that come with the project: small, as their commands say, and what programs show of them are pictures."""

import json
import pathlib

import jax
import numpy as np
import pytest

from configs import stylegan2
from jgan import trained
from jgan.programs import draws

pytestmark = pytest.mark.usefixtures("quick_convolutions")

ROOT = pathlib.Path(__file__).parent.parent
OBJECTS = ROOT / "models" / "objects64"
SELDOM = ("log_every", "sample_every", "validate_every", "save_every")  # what changes no weight


def flat(config, above=""):
    """{dotted name: value} of nested dicts."""
    fields = {}
    for name, value in config.items():
        fields |= flat(value, f"{above}{name}.") if isinstance(value, dict) else {above + name: value}
    return fields


def test_objects64_is_of_its_preset_and_small():
    assert (OBJECTS / "weights.safetensors").stat().st_size <= 8 * 2**20
    facts = json.loads((OBJECTS / "config.json").read_text())
    preset = json.loads(stylegan2.get_config("objects64").to_json())
    made, asked = flat(facts["config"]), flat(preset)
    asked["data.channels"] = [3]  # found in the data
    assert made.keys() == asked.keys()
    assert {k for k in made if made[k] != asked[k]} <= set(SELDOM)
    assert facts["step"] == made["steps"]


def test_objects64_draws_objects_on_white():
    run = trained.load(str(OBJECTS), latent=True)
    space = run.space()
    codes = jax.tree.map(np.asarray, draws.codes(space, 0, 16))
    images = np.asarray(jax.jit(jax.vmap(space.generate))(codes))
    assert images.shape == (16, 64, 64, 3) and np.isfinite(images).all()
    border = np.concatenate([images[:, :4].reshape(16, -1), images[:, -4:].reshape(16, -1)], 1)
    assert np.mean(np.abs(border - 1) < 0.1) > 0.95
    inside = images[:, 16:48, 16:48]
    assert (np.mean(inside < 0.6, (1, 2, 3)) > 0.2).all()  # there is something in every picture
    assert np.std(images, 0).mean() > 0.1  # and not the same
