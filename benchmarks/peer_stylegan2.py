"""StyleGAN2's networks in PyTorch as its authors' code has them, as the side to be timed against.

Karras et al. (CVPR 2020, arXiv:1912.04958; NeurIPS 2020, arXiv:2006.06676), in the manner of `peer`: eager mode, NCHW,
resampling by inserted zeros and a depthwise convolution. In training, activations are scaled instead of weights;
`grouped` has the other way, weights for every example in one grouped convolution. Parameters have the names and shapes
of the authors' files. Nothing here is used by `jgan` itself.
"""

import math

import torch
from torch import nn
from torch.nn import functional

HALF = math.sqrt(0.5)


def filtered(x, up=1, down=1, pad=(0, 0), gain=1.0):
    """Zeros after every pixel and around all, the filter [1, 3, 3, 1] on both axes, and every `down`-th pixel."""
    n, c, h, w = x.shape
    if up > 1:
        x = x.reshape(n, c, h, 1, w, 1)
        x = functional.pad(x, (0, up - 1, 0, 0, 0, up - 1)).reshape(n, c, h * up, w * up)
    x = functional.pad(x, (pad[0], pad[1], pad[0], pad[1]))
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=x.dtype, device=x.device)
    kernel = torch.outer(taps, taps) * (gain / 64)
    return functional.conv2d(x, kernel.expand(c, 1, 4, 4), stride=down, groups=c)


def upsampled(x):
    return filtered(x, up=2, pad=(2, 1), gain=4.0)


def downsampled(x):
    return filtered(x, down=2, pad=(1, 1))


def normalised(x):
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()


def activated(x, gain=1.0, clamp=None):
    x = functional.leaky_relu(x, 0.2) * (math.sqrt(2) * gain)
    return x if clamp is None else x.clamp(-clamp * gain, clamp * gain)


class Dense(nn.Module):
    def __init__(self, inputs, outputs, activate=False, multiplier=1.0, start=0.0):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / multiplier)
        self.bias = nn.Parameter(torch.full((outputs,), float(start)))
        self.activate, self.multiplier = activate, multiplier

    def forward(self, x):
        scale = self.multiplier / math.sqrt(self.weight.shape[1])
        x = torch.addmm(self.bias * self.multiplier, x, self.weight.t() * scale)
        return activated(x) if self.activate else x


