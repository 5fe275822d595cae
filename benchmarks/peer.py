"""The networks and training steps of the field's standard PyTorch code, as the side to be timed against.

Architectures and updates follow pix2pix (Isola et al., CVPR 2017, arXiv:1611.07004) and CycleGAN
(Zhu et al., ICCV 2017, arXiv:1703.10593) as their widely used PyTorch edition has them, and DCGAN (Radford et al.,
ICLR 2016, arXiv:1511.06434) in its usual form: eager mode, NCHW, one Adam per group with PyTorch's default
implementation, in-place activations where autograd allows them. Nothing here is used by `jgan` itself; PyTorch is a
benchmark and test extra.
"""

import itertools
import random

import torch
from torch import nn
from torch.nn import functional


class UNet(nn.Module):
    """A U-Net of `levels` stride-2 steps, [n, in_channels, h, w] -> [n, out_channels, h, w] in [-1, 1].

    256 pixels want 8 levels (`unet_256`), 128 want 7, 64 want 6. With `skips=False` it is the encoder-decoder
    of the paper's Table 2. The transposed convolutions of levels 5 to `levels - 1` are followed by dropout.
    """

    def __init__(
        self, levels=8, in_channels=3, out_channels=3, width=64, norm="batch", dropout=0.5, skips=True
    ):
        super().__init__()
        channels = [width * min(2**k, 8) for k in range(levels)]
        bias = norm == "instance"
        self.skips, self.dropouts = skips, []
        self.down, self.down_norm = nn.ModuleList(), nn.ModuleList()
        self.up, self.up_norm = nn.ModuleList(), nn.ModuleList()
        for k, out in enumerate(channels):
            into = channels[k - 1] if k else in_channels
            self.down.append(nn.Conv2d(into, out, 4, 2, 1, bias=bias))
            inner = 0 < k < levels - 1
            self.down_norm.append(normalisation(norm, out) if inner else nn.Identity())
        for k in range(levels):  # up[k] leads from level k + 1 back to the size of level k
            into = channels[k] * (2 if skips and k < levels - 1 else 1)
            out = channels[k - 1] if k else out_channels
            self.up.append(nn.ConvTranspose2d(into, out, 4, 2, 1, bias=bias or k == 0))
            self.up_norm.append(normalisation(norm, out) if k else nn.Identity())
            self.dropouts.append(dropout if 4 <= k < levels - 1 else 0.0)

    def forward(self, x):
        skips = []
        for k, (conv, norm) in enumerate(zip(self.down, self.down_norm, strict=True)):
            # In place: what follows a skip is a ReLU, and ReLU after LeakyReLU is ReLU.
            x = functional.leaky_relu(x, 0.2, inplace=True) if k else x
            x = norm(conv(x))
            skips.append(x)
        for k in reversed(range(len(self.up))):
            if self.skips and k < len(self.up) - 1:
                x = torch.cat([skips[k], x], 1)
            x = self.up_norm[k](self.up[k](functional.relu(x, inplace=True)))
            if self.dropouts[k]:
                x = functional.dropout(x, self.dropouts[k], self.training)
        return torch.tanh(x)


class ResNet(nn.Module):
    """The residual generator, [n, in_channels, h, w] -> [n, out_channels, h, w] in [-1, 1].

    h and w are multiples of 4.
    """

    def __init__(self, blocks=9, in_channels=3, out_channels=3, width=64, norm="instance", dropout=0.0):
        super().__init__()
        bias = norm == "instance"
        layers = [
            nn.ReflectionPad2d(3),
            nn.Conv2d(in_channels, width, 7, bias=bias),
            normalisation(norm, width),
            nn.ReLU(True),
        ]
        for c in (width, 2 * width):
            layers += [nn.Conv2d(c, 2 * c, 3, 2, 1, bias=bias), normalisation(norm, 2 * c), nn.ReLU(True)]
        layers += [ResidualBlock(4 * width, norm, bias, dropout) for _ in range(blocks)]
        for c in (4 * width, 2 * width):
            layers += [
                nn.ConvTranspose2d(c, c // 2, 3, 2, 1, output_padding=1, bias=bias),
                normalisation(norm, c // 2),
                nn.ReLU(True),
            ]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, out_channels, 7), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x)


class ResidualBlock(nn.Module):
    """x plus two reflect-padded 3x3 convolutions of it, no activation after the sum."""

    def __init__(self, channels, norm, bias, dropout):
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3, bias=bias),
            normalisation(norm, channels),
            nn.ReLU(True),
            *([nn.Dropout(dropout)] if dropout else []),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3, bias=bias),
            normalisation(norm, channels),
        )

    def forward(self, x):
        return x + self.layers(x)


