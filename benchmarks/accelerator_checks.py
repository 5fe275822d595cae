"""What `benchmarks.accelerator` checks: small steps and projections, and the figures of what they make.

They run in a process of their own; JAX is imported there alone.
"""

import dataclasses
import functools
from typing import Any
from typing import NamedTuple
import warnings

SAMPLES = 5  # numbers of an array that are kept


class Check(NamedTuple):
    """A program and what it is given; `state` is donated to it.

    Attributes:
        function: `(state, batch) -> (state, what it tells)`.
        state: pytree of numpy arrays.
        batch: pytree of numpy arrays.
        compiler_options: XLA's.
    """

    function: Any
    state: Any
    batch: Any
    compiler_options: Any = None


def checks() -> dict[str, Check]:
    """All of them. Nets and images are small, for two reasons.

    Each rectifier is a coin: where what comes in is within rounding of zero, two right programs disagree by a whole
    term. Of a hundred thousand numbers none is so near. And the figures are a small file.
    """
    import jax
    import numpy as np

    from configs import cyclegan
    from configs import dcgan
    from configs import gan
    from configs import pix2pix
    from jgan.latent import projection as projection_lib
    from jgan.systems import SYSTEMS

    rng = np.random.default_rng(0)

    def build(config: Any, changes: dict[str, Any]) -> tuple[Any, Any, Any]:
        """A system, its state before the first step, and a batch."""
        config.update_from_flattened_dict(changes)
        system, size = SYSTEMS[config.system](config), config.data.size
        names = ("images",) if config.data.kind == "images" else ("a", "b")
        batch = {x: rng.integers(0, 256, (config.batch_size, size, size, 3), np.uint8) for x in names}
        abstract = jax.eval_shape(system.init, jax.random.key(0), batch)
        return system, _drawn(abstract, rng), batch

    def steps(system: Any, updates: tuple[str, ...]) -> Any:
        def step(state: Any, batch: Any) -> Any:
            return system.step(state, batch, jax.random.fold_in(jax.random.key(1), state.step), updates)

        return step

    found = {}
    # Six levels are the fewest with dropout.
    system, state, batch = build(
        pix2pix.get_config(""),
        {
            "batch_size": 2,
            "data.size": 64,
            "generator.name": "unet",
            "generator.levels": 6,
            "generator.ngf": 4,
            "discriminator.ndf": 4,
            "ema": 0.9,
        },
    )
    found["pix2pix"] = Check(steps(system, system.plan(0)), state, batch, system.compiler_options)
    # The second image meets a pool that is full.
    system, state, batch = build(
        cyclegan.get_config("128"),
        {
            "batch_size": 2,
            "data.size": 32,
            "generator.ngf": 4,
            "discriminator.ndf": 4,
            "discriminator.n_layers": 2,
            "loss.pool_size": 1,
        },
    )
    found["cyclegan"] = Check(steps(system, system.plan(0)), state, batch, system.compiler_options)
    system, state, batch = build(
        gan.get_config(""),
        {
            "batch_size": 4,
            "data.size": 16,
            "latent.nz": 8,
            "generator.widths": (16, 32),
            "discriminator.widths": (32, 16),
        },
    )
    found["gan"] = Check(steps(system, system.plan(0)), state, batch, system.compiler_options)
    system, state, batch = build(
        dcgan.get_config(""),
        {
            "batch_size": 4,
            "data.size": 32,
            "latent.nz": 8,
            "generator.ngf": 4,
            "discriminator.ndf": 4,
            "augment.policy": "colour,translation,cutout",
            "augment.target": 0.6,
            "predictor.ndf": 4,
            "predictor.warm_steps": 1,
            "predictor.steps": 1,
        },
    )
    phases = ("dis", "gen"), ("statistics",), ("warm",), ("predictor",), ("predictor_statistics",)
    for updates in phases:
        name = "dcgan" if len(updates) > 1 else f"dcgan, {updates[0]}"
        found[name] = Check(steps(system, updates), state, batch, system.compiler_options)

    def projection(state: Any, batch: Any) -> Any:
        """Of an image that has a code, from two starts."""
        del batch
        space = next(iter(system.spaces.values())).space(state.weights(), {})
        codes = jax.random.uniform(jax.random.key(2), (3, 8), minval=-0.9, maxval=0.9)
        cost = projection_lib.reconstruction(space.generate(codes[0]))
        settings = projection_lib.Settings(evaluations=10, tolerance=0.0)
        told = jax.vmap(lambda z: projection_lib.project(space, cost, z, settings, history=True))(codes[1:])
        return state, told._asdict()

    # An untrained generator draws plain grey; with larger kernels there is something to project.
    ema = jax.tree.map(lambda x: 3 * x if x.ndim > 1 else x, state.ema)
    found["projection"] = Check(projection, dataclasses.replace(state, ema=ema), batch)
    return found


