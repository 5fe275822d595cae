"""StyleGAN2 from other people's files equals PyTorch's modules with the same weights, and goes back to them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import stylegan2 as configs
import jgan
from jgan.nets import stylegan2 as nets
from jgan.ops import conv
from jgan.systems import stylegan2 as system_lib
from jgan.weights import files
from jgan.weights import stylegan2
from jgan.weights import stylegan2_export as export
from jgan.weights import tables

torch = pytest.importorskip("torch", reason="PyTorch is not installed; requirements-test.txt has it")
ada = pytest.importorskip("tests.weights.torch_ada")
modules = pytest.importorskip("tests.weights.stylegan2_modules")

KEY = jax.random.key(0)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """XLA's convolutions, which compile in half the time; tests/ops holds all forms equal."""
    monkeypatch.setattr(conv, "DEFAULT_FORM", "lax")


def by_net(parts):
    return {part.net: part for part in parts}


def config_of(parts):
    """A config from the fields of parts."""
    config = configs.get_config()
    for part in parts.values():
        config.update_from_flattened_dict(dict(part.fields))
        if "channels" in part.facts:
            config.data.channels = (part.facts["channels"],)
    return config


def shapes_of(config, labels, dtype):
    """{net: {kind: shapes}} of a config's nets, and the nets."""
    made = system_lib._nets(config, labels)
    size, classes = config.data.size, (jnp.zeros((2, labels)),) * (labels > 0)
    given = {
        "mapping": (jnp.zeros((2, config.latent.nz)), *classes),
        "synthesis": (jnp.zeros((2, nets.rows(size), config.mapping.w_dim)),),
        "discriminator": (jnp.zeros((2, size, size, config.data.channels[0])), *classes),
    }
    shapes = {
        name: {"params": jax.eval_shape(made[name].init, KEY, *x)[0], "stats": {}}
        for name, x in given.items()
    }
    shapes["mapping"]["stats"] = {"w_avg": jax.ShapeDtypeStruct((config.mapping.w_dim,), dtype)}
    shapes["synthesis"]["stats"] = jax.eval_shape(lambda: nets.noise_constants(KEY, size))
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, dtype), shapes), made


def filled(parts, dtype=np.float64):
    """(config, nets, {"params": ..., "stats": ...}) of the parts of files."""
    parts = by_net(parts)
    config = config_of(parts)
    labels = next(iter(parts.values())).facts["labels"]
    shapes, made = shapes_of(config, labels, dtype)
    weights = {"params": {}, "stats": {}}
    for name, part in parts.items():
        wanted = shapes[name] if stylegan2.is_filled(part) else {**shapes[name], "stats": {}}
        found = tables.fill("the file", part.entries, part.table, wanted, part.ignored)
        for kind in weights:
            weights[kind][name] = found[kind]
    return config, made, weights


def images_of(config, made, weights, z, classes, truncation, ws, dtype):
    """(images of codes under a truncation, images of rows of styles), [n, c, h, w]."""

    def run(weights, z, ws, *classes):
        w, _ = made["mapping"].apply(weights["params"]["mapping"], {}, z, *classes)
        mean = weights["stats"]["mapping"]["w_avg"]
        w = mean + truncation * (w - mean)
        both = jnp.concatenate([jnp.repeat(w[:, None], ws.shape[1], 1), ws])
        noise = nets.constant_noise(weights["stats"]["synthesis"], config.data.size)
        return made["synthesis"].apply(weights["params"]["synthesis"], {}, both, noise)[0]

    with jax.enable_x64(dtype == np.float64), jax.default_matmul_precision("highest"):
        given = jax.tree.map(lambda x: jnp.asarray(x, dtype), (weights, z, ws, *classes))
        return np.asarray(jax.jit(run)(*given)).transpose(0, 3, 1, 2)


def logits_of(made, weights, images, classes, group, dtype=np.float64):
    """D's logits, of the groups of examples that the authors' code would have: there they are no neighbours."""
    order = np.arange(len(images)).reshape(group, -1).T.ravel()
    images, classes = images[order], [x[order] for x in classes]

    def run(params, images, *classes):
        return made["discriminator"].apply(params, {}, images, *classes)[0]["logits"][0]

    with jax.enable_x64(dtype == np.float64), jax.default_matmul_precision("highest"):
        params = weights["params"]["discriminator"]
        given = jax.tree.map(
            lambda x: jnp.asarray(x, dtype), (params, images.transpose(0, 2, 3, 1), *classes)
        )
        return np.asarray(jax.jit(run)(*given))[np.argsort(order)]