class PatchDiscriminator(nn.Module):
    """A PatchGAN of `n_layers` stride-2 steps, [n, in_channels, h, w] -> logits [n, 1, h', w'].

    With 3 of them a logit judges 70x70 pixels.
    """

    def __init__(self, in_channels=6, n_layers=3, width=64, norm="batch"):
        super().__init__()
        channels = [width * min(2**k, 8) for k in range(n_layers + 1)]
        layers = [nn.Conv2d(in_channels, width, 4, 2, 1), nn.LeakyReLU(0.2, True)]
        for k in range(1, n_layers + 1):
            stride = 2 if k < n_layers else 1
            layers += [
                nn.Conv2d(channels[k - 1], channels[k], 4, stride, 1, bias=norm == "instance"),
                normalisation(norm, channels[k]),
                nn.LeakyReLU(0.2, True),
            ]
        layers += [nn.Conv2d(channels[-1], 1, 4, 1, 1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x)


class PixelDiscriminator(nn.Module):
    """The 1x1 PixelGAN, [n, in_channels, h, w] -> logits [n, 1, h, w]."""

    def __init__(self, in_channels=6, width=64, norm="batch"):
        super().__init__()
        bias = norm == "instance"
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, width, 1),
            nn.LeakyReLU(0.2, True),
            nn.Conv2d(width, 2 * width, 1, bias=bias),
            normalisation(norm, 2 * width),
            nn.LeakyReLU(0.2, True),
            nn.Conv2d(2 * width, 1, 1, bias=bias),
        )

    def forward(self, x):
        return self.layers(x)


class Pix2Pix:
    """A pix2pix model in training; `step(a, b)` makes one update of both networks and returns the losses.

    The generator runs forward once; the discriminator learns from its detached output and the target; the
    generator then learns from the updated discriminator and the L1 distance.
    """

    def __init__(self, generator, discriminator, lr=2e-4, lambda_l1=100.0, **adam):
        self.generator, self.discriminator, self.lambda_l1 = generator, discriminator, lambda_l1
        adam = {"lr": lr, "betas": (0.5, 0.999), **adam}
        self.gen_optimiser = torch.optim.Adam(generator.parameters(), **adam)
        self.dis_optimiser = torch.optim.Adam(discriminator.parameters(), **adam)

    def step(self, a, b):
        """The losses (0-d tensors) of one update on inputs a and targets b: [n, c, h, w] in [-1, 1]."""
        fake = self.generator(a)

        self.discriminator.requires_grad_(True)
        self.dis_optimiser.zero_grad(set_to_none=True)
        logits_fake = self.discriminator(torch.cat([a, fake.detach()], 1))
        logits_real = self.discriminator(torch.cat([a, b], 1))
        dis_loss = 0.5 * (cross_entropy(logits_fake, 0.0) + cross_entropy(logits_real, 1.0))
        dis_loss.backward()
        self.dis_optimiser.step()

        self.discriminator.requires_grad_(False)
        self.gen_optimiser.zero_grad(set_to_none=True)
        adversarial = cross_entropy(self.discriminator(torch.cat([a, fake], 1)), 1.0)
        l1 = functional.l1_loss(fake, b)
        (adversarial + self.lambda_l1 * l1).backward()
        self.gen_optimiser.step()
        return {"dis": dis_loss.detach(), "adversarial": adversarial.detach(), "l1": l1.detach()}


def pix2pix(levels=8, channels=(3, 3), width=64, n_layers=3, seed=0, adam="default"):
    """A freshly initialised pix2pix: U-Net of `levels`, conditional PatchGAN, BatchNorm, dropout.

    `adam` names PyTorch's implementation: what it takes by itself, or `foreach` or `fused`.
    """
    torch.manual_seed(seed)
    generator = initialise(UNet(levels, *channels, width))
    discriminator = initialise(PatchDiscriminator(sum(channels), n_layers, width))
    implementation = {} if adam == "default" else {adam: True}
    return Pix2Pix(generator, discriminator, **implementation)


