"""One training step of pix2pix equals PyTorch's, for every objective and every kind of net.

`Update` below is the transcription: the authors' PyTorch update, with the objectives of pix2pix's tables.
Networks are those of benchmarks/peer.py. Both sides start from the same weights and see the same images.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgan.ops import conv
from jgan.systems import pix2pix

torch = pytest.importorskip("torch", reason="PyTorch is not installed; requirements-test.txt has it")
functional = torch.nn.functional
peer = pytest.importorskip("benchmarks.peer")

KEY = jax.random.key(7)
SETTING = {
    "batch_size": 2,
    "generator.levels": 3,
    "generator.dropout": 0.0,
    "discriminator.n_layers": 1,
    "optimiser.schedule": "constant",  # the linear one is computed in float32
}

# Every objective, every net and every norm at least once; how they are paired is arbitrary.
CASES = {
    "vanilla, batch norm": {"discriminator.n_layers": 2},
    "lsgan, encoder-decoder, pixel D": {
        "loss.adversarial": "lsgan",
        "generator.name": "encoder_decoder",
        "discriminator.name": "pixel",
    },
    "hinge, ResNet and D with instance norm": {
        "loss.adversarial": "hinge",
        "generator.name": "resnet_6blocks",
        "generator.norm": "instance",
        "discriminator.norm": "instance",
    },
    "wgan_gp, U-Net with instance norm": {
        "loss.adversarial": "wgan_gp",
        "generator.norm": "instance",
    },
    "wgan_gp, batch norm in D": {"loss.adversarial": "wgan_gp", "discriminator.norm": "batch"},
    "L1 alone": {"loss.adversarial_weight": 0.0},
    "cGAN alone, no norms": {
        "loss.lambda_l1": 0.0,
        "generator.norm": "none",
        "discriminator.norm": "none",
    },
    "GAN: D not shown the input": {"discriminator.conditional": False},
    "weights, lsgan, pixel D with instance norm, ResNet with batch norm": {
        "loss.adversarial": "lsgan",
        "loss.adversarial_weight": 0.3,
        "loss.lambda_l1": 10.0,
        "generator.name": "resnet_6blocks",
        "discriminator.name": "pixel",
        "discriminator.norm": "instance",
    },
}


class Update:
    """PyTorch's side: nets as the config names them, and `step`."""

    def __init__(self, config):
        self.config, g, d = config, config.generator, config.discriminator
        if g.name == "resnet_6blocks":
            self.generator = peer.ResNet(6, width=g.ngf, norm=g.norm, dropout=g.dropout)
        else:
            self.generator = peer.UNet(
                g.levels, width=g.ngf, norm=g.norm, dropout=g.dropout, skips=g.name == "unet"
            )
        channels = 6 if d.conditional else 3
        norm = d.norm
        if norm == "auto":
            norm = "instance" if config.loss.adversarial == "wgan_gp" else "batch"
        if d.name == "pixel":
            self.discriminator = peer.PixelDiscriminator(channels, d.ndf, norm)
        else:
            self.discriminator = peer.PatchDiscriminator(channels, d.n_layers, d.ndf, norm)
        self.fake, self.real, self.generated = {
            "vanilla": (labelled(peer.cross_entropy, 0.0), *[labelled(peer.cross_entropy, 1.0)] * 2),
            "lsgan": (labelled(square, 0.0), *[labelled(square, 1.0)] * 2),
            "hinge": (
                lambda x: functional.relu(1 + x).mean(),
                lambda x: functional.relu(1 - x).mean(),
                lambda x: -x.mean(),
            ),
            "wgan_gp": (lambda x: x.mean(), lambda x: -x.mean(), lambda x: -x.mean()),
        }[config.loss.adversarial]

    def nets(self):
        nets = {"generator": self.generator}
        if self.config.loss.adversarial_weight:
            nets["discriminator"] = self.discriminator
        return nets

    def judge(self, a, image):
        return self.discriminator(
            torch.cat([a, image], 1) if self.config.discriminator.conditional else image
        )

    def step(self, a, b, alpha):
        """Losses of one update; `alpha` [n, 1, 1, 1] places the gradient penalty's points."""
        weights = self.config.loss
        settings = {"lr": self.config.optimiser.learning_rate, "betas": (0.5, 0.999), "eps": 1e-8}
        gen = torch.optim.Adam(self.generator.parameters(), **settings)
        dis = torch.optim.Adam(self.discriminator.parameters(), **settings)
        losses = {}

        fake = self.generator(a)
        if weights.adversarial_weight:
            on_fake, on_real = self.fake(self.judge(a, fake.detach())), self.real(self.judge(a, b))
            loss = on_fake + on_real
            if weights.adversarial == "wgan_gp":
                losses["d_penalty"] = self.penalty(a, b, fake.detach(), alpha)
                loss = loss + weights.gradient_penalty * losses["d_penalty"]
            loss = 0.5 * loss
            dis.zero_grad()
            loss.backward()
            dis.step()
            losses |= {"d_fake": on_fake, "d_real": on_real, "d_loss": loss}

        for p in self.discriminator.parameters():
            p.requires_grad_(False)
        losses["g_l1"] = functional.l1_loss(fake, b)
        losses["g_loss"] = weights.lambda_l1 * losses["g_l1"]
        if weights.adversarial_weight:
            losses["g_adversarial"] = self.generated(self.judge(a, fake))
            losses["g_loss"] = losses["g_loss"] + weights.adversarial_weight * losses["g_adversarial"]
        gen.zero_grad()
        losses["g_loss"].backward()
        gen.step()
        return {name: loss.item() for name, loss in losses.items()}

    def penalty(self, a, b, fake, alpha):
        """Gulrajani et al. (2017), eq. 3; an image's critic value is the mean of its patches."""
        points = (alpha * b + (1 - alpha) * fake).requires_grad_(True)
        running = [(x, x.clone()) for x in self.discriminator.buffers()]
        values = self.judge(a, points).flatten(1).mean(1)
        for buffer, before in running:  # made-up images leave no trace
            buffer.data.copy_(before)
        (gradient,) = torch.autograd.grad(values.sum(), points, create_graph=True)
        return ((gradient.flatten(1).square().sum(1) + 1e-16).sqrt() - 1).square().mean()


