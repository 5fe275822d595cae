"""A segmenter: the class of every pixel of a photo, learnt from pairs of photos and label maps.

It judges what other systems make of label maps, as the FCN score of Isola et al., "Image-to-Image Translation with
Conditional Adversarial Networks" (2017), section 3.3: if a generated photo looks real, a net that was trained on real
photos finds in it the classes that it was made from. The loss is that of Long, Shelhamer, Darrell, "Fully
convolutional networks for semantic segmentation" (2015): the cross entropy, as a mean over pixels.

State: net `segmenter`; group `seg`. Batch kind: `aligned`, input `a` (photos), target `b` (labels in plain colours).
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jgan
from jgan import state as state_lib
from jgan.nets import generators
from jgan.nets import net as net_lib
from jgan.ops import pixels
from jgan.ops import resample
from jgan.systems import adversarial
from jgan.systems import optimiser
from jgan.systems import system


def build(config: Any) -> system.System:
    """The segmenter of a config as `configs/segmenter.py` makes it.

    Raises:
        jgan.UserError: a name that does not exist, sizes that do not fit together, or a palette without classes.
    """
    colours = config.palette.colours
    if len(colours) < 2:
        raise jgan.UserError(
            "the palette has fewer than two classes: --config.palette.file=FILE.json would name them."
        )
    if (config.data.channels or (3, 3))[1] != 3:
        raise jgan.UserError(
            f"classes are told by colours of 3 channels, and the label maps have {config.data.channels[1]}."
        )
    size, dtype = config.data.size, adversarial.dtype(config.precision)
    net = generators.of(config.generator, len(colours), size, dtype, logits=True)
    groups = {"seg": state_lib.Group(("segmenter",), optimiser.adam(config.optimiser, config.steps))}
    made = _Segmenter(config, net, groups, np.asarray(colours, np.float32) / 127.5 - 1)
    way = system.Way(made.segment, inputs=("a",), target="b", tiling=system.Tiling(net.multiple))
    return system.System(
        made.init,
        made.step,
        plan=lambda step: ("seg",),
        ways={config.data.direction: way},
        # One judge for all pictures: by statistics of its own a flat picture would be stretched to those of a real one.
        statistics=lambda step: "running",
    )


@dataclasses.dataclass(frozen=True)
class _Segmenter:
    """The functions of the system; all of them are pure."""

    config: Any
    net: net_lib.Net
    groups: dict[str, state_lib.Group]
    colours: np.ndarray  # [classes, 3] in [-1, 1]

    def classes(self, labels: jax.Array) -> jax.Array:
        """The class of each pixel [n, h, w] of label maps: the nearest colour of the palette."""
        distance = jnp.sum(self.colours**2, 1) - 2 * pixels.to_float(labels) @ self.colours.T
        return jnp.argmin(distance, -1)

    def init(self, key: jax.Array, batch: dict[str, jax.Array]) -> state_lib.State:
        params, stats = self.net.init(key, pixels.to_float(batch["a"]))
        return state_lib.create(self.groups, {"segmenter": params}, {"segmenter": stats})

    def step(
        self, state: state_lib.State, batch: dict[str, jax.Array], key: jax.Array, updates: tuple[str, ...]
    ) -> tuple[state_lib.State, dict[str, jax.Array]]:
        photos, classes = pixels.to_float(batch["a"]), self.classes(batch["b"])

        def loss(params: Any) -> tuple[jax.Array, Any]:
            logits, stats = self.net.apply(params["segmenter"], state.stats["segmenter"], photos, dropout=key)
            value = jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, classes))
            right = jnp.mean((jnp.argmax(logits, -1) == classes).astype(jnp.float32))
            return value, ({"segmenter": stats}, {"loss": value, "pixel_accuracy": right})

        rate = optimiser.rate(self.config.optimiser, self.config.steps, state.step)
        state, metrics = state_lib.update(state, self.groups, "seg", loss)
        return dataclasses.replace(state, step=state.step + 1), metrics | {"learning_rate": rate}

    def segment(
        self,
        weights: dict[str, Any],
        inputs: dict[str, jax.Array],
        key: jax.Array | None = None,
        *,
        statistics: str = "image",
        dropout: bool = False,
    ) -> dict[str, jax.Array]:
        """{"output": the label map [n, h, w, 3] in [-1, 1], in colours of the palette, of photos of any size}."""
        a = pixels.to_float(inputs["a"])
        logits, _ = self.net.apply(
            weights["params"]["segmenter"],
            weights["stats"]["segmenter"],
            resample.pad_to_multiple(a, self.net.multiple),
            statistics=statistics,
            dropout=key if dropout else None,
        )
        made = jnp.asarray(self.colours)[jnp.argmax(logits, -1)]
        return {"output": resample.crop_centre(made, a.shape[1], a.shape[2])}
