"""What bfloat16 does to the losses of a training, for `benchmarks.accelerator`.

The trainings run in a process of their own; JAX is imported there alone.
"""

import itertools
from typing import Any

WINDOW = 50  # steps over which a loss is averaged
LOSSES = ("g_l1", "d_loss")


def side(steps: int, width: int, size: int, batch: int) -> dict[str, Any]:
    """What a side answers: to train pix2pix on drawn facades, and tell its losses.

    `losses(precision, seed)` is {loss: means of each `WINDOW` steps}.
    """
    import jax
    import numpy as np

    from configs import pix2pix
    from jgan.data import facades
    from jgan.systems import SYSTEMS
    from jgan.systems import system as system_lib

    drawn = facades.Facades(size, 8 * batch)
    pairs = [drawn[k] for k in range(len(drawn))]
    a, b = (np.stack([pair[name] for pair in pairs]) for name in ("labels", "photo"))

    def losses(precision: str, seed: int) -> dict[str, list[float]]:
        config = pix2pix.get_config("demo")
        changes = {"generator.ngf": width, "discriminator.ndf": width, "data.size": size}
        config.update_from_flattened_dict(
            {**changes, "precision": precision, "steps": steps, "batch_size": batch}
        )
        system = SYSTEMS["pix2pix"](config)
        rng, key = np.random.default_rng(seed), jax.random.key(seed)
        options = system_lib.supported(system.compiler_options)
        step = jax.jit(system.step, static_argnames="updates", donate_argnums=0, compiler_options=options)
        state, found = None, []
        for k in range(steps):
            rows = rng.integers(0, len(a), batch)
            data = {"a": a[rows], "b": b[rows]}
            if state is None:
                state = jax.jit(system.init)(key, data)
            state, metrics = step(state, data, jax.random.fold_in(key, k), system.plan(k))
            found.append({name: metrics[name] for name in LOSSES})
        found = jax.device_get(found)
        return {
            name: np.reshape([x[name] for x in found], (-1, min(WINDOW, steps))).mean(1).tolist()
            for name in LOSSES
        }

    return {"losses": losses}


def chance(ours: list[list[float]], theirs: list[list[float]]) -> float:
    """How often curves of equal trainings would lie as far apart as these of two kinds: a permutation test.

    The distance is that of the mean curves, each point in relation to its size. All ways count in which the curves,
    [seeds][points] of each kind, could have been dealt to the two.
    """
    import numpy as np

    curves, count = np.asarray([*ours, *theirs]), len(ours)

    def apart(picked: tuple[int, ...]) -> float:
        rest = [k for k in range(len(curves)) if k not in picked]
        means = curves[list(picked)].mean(0), curves[rest].mean(0)
        return float(np.mean(np.abs(means[0] - means[1]) / np.abs(curves).mean(0)))

    found = apart(tuple(range(count)))
    dealt = [apart(picked) for picked in itertools.combinations(range(len(curves)), count)]
    return sum(distance >= found * (1 - 1e-9) for distance in dealt) / len(dealt)
