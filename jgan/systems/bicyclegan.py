"""BiCycleGAN: paired image translation with several results for one input.

Zhu et al., "Toward Multimodal Image-to-Image Translation" (2017); where the paper is silent, as the authors' PyTorch
code has it. A code z chooses among the results. Two cycles tie the two together: an encoder E finds the code of a real
picture and G has to make that picture with it (B -> z -> B, eq. 2 to 6: cVAE-GAN), and E has to find in a picture the
code that G drew it with (z -> B -> z, eq. 7 and 8: cLR-GAN).

Of every two examples of a batch, (A1, B1) and (A2, B2), E encodes B1, and G makes one picture of A1 with the code that
was encoded and another one with a code from the prior. The discriminator of the encoded branch separates the first
from B1, that of the random branch the second from B2. So the two of them never see the same real picture in one step;
A2 is seen only by a conditional discriminator, beside B2. (The authors' code takes the two halves of a batch instead;
neighbours are on the same device where a batch is spread over several.)

G and E take one joint step, then both discriminators on the pictures that were made before it. The regression of the
random code moves G alone: E would lower it by hiding codes rather than by reading them. It is one loss with the rest,
in which the parameters of E are constants for that term. The KL divergence is a sum over the codes of a batch and
their numbers, the other terms are means; each adversarial term is summed over the scales of a discriminator.

State: nets `generator`, `encoder` and, unless their weights are 0, `discriminator` of the encoded branch and
`discriminator_random` of the random one (the same net for both with `discriminator.same`); groups `gen` and `dis`.
Batch kind: `aligned`, input `a`, target `b`.
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
from jgan.nets import discriminators
from jgan.nets import encoders
from jgan.nets import generators
from jgan.nets import layers
from jgan.nets import net as net_lib
from jgan.ops import batches as batches_lib
from jgan.ops import pixels
from jgan.ops import resample
from jgan.systems import adversarial
from jgan.systems import optimiser
from jgan.systems import prior as priors
from jgan.systems import system

BRANCHES = ("encoded", "random")


def build(config: Any) -> system.System:
    """The BiCycleGAN system of a config as `configs/bicyclegan.py` makes it.

    Raises:
        jgan.UserError: a name that does not exist, or values that do not fit together.
    """
    _check(config)
    terms = adversarial.choose(config.loss)
    judges = {branch: _judge(config, branch) for branch in BRANCHES if _weight(config, branch) > 0}
    adam = optimiser.adam(config.optimiser, config.steps)
    groups = {"gen": state_lib.Group(("generator", "encoder"), adam)}
    if judges:
        # As Adam is element-wise, this is the same as an optimiser for each of them.
        groups["dis"] = state_lib.Group(tuple(dict.fromkeys(judges.values())), adam)
    made = _BiCycleGAN(
        config, *_nets(config), priors.prior("normal", config.latent.nz), terms, groups, judges
    )
    way = system.Way(
        made.translate,
        inputs=("a",),
        controls={"z": fields.Code(("z",))},
        target="b",
        tiling=system.Tiling(made.generator.multiple, made.generator.radius, made.gather),
    )
    return system.System(
        made.init,
        made.step,
        plan=lambda step: tuple(groups),
        ways={config.data.direction: way},
        spaces={
            "z": system.Codes(
                made.space, judge=made.judged_by_random if judges else None, predict=made.predict
            )
        },
    )


@dataclasses.dataclass(frozen=True)
class _BiCycleGAN:
    """The functions of the system; all of them are pure."""

    config: Any
    generator: net_lib.Net
    encoder: net_lib.Net
    discriminator: net_lib.Net
    prior: priors.Prior
    terms: losses.Adversarial
    groups: dict[str, state_lib.Group]
    judges: dict[str, str]  # the net that judges a branch

    def init(self, key: jax.Array, batch: dict[str, jax.Array]) -> state_lib.State:
        k_gen, k_enc, *k_dis = jax.random.split(key, 4)
        a, b = pixels.to_float(batch["a"]), pixels.to_float(batch["b"])
        params, stats = {}, {}
        z = jnp.zeros((a.shape[0], self.config.latent.nz), a.dtype)
        params["generator"], stats["generator"] = self.generator.init(k_gen, a, z)
        params["encoder"], stats["encoder"] = self.encoder.init(k_enc, b)
        for net, k in zip(dict.fromkeys(self.judges.values()), k_dis, strict=False):
            params[net], stats[net] = self.discriminator.init(k, self.seen(a, b))
        scaled = layers.initialisation(self.config.init, self.config.init_gain)
        params = {net: scaled(of) for net, of in params.items()}
        ema = self.groups["gen"].nets if self.config.ema else ()
        return state_lib.create(self.groups, params, stats, ema)

    def step(
        self, state: state_lib.State, batch: dict[str, jax.Array], key: jax.Array, updates: tuple[str, ...]
    ) -> tuple[state_lib.State, dict[str, jax.Array]]:
        a, b = pixels.to_float(batch["a"]), pixels.to_float(batch["b"])
        gen_loss = functools.partial(self.gen_loss, state, a, b, key)
        rate = optimiser.rate(self.config.optimiser, self.config.steps, state.step)
        metrics = {"learning_rate": rate}
        if "gen" in updates:
            state, (reported, fakes) = state_lib.update(state, self.groups, "gen", gen_loss)
            metrics |= reported
        else:
            _, (_, (_, fakes)) = gen_loss(state.params)
        if "dis" in updates:
            dis_loss = functools.partial(self.dis_loss, state, a, b, fakes)
            state, reported = state_lib.update(state, self.groups, "dis", dis_loss)
            metrics |= reported
        state = state_lib.average(state, self.config.ema)
        return dataclasses.replace(state, step=state.step + 1), metrics

    def gen_loss(
        self, state: state_lib.State, a: jax.Array, b: jax.Array, key: jax.Array, params: Any
    ) -> tuple[jax.Array, Any]:
        """What G and E pay together, and {branch: the pictures that were made}."""
        k_noise, k_code, k_dropout = jax.random.split(key, 3)
        loss, (a, _), (b, _) = self.config.loss, batches_lib.split(a, 2), batches_lib.split(b, 2)
        code, _ = self.encoder.apply(params["encoder"], {}, b)
        mu, logvar = code["mu"], code["logvar"]
        noise, drawn = (jax.random.normal(k, mu.shape, mu.dtype) for k in (k_noise, k_code))
        z = batches_lib.join(mu + jnp.exp(logvar / 2) * noise, drawn)
        # Both branches pass G together: instance norm does not mix them.
        made, _ = self.generator.apply(params["generator"], {}, batches_lib.join(a, a), z, dropout=k_dropout)
        fakes = dict(zip(BRANCHES, batches_lib.split(made, 2), strict=True))
        aux = {
            "g_l1": jnp.mean(losses.l1(fakes["encoded"], b)),
            # Kingma and Welling (2014), appendix B, of a normal distribution to the standard one.
            "g_kl": -0.5 * jnp.sum(1 + logvar - jnp.square(mu) - jnp.exp(logvar)),
        }
        value = loss.lambda_l1 * aux["g_l1"] + loss.lambda_kl * aux["g_kl"]
        if loss.lambda_z > 0:
            found, _ = self.encoder.apply(jax.lax.stop_gradient(params["encoder"]), {}, fakes["random"])
            aux["g_z"] = jnp.mean(losses.l1(found["mu"], drawn))
            value += loss.lambda_z * aux["g_z"]
        judged = {branch: [self.seen(a, fakes[branch])] for branch in self.judges}
        for branch, (output,) in self.judgements(state.params, judged).items():
            term = adversarial.mean(self.terms.generator, output)
            aux[f"g_adversarial_{branch}"] = term
            value += _weight(self.config, branch) * len(output["logits"]) * term
        return value, ({}, (aux | {"g_loss": value}, fakes))

    def dis_loss(
        self, state: state_lib.State, a: jax.Array, b: jax.Array, fakes: dict[str, jax.Array], params: Any
    ) -> tuple[jax.Array, Any]:
        """What both discriminators pay together."""
        pairs = zip(batches_lib.split(a, 2), batches_lib.split(b, 2), strict=True)
        real = {branch: self.seen(*pair) for branch, pair in zip(BRANCHES, pairs, strict=True)}
        fakes = {
            branch: self.seen(batches_lib.split(a, 2)[0], jax.lax.stop_gradient(fake))
            for branch, fake in fakes.items()
        }
        judged = {branch: [fakes[branch], real[branch]] for branch in self.judges}
        aux, value = {}, 0.0
        for branch, (on_fake, on_real) in self.judgements(params, judged).items():
            term, reported = adversarial.discriminator(self.terms, on_fake, on_real)
            aux |= {f"{name}_{branch}": x for name, x in reported.items()}
            value += len(on_fake["logits"]) * term
        for name in ("d_accuracy_fake", "d_accuracy_real"):
            aux[name] = sum(aux.pop(f"{name}_{branch}") for branch in judged) / len(judged)
        return value, ({}, aux | {"d_loss": value})

    def seen(self, a: jax.Array, b: jax.Array) -> jax.Array:
        """What a discriminator sees: the image alone or, where it is conditional, the input too."""
        return jnp.concatenate([a, b], -1) if self.config.discriminator.conditional else b

    def judgements(self, params: Any, judged: dict[str, list[jax.Array]]) -> dict[str, list[dict[str, Any]]]:
        """The output of each branch's discriminator for each of its batches; one pass for each net."""
        found = {}
        for net in dict.fromkeys(self.judges.values()):
            branches = [branch for branch in judged if self.judges[branch] == net]
            batches = [batch for branch in branches for batch in judged[branch]]
            output, _ = self.discriminator.apply(params[net], {}, batches_lib.join(*batches))
            parts = iter(batches_lib.split(output, len(batches)))
            found |= {branch: [next(parts) for _ in judged[branch]] for branch in branches}
        return found

    def picture(
        self,
        weights: dict[str, Any],
        a: jax.Array,
        z: jax.Array,
        statistics: str = "image",
        dropout: jax.Array | None = None,
    ) -> tuple[jax.Array, Any]:
        """(the pictures [n, h, w, c] in [-1, 1] of inputs of any height and width under codes, G's statistics)."""
        a = pixels.to_float(a)
        z = jnp.broadcast_to(z, (a.shape[0], self.config.latent.nz)).astype(a.dtype)
        made, stats = self.generator.apply(
            weights["params"]["generator"],
            weights["stats"]["generator"],
            resample.pad_to_multiple(a, self.generator.multiple),
            z,
            statistics=statistics,
            dropout=dropout,
        )
        return resample.crop_centre(made, a.shape[1], a.shape[2]), stats

    def translate(
        self,
        weights: dict[str, Any],
        inputs: dict[str, jax.Array],
        key: jax.Array | None = None,
        *,
        statistics: str = "image",
        dropout: bool = False,
    ) -> dict[str, jax.Array]:
        """{"output": [n, h, w, c] in [-1, 1]} of `inputs["a"]` under the codes `inputs["z"]`, [n, nz] or one for all.

        Where no codes are set each image has its own from the key and, without a key, 0, the middle of the prior.
        """
        a, k_dropout = inputs["a"], None
        z = inputs.get("z", jnp.zeros(self.config.latent.nz))
        if key is not None:
            k_code, k_dropout = jax.random.split(key)
            z = inputs["z"] if "z" in inputs else self.prior.draw(k_code, (a.shape[0], self.config.latent.nz))
        output, _ = self.picture(weights, a, z, statistics, k_dropout if dropout else None)
        return {"output": output}

    def gather(self, weights: dict[str, Any], inputs: dict[str, jax.Array]) -> dict[str, Any]:
        """The weights with the statistics of the inputs, under their codes or under 0."""
        z = inputs.get("z", jnp.zeros(self.config.latent.nz))
        _, stats = self.picture(weights, inputs["a"], z, "gather")
        return {**weights, "stats": {**weights["stats"], "generator": stats}}

    def space(self, weights: dict[str, Any], given: dict[str, Any]) -> space.Space:
        """The space of the codes of one input, `given["a"]` [h, w, c]."""

        def generate(z: jax.Array) -> jax.Array:
            image = given["a"][None]
            return self.picture(weights, jnp.broadcast_to(image, (len(z), *image.shape[1:])), z)[0]

        return priors.make_space(self.prior, self.config.latent.nz, generate)

    def judged_by_random(
        self, weights: dict[str, Any], images: jax.Array, given: dict[str, Any]
    ) -> dict[str, Any]:
        """What the discriminator of random codes, or the only one, says of images [n, h, w, c] of `given["a"]`."""
        images = pixels.to_float(images)
        a = jnp.broadcast_to(pixels.to_float(given["a"]), (len(images), *given["a"].shape))
        net = self.judges[next(branch for branch in reversed(BRANCHES) if branch in self.judges)]
        output, _ = self.discriminator.apply(
            weights["params"][net], weights["stats"][net], self.seen(a, images), statistics="image"
        )
        return output

    def predict(self, weights: dict[str, Any], images: jax.Array, given: dict[str, Any]) -> jax.Array:
        """The codes [n, nz] of images [n, h, w, c] of any size: the means that E finds, which needs no input."""
        code, _ = self.encoder.apply(
            weights["params"]["encoder"],
            weights["stats"]["encoder"],
            resample.pad_to_multiple(pixels.to_float(images), self.encoder.multiple),
            statistics="image",
        )
        return code["mu"]


