"""BiCycleGAN's networks and training step as the field's PyTorch code has them, as the side to be timed against.

Zhu et al., "Toward Multimodal Image-to-Image Translation" (NIPS 2017, arXiv:1711.11586), in the manner of `peer`: eager
mode, NCHW, an Adam for each net with PyTorch's default implementation. Nothing here is used by `jgan` itself.
"""

import torch
from torch import nn
from torch.nn import functional

from benchmarks import peer


class UNet(peer.UNet):
    """`peer.UNet` with a code [n, nz] that is tiled and joined to what every encoder layer takes, or to the image."""

    def __init__(self, levels=8, nz=8, everywhere=True, in_channels=3, width=64, **options):
        super().__init__(levels, in_channels, width=width, norm="instance", **options)
        self.everywhere = everywhere
        for k, layer in enumerate(self.down):
            if k == 0 or everywhere:
                self.down[k] = nn.Conv2d(layer.in_channels + nz, layer.out_channels, 4, 2, 1)

    def forward(self, x, z):
        skips = []
        for k, (conv, norm) in enumerate(zip(self.down, self.down_norm, strict=True)):
            if k == 0 or self.everywhere:
                x = torch.cat([x, z[:, :, None, None].expand(*z.shape, *x.shape[2:])], 1)
            x = functional.leaky_relu(x, 0.2, inplace=True) if k else x
            x = norm(conv(x))
            skips.append(x)
        for k in reversed(range(len(self.up))):
            if k < len(self.up) - 1:
                x = torch.cat([skips[k], x], 1)
            x = self.up_norm[k](self.up[k](functional.relu(x, inplace=True)))
            if self.dropouts[k]:
                x = functional.dropout(x, self.dropouts[k], self.training)
        return torch.tanh(x)


class Block(nn.Module):
    """Half of the height and width by a residual block, norms and activations first."""

    def __init__(self, into, out):
        super().__init__()
        self.norm_a, self.norm_b = nn.InstanceNorm2d(into), nn.InstanceNorm2d(into)
        self.conv_a, self.conv_b = nn.Conv2d(into, into, 3, 1, 1), nn.Conv2d(into, out, 3, 1, 1)
        self.shortcut = nn.Conv2d(into, out, 1)

    def forward(self, x):
        y = self.conv_a(functional.leaky_relu(self.norm_a(x), 0.2, inplace=True))
        y = self.conv_b(functional.leaky_relu(self.norm_b(y), 0.2, inplace=True))
        return functional.avg_pool2d(y, 2) + self.shortcut(functional.avg_pool2d(x, 2))


class Encoder(nn.Module):
    """(mean, logarithm of the variance), each [n, nz], of images [n, c, h, w]."""

    def __init__(self, nz=8, blocks=4, width=64, in_channels=3):
        super().__init__()
        widths = [width * min(k + 1, 4) for k in range(blocks + 1)]
        self.first = nn.Conv2d(in_channels, width, 4, 2, 1)
        self.blocks = nn.ModuleList([Block(*pair) for pair in zip(widths[:-1], widths[1:], strict=True)])
        self.mu, self.logvar = nn.Linear(widths[-1], nz), nn.Linear(widths[-1], nz)

    def forward(self, x):
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        x = functional.leaky_relu(x, 0.2, inplace=True).mean((2, 3))
        return self.mu(x), self.logvar(x)


class Judge(nn.Module):
    """[logits of a PatchGAN] at the image's size and at half of it, where it has half of the channels."""

    def __init__(self, in_channels=3, n_layers=3, width=64, scales=2):
        super().__init__()
        self.scales = nn.ModuleList(
            [peer.PatchDiscriminator(in_channels, n_layers, width // 2**k, "instance") for k in range(scales)]
        )

    def forward(self, x):
        logits = []
        for k, scale in enumerate(self.scales):
            x = functional.avg_pool2d(x, 3, 2, 1, count_include_pad=False) if k else x
            logits.append(scale(x))
        return logits


class BiCycleGAN:
    """A BiCycleGAN in training; `step(a, b)` makes one update of all four networks and returns the losses."""

    def __init__(self, generator, encoder, judges, lr=2e-4, **adam):
        self.generator, self.encoder, (self.judge, self.judge_random) = generator, encoder, judges
        adam = {"lr": lr, "betas": (0.5, 0.999), **adam}
        self.optimisers = {
            net: torch.optim.Adam(net.parameters(), **adam)
            for net in (generator, encoder, self.judge, self.judge_random)
        }

    def step(self, a, b, codes=None):
        """The losses (0-d tensors) of one update on inputs a and targets b: [n, c, h, w] in [-1, 1], n even.

        `codes` are the noise of the encoded code and the random code, [n / 2, nz] both, drawn if not given.
        """
        half = len(a) // 2
        a, b, b_random = a[:half], b[:half], b[half:]
        mu, logvar = self.encoder(b)
        noise, drawn = codes or (torch.randn_like(mu), torch.randn_like(mu))
        fake = self.generator(a, mu + torch.exp(logvar / 2) * noise)
        fake_random = self.generator(a, drawn)
        found, _ = self.encoder(fake_random)

        for judge in (self.judge, self.judge_random):
            judge.requires_grad_(False)
        for net in (self.encoder, self.generator):
            self.optimisers[net].zero_grad(set_to_none=True)
        adversarial = squares(self.judge(fake), 1.0)
        adversarial_random = squares(self.judge_random(fake_random), 1.0)
        l1 = functional.l1_loss(fake, b)
        kl = -0.5 * torch.sum(1 + logvar - mu**2 - logvar.exp())
        (adversarial + adversarial_random + 10 * l1 + 0.01 * kl).backward(retain_graph=True)
        # The regression of the random code moves the generator alone.
        regression = functional.l1_loss(found, drawn)
        (0.5 * regression).backward(inputs=list(self.generator.parameters()))
        for net in (self.encoder, self.generator):
            self.optimisers[net].step()

        losses = {"adversarial": adversarial, "l1": l1, "kl": kl, "regression": regression}
        for judge, real, made in ((self.judge, b, fake), (self.judge_random, b_random, fake_random)):
            judge.requires_grad_(True)
            self.optimisers[judge].zero_grad(set_to_none=True)
            loss = squares(judge(made.detach()), 0.0) + squares(judge(real), 1.0)
            loss.backward()
            self.optimisers[judge].step()
            losses["dis"] = losses.get("dis", 0.0) + loss
        return {name: loss.detach() for name, loss in losses.items()}


def squares(logits, label):
    """The mean squared distance of logits to a label, summed over the scales."""
    return sum(peer.squares(x, label) for x in logits)


def initialise(net):
    """`net` with kernels drawn by Xavier's rule with a gain of 0.02 and biases 0."""
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            nn.init.xavier_normal_(module.weight, 0.02)
            nn.init.zeros_(module.bias)
    return net


def bicyclegan(levels=8, blocks=4, nz=8, n_layers=3, width=64, seed=0, adam="default"):
    """A freshly initialised BiCycleGAN for images that `levels` halve to one pixel; `adam` as in `peer.pix2pix`."""
    torch.manual_seed(seed)
    implementation = {} if adam == "default" else {adam: True}
    judges = [initialise(Judge(n_layers=n_layers, width=width)) for _ in range(2)]
    generator, encoder = initialise(UNet(levels, nz, width=width)), initialise(Encoder(nz, blocks, width))
    return BiCycleGAN(generator, encoder, judges, **implementation)