def assert_near(made, expected, dtype=np.float64):
    expected = expected.detach().numpy()
    bound = 1e-8 if dtype == np.float64 else 1e-4
    assert np.abs(made - expected).max() <= bound * np.abs(expected).max()


def drawn(config, labels=0):
    """Codes, classes, rows of styles and images for D."""
    rng, size = np.random.default_rng(3), config.data.size
    classes = (np.eye(labels)[[1, 0]],) if labels else ()
    ws = rng.normal(size=(2, nets.rows(size), modules.W))
    return (
        rng.normal(size=(2, config.latent.nz)),
        classes,
        ws,
        rng.normal(size=(4, config.data.channels[0], size, size)),
    )


def tensors(*arrays):
    return [torch.from_numpy(np.array(x)) for x in arrays]


def expected_of_ada(generator, z, classes, truncation, ws):
    w = generator.mapping(*tensors(z, *classes))
    w = generator.mapping.w_avg + truncation * (w - generator.mapping.w_avg)
    return generator(torch.cat([w[:, None].repeat(1, ws.shape[1], 1), *tensors(ws)]))


def same_state(made, module):
    """Whether a state dict is a module's own, to the last bit but for constants in float32."""
    module.load_state_dict({name: torch.from_numpy(x) for name, x in made.items()}, strict=True)
    return made


CASES = {
    "labels": {"labels": 3, "clamp": 1.5, "architectures": ("skip", "resnet")},
    "grey": {"size": 32, "channels": 1, "clamp": 2.0, "architectures": ("resnet", "skip")},
    "orig": {"architectures": ("orig", "orig"), "mapping.lr_multiplier": 0.1},
    "64": {"size": 64, "clamp": 2.0, "architectures": ("skip", "resnet")},
}
SLOW = [name if name != "64" else pytest.param("64", marks=pytest.mark.slow) for name in CASES]


@pytest.mark.parametrize("case", SLOW)
def test_pickles_of_ada(case):
    """The official objects: every fact is read from them, numbers agree, and the way back has every name and bit."""
    labels, config = CASES[case].get("labels", 0), modules.configured(**CASES[case])
    generator, discriminator = modules.ada_modules(config, labels)
    other = modules.ada_modules(config, labels)[0]  # G is there too, and must not be taken
    for x in other.parameters():
        x.data += 1
    tree = {
        "training_set_kwargs": {"path": "x", "max_size": None},
        "G": ada.persistent(other),
        "D": ada.persistent(discriminator),
        "G_ema": ada.persistent(generator),
        "augment_pipe": None,
    }
    parts = stylegan2.recognise(tree)
    assert [part.net for part in parts] == ["mapping", "synthesis", "discriminator"]
    read, made, weights = filled(parts)
    for part in ("latent", "mapping", "generator", "discriminator"):
        assert read[part].to_dict() == config[part].to_dict()
    assert read.data.size == config.data.size and read.data.channels == config.data.channels
    assert {part.facts["labels"] for part in parts} == {labels}

    z, classes, ws, images = drawn(config, labels)
    expected = expected_of_ada(generator, z, classes, 0.7, ws)
    if config.generator.architecture != "skip":  # whose last layer is the image: not all of it is clipped
        assert 0.5 < (expected.abs() < (config.generator.clamp or np.inf)).double().mean()
    assert_near(images_of(read, made, weights, z, classes, 0.7, ws, np.float64), expected)
    classes = tuple(np.concatenate([x, x[::-1]]) for x in classes)
    group = config.discriminator.mbstd_group
    assert_near(logits_of(made, weights, images, classes, group), discriminator(*tensors(images, *classes)))
    if case == "labels":
        # The clamp acts: without it the images are others.
        read.generator.clamp = 0.0
        other = images_of(
            read, system_lib._nets(read, labels), weights, z, classes[0][None, :2], 0.7, ws, np.float64
        )
        assert np.abs(other - expected.detach().numpy()).max() > 0.01
        read.generator.clamp = 1.5

    theirs = export.exported(read, "ada", labels)
    for net, module in (("generator", generator), ("discriminator", discriminator)):
        state = export.state_dict(weights, theirs[net])
        before = {name: x.clone() for name, x in module.state_dict().items()}
        same_state(state, module)
        for name, x in module.state_dict().items():
            assert torch.equal(x, before[name]), name


