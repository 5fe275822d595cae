"""AlexNet and VGGs with a file's weights: the activations of an independent transcription, for every form of file."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jgan
from jgan import frozen
from jgan.nets import perceptual

torch = pytest.importorskip("torch", reason="PyTorch is not installed; requirements-test.txt has it")
import safetensors.torch  # noqa: E402  it imports PyTorch

nn = torch.nn

VGG16 = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M")
VGG19 = (64, 64, "M", 128, 128, "M", *(256,) * 4, "M", *(512,) * 4, "M", *(512,) * 4, "M")


class Net(nn.Module):
    """A net in torchvision's names: `features` and a classifier, here far too small."""

    def __init__(self, *layers):
        super().__init__()
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(), nn.Linear(4, 2))


def alexnet():
    def relu():
        return nn.ReLU(inplace=True)

    return Net(
        *(nn.Conv2d(3, 64, 11, 4, 2), relu(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(64, 192, 5, padding=2), relu(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(192, 384, 3, padding=1), relu()),
        *(nn.Conv2d(384, 256, 3, padding=1), relu()),
        *(nn.Conv2d(256, 256, 3, padding=1), relu(), nn.MaxPool2d(3, 2)),
    )


def vgg(widths):
    layers, channels = [], 3
    for width in widths:
        if width == "M":
            layers.append(nn.MaxPool2d(2, 2))
            continue
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
        channels = width
    return Net(*layers)


@pytest.fixture(scope="module")
def nets():
    torch.manual_seed(0)
    return {"alexnet": alexnet().eval(), "vgg16": vgg(VGG16).eval(), "vgg19": vgg(VGG19).eval()}


def activations(net, images, places):
    """What torchvision's net shows behind its layers `places` of images in [-1, 1], channels last."""
    x = (torch.tensor(images).permute(0, 3, 1, 2) + 1) / 2
    x = x.expand(-1, 3, -1, -1)
    x = (x - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor([0.229, 0.224, 0.225])[
        :, None, None
    ]
    found = []
    with torch.no_grad():
        for k, layer in enumerate(net.features):
            x = layer(x)
            if k in places:
                found.append(x.permute(0, 2, 3, 1).numpy().copy())
    return found


def save(net, path, form):
    if form == "safetensors":
        path = path.with_suffix(".safetensors")
        safetensors.torch.save_file(net.state_dict(), path)
    else:
        path = path.with_suffix(".pth")
        torch.save(net.state_dict(), path, _use_new_zipfile_serialization=form == "archive")
    return str(path)


@pytest.mark.parametrize(
    "name, form, shape, wanted, places",
    [
        ("alexnet", "archive", (2, 224, 230, 3), (), (9,)),
        ("alexnet", "safetensors", (1, 224, 224, 1), ("conv1", "conv2", "conv3", "conv5"), (1, 4, 7, 11)),
        ("vgg16", "stream", (2, 32, 37, 3), (), (1, 3, 13, 20)),
        (
            "vgg16",
            "safetensors",
            (1, 33, 32, 1),
            ("conv2_2", "conv3_3", "conv4_3", "conv5_3"),
            (8, 15, 22, 29),
        ),
        ("vgg19", "stream", (1, 32, 33, 3), (), (1, 6, 11, 20, 29)),
        ("vgg19", "archive", (1, 32, 32, 1), ("conv3_4", "conv5_4"), (17, 35)),
    ],
)
def test_activations_are_those_of_torchvision(nets, tmp_path, name, form, shape, wanted, places):
    images = np.random.default_rng(1).uniform(-1, 1, shape).astype(np.float32)
    loaded = frozen.load(save(nets[name], tmp_path / "net", form), shape[-1], wanted)
    assert loaded.name.startswith(name)
    ours = jax.jit(loaded.apply)(loaded.params, images)
    theirs = activations(nets[name], images, places)
    assert len(ours) == len(theirs) == len(places)
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape and np.abs(b).max() > 0
        np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(b).max(), rtol=1e-4)


def test_small_images_are_seen_enlarged():
    image = np.random.default_rng(2).uniform(-1, 1, (1, 64, 64, 3)).astype(np.float32)
    seen = perceptual._prepare(jnp.asarray(image), perceptual.ARCHITECTURES["alexnet"])
    assert seen.shape == (1, 256, 256, 3)  # iGAN's factor of 4
    np.testing.assert_array_equal(seen[:, ::4, 3::4], seen[:, 2::4, 1::4])
    large = perceptual._prepare(jnp.zeros((1, 300, 224, 3)), perceptual.ARCHITECTURES["alexnet"])
    assert large.shape == (1, 300, 224, 3)


def test_all_weights_count(nets):
    """The shapes agree with torchvision's tensors, none of which is left out."""
    for name, net in nets.items():
        ours = jax.tree.leaves(
            perceptual.shapes(perceptual.ARCHITECTURES[name]), is_leaf=lambda x: type(x) is tuple
        )
        assert sum(int(np.prod(x)) for x in ours) == sum(x.numel() for x in net.features.parameters())


@pytest.mark.parametrize("arguments", [("resnet",), ("alexnet", ("conv6",)), ("vgg16", ("conv1",))])
def test_unknown_nets_and_layers_are_refused(arguments):
    with pytest.raises(jgan.UserError, match="unknown|no layer"):
        perceptual.net(*arguments)
