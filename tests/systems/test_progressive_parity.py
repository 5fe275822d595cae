"""A step of Progressive GAN in the middle of a fade equals PyTorch's in float64.

The transcription takes one operation after the other: blocks of pixels, then a convolution of 3x3, then the scale.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import progressive as presets
from jgan.systems import progressive

torch = pytest.importorskip("torch", reason="PyTorch is not installed; requirements-test.txt has it")
functional = torch.nn.functional
torch.set_num_threads(1)

pytestmark = pytest.mark.usefixtures("quick_convolutions")

KEY, N, RATE = jax.random.key(13), 4, 1e-3
GAIN = math.sqrt(2)


def normalised(x):
    return x / (x.square().mean(1, keepdim=True) + 1e-8).sqrt()


def twice(x):
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


def half(x):
    return functional.avg_pool2d(x, 2)


class Net:
    """Weights by our names in PyTorch's layout, and layers that take them."""

    def __init__(self, params):
        self.weights = {}
        for path, leaf in jax.tree_util.tree_leaves_with_path(params):
            self.weights["/".join(key.key for key in path)] = torch.from_numpy(laid(leaf)).requires_grad_(
                True
            )

    def conv(self, name, x, gain=GAIN, padding=None):
        w = self.weights[f"{name}/kernel"]
        padding = w.shape[2] // 2 if padding is None else padding
        return functional.conv2d(x, w, padding=padding) * (gain / math.sqrt(w[0].numel()))

    def layer(self, name, x, after=lambda x: x, padding=None):
        x = after(self.conv(name, x, padding=padding)) + self.weights[f"{name}/bias"][:, None, None]
        return functional.leaky_relu(x, 0.2)


def laid(x):
    """Our array in PyTorch's layout."""
    x = np.array(x)
    return x.transpose(3, 2, 0, 1).copy() if x.ndim == 4 else x


