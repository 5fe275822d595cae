"""One training step of each phase of DCGAN equals PyTorch's in float64.

The nets and updates below are written from iGAN's description: PyTorch's layers, its batch norm with running
averages, its Adam with coupled weight decay.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import dcgan as presets
from jgan.ops import conv
from jgan.systems import dcgan
from tests.systems import parity
from tests.systems.parity import functional
from tests.systems.parity import peer
from tests.systems.parity import torch

KEY = jax.random.key(7)
SMALL = {
    "steps": 8,
    "statistics_steps": 1,
    "batch_size": 4,
    "ema": 0.0,
    "data.size": 16,
    "latent.nz": 6,
    "generator.ngf": 4,
    "discriminator.ndf": 4,
    "predictor.ndf": 4,
    "predictor.statistics_steps": 1,
}
CASES = {
    "iGAN": {
        "generator.kernel": 5,
        "discriminator.kernel": 5,
        "norm_epsilon": 1e-8,
        "optimiser.weight_decay": 1e-2,
    },
    "4x4, normal codes, hinge": {"latent.prior": "normal", "loss.adversarial": "hinge", "data.size": 8},
    "minimax": {"loss.adversarial": "minimax", "data.size": 8},
    "wgan_gp": {"loss.adversarial": "wgan_gp", "data.size": 8},
}


def small(**changes):
    config = presets.get_config()
    config.update_from_flattened_dict({**SMALL, **changes})
    return config


class Generator(torch.nn.Module):
    def __init__(self, config):
        super().__init__()
        kernel, stages = config.generator.kernel, int(np.log2(config.data.size)) - 2
        width = config.generator.ngf * 2 ** (stages - 1)
        norm = {"eps": config.norm_epsilon, "momentum": 0.1}
        self.dense = torch.nn.Linear(config.latent.nz, 16 * width, bias=False)
        self.per_unit = kernel == 5
        self.dense_norm = (
            torch.nn.BatchNorm1d(16 * width, **norm) if self.per_unit else torch.nn.BatchNorm2d(width, **norm)
        )
        self.width, self.up, self.up_norm = width, torch.nn.ModuleList(), torch.nn.ModuleList()
        for k in range(stages):
            after = 3 if k == stages - 1 else width // 2
            padding = {5: {"padding": 2, "output_padding": 1}, 4: {"padding": 1}}[kernel]
            self.up.append(torch.nn.ConvTranspose2d(width, after, kernel, 2, bias=False, **padding))
            if after != 3:
                self.up_norm.append(torch.nn.BatchNorm2d(after, **norm))
            width = after

    def forward(self, z):
        x = self.dense(z)
        x = self.dense_norm(x) if self.per_unit else x
        x = x.view(-1, 4, 4, self.width).permute(0, 3, 1, 2)  # our order of units
        x = functional.relu(x if self.per_unit else self.dense_norm(x))
        for up, norm in zip(self.up, self.up_norm, strict=False):
            x = functional.relu(norm(up(x)))
        return torch.tanh(self.up[-1](x))


class Encoder(torch.nn.Module):
    def __init__(self, config, part, features, norm="batch"):
        super().__init__()
        stages, before = int(np.log2(config.data.size)) - 2, 3
        self.conv, self.norm = torch.nn.ModuleList(), torch.nn.ModuleList()
        for k in range(stages):
            width, kernel = config[part].ndf * 2**k, config[part].kernel
            padding = {5: 2, 4: 1}[kernel]
            self.conv.append(torch.nn.Conv2d(before, width, kernel, 2, padding, bias=False))
            if k and norm == "batch":
                self.norm.append(torch.nn.BatchNorm2d(width, eps=config.norm_epsilon, momentum=0.1))
            elif k:
                self.norm.append(torch.nn.InstanceNorm2d(width, eps=config.norm_epsilon))
            before = width
        self.dense = torch.nn.Linear(16 * before, features, bias=False)

    def forward(self, x):
        features = []
        for k, layer in enumerate(self.conv):
            x = layer(x)
            x = functional.leaky_relu(self.norm[k - 1](x) if k else x, 0.2)
            features.append(x)
        return self.dense(x.permute(0, 2, 3, 1).flatten(1)), features


def leaves(module, params, stats):
    """(name, PyTorch's tensor, our array in its layout) for all leaves of a net."""

    def norm(name, layer):
        if isinstance(layer, torch.nn.InstanceNorm2d):
            return
        yield f"{name}/scale", layer.weight, params[name]["scale"]
        yield f"{name}/bias", layer.bias, params[name]["bias"]
        yield f"{name}/mean", layer.running_mean, stats[name]["mean"]
        yield f"{name}/variance", layer.running_var, stats[name]["variance"]

    yield "dense/kernel", module.dense.weight, params["dense"]["kernel"].T
    if isinstance(module, Generator):
        yield from norm("dense_norm", module.dense_norm)
        for k, layer in enumerate(module.up, start=1):
            yield f"up_{k}/kernel", layer.weight, params[f"up_{k}"]["kernel"].transpose(2, 3, 0, 1)
        for k, layer in enumerate(module.up_norm, start=1):
            yield from norm(f"up_norm_{k}", layer)
    else:
        for k, layer in enumerate(module.conv, start=1):
            yield f"conv_{k}/kernel", layer.weight, params[f"conv_{k}"]["kernel"].transpose(3, 2, 0, 1)
        for k, layer in enumerate(module.norm, start=2):
            yield from norm(f"norm_{k}", layer)


def made(config, state):
    """PyTorch's nets {name: module} with the weights of a state."""
    norm = "instance" if config.loss.adversarial == "wgan_gp" else "batch"
    nets = {
        "generator": Generator(config),
        "discriminator": Encoder(config, "discriminator", 1, norm),
    }
    if "predictor" in state.params:
        nets["predictor"] = Encoder(config, "predictor", config.latent.nz)
    parity.copy(nets, state, leaves)
    return nets


def adam(config, module):
    settings = {"lr": config.optimiser.learning_rate, "betas": (0.5, 0.999), "eps": 1e-8}
    return torch.optim.Adam(module.parameters(), weight_decay=config.optimiser.weight_decay, **settings)


def objective(name):
    if name == "minimax":
        fake, real, _ = parity.objective("vanilla")
        return fake, real, lambda x: torch.log(1 - torch.sigmoid(x)).mean()
    return parity.objective(name)


def adversarial_step(config, nets, real, z, alpha):
    generator, discriminator = nets["generator"], nets["discriminator"]
    pay_fake, pay_real, pay_generator = objective(config.loss.adversarial)
    gen, dis = adam(config, generator), adam(config, discriminator)
    fake = generator(z)
    told = {
        "d_fake": pay_fake(discriminator(fake.detach())[0]),
        "d_real": pay_real(discriminator(real)[0]),
    }
    told["d_loss"] = told["d_fake"] + told["d_real"]
    if config.loss.adversarial == "wgan_gp":
        told["d_penalty"] = parity.gradient_penalty(
            discriminator, lambda x: discriminator(x)[0], real, fake.detach(), alpha
        )
        told["d_loss"] = told["d_loss"] + 10 * told["d_penalty"]
    dis.zero_grad()
    told["d_loss"].backward()
    dis.step()
    told["g_loss"] = pay_generator(discriminator(fake)[0])
    gen.zero_grad()
    told["g_loss"].backward()
    gen.step()
    return {name: value.item() for name, value in told.items()}, [gen, dis]


def compare(config, updates, step_of_theirs):
    """The `parity.Comparison` of one step.

    `step_of_theirs(nets, images, codes, points of the penalty) -> (losses, optimisers)` updates PyTorch's nets.
    """
    rng = np.random.default_rng(3)
    shape = (config.batch_size, config.data.size, config.data.size, 3)
    batch = {"images": rng.uniform(-1, 1, shape)}
    with jax.enable_x64(True):
        system = dcgan.build(config)
        before = jax.device_get(parity.drawn(system, batch, rng, jnp.float64))
        step = jax.jit(system.step, static_argnames="updates")
        draw = dcgan.priors.PRIORS[config.latent.prior].draw
        keys = jax.random.split(KEY, 5)
        k_z = keys[0] if "gen" in updates else KEY
        z = np.array(draw(k_z, (config.batch_size, config.latent.nz), jnp.float64))
        alpha = np.array(jax.random.uniform(keys[4], (config.batch_size, 1, 1, 1), jnp.float64))

    def theirs(before, batch):
        nets = made(config, before)
        losses, optimisers = step_of_theirs(
            nets, parity.images(batch["images"]), *map(torch.from_numpy, (z, alpha))
        )
        return parity.outcome_of_theirs(nets, optimisers, before, losses, leaves)

    def ours(before, batch):
        with jax.enable_x64(True):
            after, metrics = jax.device_get(step(before, batch, KEY, updates=updates))
        return parity.outcome_of_ours(made(config, before), before, after, metrics, leaves)

    return parity.compare(theirs, ours, before, batch)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """XLA's convolutions compile in half the time; tests/ops holds all forms equal."""
    monkeypatch.setattr(conv, "DEFAULT_FORM", "lax")


@pytest.mark.parametrize(
    "case", ["iGAN", *(pytest.param(x, marks=pytest.mark.slow) for x in CASES if x != "iGAN")]
)
def test_a_step_of_both(case):
    config = small(**CASES[case], **{"predictor.feature_weight": 0.0})
    found = compare(config, ("dis", "gen"), functools.partial(adversarial_step, config))
    parity.assert_same(found.theirs, found.ours, found.noise, 1e-8)


def test_the_peer_of_the_benchmark_makes_the_same_update():
    """What is timed against is the update above, in the plain setting; it has channels before rows and columns."""
    config, rng = small(), np.random.default_rng(3)
    nets = {"generator": Generator(config), "discriminator": Encoder(config, "discriminator", 1)}
    timed = peer.dcgan(stages=2, nz=6, width=4)
    both = [(net.double(), getattr(timed, name).double()) for name, net in nets.items()]

    def weights():
        """(name, ours, the peer's) for each weight, in the order of the peer."""
        for one, two in both:
            for kind in (torch.nn.Linear, torch.nn.BatchNorm2d, (torch.nn.Conv2d, torch.nn.ConvTranspose2d)):
                layers = ([m for m in net.modules() if isinstance(m, kind)] for net in (one, two))
                for here, there in zip(*layers, strict=True):
                    for (name, x), y in zip(here.named_parameters(), there.parameters(), strict=True):
                        if isinstance(here, torch.nn.Linear):
                            codes = len(x) > 1  # of the generator
                            x = (
                                (x if codes else x.T)
                                .unflatten(0, (4, 4, -1))
                                .permute(2, 0, 1, 3)
                                .flatten(0, 2)
                            )
                            x = x if codes else x.T
                        yield name, x.detach(), y

    for _, here, there in weights():
        there.data.copy_(here)
    real = torch.from_numpy(rng.uniform(-1, 1, (4, 3, 16, 16)))
    z = torch.from_numpy(rng.uniform(-1, 1, (4, 6)))
    told, _ = adversarial_step(config, nets, real, z, None)
    losses = timed.step(real, z)
    assert losses["dis"].item() == pytest.approx(told["d_loss"], rel=1e-12)
    assert losses["gen"].item() == pytest.approx(told["g_loss"], rel=1e-12)
    assert len(list(weights())) == 12
    for name, here, there in weights():
        assert torch.allclose(here, there, rtol=1e-9), name


def through(config, nets, real):
    codes, _ = nets["predictor"](real)
    codes = torch.tanh(codes) if config.latent.prior == "uniform" else codes
    images = nets["generator"](codes)
    pixels = functional.mse_loss(images, real)
    features = functional.mse_loss(nets["discriminator"](images)[1][-2], nets["discriminator"](real)[1][-2])
    return {"p_pixels": pixels, "p_features": features, "p_loss": pixels + 0.3 * features}


def regressed(config, nets, z):
    with torch.no_grad():
        images = nets["generator"](z)
    codes, _ = nets["predictor"](images)
    codes = torch.tanh(codes) if config.latent.prior == "uniform" else codes
    return {"p_codes": functional.mse_loss(codes, z)}


@pytest.mark.parametrize(
    "update, prior",
    [("predictor", "uniform"), pytest.param("warm", "normal", marks=pytest.mark.slow)],
)
def test_a_step_of_the_predictor(update, prior):
    """Through G and D with their running statistics; the weights of both stay."""
    config = small(
        **{
            "latent.prior": prior,
            "predictor.steps": 2,
            "predictor.warm_steps": 2,
            "predictor.feature_weight": 0.3,
        }
    )

    def step(nets, real, z, _):
        nets["generator"].eval(), nets["discriminator"].eval()
        optimiser = adam(config, nets["predictor"])
        told = through(config, nets, real) if update == "predictor" else regressed(config, nets, z)
        optimiser.zero_grad()
        list(told.values())[-1].backward()
        optimiser.step()
        return {name: x.item() for name, x in told.items()}, [optimiser]

    found = compare(config, (update,), step)
    parity.assert_same(found.theirs, found.ours, found.noise, 1e-8)
    for name, change in found.ours.changes.items():
        assert name.startswith("predictor/") or not np.any(change), name
