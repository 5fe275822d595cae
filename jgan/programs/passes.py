"""Examples that pass a way in batches of one shape, whatever is then looked at: each by itself, or all as a set."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from jgan import fields
from jgan import sharding
from jgan import trained
from jgan.ops import conv
from jgan.programs import translator
from jgan.systems import system as system_lib

Run = Callable[..., dict[str, jax.Array]]
Distance = Callable[[np.ndarray, np.ndarray], np.ndarray]  # of two batches of images in [-1, 1]: [n]


def asked(
    way: system_lib.Way, examples: Iterable[dict[str, Any]]
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """(example, {control: value}) of each: classes and attributes are those of the example that comes next."""
    needed = [n for n, field in way.controls.items() if isinstance(field, (fields.Label, fields.Attributes))]
    if not needed or not way.inputs:
        yield from ((example, {}) for example in examples)
        return
    examples = iter(examples)
    first = before = next(examples, None)
    for example in examples:
        yield before, dict.fromkeys(needed, example["label"])
        before = example
    if before is not None:
        yield before, dict.fromkeys(needed, first["label"])


def arrays(made: dict[str, jax.Array]) -> dict[str, np.ndarray]:
    """The same on the host."""
    return {name: np.asarray(images) for name, images in made.items()}


def runner(run: trained.Run, way: system_lib.Way, statistics: str, dropout: bool, seed: int) -> Run:
    """`run` of `evaluate.scores`: a way under a run's weights; without inputs, of what goes to its code and back."""
    options = {"statistics": statistics, "dropout": dropout}

    def make(weights: Any, images: jax.Array, given: dict[str, Any], key: jax.Array) -> dict[str, jax.Array]:
        if way.inputs:
            inputs = {way.inputs[0]: images}
        else:
            inputs = {next(iter(run.system.spaces)): run.codes.predict(weights, images, given)}
        return way.run(weights, {**inputs, **given}, key, **options)

    made, weights = conv.Frugal(make), sharding.on_devices(run.weights)

    def apply(images: np.ndarray, given: dict[str, Any], further: int = 0) -> dict[str, jax.Array]:
        key = jax.random.key(seed + further)
        multiple = way.tiling.multiple if way.tiling else 1
        return translator.padded(
            lambda x: made(weights, *sharding.over_devices((x, given)), key), images, multiple
        )

    return apply


def predictor(run: trained.Run) -> Any:
    """`predict` of `evaluate.scores`; None where the run has no space."""
    if not run.system.spaces or run.codes.predict is None:
        return None
    name, made = next(iter(run.system.spaces)), conv.Frugal(run.codes.predict)
    weights = sharding.on_devices(run.weights)
    return lambda images, given: {name: made(weights, *sharding.over_devices((images, given)))}


def groups(
    way: system_lib.Way, examples: Iterable[dict[str, Any]], size: int, share: tuple[int, int] = (0, 1)
) -> Iterator[tuple[int, list[tuple[dict[str, Any], dict[str, Any]]]]]:
    """(the number of the first one, at most `size` neighbours whose images have one shape), as `asked` gives them.

    Args:
        way: those that it does not start from are passed over, and not counted.
        examples: in order.
        size: of a group.
        share: (k, n): of n processes that share the groups this is number k.
    """
    start = way.inputs[0] if way.inputs else way.target
    known = asked(way, (example for example in examples if start in example))
    first = 0
    for place, group in enumerate(batches(known, lambda one: one[0][start].shape, size)):
        if place % share[1] == share[0]:
            yield first, group
        first += len(group)


def batches(ones: Iterable[Any], key: Callable[[Any], Any], size: int) -> Iterator[list[Any]]:
    """Yields runs of at most `size` neighbours whose keys are equal."""
    group: list[Any] = []
    for one in ones:
        if group and (len(group) == size or key(group[0]) != key(one)):
            yield group
            group = []
        group.append(one)
    if group:
        yield group
