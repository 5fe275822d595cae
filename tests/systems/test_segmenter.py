"""The segmenter: its loss and classes by NumPy, its palette, and how it judges."""

import json

import jax
import numpy as np
import pytest

from configs import segmenter as presets
import jgan
from jgan import trained
from jgan.data import facades
from jgan.metrics import segmentation
from jgan.ops import pixels
from jgan.programs import evaluate
from jgan.programs import judge as judge_lib
from jgan.systems import SYSTEMS
from jgan.systems import segmenter
from tests.initial_weights import quick_init

pytestmark = pytest.mark.usefixtures("quick_convolutions")


def config_of(**changes):
    config = presets.get_config("tiny")
    config.data.channels = (3, 3)
    config.update_from_flattened_dict(changes)
    return config


def drawn(number=2, size=16):
    source = facades.Facades(size, number)
    labels, photos = zip(
        *((x["labels"], x["photo"]) for x in (source[i] for i in range(number))), strict=True
    )
    return {"a": np.stack(photos), "b": np.stack(labels)}


def test_the_config_has_the_palette_of_the_drawn_facades():
    assert presets.FACADES == facades.PALETTE


def test_the_loss_is_the_cross_entropy_of_the_nearest_classes():
    config, batch = config_of(), drawn()
    system = SYSTEMS["segmenter"](config)
    state = quick_init(system.init)(jax.random.key(0), batch)
    _, metrics = jax.jit(system.step, static_argnames="updates")(state, batch, jax.random.key(1), ("seg",))
    made = segmenter.generators.of(config.generator, len(facades.PALETTE), 16, None, logits=True)
    logits, _ = jax.jit(made.apply)(
        state.params["segmenter"], state.stats["segmenter"], pixels.to_float(batch["a"])
    )
    logits = np.asarray(logits, np.float64)
    classes = np.stack([segmentation.nearest(x, facades.PALETTE) for x in batch["b"]])
    log = logits - np.log(np.sum(np.exp(logits), -1, keepdims=True))
    chosen = np.take_along_axis(log, classes[..., None], -1)
    assert float(metrics["loss"]) == pytest.approx(-chosen.mean(), rel=1e-4)
    assert float(metrics["pixel_accuracy"]) == pytest.approx((logits.argmax(-1) == classes).mean(), abs=5e-3)


def test_what_is_found_is_in_colours_of_the_palette():
    config, batch = config_of(), drawn()
    system = SYSTEMS["segmenter"](config)
    state = quick_init(system.init)(jax.random.key(0), batch)
    (way,) = system.ways.values()
    made = np.asarray(jax.jit(way.run)(state.weights(), {"a": batch["a"]})["output"])
    found = {tuple(x) for x in np.rint((made + 1) * 127.5).astype(int).reshape(-1, 3)}
    assert found <= set(facades.PALETTE.values())


def test_a_palette_comes_from_a_file(tmp_path):
    config, path = config_of(**{"data.source": "folder"}), tmp_path / "palette.json"
    with pytest.raises(jgan.UserError, match="named by --config.palette.file"):
        segmentation.take_palette(config)
    path.write_text(json.dumps({"road": [9, 9, 9], "rest": [200, 0, 0]}))
    config.palette.file = str(path)
    segmentation.take_palette(config)
    assert config.palette.names == ("road", "rest") and config.palette.colours == ((9, 9, 9), (200, 0, 0))
    with pytest.raises(jgan.UserError, match="fewer than two classes"):
        segmenter.build(config_of(**{"palette.colours": ((0, 0, 0),)}))


def both(drawn_run, place, config):
    """(the judge of a segmenter, a run of the config), of drawn weights."""
    for name, made in (("run", config), ("seg", config_of())):
        (place / name).mkdir()
        drawn_run(str(place / name), made, 1)
    return judge_lib.Judge(str(place / "seg")), trained.load(str(place / "run"))


def test_a_judge_counts_what_the_segmenter_finds_in_outputs_and_targets(
    small_config, drawn_run, tmp_path, monkeypatch
):
    config = small_config(
        **{"data.source": "facades", "data.number": 2, "data.val_number": 3, "generator.levels": 2}
    )
    judge, run = both(drawn_run, tmp_path, config)
    # A segmenter that finds in every picture the classes of the third label map.
    known = facades.Facades(16, 3, seed=1)[2]["labels"]
    monkeypatch.setattr(judge, "_run", lambda images: np.repeat(known[None], len(images), 0))
    found = evaluate.evaluate(run, judge=judge)
    labels = [
        segmentation.nearest(facades.Facades(16, 3, seed=1)[i]["labels"], facades.PALETTE) for i in range(3)
    ]
    right = np.mean([np.mean(x == labels[2]) for x in labels])
    assert found["fcn_pixel_accuracy"] == found["fcn_real_pixel_accuracy"] == pytest.approx(right)
    assert {"fcn_class_accuracy", "fcn_iou", "fcn_real_iou", "l1"} <= found.keys()


def test_a_judge_is_a_segmenter_and_judges_photos_of_label_maps(small_config, drawn_run, tmp_path):
    config = small_config(**{"data.channels": (3, 1), "generator.levels": 2})
    judge, run = both(drawn_run, tmp_path, config)
    with pytest.raises(jgan.UserError, match="is a run of pix2pix"):
        judge_lib.Judge(str(tmp_path / "run"))
    with pytest.raises(jgan.UserError, match="b would have 3 channels, and it has 1"):
        evaluate.evaluate(run, judge=judge)
