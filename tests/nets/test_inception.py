"""Inception-v3 of FID with a file's weights: the features of an independent transcription, and how it sees pictures."""

import jax
import numpy as np
import pytest

import jgan
from jgan import frozen
from jgan.nets import inception
from jgan.weights import features

torch = pytest.importorskip("torch", reason="PyTorch is not installed; requirements-test.txt has it")
import safetensors.torch  # noqa: E402  it imports PyTorch

nn, F = torch.nn, torch.nn.functional
pytestmark = pytest.mark.usefixtures("quick_convolutions")


class Unit(nn.Module):
    """Convolution, batch norm, rectifier."""

    def __init__(self, ci, co, kernel=1, stride=1, padding=0):
        super().__init__()
        self.conv = nn.Conv2d(ci, co, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(co, eps=0.001)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


def chain(net, prefix, x, *names):
    for name in names:
        x = getattr(net, f"{prefix}_{name}")(x)
    return x


def mean(x):
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


class A(nn.Module):
    def __init__(self, ci, pooled):
        super().__init__()
        self.branch1x1 = Unit(ci, 64)
        self.branch5x5_1, self.branch5x5_2 = Unit(ci, 48), Unit(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = Unit(ci, 64)
        self.branch3x3dbl_2, self.branch3x3dbl_3 = Unit(64, 96, 3, padding=1), Unit(96, 96, 3, padding=1)
        self.branch_pool = Unit(ci, pooled)

    def forward(self, x):
        five, double = chain(self, "branch5x5", x, 1, 2), chain(self, "branch3x3dbl", x, 1, 2, 3)
        return torch.cat([self.branch1x1(x), five, double, self.branch_pool(mean(x))], 1)


class B(nn.Module):
    def __init__(self, ci):
        super().__init__()
        self.branch3x3 = Unit(ci, 384, 3, 2)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = Unit(ci, 64), Unit(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Unit(96, 96, 3, 2)

    def forward(self, x):
        double = chain(self, "branch3x3dbl", x, 1, 2, 3)
        return torch.cat([self.branch3x3(x), double, F.max_pool2d(x, 3, 2)], 1)


ACROSS, DOWN = {"kernel": (1, 7), "padding": (0, 3)}, {"kernel": (7, 1), "padding": (3, 0)}


class C(nn.Module):
    def __init__(self, ci, c):
        super().__init__()
        self.branch1x1 = Unit(ci, 192)
        self.branch7x7_1, self.branch7x7_2, self.branch7x7_3 = (
            Unit(ci, c),
            Unit(c, c, **ACROSS),
            Unit(c, 192, **DOWN),
        )
        self.branch7x7dbl_1 = Unit(ci, c)
        self.branch7x7dbl_2, self.branch7x7dbl_3 = Unit(c, c, **DOWN), Unit(c, c, **ACROSS)
        self.branch7x7dbl_4, self.branch7x7dbl_5 = Unit(c, c, **DOWN), Unit(c, 192, **ACROSS)
        self.branch_pool = Unit(ci, 192)

    def forward(self, x):
        seven, double = chain(self, "branch7x7", x, 1, 2, 3), chain(self, "branch7x7dbl", x, 1, 2, 3, 4, 5)
        return torch.cat([self.branch1x1(x), seven, double, self.branch_pool(mean(x))], 1)


class D(nn.Module):
    def __init__(self, ci):
        super().__init__()
        self.branch3x3_1, self.branch3x3_2 = Unit(ci, 192), Unit(192, 320, 3, 2)
        self.branch7x7x3_1, self.branch7x7x3_2 = Unit(ci, 192), Unit(192, 192, **ACROSS)
        self.branch7x7x3_3, self.branch7x7x3_4 = Unit(192, 192, **DOWN), Unit(192, 192, 3, 2)

    def forward(self, x):
        three, seven = chain(self, "branch3x3", x, 1, 2), chain(self, "branch7x7x3", x, 1, 2, 3, 4)
        return torch.cat([three, seven, F.max_pool2d(x, 3, 2)], 1)


class E(nn.Module):
    def __init__(self, ci, pool):
        super().__init__()
        self.pool = pool
        across, down = {"kernel": (1, 3), "padding": (0, 1)}, {"kernel": (3, 1), "padding": (1, 0)}
        self.branch1x1 = Unit(ci, 320)
        self.branch3x3_1 = Unit(ci, 384)
        self.branch3x3_2a, self.branch3x3_2b = Unit(384, 384, **across), Unit(384, 384, **down)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = Unit(ci, 448), Unit(448, 384, 3, padding=1)
        self.branch3x3dbl_3a, self.branch3x3dbl_3b = Unit(384, 384, **across), Unit(384, 384, **down)
        self.branch_pool = Unit(ci, 192)

    def forward(self, x):
        three, double = self.branch3x3_1(x), chain(self, "branch3x3dbl", x, 1, 2)
        forked = [self.branch3x3_2a(three), self.branch3x3_2b(three)]
        forked += [self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double)]
        return torch.cat([self.branch1x1(x), *forked, self.branch_pool(self.pool(x))], 1)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.Conv2d_1a_3x3, self.Conv2d_2a_3x3 = Unit(3, 32, 3, 2), Unit(32, 32, 3)
        self.Conv2d_2b_3x3 = Unit(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1, self.Conv2d_4a_3x3 = Unit(64, 80), Unit(80, 192, 3)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = A(192, 32), A(256, 64), A(288, 64)
        self.Mixed_6a = B(288)
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = (C(768, c) for c in (128, 160, 160, 192))
        self.Mixed_7a = D(768)
        self.Mixed_7b, self.Mixed_7c = E(1280, mean), E(2048, lambda x: F.max_pool2d(x, 3, 1, 1))
        self.fc = nn.Linear(2048, 1008)

    def forward(self, x):
        x = F.max_pool2d(chain(self, "Conv2d", x, "1a_3x3", "2a_3x3", "2b_3x3"), 3, 2)
        x = F.max_pool2d(chain(self, "Conv2d", x, "3b_1x1", "4a_3x3"), 3, 2)
        x = chain(self, "Mixed", x, *"5b 5c 5d 6a 6b 6c 6d 6e 7a 7b 7c".split())
        return x.mean((2, 3))


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    made = Net().eval()
    with torch.no_grad():
        for module in made.modules():
            if isinstance(module, Unit):
                weight, bn = module.conv.weight, module.bn
                weight.normal_(0, (2 / weight[0].numel()) ** 0.5)
                bn.weight.uniform_(0.7, 1.3)
                bn.bias.normal_(0, 0.3)
                bn.running_mean.normal_(0, 0.3)
                bn.running_var.uniform_(0.5, 2)
    return made


@pytest.fixture(scope="module")
def file(net, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    torch.save(net.state_dict(), path)
    return str(path)


def theirs(net, x, dtype=torch.float64):
    with torch.no_grad():
        return net.to(dtype)(torch.tensor(np.moveaxis(x, -1, 1), dtype=dtype)).double().numpy()


def distance(ours, wanted):
    """Of feature vectors, as a share of their norm."""
    return np.max(np.linalg.norm(ours - wanted, axis=-1) / np.linalg.norm(wanted, axis=-1))


def test_features_are_those_of_the_port(net, file):
    images = np.random.default_rng(0).uniform(-1, 1, (2, 75, 91, 3))
    images[1] = np.sin(np.arange(75)[:, None, None] / (3, 5, 7) + np.arange(91)[:, None] / 9)
    found = frozen.load_inception(file, "none")
    wanted = theirs(net, images)
    assert wanted.shape == (2, 2048) and np.mean(wanted > 0) > 0.3
    # Two pictures differ far more than the tolerance of any test.
    assert distance(wanted[:1], wanted[1:]) > 0.02
    with jax.enable_x64(True):
        weights = jax.tree.map(lambda x: x.astype(np.float64), found.weights)
        assert distance(jax.jit(found.apply)(weights, images), wanted) < 1e-8


@pytest.mark.slow
@pytest.mark.parametrize("resize", ["half_pixel", "tf1"])
def test_features_at_full_size(net, file, resize):
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 120, 3), dtype=np.uint8)
    found = frozen.load_inception(file, resize)
    seen = {"half_pixel": half_pixel, "tf1": tf1}[resize](images)
    ours = jax.jit(found.apply)(found.weights, images)
    assert ours.dtype == np.float32 and distance(ours, theirs(net, seen)) < 1e-4


def half_pixel(images):
    """pytorch-fid's own words."""
    x = torch.tensor(np.moveaxis(images, -1, 1)).double() / 255
    x = F.interpolate(x, size=(299, 299), mode="bilinear", align_corners=False)
    return np.moveaxis((2 * x - 1).numpy(), 1, -1)


def tf1(images):
    """TensorFlow 1's, pixel by pixel: the place in the image is the number times the ratio of sides."""

    def lines(x):
        made = []
        for k in range(299):
            at = k * x.shape[1] / 299
            low = int(at)
            high = min(low + 1, x.shape[1] - 1)
            made.append(x[:, low] + (x[:, high] - x[:, low]) * (at - low))
        return np.stack(made, 1)

    x = lines(images.astype(np.float64)).swapaxes(1, 2)
    return (lines(x).swapaxes(1, 2) - 128) / 128


@pytest.mark.parametrize("resize, wanted", [("half_pixel", half_pixel), ("tf1", tf1)])
@pytest.mark.parametrize("shape", [(1, 7, 299, 3), (2, 64, 400, 3)])
def test_how_pictures_are_seen(resize, wanted, shape):
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    seen = inception.prepare(images, resize)
    assert seen.dtype == np.float32
    np.testing.assert_allclose(seen, wanted(images), atol=2e-6)
    floats = (images / 127.5 - 1).astype(np.float32)
    np.testing.assert_allclose(inception.prepare(floats, resize), seen, atol=2e-6)


def test_grey_pictures_are_repeated_and_others_refused():
    grey = np.full((1, 80, 80, 1), 255, np.uint8)
    np.testing.assert_array_equal(inception.prepare(grey, "none"), np.ones((1, 80, 80, 3)))
    with pytest.raises(jgan.UserError, match="these have 4"):
        inception.prepare(np.zeros((1, 80, 80, 4), np.uint8), "none")
    with pytest.raises(jgan.UserError, match="74x80 pixels are too small"):
        inception.prepare(np.zeros((1, 74, 80, 3), np.uint8), "none")
    with pytest.raises(jgan.UserError, match="'nearest' is unknown"):
        inception.net("nearest")


def test_each_tensor_has_a_place(net, file, tmp_path):
    """As many parameters as torchvision's net without its second head, for 1008 classes; and files that do not fit."""
    assert sum(x.numel() for x in net.parameters()) == 27_161_264 - 3_326_696 + 8 * 2049
    names = set(net.state_dict())
    assert set(features.INCEPTION) == {x for x in names if "num_batches" not in x and not x.startswith("fc")}
    state = {key: x.float() for key, x in net.state_dict().items() if not key.startswith("fc.")}

    def load(**changes):
        path = tmp_path / "changed.safetensors"
        safetensors.torch.save_file({key: x for key, x in (state | changes).items() if x is not None}, path)
        return frozen.load_inception(str(path))

    assert load().name == frozen.load_inception(file).name
    for changes, message in (
        ({"AuxLogits.fc.bias": torch.zeros(1000)}, "torchvision's own Inception-v3, .* .*pt_inception-2015"),
        ({"Mixed_7c.branch_pool.bn.bias": None}, "has no Mixed_7c.branch_pool.bn.bias.$"),
        ({"more": torch.zeros(1)}, "beyond its own more.$"),
        ({"Mixed_6b.branch1x1.conv.weight": torch.zeros(192, 768, 3, 3)}, "3x3 instead of 192x768x1x1"),
    ):
        with pytest.raises(jgan.UserError, match=message):
            load(**changes)
