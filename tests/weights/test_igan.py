"""iGAN's nets from their files: equal to a transcription of Theano's layers, and misfits in one sentence."""

import functools

import jax
import numpy as np
import pytest

import jgan
from jgan.nets import dcgan
from jgan.weights import files
from jgan.weights import igan
from jgan.weights import tables

pytestmark = pytest.mark.usefixtures("quick_convolutions")


def true_convolution(x, w):
    """Theano's, [n, c, h, w] with [out, c, 5, 5], padding 2, stride 2: the kernel is turned round."""
    n, _, height, width = x.shape
    padded = np.zeros((n, x.shape[1], height + 4, width + 4))
    padded[:, :, 2:-2, 2:-2] = x
    y = np.zeros((n, w.shape[0], height // 2, width // 2))
    for i in range(5):
        for j in range(5):
            seen = padded[:, :, i : i + height : 2, j : j + width : 2]
            y += np.einsum("nchw,oc->nohw", seen, w[:, :, 4 - i, 4 - j])
    return y


def input_gradient(y, w):
    """That of `true_convolution` for images of twice the size, with [c of y, c of the image, 5, 5]."""
    n, _, height, width = y.shape
    padded = np.zeros((n, w.shape[1], 2 * height + 4, 2 * width + 4))
    for i in range(5):
        for j in range(5):
            part = np.einsum("nohw,oc->nchw", y, w[:, :, 4 - i, 4 - j])
            padded[:, :, i : i + 2 * height : 2, j : j + 2 * width : 2] += part
    return padded[:, :, 2:-2, 2:-2]


def norm(x, mean, variance, gain, offset):
    """With given statistics, of units or of channels."""
    shape = (1, -1) + (1,) * (x.ndim - 2)
    x = (x - mean.reshape(shape)) / np.sqrt(variance.reshape(shape) + 1e-8)
    return x * gain.reshape(shape) + offset.reshape(shape)


def generate(z, params, statistics):
    """[n, channels, size, size], in [-1, 1] for three channels and in [0, 1] for one."""
    half = len(statistics) // 2
    h = norm(z @ params[0], statistics[0], statistics[half], *params[1:3])
    h = np.maximum(h, 0).reshape(len(z), -1, 4, 4)
    for k in range(1, half):
        h = input_gradient(h, params[3 * k])
        h = np.maximum(norm(h, statistics[k], statistics[half + k], *params[3 * k + 1 : 3 * k + 3]), 0)
    x = input_gradient(h, params[-1])
    return np.tanh(x) if x.shape[1] == 3 else 1 / (1 + np.exp(-x))


def encode(x, params, statistics):
    """The last product of D and of P."""
    half = len(statistics) // 2
    h = true_convolution(x, params[0])
    h = np.maximum(h, 0.2 * h)
    for k in range(half):
        h = true_convolution(h, params[3 * k + 1])
        h = norm(h, statistics[k], statistics[half + k], *params[3 * k + 2 : 3 * k + 4])
        h = np.maximum(h, 0.2 * h)
    return h.reshape(len(x), -1) @ params[-1]


def model(layers, width, channels=3, nz=7, seed=0):
    """{key: arrays in float64} of a whole model with statistics that matter."""
    rng, top = np.random.default_rng(seed), width * 2**layers

    def kernel(*shape):
        return rng.normal(0, 1.5 / np.sqrt(np.prod(shape) / min(shape[:2])), shape)

    def affine(n):
        return [rng.normal(1, 0.3, n), rng.normal(0, 0.3, n)]

    def statistics(*widths):
        return [rng.normal(0, 0.5, n) for n in widths] + [rng.uniform(0.3, 2, n) for n in widths]

    generator = [rng.normal(0, 1, (nz, 16 * top)), *affine(16 * top)]
    for k in range(layers):
        n = top // 2 ** (k + 1)
        generator += [kernel(2 * n, n, 5, 5), *affine(n)]
    generator.append(kernel(width, channels, 5, 5))
    made = {"gen_params": generator}
    widths = [width * 2**k for k in range(1, layers + 1)]
    for key, outputs in (("disc", 1), ("predict", nz)):
        encoder = [kernel(width, channels, 5, 5)]
        for n in widths:
            encoder += [kernel(n, n // 2, 5, 5), *affine(n)]
        made[f"{key}_params"] = [*encoder, rng.normal(0, 0.3 / np.sqrt(16 * top), (16 * top, outputs))]
        made[f"{key}_batchnorm"] = statistics(*widths)
    made["gen_batchnorm"] = statistics(16 * top, *reversed(widths[:-1]), *([width] if layers else []))
    return made


def entry(array):
    array = np.asarray(array)
    return files.Entry(array.shape, array.dtype, lambda: array)


def tree(made, dtype=np.float64):
    """What the reader of pickles gives."""
    return {key: [entry(x.astype(dtype)) for x in arrays] for key, arrays in made.items()}


def build(part):
    """The net that the fields of a part describe, and a batch of its input."""
    fields = part.fields
    shared = {"size": fields["data.size"], "epsilon": fields["norm_epsilon"]}
    if part.net == "generator":
        net = dcgan.generator(
            features=fields["data.channels"][0],
            ngf=fields["generator.ngf"],
            kernel=fields["generator.kernel"],
            **shared,
        )
        return net, (2, fields["latent.nz"])
    shared |= {"ndf": fields[f"{part.net}.ndf"], "kernel": fields[f"{part.net}.kernel"]}
    images = (2, *[fields["data.size"]] * 2, *fields["data.channels"])
    if part.net == "discriminator":
        return dcgan.discriminator(norm=fields["discriminator.norm"], **shared), images
    return dcgan.predictor(nz=fields["latent.nz"], **shared), images


def weights(part, dtype=np.float32):
    net, shape = build(part)
    shapes = jax.eval_shape(net.init, jax.random.key(0), jax.ShapeDtypeStruct(shape, np.float32))
    of = dict(zip(("params", "stats"), shapes, strict=True))
    if part.facts["statistics"] == "none in the file":
        of.pop("stats")
    of = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, dtype), of)
    return tables.fill("x", part.entries, part.table, of, part.ignored)


def run(part, x, dtype):
    """Our net's output, of images with channels last."""
    net, _ = build(part)
    found = weights(part, dtype)
    apply = jax.jit(functools.partial(net.apply, statistics="running"))
    return apply(found["params"], found.get("stats", {}), x.astype(dtype))[0]


def close(ours, theirs, dtype):
    tolerance = 1e-8 if dtype == np.float64 else 1e-4
    assert ours.dtype == dtype and np.std(theirs) > 0.01 * np.abs(theirs).max()
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * np.abs(theirs).max())


def test_the_transcription_is_of_adjoints():
    """Also Theano's own words: of a dot in the image, the true convolution is the kernel as it is written."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(1, 2, 8, 8)), rng.normal(size=(1, 3, 4, 4))
    w = rng.normal(size=(3, 2, 5, 5))
    np.testing.assert_allclose(np.sum(true_convolution(x, w) * y), np.sum(x * input_gradient(y, w)))
    dot = np.zeros((1, 2, 8, 8))
    dot[0, 1, 4, 4] = 1
    np.testing.assert_allclose(true_convolution(dot, w)[0, :, 1:4, 1:4], w[:, 1, ::2, ::2])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layers, width", [(1, 5), (3, 2)])
def test_all_three_nets_are_those_of_theano(dtype, layers, width):
    made = model(layers, width)
    size = 8 * 2**layers
    parts = {part.net: part for part in igan.recognise(tree(made, dtype))}
    assert list(parts) == ["generator", "discriminator", "predictor"]
    for net, part in parts.items():
        assert part.system == "dcgan" and part.facts["channels"] == 3 and part.title.endswith(f"{size} px")
        assert part.fields["data.size"] == size and part.fields["norm_epsilon"] == 1e-8, net
    rng = np.random.default_rng(1)
    z, x = rng.uniform(-1, 1, (2, 7)), rng.uniform(-1, 1, (2, 3, size, size))
    with jax.enable_x64(dtype == np.float64):
        images = run(parts["generator"], z, dtype)
        close(np.moveaxis(images, -1, 1), generate(z, made["gen_params"], made["gen_batchnorm"]), dtype)
        seen = np.moveaxis(x, 1, -1)
        logits = run(parts["discriminator"], seen, dtype)["logits"][0]
        close(logits, encode(x, made["disc_params"], made["disc_batchnorm"]), dtype)
        codes = run(parts["predictor"], seen, dtype)
        close(codes, np.tanh(encode(x, made["predict_params"], made["predict_batchnorm"])), dtype)


@pytest.mark.parametrize("inverted", [True, False])
def test_a_generator_of_one_channel_draws_the_same_pictures(inverted):
    made = model(1, 4, channels=1)
    (part,) = igan.recognise(tree(made), inverted=inverted)
    assert part.net == "generator" and part.facts["channels"] == 1
    assert "discriminator and predictor" in part.facts["left out"]
    z = np.random.default_rng(1).uniform(-1, 1, (2, 7))
    stored = generate(z, made["gen_params"], made["gen_batchnorm"])
    grey = 1 - stored if inverted else stored
    with jax.enable_x64(True):
        close(np.moveaxis(run(part, z, np.float64), -1, 1), 2 * grey - 1, np.float64)
    del made["gen_params"], made["gen_batchnorm"]
    with pytest.raises(jgan.UserError, match="discriminator and predictor of an iGAN for pictures of one"):
        igan.recognise(tree(made))


def test_old_files_and_files_without_a_predictor():
    made = tree(model(1, 4))
    parts = igan.recognise(made)
    old = {key: made[key] for key in ("disc_params", "gen_params", "predict_params")}
    old["postlearn_params"] = (made["disc_batchnorm"], made["gen_batchnorm"])
    old["postlearn_predict_params"] = made["predict_batchnorm"]
    for ours, theirs in zip(igan.recognise(old), parts, strict=True):
        assert ours.entries == theirs.entries and list(ours.table) == list(theirs.table)
        assert jax.tree.all(jax.tree.map(np.array_equal, weights(ours), weights(theirs)))
    few = {key: x for key, x in made.items() if not key.startswith("predict")}
    assert [part.net for part in igan.recognise(few)] == ["generator", "discriminator"]


def test_the_lists_of_a_cache():
    """Each is known by its shapes; they have no statistics, unless they are put together with those by name."""
    made = tree(model(1, 4))
    for key, net in (("gen", "generator"), ("disc", "discriminator"), ("predict", "predictor")):
        (part,) = igan.recognise(made[f"{key}_params"])
        assert part.net == net and part.facts["statistics"] == "none in the file"
        assert list(weights(part)) == ["params"]
    together = igan.packed({f"{key}_012" if "params" in key else key: x for key, x in made.items()})
    assert together == made
    assert igan.packed({"gen_params": made["gen_params"], "else": []}) is None and igan.packed({}) is None
    with pytest.raises(jgan.UserError, match="two files hold gen_params"):
        igan.packed({"gen_params": [], "gen_params_003": []})


def test_the_fields_build_a_system():
    """All of a model's fields together are those of a config that has the three nets."""
    from configs import dcgan as presets
    from jgan.systems import dcgan as system

    config = presets.get_config("tiny")
    for part in igan.recognise(tree(model(1, 4))):
        config.update_from_flattened_dict(dict(part.fields))
    nets = system._nets(config, system.priors.prior("uniform", 7))
    assert set(nets) == {"generator", "discriminator", "predictor"}


def test_the_sizes_of_the_published_models():
    """Shapes alone of 64 px with 128 channels: 18.9 million parameters."""
    shapes = [(100, 16384), (16384,), (16384,)]
    for n in (512, 256, 128):
        shapes += [(2 * n, n, 5, 5), (n,), (n,)]
    lists = [files.Entry(shape, np.dtype("f4"), lambda: None) for shape in (*shapes, (128, 3, 5, 5))]
    (part,) = igan.recognise(lists)
    assert part.fields["data.size"] == 64 and part.fields["generator.ngf"] == 128
    assert part.fields["latent.nz"] == 100 and sum(int(np.prod(x.shape)) for x in lists) == 18_885_760
    net, shape = build(part)
    params, _ = jax.eval_shape(net.init, jax.random.key(0), jax.ShapeDtypeStruct(shape, np.float32))
    ours = {tuple(p.key for p in path): x.shape for path, x in jax.tree_util.tree_leaves_with_path(params)}
    for name, place in part.table.items():
        array = np.broadcast_to(np.float32(0), part.entries[name].shape)
        assert place.layout.take(array).shape == ours[place.path]


def without(made, key, place):
    return made | {key: [x for k, x in enumerate(made[key]) if k != place]}


def changed(made, key, place, shape, dtype="f4"):
    return made | {key: [entry(np.zeros(shape, dtype)) if k == place else x for k, x in enumerate(made[key])]}


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda x: without(x, "gen_params", 3), "gen_params of the iGAN file has 6 arrays: nets have 4, 7,"),
        (lambda x: without(x, "disc_params", 0), "disc_params of the iGAN file has 4 arrays: nets have 2, 5"),
        (
            lambda x: without(x, "gen_batchnorm", 0),
            "gen_batchnorm of the iGAN file has 3 arrays, and 4 means",
        ),
        (lambda x: x | {"gen_params": []}, "has 0 arrays"),
        (lambda x: x | {"gen_params": 3}, "gen_params of the iGAN file is no list of arrays"),
        (lambda x: x | {"disc_params": [1, 2]}, "disc_params of the iGAN file is no list of arrays"),
        (lambda x: x | {"postlearn_params": 1}, "no pair of"),
        (lambda x: x | {"else\n": 1, 5: 2}, r"has beyond its own else\\n, 5\.$"),
        (lambda x: {k: v for k, v in x.items() if k != "gen_params"}, "has gen_batchnorm and no gen_params"),
        (
            lambda x: changed(x, "gen_params", 0, (7,)),
            r"gen_params\[0\] of the iGAN file is 7 and not a matrix",
        ),
        (lambda x: changed(x, "gen_params", 0, (0, 8)), r"gen_params\[0\] of the iGAN file is 0x8 and not"),
        (lambda x: changed(x, "gen_params", 6, (4, 3, 4, 4)), r"gen_params\[6\] .* 4x3x4x4 and not a kernel"),
        (lambda x: changed(x, "gen_params", 6, (4, 2, 5, 5)), "gen_params of the iGAN file is of 2 channels"),
        (lambda x: changed(x, "disc_params", 4, (128, 2)), r"disc_params\[4\] .* 128x2 and not a column"),
        (lambda x: changed(x, "predict_params", 4, (128, 8)), "latent.nz is 7 for its generator and 8 for"),
        (
            lambda x: x | tree({k: v for k, v in model(2, 4).items() if "disc" in k}),
            "data.size is 16 for its",
        ),
        (lambda x: changed(x, "gen_params", 4, (5,)), r"of another shape gen_params\[4\] 5 instead of 4"),
        (lambda x: changed(x, "gen_params", 1, (64,)), r"gen_params\[1\] 64 instead of 128"),
        (lambda x: changed(x, "gen_params", 2, (128,), "i4"), r"no floats but int32 for gen_params\[2\]"),
        (lambda x: changed(x, "gen_batchnorm", 1, ()), r"gen_batchnorm\[1\] a single number instead of 4"),
    ],
)
def test_misfits_are_told_in_one_sentence(change, message):
    with pytest.raises(jgan.UserError, match=message) as told:
        for part in igan.recognise(change(tree(model(1, 4), np.float32))):
            weights(part)
    assert str(told.value).count("\n") == 0


