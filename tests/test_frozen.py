"""Features of a net that the user brings: which files fit, and a projection that looks at them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

import jgan
from jgan import frozen
from jgan.latent import costs
from jgan.latent import projection
from jgan.nets import perceptual
from jgan.programs import project as project_lib
from jgan.programs import projection_files
from jgan.weights import features
from jgan.weights import published

pytestmark = pytest.mark.usefixtures("quick_convolutions")

QUICK = projection.Settings("adam", evaluations=2)


def weights(name="vgg16"):
    """Random weights in a file's names and layout, as of a net without a classifier."""
    shapes = perceptual.shapes(perceptual.ARCHITECTURES[name])
    rng, found = np.random.default_rng(0), {}
    for key, place in features.TORCHVISION[name].items():
        shape = place.layout.give(np.empty(shapes[place.path[0]][place.path[1]], np.float32)).shape
        found[key] = rng.normal(0, 0.03, shape).astype(np.float32)
    return found


def write(path, tensors):
    safetensors.numpy.save_file(tensors, path)
    return str(path)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write(tmp_path_factory.mktemp("weights") / "vgg.safetensors", weights())


@pytest.fixture(scope="module")
def run(latent_run):
    return latent_run()


def test_a_projection_looks_at_the_features(run, file, tmp_path):
    vgg = frozen.load(file, 3, ("conv1_2",))
    image = np.random.default_rng(1).uniform(-1, 1, (1, 16, 16, 3)).astype(np.float32)
    mask = np.ones((1, 16, 16), np.float32)
    projects = project_lib.projector(run, settings=QUICK, feature_weight=0.5, features=vgg, batch=1)
    found, made = projects(image, mask, [3])
    # The cost is that of pixels and of the activations of the two images, worked out again here.
    a, b = (vgg.apply(vgg.params, x)[0] for x in (made, image))
    expected = np.mean((made - image) ** 2) + 0.5 * np.mean((a - b) ** 2) / np.mean(b**2)
    np.testing.assert_allclose(found.cost[0], expected, rtol=1e-4)
    # A folder of such projections is no place for those by the discriminator, and none for those of other weights.
    other = vgg._replace(name="vgg16 conv1_2 00000000")
    facts = {"method": "optimise", "weights": "00"}
    (tmp_path / "out").mkdir()
    projection_files.claim(tmp_path / "out", {**facts, "features": vgg.name})
    for others in (facts, {**facts, "features": other.name}):
        with pytest.raises(jgan.UserError, match="with other features"):
            projection_files.claim(tmp_path / "out", others)


def test_equal_files_have_equal_names_and_others_not(file, tmp_path):
    changed = weights()
    changed["features.28.bias"][0] += 1
    other = write(tmp_path / "other.safetensors", changed)
    names = [frozen.load(path, 3).name for path in (file, file, other)]
    assert names[0] == names[1] != names[2]
    assert names[0].startswith("vgg16 conv1_1 conv1_2 conv3_2 conv4_2 ")


def without(name):
    return {key: value for key, value in weights().items() if key != name}


def changed(name, value):
    return weights() | {name: np.asarray(value)}


@pytest.mark.parametrize(
    "tensors, message",
    [
        (lambda: without("features.5.bias"), "taken for VGG-16, has no features.5.bias.$"),
        (
            lambda: changed("features.1.running_mean", np.zeros(64, "f4")),
            "beyond its own features.1.running_mean",
        ),
        (
            lambda: changed("features.2.weight", np.zeros((64, 64, 5, 5), "f4")),
            "of another shape features.2.weight 64x64x5x5 instead of 64x64x3x3",
        ),
        (lambda: changed("features.0.bias", np.zeros((), "f4")), "a single number instead of 64"),
        (lambda: changed("features.0.bias", np.full(64, np.nan, "f4")), "not finite"),
        (lambda: changed("features.0.bias", np.zeros(64, "i4")), "no floats but int32 for features.0.bias"),
        (lambda: {"layer1.weight": np.zeros(3, "f4")}, "holds none of AlexNet, VGG-16, VGG-19"),
        (lambda: {}, "holds none of AlexNet, VGG-16, VGG-19"),
    ],
)
def test_files_that_do_not_fit_are_told_in_one_sentence(tmp_path, tensors, message):
    path = write(tmp_path / "x.safetensors", tensors())
    with pytest.raises(jgan.UserError, match=message) as told:
        frozen.load(path, 3)
    assert str(told.value).count("\n") == 0


