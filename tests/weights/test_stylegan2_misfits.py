"""Files that are no StyleGAN2 of ours, or damaged ones: parts, None or one sentence, and never anything else."""

import collections
import random

import numpy as np
import pytest

from configs import stylegan2 as configs
import jgan
from jgan.weights import files
from jgan.weights import stylegan2
from jgan.weights import stylegan2_export as export
from jgan.weights import tables

pytest.importorskip("torch", reason="PyTorch is not installed; requirements-test.txt has it")
ada = pytest.importorskip("tests.weights.torch_ada")
modules = pytest.importorskip("tests.weights.stylegan2_modules")


@pytest.fixture(scope="module")
def pickled():
    generator, discriminator = modules.ada_modules(modules.configured(16, labels=3), 3)
    return {"G_ema": ada.persistent(generator), "D": ada.persistent(discriminator)}


def changed(tree, path, value):
    """A copy of an object's tree in which the state at a path of modules has another value under the last name."""
    *path, last = path
    if not path:
        return {**tree, last: value}
    (first, *rest) = path
    node = tree[first]
    if isinstance(node, files.Object):
        return {**tree, first: files.Object(node.type, changed(node.state, [*rest, last], value))}
    return {**tree, first: changed(node, [*rest, last], value)}


def module(*names):
    return [x for name in names for x in ("_modules", name)]


@pytest.mark.parametrize(
    "path, value, message",
    [
        (["G_ema", *module("synthesis", "b8", "conv0"), "activation"], "relu", "has as activation 'relu'"),
        (["G_ema", *module("synthesis", "b8", "conv0"), "use_noise"], False, "has layers without noise"),
        (["G_ema", *module("synthesis", "b8", "conv0"), "conv_clamp"], 3, "at different numbers"),
        (["G_ema", *module("synthesis", "b8", "conv0"), "conv_clamp"], "3", "clips activations at '3'"),
        (
            ["G_ema", *module("mapping", "fc1"), "bias_gain"],
            1.0,
            "no multiplier of the learning rate in common",
        ),
        (
            ["G_ema", *module("synthesis", "b8", "conv0"), "_buffers", "resample_filter"],
            ada.entry(np.ones((4, 4)) / 16),
            "resamples with another filter",
        ),
        (["G_ema", "_init_kwargs", "synthesis_kwargs", "resample_filter"], [1, 2, 1], "with another filter"),
        (
            ["G_ema", *module("synthesis", "b8", "conv1"), "_parameters", "weight"],
            ada.entry(np.zeros((9, 9, 3, 3))),
            "has layers of 6, 9, 4 channels",
        ),
        (
            ["G_ema", *module("synthesis", "b8", "conv1"), "_parameters", "weight"],
            None,
            "cannot be built without",
        ),
        (
            ["G_ema", *module("mapping", "embed"), "_parameters", "weight"],
            ada.entry(np.zeros((6, 3, 1))),
            "no such",
        ),
        (["G_ema", *module("synthesis"), "_modules", "L0_36_512"], 0, None),
        (
            ["G_ema", *module("mapping", "fc0"), "_parameters", "weight"],
            ada.entry(np.zeros((6, 6))),
            "no codes",
        ),
    ],
)
def test_misfits_of_a_generator(pickled, path, value, message):
    tree = changed(pickled, path, value)
    if message is None:
        assert len(stylegan2.recognise(tree)) == 3
        return
    with pytest.raises(jgan.UserError, match=message):
        stylegan2.recognise(tree)


@pytest.mark.parametrize(
    "path, value, message",
    [
        (["b4", "mbstd"], {"group_size": "x"}, "compares groups of 'x' examples"),
        (
            ["b4", "conv", "_parameters", "weight"],
            ada.entry(np.zeros((6, 8, 3, 3))),
            "in other than one channel",
        ),
        (["mapping", "fc7"], None, "a mapping of labels of 7 layers"),
        (["mapping"], None, "several outputs and without a map of labels"),
    ],
)
def test_misfits_of_a_discriminator(pickled, path, value, message):
    """It is left out beside a generator, with the reason, and refused alone."""
    names = [x for x in path if not x.startswith("_") and x != "weight"]
    if isinstance(value, dict):
        value = files.Object("torch_utils.persistence.MinibatchStdLayer", value)
    where = ["D", *module(*names), *(path[len(names) :])]
    tree = changed(pickled, where, value)
    parts = stylegan2.recognise(tree)
    assert [part.net for part in parts] == ["mapping", "synthesis"]
    assert message in parts[1].facts["discriminator"]
    with pytest.raises(jgan.UserError, match=message):
        stylegan2.recognise(tree["D"])