def labelled(loss, label):
    return lambda x: loss(x, label)


def square(logits, label):
    return functional.mse_loss(logits, torch.full_like(logits, label))


@pytest.mark.parametrize("case", CASES)
def test_a_step_in_float64(case, small_config, monkeypatch):
    """Losses, gradients, parameters and running statistics agree to 1e-8.

    With XLA's convolutions, which compile in half the time; the tests below take the platform's own form, and
    tests/ops holds the two equal.
    """
    monkeypatch.setattr(conv, "DEFAULT_FORM", "lax")
    update, before, after, metrics, losses = both(small_config(**SETTING | CASES[case]), jnp.float64)
    assert_same_step(update, after, metrics, losses, 1e-8)
    # Not by standing still: Adam's first step is the learning rate, wherever there is a gradient.
    for net, params in before.params.items():
        moved = jax.tree.map(lambda x, y: np.abs(x - y).max(), params, after.params[net])
        assert 1e-4 < max(jax.tree.leaves(moved)) < 2.1e-4


def test_a_step_with_dropout_in_float64(small_config, monkeypatch):
    """With one mask for both sides, in six levels, the fewest that have dropout."""

    def mask(shape):  # NHWC
        return np.random.default_rng(shape[-1]).random(shape) < 0.5

    def dropout(x, p, training):
        n, c, h, w = x.shape
        return x * torch.from_numpy(mask((n, h, w, c))).permute(0, 3, 1, 2) / (1 - p)

    monkeypatch.setattr(jax.random, "bernoulli", lambda key, p, shape: jnp.asarray(mask(shape)))
    monkeypatch.setattr(functional, "dropout", dropout)
    changes = {"data.size": 64, "generator.levels": 6, "generator.dropout": 0.5}
    update, _, after, metrics, losses = both(small_config(**SETTING | changes), jnp.float64)
    assert_same_step(update, after, metrics, losses, 1e-8)


