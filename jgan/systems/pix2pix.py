"""pix2pix: paired image translation by a conditional GAN with an L1 term.

Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks" (2017). Where the authors' Torch
and PyTorch lines differ this follows PyTorch: G runs forward once, D is updated on half the sum of its two
losses, then G against the updated D; fakes and reals are normalised in separate passes.

State: nets `generator` and, unless the adversarial weight is 0, `discriminator`; groups `gen` and `dis`.
Batch kind: `aligned`, input `a`, target `b`.
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
from jgan.nets import discriminators
from jgan.nets import generators
from jgan.nets import layers
from jgan.nets import net as net_lib
from jgan.ops import pixels
from jgan.ops import resample
from jgan.systems import adversarial
from jgan.systems import optimiser
from jgan.systems import system


def build(config: Any) -> system.System:
    """The pix2pix system of a config as `configs/pix2pix.py` makes it.

    Raises:
        jgan.UserError: a name that does not exist, or sizes that do not fit together.
    """
    loss = config.loss
    terms = adversarial.choose(loss)
    if loss.adversarial_weight <= 0 and loss.lambda_l1 <= 0:
        raise jgan.UserError("loss: adversarial_weight and lambda_l1 are both 0; nothing would be learnt.")
    if config.batch_size % config.optimiser.accumulate:
        raise jgan.UserError(
            f"optimiser.accumulate={config.optimiser.accumulate} does not divide batch_size={config.batch_size}."
        )
    layers.initialisation(config.init)
    generator, discriminator = _nets(config)
    adam = optimiser.adam(config.optimiser, config.steps)
    groups = {"gen": state_lib.Group(("generator",), adam)}
    if loss.adversarial_weight > 0:
        groups["dis"] = state_lib.Group(("discriminator",), adam)
    updates = ("dis", "gen") if loss.adversarial_weight > 0 else ("gen",)
    made = _Pix2pix(config, generator, discriminator, terms, groups)
    # The data package has put the input in front already.
    way = system.Way(
        made.translate,
        inputs=("a",),
        target="b",
        tiling=system.Tiling(generator.multiple, generator.radius, made.gather),
    )
    return system.System(made.init, made.step, plan=lambda step: updates, ways={config.data.direction: way})


@dataclasses.dataclass(frozen=True)
class _Pix2pix:
    """The functions of the system; all of them are pure."""

    config: Any
    generator: net_lib.Net
    discriminator: net_lib.Net
    terms: losses.Adversarial
    groups: dict[str, state_lib.Group]

    def judged(self, a: jax.Array, b: jax.Array) -> jax.Array:
        """What D sees: input and image, or the image alone (the paper's unconditional GAN)."""
        return jnp.concatenate([a, b], -1) if self.config.discriminator.conditional else b

    def init(self, key: jax.Array, batch: dict[str, jax.Array]) -> state_lib.State:
        k_gen, k_dis = jax.random.split(key)
        a, b = pixels.to_float(batch["a"]), pixels.to_float(batch["b"])
        params, stats = {}, {}
        params["generator"], stats["generator"] = self.generator.init(k_gen, a)
        if "dis" in self.groups:
            params["discriminator"], stats["discriminator"] = self.discriminator.init(
                k_dis, self.judged(a, b)
            )
        scaled = layers.initialisation(self.config.init, self.config.init_gain)
        params = {net: scaled(of) for net, of in params.items()}
        ema = ("generator",) if self.config.ema else ()
        return state_lib.create(self.groups, params, stats, ema)

    def step(
        self, state: state_lib.State, batch: dict[str, jax.Array], key: jax.Array, updates: tuple[str, ...]
    ) -> tuple[state_lib.State, dict[str, jax.Array]]:
        k_dropout, k_penalty = jax.random.split(key)
        a, b = pixels.to_float(batch["a"]), pixels.to_float(batch["b"])
        metrics = {"learning_rate": optimiser.rate(self.config.optimiser, self.config.steps, state.step)}
        count = self.config.optimiser.accumulate
        chunk = {"a": a, "b": b, "dropout": k_dropout, "penalty": k_penalty}
        make = self.make
        if count == 1 and len(updates) > 1:
            # Both updates have the same fakes. With chunks all of these would have to be kept.
            made = functools.partial(self.make, stats=state.stats, chunk=chunk)
            _, again = state_lib.once(made, state.params["generator"])

            def make(params: Any, stats: Any, chunk: Any) -> tuple[jax.Array, Any]:
                return again(params)

        for name, loss_fn in (("dis", self.dis_loss), ("gen", self.gen_loss)):
            if name not in updates:
                continue
            loss_fn = functools.partial(loss_fn, state, make)
            if count > 1:
                total = _mean_over(state_lib.accumulate(loss_fn, state.stats, _split(chunk, count)), count)
            else:
                total = functools.partial(loss_fn, stats=state.stats, chunk=chunk)
            state, aux = state_lib.update(state, self.groups, name, total)
            metrics |= aux
        state = state_lib.average(state, self.config.ema)
        return dataclasses.replace(state, step=state.step + 1), metrics

    def make(self, params: Any, stats: Any, chunk: dict[str, jax.Array]) -> tuple[jax.Array, Any]:
        """(what G with these parameters makes of a chunk of the batch, its statistics)."""
        return self.generator.apply(params, stats["generator"], chunk["a"], dropout=chunk["dropout"])

    def dis_loss(
        self,
        state: state_lib.State,
        make: Callable[..., tuple[jax.Array, Any]],
        params: Any,
        stats: Any,
        chunk: dict[str, jax.Array],
    ) -> tuple[jax.Array, Any]:
        """What D pays for a chunk of the batch."""
        fake, _ = make(state.params["generator"], stats, chunk)
        fake = jax.lax.stop_gradient(fake)
        a, b, d = chunk["a"], chunk["b"], params["discriminator"]
        on_fake, d_stats = self.discriminator.apply(d, stats["discriminator"], self.judged(a, fake))
        on_real, d_stats = self.discriminator.apply(d, d_stats, self.judged(a, b))
        value, aux = adversarial.discriminator(self.terms, on_fake, on_real)
        extra, reported = adversarial.penalty(
            self.config.loss,
            lambda image: self.discriminator.apply(d, d_stats, self.judged(a, image))[0],
            b,
            fake,
            chunk["penalty"],
        )
        # Half of it, so that D learns at half of G's pace where the optimiser is not scale-free.
        aux |= reported | {"d_loss": 0.5 * (value + extra)}
        return aux["d_loss"], ({"discriminator": d_stats}, aux)

    def gen_loss(
        self,
        state: state_lib.State,
        make: Callable[..., tuple[jax.Array, Any]],
        params: Any,
        stats: Any,
        chunk: dict[str, jax.Array],
    ) -> tuple[jax.Array, Any]:
        """What G pays for a chunk of the batch."""
        loss, a, b = self.config.loss, chunk["a"], chunk["b"]
        fake, g_stats = make(params["generator"], stats, chunk)
        changed = {"generator": g_stats}
        value_l1 = jnp.mean(losses.l1(fake, b))
        value = loss.lambda_l1 * value_l1
        aux = {"g_l1": value_l1}
        if "dis" in self.groups:
            on_fake, changed["discriminator"] = self.discriminator.apply(
                state.params["discriminator"], stats["discriminator"], self.judged(a, fake)
            )
            aux["g_adversarial"] = adversarial.mean(self.terms.generator, on_fake)
            value += loss.adversarial_weight * aux["g_adversarial"]
        aux["g_loss"] = value
        return value, (changed, aux)

    def translate(
        self,
        weights: dict[str, Any],
        inputs: dict[str, jax.Array],
        key: jax.Array | None = None,
        *,
        statistics: str = "image",
        dropout: bool = False,
    ) -> dict[str, jax.Array]:
        """{"output": [n, h, w, c] in [-1, 1]} of `inputs["a"]` of any height and width."""
        a = pixels.to_float(inputs["a"])
        output, _ = self.generator.apply(
            weights["params"]["generator"],
            weights["stats"]["generator"],
            resample.pad_to_multiple(a, self.generator.multiple),
            statistics=statistics,
            dropout=key if dropout else None,
        )
        return {"output": resample.crop_centre(output, a.shape[1], a.shape[2])}

    def gather(self, weights: dict[str, Any], inputs: dict[str, jax.Array]) -> dict[str, Any]:
        """The weights with the statistics of the inputs."""
        a = resample.pad_to_multiple(pixels.to_float(inputs["a"]), self.generator.multiple)
        _, stats = self.generator.apply(
            weights["params"]["generator"], weights["stats"]["generator"], a, statistics="gather"
        )
        return {**weights, "stats": {**weights["stats"], "generator": stats}}


def _nets(config: Any) -> tuple[net_lib.Net, net_lib.Net]:
    size, dtype = config.data.size, adversarial.dtype(config.precision)
    generator = generators.of(config.generator, (config.data.channels or (3, 3))[1], size, dtype)
    norm = adversarial.norm(config.discriminator.norm, config.loss)
    discriminator = discriminators.of(config.discriminator, size, norm, dtype)
    return generator, discriminator


def _mean_over(total: Any, count: int) -> Any:
    """The mean over chunks, from the sum that `state.accumulate` makes."""

    def mean(params: dict[str, Any]) -> tuple[jax.Array, Any]:
        value, (stats, aux) = total(params)
        return value / count, (stats, jax.tree.map(lambda x: jnp.mean(x, 0), aux))

    return mean


def _split(chunk: dict[str, jax.Array], count: int) -> dict[str, jax.Array]:
    """The chunk's arrays cut into `count` along the batch, its keys split into as many.

    Every `count`-th example is in one part, so that each of the devices that divide a batch has some of every part.
    """
    return {
        name: jax.random.split(x, count)
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
        else x.reshape(x.shape[0] // count, count, *x.shape[1:]).swapaxes(0, 1)
        for name, x in chunk.items()
    }
