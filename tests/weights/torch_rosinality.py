"""StyleGAN2 in PyTorch under the names of rosinality's port, written from a description of its files.

Kernels are scaled before they are normalised, noise lies in the module, and so do the filters, with their gain.
"""

import math

import torch
from torch import nn
from torch.nn import functional

TAPS = torch.tensor([1.0, 3.0, 3.0, 1.0])


class Filter(nn.Module):
    """The filter that all resampling uses, as a buffer: zeros between pixels and around, then every second pixel."""

    def __init__(self, gain=1.0, up=1, down=1, pad=(0, 0)):
        super().__init__()
        self.register_buffer("kernel", torch.outer(TAPS, TAPS) / 64 * gain)
        self.up, self.down, self.pad = up, down, pad

    def forward(self, x):
        n, c, h, w = x.shape
        wide = x.new_zeros(n, c, h * self.up, w * self.up)
        wide[:, :, :: self.up, :: self.up] = x
        wide = functional.pad(wide, self.pad * 2)
        kernel = self.kernel.flip(0, 1).expand(c, 1, 4, 4)
        return functional.conv2d(wide, kernel, groups=c)[:, :, :: self.down, :: self.down]


def rectified(x, bias):
    return functional.leaky_relu(x + bias.view(1, -1, *[1] * (x.ndim - 2)), 0.2) * math.sqrt(2)


class Linear(nn.Module):
    def __init__(self, inputs, outputs, start=0.0, slower=1.0, activate=False):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / slower)
        self.bias = nn.Parameter(torch.full((outputs,), start))
        self.slower, self.activate = slower, activate

    def forward(self, x):
        scale = self.slower / math.sqrt(self.weight.shape[1])
        x = x @ (self.weight * scale).T
        bias = self.bias * self.slower
        return rectified(x, bias) if self.activate else x + bias


class Norm(nn.Module):
    def forward(self, x):
        return x / torch.sqrt(x.pow(2).mean(1, keepdim=True) + 1e-8)


class Modulated(nn.Module):
    def __init__(self, inputs, outputs, kernel, style, up=False, demodulate=True):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, outputs, inputs, kernel, kernel))
        self.modulation = Linear(style, inputs, 1.0)
        self.demodulate = demodulate
        if up:
            self.blur = Filter(4.0, pad=(1, 1))

    def forward(self, x, style):
        kernels = self.weight / math.sqrt(self.weight[0, 0].numel())
        kernels = kernels * self.modulation(style)[:, None, :, None, None]
        if self.demodulate:
            kernels = kernels / torch.sqrt(kernels.pow(2).sum((2, 3, 4), keepdim=True) + 1e-8)
        # One example after the other, each with kernels of its own.
        if hasattr(self, "blur"):
            made = [
                functional.conv_transpose2d(a[None], k.transpose(0, 1), stride=2)
                for a, k in zip(x, kernels, strict=True)
            ]
            return self.blur(torch.cat(made))
        pad = kernels.shape[-1] // 2
        return torch.cat(
            [functional.conv2d(a[None], k, padding=pad) for a, k in zip(x, kernels, strict=True)]
        )


class Noise(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))


class Activate(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x):
        return rectified(x, self.bias)


class Styled(nn.Module):
    def __init__(self, inputs, outputs, style, up=False):
        super().__init__()
        self.conv = Modulated(inputs, outputs, 3, style, up)
        self.noise = Noise()
        self.activate = Activate(outputs)

    def forward(self, x, style, noise):
        return self.activate(self.conv(x, style) + self.noise.weight * noise)


class ToRGB(nn.Module):
    def __init__(self, inputs, style, up=True):
        super().__init__()
        if up:
            self.upsample = Filter(4.0, up=2, pad=(2, 1))
        self.conv = Modulated(inputs, 3, 1, style, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))

    def forward(self, x, style, image=None):
        x = self.conv(x, style) + self.bias
        return x if image is None else x + self.upsample(image)