@pytest.mark.parametrize("case", ["labels", "grey"])
def test_float32(case):
    """In float32, as files and runs have it."""
    labels, config = CASES[case].get("labels", 0), modules.configured(**CASES[case])
    generator, discriminator = modules.ada_modules(config, labels)
    state = {f"G_ema.{k}": x.float() for k, x in generator.state_dict().items()}
    state |= {f"D.{k}": x.float() for k, x in discriminator.state_dict().items()}
    parts = stylegan2.recognise(ada.entries(state))
    assert len(parts) == 3
    assert "the usual one" in parts[1].facts["clamp"] and parts[1].fields["generator.clamp"] == 256
    clamp = {"generator.clamp": config.generator.clamp}
    parts[1] = parts[1]._replace(fields={**parts[1].fields, **clamp})
    read, made, weights = filled(parts, np.float32)
    z, classes, ws, _ = drawn(config, labels)
    expected = expected_of_ada(generator, z, classes, 1.3, ws)
    assert_near(images_of(read, made, weights, z, classes, 1.3, ws, np.float32), expected, np.float32)


@pytest.mark.parametrize("size", [16, pytest.param(64, marks=pytest.mark.slow)])
def test_rosinality(size):
    """Its G, its D and its mean style, in both directions."""
    config = modules.configured(
        size, z=modules.W, **{"generator.prescaled": True, "discriminator.mbstd_group": 4}
    )
    generator, discriminator = modules.ros_modules(config)
    mean = torch.randn(modules.W, generator=torch.Generator().manual_seed(5)).double()
    tree = {
        "g": {"input.input": None},
        "d": ada.entries(discriminator.state_dict()),
        "g_ema": ada.entries(generator.state_dict()),
        "g_optim": {"state": {}},
        "latent_avg": ada.entry(mean),
        "args": files.Object("argparse.Namespace", {"size": size}),
    }
    read, made, weights = filled(stylegan2.recognise(tree))
    assert read.generator.prescaled and read.generator.clamp == 0 and read.discriminator.mbstd_group == 4
    z, _, ws, images = drawn(config)
    w = mean + 0.5 * (generator.style(*tensors(z)) - mean)
    expected = generator(torch.cat([w[:, None].repeat(1, ws.shape[1], 1), *tensors(ws)]))
    assert_near(images_of(read, made, weights, z, (), 0.5, ws, np.float64), expected)
    images = np.concatenate([images, 2 * images])
    assert_near(logits_of(made, weights, images, (), 4), discriminator(*tensors(images)))

    theirs = export.exported(read, "rosinality")
    for net, module in (("generator", generator), ("discriminator", discriminator)):
        before = {name: x.clone() for name, x in module.state_dict().items()}
        same_state(export.state_dict(weights, theirs[net]), module)
        assert all(torch.equal(x, before[name]) for name, x in module.state_dict().items())
    assert np.array_equal(tables.pour(weights, theirs["generator"].beside)["latent_avg"], mean.numpy())

    # The same weights under ADA's names make the same images, but for the digits that the remark tells of.
    both = export.exported(read, "ada")["generator"]
    assert "1e-8" in both.remarks[0]
    other = modules.redrawn(ada.Generator(**both.arguments))
    same_state(export.state_dict(weights, both), other)
    made_by_ada = expected_of_ada(other, z, (), 0.5, ws)
    assert 0 < (made_by_ada - expected).abs().max() < 1e-6 * expected.abs().max()


