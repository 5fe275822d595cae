"""One training step of pix2pix equals PyTorch's, for every objective and every kind of net.

`Update` below is the transcription: the authors' PyTorch update, with the objectives of pix2pix's tables.
Both sides start from the same weights and see the same images.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgan.ops import conv
from jgan.systems import pix2pix
from tests.systems import parity
from tests.systems.parity import functional
from tests.systems.parity import peer
from tests.systems.parity import torch

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
        self.config, d = config, config.discriminator
        self.generator = parity.generator(config)
        norm = d.norm
        if norm == "auto":
            norm = "instance" if config.loss.adversarial == "wgan_gp" else "batch"
        self.discriminator = parity.discriminator(config, 6 if d.conditional else 3, norm)
        self.fake, self.real, self.generated = parity.objective(config.loss.adversarial)

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
        self.optimisers, losses = [gen, dis], {}

        fake = self.generator(a)
        if weights.adversarial_weight:
            on_fake, on_real = self.fake(self.judge(a, fake.detach())), self.real(self.judge(a, b))
            loss = on_fake + on_real
            if weights.adversarial == "wgan_gp":
                losses["d_penalty"] = parity.gradient_penalty(
                    self.discriminator, lambda x: self.judge(a, x), b, fake.detach(), alpha
                )
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


@pytest.fixture(scope="module")
def compared(small_config):
    """`case -> parity.Comparison` in float64, once for each case.

    With XLA's convolutions, which compile in half the time; the tests in float32 take the platform's own form, and
    tests/ops holds the two equal.
    """

    @functools.cache
    def make(case):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(conv, "DEFAULT_FORM", "lax")
            return both(small_config(**SETTING | CASES[case]), jnp.float64)

    return make


# Every objective at once; what else there is of nets and norms is among the slow tests.
SOON = (0, 1, 2, 3, 5)


@pytest.mark.parametrize(
    "case", [pytest.param(c, marks=[pytest.mark.slow] * (k not in SOON)) for k, c in enumerate(CASES)]
)
def test_a_step_in_float64(case, compared):
    """Losses, gradients, changes of parameters and running statistics agree to 1e-8."""
    found = compared(case)
    parity.assert_same(found.theirs, found.ours, found.noise, 1e-8)
    parity.assert_moved(found.ours)


ROUNDED = ["hinge, ResNet and D with instance norm", "vanilla, batch norm"]


@pytest.mark.parametrize("case", ROUNDED)
def test_rounding_alone_is_no_difference(case, compared):
    """Another processor rounds otherwise: so does every beginning that differs in its last places."""
    found = compared(case)
    for seed in range(20):
        parity.assert_same(found.theirs, found.again(np.random.default_rng(seed)), found.noise, 1e-8)


@pytest.mark.parametrize("case", ROUNDED)
def test_an_error_of_a_millionth_is_found_in_every_leaf(case, compared):
    """In its gradient and in its change; where there is no gradient, one of a millionth of its layer's kernel."""
    found = compared(case)

    def is_told(kind, name, changed):
        planted = {**getattr(found.ours, kind), name: changed}
        with pytest.raises(AssertionError, match=name):
            parity.assert_same(found.theirs, found.ours._replace(**{kind: planted}), found.noise, 1e-8)

    for name, gradient in found.ours.gradients.items():
        if np.abs(gradient).max() > found.noise.gradients[name]:
            is_told("gradients", name, gradient * (1 + 1e-6))
            is_told("changes", name, found.ours.changes[name] * (1 + 1e-6))
        else:
            assert name.endswith("bias")
            is_told(
                "gradients", name, gradient + 1e-6 * np.abs(found.ours.gradients[name[:-4] + "kernel"]).max()
            )
    for kind in ("losses", "kept"):
        for name in getattr(found.theirs, kind):
            is_told(kind, name, getattr(found.ours, kind)[name] * (1 + 1e-6))


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
    found = both(small_config(**SETTING | changes), jnp.float64)
    parity.assert_same(found.theirs, found.ours, found.noise, 1e-8)


@pytest.mark.parametrize("case", ["vanilla, batch norm", "wgan_gp, U-Net with instance norm"])
def test_gradients_in_float32(case, small_config):
    found = both(small_config(**SETTING | CASES[case]), jnp.float32)
    parity.assert_close(found.theirs.gradients, found.ours.gradients, found.noise.gradients, 1e-4)


def test_the_peer_of_the_benchmark_makes_the_same_update(small_config):
    """What is timed against is the update above, in the plain setting."""
    config, images = small_config(**SETTING), torch.randn(2, 2, 3, 16, 16, dtype=torch.float64)
    one, two = Update(config), Update(config)
    for net in ("generator", "discriminator"):
        getattr(one, net).double(), getattr(two, net).double()
        getattr(two, net).load_state_dict(getattr(one, net).state_dict())
    losses = one.step(*images, None)
    other = peer.Pix2Pix(two.generator, two.discriminator)
    timed = other.step(*images)
    for theirs, name in (("dis", "d_loss"), ("adversarial", "g_adversarial"), ("l1", "g_l1")):
        assert timed[theirs].item() == pytest.approx(losses[name], rel=1e-12)
    parity.assert_same_moments(one.optimisers, (other.gen_optimiser, other.dis_optimiser))
    for net in ("generator", "discriminator"):
        state, same = getattr(one, net).state_dict(), getattr(two, net).state_dict()
        assert all(torch.allclose(state[name], same[name], rtol=1e-12) for name in state)


def both(config, dtype):
    """The `parity.Comparison` of one step."""
    size, rng = config.data.size, np.random.default_rng(3)
    images = {name: rng.uniform(-1, 1, (2, size, size, 3)).astype(dtype) for name in "ab"}
    with jax.enable_x64(dtype == jnp.float64):
        system = pix2pix.build(config)
        before = jax.device_get(parity.drawn(system, images, rng, dtype))
        step = jax.jit(system.step, static_argnames="updates")
        _, k_penalty = jax.random.split(KEY)
        alpha = np.array(jax.random.uniform(k_penalty, (2, 1, 1, 1), dtype))

    def theirs(before, images):
        update = Update(config)
        parity.copy(update.nets(), before)
        losses = update.step(*map(parity.images, images.values()), torch.from_numpy(alpha))
        return parity.outcome_of_theirs(update.nets(), update.optimisers, before, losses)

    def ours(before, images):
        with jax.enable_x64(dtype == jnp.float64):
            after, metrics = jax.device_get(step(before, images, KEY, updates=system.plan(0)))
        return parity.outcome_of_ours(Update(config).nets(), before, after, metrics)

    return parity.compare(theirs, ours, before, images)