@pytest.mark.parametrize("case", ["vanilla, batch norm", "wgan_gp, U-Net with instance norm"])
def test_gradients_in_float32(case, small_config):
    update, _, after, _, _ = both(small_config(**SETTING | CASES[case]), jnp.float32)
    assert_same_gradients(update, after, 1e-4)


def test_the_peer_of_the_benchmark_makes_the_same_update(small_config):
    """What is timed against is the update above, in the plain setting."""
    config, images = small_config(**SETTING), torch.randn(2, 2, 3, 16, 16, dtype=torch.float64)
    one, two = Update(config), Update(config)
    for net in ("generator", "discriminator"):
        getattr(one, net).double(), getattr(two, net).double()
        getattr(two, net).load_state_dict(getattr(one, net).state_dict())
    losses = one.step(*images, None)
    timed = peer.Pix2Pix(two.generator, two.discriminator).step(*images)
    for theirs, name in (("dis", "d_loss"), ("adversarial", "g_adversarial"), ("l1", "g_l1")):
        assert timed[theirs].item() == pytest.approx(losses[name], rel=1e-12)
    for net in ("generator", "discriminator"):
        state, same = getattr(one, net).state_dict(), getattr(two, net).state_dict()
        assert all(torch.allclose(state[name], same[name], rtol=1e-12) for name in state)


def both(config, dtype):
    """(PyTorch's side after the step, our state before and after it, our metrics, PyTorch's losses)."""
    size, rng = config.data.size, np.random.default_rng(3)
    images = {name: rng.uniform(-1, 1, (2, size, size, 3)).astype(dtype) for name in "ab"}
    with jax.enable_x64(dtype == jnp.float64):
        system = pix2pix.build(config)
        shapes = jax.eval_shape(system.init, KEY, images)
        before = jax.tree_util.tree_map_with_path(lambda *leaf: draw(rng, *leaf, dtype), shapes)
        step = jax.jit(system.step, static_argnames="updates")
        after, metrics = step(before, images, KEY, updates=system.plan(0))
        _, k_penalty = jax.random.split(KEY)
        alpha = np.array(jax.random.uniform(k_penalty, (2, 1, 1, 1), dtype))
        before, after, metrics = jax.device_get((before, after, metrics))

    update = Update(config)
    for net, module in update.nets().items():
        module.to(torch.from_numpy(images["a"]).dtype)
        for _, theirs, ours in pairs(module, before.params[net], before.stats[net]):
            theirs.data.copy_(torch.from_numpy(ours.copy()))
    a, b = (torch.from_numpy(x).permute(0, 3, 1, 2) for x in images.values())
    return update, before, after, metrics, update.step(a, b, torch.from_numpy(alpha))


def draw(rng, path, leaf, dtype):
    """An initial value, also for what begins as 0 or 1, so that nothing is right by chance."""
    name = path[-1].key if hasattr(path[-1], "key") else ""
    if path[0].name == "opt" or not jnp.issubdtype(leaf.dtype, jnp.floating):
        return jnp.zeros(leaf.shape, dtype if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf.dtype)
    if name == "variance":
        return jnp.asarray(rng.uniform(0.5, 2, leaf.shape), dtype)
    return jnp.asarray(rng.normal(name == "scale", 0.02, leaf.shape), dtype)


def assert_same_step(update, after, metrics, losses, tolerance):
    for name, loss in losses.items():
        assert metrics[name] == pytest.approx(loss, rel=tolerance), name
    assert_same_gradients(update, after, tolerance)
    for net, module in update.nets().items():
        leaves = list(pairs(module, after.params[net], after.stats[net]))
        assert len(leaves) == len(jax.tree.leaves((after.params[net], after.stats[net])))
        assert_close({name: (theirs.detach(), ours) for name, theirs, ours in leaves}, tolerance)


