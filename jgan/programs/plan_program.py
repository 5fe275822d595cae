"""What a compiled program does, read from its text: arithmetic, memory traffic and collectives of one device.

XLA's own analysis counts the body of a loop once, the elementwise operations as if they were products, and no bytes
between devices, so the text of the optimised program is read instead. It is that of one device of many: after XLA has
divided a program, shapes are those that one device has.
"""

from collections.abc import Callable
from collections.abc import Iterator
import math
import re
from typing import NamedTuple

import numpy as np

KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
# They move nothing: names for what is there, or bodies that are counted by themselves.
_FREE = {
    "parameter",
    "constant",
    "tuple",
    "get-tuple-element",
    "bitcast",
    "after-all",
    "iota",
    "partition-id",
}
_FREE |= {"replica-id", "opt-barrier", "optimization-barrier"}
_SLICES = {"slice", "dynamic-slice", "gather"}

_INSTRUCTION = re.compile(r"^\s+(ROOT )?%?([\w.\-]+) = ")
_HEAD = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
_ARRAY = re.compile(r"(\w+)\[([\d,]*)\]")


class Operation(NamedTuple):
    """One kernel of a program.

    Attributes:
        flops: of its convolutions and matrix products, a multiplication and an addition each as one operation.
        bytes: of the arrays that it reads and writes.
        times: how often it runs in one call of the program.
    """

    flops: float
    bytes: float
    times: int


class Collective(NamedTuple):
    """One collective of a program.

    Attributes:
        kind: one of `KINDS`.
        bytes: of the arrays that are reduced, of the gathered ones after, and of the others before it.
        group: the devices that take part together, of the first such group; of a permutation its longest way.
        times: as in `Operation`.
    """

    kind: str
    bytes: float
    group: tuple[int, ...]
    times: int


class Program(NamedTuple):
    """What one device does in one call.

    Attributes:
        operations: its kernels.
        collectives: with other devices; those of a single device are left out.
        unknown_loops: loops whose number of turns the text does not tell; their bodies count once.
    """

    operations: tuple[Operation, ...]
    collectives: tuple[Collective, ...]
    unknown_loops: int

    @property
    def flops(self) -> float:
        """Of all convolutions and matrix products."""
        return sum(x.flops * x.times for x in self.operations)

    @property
    def bytes(self) -> float:
        """That all kernels read and write."""
        return sum(x.bytes * x.times for x in self.operations)


class _Instruction(NamedTuple):
    name: str
    type: str
    opcode: str
    operands: tuple[str, ...]
    rest: str  # what stands behind the operands
    root: bool


def read(text: str, devices: int) -> Program:
    """What the program does.

    Args:
        text: of the optimised program, as `jax.stages.Compiled.as_text` gives it.
        devices: it is divided over.

    Raises:
        ValueError: a group of devices is written in a way that is not known.
    """
    return _Reader(text, devices).program()


def width(type_: str) -> float:
    """Bytes of an array, or of the arrays of a tuple, of a type such as `f32[2,3]{1,0}`."""
    return sum(_itemsize(name) * math.prod(_dims(dims)) for name, dims in _ARRAY.findall(type_))


def groups(attributes: str, devices: int) -> tuple[int, ...]:
    """The first group of devices that a collective names.

    XLA writes groups in four ways: as lists, as parts of a reshaped and transposed range, by axes of a mesh, and as
    pairs of a permutation.

    Raises:
        ValueError: in another one.
    """
    if found := re.search(r"source_target_pairs=\{(.*?)\}(?:,|$)(?!\{)", attributes):
        pairs = [tuple(map(int, pair.split(","))) for pair in re.findall(r"\{?(\d+,\d+)\}?", found[1])]
        return max(pairs, key=lambda pair: abs(pair[0] - pair[1]))
    if found := re.search(r"replica_groups=\{(?:\{([\d,]*)\}|\})", attributes):
        return tuple(map(int, found[1].split(","))) if found[1] else tuple(range(devices))
    if found := re.search(r"replica_groups=\[(\d+),(\d+)\]<=(\[[^ {]*)(?:, |$)", attributes):
        return tuple(_range(found[3], devices).reshape(int(found[1]), int(found[2]))[0].tolist())
    found = re.search(r"replica_groups=mesh\[([^\]]*)\](?:, device_ids=\((.*?)\))? \{([^}]*)\}", attributes)
    if found:
        return _of_axes(found[1], found[3], _range(found[2] or "", devices))
    raise ValueError(f"groups of devices are written in a new way: {attributes[:200]}")


def _range(text: str, devices: int) -> np.ndarray:
    """The devices in an order: `[2,4]T(1,0)`, a range that is reshaped and transposed, a list, or empty: as it is."""
    if found := re.fullmatch(r"\[([\d,]+)\](?:T\(([\d,]+)\))?", text):
        ids = np.arange(devices).reshape(_dims(found[1]))
        return (ids.transpose(_dims(found[2])) if found[2] else ids).reshape(-1)
    return np.array(_dims(text)) if text else np.arange(devices)


