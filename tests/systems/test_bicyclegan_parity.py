"""One training step of BiCycleGAN equals PyTorch's.

`Update` below is the transcription: the authors' PyTorch update with its options. Both sides start from the same
weights, see the same images and draw the same codes.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgan.ops import conv
from jgan.systems import bicyclegan
from tests.systems import parity
from tests.systems import test_bicyclegan
from tests.systems.parity import functional
from tests.systems.parity import torch

peer = pytest.importorskip("benchmarks.peer_bicyclegan")
KEY = jax.random.key(5)
CASES = {
    "as the paper has it": {},
    "code at the input, one conditional D": {
        "generator.where_add": "input",
        "discriminator.same": True,
        "discriminator.conditional": True,
        "loss.adversarial": "vanilla",
    },
}


class Update:
    """The authors' update: G and E together, then the regression of the code for G alone, then each discriminator."""

    def __init__(self, config):
        self.config = config
        g, e, d = config.generator, config.encoder, config.discriminator
        self.generator = peer.UNet(
            g.levels, config.latent.nz, g.where_add == "all", width=g.ngf, dropout=g.dropout
        )
        self.encoder = peer.Encoder(config.latent.nz, e.blocks, e.nef)
        self.judge, self.judge_random = (
            peer.Judge(6 if d.conditional else 3, d.n_layers, d.ndf) for _ in bicyclegan.BRANCHES
        )
        if d.same:
            self.judge_random = self.judge

    def nets(self):
        nets = {"generator": self.generator, "encoder": self.encoder, "discriminator": self.judge}
        return nets if self.config.discriminator.same else nets | {"discriminator_random": self.judge_random}

    def seen(self, a, b):
        return torch.cat([a, b], 1) if self.config.discriminator.conditional else b

    def step(self, a, b, noise, drawn):
        """Losses of one update; `noise` is that of the encoded codes, `drawn` are the random ones."""
        weights, half = self.config.loss, len(a) // 2
        fake_term, real_term, term = parity.objective(weights.adversarial)
        settings = {"lr": self.config.optimiser.learning_rate, "betas": (0.5, 0.999), "eps": 1e-8}
        optimisers = {
            name: torch.optim.Adam(net.parameters(), **settings) for name, net in self.nets().items()
        }
        self.optimisers, losses = list(optimisers.values()), {}
        a_encoded, a_random, b_encoded, b_random = a[:half], a[half:], b[:half], b[half:]

        mu, logvar = self.encoder(b_encoded)
        encoded = mu + noise * torch.exp(0.5 * logvar)
        fakes = {"encoded": self.generator(a_encoded, encoded), "random": self.generator(a_encoded, drawn)}
        losses["g_l1"] = functional.l1_loss(fakes["encoded"], b_encoded)
        losses["g_kl"] = torch.sum(1 + logvar - mu.pow(2) - logvar.exp()) * -0.5
        total = weights.lambda_l1 * losses["g_l1"] + weights.lambda_kl * losses["g_kl"]
        judges = {"encoded": self.judge, "random": self.judge_random}
        for branch, judge in judges.items():
            scales = [term(x) for x in judge(self.seen(a_encoded, fakes[branch]))]
            losses[f"g_adversarial_{branch}"] = sum(scales) / len(scales)
            total = total + sum(scales)
        total.backward(retain_graph=True)
        frozen = [p.grad.clone() for p in self.encoder.parameters()]
        losses["g_z"] = torch.mean(torch.abs(self.encoder(fakes["random"])[0] - drawn))
        (weights.lambda_z * losses["g_z"]).backward()
        for p, grad in zip(self.encoder.parameters(), frozen, strict=True):
            p.grad = grad
        losses["g_loss"] = total + weights.lambda_z * losses["g_z"]
        optimisers["generator"].step()
        optimisers["encoder"].step()

        for judge in judges.values():
            judge.zero_grad()
        real = {"encoded": self.seen(a_encoded, b_encoded), "random": self.seen(a_random, b_random)}
        losses["d_loss"] = 0.0
        for branch, judge in judges.items():
            on_fake = [fake_term(x) for x in judge(self.seen(a_encoded, fakes[branch].detach()))]
            on_real = [real_term(x) for x in judge(real[branch])]
            (sum(on_fake) + sum(on_real)).backward()
            losses["d_loss"] = losses["d_loss"] + sum(on_fake) + sum(on_real)
            losses |= {f"d_fake_{branch}": sum(on_fake) / 2, f"d_real_{branch}": sum(on_real) / 2}
        for name in optimisers:
            if name.startswith("discriminator"):
                optimisers[name].step()
        return {name: loss.item() for name, loss in losses.items()}