def assert_same_gradients(update, after, tolerance):
    """Ours from Adam's first moment, which is half of them after one step."""
    for net, module in update.nets().items():
        state = after.opt[{"generator": "gen", "discriminator": "dis"}[net]]
        adam = next(part for part in state if hasattr(part, "mu"))
        gradients = jax.tree.map(lambda m: 2 * m, adam.mu[net])
        leaves = {name: (theirs.grad, ours) for name, theirs, ours in pairs(module, gradients)}
        assert len(leaves) == len(jax.tree.leaves(gradients)) == len(list(module.parameters()))
        assert_close(leaves, tolerance)


def assert_close(leaves, tolerance):
    """Errors are measured against the largest number of a leaf, {name: (theirs, ours)}."""
    leaves = {name: (theirs.numpy(), ours) for name, (theirs, ours) in leaves.items()}
    for name, (theirs, ours) in leaves.items():
        scale = np.abs(theirs).max()
        kernel = np.abs(leaves.get(name.replace("bias", "kernel"), (0, 0))[0]).max()
        if scale < 1e-5 * kernel:  # a bias before an instance norm has no gradient but rounding noise
            assert np.abs(ours).max() < 1e-5 * kernel, name
        else:
            error = np.abs(theirs - ours).max() / scale
            assert error < tolerance, f"{name}: {error:.1e}"


def pairs(module, params, stats=None):
    """(name, PyTorch's tensor, our array in its layout) for all leaves of a net."""
    for path, layer in named_layers(module):
        *parents, last = path.split("/")
        ours, running = params, stats or {}
        for part in (*parents, last):
            ours, running = ours[part], running.get(part, {})
        if isinstance(layer, torch.nn.BatchNorm2d):
            yield f"{path}/scale", layer.weight, ours["scale"]
            yield f"{path}/bias", layer.bias, ours["bias"]
            if running:
                yield f"{path}/mean", layer.running_mean, running["mean"]
                yield f"{path}/variance", layer.running_var, running["variance"]
            continue
        transposed = isinstance(layer, torch.nn.ConvTranspose2d)
        kernel = ours["kernel"].transpose((2, 3, 0, 1) if transposed else (3, 2, 0, 1))
        yield f"{path}/kernel", layer.weight, kernel
        if layer.bias is not None:
            yield f"{path}/bias", layer.bias, ours["bias"]


def named_layers(module):
    """(our path, PyTorch's layer) for the layers of a net that hold anything."""
    kinds = (torch.nn.Conv2d, torch.nn.ConvTranspose2d), torch.nn.BatchNorm2d
    convs, norms = ([m for m in module.modules() if isinstance(m, kind)] for kind in kinds)
    if isinstance(module, peer.UNet):
        depth = range(1, len(module.down) + 1)
        named = [(f"down_{k}", module.down[k - 1]) for k in depth]
        named += [(f"up_{k}/conv", module.up[k - 1]) for k in depth]
        named += [(f"down_norm_{k}", module.down_norm[k - 1]) for k in depth]
        named += [(f"up_norm_{k}", module.up_norm[k - 1]) for k in depth]
        return [(path, layer) for path, layer in named if layer in convs or layer in norms]
    if isinstance(module, peer.ResNet):
        blocks = [f"block_{k}_{half}" for k in range(1, 7) for half in "ab"]
        names = ["first", "down_1", "down_2", *blocks, "up_1", "up_2"]
        paths = [f"{name}/conv" if name.startswith("up") else name for name in names] + ["last"]
        norm_paths = [f"{name}_norm" for name in names]
    else:
        paths = [f"conv_{k}" for k in range(1, len(convs))] + ["logits"]
        norm_paths = [f"norm_{k}" for k in range(2, len(convs))]
    assert not norms or len(norms) == len(norm_paths)
    return list(zip(paths, convs, strict=True)) + list(zip(norm_paths, norms, strict=False))