def _of_axes(mesh: str, axes: str, order: np.ndarray) -> tuple[int, ...]:
    """The first group along axes such as `'a','b':(2)4`, the latter the 4 places behind the first 2 of that axis."""
    taken = {name: (pre, size) for name, pre, size in re.findall(r"'(\w+)'(?::\((\d+)\)(\d+))?", axes)}
    dims: list[int] = []
    grouped: list[int] = []
    for name, size in re.findall(r"'(\w+)'=(\d+)", mesh):
        if name not in taken or not taken[name][0]:
            grouped += [len(dims)] * (name in taken)
            dims.append(int(size))
        else:
            pre, own = map(int, taken[name])
            grouped.append(len(dims) + 1)
            dims += [pre, own, int(size) // (pre * own)]
    rest = [k for k in range(len(dims)) if k not in grouped]
    together = math.prod(dims[k] for k in grouped)
    return tuple(order.reshape(dims).transpose(rest + grouped).reshape(-1, together)[0].tolist())


class _Reader:
    """The computations of a text, and what they cost."""

    def __init__(self, text: str, devices: int) -> None:
        self._devices = devices
        self._computations: dict[str, list[_Instruction]] = {}
        self._unknown = 0
        current: list[_Instruction] = []
        for line in text.splitlines():
            if head := _HEAD.match(line):
                current = self._computations[head[2]] = []
                if head[1]:
                    self._entry = head[2]
            elif begin := _INSTRUCTION.match(line):
                current.append(_instruction(line[begin.end() :], begin[2], bool(begin[1])))

    def program(self) -> Program:
        operations, collectives = self._cost(self._entry, 1)
        return Program(tuple(operations), tuple(collectives), self._unknown)

    def _cost(self, name: str, times: int) -> tuple[list[Operation], list[Collective]]:
        """Kernels and collectives of a computation that runs so many times."""
        operations: list[Operation] = []
        collectives: list[Collective] = []
        types = {one.name: one.type for one in self._computations[name]}
        for one in self._computations[name]:
            kind = one.opcode.removesuffix("-start")
            if kind in KINDS:
                collectives += self._collective(one, kind, types, times)
            elif one.opcode in ("while", "call", "conditional", "async-start"):
                inner = self._called(one, times)
                operations += inner[0]
                collectives += inner[1]
            elif one.opcode not in _FREE and not one.opcode.endswith("-done"):
                operations.append(self._operation(one, types, times))
        return operations, collectives

    def _called(self, one: _Instruction, times: int) -> tuple[list[Operation], list[Collective]]:
        """What a loop, a call or the costliest branch of a condition does."""
        if one.opcode == "while":
            turns = re.search(r'"known_trip_count":\{"n":"(\d+)"\}', one.rest)
            self._unknown += not turns
            count = int(turns[1]) if turns else 1
            inner = self._cost(_named(one.rest, "body"), times * count)
            # XLA for CPU writes a scatter or a random number as a loop over its numbers; elsewhere that is one kernel,
            # which reads and writes what the loop carries.
            moved, carried = sum(x.bytes * x.times for x in inner[0]), 2 * width(one.type)
            if not inner[1] and not any(x.flops for x in inner[0]) and moved > carried * times:
                return [Operation(0.0, carried, times)], []
            return inner
        if one.opcode != "conditional":
            return self._cost(_named(one.rest, "calls|to_apply"), times)
        names = re.search(r"branch_computations=\{([^}]*)\}", one.rest)
        branches = (
            names[1].replace("%", "").split(", ")
            if names
            else [_named(one.rest, "true_computation"), _named(one.rest, "false_computation")]
        )
        return max(
            (self._cost(branch, times) for branch in branches), key=lambda x: sum(y.bytes for y in x[0])
        )

    def _collective(
        self, one: _Instruction, kind: str, types: dict[str, str], times: int
    ) -> Iterator[Collective]:
        group = groups(one.rest, self._devices)
        size = sum(width(types[name]) for name in one.operands)
        if len(group) > 1:
            yield Collective(kind, size * (len(group) if kind == "all-gather" else 1), group, times)

    def _operation(self, one: _Instruction, types: dict[str, str], times: int) -> Operation:
        if one.opcode == "fusion":
            body = self._computations[_named(one.rest, "calls")]
            return Operation(self._flops(body), _fused(body, one, types), times)
        return Operation(_flops(one, types), _moved(one, types.__getitem__), times)

    def _flops(self, body: list[_Instruction]) -> float:
        """Of a fused computation, with those that it calls."""
        types = {one.name: one.type for one in body}
        total = 0.0
        for one in body:
            if one.opcode in ("fusion", "call"):
                total += self._flops(self._computations[_named(one.rest, "calls|to_apply")])
            total += _flops(one, types)
        return total


def _instruction(text: str, name: str, root: bool) -> _Instruction:
    """An instruction from what stands behind its `=`: TYPE OPCODE(OPERANDS), ATTRIBUTES."""
    end = _closed(text, 0) if text[0] == "(" else text.index(" ")
    type_, text = text[:end], text[end:].lstrip()
    at = text.index("(")
    end = _closed(text, at)
    operands = tuple(re.findall(r"%([\w.\-]+)", text[at:end]))
    return _Instruction(name, type_, text[:at], operands, text[end:], root)


def _closed(text: str, start: int) -> int:
    """The place behind the parenthesis that closes the one at `start`."""
    depth = 0
    for place in range(start, len(text)):
        depth += (text[place] == "(") - (text[place] == ")")
        if not depth:
            return place + 1
    raise ValueError(f"a parenthesis is open: {text[:200]}")


def _named(attributes: str, name: str) -> str:
    """The computation that an attribute names."""
    found = re.search(rf"\b(?:{name})=%?([\w.\-]+)", attributes)
    if not found:
        raise ValueError(f"no {name} is named: {attributes[:200]}")
    return found[1]


def _dims(text: str) -> list[int]:
    return [int(x) for x in text.split(",") if x]


def _itemsize(name: str) -> float:
    if name == "pred":
        return 1
    bits = re.search(r"\d+", name)
    return int(bits[0]) / 8 if bits else 0  # a token has none


def _shape(type_: str) -> list[int]:
    found = _ARRAY.search(type_)
    return _dims(found[2]) if found else []


def _flops(one: _Instruction, types: dict[str, str]) -> float:
    """Of a convolution or a matrix product; 0 for all other instructions."""
    if one.opcode == "custom-call":
        return _library_flops(one, types)
    if one.opcode == "dot":
        contracted = re.search(r"lhs_contracting_dims=\{([\d,]*)\}", one.rest)
        shape = _shape(types[one.operands[0]])
        return (
            2.0
            * math.prod(_shape(one.type))
            * math.prod(shape[k] for k in _dims(contracted[1] if contracted else ""))
        )
    if one.opcode != "convolution":
        return 0.0
    # Zeros between pixels are not multiplied, as a transposed convolution needs not; zeros around them count as pixels.
    images, kernel, made = (_shape(x) for x in (types[one.operands[0]], types[one.operands[1]], one.type))
    left, right, out = re.search(r"dim_labels=(\w+)_(\w+)->(\w+)", one.rest).groups()
    window = re.search(r"window=\{([^}]*)\}", one.rest)
    spread = re.search(r"lhs_dilate=([\dx]+)", window[1]) if window else None
    total = 2.0 * kernel[right.index("i")]
    for k, size in enumerate(made):
        axis = out[k]
        if axis.isdigit() and spread and int(spread[1].split("x")[int(axis)]) > 1:
            size = images[left.index(axis)]
        total *= size * (kernel[right.index(axis)] if axis.isdigit() else 1)
    return total


def _library_flops(one: _Instruction, types: dict[str, str]) -> float:
    """Of a call of cuDNN or cuBLAS, which have the place of convolutions and products in programs for GPUs."""
    found = re.search(r'custom_call_target="__(cudnn\$conv|cublas)(\w*)', one.rest)
    if not found:
        return 0.0
    given, made = [_shape(types[name]) for name in one.operands], _shape(one.type)
    if found[1] == "cublas":
        contracted = re.search(r'"lhs_contracting_dimensions":\[([\d",]*)\]', one.rest)
        return 2.0 * math.prod(made) * math.prod(given[0][k] for k in _dims(contracted[1].replace('"', "")))
    # Shapes and labels of a gradient are those of the convolution that it belongs to.
    kernel, out = {"BackwardInput": (given[1], given[0]), "BackwardFilter": (made, given[1])}.get(
        found[2], (given[1], made)
    )
    labels = re.search(r"dim_labels=\w+_(\w+)->", one.rest)[1]
    return 2.0 * math.prod(out) * math.prod(kernel) / kernel[labels.index("o")]


def _moved(one: _Instruction, type_of: Callable[[str], str]) -> float:
    """Bytes that an instruction reads and writes."""
    if one.opcode in _SLICES:
        return 2 * width(one.type)
    if one.opcode in ("dynamic-update-slice", "scatter"):
        return 2 * width(type_of(one.operands[1 if one.opcode != "scatter" else -1]))
    return sum(width(type_of(name)) for name in dict.fromkeys(one.operands)) + width(one.type)


def _fused(body: list[_Instruction], one: _Instruction, types: dict[str, str]) -> float:
    """Bytes that a fused computation reads and writes: of what it only takes parts of, the parts."""
    inner = {x.name: x for x in body}
    total = 0.0
    for x in body:
        if x.opcode == "parameter":
            users = [y for y in body if x.name in y.operands]
            if users and all(y.opcode in _SLICES and y.operands[0] == x.name for y in users):
                total += sum(width(y.type) for y in users)
            elif not all(y.opcode == "dynamic-update-slice" and y.operands[0] == x.name for y in users):
                total += width(x.type)
        elif x.root and x.opcode == "dynamic-update-slice":
            total += width(inner[x.operands[1]].type)
        elif x.root:
            total += width(x.type)
    return total
