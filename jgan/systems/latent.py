"""A generator of pictures from codes alone, as a way and a space of a system; what GAN and DCGAN share."""

from collections.abc import Callable
from typing import Any
from typing import NamedTuple

import jax

from jgan import fields
from jgan import space
from jgan.nets import net as net_lib
from jgan.ops import pixels
from jgan.systems import prior as priors
from jgan.systems import system


class Generator(NamedTuple):
    """The net `generator` of a system, from codes [n, nz] that a prior draws to images."""

    net: net_lib.Net
    prior: priors.Prior
    nz: int

    def images(self, weights: dict[str, Any], z: jax.Array, statistics: str = "running") -> jax.Array:
        """The images [n, size, size, c] in [-1, 1] of codes [n, nz]."""
        made, _ = self.net.apply(
            weights["params"]["generator"], weights["stats"]["generator"], z, statistics=statistics
        )
        return made

    def space(self, weights: dict[str, Any], given: dict[str, Any]) -> space.Space:
        """The space of the codes, as `system.Codes` has it."""
        return priors.make_space(self.prior, self.nz, lambda z: self.images(weights, z))

    def way(self) -> system.Way:
        """The way from codes to images; one code is drawn where none is set."""

        def run(
            weights: dict[str, Any],
            inputs: dict[str, jax.Array],
            key: jax.Array | None = None,
            *,
            statistics: str = "running",
            dropout: bool = False,
        ) -> dict[str, jax.Array]:
            """{"output": [n, size, size, c] in [-1, 1]} of the codes `inputs["z"]` [n, nz]."""
            z = inputs["z"] if "z" in inputs else self.prior.draw(key, (1, self.nz))
            return {"output": self.images(weights, z, statistics)}

        return system.Way(run, controls={"z": fields.Code(("z",))}, target="images")


def judge(net: net_lib.Net) -> Callable[..., dict[str, Any]]:
    """`system.Codes.judge` of the net `discriminator`, which sees images alone."""

    def judge(weights: dict[str, Any], images: jax.Array, given: dict[str, Any]) -> dict[str, Any]:
        output, _ = net.apply(
            weights["params"]["discriminator"],
            weights["stats"]["discriminator"],
            pixels.to_float(images),
            statistics="running",
        )
        return output

    return judge
