"""Files of the old translation tools become nets that compute the same, and back."""

import functools

import jax
import numpy as np
import pytest

from jgan.weights import translation
from tests.weights import torch_translation as peer
from tests.weights.torch_translation import torch
from tests.weights.translated import entry
from tests.weights.translated import exported
from tests.weights.translated import filled
from tests.weights.translated import net_of
from tests.weights.translated import only

pytestmark = pytest.mark.usefixtures("quick_convolutions")

# (module, size of its images, channels of the input, fields that have to be found). Every norm and every option of
# each net at least once; how they are paired is arbitrary.
GENERATORS = {
    "U-Net of 5 levels, batch": (
        lambda: peer.UNet(5, 3, 1, 2, "batch"),
        (32, 64),
        {"name": "unet", "levels": 5, "norm": "batch"},
    ),
    "U-Net of 2 levels, none": (
        lambda: peer.UNet(2, 1, 2, 3, "none"),
        (12, 8),
        {"name": "unet", "levels": 2, "norm": "none"},
    ),
    "U-Net of 6 levels, instance, dropout": (
        lambda: peer.UNet(6, 1, 3, 2, "instance", 0.5),
        (64, 64),
        {"name": "unet_64", "norm": "instance"},
    ),
    "U-Net of 7 levels, batch, dropout": (
        lambda: peer.UNet(7, 3, 3, 1, "batch", 0.5),
        (128, 128),
        {"name": "unet_128", "norm": "batch"},
    ),
    "U-Net of 8 levels, instance, no dropout": (
        lambda: peer.UNet(8, 3, 3, 1, "instance", 0.0),
        (256, 256),
        {"name": "unet_256", "norm": "instance"},
    ),
    "ResNet of 9 blocks, instance": (
        lambda: peer.ResNet(9, 3, 3, 2, "instance"),
        (16, 20),
        {"name": "resnet_9blocks", "norm": "instance", "dropout": 0.0},
    ),
    "ResNet of 6 blocks, batch, dropout": (
        lambda: peer.ResNet(6, 1, 3, 3, "batch", 0.5),
        (16, 16),
        {"name": "resnet_6blocks", "norm": "batch", "dropout": 0.5},
    ),
    "ResNet of 4 blocks, none": (
        lambda: peer.ResNet(4, 3, 2, 2, "none"),
        (16, 12),
        {"name": "resnet", "blocks": 4, "norm": "none", "dropout": 0.0},
    ),
    "ResNet of CUT, instance, dropout": (
        lambda: peer.ResNet(4, 3, 3, 2, "instance", 0.5, True, True),
        (16, 20),
        {"blocks": 4, "dropout": 0.5, "antialias": True, "antialias_up": "auto"},
    ),
    "ResNet of CUT, batch, only down": (
        lambda: peer.ResNet(1, 3, 3, 2, "batch", 0.0, True, False),
        (16, 16),
        {"blocks": 1, "antialias": True, "antialias_up": "off"},
    ),
    "ResNet of CUT, instance, only up": (
        lambda: peer.ResNet(2, 3, 3, 2, "instance", 0.0, False, True),
        (16, 16),
        {"blocks": 2, "antialias": False, "antialias_up": "on"},
    ),
}
DISCRIMINATORS = {
    **{
        f"PatchGAN of {k} layers, {norm}": (
            functools.partial(peer.Patch, k, c, 2, norm),
            (3 * 2**k, 4 * 2**k),
            {"name": "patch", "n_layers": k, "norm": norm, "antialias": False},
        )
        for k, c, norm in [
            (1, 6, "batch"),
            (2, 3, "instance"),
            (3, 6, "batch"),
            (3, 3, "instance"),
            (4, 2, "none"),
            (5, 1, "instance"),
            (6, 3, "batch"),
        ]
    },
    **{
        f"PatchGAN of CUT of {k} layers, {norm}": (
            functools.partial(peer.Patch, k, 3, 2, norm, True),
            size,
            {"n_layers": k, "norm": norm, "antialias": True, "antialias_place": "after"},
        )
        for k, norm, size in [(3, "instance", (32, 33)), (2, "batch", (15, 18)), (1, "none", (7, 6))]
    },
    **{
        f"PixelGAN, {norm}": (
            functools.partial(peer.Pixel, 6, 3, norm),
            (5, 4),
            {"name": "pixel", "norm": norm},
        )
        for norm in ("batch", "instance", "none")
    },
}
CASES = GENERATORS | DISCRIMINATORS
IN_FLOAT32 = (
    "U-Net of 6 levels, instance, dropout",
    "ResNet of 6 blocks, batch, dropout",
    "ResNet of CUT, instance, dropout",
    "PatchGAN of 3 layers, batch",
    "PatchGAN of CUT of 3 layers, instance",
)


