"""The first GAN: a small generator against a small discriminator, under any of the adversarial losses.

Goodfellow et al., "Generative Adversarial Nets" (2014): algorithm 1 with one step of D for one of G, each step on new
codes and the same batch. D's loss is eq. 1; G's is eq. 1 too (`minimax`) or the non-saturating -log D(G(z)) of
section 3 (`vanilla`), which the paper trains with.

State: nets `generator`, `discriminator`; groups `gen` and `dis`. Batch kind: `images`.
"""

import dataclasses
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
from jgan.systems import optimiser
from jgan.systems import prior as priors
from jgan.systems import system

NETS = ("mlp", "conv")


def build(config: Any) -> system.System:
    """The GAN system of a config as `configs/gan.py` makes it.

    Raises:
        jgan.UserError: a name that does not exist, or values that do not fit together.
    """
    nz, loss = config.latent.nz, config.loss
    if loss.adversarial not in losses.ADVERSARIAL:
        raise jgan.UserError(
            f"loss.adversarial={loss.adversarial!r} is unknown: use one of {', '.join(losses.ADVERSARIAL)}."
        )
    adversarial = losses.ADVERSARIAL[loss.adversarial]
    prior = priors.prior(config.latent.prior, nz)
    nets = _nets(config)
    generator, discriminator = nets["generator"], nets["discriminator"]
    adam = optimiser.adam(config.optimiser, config.steps)
    groups = {
        "gen": state_lib.Group(("generator",), adam),
        "dis": state_lib.Group(("discriminator",), adam),
    }

    def init(key: jax.Array, batch: dict[str, jax.Array]) -> state_lib.State:
        k_gen, k_dis = jax.random.split(key)
        images = pixels.to_float(batch["images"])
        params, stats = {}, {}
        codes = jnp.zeros((images.shape[0], nz), images.dtype)
        params["generator"], stats["generator"] = generator.init(k_gen, codes)
        params["discriminator"], stats["discriminator"] = discriminator.init(k_dis, images)
        return state_lib.create(groups, params, stats, ("generator",) if config.ema else ())

    def step(
        state: state_lib.State, batch: dict[str, jax.Array], key: jax.Array, updates: tuple[str, ...]
    ) -> tuple[state_lib.State, dict[str, jax.Array]]:
        k_dis, k_gen, k_penalty = jax.random.split(key, 3)
        real = pixels.to_float(batch["images"])
        shape = (real.shape[0], nz)
        metrics: dict[str, jax.Array] = {}

        def dis_loss(params: Any) -> tuple[jax.Array, Any]:
            z = prior.draw(k_dis, shape, real.dtype)
            fake, _ = generator.apply(state.params["generator"], state.stats["generator"], z)
            fake, d = jax.lax.stop_gradient(fake), params["discriminator"]
            on_fake, stats = discriminator.apply(d, state.stats["discriminator"], fake)
            on_real, stats = discriminator.apply(d, stats, real)
            fakes, reals = on_fake["logits"][0], on_real["logits"][0]
            aux = {
                "d_fake": jnp.mean(adversarial.fake(fakes)),
                "d_real": jnp.mean(adversarial.real(reals)),
                "d_accuracy_fake": jnp.mean(fakes <= adversarial.boundary),
                "d_accuracy_real": jnp.mean(reals > adversarial.boundary),
                "d_says_fake": jnp.mean(jax.nn.sigmoid(fakes)),  # D(G(z)) of the paper
                "d_says_real": jnp.mean(jax.nn.sigmoid(reals)),  # D(x)
            }
            value = aux["d_fake"] + aux["d_real"]
            if loss.adversarial == "wgan_gp":

                def critic(images: jax.Array) -> jax.Array:
                    return discriminator.apply(d, stats, images)[0]["logits"][0]

                aux["d_penalty"] = jnp.mean(losses.gradient_penalty(critic, real, fake, k_penalty))
                value += loss.gradient_penalty * aux["d_penalty"]
            aux["d_loss"] = value
            return value, ({"discriminator": stats}, aux)

        def gen_loss(params: Any) -> tuple[jax.Array, Any]:
            z = prior.draw(k_gen, shape, real.dtype)
            fake, g_stats = generator.apply(params["generator"], state.stats["generator"], z)
            on_fake, d_stats = discriminator.apply(
                state.params["discriminator"], state.stats["discriminator"], fake
            )
            value = jnp.mean(adversarial.generator(on_fake["logits"][0]))
            return value, ({"generator": g_stats, "discriminator": d_stats}, {"g_loss": value})

        for name, loss_fn in (("dis", dis_loss), ("gen", gen_loss)):
            if name in updates:
                state, aux = state_lib.update(state, groups, name, loss_fn)
                metrics |= aux
        state = state_lib.average(state, config.ema)
        return dataclasses.replace(state, step=state.step + 1), metrics

    def apply(
        weights: dict[str, Any],
        inputs: dict[str, jax.Array],
        key: jax.Array | None = None,
        *,
        statistics: str = "running",
    ) -> dict[str, jax.Array]:
        """{"images": [n, size, size, c] in [-1, 1]} of the codes `inputs["z"]` [n, nz]."""
        del key  # the codes are all the noise there is
        images, _ = generator.apply(
            weights["params"]["generator"], weights["stats"]["generator"], inputs["z"], statistics=statistics
        )
        return {"images": images}

    def judge(weights: dict[str, Any], images: jax.Array) -> dict[str, Any]:
        output, _ = discriminator.apply(
            weights["params"]["discriminator"],
            weights["stats"]["discriminator"],
            pixels.to_float(images),
            statistics="running",
        )
        return output

    return system.System(
        init,
        step,
        apply,
        plan=lambda step: ("dis", "gen"),
        space=lambda weights, condition=None: priors.make_space(
            prior, nz, lambda z: apply(weights, {"z": z})["images"]
        ),
        translations={},
        judge=judge,
    )


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
