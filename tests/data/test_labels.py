"""Labels are categories: no picture that is trained on, scored or shown has a class that is in no file."""

import json
import types

import jax.numpy as jnp
import numpy as np
import pytest

from configs import cyclegan
from configs import pix2pix
import jgan
from jgan import pictures
from jgan import trained
from jgan.data import images
from jgan.data import pipeline
from jgan.programs import evaluate
from jgan.systems import system
from tests import cells

CLASSES = {"black": [0, 0, 0], "white": [255, 255, 255], "grey": [128, 128, 128]}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Two pairs of 30 x 23 pixels in each split: A a photo, B labels in pure black and white."""
    top, rng = tmp_path_factory.mktemp("labels"), np.random.default_rng(0)
    for split in ("train", "val"):
        for name in "xy":
            photo = rng.integers(0, 256, (23, 30, 3), np.uint8)
            labels = np.repeat(rng.integers(0, 2, (23, 30, 1), np.uint8) * np.uint8(255), 3, -1)
            for side, picture in (("A", photo), ("B", labels)):
                path = top / split / side / f"{name}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                images.write(path, picture)
    return str(top)


def config(root, presets=pix2pix, **changes):
    data = presets.get_config().data
    data.update(root=root, size=16, load_size=18, val_split="val", **changes)
    return data


def values(planes):
    return set(np.unique(planes).tolist())


@pytest.mark.parametrize(
    "changes, side",
    [({"labels": "b"}, "b"), ({"labels": "a", "direction": "BtoA"}, "a"), ({"labels": "ab"}, "b")],
)
def test_the_side_that_holds_labels_has_the_classes_of_its_files_alone(root, changes, side):
    data = config(root, **changes)
    batch = next(pipeline.train(data, batch_size=4, seed=0).batches())
    whole = pipeline.evaluation(data, "val")[0]
    for found in (batch, whole):
        assert values(found[side]) == {0, 255}
        other = found["ab".replace(side, "")]
        assert len(values(other)) > 50  # a photo


def test_a_domain_may_hold_labels_too(root):
    data = config(root, cyclegan, labels="b")
    assert values(next(pipeline.train(data, batch_size=2, seed=0).batches())["b"]) == {0, 255}
    assert values(pipeline.evaluation(data, "val")[0]["b"]) == {0, 255}


def test_without_labels_pictures_are_resized_smoothly(root):
    assert len(values(next(pipeline.train(config(root), batch_size=1, seed=0).batches())["b"])) > 50


def test_a_palette_makes_the_targets_classes(root, tmp_path):
    """Whatever the run was trained with, and at any size that is asked for."""
    (tmp_path / "palette.json").write_text(json.dumps(CLASSES))
    seen = []

    def black(weights, inputs, key, **options):
        seen.append(inputs["a"].shape)
        return {"output": jnp.full((*inputs["a"].shape[:3], 3), -1.0)}

    way = system.Way(black, inputs=("a",), target="b")
    fields = {"data": config(root)}
    parts = system.System(None, None, None, {"AtoB": way})
    run = trained.Run(types.SimpleNamespace(**fields), 1, parts, {})
    for size in (None, 13):
        found = evaluate.evaluate(run, size=size, palette=str(tmp_path / "palette.json"))
        assert found["iou"]["grey"] is None  # in no target
        assert seen[-1][1] == (size or 16)
    assert not fields["data"].labels


def test_labels_of_pairs_that_are_made_and_unknown_sides_are_refused(root):
    with pytest.raises(jgan.UserError, match="data.labels=b is for pairs in files"):
        pipeline.train(config(root, labels="b", pair="edges"), batch_size=1, seed=0)
    with pytest.raises(jgan.UserError, match="data.labels is 'target': one of '', a, b, ab"):
        pipeline.train(config(root, labels="target"), batch_size=1, seed=0)


def test_a_grid_mixes_no_classes():
    """Large pictures are reduced in it."""
    stripes = np.zeros((700, 700, 3), np.uint8)
    stripes[::2] = 255
    shown = cells.cells(pictures.grid([[stripes, stripes]], ("a", "b"), (False, True)))[0]
    assert values(shown[1]) == {0, 255} and len(values(shown[0])) > 2
