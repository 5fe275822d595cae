"""The nets in the content of a file as names with tensors: state dicts, ADA's modules, TensorFlow's networks.

Nothing of a file is trusted: keys and values may be of any type, and modules may hold themselves.
"""

from collections.abc import Iterator
from collections.abc import Mapping
import numbers
from typing import Any
from typing import NamedTuple

import numpy as np

import jgan
from jgan.weights import files

MODULE = "torch_utils.persistence."  # and a class, as the type of a module of ADA's code
NETWORK = "dnnlib.tflib.network.Network"
_MOST = 20_000  # modules and tensors of a net; StyleGAN2's of 1024 px has 500
_LONGEST = 400  # characters of a name
_INNER = ("synthesis_kwargs", "mapping_kwargs", "block_kwargs", "epilogue_kwargs")


class Flat(NamedTuple):
    """A net of a file.

    Attributes:
        entries: {name: tensor}.
        states: {name of a module: its attributes}, empty where the file has tensors alone.
        asked: what it was made with, {argument: value}; nested where the file has it so.
    """

    entries: dict[str, files.Entry]
    states: dict[str, Mapping[Any, Any]]
    asked: Mapping[Any, Any]


def flat(node: Any) -> Flat | None:
    """The tensors of a state dict, a module or a network; None of anything else.

    Raises:
        jgan.UserError: its parts lie in one another without end, or it has more of them than any such net.
    """
    if isinstance(node, files.Object):
        if str(node.type).startswith(MODULE):
            return _modules(node)
        return _networks(node) if node.type == NETWORK else None
    return Flat(tensors(node), {}, {}) if isinstance(node, Mapping) else None


def tensors(node: Any, prefix: str = "") -> dict[str, files.Entry]:
    """{name: tensor} of a dict whose names begin so, without this beginning and without `module.`."""
    found = {}
    for name, value in mapping(node).items():
        if isinstance(name, str) and isinstance(value, files.Entry):
            name = name.removeprefix("module.")
            if name.startswith(prefix) and len(name) <= _LONGEST:
                found[name[len(prefix) :]] = value
    return found


def mapping(value: Any) -> Mapping[Any, Any]:
    """The value if it is a dict, and otherwise an empty one."""
    return value if isinstance(value, Mapping) else {}


def state(node: Any) -> Mapping[Any, Any]:
    """The attributes of an object, {} if it is none."""
    return mapping(node.state) if isinstance(node, files.Object) else {}


def number(value: Any) -> float | None:
    """The value as a number, None if it is none; a tensor of one number is one."""
    if isinstance(value, files.Entry) and value.shape == () and value.dtype.kind in "fiu":
        value = value.read()
    if isinstance(value, np.ndarray) and value.shape == () and value.dtype.kind in "fiu":
        value = value.item()
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def asked(flat: Flat) -> list[Mapping[Any, Any]]:
    """What a net, its synthesis and its mapping were made with, with the parts of it that lie deeper."""
    found = [flat.asked]
    for path in ("synthesis", "mapping"):
        for name in ("_init_kwargs", "static_kwargs"):
            found.append(mapping(flat.states.get(path, {}).get(name)))
    deeper = [mapping(one.get(name)) for one in found for name in _INNER]
    deepest = [mapping(one.get(name)) for one in deeper for name in _INNER]
    return [one for one in (*found, *deeper, *deepest) if one]


def argument(flat: Flat, *names: str, default: Any = None) -> Any:
    """The first of the arguments with one of these names, or the default."""
    return next((one[name] for one in asked(flat) for name in names if name in one), default)


def shown(value: Any) -> str:
    """A value of a file as a sentence shows it."""
    if isinstance(value, str | int | float | np.number) or value is None:
        return ascii(value)[:40] if not isinstance(value, int) or abs(value) < 10**30 else "a huge number"
    return "something else than a number or a text"


def _modules(root: files.Object) -> Flat:
    """The net of a module of ADA's code: as its state dict would be, buffers among them."""
    entries, states = {}, {}
    for path, module in _walk(root, "_modules", "."):
        states[path] = state(module)
        for kind in ("_parameters", "_buffers"):
            for name, value in mapping(states[path].get(kind)).items():
                if isinstance(name, str) and isinstance(value, files.Entry):
                    entries[f"{path}.{name}" if path else name] = value
                    _check_size(entries)
    return Flat(entries, states, mapping(state(root).get("_init_kwargs")))


def _networks(root: files.Object) -> Flat:
    """The net of a network of TensorFlow's code with its components."""
    entries, states = {}, {}
    for path, network in _walk(root, "components", "/"):
        states[path] = state(network)
        variables = states[path].get("variables")
        for pair in variables if isinstance(variables, list | tuple) else ():
            if isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[0], str):
                if isinstance(pair[1], files.Entry):
                    entries[f"{path}/{pair[0]}" if path else pair[0]] = pair[1]
                    _check_size(entries)
    return Flat(entries, states, mapping(state(root).get("static_kwargs")))


def _walk(root: files.Object, children: str, separator: str) -> Iterator[tuple[str, files.Object]]:
    """(name, object) of an object and all below it."""
    todo, seen = [("", root)], 0
    while todo:
        path, node = todo.pop()
        yield path, node
        for name, child in mapping(state(node).get(children)).items():
            if isinstance(name, str) and isinstance(child, files.Object):
                seen += 1
                name = f"{path}{separator}{name}" if path else name
                if seen > _MOST or len(name) > _LONGEST:
                    raise _endless()
                todo.append((name, child))


def _check_size(entries: Mapping[str, files.Entry]) -> None:
    if len(entries) > _MOST:
        raise _endless()


def _endless() -> jgan.UserError:
    return jgan.UserError(
        "the file has modules in one another without end, or far more of them than StyleGAN2's nets have."
    )