def test_whole_batch_as_a_group(pickled):
    tree = changed(pickled, ["D", *module("b4", "mbstd"), "group_size"], None)
    (part,) = stylegan2.recognise(tree["D"])
    assert part.facts["group"] == "the whole batch" and part.fields["discriminator.mbstd_group"] > 4096


@pytest.mark.parametrize(
    "names, message",
    [
        (["synthesis.input.freqs", "synthesis.L0_36_512.weight", "mapping.fc0.weight"], "StyleGAN3"),
        (["G_ema.synthesis.L14_256_3.affine.weight"], "StyleGAN3"),
        (["g_synthesis.blocks.4x4.const", "g_mapping.dense0.weight"], "StyleGAN1"),
        (["generator.progression.0.conv1.0.conv.weight_orig"], "StyleGAN1"),
    ],
)
def test_other_generators(names, message):
    tree = {name: ada.entry(np.zeros(3)) for name in names}
    for held in (tree, {"state_dict": tree}, {"generator": tree}, {"G_ema": tree}):
        with pytest.raises(jgan.UserError, match=f"{message} generator.*would work"):
            stylegan2.recognise(held)


def test_other_generators_in_pickles(pickled):
    layer = files.Object(
        "torch_utils.persistence.SynthesisLayer", {"_parameters": {"weight": ada.entry([1.0])}}
    )
    tree = changed(pickled, ["G_ema", *module("synthesis", "L0_36_512")], layer)
    with pytest.raises(jgan.UserError, match="StyleGAN3"):
        stylegan2.recognise(tree)
    first = files.Object(
        "dnnlib.tflib.network.Network",
        {"components": {}, "variables": [("synthesis/4x4/Const/StyleMod/weight", ada.entry([1.0]))]},
    )
    with pytest.raises(jgan.UserError, match="StyleGAN1"):
        stylegan2.recognise((first, first, first))


def test_exports_that_cannot_be():
    config = modules.configured(16, architectures=("resnet", "orig"))
    with pytest.raises(
        jgan.UserError, match="classes, generator.architecture=resnet, .*=orig, latent.nz=7 beside"
    ):
        export.exported(config, "rosinality", 3)
    with pytest.raises(jgan.UserError, match="one of ada, rosinality"):
        export.exported(config, "onnx")
    paper = configs.get_config("stylegan2")
    made = export.exported(paper, "rosinality")["generator"]
    assert made.arguments == {"size": 1024, "style_dim": 512, "n_mlp": 8, "channel_multiplier": 2}
    assert len(made.remarks) == 2 and "256" in made.remarks[0]


JUNK = [None, 3, 1.5, "x", b"", [], {}, (), True, 10**400, float("nan")]


def nodes(tree, path=()):
    """The places in a tree: (path, node)."""
    found, todo = [], [(path, tree)]
    while todo:
        path, node = todo.pop()
        found.append((path, node))
        inner = node.state if isinstance(node, files.Object) else node
        if isinstance(inner, dict):
            todo += [((*path, key), x) for key, x in inner.items()]
        elif isinstance(inner, list | tuple) and not isinstance(inner, files.Entry):
            todo += [((*path, key), x) for key, x in enumerate(inner)]
    return found


def put(tree, path, change):
    """A copy of the tree in which the container at a path is changed by a function."""
    if isinstance(tree, files.Object):
        return files.Object(tree.type, put(tree.state, path, change))
    if not path:
        return change(tree)
    if isinstance(tree, dict):
        return {k: put(x, path[1:], change) if k == path[0] else x for k, x in tree.items()}
    return type(tree)(put(x, path[1:], change) if k == path[0] else x for k, x in enumerate(tree))


