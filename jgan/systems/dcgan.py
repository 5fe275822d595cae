"""DCGAN with the inference statistics and the predictor of iGAN: images from codes, and codes from images.

Radford et al., "Unsupervised Representation Learning with Deep Convolutional GANs" (2016); Zhu et al., "Generative
Visual Manipulation on the Natural Image Manifold" (2016, iGAN), whose code has what the papers leave open.

A run has up to three phases, in `config.steps` altogether:

1. `gan`: D on real and generated images, then G against the updated D on the same codes, in every step. With
   `alternate` they take turns on different batches, G first, which is what iGAN's `--update_k 2` does.
2. `statistics`, for `statistics_steps`: nothing learns. Mean and variance of every batch norm over all codes of these
   steps replace the moving averages, for the weights that inference uses (averages where `ema` is on). iGAN makes
   two passes, one for means and one for variances about them; here the moments of batch after batch are merged
   exactly (Chan et al. 1979), which gives the same from one pass, variances divided by the number of samples. D's
   statistics are those of generated images only, as in iGAN.
3. `predictor`: P learns codes from images. `warm_steps` of regression on samples of G, whose codes are known; then
   `steps` through the frozen G on real images (iGAN, eq. 4: pixels and features), the features being D's; at last
   P's own statistics, on real images.

State: nets `generator`, `discriminator` and, where it has steps, `predictor`; groups `gen`, `dis`, `pre`; aux
`batches` (merged so far) and, with an adaptive augmentation, `augment`.
Batch kind: `images`.
"""

from collections.abc import Callable
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

import jgan
from jgan import losses
from jgan import state as state_lib
from jgan.nets import dcgan
from jgan.nets import net as net_lib
from jgan.ops import augment
from jgan.ops import pixels
from jgan.systems import optimiser
from jgan.systems import prior as priors
from jgan.systems import system

_DTYPES = {"float32": None, "bfloat16": jnp.bfloat16}