def test_editors_and_early_files():
    """A decoder beside an encoder with a mean style for each row; files without noise, and without a mean style."""
    config = modules.configured(16, z=modules.W)
    generator, _ = modules.ros_modules(config)
    state, mean = ada.entries(generator.state_dict()), np.arange(modules.W) / 3
    inner = {f"decoder.{k}": x for k, x in state.items()} | {"encoder.body.weight": ada.entry(np.zeros(3))}
    tree = {"state_dict": inner, "latent_avg": ada.entry(np.tile(mean, (6, 1))), "opts": {"lr": 1e-4}}
    parts = stylegan2.recognise(tree)
    assert [part.net for part in parts] == ["mapping", "synthesis"]
    assert parts[0].facts["other nets"] == "1 tensors beside the decoder, not used"
    _, _, weights = filled(parts)
    np.testing.assert_array_equal(weights["stats"]["mapping"]["w_avg"], mean)
    assert tables.pour({kind: x["mapping"] for kind, x in weights.items()}, parts[0].table)[
        "latent_avg"
    ].shape == (6, modules.W)
    tree["latent_avg"] = ada.entry(np.random.default_rng(0).normal(size=(6, modules.W)))
    with pytest.raises(jgan.UserError, match="differs from row to row"):
        stylegan2.recognise(tree)

    early = {k: x for k, x in state.items() if not k.startswith("noises.")}
    parts = stylegan2.recognise(early)
    assert not any(stylegan2.is_filled(part) for part in parts)
    for part, fact in zip(parts, ("mean style", "noise"), strict=True):
        assert part.facts[fact].startswith(stylegan2.MISSING)
    read, made, weights = filled(parts)
    assert weights["stats"] == {"mapping": {}, "synthesis": {}}
    params = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), weights["params"]["mapping"])
    mean = stylegan2.mean_style(lambda z: made["mapping"].apply(params, {}, z)[0], modules.W, draws=40_000)
    z = torch.randn(200_000, modules.W, generator=torch.Generator().manual_seed(0)).double()
    expected = generator.style(z)
    bound = 6 * expected.std(0).max().item() / 40_000**0.5
    assert np.abs(mean - expected.mean(0).detach().numpy()).max() < bound
    # Some of the noise alone is a damaged file.
    del state["noises.noise_1"]
    with pytest.raises(jgan.UserError, match="no noises.noise_1"):
        filled(stylegan2.recognise(state))


@pytest.mark.parametrize("case", ["skip", "resnet"])
def test_tensorflow(case):
    """The first code's networks have the weights that ADA's modules have, in their own layout."""
    config = modules.configured(16, architectures=(case, case), **{"mapping.lr_multiplier": 0.1})
    generator, discriminator = modules.ada_modules(config)
    parts = stylegan2.recognise(ada.tensorflow(generator, discriminator))
    read, _, weights = filled(parts)
    assert read.generator.prescaled and read.mapping.lr_multiplier == 0.1
    assert read.generator.architecture == read.discriminator.architecture == case
    assert read.generator.channel_base == 64 and read.discriminator.mbstd_group == 2
    tree = {"G_ema": ada.persistent(generator), "D": ada.persistent(discriminator)}
    _, _, expected = filled(stylegan2.recognise(tree))
    assert jax.tree.structure(weights) == jax.tree.structure(expected)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-15), weights, expected)


def test_through_the_system():
    """What parts give makes a system whose way draws PyTorch's images."""
    config = modules.configured(16, clamp=1.5)
    generator, discriminator = modules.ada_modules(config)
    tree = {"G_ema": ada.persistent(generator), "D": ada.persistent(discriminator)}
    read, _, weights = filled(stylegan2.recognise(tree))
    system = system_lib.build(read)
    z, _, ws, _ = drawn(config)

    def run(weights, z, ws):
        drawn = system.ways["sample"].run(weights, {"z": z, "truncation": jnp.full(2, 0.7)})["output"]
        return drawn, system.spaces["w_plus"].space(weights, {}).generate(ws)

    with jax.enable_x64(True):
        made, rows = jax.jit(run)(*jax.tree.map(jnp.asarray, (weights, z, ws[0])))
    expected = expected_of_ada(generator, z, (), float(np.float32(0.7)), ws).detach().numpy()
    made = np.concatenate([made, rows[None]]).transpose(0, 3, 1, 2)
    assert np.abs(made - expected[:3]).max() <= 1e-7 * np.abs(expected).max()


@pytest.mark.parametrize("prefix", ["", "module.", "G_ema.", "g_ema."])
def test_flat_names(prefix):
    """State dicts alone, with and without a net's name in front."""
    generator, discriminator = modules.ada_modules(modules.configured(8, labels=2), 2)
    for module, nets_of, name in (
        (generator, 2, prefix),
        (discriminator, 1, {"G_ema.": "D."}.get(prefix, "")),
    ):
        state = ada.entries({f"{name}{k}": x for k, x in module.state_dict().items()})
        for tree in (state, {"state_dict": state}):
            parts = stylegan2.recognise(tree)
            assert len(parts) == nets_of
            filled(parts)
