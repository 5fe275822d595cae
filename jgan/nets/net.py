"""A net as two pure functions, so that nothing outside this package knows Flax.

`params` and `stats` are plain nested dicts. `stats` holds the running statistics of batch norm and, after a pass
that gathers, the statistics of one picture; otherwise it is empty.
"""

from collections.abc import Callable
from typing import Any
from typing import NamedTuple

from flax import linen as nn
import jax

from jgan.ops import placement


class Net(NamedTuple):
    """A net's functions and the two numbers a caller must know about its input.

    Attributes:
        init: `(key, *inputs) -> (params, stats)`; only shapes and dtypes of the inputs matter.
        apply: `(params, stats, *inputs, statistics="batch", dropout=None) -> (output, stats)`. `statistics` says
            what normalises: the `batch` (training; running statistics are updated), each `image` by itself, or
            the `running` statistics. `gather` takes the batch as parts of one picture, normalises by their common
            statistics and returns these, of instance norm too, for later `running` passes over other parts.
            `dropout` is a key, or None for no dropout.
        multiple: height and width of the input must be multiples of this many pixels.
        radius: with `running` statistics, how many pixels away an output pixel sees; None where it may see all.
    """

    init: Callable[..., tuple[Any, Any]]
    apply: Callable[..., tuple[Any, Any]]
    multiple: int = 1
    radius: int | None = None


def functions(module: nn.Module, multiple: int = 1, radius: int | None = None, *, apart: bool = False) -> Net:
    """The `Net` of a Linen module whose call takes the keyword arguments `statistics` and `dropout`.

    Args:
        module: the module.
        multiple: as in `Net`.
        radius: as in `Net`.
        apart: the module has a loop over layers, no dropout and no batch norm: see `placement.apart`.
    """

    def init(key: jax.Array, *inputs: jax.Array) -> tuple[Any, Any]:
        variables = module.init(key, *inputs, statistics="batch", dropout=False)
        return variables["params"], variables.get("stats", {})

    def apply(
        params: Any,
        stats: Any,
        *inputs: jax.Array,
        statistics: str = "batch",
        dropout: jax.Array | None = None,
    ) -> tuple[Any, Any]:
        inputs = placement.examples(inputs)
        if apart and statistics == "batch":

            def own(params: Any, *inputs: jax.Array) -> Any:
                return module.apply({"params": params}, *inputs, statistics=statistics, dropout=False)

            return placement.apart(own, *inputs)(params, *inputs), stats
        output, updated = module.apply(
            {"params": params, "stats": stats},
            *inputs,
            statistics=statistics,
            dropout=dropout is not None,
            rngs={} if dropout is None else {"dropout": dropout},
            mutable=["stats"],
        )
        return output, updated.get("stats", {})

    return Net(init, apply, multiple, radius)