def build(config: Any) -> system.System:
    """The DCGAN system of a config as `configs/dcgan.py` makes it.

    Raises:
        jgan.UserError: a name that does not exist, or values that do not fit together.
    """
    phases = _phases(config)
    _check(config)
    nz, loss = config.latent.nz, config.loss
    prior = priors.prior(config.latent.prior, nz)
    nets = _nets(config, prior)
    generator, discriminator = nets["generator"], nets["discriminator"]
    adversarial = losses.ADVERSARIAL[loss.adversarial]
    policy = augment.parse(config.augment.policy)
    adaptive = bool(policy) and config.augment.target > 0
    gan_steps, predictor_steps = len(phases["gan"]), config.predictor.warm_steps + config.predictor.steps
    turns = 2 if config.alternate else 1
    rate = optimiser.schedule(config.optimiser, gan_steps)
    groups = {
        name: state_lib.Group((net,), optimiser.adam(config.optimiser, steps))
        for name, net, steps in (
            ("gen", "generator", gan_steps // turns),
            ("dis", "discriminator", gan_steps // turns),
            ("pre", "predictor", predictor_steps),
        )
        if net in nets
    }

    def plan(step: int) -> tuple[str, ...]:
        if step in phases["gan"]:
            return (("gen",), ("dis",))[step % 2] if config.alternate else ("dis", "gen")
        if step in phases["statistics"]:
            return ("statistics",)
        first = phases["predictor"].start if predictor_steps else 0
        if step < first + config.predictor.warm_steps:
            return ("warm",)
        return ("predictor",) if step < first + predictor_steps else ("predictor_statistics",)

    def init(key: jax.Array, batch: dict[str, jax.Array]) -> state_lib.State:
        images = pixels.to_float(batch["images"])
        params, stats = {}, {}
        for k, (name, net) in enumerate(nets.items()):
            seen = jnp.zeros((images.shape[0], nz), images.dtype) if name == "generator" else images
            params[name], stats[name] = net.init(jax.random.fold_in(key, k), seen)
        aux = {"batches": {name: jnp.zeros((), jnp.int32) for name in nets}}
        if adaptive:
            aux["augment"] = augment.controller(config.augment.p)
        return state_lib.create(groups, params, stats, ("generator",) if config.ema else (), aux)

    def adversarial_step(
        state: state_lib.State, real: jax.Array, key: jax.Array, updates: tuple[str, ...]
    ) -> tuple[state_lib.State, dict[str, jax.Array]]:
        k_z, k_real, k_fake, k_again, k_penalty = jax.random.split(key, 5)
        z = prior.draw(k_z, (real.shape[0], nz), real.dtype)
        p = state.aux["augment"]["p"] if adaptive else config.augment.p

        def seen(images: jax.Array, key: jax.Array) -> jax.Array:
            """Images as D sees them."""
            images = augment.augment(images, key, p, policy)
            return augment.noisy(images, jax.random.fold_in(key, 1), config.augment.noise)

        metrics: dict[str, jax.Array] = {}

        def dis_loss(params: Any) -> tuple[jax.Array, Any]:
            # The same forward pass stands in `gen_loss`; the compiler merges the two.
            fake, _ = generator.apply(state.params["generator"], state.stats["generator"], z)
            shown = seen(jax.lax.stop_gradient(fake), k_fake)
            target = seen(real, k_real)
            d = params["discriminator"]
            on_fake, stats = discriminator.apply(d, state.stats["discriminator"], shown)
            on_real, stats = discriminator.apply(d, stats, target)
            aux = {
                "d_fake": _mean(adversarial.fake, on_fake),
                "d_real": _mean(adversarial.real, on_real),
                "d_accuracy_fake": _mean(lambda x: x <= adversarial.boundary, on_fake),
                "d_accuracy_real": _mean(lambda x: x > adversarial.boundary, on_real),
            }
            value = aux["d_fake"] + aux["d_real"]
            if loss.adversarial == "wgan_gp":

                def critic(images: jax.Array) -> jax.Array:
                    return discriminator.apply(d, stats, images)[0]["logits"][0]

                penalty = jnp.mean(losses.gradient_penalty(critic, target, shown, k_penalty))
                value += loss.gradient_penalty * penalty
                aux["d_penalty"] = penalty
            aux["d_loss"] = value
            return value, ({"discriminator": stats}, (aux, on_real["logits"][0]))

        def gen_loss(params: Any) -> tuple[jax.Array, Any]:
            fake, g_stats = generator.apply(params["generator"], state.stats["generator"], z)
            on_fake, d_stats = discriminator.apply(
                state.params["discriminator"],
                state.stats["discriminator"],
                seen(fake, k_again),
            )
            value = _mean(adversarial.generator, on_fake)
            return value, ({"generator": g_stats, "discriminator": d_stats}, {"g_loss": value})

        aux = dict(state.aux)
        if "dis" in updates:
            state, (told, on_real) = state_lib.update(state, groups, "dis", dis_loss)
            metrics |= told
            if adaptive:
                aux["augment"] = augment.adapt(
                    state.aux["augment"],
                    on_real - adversarial.boundary,
                    config.augment.target,
                    config.augment.ramp,
                )
                metrics["augment_p"] = aux["augment"]["p"]
        if "gen" in updates:
            state, told = state_lib.update(state, groups, "gen", gen_loss)
            metrics |= told
        # Whatever statistics were taken before are those of other weights.
        aux["batches"] = jax.tree.map(jnp.zeros_like, state.aux["batches"])
        state = dataclasses.replace(state, aux=aux)
        if "gen" in updates:
            state = state_lib.average(state, config.ema)
        return state, metrics | {"learning_rate": rate(state.step)}

    def gathered(state: state_lib.State, net: str, inputs: jax.Array) -> tuple[state_lib.State, Any]:
        """The state with one more batch in the net's statistics, and the net's output."""
        count = state.aux["batches"][net]
        output, found = nets[net].apply(
            state.weights()["params"][net], state.stats[net], inputs, statistics="gather"
        )
        if not jax.tree.leaves(state.stats[net]):  # norms that keep none
            return state, output
        batches = {**state.aux["batches"], net: count + 1}
        stats = {**state.stats, net: merge(state.stats[net], found, count)}
        return dataclasses.replace(state, stats=stats, aux={**state.aux, "batches": batches}), output

    def predictor_step(
        state: state_lib.State, real: jax.Array, key: jax.Array, warm: bool
    ) -> tuple[state_lib.State, dict[str, jax.Array]]:
        weights = state.weights()
        z = prior.draw(key, (real.shape[0], nz), real.dtype)

        def regression(params: Any) -> tuple[jax.Array, Any]:
            images = apply(weights, {"z": z})["images"]
            codes, stats = nets["predictor"].apply(params["predictor"], state.stats["predictor"], images)
            value = jnp.mean(jnp.square(codes - z))
            return value, ({"predictor": stats}, {"p_codes": value})

        def reconstruction(params: Any) -> tuple[jax.Array, Any]:
            codes, stats = nets["predictor"].apply(params["predictor"], state.stats["predictor"], real)
            images = apply(weights, {"z": codes})["images"]
            aux = {"p_pixels": jnp.mean(jnp.square(images - real))}
            value = aux["p_pixels"]
            if config.predictor.feature_weight > 0:
                ours, theirs = (
                    judge(weights, x)["features"][config.predictor.feature_layer] for x in (images, real)
                )
                ours = ours.astype(jnp.promote_types(ours.dtype, jnp.float32))
                aux["p_features"] = jnp.mean(jnp.square(ours - theirs))
                value += config.predictor.feature_weight * aux["p_features"]
            aux["p_loss"] = value
            return value, ({"predictor": stats}, aux)

        count = state.step - phases["predictor"].start
        aux = {**state.aux, "batches": {**state.aux["batches"], "predictor": jnp.zeros((), jnp.int32)}}
        state = dataclasses.replace(state, aux=aux)
        state, metrics = state_lib.update(state, groups, "pre", regression if warm else reconstruction)
        return state, metrics | {
            "learning_rate": optimiser.schedule(config.optimiser, predictor_steps)(count)
        }

    def step(
        state: state_lib.State, batch: dict[str, jax.Array], key: jax.Array, updates: tuple[str, ...]
    ) -> tuple[state_lib.State, dict[str, jax.Array]]:
        real = pixels.to_float(batch["images"])
        metrics: dict[str, jax.Array] = {"learning_rate": jnp.zeros(())}
        if "statistics" in updates:
            z = prior.draw(key, (real.shape[0], nz), real.dtype)
            state, fake = gathered(state, "generator", z)
            state, _ = gathered(state, "discriminator", fake)
        elif "predictor_statistics" in updates:
            state, _ = gathered(state, "predictor", real)
        elif "warm" in updates or "predictor" in updates:
            state, metrics = predictor_step(state, real, key, "warm" in updates)
        else:
            state, metrics = adversarial_step(state, real, key, updates)
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

    def predict(weights: dict[str, Any], images: jax.Array) -> jax.Array:
        codes, _ = nets["predictor"].apply(
            weights["params"]["predictor"],
            weights["stats"]["predictor"],
            pixels.to_float(images),
            statistics="running",
        )
        return codes

    return system.System(
        init,
        step,
        apply,
        plan,
        space=lambda weights, condition=None: priors.make_space(
            prior, nz, lambda z: apply(weights, {"z": z})["images"]
        ),
        translations={},
        judge=judge,
        predict=predict if predictor_steps else None,
        phases={name: steps for name, steps in phases.items() if steps},
    )


def merge(total: Any, batch: Any, count: jax.Array) -> Any:
    """Statistics of count + 1 batches of equal size, from those of the first `count` and of the last.

    Both are trees whose innermost dicts are {"mean", "variance"}, variances about the own mean and divided by the
    number of samples; the result is what all samples together give. Chan, Golub and LeVeque (1979), eq. 2.1.
    """
    if "mean" not in total:
        return {name: merge(total[name], batch[name], count) for name in total}
    share = 1 / (count.astype(total["mean"].dtype) + 1)
    step = batch["mean"] - total["mean"]
    mean = total["mean"] + share * step
    spread = share * batch["variance"] + (1 - share) * (total["variance"] + share * jnp.square(step))
    # Nothing of what stood there before the first batch may remain, not even rounding.
    first = count == 0
    return {
        "mean": jnp.where(first, batch["mean"], mean),
        "variance": jnp.where(first, batch["variance"], spread),
    }


def _phases(config: Any) -> dict[str, range]:
    """{phase: its steps}; what the others need is taken from the end of `config.steps`."""
    p = config.predictor
    for name, value in (
        ("statistics_steps", config.statistics_steps),
        ("predictor.warm_steps", p.warm_steps),
        ("predictor.steps", p.steps),
        ("predictor.statistics_steps", p.statistics_steps),
    ):
        if value < 0:
            raise jgan.UserError(f"{name}={value}: it must be 0 or more.")
    predictor = p.warm_steps + p.steps
    predictor += p.statistics_steps if predictor else 0
    last = config.steps - predictor
    first = last - config.statistics_steps
    if first < 0:
        raise jgan.UserError(
            f"steps={config.steps} is less than statistics_steps={config.statistics_steps} and the predictor's "
            f"{predictor} steps together, which are part of it: the GAN would have none."
        )
    return {
        "gan": range(first),
        "statistics": range(first, last),
        "predictor": range(last, config.steps),
    }


def _check(config: Any) -> None:
    loss, a = config.loss, config.augment
    if loss.adversarial not in losses.ADVERSARIAL:
        raise jgan.UserError(
            f"loss.adversarial={loss.adversarial!r} is unknown: use one of {', '.join(losses.ADVERSARIAL)}."
        )
    if config.precision not in _DTYPES:
        raise jgan.UserError(f"precision={config.precision!r} is unknown: use one of {', '.join(_DTYPES)}.")
    if not 0 <= a.p <= 1:
        raise jgan.UserError(f"augment.p={a.p}: a probability is 0 to 1.")
    if a.noise < 0:
        raise jgan.UserError(f"augment.noise={a.noise}: a standard deviation is 0 or more.")
    if a.target >= 1 or a.ramp <= 0:
        raise jgan.UserError(
            f"augment.target={a.target} and augment.ramp={a.ramp}: a target below 1 (0 keeps p as it is) and a "
            "ramp of 1 image or more would work."
        )
    stages = config.data.size.bit_length() - 3
    features = config.predictor.steps and config.predictor.feature_weight > 0
    if features and not -stages <= config.predictor.feature_layer < stages:
        raise jgan.UserError(
            f"predictor.feature_layer={config.predictor.feature_layer}: D has {stages} layers at "
            f"{config.data.size} px, 0 to {stages - 1}, or from the last on -1 to {-stages}."
        )


def _nets(config: Any, prior: priors.Prior) -> dict[str, net_lib.Net]:
    g, d, p = config.generator, config.discriminator, config.predictor
    shared = {
        "size": config.data.size,
        "epsilon": config.norm_epsilon,
        "dtype": _DTYPES[config.precision],
    }
    norm = d.norm
    if norm == "auto":
        # A gradient penalty is per example; batch norm would tie the examples together (Gulrajani et al., sec. 4).
        norm = "instance" if config.loss.adversarial == "wgan_gp" else "batch"
    channels = (config.data.channels or (3,))[0]
    nets = {
        "generator": dcgan.generator(features=channels, ngf=g.ngf, kernel=g.kernel, **shared),
        "discriminator": dcgan.discriminator(ndf=d.ndf, kernel=d.kernel, norm=norm, **shared),
    }
    if p.warm_steps + p.steps:
        nets["predictor"] = dcgan.predictor(
            nz=config.latent.nz, bounded=prior.bounded, ndf=p.ndf, kernel=p.kernel, **shared
        )
    return nets


def _mean(term: Callable[[jax.Array], jax.Array], output: dict[str, Any]) -> jax.Array:
    return jnp.mean(term(output["logits"][0]))