def _drawn(abstract: Any, rng: Any) -> Any:
    """A state before its first step, drawn by NumPy: to the bit the same everywhere."""
    import jax
    import numpy as np

    def draw(path: Any, x: Any) -> Any:
        name = path[-1].key
        if name == "kernel":  # so that signals keep their size
            return (rng.normal(size=x.shape) / np.sqrt(np.prod(x.shape[:-1]))).astype(x.dtype)
        return (0.1 * rng.normal(size=x.shape) + (name == "scale")).astype(x.dtype)

    params = jax.tree_util.tree_map_with_path(draw, abstract.params)
    rest = jax.tree_util.tree_map_with_path(
        lambda path, x: np.full(x.shape, getattr(path[-1], "key", "") == "variance", x.dtype), abstract
    )
    ema = {net: jax.tree.map(np.copy, params[net]) for net in abstract.ema}
    return dataclasses.replace(rest, params=params, ema=ema)


def side() -> dict[str, Any]:
    """What this side answers: which device it has, and each check's result."""
    import jax

    # Without TF32: the CPU has none.
    jax.config.update("jax_default_matmul_precision", "highest")
    warned: list[str] = []
    warnings.simplefilter("always", UserWarning)
    warnings.showwarning = lambda message, category, *_: warned.append(f"{category.__name__}: {message}")
    found = checks()

    def device() -> tuple[str, str]:
        return jax.default_backend(), jax.devices()[0].device_kind

    def result(name: str) -> dict[str, Any]:
        """{"figures": what the program gives, "undonated": ..., "warnings": ..., "failed": ...} of one check."""
        warned.clear()
        figures, undonated, failed = {}, 0, ""
        try:
            figures, undonated = run(found[name])
        except Exception as error:  # what a compiler refuses is told, and the next check made
            failed = f"{type(error).__name__}: {error}"
        return {"figures": figures, "undonated": undonated, "warnings": list(warned), "failed": failed}

    return {"device": device, "names": lambda: list(found), "result": result}


def run(check: Check) -> tuple[dict[str, Any], int]:
    """The figures of a check, and how many arrays of its state were not updated in place."""
    import jax

    from jgan import sharding
    from jgan.systems import system as system_lib

    whole = sharding.replicated(sharding.mesh())
    state = jax.device_put(check.state, whole)
    program = jax.jit(  # as jgan.train has it
        check.function,
        donate_argnums=0,
        out_shardings=whole,
        compiler_options=system_lib.supported(check.compiler_options or {}),
    )
    after, told = jax.device_get(program(state, check.batch))
    # Counters that begin anew are not read at all, and so not given.
    undonated = sum(not x.is_deleted() for x in jax.tree.leaves(state) if x.size > 1)
    return figures(check.state, after, told), undonated


def figures(before: Any, after: Any, told: Any) -> dict[str, Any]:
    """{name: figure} of what a program told and of all that it changed.

    A figure is {"numbers", evenly taken from all of an array, "rms" of the array, "size"}: a difference is measured
    against the largest number in the array, that of a gradient against the largest in its layer, since the gradient
    of a bias may be nothing but rounding. Gradients have {"moved", "step"} besides: the parameters after the step,
    and how far the first step of the optimiser goes.
    """
    import jax
    import numpy as np
    import optax

    found = {}

    def add(name: str, layer: list[Any], x: Any) -> dict[str, Any]:
        x, size = np.asarray(x, np.float64), max(float(np.abs(y).max()) for y in layer)
        rms = float(np.sqrt(np.mean(np.square(x))))
        found[name] = {"numbers": _some(x), "rms": rms, "size": size}
        return found[name]

    for part, tree, old in (
        ("told", told, None),
        ("stats", after.stats, before.stats),
        ("aux", after.aux, before.aux),
    ):
        for path, x in jax.tree_util.tree_leaves_with_path(tree):
            if old is None or not np.array_equal(x, dict(jax.tree_util.tree_leaves_with_path(old))[path]):
                add("/".join([part, *map(_name, path)]), [x], x)
    for opt in after.opt.values():
        # One step from rest the first moment is the gradient, times 1 - b1.
        moments = optax.tree.get(opt, "mu")
        layers = {}
        for path, x in jax.tree_util.tree_leaves_with_path(moments):
            layers.setdefault(path[:-1], []).append(x)
        for path, x in jax.tree_util.tree_leaves_with_path(moments):
            if not x.any():
                continue  # this group had no turn
            was, now = (_at(state.params, path) for state in (before, after))
            figure = add("/".join(["gradients", *map(_name, path)]), layers[path[:-1]], x)
            figure |= {"moved": _some(now), "step": float(np.abs(now - was).max())}
    return found


def _some(x: Any) -> list[float]:
    import numpy as np

    return x.ravel()[np.linspace(0, x.size - 1, min(SAMPLES, x.size)).round().astype(int)].tolist()


def _at(tree: Any, path: Any) -> Any:
    return functools.reduce(lambda x, key: x[key.key], path, tree)


def _name(key: Any) -> str:
    return str(getattr(key, "key", key))
