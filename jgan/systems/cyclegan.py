"""CycleGAN: unpaired image translation by two GANs that undo each other.

Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks" (2017). Where the
authors' Torch and PyTorch lines differ this follows PyTorch: both generators take one joint step, then both
discriminators, which judge fakes from a pool of earlier ones (made before that step).

State: nets `generator_ab`, `generator_ba` and, unless the adversarial weight is 0, `discriminator_a` and
`discriminator_b`, each named by what it judges; groups `gen` and `dis`; aux `pool_a` and `pool_b`.
Batch kind: `unaligned`, images `a` and `b` of two domains.
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
from jgan.nets import net as net_lib
from jgan.ops import pixels
from jgan.ops import resample
from jgan.systems import optimiser
from jgan.systems import system

TRANSLATIONS = {
    "AtoB": system.Translation("a", "fake_b", "b", "back_a"),
    "BtoA": system.Translation("b", "fake_a", "a", "back_b"),
}
_DTYPES = {"float32": None, "bfloat16": jnp.bfloat16}


def build(config: Any) -> system.System:
    """The CycleGAN system of a config as `configs/cyclegan.py` makes it.

    Raises:
        jgan.UserError: a name that does not exist, or values that do not fit together.
    """
    loss = config.loss
    _check(config)
    nets = _nets(config)
    adversarial = losses.ADVERSARIAL[loss.adversarial]
    gan = loss.adversarial_weight > 0
    # The identity terms are shares of the cycle terms of the domain they act on; 0 saves their passes.
    identity_a, identity_b = loss.lambda_identity * loss.lambda_a, loss.lambda_identity * loss.lambda_b
    adam = optimiser.adam(config.optimiser, config.steps)
    groups = {"gen": state_lib.Group(("generator_ab", "generator_ba"), adam)}
    if gan:
        groups["dis"] = state_lib.Group(("discriminator_a", "discriminator_b"), adam)
    updates = ("gen", "dis") if gan else ("gen",)
    pooled = gan and loss.pool_size > 0

    def init(key: jax.Array, batch: dict[str, jax.Array]) -> state_lib.State:
        images = {"a": pixels.to_float(batch["a"]), "b": pixels.to_float(batch["b"])}
        seen = {"generator_ab": "a", "generator_ba": "b", "discriminator_a": "a", "discriminator_b": "b"}
        params, stats = {}, {}
        for k, (name, domain) in enumerate(seen.items()):
            if gan or name in groups["gen"].nets:
                params[name], stats[name] = nets[name].init(jax.random.fold_in(key, k), images[domain])
        ema = groups["gen"].nets if config.ema else ()
        pools = {f"pool_{x}": empty_pool(loss.pool_size, images[x].shape[1:]) for x in "ab"} if pooled else {}
        return state_lib.create(groups, params, stats, ema, pools)

    def step(
        state: state_lib.State, batch: dict[str, jax.Array], key: jax.Array, updates: tuple[str, ...]
    ) -> tuple[state_lib.State, dict[str, jax.Array]]:
        k_pool_a, k_pool_b, k_penalty_a, k_penalty_b, k_dropout = jax.random.split(key, 5)
        real_a, real_b = pixels.to_float(batch["a"]), pixels.to_float(batch["b"])

        def gen_loss(params: Any) -> tuple[jax.Array, Any]:
            stats, noise = dict(state.stats), iter(jax.random.split(k_dropout, 4))

            def translate(name: str, *batches: jax.Array) -> list[jax.Array]:
                outputs, stats[name] = _pass(
                    nets[name],
                    params[name],
                    stats[name],
                    *batches,
                    norm=config.generator.norm,
                    dropout=next(noise),
                    remat=config.remat,
                )
                return outputs

            # What only has to pass a generator some time passes together with what has to pass it now.
            fake_b, *same_b = translate("generator_ab", real_a, *([real_b] if identity_b > 0 else []))
            fake_a, *same_a = translate("generator_ba", real_b, *([real_a] if identity_a > 0 else []))
            aux, value = {}, 0.0
            if gan:
                for domain, fake in (("a", fake_a), ("b", fake_b)):
                    judge = f"discriminator_{domain}"
                    output, stats[judge] = nets[judge].apply(state.params[judge], stats[judge], fake)
                    aux[f"g_adversarial_{domain}"] = _mean(adversarial.generator, output)
                    value += loss.adversarial_weight * aux[f"g_adversarial_{domain}"]
            if loss.lambda_a > 0:
                (back_a,) = translate("generator_ba", fake_b)
                aux["g_cycle_a"] = jnp.mean(losses.l1(back_a, real_a))
                value += loss.lambda_a * aux["g_cycle_a"]
            if loss.lambda_b > 0:
                (back_b,) = translate("generator_ab", fake_a)
                aux["g_cycle_b"] = jnp.mean(losses.l1(back_b, real_b))
                value += loss.lambda_b * aux["g_cycle_b"]
            if same_a:
                aux["g_identity_a"] = jnp.mean(losses.l1(same_a[0], real_a))
                value += identity_a * aux["g_identity_a"]
            if same_b:
                aux["g_identity_b"] = jnp.mean(losses.l1(same_b[0], real_b))
                value += identity_b * aux["g_identity_b"]
            aux["g_loss"] = value
            return value, (stats, (aux, {"a": fake_a, "b": fake_b}))

        def dis_loss(params: Any, shown: dict[str, jax.Array]) -> tuple[jax.Array, Any]:
            aux, stats, right, total = {}, {}, [], 0.0
            for domain, real, k_penalty in (("a", real_a, k_penalty_a), ("b", real_b, k_penalty_b)):
                judge, fake = f"discriminator_{domain}", shown[domain]
                d, weights = nets[judge], params[judge]
                (on_real, on_fake), stats[judge] = _pass(
                    d, weights, state.stats[judge], real, fake, norm=config.discriminator.norm
                )
                value = _mean(adversarial.real, on_real) + _mean(adversarial.fake, on_fake)
                if loss.adversarial == "wgan_gp":

                    def critic(image: jax.Array, d=d, weights=weights, stats=stats[judge]) -> jax.Array:
                        return d.apply(weights, stats, image)[0]["logits"][0]

                    penalty = jnp.mean(losses.gradient_penalty(critic, real, fake, k_penalty))
                    value += loss.gradient_penalty * penalty
                    aux[f"d_penalty_{domain}"] = penalty
                aux[f"d_loss_{domain}"] = 0.5 * value
                right.append(
                    (
                        _mean(lambda x: x > adversarial.boundary, on_real),
                        _mean(lambda x: x <= adversarial.boundary, on_fake),
                    )
                )
                total += 0.5 * value
            aux["d_loss"] = total
            aux["d_accuracy_real"], aux["d_accuracy_fake"] = (sum(x) / 2 for x in zip(*right, strict=True))
            return total, (stats, aux)

        state, (metrics, fakes) = state_lib.update(state, groups, "gen", gen_loss)
        if "dis" in updates:
            if pooled:
                pools = dict(state.aux)
                pools["pool_a"], fakes["a"] = draw(pools["pool_a"], fakes["a"], k_pool_a)
                pools["pool_b"], fakes["b"] = draw(pools["pool_b"], fakes["b"], k_pool_b)
                state = dataclasses.replace(state, aux=pools)
            state, aux = state_lib.update(state, groups, "dis", lambda params: dis_loss(params, fakes))
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
        """Translation and round trip of the inputs, in [-1, 1], of any height and width.

        {"fake_b", "back_a"} for `inputs["a"]` and {"fake_a", "back_b"} for `inputs["b"]`; either may be missing.
        """
        outputs = {}
        for translation in TRANSLATIONS.values():
            if translation.source not in inputs:
                continue
            image = pixels.to_float(inputs[translation.source])
            x = resample.pad_to_multiple(image, nets["generator_ab"].multiple)
            way = ("generator_ab", "generator_ba")
            for k, (net, output) in enumerate(
                zip(
                    way if translation.source == "a" else way[::-1],
                    (translation.output, translation.back),
                    strict=True,
                )
            ):
                x, _ = nets[net].apply(
                    weights["params"][net],
                    weights["stats"][net],
                    x,
                    statistics=statistics,
                    dropout=jax.random.fold_in(key, k) if dropout else None,
                )
                outputs[output] = resample.crop_centre(x, image.shape[1], image.shape[2])
        return outputs

    def gather(weights: dict[str, Any], inputs: dict[str, jax.Array]) -> dict[str, Any]:
        stats = dict(weights["stats"])
        for net, source in (("generator_ab", "a"), ("generator_ba", "b")):
            if source in inputs:
                x = resample.pad_to_multiple(pixels.to_float(inputs[source]), nets[net].multiple)
                _, stats[net] = nets[net].apply(weights["params"][net], stats[net], x, statistics="gather")
        return {**weights, "stats": stats}

    return system.System(
        init,
        step,
        apply,
        plan=lambda step: updates,
        space=lambda weights, condition: None,
        translations=TRANSLATIONS,
        multiple=nets["generator_ab"].multiple,
        radius=nets["generator_ab"].radius,
        gather=gather,
    )


def empty_pool(size: int, shape: tuple[int, ...]) -> dict[str, jax.Array]:
    """A pool for `size` images of a shape: {"images": [size, h, w, c], "count": how many it holds}."""
    return {"images": jnp.zeros((size, *shape), jnp.float32), "count": jnp.zeros((), jnp.int32)}


def draw(
    pool: dict[str, jax.Array], images: jax.Array, key: jax.Array
) -> tuple[dict[str, jax.Array], jax.Array]:
    """The pool after each image [n, h, w, c] has come by, and what D is to judge in their place.

    Shrivastava et al. (2017), section 2.3, by CycleGAN's rule: while the pool is not full an image is stored and
    comes back itself. After that, with probability 1/2, a stored image comes back and the new one takes its
    place; otherwise the new one comes back and is not stored.
    """
    size = pool["images"].shape[0]

    def one(pool: dict[str, jax.Array], turn: tuple[jax.Array, jax.Array]) -> tuple[Any, jax.Array]:
        image, key = turn
        k_swap, k_slot = jax.random.split(key)
        filling, swap = pool["count"] < size, jax.random.bernoulli(k_swap)
        slot = jnp.where(filling, pool["count"], jax.random.randint(k_slot, (), 0, size))
        old = jax.lax.dynamic_index_in_dim(pool["images"], slot, keepdims=False)
        # The old image is written back where nothing changes: the update then happens in place.
        kept = jnp.where(filling | swap, image, old)
        stored = jax.lax.dynamic_update_index_in_dim(pool["images"], kept, slot, 0)
        count = jnp.minimum(pool["count"] + 1, size)
        return {"images": stored, "count": count}, jnp.where(~filling & swap, old, image)

    images = jax.lax.stop_gradient(images).astype(pool["images"].dtype)
    return jax.lax.scan(one, pool, (images, jax.random.split(key, images.shape[0])))


def _pass(
    net: net_lib.Net,
    params: Any,
    stats: Any,
    *batches: jax.Array,
    norm: str,
    dropout: jax.Array | None = None,
    remat: bool = False,
) -> tuple[list[Any], Any]:
    """The net's output for each of the batches, in one pass where that is exact, and its statistics after it.

    With `remat` the way back keeps no activations of a pass but runs it again.
    """
    apply = jax.checkpoint(net.apply) if remat else net.apply
    if norm == "batch":  # it would mix the batches: each has a pass of its own
        outputs = []
        for k, batch in enumerate(batches):
            key = None if dropout is None else jax.random.fold_in(dropout, k)
            output, stats = apply(params, stats, batch, dropout=key)
            outputs.append(output)
        return outputs, stats
    joint, stats = apply(params, stats, jnp.concatenate(batches), dropout=dropout)
    n = batches[0].shape[0]
    parts = range(len(batches))
    return [jax.tree.map(lambda x, k=k: x[k * n : (k + 1) * n], joint) for k in parts], stats


def _check(config: Any) -> None:
    loss = config.loss
    if loss.adversarial not in losses.ADVERSARIAL:
        raise jgan.UserError(
            f"loss.adversarial={loss.adversarial!r} is unknown: use one of {', '.join(losses.ADVERSARIAL)}."
        )
    if loss.adversarial_weight <= 0 and loss.lambda_a <= 0 and loss.lambda_b <= 0:
        raise jgan.UserError(
            "loss: adversarial_weight, lambda_a and lambda_b are all 0; nothing would be learnt."
        )
    if loss.pool_size < 0:
        raise jgan.UserError(f"loss.pool_size={loss.pool_size}: it must be 0 (no pool) or more.")
    a, b = config.data.channels or (3, 3)
    if loss.lambda_identity > 0 and a != b:
        raise jgan.UserError(
            f"loss.lambda_identity={loss.lambda_identity} compares a picture with its translation, but A has "
            f"{a} channels and B has {b}: set it to 0."
        )
    if config.precision not in _DTYPES:
        raise jgan.UserError(f"precision={config.precision!r} is unknown: use one of {', '.join(_DTYPES)}.")


def _nets(config: Any) -> dict[str, net_lib.Net]:
    g, d, size, dtype = config.generator, config.discriminator, config.data.size, _DTYPES[config.precision]
    a, b = config.data.channels or (3, 3)
    nets = {}
    for name, features in (("generator_ab", b), ("generator_ba", a)):
        nets[name] = generators.generator(
            g.name,
            features,
            levels=g.levels,
            ngf=g.ngf,
            norm=g.norm,
            dropout=g.dropout,
            upsample=g.upsample,
            antialias=g.antialias,
            dtype=dtype,
        )
    multiple = nets["generator_ab"].multiple
    if size % multiple:
        raise jgan.UserError(
            f"generator {g.name} trains on sizes that are multiples of {multiple}; data.size={size} is not: "
            "choose another size or fewer levels."
        )
    for name in ("discriminator_a", "discriminator_b"):
        nets[name] = discriminators.discriminator(
            d.name,
            size=(size, size),
            n_layers=d.n_layers,
            ndf=d.ndf,
            norm=config.discriminator.norm,
            antialias=d.antialias,
            dtype=dtype,
        )
    return nets


def _mean(term: Any, output: dict[str, Any]) -> jax.Array:
    """The mean of a term over patches and batch, averaged over D's scales."""
    values = [jnp.mean(term(logits)) for logits in output["logits"]]
    return sum(values) / len(values)
