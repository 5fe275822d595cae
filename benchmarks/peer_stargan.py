"""StarGAN's nets and training steps in plain PyTorch, as the side to be timed against, and the clock for both.

    python -m benchmarks.peer_stargan [--size=128 --batch=4]

Nets and updates follow Choi et al. (CVPR 2018, arXiv:1711.09020) in the form of the authors' code: eager mode, NCHW,
label planes concatenated to the picture, separate passes of D for real and generated images, PyTorch's default Adam.
Nothing here is used by `jgan` itself.

What is timed is one cycle of `n_critic` steps, the last of which updates G too. Each side lives in a process of its own
and they take turns, as in `benchmarks.train_step`. The last line of the output is one JSON object:

    ours_seconds, peer_seconds   median over the turns of the seconds per cycle
    ratio                        median over the turns of ours / peer, each turn against its neighbour
    ours_peak_mib, peer_peak_mib peak resident size of each process in the turns, after warming up
    load_before                  the machine's load before the start; above 0.5 the times mean little
"""

import json
import statistics

from absl import flags
import numpy as np

from benchmarks import sides
import launch

try:
    import torch
    from torch import nn
    from torch.nn import functional
except ImportError:  # ours has a process without it
    torch = None

CRITIC, NAMES = 5, ("black", "blond", "brown", "male", "young")

if torch is not None:

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
    """A StarGAN in training; `step` makes one update of D and, where it is its turn, of G."""

    def __init__(self, generator, discriminator, classification=binary, lr=1e-4, seed=0):
        self.generator, self.discriminator, self.classification = generator, discriminator, classification
        settings = {"lr": lr, "betas": (0.5, 0.999)}
        self.gen_optimiser = torch.optim.Adam(generator.parameters(), **settings)
        self.dis_optimiser = torch.optim.Adam(discriminator.parameters(), **settings)

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


def main():
    load = sides.prepare()
    timed = (SIZE.value, BATCH.value)
    ours, peer = sides.Side(ours_cycle, *timed), sides.Side(peer_cycle, *timed)
    seconds = {ours: [], peer: []}
    try:
        for name, side in (("ours", ours), ("peer", peer)):
            print(f"{name}: warmed up in {side.ask('warm_up', 2):.1f} s", flush=True)
            side.ask("reset_peak")
        for turn in range(TURNS.value):
            for side in (ours, peer) if turn % 2 == 0 else (peer, ours):
                seconds[side].append(side.ask("time", 1))
            print(
                f"turn {turn + 1}: ours {seconds[ours][-1]:.3f} s, peer {seconds[peer][-1]:.3f} s", flush=True
            )
        peaks = [side.ask("peak_mib") for side in (ours, peer)]
    finally:
        ours.close()
        peer.close()
    ratio = statistics.median(o / p for o, p in zip(seconds[ours], seconds[peer], strict=True))
    print(f"ratio {ratio:.3f}")
    report = {
        "ours_seconds": statistics.median(seconds[ours]),
        "peer_seconds": statistics.median(seconds[peer]),
        "ratio": ratio,
        "ours_peak_mib": peaks[0],
        "peer_peak_mib": peaks[1],
        "load_before": load,
    }
    print(json.dumps({"system": "stargan", "size": SIZE.value, "batch": BATCH.value, **report}))


def batch(size, count):
    """Noise, uint8 [count, size, size, 3], and labels, float32 [count, 5]."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, size, size, 3), np.uint8)
    return images, rng.integers(0, 2, (count, len(NAMES))).astype(np.float32)


def ours_cycle(size, count):
    """What the side of ours answers: to take and time cycles of steps."""
    import jax

    from configs import stargan as presets
    from jgan.systems import SYSTEMS
    from jgan.systems import system as system_lib

    config = presets.get_config()
    config.data.size, config.batch_size, config.data.names, config.data.exclusive = size, count, NAMES, ()
    system = SYSTEMS["stargan"](config)
    options = system_lib.supported(system.compiler_options)
    step = jax.jit(system.step, static_argnames="updates", donate_argnums=0, compiler_options=options)
    data = jax.device_put(dict(zip(("images", "label"), batch(size, count), strict=True)))
    state, taken = jax.jit(system.init)(jax.random.key(0), data), 0

    def run(cycles):
        nonlocal state, taken
        for _ in range(cycles * CRITIC):
            state, metrics = step(
                state, data, jax.random.fold_in(jax.random.key(0), taken), system.plan(taken)
            )
            taken += 1
        jax.block_until_ready((state, metrics))

    return sides.steps(run)


def peer_cycle(size, count):
    """As `ours_cycle` for the peer, which gets its images as floats already."""
    torch.set_num_threads(sides.THREADS)
    torch.manual_seed(0)
    model = StarGAN(Generator(len(NAMES)), Discriminator(size, len(NAMES)))
    images, label = batch(size, count)
    images = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous() / 127.5 - 1
    own = torch.from_numpy(label)

    def run(cycles):
        for k in range(cycles * CRITIC):
            target = own[torch.randperm(count)]
            model.step(images, own, target, torch.rand(count, 1, 1, 1), (k + 1) % CRITIC == 0)

    return sides.steps(run)


if __name__ == "__main__":
    SIZE = flags.DEFINE_integer("size", 128, "Height and width of the images.", lower_bound=64)
    BATCH = flags.DEFINE_integer("batch", 4, "Images per step.", lower_bound=1)
    TURNS = flags.DEFINE_integer("turns", 8, "Turns that each side takes.", lower_bound=1)
    launch.run(main)
