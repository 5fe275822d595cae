"""The first GAN: a small generator against a small discriminator, under any of the adversarial losses.

Goodfellow et al., "Generative Adversarial Nets" (2014): algorithm 1 with one step of D for one of G, each step on new
codes and the same batch. D's loss is eq. 1; G's is eq. 1 too (`minimax`) or the non-saturating -log D(G(z)) of
section 3 (`vanilla`), which the paper trains with.

State: nets `generator`, `discriminator`; groups `gen` and `dis`. Batch kind: `images`.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp

import jgan
from jgan import losses
from jgan import state as state_lib
from jgan.nets import dcgan
from jgan.nets import mlp
from jgan.nets import net as net_lib
from jgan.ops import pixels
from jgan.systems import adversarial
from jgan.systems import latent
from jgan.systems import optimiser
from jgan.systems import prior as priors
from jgan.systems import system

NETS = ("mlp", "conv")


def build(config: Any) -> system.System:
    """The GAN system of a config as `configs/gan.py` makes it.

    Raises:
        jgan.UserError: a name that does not exist, or values that do not fit together.
    """
    terms = adversarial.choose(config.loss)
    prior = priors.prior(config.latent.prior, config.latent.nz)
    nets = _nets(config)
    adam = optimiser.adam(config.optimiser, config.steps)
    groups = {
        "gen": state_lib.Group(("generator",), adam),
        "dis": state_lib.Group(("discriminator",), adam),
    }
    made = _GAN(config, prior, nets["generator"], nets["discriminator"], terms, groups)
    draws = latent.Generator(made.generator, prior, config.latent.nz)
    return system.System(
        made.init,
        made.step,
        plan=lambda step: ("dis", "gen"),
        ways={"sample": draws.way()},
        spaces={"z": system.Codes(draws.space, judge=latent.judge(made.discriminator))},
        statistics=lambda step: "running",
    )


@dataclasses.dataclass(frozen=True)
class _GAN:
    """The functions of the system; all of them are pure."""

    config: Any
    prior: priors.Prior
    generator: net_lib.Net
    discriminator: net_lib.Net
    terms: losses.Adversarial
    groups: dict[str, state_lib.Group]

    def init(self, key: jax.Array, batch: dict[str, jax.Array]) -> state_lib.State:
        k_gen, k_dis = jax.random.split(key)
        images = pixels.to_float(batch["images"])
        params, stats = {}, {}
        codes = jnp.zeros((images.shape[0], self.config.latent.nz), images.dtype)
        params["generator"], stats["generator"] = self.generator.init(k_gen, codes)
        params["discriminator"], stats["discriminator"] = self.discriminator.init(k_dis, images)
        return state_lib.create(self.groups, params, stats, ("generator",) if self.config.ema else ())

    def step(
        self, state: state_lib.State, batch: dict[str, jax.Array], key: jax.Array, updates: tuple[str, ...]
    ) -> tuple[state_lib.State, dict[str, jax.Array]]:
        k_dis, k_gen, k_penalty = jax.random.split(key, 3)
        real = pixels.to_float(batch["images"])
        metrics = {"learning_rate": optimiser.rate(self.config.optimiser, self.config.steps, state.step)}
        losses_of = {
            "dis": functools.partial(self.dis_loss, real, k_dis, k_penalty),
            "gen": functools.partial(self.gen_loss, real, k_gen),
        }
        for name, loss_fn in losses_of.items():
            if name in updates:
                state, aux = state_lib.update(state, self.groups, name, functools.partial(loss_fn, state))
                metrics |= aux
        state = state_lib.average(state, self.config.ema)
        return dataclasses.replace(state, step=state.step + 1), metrics

    def fake(self, real: jax.Array, key: jax.Array, params: Any, stats: Any) -> tuple[jax.Array, Any]:
        """(as many images as there are real ones, from new codes; G's statistics)."""
        z = self.prior.draw(key, (real.shape[0], self.config.latent.nz), real.dtype)
        return self.generator.apply(params["generator"], stats["generator"], z)

    def dis_loss(
        self, real: jax.Array, k_fake: jax.Array, k_penalty: jax.Array, state: state_lib.State, params: Any
    ) -> tuple[jax.Array, Any]:
        """What D pays."""
        fake, _ = self.fake(real, k_fake, state.params, state.stats)
        fake, d = jax.lax.stop_gradient(fake), params["discriminator"]
        on_fake, stats = self.discriminator.apply(d, state.stats["discriminator"], fake)
        on_real, stats = self.discriminator.apply(d, stats, real)
        value, aux = adversarial.discriminator(self.terms, on_fake, on_real)
        # D(G(z)) and D(x) of the paper.
        aux |= {
            "d_says_fake": adversarial.mean(jax.nn.sigmoid, on_fake),
            "d_says_real": adversarial.mean(jax.nn.sigmoid, on_real),
        }
        extra, reported = adversarial.penalty(
            self.config.loss, lambda x: self.discriminator.apply(d, stats, x)[0], real, fake, k_penalty
        )
        value += extra
        return value, ({"discriminator": stats}, aux | reported | {"d_loss": value})

    def gen_loss(
        self, real: jax.Array, key: jax.Array, state: state_lib.State, params: Any
    ) -> tuple[jax.Array, Any]:
        """What G pays."""
        fake, g_stats = self.fake(real, key, params, state.stats)
        on_fake, d_stats = self.discriminator.apply(
            state.params["discriminator"], state.stats["discriminator"], fake
        )
        value = adversarial.mean(self.terms.generator, on_fake)
        return value, ({"generator": g_stats, "discriminator": d_stats}, {"g_loss": value})


def _nets(config: Any) -> dict[str, net_lib.Net]:
    g, d, size = config.generator, config.discriminator, config.data.size
    channels = (config.data.channels or (3,))[0]
    for field, name in (("generator", g.name), ("discriminator", d.name)):
        if name not in NETS:
            raise jgan.UserError(f"{field}.name={name!r} is unknown: use one of {', '.join(NETS)}.")
    norm = "none" if config.loss.adversarial == "wgan_gp" else "batch"  # of the convolutional D
    return {
        "generator": mlp.generator(size=size, features=channels, widths=g.widths, norm=g.norm)
        if g.name == "mlp"
        else dcgan.generator(size=size, features=channels, ngf=g.ngf, kernel=4),
        "discriminator": mlp.discriminator(widths=d.widths)
        if d.name == "mlp"
        else dcgan.discriminator(size=size, ndf=d.ndf, kernel=4, norm=norm),
    }
