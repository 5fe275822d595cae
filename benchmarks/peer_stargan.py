"""StarGAN's networks and training steps as the authors' PyTorch code has them, as the side to be timed against.

Choi et al. (CVPR 2018, arXiv:1711.09020), in the manner of `peer`: eager mode, NCHW, label planes joined to the
picture, separate passes of D for real and generated images, Adam with PyTorch's default implementation. Nothing here is
used by `jgan` itself.
"""

import torch
from torch import nn
from torch.nn import functional


def norm(channels):
    return nn.InstanceNorm2d(channels, affine=True)


class Residual(nn.Module):
    """A residual block of two 3x3 convolutions, padded with zeros."""

    def __init__(self, channels):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            norm(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            norm(channels),
        )

    def forward(self, x):
        return x + self.layers(x)


class Generator(nn.Module):
    """Images [n, c, h, w] and labels [n, k] -> images [n, c, h, w] in [-1, 1]."""

    def __init__(self, labels, channels=3, width=64, blocks=6):
        super().__init__()
        layers = [
            nn.Conv2d(channels + labels, width, 7, 1, 3, bias=False),
            norm(width),
            nn.ReLU(inplace=True),
        ]
        for _ in range(2):
            layers += [
                nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False),
                norm(2 * width),
                nn.ReLU(inplace=True),
            ]
            width *= 2
        layers += [Residual(width) for _ in range(blocks)]
        for _ in range(2):
            layers += [nn.ConvTranspose2d(width, width // 2, 4, 2, 1, bias=False), norm(width // 2)]
            layers.append(nn.ReLU(inplace=True))
            width //= 2
        layers.append(nn.Conv2d(width, channels, 7, 1, 3, bias=False))
        self.layers = nn.Sequential(*layers)

    def forward(self, x, label):
        planes = label[:, :, None, None].expand(-1, -1, *x.shape[2:])
        return torch.tanh(self.layers(torch.cat([x, planes], 1)))


class Discriminator(nn.Module):
    """Images [n, c, size, size] -> (patches [n, 1, h, w], logits of the label [n, k])."""

    def __init__(self, size, labels, channels=3, width=64, layers=6):
        super().__init__()
        convs = []
        for k in range(layers):
            convs += [nn.Conv2d(channels, width * 2**k, 4, 2, 1), nn.LeakyReLU(0.01)]
            channels = width * 2**k
        self.trunk = nn.Sequential(*convs)
        self.patches = nn.Conv2d(channels, 1, 3, 1, 1, bias=False)
        self.classes = nn.Conv2d(channels, labels, size // 2**layers, bias=False)

    def forward(self, x):
        x = self.trunk(x)
        return self.patches(x), self.classes(x).flatten(1)


def binary(logits, label):
    """Cross-entropies of attributes, summed over them, averaged over the batch."""
    return functional.binary_cross_entropy_with_logits(logits, label, reduction="sum") / len(logits)


class StarGAN:
    """A StarGAN in training; `step` makes one update of D and, where it is its turn, of G; `cycle` several steps."""

    def __init__(self, generator, discriminator, classification=binary, lr=1e-4, critic=5, **adam):
        self.generator, self.discriminator, self.classification = generator, discriminator, classification
        self.critic, settings = critic, {"lr": lr, "betas": (0.5, 0.999), **adam}
        self.gen_optimiser = torch.optim.Adam(generator.parameters(), **settings)
        self.dis_optimiser = torch.optim.Adam(discriminator.parameters(), **settings)

    def cycle(self, images, own):
        """So many steps on the same images and labels that the last of them updates G too."""
        for k in range(self.critic):
            target = own[torch.randperm(len(own), device=own.device)]
            alpha = torch.rand(len(own), 1, 1, 1, device=own.device)
            self.step(images, own, target, alpha, k + 1 == self.critic)

    def step(self, images, own, target, alpha, turn_of_g, see=lambda label: label):
        """The losses (0-d tensors) of one update.

        Args:
            images: [n, c, h, w] in [-1, 1].
            own: their labels [n, k].
            target: labels to go to.
            alpha: [n, 1, 1, 1], where the penalty's points lie between real and generated images.
            turn_of_g: whether G is updated too.
            see: labels as G sees them.
        """
        on_real, classes = self.discriminator(images)
        with torch.no_grad():
            fake = self.generator(images, see(target))
        on_fake, _ = self.discriminator(fake)
        told = {
            "d_real": -on_real.mean(),
            "d_fake": on_fake.mean(),
            "d_classes": self.classification(classes, own),
        }
        points = (alpha * images + (1 - alpha) * fake).requires_grad_(True)
        patches, _ = self.discriminator(points)
        (slope,) = torch.autograd.grad(patches, points, torch.ones_like(patches), create_graph=True)
        told["d_penalty"] = ((slope.flatten(1).square().sum(1) + 1e-16).sqrt() - 1).square().mean()
        told["d_loss"] = told["d_real"] + told["d_fake"] + told["d_classes"] + 10 * told["d_penalty"]
        self.dis_optimiser.zero_grad(set_to_none=True)
        told["d_loss"].backward()
        self.dis_optimiser.step()
        if turn_of_g:
            told |= self._generator_step(images, see(own), see(target), target)
        return {name: value.detach() for name, value in told.items()}

    def _generator_step(self, images, own, shown, target):
        fake = self.generator(images, shown)
        patches, classes = self.discriminator(fake)
        told = {
            "g_adversarial": -patches.mean(),
            "g_classes": self.classification(classes, target),
            "g_cycle": (images - self.generator(fake, own)).abs().mean(),
        }
        told["g_loss"] = told["g_adversarial"] + told["g_classes"] + 10 * told["g_cycle"]
        # As the authors' code has it, D's gradients are computed as well and thrown away.
        self.gen_optimiser.zero_grad(set_to_none=True)
        told["g_loss"].backward()
        self.gen_optimiser.step()
        return told


def stargan(size, labels, critic=5, width=64, blocks=6, layers=6, seed=0, adam="default"):
    """A freshly initialised StarGAN; `adam` as in `peer.pix2pix`."""
    torch.manual_seed(seed)
    implementation = {} if adam == "default" else {adam: True}
    nets = (
        Generator(labels, width=width, blocks=blocks),
        Discriminator(size, labels, width=width, layers=layers),
    )
    return StarGAN(*nets, critic=critic, **implementation)