def find(module, params, stats):
    """(name, PyTorch's tensor, our array in its layout) for all leaves of a net."""
    for path, layer in named(module):
        ours = params
        for part in path.split("/"):
            ours = ours[part]
        kernel = ours["kernel"]
        if "constant_kernel" in ours:  # PyTorch joins the code to the image
            kernel = np.concatenate([kernel, ours["constant_kernel"]], 2)
        order = {torch.nn.Linear: (1, 0), torch.nn.ConvTranspose2d: (2, 3, 0, 1)}.get(
            type(layer), (3, 2, 0, 1)
        )
        yield f"{path}/kernel", layer.weight, kernel.transpose(order)
        yield f"{path}/bias", layer.bias, ours["bias"]


def named(module):
    """(our path, PyTorch's layer) for the layers of a net that hold anything."""
    if isinstance(module, peer.UNet):
        return parity.named_layers(module)
    if isinstance(module, peer.Judge):
        scales = enumerate(module.scales, 1)
        return [(f"scale_{k}/{path}", x) for k, scale in scales for path, x in parity.named_layers(scale)]
    blocks = [
        (f"block_{k}/{name}", getattr(block, name))
        for k, block in enumerate(module.blocks, 1)
        for name in ("conv_a", "conv_b", "shortcut")
    ]
    return [("first", module.first), *blocks, ("mu", module.mu), ("logvar", module.logvar)]


# The first case at once, the others among the slow tests.
@pytest.mark.parametrize(
    "case", [pytest.param(c, marks=[pytest.mark.slow] * (k > 0)) for k, c in enumerate(CASES)]
)
def test_a_step_in_float64(case, monkeypatch):
    """Losses, gradients and changes of parameters agree to 1e-8."""
    monkeypatch.setattr(conv, "DEFAULT_FORM", "lax")  # it compiles in half the time
    # The falling rate is a number of 32 bits.
    found = both(test_bicyclegan.small(**{"optimiser.schedule": "constant"} | CASES[case]))
    parity.assert_same(found.theirs, found.ours, found.noise, 1e-8)
    parity.assert_moved(found.ours)


def test_the_peer_of_the_benchmark_makes_the_same_update():
    """What is timed against is the update above, as the paper has it."""
    config = test_bicyclegan.small()
    one, two = Update(config), Update(config)
    for mine, other in zip(one.nets().values(), two.nets().values(), strict=True):
        mine.double(), other.double().load_state_dict(mine.state_dict())
    torch.manual_seed(0)
    a, b = torch.randn(2, 4, 3, 16, 16, dtype=torch.float64)
    codes = torch.randn(2, 2, 3, dtype=torch.float64)
    losses = one.step(a, b, *codes)
    other = peer.BiCycleGAN(two.generator, two.encoder, (two.judge, two.judge_random))
    timed = other.step(a, b, tuple(codes))
    for theirs, name in (("dis", "d_loss"), ("l1", "g_l1"), ("kl", "g_kl"), ("regression", "g_z")):
        assert timed[theirs].item() == pytest.approx(losses[name], rel=1e-12)
    parity.assert_same_moments(one.optimisers, list(other.optimisers.values()))


def both(config):
    """The `parity.Comparison` of one step, in float64."""
    rng = np.random.default_rng(3)
    images = {name: rng.uniform(-1, 1, (4, 16, 16, 3)) for name in "ab"}
    with jax.enable_x64(True):
        system = bicyclegan.build(config)
        before = jax.device_get(parity.drawn(system, images, rng, jnp.float64))
        step = jax.jit(system.step, static_argnames="updates")
        k_noise, k_code, _ = jax.random.split(KEY, 3)
        shape = (2, config.latent.nz)
        codes = [np.array(jax.random.normal(k, shape, jnp.float64)) for k in (k_noise, k_code)]

    def theirs(before, images):
        update = Update(config)
        parity.copy(update.nets(), before, find)
        # PyTorch's halves are the first and the second of our neighbours.
        halves = (np.concatenate([x[::2], x[1::2]]) for x in images.values())
        losses = update.step(*map(parity.images, halves), *map(torch.from_numpy, codes))
        return parity.outcome_of_theirs(update.nets(), update.optimisers, before, losses, find)

    def ours(before, images):
        with jax.enable_x64(True):
            after, metrics = jax.device_get(step(before, images, KEY, updates=system.plan(0)))
        return parity.outcome_of_ours(Update(config).nets(), before, after, metrics, find)

    return parity.compare(theirs, ours, before, images)