class CycleGAN:
    """A CycleGAN in training; `step(a, b)` makes one update of all four networks and returns the losses.

    Both generators learn first, from the least-squares, cycle and identity terms; then both discriminators, from
    real images and from fakes that passed a pool of the last 50.
    """

    def __init__(self, generators, discriminators, lr=2e-4, weight=10.0, identity=0.5, **adam):
        self.ab, self.ba = generators
        self.judge_a, self.judge_b = discriminators
        self.weight, self.identity = weight, identity
        adam = {"lr": lr, "betas": (0.5, 0.999), **adam}
        self.gen_optimiser = torch.optim.Adam([*self.ab.parameters(), *self.ba.parameters()], **adam)
        self.dis_optimiser = torch.optim.Adam(
            [*self.judge_a.parameters(), *self.judge_b.parameters()], **adam
        )
        self.pool_a, self.pool_b = Pool(50), Pool(50)

    def step(self, a, b):
        """The losses (0-d tensors) of one update on unpaired images a and b: [n, c, h, w] in [-1, 1]."""
        fake_b = self.ab(a)
        back_a = self.ba(fake_b)
        fake_a = self.ba(b)
        back_b = self.ab(fake_a)

        for judge in (self.judge_a, self.judge_b):
            judge.requires_grad_(False)
        self.gen_optimiser.zero_grad(set_to_none=True)
        same = 0.0
        if self.identity > 0:
            same = functional.l1_loss(self.ab(b), b) + functional.l1_loss(self.ba(a), a)
        adversarial = squares(self.judge_b(fake_b), 1.0) + squares(self.judge_a(fake_a), 1.0)
        cycle = functional.l1_loss(back_a, a) + functional.l1_loss(back_b, b)
        gen_loss = adversarial + self.weight * (cycle + self.identity * same)
        gen_loss.backward()
        self.gen_optimiser.step()

        self.dis_optimiser.zero_grad(set_to_none=True)
        losses = []
        for judge, real, fake, pool in (
            (self.judge_a, a, fake_a, self.pool_a),
            (self.judge_b, b, fake_b, self.pool_b),
        ):
            judge.requires_grad_(True)
            shown = pool.draw(fake.detach())
            losses.append(0.5 * (squares(judge(real), 1.0) + squares(judge(shown), 0.0)))
            losses[-1].backward()
        self.dis_optimiser.step()
        return {"dis": sum(losses).detach(), "adversarial": adversarial.detach(), "cycle": cycle.detach()}


class Pool:
    """The last fakes: stores until it holds `size`, then hands back an old one in exchange every other time."""

    def __init__(self, size):
        self.size, self.images = size, []

    def draw(self, images):
        """For each image itself or, once the pool is full, as likely one of the stored ones in exchange."""
        drawn = []
        for image in images:
            if len(self.images) < self.size:
                self.images.append(image)
            elif random.random() > 0.5:
                slot = random.randrange(self.size)
                image, self.images[slot] = self.images[slot].clone(), image
            drawn.append(image)
        return torch.stack(drawn)


def cyclegan(blocks=9, channels=(3, 3), width=64, n_layers=3, seed=0, adam="default"):
    """A freshly initialised CycleGAN: two ResNets of `blocks`, two PatchGANs, instance norm."""
    torch.manual_seed(seed)
    a, b = channels
    generators = [initialise(ResNet(blocks, *pair, width)) for pair in ((a, b), (b, a))]
    discriminators = [initialise(PatchDiscriminator(c, n_layers, width, norm="instance")) for c in channels]
    implementation = {} if adam == "default" else {adam: True}
    return CycleGAN(generators, discriminators, **implementation)


