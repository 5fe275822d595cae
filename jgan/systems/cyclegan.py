"""CycleGAN: unpaired image translation by two GANs that undo each other.

Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks" (2017). Where the
authors' Torch and PyTorch lines differ this follows PyTorch: both generators take one joint step, then both
discriminators, which judge fakes from a pool of earlier ones (made before that step). The losses fall into a part for
each domain, its images there and back; the parts are computed one after the other.

State: nets `generator_ab`, `generator_ba` and, unless the adversarial weight is 0, `discriminator_a` and
`discriminator_b`, each named by what it judges; groups `gen` and `dis`; aux `pool_a` and `pool_b`.
Batch kind: `unaligned`, images `a` and `b` of two domains.
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
from jgan.ops import batches as batches_lib
from jgan.ops import pixels
from jgan.ops import resample
from jgan.systems import adversarial
from jgan.systems import optimiser
from jgan.systems import system

# Of the images of a domain: the net they enter, the net that brings them back, and who judges what they became.
_WAYS = {
    "a": ("generator_ab", "generator_ba", "discriminator_b"),
    "b": ("generator_ba", "generator_ab", "discriminator_a"),
}
_OTHER = {
    "generator_ab": "generator_ba",
    "generator_ba": "generator_ab",
    "discriminator_a": "discriminator_b",
    "discriminator_b": "discriminator_a",
}
# The emitters that XLA on CPU has for fused loops hold 100 KiB and more for each of the two thousand here, while
# compiling far more, and make them no faster.
_COMPILER_OPTIONS = {**system.COMPILER_OPTIONS, "xla_cpu_use_fusion_emitters": False}


def build(config: Any) -> system.System:
    """The CycleGAN system of a config as `configs/cyclegan.py` makes it.

    Raises:
        jgan.UserError: a name that does not exist, or values that do not fit together.
    """
    loss = config.loss
    judging = adversarial.choose(loss)
    _check(config)
    gan = loss.adversarial_weight > 0
    # The identity terms are shares of the cycle terms of the domain they act on; 0 saves their passes.
    weights = {"a": loss.lambda_a, "b": loss.lambda_b}
    terms = {x: {"cycle": weights[x], "identity": loss.lambda_identity * weights[y]} for x, y in ("ab", "ba")}
    terms = {x: {term: weight for term, weight in of_x.items() if weight > 0} for x, of_x in terms.items()}
    adam = optimiser.adam(config.optimiser, config.steps)
    groups = {"gen": state_lib.Group(("generator_ab", "generator_ba"), adam)}
    if gan:
        groups["dis"] = state_lib.Group(("discriminator_a", "discriminator_b"), adam)
    channels = config.data.channels or (3, 3)
    alike = channels[0] == channels[1] and terms["a"].keys() == terms["b"].keys()
    made = _CycleGAN(config, _nets(config), judging, groups, terms, alike)
    updates = ("gen", "dis") if gan else ("gen",)
    return system.System(
        made.init,
        made.step,
        plan=lambda step: updates,
        ways={f"{x.upper()}to{y.upper()}": made.way(x, y) for x, y in ("ab", "ba")},
        compiler_options=_COMPILER_OPTIONS,
    )


@dataclasses.dataclass(frozen=True)
class _CycleGAN:
    """The functions of the system; all of them are pure."""

    config: Any
    nets: dict[str, net_lib.Net]
    judging: losses.Adversarial
    groups: dict[str, state_lib.Group]
    terms: dict[str, dict[str, float]]
    alike: bool

    @property
    def gan(self) -> bool:
        """Whether there are discriminators."""
        return "dis" in self.groups

    def init(self, key: jax.Array, batch: dict[str, jax.Array]) -> state_lib.State:
        images = {"a": pixels.to_float(batch["a"]), "b": pixels.to_float(batch["b"])}
        seen = {"generator_ab": "a", "generator_ba": "b", "discriminator_a": "a", "discriminator_b": "b"}
        params, stats = {}, {}
        for k, (name, domain) in enumerate(seen.items()):
            if self.gan or name in self.groups["gen"].nets:
                params[name], stats[name] = self.nets[name].init(jax.random.fold_in(key, k), images[domain])
        ema = self.groups["gen"].nets if self.config.ema else ()
        size, pools = self.config.loss.pool_size, {}
        if self.gan and size > 0:
            pools = {f"pool_{x}": empty_pool(size, images[x].shape[1:]) for x in "ab"}
        return state_lib.create(self.groups, params, stats, ema, pools)

    def step(
        self, state: state_lib.State, batch: dict[str, jax.Array], key: jax.Array, updates: tuple[str, ...]
    ) -> tuple[state_lib.State, dict[str, jax.Array]]:
        k_pool_a, k_pool_b, k_penalty_a, k_penalty_b, k_dropout = jax.random.split(key, 5)
        real = {x: pixels.to_float(batch[x]) for x in "ab"}
        rate = optimiser.rate(self.config.optimiser, self.config.steps, state.step)
        gen_loss = functools.partial(self.gen_loss, state, real, k_dropout)
        state, (metrics, fakes) = state_lib.update(state, self.groups, "gen", gen_loss)
        if "dis" in updates:
            if state.aux:
                pools = dict(state.aux)
                pools["pool_a"], fakes["a"] = draw(pools["pool_a"], fakes["a"], k_pool_a)
                pools["pool_b"], fakes["b"] = draw(pools["pool_b"], fakes["b"], k_pool_b)
                state = dataclasses.replace(state, aux=pools)
            dis_loss = functools.partial(self.dis_loss, state, real, fakes, (k_penalty_a, k_penalty_b))
            state, aux = state_lib.update(state, self.groups, "dis", dis_loss)
            metrics |= aux
        state = state_lib.average(state, self.config.ema)
        return dataclasses.replace(state, step=state.step + 1), metrics | {"learning_rate": rate}

    def both(
        self,
        loss_fn: Callable[..., tuple[jax.Array, Any]],
        state: state_lib.State,
        params: dict[str, Any],
        turns: list[dict[str, Any]],
    ) -> tuple[jax.Array, Any]:
        """The sum of a loss over the two domains, the statistics after it, and its metrics of each.

        Where the domains are of one kind, one program serves both: in the second turn the nets take each other's
        places. Half the instructions to compile and to keep, and the activations of one turn in memory at a time.
        """
        if not self.alike:
            weights = {**state.params, **params}
            value_a, (stats, reported_a) = loss_fn(weights, state.stats, turns[0], "a")
            value_b, (stats, reported_b) = loss_fn(weights, stats, turns[1], "b")
            return value_a + value_b, (stats, (reported_a, reported_b))

        def one(params: dict[str, Any], stats: dict[str, Any], turn: dict[str, Any]) -> Any:
            exchange = functools.partial(_exchange, turn["second"])
            value, (stats, reported) = loss_fn(exchange({**state.params, **params}), exchange(stats), turn)
            return value, (exchange(stats), reported)

        stacked = jax.tree.map(lambda *x: jnp.stack([jnp.asarray(y) for y in x]), *turns)
        stacked["second"] = jnp.array([False, True])
        value, (stats, reported) = state_lib.accumulate(one, state.stats, stacked)(params)
        return value, (stats, tuple(jax.tree.map(lambda x, k=k: x[k], reported) for k in range(2)))

    def gen_loss(
        self, state: state_lib.State, real: dict[str, jax.Array], key: jax.Array, params: Any
    ) -> tuple[jax.Array, Any]:
        """What both generators pay together."""
        keys = jax.random.split(key)
        turns = [
            {"real": real[x], "other": real[y], "key": k, **self.terms[x]}
            for (x, y), k in zip(("ab", "ba"), keys, strict=True)
        ]
        value, (stats, ((reported_a, fake_b), (reported_b, fake_a))) = self.both(
            self.there_and_back, state, params, turns
        )
        aux = {}
        for x, y, reported in (("a", "b", reported_a), ("b", "a", reported_b)):
            aux |= {f"g_{term}_{x if term == 'cycle' else y}": reported[term] for term in reported}
        return value, (stats, (aux | {"g_loss": value}, {"a": fake_a, "b": fake_b}))

    def dis_loss(
        self,
        state: state_lib.State,
        real: dict[str, jax.Array],
        fakes: dict[str, jax.Array],
        keys: tuple[jax.Array, jax.Array],
        params: Any,
    ) -> tuple[jax.Array, Any]:
        """What both discriminators pay together."""
        turns = [{"real": real[x], "fake": fakes[x], "key": k} for x, k in zip("ab", keys, strict=True)]
        value, (stats, ((reported_a, right_a), (reported_b, right_b))) = self.both(
            self.judgement, state, params, turns
        )
        aux = {
            f"d_{name}_{x}": reported[name]
            for x, reported in (("a", reported_a), ("b", reported_b))
            for name in reported
        }
        aux |= {f"d_accuracy_{name}": (right_a[name] + right_b[name]) / 2 for name in right_a}
        return value, (stats, aux | {"d_loss": value})

    def there_and_back(
        self, weights: dict[str, Any], stats: dict[str, Any], turn: dict[str, Any], domain: str = "a"
    ) -> tuple[jax.Array, Any]:
        """What G pays for the images of one domain."""
        there, back, judge = _WAYS[domain]
        stats, reported, value = dict(stats), {}, 0.0

        def translate(net: str, *batches: jax.Array) -> list[jax.Array]:
            outputs, stats[net] = _pass(
                self.nets[net],
                weights[net],
                stats[net],
                *batches,
                norm=self.config.generator.norm,
                dropout=jax.random.fold_in(turn["key"], net == back),
                remat=self.config.remat,
            )
            return outputs

        # What passes the same net passes together; to real images no gradient leads.
        keeps = "identity" in self.terms[domain]
        fake, *same = translate(there, turn["real"], *([turn["other"]] if keeps else []))
        if self.gan:
            output, stats[judge] = self.nets[judge].apply(weights[judge], stats[judge], fake)
            reported["adversarial"] = adversarial.mean(self.judging.generator, output)
            value += self.config.loss.adversarial_weight * reported["adversarial"]
        if "cycle" in self.terms[domain]:
            (restored,) = translate(back, fake)
            reported["cycle"] = jnp.mean(losses.l1(restored, turn["real"]))
            value += turn["cycle"] * reported["cycle"]
        if keeps:
            reported["identity"] = jnp.mean(losses.l1(same[0], turn["other"]))
            value += turn["identity"] * reported["identity"]
        return value, (stats, (reported, fake))

    def judgement(
        self, weights: dict[str, Any], stats: dict[str, Any], turn: dict[str, Any], domain: str = "a"
    ) -> tuple[jax.Array, Any]:
        """What D pays for the images of one domain."""
        judge = f"discriminator_{domain}"
        d, norm = self.nets[judge], self.config.discriminator.norm
        (on_real, on_fake), changed = _pass(
            d, weights[judge], stats[judge], turn["real"], turn["fake"], norm=norm
        )
        value, right = adversarial.discriminator(self.judging, on_fake, on_real)
        extra, reported = adversarial.penalty(
            self.config.loss,
            lambda image: d.apply(weights[judge], changed, image)[0],
            turn["real"],
            turn["fake"],
            turn["key"],
        )
        reported = {name.removeprefix("d_"): x for name, x in reported.items()} | {
            "loss": 0.5 * (value + extra)
        }
        right = {name: right[f"d_accuracy_{name}"] for name in ("real", "fake")}
        return reported["loss"], ({**stats, judge: changed}, (reported, right))

    def way(self, source: str, target: str) -> system.Way:
        """The translation of one domain into the other, and back."""
        there, back, _ = _WAYS[source]

        def run(
            weights: dict[str, Any],
            inputs: dict[str, jax.Array],
            key: jax.Array | None = None,
            *,
            statistics: str = "image",
            dropout: bool = False,
        ) -> dict[str, jax.Array]:
            """{"output", "back"}: translation and round trip, in [-1, 1], of images of any height and width."""
            image = pixels.to_float(inputs[source])
            x, outputs = resample.pad_to_multiple(image, self.nets[there].multiple), {}
            for k, (net, name) in enumerate(((there, "output"), (back, "back"))):
                x, _ = self.nets[net].apply(
                    weights["params"][net],
                    weights["stats"][net],
                    x,
                    statistics=statistics,
                    dropout=jax.random.fold_in(key, k) if dropout else None,
                )
                outputs[name] = resample.crop_centre(x, image.shape[1], image.shape[2])
            return outputs

        def gather(weights: dict[str, Any], inputs: dict[str, jax.Array]) -> dict[str, Any]:
            x = resample.pad_to_multiple(pixels.to_float(inputs[source]), self.nets[there].multiple)
            _, stats = self.nets[there].apply(
                weights["params"][there], weights["stats"][there], x, statistics="gather"
            )
            return {**weights, "stats": {**weights["stats"], there: stats}}

        net = self.nets[there]
        return system.Way(
            run,
            inputs=(source,),
            target=target,
            returns=("output", "back"),
            tiling=system.Tiling(net.multiple, net.radius, gather),
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

    With `remat` the backward pass keeps no activations of a forward pass but computes them again.
    """
    apply = jax.checkpoint(net.apply) if remat else net.apply
    if layers.is_batch(norm):  # it would mix the batches: each has a pass of its own
        outputs = []
        for k, batch in enumerate(batches):
            key = None if dropout is None else jax.random.fold_in(dropout, k)
            output, stats = apply(params, stats, batch, dropout=key)
            outputs.append(output)
        return outputs, stats
    joint, stats = apply(params, stats, batches_lib.join(*batches), dropout=dropout)
    return batches_lib.split(joint, len(batches)), stats


def _exchange(really: jax.Array, trees: dict[str, Any]) -> dict[str, Any]:
    """Of each net what belongs to the net of the other direction or domain, or, where not `really`, its own."""
    return {
        net: jax.tree.map(lambda own, other: jnp.where(really, other, own), tree, trees[_OTHER[net]])
        for net, tree in trees.items()
    }


def _check(config: Any) -> None:
    loss = config.loss
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


def _nets(config: Any) -> dict[str, net_lib.Net]:
    g, d, size, dtype = (
        config.generator,
        config.discriminator,
        config.data.size,
        adversarial.dtype(config.precision),
    )
    a, b = config.data.channels or (3, 3)
    nets = {name: generators.of(g, n, size, dtype) for name, n in (("generator_ab", b), ("generator_ba", a))}
    return nets | {
        name: discriminators.of(d, size, d.norm, dtype) for name in ("discriminator_a", "discriminator_b")
    }
