"""pix2pix: paired image translation by a conditional GAN with an L1 term.

Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks" (2017). Where the authors' Torch
and PyTorch lines differ this follows PyTorch: G runs forward once, D is updated on half the sum of its two
losses, then G against the updated D; fakes and reals are normalised in separate passes.

State: nets `generator` and, unless the adversarial weight is 0, `discriminator`; groups `gen` and `dis`.
Batch kind: `aligned`, input `a`, target `b`.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

import jgan
from jgan import losses
from jgan import state as state_lib
from jgan.nets import discriminators
from jgan.nets import generators
from jgan.ops import pixels
from jgan.ops import resample
from jgan.systems import optimiser
from jgan.systems import system

_DTYPES = {"float32": None, "bfloat16": jnp.bfloat16}


def build(config: Any) -> system.System:
    """The pix2pix system of a config as `configs/pix2pix.py` makes it.

    Raises:
        jgan.UserError: a name that does not exist, or sizes that do not fit together.
    """
    loss = config.loss
    if loss.adversarial not in losses.ADVERSARIAL:
        raise jgan.UserError(
            f"loss.adversarial={loss.adversarial!r} is unknown: use one of {', '.join(losses.ADVERSARIAL)}."
        )
    if loss.adversarial_weight <= 0 and loss.lambda_l1 <= 0:
        raise jgan.UserError("loss: adversarial_weight and lambda_l1 are both 0; nothing would be learnt.")
    if config.batch_size % config.optimiser.accumulate:
        raise jgan.UserError(
            f"optimiser.accumulate={config.optimiser.accumulate} does not divide batch_size={config.batch_size}."
        )
    generator, discriminator = _nets(config)
    adversarial = losses.ADVERSARIAL[loss.adversarial]
    adam = optimiser.adam(config.optimiser, config.steps)
    groups = {"gen": state_lib.Group(("generator",), adam)}
    if loss.adversarial_weight > 0:
        groups["dis"] = state_lib.Group(("discriminator",), adam)
    updates = ("dis", "gen") if loss.adversarial_weight > 0 else ("gen",)

    def judged(a: jax.Array, b: jax.Array) -> jax.Array:
        """What D sees: input and image, or the image alone (the paper's unconditional GAN)."""
        return jnp.concatenate([a, b], -1) if config.discriminator.conditional else b

    def init(key: jax.Array, batch: dict[str, jax.Array]) -> state_lib.State:
        k_gen, k_dis = jax.random.split(key)
        a, b = pixels.to_float(batch["a"]), pixels.to_float(batch["b"])
        params, stats = {}, {}
        params["generator"], stats["generator"] = generator.init(k_gen, a)
        if "dis" in groups:
            params["discriminator"], stats["discriminator"] = discriminator.init(k_dis, judged(a, b))
        ema = ("generator",) if config.ema else ()
        return state_lib.create(groups, params, stats, ema)

    def step(
        state: state_lib.State, batch: dict[str, jax.Array], key: jax.Array, updates: tuple[str, ...]
    ) -> tuple[state_lib.State, dict[str, jax.Array]]:
        k_dropout, k_penalty = jax.random.split(key)
        a, b = pixels.to_float(batch["a"]), pixels.to_float(batch["b"])
        metrics = {}

        def translate(params: Any, stats: Any, chunk: dict[str, jax.Array]) -> tuple[jax.Array, Any]:
            return generator.apply(params, stats, chunk["a"], dropout=chunk["dropout"])

        def dis_loss(params: Any, stats: Any, chunk: dict[str, jax.Array]) -> tuple[jax.Array, Any]:
            # The same forward pass stands in `gen_loss`; the compiler merges the two.
            fake, _ = translate(state.params["generator"], stats["generator"], chunk)
            fake = jax.lax.stop_gradient(fake)
            a, b, d = chunk["a"], chunk["b"], params["discriminator"]
            on_fake, d_stats = discriminator.apply(d, stats["discriminator"], judged(a, fake))
            on_real, d_stats = discriminator.apply(d, d_stats, judged(a, b))
            value_fake = _mean(adversarial.fake, on_fake)
            value_real = _mean(adversarial.real, on_real)
            value = value_fake + value_real
            aux = {
                "d_fake": value_fake,
                "d_real": value_real,
                "d_accuracy_fake": _mean(lambda x: x <= adversarial.boundary, on_fake),
                "d_accuracy_real": _mean(lambda x: x > adversarial.boundary, on_real),
            }
            if loss.adversarial == "wgan_gp":

                def critic(image: jax.Array) -> jax.Array:
                    return discriminator.apply(d, d_stats, judged(a, image))[0]["logits"][0]

                penalty = jnp.mean(losses.gradient_penalty(critic, b, fake, chunk["penalty"]))
                value += loss.gradient_penalty * penalty
                aux["d_penalty"] = penalty
            # Half of it, so that D learns at half of G's pace where the optimiser is not scale-free.
            aux["d_loss"] = 0.5 * value
            return 0.5 * value, ({"discriminator": d_stats}, aux)

        def gen_loss(params: Any, stats: Any, chunk: dict[str, jax.Array]) -> tuple[jax.Array, Any]:
            fake, g_stats = translate(params["generator"], stats["generator"], chunk)
            a, b = chunk["a"], chunk["b"]
            changed = {"generator": g_stats}
            value_l1 = jnp.mean(losses.l1(fake, b))
            value = loss.lambda_l1 * value_l1
            aux = {"g_l1": value_l1}
            if "dis" in groups:
                on_fake, changed["discriminator"] = discriminator.apply(
                    state.params["discriminator"], stats["discriminator"], judged(a, fake)
                )
                aux["g_adversarial"] = _mean(adversarial.generator, on_fake)
                value += loss.adversarial_weight * aux["g_adversarial"]
            aux["g_loss"] = value
            return value, (changed, aux)

        count = config.optimiser.accumulate
        chunk = {
            "a": a,
            "b": b,
            "dropout": k_dropout,
            "penalty": k_penalty,
        }
        for name, loss_fn in (("dis", dis_loss), ("gen", gen_loss)):
            if name not in updates:
                continue
            if count > 1:
                total = _mean_over(state_lib.accumulate(loss_fn, state.stats, _split(chunk, count)), count)
            else:
                total = lambda params, f=loss_fn, stats=state.stats: f(params, stats, chunk)  # noqa: E731
            state, aux = state_lib.update(state, groups, name, total)
            metrics |= aux
        state = state_lib.average(state, config.ema)
        return dataclasses.replace(state, step=state.step + 1), metrics

    def apply(
        weights: dict[str, Any],
        inputs: dict[str, jax.Array],
        key: jax.Array | None = None,
        *,
        statistics: str = "image",
        dropout: bool = False,
    ) -> dict[str, jax.Array]:
        """{"output": [n, h, w, c] in [-1, 1]} of `inputs["a"]` of any height and width."""
        a = pixels.to_float(inputs["a"])
        output, _ = generator.apply(
            weights["params"]["generator"],
            weights["stats"]["generator"],
            resample.pad_to_multiple(a, generator.multiple),
            statistics=statistics,
            dropout=key if dropout else None,
        )
        return {"output": resample.crop_centre(output, a.shape[1], a.shape[2])}

    def gather(weights: dict[str, Any], inputs: dict[str, jax.Array]) -> dict[str, Any]:
        a = resample.pad_to_multiple(pixels.to_float(inputs["a"]), generator.multiple)
        _, stats = generator.apply(
            weights["params"]["generator"], weights["stats"]["generator"], a, statistics="gather"
        )
        return {**weights, "stats": {**weights["stats"], "generator": stats}}

    return system.System(
        init,
        step,
        apply,
        plan=lambda step: updates,
        space=lambda weights, condition: None,
        # The data package has put the input in front already.
        translations={config.data.direction: system.Translation("a", "output", "b")},
        multiple=generator.multiple,
        radius=generator.radius,
        gather=gather,
    )


def _nets(config: Any) -> tuple[Any, Any]:
    size = config.data.size
    if config.precision not in _DTYPES:
        raise jgan.UserError(f"precision={config.precision!r} is unknown: use one of {', '.join(_DTYPES)}.")
    dtype = _DTYPES[config.precision]
    g, d = config.generator, config.discriminator
    generator = generators.generator(
        g.name,
        (config.data.channels or (3, 3))[1],
        levels=g.levels,
        ngf=g.ngf,
        norm=g.norm,
        dropout=g.dropout,
        upsample=g.upsample,
        antialias=g.antialias,
        dtype=dtype,
    )
    if size % generator.multiple:
        raise jgan.UserError(
            f"generator {g.name} trains on sizes that are multiples of {generator.multiple}; data.size={size} is "
            "not: choose another size or fewer levels."
        )
    norm = d.norm
    if norm == "auto":
        # A gradient penalty is per example; batch norm would tie the examples together (Gulrajani et al., sec. 4).
        norm = "instance" if config.loss.adversarial == "wgan_gp" else "batch"
    discriminator = discriminators.discriminator(
        d.name,
        size=(size, size),
        n_layers=d.n_layers,
        ndf=d.ndf,
        norm=norm,
        antialias=d.antialias,
        dtype=dtype,
    )
    return generator, discriminator


def _mean(term: Any, output: dict[str, Any]) -> jax.Array:
    """The mean of a term over patches and batch, averaged over D's scales."""
    values = [jnp.mean(term(logits)) for logits in output["logits"]]
    return sum(values) / len(values)


def _mean_over(total: Any, count: int) -> Any:
    """The mean over chunks, from the sum that `state.accumulate` makes."""

    def mean(params: dict[str, Any]) -> tuple[jax.Array, Any]:
        value, (stats, aux) = total(params)
        return value / count, (stats, jax.tree.map(lambda x: jnp.mean(x, 0), aux))

    return mean


def _split(chunk: dict[str, jax.Array], count: int) -> dict[str, jax.Array]:
    """The chunk's arrays cut into `count` along the batch, its keys split into as many."""
    return {
        name: jax.random.split(x, count)
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
        else x.reshape(count, x.shape[0] // count, *x.shape[1:])
        for name, x in chunk.items()
    }
