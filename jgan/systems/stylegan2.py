"""StyleGAN2: images from codes by way of styles, with lazy regularisation and an average of the generator's weights.

Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (2020); constants and the order of updates are
those of the PyTorch code of "Training Generative Adversarial Networks with Limited Data" (2020, ADA). Huang et al.,
"The GAN is dead; long live the GAN!" (2024): with `loss.adversarial=relativistic` D judges pairs of a real and a
generated image, and with `loss.r2_gamma` generated images have a zero-centred penalty as well.

A step has up to four updates, each on codes of its own: `gen` (the adversarial loss of G), `gen_reg` (path length,
every `loss.gen_interval` steps), `dis` (that of D) and `dis_reg` (gradient penalties, every `loss.dis_interval` steps).
The regularisers are updates of the same optimiser, whose rate and decays are corrected for them (appendix B). At the
end of a step `average` moves the average of G's weights.

State: nets `mapping`, `synthesis`, `discriminator`; groups `gen` (the first two) and `dis`; statistics `w_avg` of the
mapping and the constant noise of the synthesis; aux `pl_mean` and, with an adaptive augmentation, `augment`.
Batch kind: `images`, or `labelled` with classes for a generator that is asked for one.
"""

from collections.abc import Callable
import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections

import jgan
from jgan import fields
from jgan import losses
from jgan import state as state_lib
from jgan.nets import net as net_lib
from jgan.nets import stylegan2 as nets_lib
from jgan.ops import augment
from jgan.ops import batches as batches_lib
from jgan.ops import pixels
from jgan.systems import adversarial
from jgan.systems import labels
from jgan.systems import optimiser
from jgan.systems import styles
from jgan.systems import system

_OBJECTIVES = ("vanilla", "relativistic")
_W_BETA = 0.995  # how much of the mean style is kept in an update


def build(config: Any) -> system.System:
    """The StyleGAN2 system of a config as `configs/stylegan2.py` makes it.

    Raises:
        jgan.UserError: a name that does not exist, or values that do not fit together.
    """
    _check(config)
    label = labels.classes(config) if config.data.kind == "labelled" else None
    nets = _nets(config, len(label.names) if label else 0)
    adams = {"gen": config.loss.gen_interval, "dis": config.loss.dis_interval}
    members = {"gen": ("mapping", "synthesis"), "dis": ("discriminator",)}
    groups = {
        name: state_lib.Group(members[name], _lazy_adam(config, interval)) for name, interval in adams.items()
    }
    generator = styles.Generator(
        nets["mapping"], nets["synthesis"], config.data.size, config.latent.nz, label
    )
    made = _StyleGAN2(config, nets, groups, generator, label, augment.parse(config.augment.policy))
    return system.System(
        made.init,
        made.step,
        made.plan,
        ways={"sample": generator.way()},
        spaces={
            name: system.Codes(space, judge=made.judge, search=styles.SEARCHES.get(name, {}))
            for name, space in generator.spaces().items()
        },
        statistics=lambda step: "running",
        separate=True,
    )


