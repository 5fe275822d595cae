"""Archives of drawn pictures: the same as single files, by any number of processes, and longer later."""

import io
import json

import jax
import numpy as np
from PIL import Image
import pytest

from configs import cgan as presets
import jgan
from jgan import trained
from jgan.programs import archive
from jgan.programs import sample
from jgan.programs import sample_archive
from jgan.systems import cgan
from tests.initial_weights import quick_init


@pytest.fixture(scope="module")
def run():
    """A conditional GAN of 8 px, as if it had been loaded."""
    config = presets.get_config()
    config.update_from_flattened_dict(
        {
            "steps": 4,
            "data.size": 8,
            "data.channels": (3,),
            "data.names": ("shoe", "bag", "hat"),
            "latent.nz": 5,
            "generator.ngf": 3,
            "discriminator.ndf": 3,
        }
    )
    system = cgan.build(config)
    batch = {"images": np.zeros((2, 8, 8, 3), np.uint8), "label": np.zeros(2, np.int32)}
    weights = jax.device_get(quick_init(system.init)(jax.random.key(0), batch).weights())
    return trained.Run(config, config.steps, system, {**weights, "frozen": {}, "given": {}})


def draw(run, out, number, share=(0, 1), **options):
    return sample_archive.sample(run, str(out), number=number, batch=4, way=archive.Way(3, share), **options)


def files(out):
    return {path.name: path.read_bytes() for path in out.iterdir()}


def test_an_archive_holds_what_samples_hold_and_goes_on(run, tmp_path):
    sample.write(run, str(tmp_path / "npz"), number=8, seed=5, form="npz")
    out = tmp_path / "out"
    assert draw(run, out, 5, seed=5) == 5
    first = files(out)
    assert draw(run, out, 5, share=(1, 2), seed=5) == 0 and files(out) == first
    assert draw(run, out, 8, seed=5) == 3
    (out / "shard-00002.npz").unlink()
    (out / "shard-00001.npz").unlink()
    assert draw(run, out, 4, share=(1, 2), seed=5) == 5  # with a smaller number what was begun is still made
    assert {name: data for name, data in files(out).items() if name in first and name != "index.jsonl"} == {
        name: data for name, data in first.items() if name != "index.jsonl"
    }
    stored = np.load(tmp_path / "npz" / "samples.npz")
    lines = [json.loads(line) for line in (out / "index.jsonl").read_text().splitlines()]
    assert [line["name"] for line in lines] == [f"{k:06d}" for k in range(8)]
    for k, line in enumerate(lines):
        with np.load(out / line["shard"]) as shard:
            image = np.asarray(Image.open(io.BytesIO(shard[f"pictures/{line['name']}.png"])))
            assert np.abs(image.astype(int) - stored["images"][k]).max() <= 1
            np.testing.assert_array_equal(shard["z"][line["row"]], stored["z"][k])
            assert shard["label"][line["row"]] == stored["label"][k]
            assert shard["space"] == "z" and shard["generator"] == run.digest


def test_what_is_set_is_set_for_all_and_another_archive_is_refused(run, tmp_path):
    draw(run, tmp_path, 3, given=["label=hat"])
    with np.load(tmp_path / "shard-00000.npz") as shard:
        assert shard["label"].tolist() == [2, 2, 2]
    with pytest.raises(jgan.UserError, match="holds an archive with other given"):
        draw(run, tmp_path, 3, given=["label=bag"])
    with pytest.raises(jgan.UserError, match="is an archive: add --archive"):
        sample.write(run, str(tmp_path), number=3)
    with pytest.raises(jgan.UserError, match="--number=0"):
        draw(run, tmp_path, 0)
