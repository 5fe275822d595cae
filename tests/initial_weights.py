"""Initial values by NumPy: XLA compiles one draw of random numbers of JAX for longer than a layer of a step."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest


def quick_init(init: Callable[..., Any]) -> Callable[..., Any]:
    """`init`, compiled, with other numbers of the same distributions; a key's seed gives the same ones each time."""

    def made(key: jax.Array, *args: Any) -> Any:
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))

        def normal(key: Any, shape: Any = (), dtype: Any = np.float32, **_: Any) -> jax.Array:
            return jax.numpy.asarray(rng.normal(size=shape), dtype)

        def uniform(
            key: Any, shape: Any = (), dtype: Any = np.float32, minval: Any = 0, maxval: Any = 1, **_: Any
        ) -> jax.Array:
            return jax.numpy.asarray(rng.uniform(minval, maxval, shape), dtype)

        # Flax's initialisers are JAX's, which find these functions in another module.
        theirs = jax.nn.initializers.normal.__globals__.get("random", jax.random)
        with pytest.MonkeyPatch.context() as patch:
            for where in (jax.random, theirs):
                patch.setattr(where, "normal", normal)
                patch.setattr(where, "uniform", uniform)
            return jax.jit(lambda *given: init(*given))(key, *args)

    return made