def _weight(config: Any, branch: str) -> float:
    """The weight of the adversarial term of a branch."""
    return config.loss.adversarial_weight if branch == "encoded" else config.loss.adversarial_weight_random


def _judge(config: Any, branch: str) -> str:
    """The name of the net that judges a branch."""
    return "discriminator" if branch == "encoded" or config.discriminator.same else "discriminator_random"


def _check(config: Any) -> None:
    if config.batch_size % 2 or config.batch_size < 2:
        raise jgan.UserError(
            f"batch_size={config.batch_size} holds no pairs of examples, one to be encoded and one that is real beside "
            "a random code: an even number such as 2 would work."
        )
    if config.loss.adversarial == "wgan_gp":
        raise jgan.UserError(
            "loss.adversarial='wgan_gp' needs a penalty that this system has not: lsgan, vanilla or hinge would work."
        )
    if not config.generator.name.startswith(("unet", "encoder_decoder")):
        raise jgan.UserError(
            f"generator.name={config.generator.name!r} takes no code: unet or encoder_decoder, with or without a size, "
            "would work."
        )
    layers.initialisation(config.init)
    for part in ("generator", "encoder", "discriminator"):
        if layers.is_batch(config[part].norm):
            raise jgan.UserError(
                f"{part}.norm={config[part].norm!r} would mix the branches, which pass a net together: "
                "instance or none would work."
            )


def _nets(config: Any) -> tuple[net_lib.Net, net_lib.Net, net_lib.Net]:
    size, dtype = config.data.size, adversarial.dtype(config.precision)
    return (
        generators.of(config.generator, (config.data.channels or (3, 3))[1], size, dtype),
        encoders.of(config.encoder, config.latent.nz, size, dtype),
        discriminators.of(config.discriminator, size, config.discriminator.norm, dtype),
    )