class Conv(nn.Module):
    """A convolution with bias and activation, or, without a bias, one of the branch around a block."""

    def __init__(self, inputs, outputs, kernel, up=False, down=False, bias=True, clamp=None):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.up, self.down, self.clamp = up, down, clamp

    def forward(self, x, gain=1.0):
        kernel = self.weight.shape[2]
        weight = self.weight / math.sqrt(self.weight[0].numel())
        if self.down and kernel == 1:
            x = functional.conv2d(downsampled(x), weight)
        elif self.down:
            x = functional.conv2d(filtered(x, pad=(2, 2)), weight, stride=2)
        else:
            x = functional.conv2d(x, weight, padding=kernel // 2)
            x = upsampled(x) if self.up else x
        if self.bias is None:
            return x * gain
        return activated(x + self.bias[:, None, None], gain, self.clamp)


def modulated(x, weight, style, up, demodulate, grouped):
    """The convolution of every example with a kernel scaled by its own style, in one of two ways that are equal."""
    n, outputs = len(x), len(weight)
    padding = weight.shape[2] // 2
    if grouped:
        kernels = weight[None] * style[:, None, :, None, None]
        if demodulate:
            kernels = kernels * (kernels.square().sum((2, 3, 4), keepdim=True) + 1e-8).rsqrt()
        x = x.reshape(1, -1, *x.shape[2:])
        if up:
            x = functional.conv_transpose2d(
                x, kernels.transpose(1, 2).reshape(-1, outputs, *weight.shape[2:]), stride=2, groups=n
            )
            x = filtered(x, pad=(1, 1), gain=4.0)
        else:
            x = functional.conv2d(x, kernels.flatten(0, 1), padding=padding, groups=n)
        return x.reshape(n, outputs, *x.shape[2:])
    x = x * style[:, :, None, None]
    if up:
        x = functional.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
        x = filtered(x, pad=(1, 1), gain=4.0)
    else:
        x = functional.conv2d(x, weight, padding=padding)
    if demodulate:
        norm = (style.square() @ weight.square().sum((2, 3)).t() + 1e-8).rsqrt()
        x = x * norm[:, :, None, None]
    return x


class SynthesisLayer(nn.Module):
    def __init__(self, inputs, outputs, w_dim, up=False, clamp=None):
        super().__init__()
        self.affine = Dense(w_dim, inputs, start=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.up, self.clamp = up, clamp

    def forward(self, x, w, noise=None, gain=1.0, grouped=False):
        x = modulated(x, self.weight, self.affine(w), self.up, True, grouped)
        if noise is not None:
            x = x + noise * self.noise_strength
        return activated(x + self.bias[:, None, None], gain, self.clamp)


class ToRGB(nn.Module):
    def __init__(self, inputs, channels, w_dim, clamp=None):
        super().__init__()
        self.affine = Dense(w_dim, inputs, start=1.0)
        self.weight = nn.Parameter(torch.randn(channels, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.clamp = clamp

    def forward(self, x, w, grouped=False):
        style = self.affine(w) / math.sqrt(x.shape[1])
        x = modulated(x, self.weight, style, False, False, grouped) + self.bias[:, None, None]
        return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)


class Mapping(nn.Module):
    """Codes [n, z_dim] (None where z_dim is 0) and labels [n, c_dim] -> styles [n, w_dim]."""

    def __init__(self, z_dim, c_dim, w_dim, layers=8, multiplier=0.01):
        super().__init__()
        self.layers = layers
        if c_dim:
            self.embed = Dense(c_dim, w_dim)
        inputs = z_dim + (w_dim if c_dim else 0)
        for k in range(layers):
            self.add_module(f"fc{k}", Dense(w_dim if k else inputs, w_dim, True, multiplier))

    def forward(self, z=None, label=None):
        parts = [] if z is None else [normalised(z)]
        parts += [] if label is None else [normalised(self.embed(label))]
        x = torch.cat(parts, 1)
        for k in range(self.layers):
            x = getattr(self, f"fc{k}")(x)
        return x


class SynthesisBlock(nn.Module):
    def __init__(self, inputs, outputs, w_dim, channels, architecture, last, clamp):
        super().__init__()
        self.residual = architecture == "resnet" and inputs > 0
        if inputs:
            self.conv0 = SynthesisLayer(inputs, outputs, w_dim, True, clamp)
        else:
            self.const = nn.Parameter(torch.randn(outputs, 4, 4))
        self.conv1 = SynthesisLayer(outputs, outputs, w_dim, False, clamp)
        if self.residual:
            self.skip = Conv(inputs, outputs, 1, up=True, bias=False)
        self.torgb = ToRGB(outputs, channels, w_dim, clamp) if last or architecture == "skip" else None

    def forward(self, x, image, ws, noise, grouped):
        if x is None:
            x = self.const.expand(len(ws[0]), -1, -1, -1)
            x = self.conv1(x, ws[0], noise[0], grouped=grouped)
        else:
            skip = self.skip(x, HALF) if self.residual else None
            x = self.conv0(x, ws[0], noise[0], grouped=grouped)
            x = self.conv1(x, ws[1], noise[1], HALF if self.residual else 1.0, grouped)
            x = skip + x if self.residual else x
        if self.torgb is not None:
            made = self.torgb(x, ws[-1], grouped)
            image = made if image is None else upsampled(image) + made
        return x, image


class Synthesis(nn.Module):
    """Styles [n, rows, w_dim] and maps of noise [n or 1, 1, r, r] -> images [n, channels, size, size]."""

    def __init__(self, size, w_dim, channels=3, base=32768, most=512, architecture="skip", clamp=None):
        super().__init__()
        self.sizes, last = [2**k for k in range(2, size.bit_length())], 0
        for r in self.sizes:
            width = min(base // r, most)
            block = SynthesisBlock(last, width, w_dim, channels, architecture, r == size, clamp)
            self.add_module(f"b{r}", block)
            last = width

    def forward(self, ws, noise=None, grouped=False):
        ws, x, image = ws.unbind(1), None, None
        noise = noise or [None] * (2 * len(self.sizes) - 1)
        for k, r in enumerate(self.sizes):
            first = max(2 * k - 1, 0)
            block = getattr(self, f"b{r}")
            x, image = block(x, image, ws[first : 2 * k + 2], noise[first : 2 * k + 1], grouped)
        return image


class DiscriminatorBlock(nn.Module):
    def __init__(self, width, outputs, channels, architecture, first, clamp):
        super().__init__()
        self.architecture = architecture
        if first or architecture == "skip":
            self.fromrgb = Conv(channels, width, 1, clamp=clamp)
        self.conv0 = Conv(width, width, 3, clamp=clamp)
        self.conv1 = Conv(width, outputs, 3, down=True, clamp=clamp)
        if architecture == "resnet":
            self.skip = Conv(width, outputs, 1, down=True, bias=False)

    def forward(self, x, image):
        if x is None:
            x = self.fromrgb(image)
        elif self.architecture == "skip":
            x = x + self.fromrgb(image)
        image = downsampled(image) if self.architecture == "skip" else image
        if self.architecture == "resnet":
            return self.skip(x, HALF) + self.conv1(self.conv0(x), HALF), image
        return self.conv1(self.conv0(x)), image


class Epilogue(nn.Module):
    def __init__(self, width, outputs, channels, architecture, group, clamp):
        super().__init__()
        self.group = group
        self.neighbours = False  # whether these are the groups of a batch, as in jgan
        if architecture == "skip":
            self.fromrgb = Conv(channels, width, 1)
        self.conv = Conv(width + 1, width, 3, clamp=clamp)
        self.fc = Dense(16 * width, width, True)
        self.out = Dense(width, outputs)

    def forward(self, x, image):
        if hasattr(self, "fromrgb"):
            x = x + self.fromrgb(image)
        n = len(x)
        group = min(self.group, n)
        parts = x.reshape(n // group, group, -1) if self.neighbours else x.reshape(group, n // group, -1)
        spread = parts.var(1 if self.neighbours else 0, unbiased=False)
        spread = (spread + 1e-8).sqrt().mean(1)
        spread = spread.repeat_interleave(group) if self.neighbours else spread.repeat(group)
        x = torch.cat([x, spread[:, None, None, None].expand(-1, -1, 4, 4)], 1)
        return self.out(self.fc(self.conv(x).flatten(1)))


class Discriminator(nn.Module):
    """Images [n, channels, size, size] and labels [n, c_dim] -> logits [n, 1]."""

    def __init__(
        self, size, channels=3, c_dim=0, base=32768, most=512, architecture="resnet", group=4, clamp=None
    ):
        super().__init__()
        self.sizes = [2**k for k in range(size.bit_length() - 1, 2, -1)]
        width = {r: min(base // r, most) for r in [*self.sizes, 4]}
        for r in self.sizes:
            block = DiscriminatorBlock(width[r], width[r // 2], channels, architecture, r == size, clamp)
            self.add_module(f"b{r}", block)
        self.b4 = Epilogue(width[4], width[4] if c_dim else 1, channels, architecture, group, clamp)
        self.mapping = Mapping(0, c_dim, width[4]) if c_dim else None

    def forward(self, image, label=None):
        x = None
        for r in self.sizes:
            x, image = getattr(self, f"b{r}")(x, image)
        x = self.b4(x, image)
        if self.mapping is None:
            return x
        expected = self.mapping(label=label)
        return (x * expected).sum(1, keepdim=True) / math.sqrt(expected.shape[1])


class StyleGAN2:
    """An iteration of its training, as the authors' loop has it: four updates, each on codes and noise of its own.

    Args:
        mapping: `Mapping`.
        synthesis: `Synthesis`.
        discriminator: `Discriminator`.
        lr: learning rate of both nets, before the correction for the regularisers.
        r1_gamma: weight of D's gradient penalty.
        intervals: iterations between two path lengths of G, and two penalties of D.
        adam: further arguments of PyTorch's Adam.
    """

    def __init__(
        self, mapping, synthesis, discriminator, lr=2.5e-3, r1_gamma=0.05, intervals=(4, 16), **adam
    ):
        self.mapping, self.synthesis, self.discriminator = mapping, synthesis, discriminator
        self.r1_gamma, self.intervals = r1_gamma, intervals
        self.w_avg = torch.zeros(next(mapping.parameters()).shape[0])
        self.pl_mean = torch.zeros([])
        generator = [*mapping.parameters(), *synthesis.parameters()]
        self.optimisers = []
        for parameters, interval in zip((generator, discriminator.parameters()), intervals, strict=True):
            share = interval / (interval + 1)
            settings = {"lr": lr * share, "betas": (0.0, 0.99**share), "eps": 1e-8, **adam}
            self.optimisers.append(torch.optim.Adam(parameters, **settings))
        self.average = [[p.detach().clone() for p in net.parameters()] for net in (mapping, synthesis)]

    def styles(self, z, other, place):
        """Styles [n, rows, w_dim] of codes z, of other codes from row `place` on, and their moving average."""
        w = self.mapping(z)
        self.w_avg = torch.lerp(w.detach().mean(0), self.w_avg, 0.995)
        rows = 2 * len(self.synthesis.sizes)
        ws = w[:, None].repeat(1, rows, 1)
        if place < rows:
            ws[:, place:] = self.mapping(other)[:, None]
        return ws

    def main_of_g(self, draw):
        """The update of G by D's judgement of codes and noise that `draw` has."""
        self._learns(0)
        fake = self.synthesis(self.styles(*draw.codes), draw.noise)
        loss = functional.softplus(-self.discriminator(fake)).mean()
        return self._update(0, loss), {"g_adversarial": loss}

    def path_length_of_g(self, draw):
        """The update of G by the length of its gradient to the styles, for the first half of the batch."""
        self._learns(0)
        ws = self.styles(*draw.codes)
        images = self.synthesis(ws, draw.noise)
        y = draw.image / math.sqrt(images.shape[2] * images.shape[3])
        (slope,) = torch.autograd.grad((images * y).sum(), ws, create_graph=True)
        lengths = slope.square().sum(2).mean(1).sqrt()
        mean = self.pl_mean.lerp(lengths.mean(), 0.01)
        self.pl_mean = mean.detach()
        penalty = (lengths - mean).square().mean()
        told = {"g_path_length": lengths.mean(), "g_path_penalty": penalty}
        return self._update(0, penalty * 2 * self.intervals[0]), told

    def main_of_d(self, draw, real):
        """The update of D on generated and on real images."""
        self._learns(1)
        with torch.no_grad():
            fake = self.synthesis(self.styles(*draw.codes), draw.noise)
        on_fake = functional.softplus(self.discriminator(fake)).mean()
        on_real = functional.softplus(-self.discriminator(real)).mean()
        return self._update(1, on_fake + on_real), {"d_fake": on_fake, "d_real": on_real}

    def penalty_of_d(self, real):
        """The update of D by half its squared gradient on real images."""
        self._learns(1)
        real = real.detach().requires_grad_(True)
        (slope,) = torch.autograd.grad(self.discriminator(real).sum(), real, create_graph=True)
        penalty = slope.square().sum((1, 2, 3)).mean()
        return self._update(1, penalty * (self.r1_gamma / 2) * self.intervals[1]), {"d_r1": penalty}

    def averaged(self, decay):
        """Moves the average of G's parameters."""
        for net, average in zip((self.mapping, self.synthesis), self.average, strict=True):
            for old, new in zip(average, net.parameters(), strict=True):
                old.copy_(new.detach().lerp(old, decay))

    def cycle(self, real):
        """As many iterations on the same images as D's penalty is apart."""
        n, channels, size, _ = real.shape
        decay = 0.5 ** (n / 5_000)
        for k in range(self.intervals[1]):
            draws = [self.draw(n), self.draw(n // 2) if k % self.intervals[0] == 0 else None, self.draw(n)]
            if draws[1] is not None:
                draws[1].image = torch.randn(n // 2, channels, size, size, device=real.device)
            self.iteration(k, draws, real, decay)

    def draw(self, n):
        """Codes, the place where they are mixed, and noise for n images."""
        inputs = self.mapping.fc0.weight
        z, other = torch.randn(2, n, inputs.shape[1], device=inputs.device)
        sizes = self.synthesis.sizes
        rows = 2 * len(sizes)
        place = int(torch.randint(1, rows, [])) if torch.rand([]) < 0.9 else rows
        layers = [r for r in sizes for _ in range(1 + (r > 4))]
        return Draw((z, other, place), [torch.randn(n, 1, r, r, device=inputs.device) for r in layers])

    def iteration(self, k, draws, real, decay):
        """Iteration k: `draws` are those of G, of its path length and of D; the losses as 0-d tensors."""
        told = self.main_of_g(draws[0])[1]
        if k % self.intervals[0] == 0:
            told |= self.path_length_of_g(draws[1])[1]
        told |= self.main_of_d(draws[2], real)[1]
        if k % self.intervals[1] == 0:
            told |= self.penalty_of_d(real)[1]
        self.averaged(decay)
        return {name: value.detach() for name, value in told.items()}

    def _learns(self, which):
        """Before the forward pass of an update: no gradients of the nets that stay as they are."""
        for k, nets in enumerate([(self.mapping, self.synthesis), (self.discriminator,)]):
            for net in nets:
                net.requires_grad_(k == which)

    def _update(self, which, loss):
        """Takes a step of one of the two optimisers."""
        self.optimisers[which].zero_grad(set_to_none=True)
        loss.backward()
        self.optimisers[which].step()


class Draw:
    """What an update draws: codes, other codes and the row from which they are mixed in, noise, and a random image."""

    def __init__(self, codes, noise, image=None):
        self.codes, self.noise, self.image = codes, noise, image


def stylegan2(size, base, w_dim=512, layers=2, seed=0, adam="default"):
    """A freshly initialised StyleGAN2; `adam` as in `peer.pix2pix`."""
    torch.manual_seed(seed)
    implementation = {} if adam == "default" else {adam: True}
    nets = (
        Mapping(w_dim, 0, w_dim, layers),
        Synthesis(size, w_dim, base=base),
        Discriminator(size, base=base),
    )
    return StyleGAN2(*nets, **implementation)
