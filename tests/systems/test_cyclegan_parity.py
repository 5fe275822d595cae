"""One training step of CycleGAN equals PyTorch's, for every objective and every state of the pool.

`Update` below is the transcription: the authors' PyTorch update, term by term, each image in a pass of its own.
Both sides start from the same weights, see the same images, and draw the same from their pools.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgan.ops import conv
from jgan.systems import cyclegan
from tests.systems import parity
from tests.systems.parity import functional
from tests.systems.parity import peer
from tests.systems.parity import torch

KEY = jax.random.key(2)
SETTING = {
    "batch_size": 2,
    "data.size": 12,
    "loss.pool_size": 3,
    "optimiser.schedule": "constant",  # the linear one is computed in float32
}

# (how many images the pools hold, settings): every objective and norm and every ablation of a term at least once;
# how they are paired is arbitrary. With 2 of 3 images there, the first of a batch fills a pool and the second
# draws from it.
CASES = {
    "lsgan, pools full": (3, {}),
    "vanilla, ResNet, forward cycle with identity, the pools become full": (
        2,
        {"loss.adversarial": "vanilla", "generator.name": "resnet_6blocks", "loss.lambda_b": 0.0},
    ),
    "hinge, batch norm, no pools": (
        0,
        {
            "loss.adversarial": "hinge",
            "loss.pool_size": 0,
            "generator.norm": "batch",
            "discriminator.norm": "batch",
        },
    ),
    "wgan_gp, pixel D, no identity, new pools": (
        0,
        {
            "loss.adversarial": "wgan_gp",
            "loss.lambda_identity": 0.0,
            "discriminator.name": "pixel",
        },
    ),
    "grey to colour, no norms, weights": (
        3,
        {
            "data.channels": (1, 3),
            "loss.lambda_a": 3.0,
            "loss.lambda_identity": 0.0,
            "loss.adversarial_weight": 0.3,
            "generator.norm": "none",
            "discriminator.norm": "none",
        },
    ),
    "cycle and identity of different weights, no GAN": (
        0,
        {
            "loss.lambda_a": 7.0,
            "loss.lambda_b": 4.0,
            "loss.lambda_identity": 0.2,
            "loss.adversarial_weight": 0.0,
        },
    ),
}


class Update:
    """PyTorch's side: nets as the config names them, pools, and `step`."""

    def __init__(self, config):
        self.config = config
        a, b = config.data.channels
        self.ab, self.ba = parity.generator(config, (a, b)), parity.generator(config, (b, a))
        norm = config.discriminator.norm
        self.judges = {x: parity.discriminator(config, c, norm) for x, c in (("a", a), ("b", b))}
        self.fake, self.real, self.generated = parity.objective(config.loss.adversarial)
        self.pools = {"a": [], "b": []}

    def nets(self):
        nets = {"generator_ab": self.ab, "generator_ba": self.ba}
        if self.config.loss.adversarial_weight:
            nets |= {f"discriminator_{x}": net for x, net in self.judges.items()}
        return nets

    def step(self, a, b, turns, alpha):
        """Losses of one update.

        `turns[x]` are (exchange?, slot) of the fakes x, where the pool is full; `alpha[x]` [n, 1, 1, 1] places the
        gradient penalty's points.
        """
        weights, losses = self.config.loss, {}
        settings = {"lr": self.config.optimiser.learning_rate, "betas": (0.5, 0.999), "eps": 1e-8}
        gen = torch.optim.Adam([*self.ab.parameters(), *self.ba.parameters()], **settings)
        self.optimisers = [gen]
        for net in self.judges.values():
            net.requires_grad_(False)

        # The authors make both fakes first and map domains to themselves last; but for running averages of batch norm,
        # which their instance norm has not, the order changes nothing.
        real, fake, total = {"a": a, "b": b}, {}, 0.0
        for x, there, back, y, cycle, other in (
            ("a", self.ab, self.ba, "b", weights.lambda_a, weights.lambda_b),
            ("b", self.ba, self.ab, "a", weights.lambda_b, weights.lambda_a),
        ):
            fake[y] = there(real[x])
            if weights.lambda_identity * other > 0:
                losses[f"g_identity_{y}"] = functional.l1_loss(there(real[y]), real[y])
                total += weights.lambda_identity * other * losses[f"g_identity_{y}"]
            if weights.adversarial_weight > 0:
                losses[f"g_adversarial_{y}"] = self.generated(self.judges[y](fake[y]))
                total += weights.adversarial_weight * losses[f"g_adversarial_{y}"]
            if cycle > 0:
                losses[f"g_cycle_{x}"] = functional.l1_loss(back(fake[y]), real[x])
                total += cycle * losses[f"g_cycle_{x}"]
        losses["g_loss"] = total
        gen.zero_grad()
        total.backward()
        gen.step()

        if weights.adversarial_weight > 0:
            dis = torch.optim.Adam([p for net in self.judges.values() for p in net.parameters()], **settings)
            self.optimisers.append(dis)
            dis.zero_grad()
            for x, judge in self.judges.items():
                judge.requires_grad_(True)
                shown = self.draw(self.pools[x], fake[x].detach(), turns[x])
                loss = self.real(judge(real[x])) + self.fake(judge(shown))
                if weights.adversarial == "wgan_gp":
                    losses[f"d_penalty_{x}"] = parity.gradient_penalty(judge, judge, real[x], shown, alpha[x])
                    loss = loss + weights.gradient_penalty * losses[f"d_penalty_{x}"]
                losses[f"d_loss_{x}"] = 0.5 * loss
                losses[f"d_loss_{x}"].backward()
            dis.step()
            losses["d_loss"] = losses["d_loss_a"] + losses["d_loss_b"]
        return {name: loss.item() for name, loss in losses.items()}

    def draw(self, pool, images, turns):
        """The authors' pool, where the draws are given."""
        size, shown = self.config.loss.pool_size, []
        if size == 0:
            return images
        for image, (exchange, slot) in zip(images, turns, strict=True):
            if len(pool) < size:
                pool.append(image)
            elif exchange:
                pool[slot], image = image, pool[slot].clone()
            shown.append(image)
        return torch.stack(shown)