@pytest.fixture(scope="module")
def trees():
    config = modules.configured(8, z=modules.W)
    generator, discriminator = modules.ros_modules(config)
    official = [ada.persistent(x) for x in modules.ada_modules(modules.configured(8, labels=3), 3)]
    plain = modules.ada_modules(modules.configured(8))
    return [
        dict(zip(("G_ema", "D"), official, strict=True)),
        ada.tensorflow(*plain),
        ada.entries(plain[0].state_dict()),
        {
            "g_ema": ada.entries(generator.state_dict()),
            "d": ada.entries(discriminator.state_dict()),
            "latent_avg": ada.entry(np.zeros((4, modules.W))),
        },
        {"state_dict": {f"decoder.{k}": x for k, x in ada.entries(generator.state_dict()).items()}},
    ]


SHAPES = [(), (0,), (3,), (2, 2), (1, 2, 3), (6, 6, 3, 3), (1,) * 9, (2**62, 2**62), (-1, 4)]


def damaged(inner, key, rng):
    """A container without one of its values, or with another one or another name for it."""
    how = rng.choice(["delete", "rename", "junk", "entry", "cycle"])
    if not isinstance(inner, dict):
        return [x for k, x in enumerate(inner) if k != key] if how == "delete" else rng.choice(JUNK)
    made = dict(inner)
    if how == "delete":
        del made[key]
    elif how == "rename":
        made[rng.choice(["x", 3, None, ("a",), "b999999", f"{key}9", "é" * 900])] = made.pop(key)
    elif how == "junk":
        made[key] = rng.choice(JUNK)
    elif how == "entry":
        dtype = rng.choice([np.float32, np.int64, np.bool_])
        shape, held = rng.choice(SHAPES), rng.choice([(), (1,), (4, 4), (3, 6)])
        made[key] = files.Entry(shape, np.dtype(dtype), lambda: np.zeros(held, dtype))
    else:
        made[key] = files.Object("torch_utils.persistence.Generator", made)
    return made


@pytest.mark.parametrize("kind", range(5))
def test_fuzz(trees, kind):
    """Deletions, other names and other types anywhere: nothing but parts, None or one sentence comes of them."""
    rng, tree, outcomes = random.Random(kind), trees[kind], collections.Counter()
    places = [path for path, _ in nodes(tree) if path]
    for _ in range(200):
        path = rng.choice(places)
        try:
            parts = stylegan2.recognise(put(tree, path[:-1], lambda x, key=path[-1]: damaged(x, key, rng)))
        except jgan.UserError as error:
            assert str(error).endswith(".") and str(error).isprintable() and len(str(error)) < 500
            outcomes["refused"] += 1
            continue
        outcomes["parts" if parts else "none"] += 1
        for part in parts or ():
            assert isinstance(part, tables.Part) and all(isinstance(name, str) for name in part.entries)
    assert outcomes["parts"] and outcomes["refused"]


def test_endless():
    """Modules in themselves, and in themselves many times over, end in a sentence."""
    for children, kind in (
        ("_modules", "torch_utils.persistence.Generator"),
        ("components", "dnnlib.tflib.network.Network"),
    ):
        root = files.Object(kind, {children: {}})
        root.state[children] |= {"synthesis": root, "mapping": root}
        for tree in (root, {"G_ema": root}, [root, root, root]):
            try:
                assert stylegan2.recognise(tree) is None
            except jgan.UserError as error:
                assert "without end" in str(error)
    loop = {}
    loop |= {"state_dict": loop, "G": loop, "x": [loop]}
    assert stylegan2.recognise(loop) is None


@pytest.mark.parametrize("tree", [*JUNK, {"a": 1}, {"G": None, "D": 3}, ("x",), {None: {None: None}}])
def test_other_contents(tree):
    assert stylegan2.recognise(tree) is None


def test_a_file_of_another_family():
    names = [
        "model.0.weight",
        "model.1.model.3.weight",
        "conv1.weight",
        "layer1.0.conv1.weight",
        "features.0.bias",
    ]
    assert stylegan2.recognise({name: ada.entry(np.zeros((4, 3, 3, 3))) for name in names}) is None