class Generator(nn.Module):
    """DCGAN's generator with 4x4 kernels, [n, nz] -> [n, 3, size, size] in [-1, 1]; size is 4 * 2**stages."""

    def __init__(self, nz, width, stages=4):
        super().__init__()
        self.top = 2 ** (stages - 1) * width
        self.dense = nn.Linear(nz, 16 * self.top, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(self.top // 2**k) for k in range(stages)])
        widths = [*(self.top // 2**k for k in range(stages)), 3]
        self.ups = nn.ModuleList(
            [nn.ConvTranspose2d(a, b, 4, 2, 1, bias=False) for a, b in itertools.pairwise(widths)]
        )

    def forward(self, z):
        x = self.dense(z).view(-1, self.top, 4, 4)
        for norm, up in zip(self.norms, self.ups, strict=True):
            x = up(functional.relu(norm(x), inplace=True))
        return torch.tanh(x)

    def take(self, params, stats):
        """Takes over the weights of a jgan generator, as nested dicts of NumPy arrays, for inference alone."""
        self.eval().requires_grad_(False)
        kernel = params["dense"]["kernel"]
        units = kernel.reshape(kernel.shape[0], 4, 4, self.top).transpose(3, 1, 2, 0)
        self.dense.weight.copy_(torch.tensor(units.reshape(16 * self.top, -1)))
        for k, up in enumerate(self.ups):
            up.weight.copy_(torch.tensor(params[f"up_{k + 1}"]["kernel"].transpose(2, 3, 0, 1)))
        names = ["dense_norm", *(f"up_norm_{k}" for k in range(1, len(self.norms)))]
        for name, norm in zip(names, self.norms, strict=True):
            norm.weight.copy_(torch.tensor(params[name]["scale"]))
            norm.bias.copy_(torch.tensor(params[name]["bias"]))
            norm.running_mean.copy_(torch.tensor(stats[name]["mean"]))
            norm.running_var.copy_(torch.tensor(stats[name]["variance"]))
        return self


class Judge(nn.Module):
    """DCGAN's discriminator with 4x4 kernels, [n, 3, size, size] -> logits [n, 1]."""

    def __init__(self, width, stages=4):
        super().__init__()
        layers = [nn.Conv2d(3, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True)]
        for k in range(stages - 1):
            c = width * 2**k
            layers += [
                nn.Conv2d(c, 2 * c, 4, 2, 1, bias=False),
                nn.BatchNorm2d(2 * c),
                nn.LeakyReLU(0.2, True),
            ]
        self.layers = nn.Sequential(
            *layers, nn.Flatten(), nn.Linear(16 * width * 2 ** (stages - 1), 1, bias=False)
        )

    def forward(self, x):
        return self.layers(x)


class DCGAN:
    """A DCGAN in training; `step(images)` makes one update of both networks and returns the losses.

    The discriminator learns from real images and from generated ones; the generator then learns from the updated
    discriminator on the same codes.
    """

    def __init__(self, generator, discriminator, lr=2e-4, **adam):
        self.generator, self.discriminator = generator, discriminator
        self.nz = generator.dense.in_features
        adam = {"lr": lr, "betas": (0.5, 0.999), **adam}
        self.gen_optimiser = torch.optim.Adam(generator.parameters(), **adam)
        self.dis_optimiser = torch.optim.Adam(discriminator.parameters(), **adam)

    def step(self, images, codes=None):
        """The losses (0-d tensors) of one update on images [n, 3, h, w] in [-1, 1]; codes are drawn if not given."""
        if codes is None:
            codes = torch.rand(len(images), self.nz, device=images.device) * 2 - 1
        fake = self.generator(codes)

        self.discriminator.requires_grad_(True)
        self.dis_optimiser.zero_grad(set_to_none=True)
        on_fake = cross_entropy(self.discriminator(fake.detach()), 0.0)
        dis_loss = on_fake + cross_entropy(self.discriminator(images), 1.0)
        dis_loss.backward()
        self.dis_optimiser.step()

        self.discriminator.requires_grad_(False)
        self.gen_optimiser.zero_grad(set_to_none=True)
        gen_loss = cross_entropy(self.discriminator(fake), 1.0)
        gen_loss.backward()
        self.gen_optimiser.step()
        return {"dis": dis_loss.detach(), "gen": gen_loss.detach()}


def dcgan(stages=4, nz=100, width=64, seed=0, adam="default"):
    """A freshly initialised DCGAN for squares of 4 * 2**stages pixels."""
    torch.manual_seed(seed)
    implementation = {} if adam == "default" else {adam: True}
    return DCGAN(initialise(Generator(nz, width, stages)), initialise(Judge(width, stages)), **implementation)


def initialise(net):
    """`net` with convolutions drawn from N(0, 0.02), biases 0, BatchNorm's scales from N(1, 0.02)."""
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(module.weight, 0.0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
    return net


def normalisation(name, channels):
    """The layer called `name`: batch (affine, running statistics), instance (neither) or none."""
    return {
        "batch": lambda: nn.BatchNorm2d(channels),
        "instance": lambda: nn.InstanceNorm2d(channels),
        "none": nn.Identity,
    }[name]()


def cross_entropy(logits, label):
    """Mean binary cross-entropy of logits against one label for all of them."""
    return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


def squares(logits, label):
    """Mean squared distance of logits to one label for all of them."""
    return functional.mse_loss(logits, torch.full_like(logits, label))


def generator(system):
    """A small generator: pix2pix's U-Net for 64 px, or that of CycleGAN's maps64, 6 blocks of half the width."""
    return UNet(6) if system == "pix2pix" else ResNet(6, width=32)


def translate_files(system, weights, source, target, threads):
    """Translates the PNG files of one folder into another, one by one, by the generator of a state dict."""
    import pathlib

    import numpy as np
    from PIL import Image

    torch.set_num_threads(threads)
    net = generator(system)
    net.load_state_dict(torch.load(weights))
    pathlib.Path(target).mkdir(exist_ok=True)
    with torch.inference_mode():
        for path in sorted(pathlib.Path(source).iterdir()):
            pixels = torch.from_numpy(np.array(Image.open(path)))
            made = net(pixels.permute(2, 0, 1)[None].float() / 127.5 - 1)[0].permute(1, 2, 0)
            made = ((made + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
            Image.fromarray(made.numpy()).save(pathlib.Path(target, path.name))
