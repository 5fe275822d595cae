"""Tables from the names in a file to our weights, and back: strict, so that misfits are reported, not guessed."""

from collections.abc import Callable
from collections.abc import Mapping
import math
import re
from typing import Any
from typing import NamedTuple

import jax
import numpy as np

import jgan
from jgan.weights import files

_NAMED = 12  # names of a kind in a sentence
Array = Any  # of NumPy, or of JAX while shapes are worked out


class Layout(NamedTuple):
    """How a tensor of a file becomes ours and ours becomes theirs; each undoes the other."""

    take: Callable[[Array], Array]
    give: Callable[[Array], Array]


class Place(NamedTuple):
    """The place of a tensor among our weights.

    Attributes:
        path: names from the net to the array.
        layout: of its axes and numbers.
        kind: `params` or `stats`.
        block: of an array that holds several tensors along a leading axis, the place along it.
    """

    path: tuple[str, ...]
    layout: Layout
    kind: str = "params"
    block: int | None = None


Table = Mapping[str, Place]


class Part(NamedTuple):
    """A net that was recognised in a file.

    Attributes:
        system: whose nets it is one of: `translation`, `stylegan2` or `dcgan`.
        net: our name of it, such as `generator`.
        title: what it is, as a person calls it, such as `U-Net of 8 levels`.
        facts: what else was recognised, {name: value} for people.
        fields: {field of the config: value} that build it.
        entries: {name in the file: tensor}.
        table: the place of each; paths begin below the net.
        ignored: a pattern of names that the file may have and that are not used.
    """

    system: str
    net: str
    title: str
    facts: Mapping[str, Any]
    fields: Mapping[str, Any]
    entries: Mapping[str, files.Entry]
    table: Table
    ignored: str = r"(?!)"


SAME = Layout(lambda x: x, lambda x: x)


def transposed(*axes: int) -> Layout:
    """Our axes are theirs in this order."""
    back = tuple(np.argsort(axes))
    return Layout(lambda x: x.transpose(axes), lambda x: x.transpose(back))


def reversed_along(*axes: int) -> Layout:
    """The same axes, with the order of the numbers along some of them turned round."""

    def turn(x: Array) -> Array:
        return x[tuple(slice(None, None, -1) if k in axes else slice(None) for k in range(x.ndim))]

    return Layout(turn, turn)


def times(factor: float) -> Layout:
    """Our numbers are theirs times a factor."""
    return Layout(lambda x: x * factor, lambda x: x / factor)


def plus(term: float) -> Layout:
    """Our numbers are theirs and a term."""
    return Layout(lambda x: x + term, lambda x: x - term)


def without_leading(count: int = 1) -> Layout:
    """Theirs have so many more axes of length 1 in front."""
    return Layout(lambda x: x.reshape(x.shape[count:]), lambda x: x.reshape((1,) * count + x.shape))


def chain(*layouts: Layout) -> Layout:
    """One layout after the other, from theirs to ours."""

    def take(x: Array) -> Array:
        for layout in layouts:
            x = layout.take(x)
        return x

    def give(x: Array) -> Array:
        for layout in reversed(layouts):
            x = layout.give(x)
        return x

    return Layout(take, give)


CONV = transposed(2, 3, 1, 0)  # [out, in, height, width] of PyTorch to [height, width, in, out]
DENSE = transposed(1, 0)  # [out, in] to [in, out]


def below(net: str, table: Table) -> dict[str, Place]:
    """The table of a net, with the net's name in front of all paths."""
    return {name: place._replace(path=(net, *place.path)) for name, place in table.items()}


def recognise(names: Mapping[str, object], tables: Mapping[str, Table]) -> str | None:
    """The table of whose names the file has the largest share; None if it has less than half of any table."""
    share = {net: sum(name in names for name in table) / len(table) for net, table in tables.items()}
    best = max(share, key=share.__getitem__)
    return best if share[best] >= 0.5 else None


