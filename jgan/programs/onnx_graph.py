"""A JAX function as an ONNX graph, for what the nets of jgan are made of: convolutions, products, norms, arithmetic.

The function is traced with a symbol for the batch, and each equation of the program becomes one or two nodes. What does
not depend on the inputs is computed here, so that kernels lie in the file as ONNX wants them, and loops are written
out. A value that JAX broadcasts keeps the sides of its own until a node needs the whole of it: the arithmetic of ONNX
broadcasts by itself.
"""

from collections.abc import Callable
from collections.abc import Sequence
import functools
from typing import Any
from typing import NamedTuple

import jax
from jax.extend import core as jax_core
import jax.numpy as jnp
import numpy as np
import onnx

from jgan.ops import fir

OPSET = 18
_END = np.iinfo(np.int64).max  # a slice up to it takes all there is
_SAME = "add sub mul div max min and or pow neg abs exp log tanh sqrt not round floor sign".split()
_ARITHMETIC = {name: name.capitalize() for name in _SAME} | {
    "eq": "Equal",
    "lt": "Less",
    "gt": "Greater",
    "le": "LessOrEqual",
    "ge": "GreaterOrEqual",
    "logistic": "Sigmoid",
    "copy": "Identity",
    "stop_gradient": "Identity",
}
_CALLS = ("jit", "remat2", "custom_jvp_call", "custom_vjp_call")


class NoRule(Exception):
    """An operation that this converter cannot write; its text names it."""


class _Value(NamedTuple):
    """A constant or the name of a tensor, of a `shape` as JAX has it and with sides of its `own`, 1 for any number."""

    data: np.ndarray | str
    shape: tuple[Any, ...]
    own: tuple[Any, ...]


def model(
    function: Callable[..., dict[str, jax.Array]],
    inputs: Sequence[tuple[str, tuple[int, ...], str]],
    name: str,
) -> onnx.ModelProto:
    """The ONNX model of a function of arrays that have a leading axis over examples, of any number.

    bfloat16 becomes float32, since runtimes on CPU have no arithmetic for it.

    Args:
        function: `(*arrays) -> {name: array}`, pure and without random numbers.
        inputs: (name, shape of one example, type) of each array.
        name: of the graph.

    Raises:
        NoRule: the program has an operation for which there is no rule here; it is named.
    """
    (batch,) = jax.export.symbolic_shape("n")
    shapes = [jax.ShapeDtypeStruct((batch, *shape), dtype) for _, shape, dtype in inputs]
    program, made = jax.make_jaxpr(function, return_shape=True)(*shapes)
    names = [name for name, _, _ in inputs]
    graph = _Graph(names[0])
    values = graph.run(
        program.jaxpr,
        program.consts,
        [_Value(name, shape.shape, shape.shape) for name, shape in zip(names, shapes, strict=True)],
    )
    for output, value in zip(sorted(made), values, strict=True):  # in the order of the leaves of a dict
        graph.node("Identity", graph.whole(value), output=output)
    given = [_info(name, shape) for name, shape in zip(names, shapes, strict=True)]
    nodes, constants = graph.live(made)
    whole = onnx.helper.make_graph(nodes, name, given, [_info(*of) for of in sorted(made.items())], constants)
    opset = onnx.helper.make_opsetid("", OPSET)
    return onnx.helper.make_model(whole, opset_imports=[opset], producer_name="jgan", ir_version=8)


def _info(name: str, shape: Any) -> onnx.ValueInfoProto:
    sides = [side if isinstance(side, int) else str(side) for side in shape.shape]
    return onnx.helper.make_tensor_value_info(name, _type(shape.dtype), sides)


def _type(dtype: Any) -> int:
    return onnx.helper.np_dtype_to_tensor_dtype(np.dtype("float32" if dtype == jnp.bfloat16 else dtype))


def _array(x: Any) -> np.ndarray:
    x = np.asarray(x)
    return x.astype(np.float32) if x.dtype == jnp.bfloat16 else x


def _constant(x: Any) -> _Value:
    x = _array(x)
    return _Value(x, x.shape, x.shape)