def test_a_classifier_is_passed_over(tmp_path):
    both = weights("alexnet") | {"classifier.1.weight": np.zeros((2, 3), "f4")}
    assert frozen.load(write(tmp_path / "a.safetensors", both), 1).name.startswith("alexnet conv4 ")


def test_what_is_no_file_of_weights_is_told(file, tmp_path):
    for name, data, message in (
        ("x.safetensors", b"no weights at all", "no sound file of safetensors"),
        ("x.safetensors", b"\xff" * 100, "no sound file of safetensors"),
        ("x.pth", b"no weights at all", "no sound file of torch.save"),
        ("x.npz", b"", ".safetensors or .pth would work"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(jgan.UserError, match=message):
            frozen.load(str(tmp_path / name), 3)
    for name in ("none.pth", "none.safetensors"):
        with pytest.raises(jgan.UserError, match="No such file"):
            frozen.load(str(tmp_path / name), 3)
    with pytest.raises(jgan.UserError, match="those of the run have 4"):
        frozen.load(file, 4)


def heads(**changes):
    """Random weights of LPIPS for VGG-16 in their file's names."""
    rng = np.random.default_rng(3)
    widths = (64, 128, 256, 512, 512)
    named = {
        f"lin{k}.model.1.weight": rng.uniform(0, 1, (1, n, 1, 1)).astype("f4") for k, n in enumerate(widths)
    }
    return named | changes


def test_activations_with_the_weights_of_lpips_give_its_distance(file, tmp_path):
    """Zhang et al. (2018), equation 1, worked out from VGG-16's activations, also where all channels are 0."""
    net = frozen.load(file, 3, ("conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3"))
    found = frozen.load_lpips(file, write(tmp_path / "lpips.safetensors", heads()), 3)
    images = np.random.default_rng(1).uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)
    wanted = 0
    for x, w in zip(jax.jit(net.apply)(net.params, images), heads().values(), strict=True):
        x = np.asarray(x, np.float64)
        x = x / (np.sqrt(np.sum(x**2, -1, keepdims=True)) + 1e-10)
        wanted += np.mean(np.sum(w.ravel() * (x[0] - x[1]) ** 2, -1))
    apply = jax.jit(lambda a: found.apply(found.params, a))
    cost = costs.reconstruction(
        images[1], None, lambda x: [y[0] for y in apply(x[None])], 1.0, comparable=found.comparable
    )
    np.testing.assert_allclose(cost(images[0]) - np.mean((images[0] - images[1]) ** 2), wanted, rtol=1e-4)
    slope = jax.grad(lambda x: jnp.sum(perceptual.unit(x)))(jnp.zeros((1, 2, 2, 3)))
    assert np.isfinite(slope).all()
    assert found.name != net.name and found.name.startswith("vgg16 conv1_2")


@pytest.mark.parametrize(
    "change, message",
    [
        ({"lin0.model.1.weight": np.full((1, 64, 1, 1), -1, "f4")}, "weights below 0"),
        ({"lin1.model.1.weight": np.ones((1, 64, 1, 1), "f4")}, "1x64x1x1 instead of 1x128x1x1"),
        ({"more": np.ones(1, "f4")}, "beyond its own more"),
    ],
)
def test_weights_of_lpips_that_do_not_fit_are_refused(file, tmp_path, change, message):
    with pytest.raises(jgan.UserError, match=message):
        frozen.load_lpips(file, write(tmp_path / "lpips.safetensors", heads(**change)), 3)


def test_the_first_version_of_lpips_sees_images_as_they_are(file, tmp_path):
    """What a net does to images is undone before it sees them; of all layers the first is compared, which is quick."""
    own = write(tmp_path / "lpips.safetensors", heads())
    found, later = (frozen.load_lpips(file, own, 3, version) for version in ("0.0", "0.1"))
    net = frozen.load(file, 3, ("conv1_2",))
    image = np.random.default_rng(1).uniform(-1, 1, (1, 32, 32, 3)).astype(np.float32)
    mean, deviation = np.float32((0.485, 0.456, 0.406)), np.float32((0.229, 0.224, 0.225))
    first = jax.jit(lambda x: found.apply(found.params, x)[0])(image)
    x = np.asarray(net.apply(net.params, 2 * (image * deviation + mean) - 1)[0])
    x = x / np.linalg.norm(x, axis=-1, keepdims=True) * np.sqrt(heads()["lin0.model.1.weight"].ravel())
    np.testing.assert_allclose(first, x, rtol=1e-4, atol=1e-5)
    assert found.name != later.name and found.params.keys() == later.params.keys()


def test_versions_and_nets_that_lpips_does_not_have(file, tmp_path):
    with pytest.raises(jgan.UserError, match="no version '0.2': use one of 0.1, 0.0"):
        frozen.load_lpips(file, "x.pth", 3, "0.2")
    path = write(tmp_path / "vgg19.safetensors", weights("vgg19"))
    with pytest.raises(jgan.UserError, match="holds VGG-19, and LPIPS is of AlexNet or of VGG-16"):
        frozen.load_lpips(path, "x.pth", 3)


def test_lpips_under_other_names(file, tmp_path):
    """A whole LPIPS serves as both files; pSp's line numbers the weights only."""
    slices = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    block = dict(zip(slices, (1, 1, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5), strict=True))
    whole = {"scaling_layer.shift": np.zeros((1, 3, 1, 1), "f4"), **heads()}
    for name, value in weights().items():
        number = int(name.split(".")[1])
        whole[f"net.slice{block[number]}.{number}.{name.split('.')[2]}"] = value
    whole |= {f"lins.{k}.model.1.weight": value for k, value in enumerate(heads().values())}
    whole = write(tmp_path / "whole.safetensors", whole)
    short = {f"{k}.1.weight": value for k, value in enumerate(heads().values())}
    found = [
        frozen.load_lpips(net, own, 3)
        for net, own in (
            (file, write(tmp_path / "lpips.safetensors", heads())),
            (whole, whole),
            (file, write(tmp_path / "short.safetensors", short)),
        )
    ]
    assert len({x.name for x in found}) == 1
    for other in found[1:]:
        assert jax.tree.all(jax.tree.map(np.array_equal, other.params, found[0].params))


def test_a_missing_file_is_told_by_its_public_name(file, tmp_path):
    for name, known in (
        ("vgg16.pth", ["vgg16-397923af.pth, 553,433,881 bytes, SHA-256 397923af8e79"]),
        ("VGG_19.pth", ["vgg19-dcbb9e9d.pth, 574,673,361 bytes, SHA-256 dcbb9e9dad56"]),
        ("net.pth", ["alexnet-owt-7be5be79.pth, 244,408,911 bytes", "vgg16-", "vgg19-"]),
    ):
        with pytest.raises(jgan.UserError, match="No such file") as told:
            frozen.load(str(tmp_path / name), 3)
        assert all(part in str(told.value) for part in known) and "\n" not in str(told.value)
    for version, size in (("0.1", "7,289"), ("0.0", "6,735")):
        with pytest.raises(jgan.UserError, match=f"v{version}/vgg.pth, {size} bytes, SHA-256 [0-9a-f]{{64}}"):
            frozen.load_lpips(file, str(tmp_path / "lpips.pth"), 3, version)
    with pytest.raises(jgan.UserError, match="pt_inception-2015-12-05-6726825d.pth, 95,628,359 bytes"):
        frozen.load_inception(str(tmp_path / "inception.pth"))
    for public in published.FILES.values():  # names of PyTorch's files hold the first digits
        assert len(public.sha256) == 64
        name = public.address.split("/")[-1].removesuffix(".pth").split("-")
        assert len(name) == 1 or public.sha256.startswith(name[-1])