class Constant(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.input = nn.Parameter(torch.randn(1, width, 4, 4))


class Generator(nn.Module):
    """`widths` are the channels of 4, 8, ... px."""

    def __init__(self, widths, style, layers, **arguments):
        super().__init__()
        self.style = nn.Sequential(
            Norm(), *(Linear(style, style, slower=0.01, activate=True) for _ in range(layers))
        )
        self.input = Constant(widths[0])
        self.conv1, self.to_rgb1 = (
            Styled(widths[0], widths[0], style),
            ToRGB(widths[0], style, False),
        )
        self.convs, self.to_rgbs, self.noises = nn.ModuleList(), nn.ModuleList(), nn.Module()
        for before, width in zip(widths, widths[1:], strict=False):
            self.convs += [Styled(before, width, style, True), Styled(width, width, style)]
            self.to_rgbs.append(ToRGB(width, style))
        for k in range(2 * len(widths) - 1):
            r = 2 ** ((k + 5) // 2)
            self.noises.register_buffer(f"noise_{k}", torch.randn(1, 1, r, r))

    def forward(self, ws):
        """Images of styles [n, rows, style] and the module's own noise."""
        noise = [getattr(self.noises, f"noise_{k}") for k in range(1 + len(self.convs))]
        x = self.conv1(self.input.input.repeat(len(ws), 1, 1, 1), ws[:, 0], noise[0])
        image = self.to_rgb1(x, ws[:, 1])
        for k, to_rgb in enumerate(self.to_rgbs):
            for i in (2 * k, 2 * k + 1):
                x = self.convs[i](x, ws[:, i + 1], noise[i + 1])
            image = to_rgb(x, ws[:, 2 * k + 3], image)
        return image


class Convolution(nn.Module):
    def __init__(self, inputs, outputs, kernel, stride=1, pad=0):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.stride, self.pad = stride, pad

    def forward(self, x):
        scale = 1 / math.sqrt(self.weight[0].numel())
        return functional.conv2d(x, self.weight * scale, stride=self.stride, padding=self.pad)


def layer(inputs, outputs, kernel, down=False, activate=True):
    pad = (2, 2) if kernel == 3 else (1, 1)
    parts = [Filter(pad=pad)] if down else []
    parts.append(Convolution(inputs, outputs, kernel, 1 + down, 0 if down else kernel // 2))
    return nn.Sequential(*parts, *([Activate(outputs)] if activate else []))


class Block(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv1, self.conv2 = layer(inputs, inputs, 3), layer(inputs, outputs, 3, True)
        self.skip = layer(inputs, outputs, 1, True, False)

    def forward(self, x):
        return (self.conv2(self.conv1(x)) + self.skip(x)) / math.sqrt(2)


class Discriminator(nn.Module):
    """`widths` are the channels of 4, 8, ... px; four examples, that many apart, are compared."""

    def __init__(self, widths, **arguments):
        super().__init__()
        widths = widths[::-1]
        blocks = [Block(*pair) for pair in zip(widths, widths[1:], strict=False)]
        self.convs = nn.Sequential(layer(3, widths[0], 1), *blocks)
        self.final_conv = layer(widths[-1] + 1, widths[-1], 3)
        self.final_linear = nn.Sequential(
            Linear(widths[-1] * 16, widths[-1], activate=True), Linear(widths[-1], 1)
        )

    def forward(self, images):
        x = self.convs(images)
        n, _, h, w = x.shape
        group = min(n, 4)
        parted = x.view(group, n // group, *x.shape[1:])
        spread = torch.sqrt(parted.var(0, unbiased=False) + 1e-8).mean((1, 2, 3)).repeat(group)
        x = torch.cat([x, spread[:, None, None, None].expand(n, 1, h, w)], 1)
        return self.final_linear(self.final_conv(x).flatten(1))
