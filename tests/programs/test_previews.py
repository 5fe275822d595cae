"""What a run does with its validation split: looked at before the first step, scored with few programs."""

import jax
import numpy as np
import pytest

import jgan
from jgan import trained
from jgan.data import framing
from jgan.data import images
from jgan.programs import previews
from jgan.programs import translator
from tests.initial_weights import quick_init


def pair(root, split, name, size=(16, 16), channels=(3, 3), suffix=".png"):
    rng = np.random.default_rng(len(name))
    for side, count in zip("AB", channels, strict=True):
        path = root / split / side / f"{name}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        images.write(path, rng.integers(0, 256, (*size, count), np.uint8))


@pytest.fixture
def opened(small_config):
    """`(root, **changes) -> (config, system, held out)` of a small pix2pix on a folder."""

    def make(root, **changes):
        changes = {"data.source": "folder", "data.root": str(root), "generator.levels": 2, **changes}
        config = small_config(**{"discriminator.n_layers": 1, **changes})
        system = trained.SYSTEMS[config.system](config)
        return config, system, previews.held_out(config, system)

    return make


def test_pictures_of_other_channels_are_adapted_as_translate_adapts_them(opened, tmp_path):
    pair(tmp_path, "val", "grey", channels=(1, 3))
    pair(tmp_path, "val", "rgba", channels=(4, 3))
    _, _, held = opened(tmp_path)
    assert held.facts["channels"] == (3, 3)
    for example, name in ((held[0], "grey"), (held[1], "rgba")):
        assert example["a"].shape == example["b"].shape == (16, 16, 3)
        expected = framing.with_channels(images.read(tmp_path / "val" / "A" / f"{name}.png"), 3)
        np.testing.assert_array_equal(example["a"], expected)


@pytest.mark.parametrize("side", ["a", "b"])
def test_pictures_that_the_net_cannot_take_are_named_before_the_first_step(opened, tmp_path, side):
    pair(tmp_path, "val", "good", suffix=".npy")
    pair(tmp_path, "val", "odd", channels=(7, 3) if side == "a" else (3, 7), suffix=".npy")
    with pytest.raises(jgan.UserError, match=f"{side.upper()}/odd.npy has 7 channels and the run takes 3"):
        opened(tmp_path)
    with pytest.raises(jgan.UserError, match=f"{side.upper()}/odd.npy"):
        opened(tmp_path, **{"data.direction": "BtoA"})
    _, _, held = opened(tmp_path, **{"data.skip_bad": True})
    assert held.names == ["good"]


def test_a_broken_picture_is_named_before_the_first_step(opened, tmp_path):
    pair(tmp_path, "val", "torn")
    path = tmp_path / "val" / "A" / "torn.png"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(jgan.UserError, match="torn.png"):
        opened(tmp_path)


def test_pictures_too_small_for_the_scores_are_named_before_the_first_step(opened, tmp_path):
    pair(tmp_path, "val", "tiny", size=(8, 40))
    with pytest.raises(
        jgan.UserError, match="tiny of split 'val' has 40x8 pixels: validation needs 11 a side"
    ):
        opened(tmp_path, **{"data.jitter": "crop"})
    opened(tmp_path)  # where all are resized


def test_without_a_validation_split_a_run_says_so_and_is_not_validated(opened, tmp_path):
    pair(tmp_path, "train", "x")
    config, system, held = opened(tmp_path)
    assert "no split 'val'" in held
    made = previews.Previews(config, system, None, None, None)
    assert made.scores({}, 1) is None


def test_pictures_of_many_sizes_are_scored_and_shown_by_one_program_a_size_class(opened, tmp_path):
    """The net takes multiples of 4 pixels; what is scored is the picture without the padding."""
    sizes = [(height, width) for height in (13, 14, 15, 16) for width in (17, 19, 20)]
    for k, size in enumerate(sizes):
        pair(tmp_path, "val", f"{k:02d}", size=size)
    config, system, held = opened(tmp_path, **{"data.jitter": "crop"})
    state = quick_init(system.init)(
        jax.random.key(0),
        {name: np.zeros(x.shape, x.dtype) for name, x in trained.batch_shape(config).items()},
    )
    weights = state.weights()
    make = jax.jit(
        lambda weights, inputs, key, way, statistics: system.ways[way].run(
            weights, inputs, key, statistics=statistics
        ),
        static_argnames=("way", "statistics"),
    )
    shown = previews.Previews(config, system, held, make, None)
    scores = shown.scores(weights, 1)
    assert make._cache_size() == 1
    grid = shown.pictures(weights, 1)[""]
    assert grid.dtype == np.uint8 and make._cache_size() == 1

    def generate(weights, inputs):
        return make(weights, inputs, jax.random.key(0), way="AtoB", statistics="image")

    inside = [np.asarray(generate(weights, {"a": held[i]["a"][None]})["output"])[0] for i in (0, 11)]
    for i, expected in zip((0, 11), inside, strict=True):
        padded = translator.padded(lambda x: generate(weights, {"a": x}), held[i]["a"][None], 4)
        np.testing.assert_allclose(np.asarray(padded["output"])[0], expected, atol=1e-5)
    assert 0 < scores["l1"] < 2 and scores["ssim"] < 1