@pytest.mark.parametrize(
    "other", [None, 3, "gen_params", [], {}, [1], ({}, {}), {"generator": []}, {3: 4}, [[], []], set(), b"x"]
)
def test_other_files_are_not_taken_for_it(other):
    assert igan.recognise(other) is None


def test_random_changes_end_in_a_sentence_or_in_nets():
    rng = np.random.default_rng(0)
    whole = tree(model(1, 4), np.float32)
    shapes = [
        (),
        (1,),
        (0,),
        (5, 5),
        (1, 1),
        (4, 3, 5, 5),
        (0, 0, 5, 5),
        (2**40, 3, 5, 5),
        (128, 1),
        (2,) * 9,
    ]
    others = [None, "x", 7, [], {}, {"a": 1}, files.Object("a.b", {})]
    ends = {"none": 0, "refused": 0, "taken": 0}
    for _ in range(300):
        made = {key: list(arrays) for key, arrays in whole.items()}
        for _ in range(rng.integers(1, 4)):
            key = list(made)[rng.integers(len(made))]
            place = int(rng.integers(len(made[key]) + 1)) if isinstance(made[key], list) else 0
            shape = shapes[rng.integers(len(shapes))]
            strange = files.Entry(shape, np.dtype("f4"), lambda: np.zeros(1, "f4"))
            action = rng.integers(6)
            if action == 0 and len(made) > 1:
                del made[key]
            elif action == 1:
                made[key] = others[rng.integers(len(others))]
            elif isinstance(made[key], list):
                value = strange if action < 4 else others[rng.integers(len(others))]
                made[key][place : place + int(action % 2)] = [value] * int(rng.integers(2) or action > 1)
        given = made if rng.integers(2) else next(iter(made.values()))
        try:
            parts = igan.recognise(given)
        except jgan.UserError as error:
            ends["refused"] += 1
            assert "\n" not in str(error)
            continue
        ends["none" if parts is None else "taken"] += 1
        for part in parts or ():
            net, shape = build(part)
            assert part.entries and set(part.table) == set(part.entries)
    assert min(ends.values()) > 10
