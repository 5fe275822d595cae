"""Progressive GAN: images from codes, by nets that begin with 4x4 pixels and grow while they learn.

Karras et al., "Progressive Growing of GANs for Improved Quality, Stability, and Variation" (2018). Pictures of one size
are learnt for a number of images, then those of the next fade in during as many, in G, in D and in the real images. The
objective is WGAN-GP with a drift term (appendix A.1), D is updated before G, each on codes of its own, and the moments
of both optimisers start anew whenever a fade begins or ends, as in the authors' code.

The names of `updates` hold the size that a step computes, `dis@16` and `gen@16`, so that a run compiles one program for
each size. How far a fade has come is traced; after it the program is the same.

State: nets `generator`, `discriminator`; groups `gen` and `dis`; statistics `level` of the generator, the number of
doublings of 4 px that the last step had reached. Whatever makes or judges pictures of full size reads it: a picture of
16 px is shown with every pixel as a block. Batch kind: `images`.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp

import jgan
from jgan import losses
from jgan import state as state_lib
from jgan.nets import net as net_lib
from jgan.nets import progressive as nets_lib
from jgan.nets import stylegan2
from jgan.ops import pixels
from jgan.systems import adversarial
from jgan.systems import latent
from jgan.systems import optimiser
from jgan.systems import prior as priors
from jgan.systems import system


def build(config: Any) -> system.System:
    """The Progressive GAN of a config as `configs/progressive.py` makes it.

    Raises:
        jgan.UserError: values that make no sense, or do not fit together.
    """
    prior = priors.prior("normal", config.latent.nz)
    g, d, size = config.generator, config.discriminator, config.data.size
    generator = nets_lib.generator(
        size=size,
        features=(config.data.channels or (3,))[0],
        channel_base=g.channel_base,
        channel_max=g.channel_max,
    )
    discriminator = nets_lib.discriminator(
        size=size,
        channel_base=d.channel_base,
        channel_max=d.channel_max,
        mbstd_group_size=d.mbstd_group,
    )
    _check(config)
    adam = optimiser.adam(config.optimiser, config.steps)
    groups = {
        "gen": state_lib.Group(("generator",), adam),
        "dis": state_lib.Group(("discriminator",), adam),
    }
    made = _Progressive(config, Growth.of(config), generator, discriminator, prior, groups)
    draws = latent.Generator(generator._replace(apply=made.shown), prior, config.latent.nz)
    return system.System(
        made.init,
        made.step,
        made.plan,
        ways={"sample": draws.way()},
        spaces={"z": system.Codes(draws.space, judge=made.judge)},
        statistics=lambda step: "running",
        phases=made.growth.phases(config.steps),
    )


@dataclasses.dataclass(frozen=True)
class Growth:
    """When a run works on which size.

    Attributes:
        first: doublings of 4 px at which it begins.
        last: doublings at which it ends.
        stable: steps at every size.
        fade: steps in which the next size comes in.
    """

    first: int
    last: int
    stable: int
    fade: int

    @classmethod
    def of(cls, config: Any) -> "Growth":
        """That of a config; a phase has one step at least."""
        first, last = (len(_sizes(config, r)) - 1 for r in (config.growth.start, config.data.size))
        stable, fade = (
            max(round(1000 * kimg / config.batch_size), 1)
            for kimg in (config.growth.stable_kimg, config.growth.fade_kimg)
        )
        return cls(first, last, stable, fade)

    def begins(self, top: int) -> int:
        """The first step, from 0, of a number of doublings: that of its fade, where it has one."""
        return max(self.stable + (top - self.first - 1) * (self.stable + self.fade), 0)

    def top(self, step: int) -> int:
        """How many doublings a step computes."""
        return max(k for k in range(self.first, self.last + 1) if self.begins(k) <= step or k == self.first)

    def level(self, top: int, step: jax.Array, dtype: Any) -> jax.Array:
        """The level of a step that computes `top` doublings: a fade has come as far as in the middle of the step."""
        if top == self.first:
            return jnp.asarray(top, dtype)
        done = (step.astype(dtype) - self.begins(top) + 0.5) / self.fade
        return top - 1 + jnp.clip(done, 0, 1)

    def changes(self, top: int, step: jax.Array) -> jax.Array:
        """Whether other blocks count in a step than in the one before, because its fade begins or has ended."""
        if top == self.first:
            return jnp.asarray(False)
        first = self.begins(top)
        return (step == first) | (step == first + self.fade)

    def phases(self, steps: int) -> dict[str, range]:
        """{what a run of so many steps does: its steps}."""
        found = {}
        for k in range(self.first, self.last + 1):
            begin, size = self.begins(k), 4 << k
            if k > self.first:
                found[f"fade to {size} px"] = range(begin, begin + self.fade)
                begin += self.fade
            found[f"{size} px"] = range(begin, self.begins(k + 1) if k < self.last else steps)
        found = {name: range(x.start, min(x.stop, steps)) for name, x in found.items()}
        return {name: x for name, x in found.items() if x}


@dataclasses.dataclass(frozen=True)
class _Progressive:
    """The functions of the system; all of them are pure."""

    config: Any
    growth: Growth
    generator: net_lib.Net
    discriminator: net_lib.Net
    prior: priors.Prior
    groups: dict[str, state_lib.Group]

    def plan(self, step: int) -> tuple[str, ...]:
        size = 4 << self.growth.top(step)
        return f"dis@{size}", f"gen@{size}"

    def init(self, key: jax.Array, batch: dict[str, jax.Array]) -> state_lib.State:
        k_gen, k_dis = jax.random.split(key)
        images, level = pixels.to_float(batch["images"]), float(self.growth.first)
        codes = jnp.zeros((images.shape[0], self.config.latent.nz), images.dtype)
        params = {
            "generator": self.generator.init(k_gen, codes, level)[0],
            "discriminator": self.discriminator.init(k_dis, images, level)[0],
        }
        stats = {"generator": {"level": jnp.asarray(level, jnp.float32)}, "discriminator": {}}
        return state_lib.create(self.groups, params, stats, ("generator",) if self.config.ema else ())

    def step(
        self, state: state_lib.State, batch: dict[str, jax.Array], key: jax.Array, updates: tuple[str, ...]
    ) -> tuple[state_lib.State, dict[str, jax.Array]]:
        size = int(updates[0].partition("@")[2])
        top = len(_sizes(self.config, size)) - 1
        real = nets_lib.shrunk(pixels.to_float(batch["images"]), size)
        level = self.growth.level(top, state.step, real.dtype)
        real = nets_lib.faded(real, level, top)
        k_dis, k_gen, k_penalty = jax.random.split(key, 3)
        rate = optimiser.rate(self.config.optimiser, self.config.steps, state.step)
        metrics = {"learning_rate": rate, "size": 4 * 2 ** level.astype(jnp.float32)}
        new = self.growth.changes(top, state.step)
        opt = {name: optimiser.forgotten(x, new) for name, x in state.opt.items()}
        state = dataclasses.replace(state, opt=opt)
        # G's loss must see the updated D, so it is taken only then.
        for name, loss_fn in (
            ("dis", functools.partial(self.dis_loss, real, level, top, k_dis, k_penalty)),
            ("gen", functools.partial(self.gen_loss, real, level, top, k_gen)),
        ):
            state, aux = state_lib.update(state, self.groups, name, functools.partial(loss_fn, state))
            metrics |= aux
        state = state_lib.average(state, self.config.ema)
        return dataclasses.replace(state, step=state.step + 1), metrics

    def fake(self, real: jax.Array, level: jax.Array, top: int, key: jax.Array, params: Any) -> jax.Array:
        """As many images as there are real ones, as large, from new codes."""
        z = self.prior.draw(key, (real.shape[0], self.config.latent.nz), real.dtype)
        return self.generator.apply(params, {}, z, level, max(top - 1, 0), top)[0]

    def judged(self, params: Any, images: jax.Array, level: jax.Array, top: int) -> dict[str, Any]:
        """What D says of images."""
        return self.discriminator.apply(params, {}, images, level, max(top - 1, 0), top)[0]

    def dis_loss(
        self,
        real: jax.Array,
        level: jax.Array,
        top: int,
        k_fake: jax.Array,
        k_penalty: jax.Array,
        state: state_lib.State,
        params: Any,
    ) -> tuple[jax.Array, Any]:
        """What D pays: the distance, the penalty of slopes other than 1, and the drift from 0 (appendix A.1)."""
        d, loss = params["discriminator"], self.config.loss
        fake = jax.lax.stop_gradient(self.fake(real, level, top, k_fake, state.params["generator"]))
        # Apart, because the standard deviation of a minibatch ties its examples together.
        on_fake, on_real = (self.judged(d, x, level, top) for x in (fake, real))
        value, aux = adversarial.discriminator(losses.WGAN, on_fake, on_real)
        slopes = losses.gradient_penalty(
            lambda x: self.judged(d, x, level, top)["logits"][0], real, fake, k_penalty
        )
        aux |= {"d_penalty": jnp.mean(slopes), "d_drift": adversarial.mean(jnp.square, on_real)}
        value += loss.gradient_penalty * aux["d_penalty"] + loss.drift * aux["d_drift"]
        return value, ({}, aux | {"d_loss": value})

    def gen_loss(
        self,
        real: jax.Array,
        level: jax.Array,
        top: int,
        key: jax.Array,
        state: state_lib.State,
        params: Any,
    ) -> tuple[jax.Array, Any]:
        """What G pays."""
        fake = self.fake(real, level, top, key, params["generator"])
        output = self.judged(state.params["discriminator"], fake, level, top)
        value = adversarial.mean(losses.WGAN.generator, output)
        kept = jax.lax.stop_gradient(level).astype(jnp.float32)
        return value, ({"generator": {"level": kept}}, {"g_loss": value})

    def shown(self, params: Any, stats: Any, z: jax.Array, *, statistics: str = "running") -> tuple[Any, Any]:
        """(images [n, size, size, c] of codes [n, nz] as far as G has grown, statistics): as a net of full size."""
        return self.generator.apply(params, {}, z, stats["level"])[0], stats

    def judge(self, weights: dict[str, Any], images: jax.Array, given: dict[str, Any]) -> dict[str, Any]:
        """What D says of images [n, size, size, c], each by itself, as far as it has grown."""

        # One at a time, because the statistics of a minibatch tie its examples together.
        def one(image: jax.Array) -> dict[str, Any]:
            level = weights["stats"]["generator"]["level"]
            return self.discriminator.apply(weights["params"]["discriminator"], {}, image[None], level)[0]

        return jax.tree.map(lambda x: x[:, 0], jax.vmap(one)(pixels.to_float(images)))


def _sizes(config: Any, last: int) -> list[int]:
    """The sizes that pictures of `last` px pass, 4 px first."""
    return [r for r in stylegan2.resolutions(config.data.size) if r <= last]


def _check(config: Any) -> None:
    """Refuses numbers that make no sense with a `jgan.UserError`."""
    n, group, growth = config.batch_size, config.discriminator.mbstd_group, config.growth
    sizes = stylegan2.resolutions(config.data.size)
    if growth.start not in sizes:
        raise jgan.UserError(
            f"growth.start={growth.start}: pictures of data.size={config.data.size} begin with "
            f"{', '.join(map(str, sizes))} px."
        )
    for name, value in (("stable_kimg", growth.stable_kimg), ("fade_kimg", growth.fade_kimg)):
        if not 0 < value < float("inf"):
            raise jgan.UserError(f"growth.{name}={value}: thousands of images, above 0, would work.")
    for name, value in (("gradient_penalty", config.loss.gradient_penalty), ("drift", config.loss.drift)):
        if value < 0:
            raise jgan.UserError(f"loss.{name}={value}: it must be 0 or more.")
    if group < 1 or n % min(group, n):
        raise jgan.UserError(
            f"batch_size={n} is no multiple of discriminator.mbstd_group={group}, the examples that D compares: "
            f"batch_size={-(-n // max(group, 1)) * max(group, 1)} would work."
        )