def ours(part, weights, size, images, dtype):
    """{statistics: our output}."""
    net = net_of(part, size)

    def outputs(params, stats, images):
        made = {}
        for statistics in ("running", "batch", "image"):
            out, _ = net.apply(params, stats, images, statistics=statistics)
            made[statistics] = out if part.net == "generator" else out["logits"][0]
        return made

    with jax.enable_x64(dtype == np.float64):
        images = images.transpose(0, 2, 3, 1).astype(dtype)
        made = jax.jit(outputs)(weights["params"], weights["stats"], images)
        return {name: np.asarray(x).transpose(0, 3, 1, 2) for name, x in made.items()}


def theirs(module, images):
    """{statistics: PyTorch's output}, the module's running statistics as before."""
    images, state = torch.from_numpy(images), {name: x.clone() for name, x in module.state_dict().items()}
    with torch.no_grad():
        made = {"running": module.eval()(images)}
        made["batch"] = peer.training(module)(images)
        made["image"] = torch.cat([module(image[None]) for image in images])
    module.load_state_dict(state)
    return {name: x.numpy() for name, x in made.items()}


def assert_close(ours, theirs, tolerance):
    for statistics, expected in theirs.items():
        found = ours[statistics]
        assert found.shape == expected.shape and expected.std() > 1e-2
        assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max(), statistics


@pytest.mark.parametrize("case", CASES)
def test_what_is_found_computes_the_same_and_goes_back(case):
    make, size, fields = CASES[case]
    module = peer.drawn(make())
    part = only(peer.entries(module.state_dict()))
    assert part.system == "translation" and part.net == (
        "generator" if case in GENERATORS else "discriminator"
    )
    found = {name.split(".")[1]: value for name, value in part.fields.items()}
    assert found | fields == found
    weights = filled(part, size, np.float64)
    channels = part.facts["input channels"]
    images = np.random.default_rng(0).uniform(-1, 1, (2, channels, *size))
    expected = theirs(module, images)
    assert_close(ours(part, weights, size, images, np.float64), expected, 1e-8)
    if case in IN_FLOAT32:
        weights32 = filled(part, size, np.float32)
        assert_close(ours(part, weights32, size, images, np.float32), expected, 1e-4)

    back, state = exported(part, weights), module.state_dict()
    assert set(back) == set(state)
    assert all(np.array_equal(back[name], state[name]) for name in state)
    other = peer.drawn(make(), seed=1)
    other.load_state_dict(back, strict=True)
    again = theirs(other, images)
    assert all(np.array_equal(again[name], x) for name, x in expected.items())


def test_names_in_wrappers_and_stale_statistics():
    """Prefixes of data parallelism, nets one level below, and what old instance norms kept."""
    generator, judge = peer.drawn(peer.ResNet(2, 3, 1, 2)), peer.drawn(peer.Patch(1, 4, 2, "instance"))
    state = {f"module.{name}": x for name, x in generator.state_dict().items()}
    for name in [name for name in state if name.endswith(".bias") and "model.13" not in name]:
        *before, number, _ = name.split(".")
        norm = ".".join([*before, str(int(number) + 1)])
        for kind in ("running_mean", "running_var", "num_batches_tracked"):
            state[f"{norm}.{kind}"] = torch.zeros(2 if kind != "num_batches_tracked" else ())
    state = {name: x for name, x in state.items() if ".20." not in name}
    tree = {
        "epoch": 3,
        "netG": peer.entries(state),
        "netD": peer.entries(judge.state_dict()),
        "optimizer": {},
    }
    g, d = translation.recognise(tree)
    assert (g.net, d.net) == ("generator", "discriminator")
    assert (g.facts["found under"], d.facts["found under"]) == ("netG", "netD")
    assert (g.facts["input channels"], g.facts["output channels"], d.facts["input channels"]) == (3, 1, 4)
    assert len(g.entries) > len(g.table)
    weights = filled(g, (16, 16))
    back, same = exported(g, weights), generator.float().state_dict()
    assert set(back) == set(same) and all(np.array_equal(back[name], same[name]) for name in same)
    filled(d, (16, 16))


def test_counts_of_batches_may_be_there_or_not():
    state = peer.drawn(peer.Patch(2, 3, 2)).state_dict()
    state = {name: x for name, x in state.items() if not name.endswith("num_batches_tracked")}
    filled(only(peer.entries(state)), (16, 16))


def test_published_sizes():
    """The nets that people have are found with the fields of the paper's preset, and the tables are of their size."""
    with torch.device("meta"):
        modules = peer.UNet(8), peer.ResNet(9), peer.Patch(3)
    for module, fields in zip(
        modules,
        (
            {"generator.name": "unet_256", "generator.ngf": 64, "generator.norm": "batch"},
            {"generator.name": "resnet_9blocks", "generator.ngf": 64, "generator.dropout": 0.0},
            {"discriminator.n_layers": 3, "discriminator.ndf": 64, "discriminator.norm": "batch"},
        ),
        strict=True,
    ):
        part = only({name: entry(tuple(x.shape)) for name, x in module.state_dict().items()})
        assert fields.items() <= part.fields.items()
        assert ("generator.dropout" in part.fields) == (part.title == "ResNet of 9 blocks")
