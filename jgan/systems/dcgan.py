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
import functools
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
from jgan.systems import adversarial
from jgan.systems import latent
from jgan.systems import optimiser
from jgan.systems import prior as priors
from jgan.systems import system


def build(config: Any) -> system.System:
    """The DCGAN system of a config as `configs/dcgan.py` makes it.

    Raises:
        jgan.UserError: a name that does not exist, or values that do not fit together.
    """
    phases = _phases(config)
    terms = adversarial.choose(config.loss)
    _check(config)
    prior = priors.prior(config.latent.prior, config.latent.nz)
    nets = _nets(config, prior)
    gan_steps, predictor_steps = len(phases["gan"]), config.predictor.warm_steps + config.predictor.steps
    turns = 2 if config.alternate else 1
    groups = {
        name: state_lib.Group((net,), optimiser.adam(config.optimiser, steps))
        for name, net, steps in (
            ("gen", "generator", gan_steps // turns),
            ("dis", "discriminator", gan_steps // turns),
            ("pre", "predictor", predictor_steps),
        )
        if net in nets
    }
    draws = latent.Generator(nets["generator"], prior, config.latent.nz)
    made = _DCGAN(config, prior, nets, terms, groups, phases, draws, augment.parse(config.augment.policy))
    codes = system.Codes(
        draws.space,
        judge=latent.judge(nets["discriminator"]),
        predict=made.predict if predictor_steps else None,
        learnt=phases["predictor"].start,
    )

    def statistics(step: int) -> str:
        # Before the statistics for inference are taken only those of a batch fit averaged weights.
        return "batch" if phases["statistics"] and step <= phases["statistics"].start else "running"

    return system.System(
        made.init,
        made.step,
        made.plan,
        ways={"sample": draws.way()},
        spaces={"z": codes},
        statistics=statistics,
        phases={name: steps for name, steps in phases.items() if steps},
    )


@dataclasses.dataclass(frozen=True)
class _DCGAN:
    """The functions of the system; all of them are pure."""

    config: Any
    prior: priors.Prior
    nets: dict[str, net_lib.Net]
    terms: losses.Adversarial
    groups: dict[str, state_lib.Group]
    phases: dict[str, range]
    draws: latent.Generator
    policy: tuple[str, ...]  # the augmentations of what D sees

    @property
    def adaptive(self) -> bool:
        """Whether the probability of augmentations follows D's signs of overfitting."""
        return bool(self.policy) and self.config.augment.target > 0

    def plan(self, step: int) -> tuple[str, ...]:
        if step in self.phases["gan"]:
            return (("gen",), ("dis",))[step % 2] if self.config.alternate else ("dis", "gen")
        if step in self.phases["statistics"]:
            return ("statistics",)
        p = self.config.predictor
        learns = p.warm_steps + p.steps
        first = self.phases["predictor"].start if learns else 0
        if step < first + p.warm_steps:
            return ("warm",)
        return ("predictor",) if step < first + learns else ("predictor_statistics",)

    def init(self, key: jax.Array, batch: dict[str, jax.Array]) -> state_lib.State:
        images = pixels.to_float(batch["images"])
        params, stats = {}, {}
        for k, (name, net) in enumerate(self.nets.items()):
            codes = jnp.zeros((images.shape[0], self.config.latent.nz), images.dtype)
            seen = codes if name == "generator" else images
            params[name], stats[name] = net.init(jax.random.fold_in(key, k), seen)
        aux = {"batches": {name: jnp.zeros((), jnp.int32) for name in self.nets}}
        if self.adaptive:
            aux["augment"] = augment.controller(self.config.augment.p)
        return state_lib.create(self.groups, params, stats, ("generator",) if self.config.ema else (), aux)

    def step(
        self, state: state_lib.State, batch: dict[str, jax.Array], key: jax.Array, updates: tuple[str, ...]
    ) -> tuple[state_lib.State, dict[str, jax.Array]]:
        real = pixels.to_float(batch["images"])
        metrics: dict[str, jax.Array] = {"learning_rate": jnp.zeros(())}
        if "statistics" in updates:
            z = self.prior.draw(key, (real.shape[0], self.config.latent.nz), real.dtype)
            state, fake = self.gathered(state, "generator", z)
            state, _ = self.gathered(state, "discriminator", fake)
        elif "predictor_statistics" in updates:
            state, _ = self.gathered(state, "predictor", real)
        elif "warm" in updates or "predictor" in updates:
            state, metrics = self.predictor_step(state, real, key, "warm" in updates)
        else:
            state, metrics = self.adversarial_step(state, real, key, updates)
        return dataclasses.replace(state, step=state.step + 1), metrics

    def adversarial_step(
        self, state: state_lib.State, real: jax.Array, key: jax.Array, updates: tuple[str, ...]
    ) -> tuple[state_lib.State, dict[str, jax.Array]]:
        """The state after D's and G's updates, as far as it is their turn."""
        k_z, *keys = jax.random.split(key, 5)
        z = self.prior.draw(k_z, (real.shape[0], self.config.latent.nz), real.dtype)
        p = state.aux["augment"]["p"] if self.adaptive else self.config.augment.p
        metrics: dict[str, jax.Array] = {}
        aux = dict(state.aux)
        made = functools.partial(self.made, state, z)
        if len(updates) > 1:
            _, made = state_lib.once(made, state.params["generator"])  # the same fakes for both
        if "dis" in updates:
            dis_loss = functools.partial(self.dis_loss, state, real, made, p, keys)
            state, (reported, on_real) = state_lib.update(state, self.groups, "dis", dis_loss)
            metrics |= reported
            if self.adaptive:
                aux["augment"] = augment.adapt(
                    state.aux["augment"],
                    on_real - self.terms.boundary,
                    self.config.augment.target,
                    self.config.augment.ramp,
                    most=augment.limit(self.policy),
                )
                metrics["augment_p"] = aux["augment"]["p"]
        if "gen" in updates:
            gen_loss = functools.partial(self.gen_loss, state, made, p, keys)
            state, reported = state_lib.update(state, self.groups, "gen", gen_loss)
            metrics |= reported
        # Whatever statistics were taken before are those of other weights.
        aux["batches"] = jax.tree.map(jnp.zeros_like, state.aux["batches"])
        state = dataclasses.replace(state, aux=aux)
        if "gen" in updates:
            state = state_lib.average(state, self.config.ema)
        rate = optimiser.schedule(self.config.optimiser, len(self.phases["gan"]))
        return state, metrics | {"learning_rate": rate(state.step)}

    def seen(self, images: jax.Array, key: jax.Array, p: Any) -> jax.Array:
        """Images as D sees them."""
        images = augment.augment(images, key, p, self.policy)
        return augment.noisy(images, jax.random.fold_in(key, 1), self.config.augment.noise)

    def made(self, state: state_lib.State, z: jax.Array, params: Any) -> tuple[jax.Array, Any]:
        """(images that G with these parameters makes of codes, its statistics)."""
        return self.nets["generator"].apply(params, state.stats["generator"], z)

    def dis_loss(
        self,
        state: state_lib.State,
        real: jax.Array,
        made: Callable[[Any], tuple[jax.Array, Any]],
        p: Any,
        keys: list[jax.Array],
        params: Any,
    ) -> tuple[jax.Array, Any]:
        """What D pays for what G makes and for real images; its outputs on the latter come with it."""
        k_real, k_fake, _, k_penalty = keys
        discriminator = self.nets["discriminator"]
        fake, _ = made(state.params["generator"])
        shown = self.seen(jax.lax.stop_gradient(fake), k_fake, p)
        target = self.seen(real, k_real, p)
        d = params["discriminator"]
        on_fake, stats = discriminator.apply(d, state.stats["discriminator"], shown)
        on_real, stats = discriminator.apply(d, stats, target)
        value, aux = adversarial.discriminator(self.terms, on_fake, on_real)
        extra, reported = adversarial.penalty(
            self.config.loss, lambda x: discriminator.apply(d, stats, x)[0], target, shown, k_penalty
        )
        value += extra
        aux |= reported | {"d_loss": value}
        return value, ({"discriminator": stats}, (aux, on_real["logits"][0]))

    def gen_loss(
        self,
        state: state_lib.State,
        made: Callable[[Any], tuple[jax.Array, Any]],
        p: Any,
        keys: list[jax.Array],
        params: Any,
    ) -> tuple[jax.Array, Any]:
        """What G pays for what it makes."""
        fake, g_stats = made(params["generator"])
        on_fake, d_stats = self.nets["discriminator"].apply(
            state.params["discriminator"], state.stats["discriminator"], self.seen(fake, keys[2], p)
        )
        value = adversarial.mean(self.terms.generator, on_fake)
        return value, ({"generator": g_stats, "discriminator": d_stats}, {"g_loss": value})

    def gathered(self, state: state_lib.State, net: str, inputs: jax.Array) -> tuple[state_lib.State, Any]:
        """The state with one more batch in the net's statistics, and the net's output."""
        count = state.aux["batches"][net]
        output, found = self.nets[net].apply(
            state.weights()["params"][net], state.stats[net], inputs, statistics="gather"
        )
        if not jax.tree.leaves(state.stats[net]):  # norms that keep none
            return state, output
        batches = {**state.aux["batches"], net: count + 1}
        stats = {**state.stats, net: merge(state.stats[net], found, count)}
        return dataclasses.replace(state, stats=stats, aux={**state.aux, "batches": batches}), output

    def predictor_step(
        self, state: state_lib.State, real: jax.Array, key: jax.Array, warm: bool
    ) -> tuple[state_lib.State, dict[str, jax.Array]]:
        """The state after P's update: by regression on samples while it is warmed up, then by reconstruction."""
        weights, p = state.weights(), self.config.predictor
        z = self.prior.draw(key, (real.shape[0], self.config.latent.nz), real.dtype)
        count = state.step - self.phases["predictor"].start
        aux = {**state.aux, "batches": {**state.aux["batches"], "predictor": jnp.zeros((), jnp.int32)}}
        state = dataclasses.replace(state, aux=aux)
        loss_fn = (
            functools.partial(self.regression, state, weights, z)
            if warm
            else functools.partial(self.reconstruction, state, weights, real)
        )
        state, metrics = state_lib.update(state, self.groups, "pre", loss_fn)
        rate = optimiser.schedule(self.config.optimiser, p.warm_steps + p.steps)
        return state, metrics | {"learning_rate": rate(count)}

    def regression(
        self, state: state_lib.State, weights: dict[str, Any], z: jax.Array, params: Any
    ) -> tuple[jax.Array, Any]:
        """What P pays for codes of samples."""
        images = self.draws.images(weights, z)
        codes, stats = self.nets["predictor"].apply(params["predictor"], state.stats["predictor"], images)
        value = jnp.mean(jnp.square(codes - z))
        return value, ({"predictor": stats}, {"p_codes": value})

    def reconstruction(
        self, state: state_lib.State, weights: dict[str, Any], real: jax.Array, params: Any
    ) -> tuple[jax.Array, Any]:
        """What P pays for real images by way of their codes: iGAN, eq. 4."""
        codes, stats = self.nets["predictor"].apply(params["predictor"], state.stats["predictor"], real)
        images = self.draws.images(weights, codes)
        aux = {"p_pixels": jnp.mean(jnp.square(images - real))}
        value, p = aux["p_pixels"], self.config.predictor
        if p.feature_weight > 0:
            judge = latent.judge(self.nets["discriminator"])
            ours, theirs = (judge(weights, x, {})["features"][p.feature_layer] for x in (images, real))
            ours = ours.astype(jnp.promote_types(ours.dtype, jnp.float32))
            aux["p_features"] = jnp.mean(jnp.square(ours - theirs))
            value += p.feature_weight * aux["p_features"]
        aux["p_loss"] = value
        return value, ({"predictor": stats}, aux)

    def predict(self, weights: dict[str, Any], images: jax.Array, given: dict[str, Any]) -> jax.Array:
        """Codes [n, nz] of images [n, size, size, c]."""
        codes, _ = self.nets["predictor"].apply(
            weights["params"]["predictor"],
            weights["stats"]["predictor"],
            pixels.to_float(images),
            statistics="running",
        )
        return codes


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
    augment.check(config.augment)
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
        "dtype": adversarial.dtype(config.precision),
    }
    norm = adversarial.norm(d.norm, config.loss)
    channels = (config.data.channels or (3,))[0]
    nets = {
        "generator": dcgan.generator(
            features=channels, ngf=g.ngf, kernel=g.kernel, norm=g.get("norm", "batch"), **shared
        ),
        "discriminator": dcgan.discriminator(ndf=d.ndf, kernel=d.kernel, norm=norm, **shared),
    }
    if p.warm_steps + p.steps:
        nets["predictor"] = dcgan.predictor(
            nz=config.latent.nz, bounded=prior.bounded, ndf=p.ndf, kernel=p.kernel, **shared
        )
    return nets