@dataclasses.dataclass(frozen=True)
class _StyleGAN2:
    """The functions of the system; all of them are pure."""

    config: Any
    nets: dict[str, net_lib.Net]
    groups: dict[str, state_lib.Group]
    generator: styles.Generator
    label: fields.Label | None
    policy: tuple[str, ...]  # the augmentations of what D sees

    @property
    def adaptive(self) -> bool:
        """Whether the probability of augmentations follows D's signs of overfitting."""
        return bool(self.policy) and self.config.augment.target > 0

    def plan(self, step: int) -> tuple[str, ...]:
        loss = self.config.loss
        due = {"gen_reg": loss.gen_interval, "dis_reg": loss.dis_interval}
        return tuple(
            name
            for name in ("gen", "gen_reg", "dis", "dis_reg", "average")
            if name not in due or (due[name] and step % due[name] == 0)
        )

    def init(self, key: jax.Array, batch: dict[str, jax.Array]) -> state_lib.State:
        images, size = pixels.to_float(batch["images"]), self.config.data.size
        n, mapping = images.shape[0], self.config.mapping
        named, dtype = self.named(batch), images.dtype
        ws = jnp.zeros((n, nets_lib.rows(size), mapping.w_dim), dtype)
        keys = jax.random.split(key, 4)
        seen = {
            "mapping": (jnp.zeros((n, self.config.latent.nz), dtype), *named),
            "synthesis": (ws, nets_lib.draw_noise(key, 1, size, dtype)),
            "discriminator": (images, *named),
        }
        params = {name: self.nets[name].init(k, *seen[name])[0] for k, name in zip(keys, seen, strict=False)}
        stats = {
            "mapping": {"w_avg": jnp.zeros((mapping.w_dim,), dtype)},
            "synthesis": nets_lib.noise_constants(keys[3], size),
            "discriminator": {},
        }
        aux = {"pl_mean": jnp.zeros((), dtype)}
        if self.adaptive:
            aux["augment"] = augment.controller(self.config.augment.p)
        averaged = ("mapping", "synthesis") if self.config.ema_kimg else ()
        return state_lib.create(self.groups, params, stats, averaged, aux)

    def step(
        self, state: state_lib.State, batch: dict[str, jax.Array], key: jax.Array, updates: tuple[str, ...]
    ) -> tuple[state_lib.State, dict[str, jax.Array]]:
        keys = dict(zip(("gen", "gen_reg", "dis", "dis_reg"), jax.random.split(key, 4), strict=True))
        real, named, metrics = pixels.to_float(batch["images"]), self.named(batch), {}
        losses_of = {
            "gen": self.gen_loss,
            "gen_reg": self.path_length,
            "dis": self.dis_loss,
            "dis_reg": self.gradient_penalties,
        }
        for name in updates:
            if name == "average":
                state, reported = self.average(state, real.shape[0])
            else:
                loss_fn = functools.partial(losses_of[name], state, real, named, keys[name])
                state, (aux, reported) = state_lib.update(state, self.groups, name[:3], loss_fn)
                state = dataclasses.replace(state, aux=state.aux | aux)
            metrics |= reported
        return state, metrics

    def average(self, state: state_lib.State, n: int) -> tuple[state_lib.State, dict[str, jax.Array]]:
        """The end of a step on n images: the average of G's weights is moved, and the step is counted."""
        if self.config.ema_kimg:
            state = state_lib.moved_average(state, self.ema_decay(state.step, n))
        rate = optimiser.rate(self.config.optimiser, self.config.steps, state.step)
        return dataclasses.replace(state, step=state.step + 1), {"learning_rate": rate}

    def ema_decay(self, step: jax.Array, n: int) -> jax.Array:
        """How much of the average is kept in a step: half of it in `ema_kimg` thousand images, in fewer at first."""
        images = self.config.ema_kimg * 1000.0
        if self.config.ema_rampup:
            images = jnp.minimum(images, step.astype(jnp.float32) * n * self.config.ema_rampup)
        return 0.5 ** (n / jnp.maximum(images, 1e-8))

    def named(self, batch: dict[str, jax.Array], dtype: Any = jnp.float32) -> tuple[jax.Array, ...]:
        """([n, k],): 1 for each example's class and 0 elsewhere; () where the run has no classes."""
        if self.label is None:
            return ()
        return (jax.nn.one_hot(batch["label"], len(self.label.names), dtype=dtype),)

    def fakes(
        self, params: Any, stats: Any, like: jax.Array, named: tuple[jax.Array, ...], key: jax.Array
    ) -> tuple[jax.Array, Any]:
        """(as many images as there are real ones, of new codes and noise; the mapping's statistics)."""
        k_style, k_noise = jax.random.split(key)
        ws, stats = self.styles(params, stats, like, named, k_style)
        noise = nets_lib.draw_noise(k_noise, like.shape[0], self.config.data.size, like.dtype)
        return self.nets["synthesis"].apply(params["synthesis"], {}, ws, noise)[0], stats

    def styles(
        self, params: Any, stats: Any, like: jax.Array, named: tuple[jax.Array, ...], key: jax.Array
    ) -> tuple[jax.Array, Any]:
        """(styles [n, rows, w_dim] of new codes, with two codes mixed now and then; the mapping's statistics).

        With probability `style_mixing` the rows of the whole batch from one place on come from other codes.
        """
        k_code, k_mix, k_place = jax.random.split(key, 3)
        n, rows = like.shape[0], nets_lib.rows(self.config.data.size)
        z = jax.random.normal(k_code, (2 * n, self.config.latent.nz), like.dtype)
        w, _ = self.nets["mapping"].apply(params["mapping"], {}, z, *(batches_lib.join(x, x) for x in named))
        place = jax.random.randint(k_place, (), 1, rows)
        place = jnp.where(jax.random.uniform(k_mix) < self.config.style_mixing, place, rows)
        first = jnp.arange(rows)[:, None] < place
        one, other = batches_lib.split(w, 2)
        ws = jnp.where(first, one[:, None], other[:, None])
        mean = jax.lax.stop_gradient(jnp.mean(one, 0))
        w_avg = _W_BETA * stats["mapping"]["w_avg"] + (1 - _W_BETA) * mean
        return ws, {"mapping": {"w_avg": w_avg}}

    def seen(self, images: jax.Array, aux: Any, key: jax.Array) -> jax.Array:
        """What D sees of images: each augmented with its own random numbers."""
        k_augment, k_noise = jax.random.split(key)
        p = aux["augment"]["p"] if self.adaptive else self.config.augment.p
        images = augment.augment(images, k_augment, p, self.policy)
        return augment.noisy(images, k_noise, self.config.augment.noise)

    def logits(self, params: Any, seen: jax.Array, named: tuple[jax.Array, ...]) -> jax.Array:
        """D's logits [n, 1] of what it sees."""
        return self.nets["discriminator"].apply(params, {}, seen, *named)[0]["logits"][0]

    def gen_loss(
        self,
        state: state_lib.State,
        real: jax.Array,
        named: tuple[jax.Array, ...],
        key: jax.Array,
        params: Any,
    ) -> tuple[jax.Array, Any]:
        """The adversarial loss of G."""
        k_fake, k_seen, k_real = jax.random.split(key, 3)
        fake, stats = self.fakes(params, state.stats, real, named, k_fake)
        d = state.params["discriminator"]
        on_fake = self.logits(d, self.seen(fake, state.aux, k_seen), named)
        if self.config.loss.adversarial == "relativistic":
            on_fake -= self.logits(d, self.seen(real, state.aux, k_real), named)
        value = jnp.mean(losses.VANILLA.generator(on_fake))
        return value, (stats, ({}, {"g_adversarial": value}))

    def path_length(
        self,
        state: state_lib.State,
        real: jax.Array,
        named: tuple[jax.Array, ...],
        key: jax.Array,
        params: Any,
    ) -> tuple[jax.Array, Any]:
        """The path length regularisation of G (eq. 4 of the first paper), times its interval.

        A random image's gradient with respect to the styles should be as long for every code. The target is a moving
        average of the lengths.
        """
        loss = self.config.loss
        n = max(real.shape[0] // loss.pl_batch_shrink, 1)
        like, named = real[:n], tuple(x[:n] for x in named)
        k_style, k_noise, k_image = jax.random.split(key, 3)
        ws, stats = self.styles(params, state.stats, like, named, k_style)
        noise = nets_lib.draw_noise(k_noise, n, self.config.data.size, like.dtype)

        def images(ws: jax.Array) -> jax.Array:
            return self.nets["synthesis"].apply(params["synthesis"], {}, ws, noise)[0]

        made, pull = jax.vjp(images, ws)
        (gradient,) = pull(
            jax.random.normal(k_image, made.shape, made.dtype) / jnp.sqrt(made.shape[1] * made.shape[2])
        )
        lengths = jnp.sqrt(jnp.mean(jnp.sum(jnp.square(gradient), 2), 1))
        mean = state.aux["pl_mean"]
        mean += loss.pl_decay * (jnp.mean(lengths) - mean)
        value = jnp.mean(jnp.square(lengths - mean))
        reported = {"g_path_length": jnp.mean(lengths), "g_path_penalty": value}
        weight = loss.pl_weight * loss.gen_interval
        return weight * value, (stats, ({"pl_mean": jax.lax.stop_gradient(mean)}, reported))

    def dis_loss(
        self,
        state: state_lib.State,
        real: jax.Array,
        named: tuple[jax.Array, ...],
        key: jax.Array,
        params: Any,
    ) -> tuple[jax.Array, Any]:
        """The adversarial loss of D."""
        k_fake, k_seen, k_real = jax.random.split(key, 3)
        fake, stats = self.fakes(state.params, state.stats, real, named, k_fake)
        d = params["discriminator"]
        on_fake = self.logits(d, self.seen(jax.lax.stop_gradient(fake), state.aux, k_seen), named)
        on_real = self.logits(d, self.seen(real, state.aux, k_real), named)
        outputs = {"logits": [on_fake]}, {"logits": [on_real]}
        value, reported = adversarial.discriminator(losses.VANILLA, *outputs)
        if self.config.loss.adversarial == "relativistic":
            value = jnp.mean(losses.VANILLA.real(on_real - on_fake))
        aux = {}
        if self.adaptive:
            asked, most = self.config.augment, augment.limit(self.policy)
            aux["augment"] = augment.adapt(state.aux["augment"], on_real, asked.target, asked.ramp, most=most)
            reported |= {"augment_p": aux["augment"]["p"], "augment_sign": jnp.mean(jnp.sign(on_real))}
        return value, (stats, (aux, reported | {"d_loss": value}))

    def gradient_penalties(
        self,
        state: state_lib.State,
        real: jax.Array,
        named: tuple[jax.Array, ...],
        key: jax.Array,
        params: Any,
    ) -> tuple[jax.Array, Any]:
        """Half the squared gradient of D on real images (R1) and, with a weight, on generated ones (R2).

        Mescheder et al., "Which Training Methods for GANs do actually Converge?" (2018), eq. 9 and 10, times the
        interval. The gradient is that with respect to the images before they are augmented.
        """
        loss = self.config.loss
        k_seen, k_fake, k_fake_seen = jax.random.split(key, 3)
        d, stats = params["discriminator"], {}

        def penalty(images: jax.Array, key: jax.Array) -> jax.Array:
            def total(images: jax.Array) -> jax.Array:
                return jnp.sum(self.logits(d, self.seen(images, state.aux, key), named))

            return jnp.mean(jnp.sum(jnp.square(jax.grad(total)(images)), (1, 2, 3)))

        reported = {"d_r1": penalty(real, k_seen)}
        value = loss.r1_gamma / 2 * reported["d_r1"]
        if loss.r2_gamma:
            fake, _ = self.fakes(state.params, state.stats, real, named, k_fake)
            reported["d_r2"] = penalty(jax.lax.stop_gradient(fake), k_fake_seen)
            value += loss.r2_gamma / 2 * reported["d_r2"]
        return loss.dis_interval * value, (stats, ({}, reported))

    def judge(self, weights: dict[str, Any], images: jax.Array, given: dict[str, Any]) -> dict[str, Any]:
        """What D says of images [n, size, size, c], each by itself, under the class that is given or the first one."""
        named = ()
        if self.label is not None:
            label = jnp.broadcast_to(jnp.asarray(given.get("label", 0)), images.shape[:1])
            named = self.named({"label": label})

        # One at a time, because the statistics of a minibatch tie its examples together.
        def one(image: jax.Array, *named: jax.Array) -> dict[str, Any]:
            return self.nets["discriminator"].apply(
                weights["params"]["discriminator"], {}, image[None], *(x[None] for x in named)
            )[0]

        output = jax.vmap(one)(pixels.to_float(images), *named)
        return jax.tree.map(lambda x: x[:, 0], output)


def _lazy_adam(config: Any, interval: int) -> Any:
    """Adam for a group with a regulariser every so many steps, which is one more update: rate and decays to the power
    of k / (k + 1), as the first paper has it in appendix B. With 0 there is none.
    """
    if not interval:
        return optimiser.adam(config.optimiser, config.steps)
    share = interval / (interval + 1)
    corrected = ml_collections.ConfigDict(config.optimiser.to_dict())
    corrected.learning_rate *= share
    corrected.b1, corrected.b2 = corrected.b1**share, corrected.b2**share
    return optimiser.adam(corrected, -(-config.steps * (interval + 1) // interval))


def _nets(config: Any, classes: int) -> dict[str, net_lib.Net]:
    m, g, d, size = config.mapping, config.generator, config.discriminator, config.data.size
    shared = {"size": size, "dtype": adversarial.dtype(config.precision)}
    widths: Callable[[Any], dict[str, Any]] = lambda x: {  # noqa: E731
        "channel_base": x.channel_base,
        "channel_max": x.channel_max,
        "architecture": x.architecture,
        "clamp": x.clamp or None,
    }
    return {
        "mapping": nets_lib.mapping(
            z_dim=config.latent.nz,
            c_dim=classes,
            w_dim=m.w_dim,
            num_layers=m.num_layers,
            lr_multiplier=m.get("lr_multiplier", 0.0) or 0.01,
        ),
        "synthesis": nets_lib.synthesis(
            features=(config.data.channels or (3,))[0],
            prescaled=g.get("prescaled", False),
            **shared,
            **widths(g),
        ),
        "discriminator": nets_lib.discriminator(
            c_dim=classes, mbstd_group_size=d.mbstd_group, **shared, **widths(d)
        ),
    }


def _check(config: Any) -> None:
    """Refuses numbers that make no sense with a `jgan.UserError`."""
    loss, n, group = config.loss, config.batch_size, config.discriminator.mbstd_group
    if loss.adversarial not in _OBJECTIVES:
        raise jgan.UserError(
            f"loss.adversarial={loss.adversarial!r} is unknown: use one of {', '.join(_OBJECTIVES)}."
        )
    least = {
        "latent.nz": 1,
        "loss.r1_gamma": 0,
        "loss.r2_gamma": 0,
        "loss.pl_weight": 0,
        "loss.gen_interval": 0,
        "loss.dis_interval": 0,
        "loss.pl_batch_shrink": 1,
        "ema_kimg": 0,
        "ema_rampup": 0,
        "discriminator.mbstd_group": 1,
    }
    flat = {key: functools.reduce(lambda x, name: x[name], key.split("."), config) for key in least}
    for key, value in flat.items():
        if value < least[key]:
            raise jgan.UserError(f"{key}={value}: it must be {least[key]} or more.")
    augment.check(config.augment)
    for key, value in (("style_mixing", config.style_mixing), ("loss.pl_decay", loss.pl_decay)):
        if not 0 <= value <= 1:
            raise jgan.UserError(f"{key}={value}: it lies between 0 and 1.")
    if n % min(group, n):
        raise jgan.UserError(
            f"batch_size={n} is no multiple of discriminator.mbstd_group={group}, the examples that D compares: "
            f"batch_size={-(-n // group) * group} would work."
        )
