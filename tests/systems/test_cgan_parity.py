"""A training step of the conditional GAN equals PyTorch's in float64, with the label met in each of the three ways.

The nets and updates below are written from the papers: DCGAN's layers, and the label beside the code, as planes behind
the image, as what a second head names, and in an inner product with summed features.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jgan.ops import conv
from jgan.systems import cgan
from tests.systems import parity
from tests.systems.parity import functional
from tests.systems.parity import torch
from tests.systems.test_cgan import KEY
from tests.systems.test_cgan import batch
from tests.systems.test_cgan import small

CASES = {
    "concat": {"condition": "concat"},
    "auxiliary": {"condition": "auxiliary", "loss.lambda_classes": 0.7, "latent.prior": "uniform"},
    "projection": {"condition": "projection", "loss.adversarial": "hinge"},
    "projection, wgan_gp": {"condition": "projection", "loss.adversarial": "wgan_gp"},
}


class Generator(torch.nn.Module):
    """From 4x4 pixels of 2w channels over 8x8 of w to pictures of 16x16."""

    def __init__(self, numbers, width):
        super().__init__()
        self.dense = torch.nn.Linear(numbers, 16 * 2 * width, bias=False)
        self.norms = torch.nn.ModuleList([torch.nn.BatchNorm2d(2 * width), torch.nn.BatchNorm2d(width)])
        self.ups = torch.nn.ModuleList(
            [torch.nn.ConvTranspose2d(a, b, 4, 2, 1, bias=False) for a, b in ((2 * width, width), (width, 3))]
        )

    def forward(self, z, named):
        x = self.dense(torch.cat([z, named], 1)).unflatten(1, (4, 4, -1)).permute(0, 3, 1, 2)
        for norm, up in zip(self.norms, self.ups, strict=True):
            x = up(functional.relu(norm(x)))
        return torch.tanh(x)


class Discriminator(torch.nn.Module):
    """Pictures of 16x16 and labels -> (logits, logits of the classes or None)."""

    def __init__(self, condition, width, norm):
        super().__init__()
        self.condition, channels = condition, 6 if condition == "concat" else 3
        self.convs = torch.nn.ModuleList(
            [torch.nn.Conv2d(a, b, 4, 2, 1, bias=False) for a, b in ((channels, width), (width, 2 * width))]
        )
        self.norm = torch.nn.BatchNorm2d(2 * width) if norm == "batch" else torch.nn.InstanceNorm2d(2 * width)
        self.dense = torch.nn.Linear(16 * 2 * width, 1, bias=False)
        if condition == "auxiliary":
            self.classes = torch.nn.Linear(16 * 2 * width, 3)
        elif condition == "projection":
            self.embedding = torch.nn.Linear(3, 2 * width, bias=False)

    def forward(self, x, named):
        if self.condition == "concat":
            planes = named[:, :, None, None].expand(-1, -1, *x.shape[2:])
            x = torch.cat([x, planes], 1)
        x = functional.leaky_relu(self.convs[0](x), 0.2)
        x = functional.leaky_relu(self.norm(self.convs[1](x)), 0.2)
        flat = x.permute(0, 2, 3, 1).flatten(1)  # our order of units
        logits = self.dense(flat)
        if self.condition == "projection":
            logits = logits + (self.embedding(named) * x.sum((2, 3))).sum(1, keepdim=True)
        return logits, self.classes(flat) if self.condition == "auxiliary" else None


def leaves(module, params, stats):
    """(name, PyTorch's tensor, our array in its layout) for all leaves of a net."""

    def norm(name, layer):
        if isinstance(layer, torch.nn.BatchNorm2d):
            yield f"{name}/scale", layer.weight, params[name]["scale"]
            yield f"{name}/bias", layer.bias, params[name]["bias"]
            yield f"{name}/mean", layer.running_mean, stats[name]["mean"]
            yield f"{name}/variance", layer.running_var, stats[name]["variance"]

    yield "dense/kernel", module.dense.weight, params["dense"]["kernel"].T
    if isinstance(module, Generator):
        for k, layer in enumerate(module.ups, start=1):
            yield f"up_{k}/kernel", layer.weight, params[f"up_{k}"]["kernel"].transpose(2, 3, 0, 1)
        yield from norm("dense_norm", module.norms[0])
        yield from norm("up_norm_1", module.norms[1])
        return
    for k, layer in enumerate(module.convs, start=1):
        yield f"conv_{k}/kernel", layer.weight, params[f"conv_{k}"]["kernel"].transpose(3, 2, 0, 1)
    yield from norm("norm_2", module.norm)
    if module.condition == "auxiliary":
        yield "classes/kernel", module.classes.weight, params["classes"]["kernel"].T
        yield "classes/bias", module.classes.bias, params["classes"]["bias"]
    elif module.condition == "projection":
        yield "embedding/kernel", module.embedding.weight, params["embedding"]["kernel"].T


def made(config, state):
    norm = "instance" if config.loss.adversarial == "wgan_gp" else "batch"
    nets = {
        "generator": Generator(config.latent.nz + 3, config.generator.ngf),
        "discriminator": Discriminator(config.condition, config.discriminator.ndf, norm),
    }
    parity.copy(nets, state, leaves)
    return nets


def update(config, nets, real, own, drawn):
    """(losses, optimisers): D's update, then G's on other codes and labels; `drawn` has what is random."""
    generator, discriminator = nets["generator"], nets["discriminator"]
    pay_fake, pay_real, pay_generator = parity.objective(config.loss.adversarial)
    gen, dis = (
        torch.optim.Adam(net.parameters(), lr=2e-4, betas=(0.5, 0.999)) for net in (generator, discriminator)
    )
    z, asked = drawn["dis"]
    fake = generator(z, asked).detach()
    for buffer, before in zip(generator.buffers(), drawn["buffers"], strict=True):
        buffer.data.copy_(before)  # what G makes for D leaves no trace in its averages
    (on_fake, names_fake), (on_real, names_real) = discriminator(fake, asked), discriminator(real, own)
    told = {"d_fake": pay_fake(on_fake), "d_real": pay_real(on_real)}
    told["d_loss"] = told["d_fake"] + told["d_real"]
    if names_real is not None:
        told["d_classes_real"] = functional.cross_entropy(names_real, own.argmax(1))
        told["d_classes_fake"] = functional.cross_entropy(names_fake, asked.argmax(1))
        weight = config.loss.lambda_classes
        told["d_loss"] = told["d_loss"] + weight * (told["d_classes_real"] + told["d_classes_fake"])
    if config.loss.adversarial == "wgan_gp":
        told["d_penalty"] = parity.gradient_penalty(
            discriminator, lambda x: discriminator(x, own)[0], real, fake, drawn["alpha"]
        )
        told["d_loss"] = told["d_loss"] + 10 * told["d_penalty"]
    dis.zero_grad()
    told["d_loss"].backward()
    dis.step()
    z, asked = drawn["gen"]
    on_fake, names_fake = discriminator(generator(z, asked), asked)
    told["g_adversarial"] = told["g_loss"] = pay_generator(on_fake)
    if names_fake is not None:
        told["g_classes"] = functional.cross_entropy(names_fake, asked.argmax(1))
        told["g_loss"] = told["g_adversarial"] + config.loss.lambda_classes * told["g_classes"]
    gen.zero_grad()
    told["g_loss"].backward()
    gen.step()
    return {name: value.item() for name, value in told.items()}, [gen, dis]


def drawn_by(system, config):
    """What our step draws: codes and labels for both updates, and the points of the penalty."""
    k_dis, k_gen = jax.random.split(KEY)
    k_fake, k_penalty, *_ = jax.random.split(k_dis, 4)
    draws, n = cgan.priors.PRIORS[config.latent.prior].draw, config.batch_size
    found = {}
    for name, key in (("dis", k_fake), ("gen", jax.random.split(k_gen)[0])):
        k_code, k_label = jax.random.split(key)
        z = np.array(draws(k_code, (n, config.latent.nz), jnp.float64))
        found[name] = z, np.eye(3)[np.array(jax.random.randint(k_label, (n,), 0, 3))]
    return found, np.array(jax.random.uniform(k_penalty, (n, 1, 1, 1), jnp.float64))


# The first case at once, the others among the slow tests.
@pytest.mark.parametrize(
    "case", [pytest.param(c, marks=[pytest.mark.slow] * (k > 0)) for k, c in enumerate(CASES)]
)
def test_a_step_of_both_in_float64(case, monkeypatch):
    monkeypatch.setattr(
        conv, "DEFAULT_FORM", "lax"
    )  # XLA's compile in half the time; tests/ops holds all forms equal
    config, rng = (
        small(**CASES[case], **{"data.size": 16, "optimiser.schedule": "constant"}),
        np.random.default_rng(3),
    )
    config.ema = 0.0
    given = batch(config)
    given["images"] = rng.uniform(-1, 1, given["images"].shape)
    own = torch.from_numpy(np.eye(3)[given["label"]])
    with jax.enable_x64(True):
        system = cgan.build(config)
        before = jax.device_get(parity.drawn(system, given, rng, jnp.float64))
        step = jax.jit(system.step, static_argnames="updates")
        codes, alpha = drawn_by(system, config)
    drawn = {name: tuple(map(torch.from_numpy, both)) for name, both in codes.items()}
    drawn["alpha"] = torch.from_numpy(alpha)

    def theirs(before, images):
        nets = made(config, before)
        drawn["buffers"] = [x.clone() for x in nets["generator"].buffers()]
        losses, optimisers = update(config, nets, parity.images(images), own, drawn)
        return parity.outcome_of_theirs(nets, optimisers, before, losses, leaves)

    def ours(before, images):
        with jax.enable_x64(True):
            after, told = jax.device_get(
                step(before, {**given, "images": images}, KEY, updates=("dis", "gen"))
            )
        return parity.outcome_of_ours(made(config, before), before, after, told, leaves)

    found = parity.compare(theirs, ours, before, given["images"])
    parity.assert_same(found.theirs, found.ours, found.noise, 1e-8)
    parity.assert_moved(found.ours)