# Three objectives at once; what else there is of pools and weights is among the slow tests.
@pytest.mark.parametrize(
    "case", [pytest.param(c, marks=[pytest.mark.slow] * (k in (1, 4, 5))) for k, c in enumerate(CASES)]
)
def test_a_step_in_float64(case, small_cyclegan, monkeypatch):
    """Losses, gradients, changes of parameters, running statistics and pools agree to 1e-8.

    With XLA's convolutions, which compile in half the time; the test below takes the platform's own form, and
    tests/ops holds the two equal.
    """
    monkeypatch.setattr(conv, "DEFAULT_FORM", "lax")
    held, changes = CASES[case]
    config = small_cyclegan(**SETTING | changes)
    found = both(config, held, jnp.float64)
    parity.assert_same(found.theirs, found.ours, found.noise, 1e-8)
    parity.assert_moved(found.ours)
    pools = {name: x for name, x in found.theirs.kept.items() if name.startswith("pool")}
    assert bool(pools) == (config.loss.pool_size > 0 and config.loss.adversarial_weight > 0)
    assert all(len(x) == found.ours.kept[f"count_of_{name}"] == min(held + 2, 3) for name, x in pools.items())


def test_the_keys_of_the_cases_exchange_and_keep():
    """Or the full pools above would show one of the two only."""
    turns, _ = draws(2, 3, jnp.float32)
    assert {exchange for of_domain in turns.values() for exchange, _ in of_domain} == {True, False}


def test_gradients_in_float32(small_cyclegan):
    found = both(small_cyclegan(**SETTING, **{"loss.lambda_b": 0.0}), 3, jnp.float32)
    parity.assert_close(found.theirs.gradients, found.ours.gradients, found.noise.gradients, 1e-4)