def fill(
    what: str,
    entries: Mapping[str, files.Entry],
    table: Table,
    shapes: Mapping[str, Any],
    ignored: str = r"(?!)",
) -> dict[str, Any]:
    """Our weights from the tensors of a file: {kind: nested dicts of arrays}, of the types that `shapes` have.

    Args:
        what: the file and the net that it is taken for, as sentences name them.
        entries: {name: tensor} of the file.
        table: the place of each tensor.
        shapes: {kind: nested dicts of shapes with types}: each has to be filled.
        ignored: a pattern of names that the file may have and that are not used.

    Raises:
        jgan.UserError: tensors are missing, unknown, of another shape or no floats, or have numbers that are not
            finite; or something of ours has no tensor. All of it is named at once.
    """
    ours = {(kind, *path): leaf for kind, tree in shapes.items() for path, leaf in _leaves(tree)}
    unfit: list[str] = []
    types: list[str] = []
    blocks: dict[tuple[str, ...], set[int | None]] = {}
    for name, place in table.items():
        path = (place.kind, *place.path)
        blocks.setdefault(path, set()).add(place.block)
        if name not in entries or path not in ours:
            continue
        wanted, entry = _theirs(place, ours[path]), entries[name]
        if entry.shape != wanted:
            unfit.append(f"{name} {_shape(entry.shape)} instead of {_shape(wanted)}")
        elif not entry.is_float:
            types.append(f"{entry.dtype} for {name}")
    pattern = re.compile(ignored)
    surplus = [_printable(name) for name in entries if name not in table and not pattern.fullmatch(name)]
    whole = {path: {None, *range(leaf.shape[0] if leaf.shape else 0)} for path, leaf in ours.items()}
    faults = [
        ("no", [name for name in table if name not in entries]),
        ("beyond its own", surplus),
        ("of another shape", unfit),
        ("no floats but", types),
        ("what has no place here:", ["/".join(path) for path in blocks if path not in ours]),
        (
            "nothing for",
            ["/".join(path) for path in ours if blocks.get(path) not in ({None}, whole[path] - {None})],
        ),
    ]
    sentence = "; ".join(f"{word} {_listed(names)}" for word, names in faults if names)
    if sentence:
        raise jgan.UserError(f"{what} has {sentence}.")
    return _filled(what, entries, table, ours, shapes)


def _filled(
    what: str,
    entries: Mapping[str, files.Entry],
    table: Table,
    ours: Mapping[tuple[str, ...], Any],
    shapes: Mapping[str, Any],
) -> dict[str, Any]:
    """`fill` of a file that fits."""
    made: dict[tuple[str, ...], np.ndarray] = {}
    for name, place in table.items():
        path = (place.kind, *place.path)
        leaf = ours[path]
        if path not in made:
            made[path] = np.empty(leaf.shape, leaf.dtype)
        target = made[path] if place.block is None else made[path][place.block]
        values = entries[name].read()
        if values.size != math.prod(entries[name].shape):
            raise jgan.UserError(
                f"{what} has {values.size} numbers for {name}, of another shape than it says."
            )
        with np.errstate(over="ignore", invalid="ignore"):
            target[...] = place.layout.take(values.astype(leaf.dtype, copy=False))
        if not np.isfinite(target).all():
            raise jgan.UserError(f"{what} has numbers in {name} that are not finite.")
    trees: dict[str, Any] = {kind: {} for kind in shapes}
    for path, values in made.items():
        place = trees
        for part in path[:-1]:
            place = place.setdefault(part, {})
        place[path[-1]] = values
    return trees


def pour(weights: Mapping[str, Any], table: Table) -> dict[str, np.ndarray]:
    """{name in a file: tensor} of our weights {kind: nested dicts of arrays}: what `fill` would take back."""
    made = {}
    for name, place in table.items():
        values = weights[place.kind]
        for part in place.path:
            values = values[part]
        values = np.asarray(values if place.block is None else values[place.block])
        made[name] = np.array(place.layout.give(values), order="C")  # a single number stays one
    return made


def _theirs(place: Place, leaf: Any) -> tuple[int, ...]:
    """The shape that the tensor of a place has in a file."""
    shape = leaf.shape if place.block is None else leaf.shape[1:]
    try:
        return jax.eval_shape(place.layout.give, jax.ShapeDtypeStruct(shape, np.float32)).shape
    except (ValueError, TypeError):  # ours has another number of axes than the layout is for
        return (-1,)


def _leaves(tree: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    """The leaves of nested dicts, with the names on the way to each."""
    if not isinstance(tree, Mapping):
        return [(path, tree)]
    return [found for name, x in tree.items() for found in _leaves(x, (*path, name))]


def _listed(names: list[str]) -> str:
    """Names as a sentence has them; of very many the first ones."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _printable(name: str) -> str:
    """A name of a file as a sentence shows it."""
    return ascii(name)[1:-1][:60]


def _shape(shape: tuple[int, ...]) -> str:
    """A shape as a sentence shows it."""
    return "x".join(map(str, shape)) or "a single number"
