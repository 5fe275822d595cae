"""The nets of pytorch-CycleGAN-and-pix2pix and of CUT in PyTorch, with state dicts as in the files of theirs.

Written from the facts about them, for tests alone: what they compute is what a file of theirs means.
"""

import numpy as np
import pytest

from jgan.weights import files

torch = pytest.importorskip("torch", reason="PyTorch is not installed; requirements-test.txt has it")
nn, functional = torch.nn, torch.nn.functional
torch.set_num_threads(1)  # for nets as small as here more of them only wait


def norm_of(kind, channels):
    return {
        "batch": lambda: nn.BatchNorm2d(channels),
        "instance": lambda: nn.InstanceNorm2d(channels),
        "affine": lambda: nn.InstanceNorm2d(channels, affine=True),
        "none": nn.Identity,
    }[kind]()


def biased(kind):
    return kind in ("instance", "affine")


class Level(nn.Module):
    """A level of a U-Net around the next one; all but the outermost give what they took beside what they made."""

    def __init__(self, k, levels, into, out, width, norm, dropout):
        super().__init__()
        mine = width * min(2 ** (k - 1), 8)
        above = into if k == 1 else width * min(2 ** (k - 2), 8)
        self.outermost, last = k == 1, k == levels
        down = nn.Conv2d(above, mine, 4, 2, 1, bias=biased(norm))
        target = out if k == 1 else above
        up = nn.ConvTranspose2d(
            mine * (1 if last else 2), target, 4, 2, 1, bias=biased(norm) or self.outermost
        )
        inner = [] if last else [Level(k + 1, levels, into, out, width, norm, dropout)]
        if self.outermost:
            layers = [down, *inner, nn.ReLU(), up, nn.Tanh()]
        else:
            layers = [nn.LeakyReLU(0.2), down, *([] if last else [norm_of(norm, mine)]), *inner]
            layers += [nn.ReLU(), up, norm_of(norm, target)]
            if dropout and 5 <= k < levels:
                layers.append(nn.Dropout(dropout))
        self.model = nn.Sequential(*layers)

    def forward(self, x):
        return self.model(x) if self.outermost else torch.cat([x, self.model(x)], 1)


class UNet(nn.Module):
    def __init__(self, levels=8, into=3, out=3, width=64, norm="batch", dropout=0.5):
        super().__init__()
        self.model = Level(1, levels, into, out, width, norm, dropout)

    def forward(self, x):
        return self.model(x)


class Filter(nn.Module):
    """What CUT's two layers against aliasing share: a filter for each channel, kept as a buffer."""

    def __init__(self, channels, row, gain):
        super().__init__()
        row = torch.tensor(row)
        square = torch.outer(row, row)
        self.register_buffer("filt", (gain * square / square.sum()).repeat(channels, 1, 1, 1))


class Down(Filter):
    def __init__(self, channels):
        super().__init__(channels, [1.0, 2.0, 1.0], 1)

    def forward(self, x):
        return functional.conv2d(
            functional.pad(x, (1, 1, 1, 1), "reflect"), self.filt, stride=2, groups=x.shape[1]
        )


class Up(Filter):
    def __init__(self, channels):
        super().__init__(channels, [1.0, 3.0, 3.0, 1.0], 4)

    def forward(self, x):
        x = functional.pad(x, (1, 1, 1, 1), "replicate")
        return functional.conv_transpose2d(x, self.filt, stride=2, padding=2, groups=x.shape[1])[
            :, :, 1:-1, 1:-1
        ]


class Block(nn.Module):
    def __init__(self, channels, norm, dropout):
        super().__init__()

        def half():
            return [
                nn.ReflectionPad2d(1),
                nn.Conv2d(channels, channels, 3, bias=biased(norm)),
                norm_of(norm, channels),
            ]

        between = [nn.ReLU(), nn.Dropout(dropout)] if dropout else [nn.ReLU()]
        self.conv_block = nn.Sequential(*half(), *between, *half())

    def forward(self, x):
        return x + self.conv_block(x)


class ResNet(nn.Module):
    """`down` and `up` are CUT's filters."""

    def __init__(self, blocks=9, into=3, out=3, width=64, norm="instance", dropout=0.0, down=False, up=False):
        super().__init__()
        bias = biased(norm)

        def after(layer, channels):
            return [layer, norm_of(norm, channels), nn.ReLU()]

        layers = [nn.ReflectionPad2d(3), *after(nn.Conv2d(into, width, 7, bias=bias), width)]
        for c in (width, 2 * width):
            layers += after(nn.Conv2d(c, 2 * c, 3, 1 if down else 2, 1, bias=bias), 2 * c)
            layers += [Down(2 * c)] if down else []
        layers += [Block(4 * width, norm, dropout) for _ in range(blocks)]
        for c in (4 * width, 2 * width):
            if up:
                layers += [Up(c), *after(nn.Conv2d(c, c // 2, 3, 1, 1, bias=bias), c // 2)]
            else:
                layers += after(nn.ConvTranspose2d(c, c // 2, 3, 2, 1, 1, bias=bias), c // 2)
        self.model = nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, out, 7), nn.Tanh())

    def forward(self, x):
        return self.model(x)


class Patch(nn.Module):
    """`down` are CUT's filters."""

    def __init__(self, layers=3, into=6, width=64, norm="batch", down=False):
        super().__init__()
        made, before = [], into
        for k in range(layers + 1):
            c, strided = width * min(2**k, 8), k < layers
            stride = 2 if strided and not down else 1
            made.append(nn.Conv2d(before, c, 4, stride, 1, bias=biased(norm) or k == 0))
            made += [norm_of(norm, c)] if k else []
            made.append(nn.LeakyReLU(0.2))
            made += [Down(c)] if down and strided else []
            before = c
        self.model = nn.Sequential(*made, nn.Conv2d(before, 1, 4, 1, 1))

    def forward(self, x):
        return self.model(x)


class Pixel(nn.Module):
    def __init__(self, into=6, width=64, norm="batch"):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(into, width, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 1, bias=biased(norm)),
            norm_of(norm, 2 * width),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 1, 1, bias=biased(norm)),
        )

    def forward(self, x):
        return self.net(x)


def drawn(module, seed=0):
    """The module in float64 with random weights and statistics, none of which is 0 or 1 by chance.

    Kernels keep the size of activations, so that no layer is lost on the output.
    """
    generator = torch.Generator().manual_seed(seed)
    module.double()
    for layer in module.modules():
        for name, x in [*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False)]:
            noise = torch.randn(x.shape, generator=generator, dtype=torch.float64)
            if name == "running_var":
                x.data.copy_(0.5 + torch.rand(x.shape, generator=generator, dtype=torch.float64))
            elif x.ndim == 4 and name == "weight":
                outputs = (
                    4 if isinstance(layer, nn.ConvTranspose2d) else 1
                )  # of the kernel, an output has a part
                fan = x[0].numel() if outputs == 1 else x.shape[0] * x.shape[2] * x.shape[3] / outputs
                x.data.copy_(noise * fan**-0.5)
            elif x.ndim == 1:
                x.data.copy_(0.1 * noise + (name == "weight"))
    return module


def training(module):
    """The module in training but for dropout."""
    module.train()
    for layer in module.modules():
        if isinstance(layer, nn.Dropout):
            layer.eval()
    return module


def entries(state):
    """A file's {name: tensor} of a state dict."""
    arrays = {name: np.array(x) for name, x in state.items()}
    return {name: files.Entry(x.shape, x.dtype, lambda x=x: x) for name, x in arrays.items()}