def _common(values: Sequence[_Value]) -> tuple[Any, ...]:
    """The sides that arithmetic gives of values with sides of their own."""
    rank = max(len(value.own) for value in values)
    padded = [(1,) * (rank - len(value.own)) + tuple(value.own) for value in values]
    return tuple(next((side for side in sides if side != 1), 1) for sides in zip(*padded, strict=True))


class _Graph:
    """The nodes and constants that have been found so far."""

    def __init__(self, source: str) -> None:
        """Of a function whose input `source` tells the size of the batch."""
        self._source, self._nodes, self._constants = source, [], {}

    def node(
        self,
        kind: str,
        *inputs: _Value | np.ndarray,
        shape: Any = (),
        own: Any = None,
        output: str = "",
        **attributes: Any,
    ) -> _Value:
        """The value of a new node; its attributes are ONNX's."""
        output = output or f"{kind}_{len(self._nodes)}"
        names = []
        for x in inputs:
            data = x.data if isinstance(x, _Value) else x
            if not isinstance(data, str):
                data, array = f"constant_{len(self._constants)}", data
                self._constants[data] = array
            names.append(data)
        self._nodes.append(onnx.helper.make_node(kind, names, [output], **attributes))
        return _Value(output, tuple(shape), tuple(shape if own is None else own))

    def live(self, outputs: Sequence[str]) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
        """The nodes and constants that the outputs depend on."""
        needed, kept = set(outputs), []
        for node in reversed(self._nodes):
            if node.output[0] in needed:
                needed |= set(node.input)
                kept.append(node)
        arrays = {name: np.array(x, order="C") for name, x in self._constants.items() if name in needed}
        return kept[::-1], [onnx.numpy_helper.from_array(x, name) for name, x in arrays.items()]

    def reshaped(self, value: _Value, own: Sequence[Any], shape: Sequence[Any]) -> _Value:
        """The value with other sides of its own."""
        if not isinstance(value.data, str):
            return _Value(value.data.reshape(own), tuple(shape), tuple(own))
        sides = [side if isinstance(side, int) else -1 for side in own]
        if sides.count(-1) > 1:
            raise NoRule("a reshape with two sides that depend on the batch")
        return self.node("Reshape", value, np.int64(sides), shape=shape, own=own)

    def whole(self, value: _Value) -> _Value:
        """The value with all sides as JAX has them."""
        if value.own == value.shape:
            return value
        if not isinstance(value.data, str) and all(isinstance(side, int) for side in value.shape):
            return _constant(np.broadcast_to(value.data, value.shape))
        batch = self.node("Shape", _Value(self._source, (), ()), start=0, end=1)
        if any(not isinstance(side, int) and str(side) != "n" for side in value.shape):
            raise NoRule("a broadcast to a multiple of the batch")
        sides = [np.int64([side]) if isinstance(side, int) else batch for side in value.shape]
        return self.node("Expand", value, self.node("Concat", *sides, axis=0), shape=value.shape)

    def run(self, jaxpr: Any, constants: Sequence[Any], inputs: Sequence[_Value]) -> list[_Value]:
        """The outputs of a program of JAX."""
        values = dict(zip(jaxpr.constvars, map(_constant, constants), strict=True))
        values |= dict(zip(jaxpr.invars, inputs, strict=True))

        def read(atom: Any) -> _Value:
            return _constant(atom.val) if isinstance(atom, jax_core.Literal) else values[atom]

        for equation in jaxpr.eqns:
            made = self._equation(equation, [read(atom) for atom in equation.invars])
            values |= dict(zip(equation.outvars, made, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _equation(self, equation: Any, values: list[_Value]) -> list[_Value]:
        kind, params = equation.primitive.name, equation.params
        if kind in _CALLS:
            inner = params.get("call_jaxpr", params.get("jaxpr"))
            return self.run(getattr(inner, "jaxpr", inner), getattr(inner, "consts", ()), values)
        if kind == "scan":
            return self._scan(values, **params)
        if kind == "optimization_barrier":
            return values
        shape = equation.outvars[0].aval.shape
        if kind == "broadcast_in_dim":
            places = dict(zip(params["broadcast_dimensions"], values[0].own, strict=True))
            return [self.reshaped(values[0], [places.get(k, 1) for k in range(len(shape))], shape)]
        fixed = all(isinstance(side, int) for side in shape)
        if fixed and not any(isinstance(value.data, str) for value in values):
            arrays = [self.whole(value).data for value in values]
            return [_constant(equation.primitive.bind(*arrays, **params))]
        if kind == "fir":
            inner = jax.make_jaxpr(functools.partial(fir.lower, **params))(equation.invars[0].aval)
            return self.run(inner.jaxpr, inner.consts, values)
        made = self._arithmetic(kind, values, shape, equation)
        if made is None:
            rule = getattr(self, f"_{kind}", None)
            if rule is None:
                raise NoRule(f"the operation {kind}")
            made = rule([self.whole(value) for value in values], shape, params)
        return [made]

    def _arithmetic(self, kind: str, values: list[_Value], shape: Any, equation: Any) -> _Value | None:
        """What is done number by number; None for all else."""
        node = functools.partial(self.node, shape=shape, own=_common(values) if values else shape)
        if kind in _ARITHMETIC:
            return node(_ARITHMETIC[kind], *values)
        if kind == "ne":
            return node("Not", node("Equal", *values))
        if kind == "square":
            return node("Mul", values[0], values[0])
        if kind == "integer_pow":
            return node("Pow", values[0], np.float32(equation.params["y"]))
        if kind == "rsqrt":
            return node("Reciprocal", node("Sqrt", values[0]))
        if kind == "clamp":
            return node("Min", node("Max", values[1], values[0]), values[2])
        if kind == "select_n" and len(values) == 3:
            return node("Where", values[0], values[2], values[1])
        if kind == "convert_element_type":
            return node("Cast", values[0], to=_type(equation.params["new_dtype"]))
        return None

    def _scan(
        self, values: list[_Value], *, jaxpr: Any, length: int, reverse: bool, **params: Any
    ) -> list[_Value]:
        """A loop, turn by turn."""
        first, carried = params["num_consts"], params["num_carry"]
        constants, carry, along = values[:first], values[first : first + carried], values[first + carried :]
        along, found = [self.whole(x) for x in along], []
        for turn in reversed(range(length)) if reverse else range(length):
            parts = [
                self.node("Gather", x, np.int64(turn), shape=x.shape[1:])
                if isinstance(x.data, str)
                else _constant(x.data[turn])
                for x in along
            ]
            made = self.run(jaxpr.jaxpr, jaxpr.consts, [*constants, *carry, *parts])
            carry = made[:carried]
            found.append([self.whole(x) for x in made[carried:]])
        found = found[::-1] if reverse else found
        return [
            *carry,
            *(self._stack(list(x), (length, *x[0].shape), {"axis": 0}) for x in zip(*found, strict=True)),
        ]

    def _stack(self, values: list[_Value], shape: Any, given: dict[str, Any]) -> _Value:
        axis = given["axis"]
        sides = (*values[0].shape[:axis], 1, *values[0].shape[axis:])
        return self.node("Concat", *(self.reshaped(x, sides, sides) for x in values), shape=shape, axis=axis)

    def _concatenate(self, values: list[_Value], shape: Any, given: dict[str, Any]) -> _Value:
        return self.node("Concat", *values, shape=shape, axis=given["dimension"])

    def _reshape(self, values: list[_Value], shape: Any, given: dict[str, Any]) -> _Value:
        del given  # the shape says it
        return self.reshaped(values[0], shape, shape)

    _squeeze = _expand_dims = _reshape

    def _transpose(self, values: list[_Value], shape: Any, given: dict[str, Any]) -> _Value:
        return self.node("Transpose", values[0], shape=shape, perm=list(given["permutation"]))

    def _cut(self, x: _Value, shape: Any, starts: Any, ends: Any, steps: Any = None) -> _Value:
        ends = [side if isinstance(side, int) else _END for side in ends]
        places = starts, ends, range(len(starts)), steps or [1] * len(starts)
        return self.node("Slice", x, *(np.int64(list(numbers)) for numbers in places), shape=shape)

    def _slice(self, values: list[_Value], shape: Any, given: dict[str, Any]) -> _Value:
        return self._cut(values[0], shape, given["start_indices"], given["limit_indices"], given["strides"])

    def _gather(self, values: list[_Value], shape: Any, given: dict[str, Any]) -> _Value:
        """A slice, which JAX writes in this way where a side is a symbol."""
        (x, places), numbers = values, given["dimension_numbers"]
        if numbers.collapsed_slice_dims or isinstance(places.data, str) or places.data.ndim != 1:
            raise NoRule("the operation gather of other places than a slice's")
        first = dict(zip(numbers.start_index_map, map(int, places.data), strict=True))
        starts = [first.get(axis, 0) for axis in range(len(shape))]
        return self._cut(x, shape, starts, [a + b for a, b in zip(starts, given["slice_sizes"], strict=True)])

    def _rev(self, values: list[_Value], shape: Any, given: dict[str, Any]) -> _Value:
        steps = [-1 if axis in given["dimensions"] else 1 for axis in range(len(shape))]
        starts, ends = ([a if k < 0 else b for k in steps] for a, b in ((-1, 0), (-_END, _END)))
        return self._cut(values[0], shape, starts, ends, steps)

    def _pad(self, values: list[_Value], shape: Any, given: dict[str, Any]) -> _Value:
        low, high, inner = zip(*given["padding_config"], strict=True)
        if any(inner):
            raise NoRule("the operation pad between pixels")
        return self.node("Pad", values[0], np.int64([*low, *high]), values[1], shape=shape)

    def _reduce_sum(
        self, values: list[_Value], shape: Any, given: dict[str, Any], kind: str = "Sum"
    ) -> _Value:
        return self.node(f"Reduce{kind}", values[0], np.int64(list(given["axes"])), shape=shape, keepdims=0)

    _reduce_max = functools.partialmethod(_reduce_sum, kind="Max")

    def _reduce_or(self, values: list[_Value], shape: Any, given: dict[str, Any]) -> _Value:
        numbers = self.node("Cast", values[0], to=onnx.TensorProto.INT32)
        found = self._reduce_max([numbers], shape, given)
        return self.node("Cast", found, shape=shape, to=onnx.TensorProto.BOOL)

    def _dot_general(self, values: list[_Value], shape: Any, given: dict[str, Any]) -> _Value:
        (contracted, batch), (x, y) = given["dimension_numbers"], values
        if not batch[0] and contracted == ((len(x.shape) - 1,), (0,)) and len(y.shape) == 2:
            return self.node("MatMul", x, y, shape=shape)
        left, right = list("abcdefgh"[: len(x.shape)]), list("ABCDEFGH"[: len(y.shape)])
        for k, m in (*zip(*contracted, strict=True), *zip(*batch, strict=True)):
            right[m] = left[k]
        shared = [left[k] for k in batch[0]]
        gone = {left[k] for k in contracted[0]} | set(shared)
        made = [*shared, *(c for c in left if c not in gone), *(c for c in right if c not in gone)]
        return self.node(
            "Einsum", x, y, shape=shape, equation=f"{''.join(left)},{''.join(right)}->{''.join(made)}"
        )

    def _conv_general_dilated(self, values: list[_Value], shape: Any, given: dict[str, Any]) -> _Value:
        """A convolution of images in the order of ONNX, or a transposed one where pixels of the input lie apart."""
        (x, kernel), order = values, given["dimension_numbers"]
        group, strides, dilations = (
            given[name] for name in ("feature_group_count", "window_strides", "rhs_dilation")
        )
        if isinstance(kernel.data, str) or given["batch_group_count"] != 1:
            raise NoRule("a convolution with a kernel that is no constant")
        x = self.node("Transpose", x, perm=list(order.lhs_spec))
        w = kernel.data.transpose(order.rhs_spec)  # [co, ci, kh, kw]
        pads = np.array(given["padding"]).T
        if set(given["lhs_dilation"]) == {1}:
            y = self.node("Conv", x, w, pads=pads.ravel(), strides=strides, dilations=dilations, group=group)
        else:
            pads = np.array(w.shape[2:]) - 1 - pads
            if {*strides, *dilations, group} != {1} or pads.min() < 0:
                raise NoRule("a convolution with strides on both sides")
            w = np.flip(w, (2, 3)).swapaxes(0, 1)
            y = self.node("ConvTranspose", x, w, pads=pads.ravel(), strides=given["lhs_dilation"])
        return self.node("Transpose", y, shape=shape, perm=np.argsort(order.out_spec))
