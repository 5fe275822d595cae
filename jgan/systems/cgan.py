"""The conditional GAN: images of a class that one asks for, and a discriminator that sees the class or has to name it.

Mirza and Osindero, "Conditional Generative Adversarial Nets" (2014): the label joins the code in G and the image in D
(`condition` = `concat`). Odena et al., "Conditional Image Synthesis with Auxiliary Classifier GANs" (2017): D names the
class of real and generated images, and G is paid by it (`auxiliary`, eq. 2 and 3). Miyato and Koyama, "cGANs with
Projection Discriminator" (2018): the embedded label and the features of an image meet in an inner product
(`projection`, eq. 3). The nets are DCGAN's; G sees the label as one number for each class behind the code in all three.

A step updates D, then G against the updated D on new codes and labels. Labels of generated images are drawn uniformly.

State: nets `generator`, `discriminator`; groups `gen` and `dis`. Batch kind: `labelled`, with classes.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp

import jgan
from jgan import fields
from jgan import losses
from jgan import space
from jgan import state as state_lib
from jgan.nets import conditional
from jgan.nets import dcgan
from jgan.nets import net as net_lib
from jgan.ops import augment
from jgan.ops import pixels
from jgan.systems import adversarial
from jgan.systems import labels
from jgan.systems import latent
from jgan.systems import optimiser
from jgan.systems import prior as priors
from jgan.systems import system

_TRUNCATION = fields.Amount(0.1, 1.0, 1.0)


def build(config: Any) -> system.System:
    """The conditional GAN of a config as `configs/cgan.py` makes it.

    Raises:
        jgan.UserError: a name that does not exist, or values that do not fit together.
    """
    terms = adversarial.choose(config.loss)
    prior = priors.prior(config.latent.prior, config.latent.nz)
    label = labels.classes(config)
    nets = _nets(config)
    adam = optimiser.adam(config.optimiser, config.steps)
    groups = {
        name: state_lib.Group((net,), adam) for name, net in (("gen", "generator"), ("dis", "discriminator"))
    }
    draws = latent.Generator(nets["generator"], prior, config.latent.nz)
    made = _CGAN(config, label, nets, terms, groups, draws)
    # The label first: previews then show its classes side by side.
    way = system.Way(
        made.sample,
        controls={"label": label, "z": fields.Code(("z",)), "truncation": _TRUNCATION},
        target="images",
    )
    return system.System(
        made.init,
        made.step,
        plan=lambda step: ("dis", "gen"),
        ways={"sample": way},
        spaces={"z": system.Codes(made.space, judge=made.judge)},
        statistics=lambda step: "running",
    )


@dataclasses.dataclass(frozen=True)
class _CGAN:
    """The functions of the system; all of them are pure."""

    config: Any
    label: fields.Label
    nets: dict[str, net_lib.Net]
    terms: losses.Adversarial
    groups: dict[str, state_lib.Group]
    draws: latent.Generator

    @property
    def count(self) -> int:
        """How many classes there are."""
        return len(self.label.names)

    def named(self, label: jax.Array, dtype: Any = jnp.float32) -> jax.Array:
        """[n, k]: 1 for the class of each of labels [n], and 0 elsewhere."""
        return jax.nn.one_hot(label, self.count, dtype=dtype)

    def init(self, key: jax.Array, batch: dict[str, jax.Array]) -> state_lib.State:
        images = pixels.to_float(batch["images"])
        named = self.named(batch["label"], images.dtype)
        codes = jnp.zeros((images.shape[0], self.config.latent.nz), images.dtype)
        seen = {"generator": (jnp.concatenate([codes, named], 1),), "discriminator": (images, named)}
        made = {
            name: self.nets[name].init(k, *inputs)
            for k, (name, inputs) in zip(jax.random.split(key), seen.items(), strict=True)
        }
        params, stats = ({name: both[k] for name, both in made.items()} for k in range(2))
        return state_lib.create(self.groups, params, stats, ("generator",) if self.config.ema else ())

    def step(
        self, state: state_lib.State, batch: dict[str, jax.Array], key: jax.Array, updates: tuple[str, ...]
    ) -> tuple[state_lib.State, dict[str, jax.Array]]:
        k_dis, k_gen = jax.random.split(key)
        real = pixels.to_float(batch["images"])
        metrics = {}
        if "dis" in updates:
            loss_fn = functools.partial(
                self.dis_loss, state, real, self.named(batch["label"], real.dtype), k_dis
            )
            state, metrics = state_lib.update(state, self.groups, "dis", loss_fn)
        if "gen" in updates:
            loss_fn = functools.partial(self.gen_loss, state, real, k_gen)
            state, aux = state_lib.update(state, self.groups, "gen", loss_fn)
            state, metrics = state_lib.average(state, self.config.ema), metrics | aux
        rate = optimiser.rate(self.config.optimiser, self.config.steps, state.step)
        return dataclasses.replace(state, step=state.step + 1), metrics | {"learning_rate": rate}

    def fake(
        self, like: jax.Array, key: jax.Array, params: Any, stats: Any
    ) -> tuple[jax.Array, jax.Array, Any]:
        """(as many images as there are real ones, their labels [n, k], G's statistics), of new codes and labels."""
        k_code, k_label = jax.random.split(key)
        n = like.shape[0]
        codes = self.draws.prior.draw(k_code, (n, self.draws.nz), like.dtype)
        named = self.named(jax.random.randint(k_label, (n,), 0, self.count), like.dtype)
        joined = jnp.concatenate([codes, named], 1)
        images, stats = self.nets["generator"].apply(params["generator"], stats["generator"], joined)
        return images, named, stats

    def judged(
        self, params: Any, stats: Any, images: jax.Array, named: jax.Array, key: jax.Array
    ) -> tuple[dict[str, Any], Any]:
        """(what D says of images as it sees them, with noise, and of their labels; its statistics)."""
        seen = augment.noisy(images, key, self.config.augment.noise)
        return self.nets["discriminator"].apply(params, stats, seen, named)

    def dis_loss(
        self, state: state_lib.State, real: jax.Array, named: jax.Array, key: jax.Array, params: Any
    ) -> tuple[jax.Array, Any]:
        """What D pays."""
        k_fake, k_penalty, k_seen, k_real = jax.random.split(key, 4)
        fake, asked, _ = self.fake(real, k_fake, state.params, state.stats)
        fake, d = jax.lax.stop_gradient(fake), params["discriminator"]
        on_fake, stats = self.judged(d, state.stats["discriminator"], fake, asked, k_seen)
        on_real, stats = self.judged(d, stats, real, named, k_real)
        value, aux = adversarial.discriminator(self.terms, on_fake, on_real)
        if "classes" in on_real:
            aux["d_classes_real"] = _cross_entropy(on_real, named)
            aux["d_classes_fake"] = _cross_entropy(on_fake, asked)
            value += self.config.loss.lambda_classes * (aux["d_classes_real"] + aux["d_classes_fake"])
        # Points between two images are judged under the label of the real one.
        extra, reported = adversarial.penalty(
            self.config.loss,
            lambda x: self.nets["discriminator"].apply(d, stats, x, named)[0],
            real,
            fake,
            k_penalty,
        )
        value += extra
        return value, ({"discriminator": stats}, aux | reported | {"d_loss": value})

    def gen_loss(
        self, state: state_lib.State, real: jax.Array, key: jax.Array, params: Any
    ) -> tuple[jax.Array, Any]:
        """What G pays."""
        k_fake, k_seen = jax.random.split(key)
        fake, asked, g_stats = self.fake(real, k_fake, params, state.stats)
        on_fake, d_stats = self.judged(
            state.params["discriminator"], state.stats["discriminator"], fake, asked, k_seen
        )
        aux = {"g_adversarial": adversarial.mean(self.terms.generator, on_fake)}
        value = aux["g_adversarial"]
        if "classes" in on_fake:
            aux["g_classes"] = _cross_entropy(on_fake, asked)
            value += self.config.loss.lambda_classes * aux["g_classes"]
        return value, ({"generator": g_stats, "discriminator": d_stats}, aux | {"g_loss": value})

    def images(
        self, weights: Any, z: jax.Array, label: jax.Array, truncation: jax.Array, statistics: str = "running"
    ) -> jax.Array:
        """The images of codes [n, nz], moved towards the middle of their prior, and labels [n]."""
        codes = z * jnp.reshape(truncation, (-1, 1)).astype(z.dtype)
        return self.draws.images(weights, jnp.concatenate([codes, self.named(label, z.dtype)], 1), statistics)

    def sample(
        self,
        weights: dict[str, Any],
        inputs: dict[str, jax.Array],
        key: jax.Array | None = None,
        *,
        statistics: str = "running",
        dropout: bool = False,
    ) -> dict[str, jax.Array]:
        """{"output": [n, size, size, c] in [-1, 1]} of codes `z` [n, nz], a `label` [n] and a `truncation` [n].

        A code and a label that are not set are drawn; as many as there are of what is set, or else one.
        """
        z, label = inputs.get("z"), inputs.get("label")
        truncation = jnp.asarray(inputs.get("truncation", _TRUNCATION.default), jnp.float32)
        n = max([1, *(x.shape[0] for x in (z, label, truncation) if jnp.ndim(x) > 0)])
        if z is None:
            z = self.draws.prior.draw(jax.random.fold_in(key, 0), (n, self.draws.nz))
        if label is None:
            label = jax.random.randint(jax.random.fold_in(key, 1), (n,), 0, self.count)
        z = jnp.broadcast_to(jnp.asarray(z), (n, self.draws.nz))
        label, truncation = (jnp.broadcast_to(jnp.asarray(x), (n,)) for x in (label, truncation))
        return {"output": self.images(weights, z, label, truncation, statistics)}

    def space(self, weights: dict[str, Any], given: dict[str, Any]) -> space.Space:
        """The codes of a label (the first one where none is given) and a truncation."""
        label = jnp.asarray(given.get("label", 0))
        truncation = jnp.asarray(given.get("truncation", _TRUNCATION.default))

        def generate(z: jax.Array) -> jax.Array:
            return self.images(weights, z, jnp.broadcast_to(label, z.shape[:1]), truncation)

        return priors.make_space(self.draws.prior, self.draws.nz, generate)

    def judge(self, weights: dict[str, Any], images: jax.Array, given: dict[str, Any]) -> dict[str, Any]:
        """What D says of images [n, size, size, c] under the label that is given, or under the first one."""
        label = jnp.broadcast_to(jnp.asarray(given.get("label", 0)), images.shape[:1])
        params, stats = (weights[x]["discriminator"] for x in ("params", "stats"))
        seen = pixels.to_float(images)
        return self.nets["discriminator"].apply(params, stats, seen, self.named(label), statistics="running")[
            0
        ]


def _cross_entropy(output: dict[str, Any], named: jax.Array) -> jax.Array:
    """-log of the probability that D gives the right classes [n, k], on average."""
    return -jnp.mean(jnp.sum(named * jax.nn.log_softmax(output["classes"]), 1))


def _nets(config: Any) -> dict[str, net_lib.Net]:
    g, d = config.generator, config.discriminator
    shared = {"size": config.data.size, "dtype": adversarial.dtype(config.precision)}
    if config.augment.noise < 0:
        raise jgan.UserError(f"augment.noise={config.augment.noise}: a standard deviation is 0 or more.")
    channels = (config.data.channels or (3,))[0]
    return {
        "generator": dcgan.generator(
            features=channels, ngf=g.ngf, kernel=g.kernel, norm=g.get("norm", "batch"), **shared
        ),
        "discriminator": conditional.discriminator(
            config.condition,
            ndf=d.ndf,
            kernel=d.kernel,
            norm=adversarial.norm(d.norm, config.loss),
            **shared,
        ),
    }