def test_the_peer_of_the_benchmark_makes_the_same_update(small_cyclegan, monkeypatch):
    """What is timed against is the update above, in the plain setting, pools included."""
    config, rng = small_cyclegan(**SETTING), np.random.default_rng(0)
    a, b = torch.from_numpy(rng.uniform(-1, 1, (2, 2, 3, 12, 12)))
    one, two = Update(config), Update(config)
    for net, module in one.nets().items():
        module.double()
        two.nets()[net].double().load_state_dict(module.state_dict())
    timed = peer.CycleGAN((two.ab, two.ba), two.judges.values())
    for pool, theirs in (("a", timed.pool_a), ("b", timed.pool_b)):
        theirs.size = 3
        theirs.images = list(torch.from_numpy(rng.uniform(-1, 1, (3, 3, 12, 12))))
        one.pools[pool] = [x.clone() for x in theirs.images]
    turns = {"a": [(False, 0), (True, 2)], "b": [(True, 1), (True, 1)]}
    coins = iter([exchange for x in "ab" for exchange, _ in turns[x]])
    slots = iter([slot for x in "ab" for exchange, slot in turns[x] if exchange])
    monkeypatch.setattr(peer.random, "random", lambda: 0.9 if next(coins) else 0.1)
    monkeypatch.setattr(peer.random, "randrange", lambda size: next(slots))
    losses = one.step(a, b, turns, None)
    told = timed.step(a, b)
    assert told["dis"].item() == pytest.approx(losses["d_loss"], rel=1e-12)
    for theirs, name in (("adversarial", "g_adversarial"), ("cycle", "g_cycle")):
        assert told[theirs].item() == pytest.approx(losses[f"{name}_a"] + losses[f"{name}_b"], rel=1e-12)
    parity.assert_same_moments(one.optimisers, (timed.gen_optimiser, timed.dis_optimiser))
    for net, module in one.nets().items():
        state, same = module.state_dict(), two.nets()[net].state_dict()
        assert all(torch.allclose(state[name], same[name], rtol=1e-12) for name in state)
    for pool, theirs in (("a", timed.pool_a), ("b", timed.pool_b)):
        assert torch.allclose(torch.stack(one.pools[pool]), torch.stack(theirs.images), rtol=1e-12)


def draws(n, size, dtype):
    """What a step of the key KEY draws: {domain: [(exchange?, slot)]} from full pools, and {domain: alpha}."""
    pool_a, pool_b, penalty_a, penalty_b, _ = jax.random.split(KEY, 5)
    turns = {}
    for x, key in (("a", pool_a), ("b", pool_b)):
        pairs = [jax.random.split(k) for k in jax.random.split(key, n)]
        turns[x] = [
            (bool(jax.random.bernoulli(swap)), int(jax.random.randint(slot, (), 0, max(size, 1))))
            for swap, slot in pairs
        ]
    alpha = {
        x: torch.from_numpy(np.array(jax.random.uniform(key, (n, 1, 1, 1), dtype)))
        for x, key in (("a", penalty_a), ("b", penalty_b))
    }
    return turns, alpha


def both(config, held, dtype):
    """The `parity.Comparison` of one step, before which the pools hold `held` images."""
    size, rng = config.data.size, np.random.default_rng(3)
    images = {
        name: rng.uniform(-1, 1, (2, size, size, channels)).astype(dtype)
        for name, channels in zip("ab", config.data.channels, strict=True)
    }
    with jax.enable_x64(dtype == jnp.float64):
        system = cyclegan.build(config)
        before = jax.device_get(parity.drawn(system, images, rng, dtype))
        pools = {}
        for name, pool in before.aux.items():
            stored = np.zeros_like(pool["images"])
            stored[:held] = rng.uniform(-1, 1, stored[:held].shape)
            pools[name] = {"images": stored, "count": np.int32(held)}
        before = dataclasses.replace(before, aux=pools)
        step = jax.jit(system.step, static_argnames="updates")
        turns, alpha = draws(2, config.loss.pool_size, dtype)

    def theirs(before, images):
        update = Update(config)
        parity.copy(update.nets(), before)
        for name, pool in before.aux.items():
            update.pools[name[-1]] = list(parity.images(pool["images"][:held]))
        losses = update.step(*map(parity.images, images.values()), turns, alpha)
        made = parity.outcome_of_theirs(update.nets(), update.optimisers, before, losses)
        made.kept.update({name: torch.stack(update.pools[name[-1]]).numpy() for name in before.aux})
        return made

    def ours(before, images):
        with jax.enable_x64(dtype == jnp.float64):
            after, metrics = jax.device_get(step(before, images, KEY, updates=system.plan(0)))
        made = parity.outcome_of_ours(Update(config).nets(), before, after, metrics)
        for name, pool in after.aux.items():
            made.kept[name] = parity.images(pool["images"][: min(held + 2, 3)]).numpy()
            made.kept[f"count_of_{name}"] = pool["count"]
        return made

    return parity.compare(theirs, ours, before, images)
