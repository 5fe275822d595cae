"""What every GAN system offers: a handful of pure functions."""

from collections.abc import Callable
from typing import Any
from typing import NamedTuple

from jgan import state as state_lib


class System(NamedTuple):
    """A GAN system as pure functions, built from a config.

    Attributes:
        init: `(key, batch) -> State`; traceable, only the batch's shapes matter.
        step: `(state, batch, key, updates) -> (State, metrics)`; `updates` is a static tuple from `plan`, metrics
            a flat dict of float scalars.
        apply: `(weights, inputs, key, **controls) -> {name: images}`; inference and previews. `weights` as
            `State.weights` returns them.
        plan: `step -> updates`, on the host and equal on all processes.
        space: `(weights, condition) -> Space | None`; None for systems without a latent.
        multiple: `apply` pads images to multiples of this many pixels and crops what comes out.
    """

    init: Callable[..., state_lib.State]
    step: Callable[..., tuple[state_lib.State, dict[str, Any]]]
    apply: Callable[..., dict[str, Any]]
    plan: Callable[[int], tuple[str, ...]]
    space: Callable[[Any, Any], Any]
    multiple: int = 1
