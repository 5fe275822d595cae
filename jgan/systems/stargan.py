"""StarGAN: one generator between all domains, whose target is a label.

Choi et al., "StarGAN: Unified Generative Adversarial Networks for Multi-Domain Image-to-Image Translation" (2018).
Where paper and code of the authors differ this follows the code: the critic's value of an image is the sum of its
patches in the penalty and their mean elsewhere, targets are the batch's own labels in another order, and every
`n_critic`-th step updates G too, on the images and targets that D has just seen.

A label is a class, as one number for each, or several attributes. With `config.mask` attributes may be unknown (NaN):
the label then enters G as its values, 0 where they are unknown, and as a mask of what is known, one number for each
attribute or, with `config.sets`, for each data set whose attributes are known together (section 3.3, eq. 7). D's
classification is asked for what is known alone. Several data sets take their steps in turn, since the pipeline makes
each batch of one of them: G is updated in every `n_critic`-th step of each set.

State: nets `generator`, `discriminator`; groups `gen` and `dis`. Batch kind: `labelled`.
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
from jgan.nets import net as net_lib
from jgan.nets import stargan
from jgan.ops import batches as batches_lib
from jgan.ops import pixels
from jgan.ops import resample
from jgan.systems import adversarial
from jgan.systems import labels
from jgan.systems import optimiser
from jgan.systems import system


def build(config: Any) -> system.System:
    """The StarGAN system of a config as `configs/stargan.py` makes it.

    Raises:
        jgan.UserError: a name that does not exist, or values that do not fit together.
    """
    terms = adversarial.choose(config.loss)
    if config.n_critic < 1:
        raise jgan.UserError(f"n_critic={config.n_critic}: G is updated every n_critic-th step, 1 or more.")
    domains = labels.domains(config)
    generator, discriminator = _nets(config, domains.count)
    turns = max(config.steps // config.n_critic, 1)
    groups = {
        "gen": state_lib.Group(("generator",), optimiser.adam(config.optimiser, turns)),
        "dis": state_lib.Group(("discriminator",), optimiser.adam(config.optimiser, config.steps)),
    }
    made = _StarGAN(config, domains, generator, discriminator, terms, groups)
    # Whole pictures only: a label comes in at the borders of a picture, and every tile would have its own.
    way = system.Way(
        made.translate,
        inputs=("images",),
        controls={"to": domains.field},
        target="images",
        returns=("output", "back"),
    )
    return system.System(made.init, made.step, made.plan, ways={"translate": way})


@dataclasses.dataclass(frozen=True)
class _StarGAN:
    """The functions of the system; all of them are pure."""

    config: Any
    domains: labels.Domains
    generator: net_lib.Net
    discriminator: net_lib.Net
    terms: losses.Adversarial
    groups: dict[str, state_lib.Group]

    def plan(self, step: int) -> tuple[str, ...]:
        turn = step // max(len(self.config.sets), 1)  # each set has one step in a turn
        return ("dis", "gen") if (turn + 1) % self.config.n_critic == 0 else ("dis",)

    def init(self, key: jax.Array, batch: dict[str, jax.Array]) -> state_lib.State:
        k_gen, k_dis = jax.random.split(key)
        images, params, stats = pixels.to_float(batch["images"]), {}, {}
        shown = self.domains.shown(self.domains.vector(batch["label"], images.dtype))
        params["generator"], stats["generator"] = self.generator.init(k_gen, images, shown)
        params["discriminator"], stats["discriminator"] = self.discriminator.init(k_dis, images)
        return state_lib.create(self.groups, params, stats, ("generator",) if self.config.ema else ())

    def step(
        self, state: state_lib.State, batch: dict[str, jax.Array], key: jax.Array, updates: tuple[str, ...]
    ) -> tuple[state_lib.State, dict[str, jax.Array]]:
        k_target, k_penalty = jax.random.split(key)
        real = pixels.to_float(batch["images"])
        own = self.domains.vector(batch["label"], real.dtype)
        target = own[jax.random.permutation(k_target, real.shape[0])]
        metrics = {"learning_rate": optimiser.rate(self.config.optimiser, self.config.steps, state.step)}
        made = functools.partial(self.translated, images=real, label=target)
        if "gen" in updates:
            fake, again = state_lib.once(made, state.params["generator"])
        else:
            fake = made(state.params["generator"])
        if "dis" in updates:
            dis_loss = functools.partial(self.dis_loss, real, own, fake, k_penalty)
            state, aux = state_lib.update(state, self.groups, "dis", dis_loss)
            metrics |= aux
        if "gen" in updates:
            gen_loss = functools.partial(self.gen_loss, state, real, own, target, again)
            state, aux = state_lib.update(state, self.groups, "gen", gen_loss)
            state = state_lib.average(state, self.config.ema)
            metrics |= aux
        return dataclasses.replace(state, step=state.step + 1), metrics

    def translated(self, params: Any, images: jax.Array, label: jax.Array, statistics: str = "batch") -> Any:
        """Images that G makes of images [n, h, w, c] for labels [n, k]."""
        output, _ = self.generator.apply(params, {}, images, self.domains.shown(label), statistics=statistics)
        return output

    def judged(self, params: Any, images: jax.Array) -> dict[str, Any]:
        """What D says of images."""
        return self.discriminator.apply(params, {}, images)[0]

    def dis_loss(
        self, real: jax.Array, own: jax.Array, fake: jax.Array, key: jax.Array, params: Any
    ) -> tuple[jax.Array, Any]:
        """What D pays: eq. 5 with the penalty of eq. 8 (there 1 and 6)."""
        d = params["discriminator"]
        # D has no norms: both pass it together.
        on_real, on_fake = batches_lib.split(self.judged(d, batches_lib.join(real, fake)), 2)
        value, aux = adversarial.discriminator(self.terms, on_fake, on_real)
        aux["d_classes"] = self.domains.loss(on_real["classes"], own)
        extra, reported = adversarial.penalty(
            self.config.loss, lambda x: _summed(self.judged(d, x)), real, fake, key
        )
        value += extra + self.config.loss.lambda_classes * aux["d_classes"]
        return value, ({}, aux | reported | {"d_loss": value})

    def gen_loss(
        self,
        state: state_lib.State,
        real: jax.Array,
        own: jax.Array,
        target: jax.Array,
        again: Callable[[Any], jax.Array],
        params: Any,
    ) -> tuple[jax.Array, Any]:
        """What G pays: eq. 6 with the cycle of eq. 4."""
        fake, loss = again(params["generator"]), self.config.loss
        output = self.judged(state.params["discriminator"], fake)
        restored = self.translated(params["generator"], fake, own)
        aux = {
            "g_adversarial": adversarial.mean(self.terms.generator, output),
            "g_classes": self.domains.loss(output["classes"], target),
            "g_cycle": jnp.mean(losses.l1(restored, real)),
        }
        value = (
            aux["g_adversarial"] + loss.lambda_classes * aux["g_classes"] + loss.lambda_cycle * aux["g_cycle"]
        )
        return value, ({}, aux | {"g_loss": value})

    def translate(
        self,
        weights: dict[str, Any],
        inputs: dict[str, jax.Array],
        key: jax.Array | None = None,
        *,
        statistics: str = "image",
        dropout: bool = False,
    ) -> dict[str, jax.Array]:
        """{"output", "back"}: what `inputs["images"]` of any height and width become under `to`, and come back as.

        What `to` leaves open is as D sees it in the picture, and `back` is made for the label that D gave the picture.
        """
        images, size = pixels.to_float(inputs["images"]), self.config.data.size
        seen = images
        if images.shape[1:3] != (size, size):
            shape = (images.shape[0], size, size, images.shape[3])
            seen = jax.image.resize(images, shape, "linear").astype(images.dtype)
        own = self.domains.named(self.judged(weights["params"]["discriminator"], seen)["classes"])
        own, to = self.domains.asked(own, inputs.get("to"))
        outputs, x = {}, resample.pad_to_multiple(images, self.generator.multiple)
        for name, label in (("output", to), ("back", own)):
            x = self.translated(weights["params"]["generator"], x, label, statistics)
            outputs[name] = resample.crop_centre(x, images.shape[1], images.shape[2])
        return outputs


def _summed(output: dict[str, Any]) -> dict[str, Any]:
    """D's output with one logit for an image, the sum of its patches."""
    return {"logits": [jnp.sum(logits, (1, 2, 3)) for logits in output["logits"]]}


def _nets(config: Any, count: int) -> tuple[net_lib.Net, net_lib.Net]:
    g, d, dtype = config.generator, config.discriminator, adversarial.dtype(config.precision)
    channels, size = (config.data.channels or (3,))[0], config.data.size
    generator = stargan.generator(features=channels, blocks=g.blocks, ngf=g.ngf, down=g.down, dtype=dtype)
    if size % generator.multiple:
        raise jgan.UserError(
            f"data.size={size}: the generator trains on multiples of {generator.multiple} pixels."
        )
    return generator, stargan.discriminator(
        size=size, classes=count, n_layers=d.n_layers, ndf=d.ndf, dtype=dtype
    )