def generated(g, z, size, alpha):
    """Images of `size` px, of which the last block counts for alpha."""
    x = g.conv("dense", normalised(z)[:, :, None, None], GAIN / 4)
    x = x.reshape(len(z), 4, 4, -1).permute(0, 3, 1, 2) + g.weights["bias"][:, None, None]
    x = normalised(functional.leaky_relu(x, 0.2))
    x, resolution, old = normalised(g.layer("b4_conv0", x)), 4, None
    while resolution < size:
        resolution *= 2
        old = x
        x = normalised(g.layer(f"b{resolution}_conv0", twice(x)))
        x = normalised(g.layer(f"b{resolution}_conv1", x))

    def colours(x, at):
        return g.conv(f"b{at}_torgb", x, 1.0) + g.weights[f"b{at}_torgb_bias"][:, None, None]

    return torch.lerp(twice(colours(old, size // 2)), colours(x, size), alpha)


def judged(d, image, alpha):
    """Logits [n] of images whose first block counts for alpha."""
    size = image.shape[2]
    x, resolution = d.layer(f"b{size}_fromrgb", image), size
    while resolution > 4:
        x = d.layer(f"b{resolution}_conv0", x)
        x = d.layer(f"b{resolution}_conv1", x, half)
        if resolution == size:
            x = torch.lerp(d.layer(f"b{size // 2}_fromrgb", half(image)), x, alpha)
        resolution //= 2
    # One group of all four.
    spread = ((x - x.mean(0)).square().mean(0) + 1e-8).sqrt().mean()
    x = torch.cat([x, spread.expand(len(x), 1, 4, 4)], 1)
    x = d.layer("b4_dense", d.layer("b4_conv", x), padding=0).flatten(1)
    w = d.weights["out/kernel"]
    return (x @ w / math.sqrt(len(w)) + d.weights["out/bias"])[:, 0]


def critics_loss(d, real, fake, alpha, places):
    on_real, on_fake = judged(d, real, alpha), judged(d, fake, alpha)
    between = (places * real + (1 - places) * fake).requires_grad_(True)
    (slope,) = torch.autograd.grad(judged(d, between, alpha).sum(), between, create_graph=True)
    penalty = (slope.flatten(1).norm(dim=1) - 1).square().mean()
    return on_fake.mean() - on_real.mean() + 10 * penalty + 0.001 * on_real.square().mean()


def assert_near(ours, theirs, what):
    assert np.abs(ours - theirs).max() <= 1e-8 * max(np.abs(theirs).max(), 1e-3), what


@pytest.mark.slow
@pytest.mark.parametrize("step, size, alpha", [(2, 8, 0.75), (4, 16, 0.25), (5, 16, 0.75)])
def test_a_step_in_the_middle_of_a_fade(step, size, alpha):
    """D on both its terms, then G behind the updated D: gradients, changes and losses agree to 1e-8.

    The optimisers have moments already, which the first step of a fade, 4, leaves behind.
    """
    config, rng = presets.get_config("tiny"), np.random.default_rng(0)
    real = rng.uniform(-1, 1, (N, 16, 16, 3))
    with jax.enable_x64(True):
        system = progressive.build(config)
        shapes = jax.eval_shape(system.init, KEY, {"images": real})

        def start(path, leaf):
            name = jax.tree_util.keystr(path)
            if not jnp.issubdtype(leaf.dtype, jnp.floating):
                return np.full(leaf.shape, 3, leaf.dtype)
            if ".nu" in name:
                return rng.uniform(0.01, 0.1, leaf.shape)
            return rng.normal(size=leaf.shape).astype(leaf.dtype)

        before = jax.tree_util.tree_map_with_path(start, shapes)
        before = dataclasses.replace(before, step=np.int32(step))
        run = jax.jit(system.step, static_argnames="updates")
        after, metrics = jax.device_get(run(before, {"images": real}, KEY, updates=system.plan(step)))
        k_dis, k_gen, k_penalty = jax.random.split(KEY, 3)
        codes = [
            torch.from_numpy(np.array(jax.random.normal(k, (N, 5), jnp.float64))) for k in (k_dis, k_gen)
        ]
        places = torch.from_numpy(np.array(jax.random.uniform(k_penalty, (N, 1, 1, 1), jnp.float64)))
    g, d = (Net(before.params[name]) for name in ("generator", "discriminator"))
    images = torch.from_numpy(real.transpose(0, 3, 1, 2).copy())
    while images.shape[2] > size:
        images = half(images)
    images = torch.lerp(twice(half(images)), images, alpha)

    def adam(net, name, group):
        optimiser = torch.optim.Adam(net.weights.values(), RATE, (0.0, 0.99), 1e-8)
        kept = before.opt[group][0]
        if step != 4:
            for path, leaf in jax.tree_util.tree_leaves_with_path(kept.nu[name]):
                weight = net.weights["/".join(key.key for key in path)]
                second = torch.from_numpy(laid(leaf))
                optimiser.state[weight] = {
                    "step": torch.tensor(3.0),
                    "exp_avg": torch.zeros_like(second),
                    "exp_avg_sq": second,
                }
        return optimiser

    optimisers = {"dis": adam(d, "discriminator", "dis"), "gen": adam(g, "generator", "gen")}
    with torch.no_grad():
        fake = generated(g, codes[0], size, alpha)
    d_loss = critics_loss(d, images, fake, alpha, places)
    d_loss.backward()
    optimisers["dis"].step()
    g_loss = -judged(d, generated(g, codes[1], size, alpha), alpha).mean()
    for weight in d.weights.values():
        weight.requires_grad_(False)
    g_loss.backward()
    optimisers["gen"].step()

    assert_near(metrics["d_loss"], d_loss.item(), "d_loss")
    assert_near(metrics["g_loss"], g_loss.item(), "g_loss")
    for net, name, group in ((d, "discriminator", "dis"), (g, "generator", "gen")):
        found = Net(after.opt[group][0].mu[name]).weights
        changed, averaged = Net(after.params[name]).weights, after.ema.get(name)
        used = 0
        for path, weight in net.weights.items():
            used += weight.grad is not None
            gradient = torch.zeros_like(weight) if weight.grad is None else weight.grad
            assert_near(found[path].detach().numpy(), gradient.numpy(), path)
            error = (changed[path] - weight).abs().max().item()
            assert error <= 1e-6 * RATE, f"{path}: {error:.1e}"
        assert used > 8 and (used < len(net.weights) or size == 16)
        if averaged is not None:
            decay = np.float32(1 + step) / np.float32(10 + step)  # it is no more than a float
            for old, new, mean in zip(
                *(jax.tree.leaves(x) for x in (before.ema[name], after.params[name], averaged)), strict=True
            ):
                np.testing.assert_allclose(mean, decay * old + (1 - decay) * new, rtol=0, atol=1e-12)
