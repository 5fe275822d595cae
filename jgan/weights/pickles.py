"""The containers, numbers and arrays of a pickle, read without trust.

A pickle is a program, and one of unknown origin may do anything. Here its instructions are interpreted by a reader that
builds dictionaries, lists, tuples, sets, numbers, texts and the arrays of NumPy, and calls nothing but the functions in
a table that its caller gives. Long runs of bytes stay in the file until they are asked for.
"""

import codecs
from collections.abc import Callable
from collections.abc import Mapping
import pickletools
from typing import Any
from typing import NamedTuple

from jgan.weights import arrays
from jgan.weights import source

MAX_DEPTH = 100
_SHORT = 1024  # bytes that are read at once


class Global(NamedTuple):
    """The name of a function or type of Python that a pickle refers to."""

    name: str


def load(
    window: source.Window,
    functions: Mapping[str, Callable[..., Any]],
    persistent: Callable[[Any], Any] | None = None,
    budget: source.Budget | None = None,
) -> Any:
    """The value of the pickle at the place of a window, which is then at the end of that pickle.

    Args:
        window: where the pickle is.
        functions: {dotted name: what is called in its place}, besides those of NumPy's arrays and of containers.
        persistent: what gives an object that is outside the pickle, by its description.
        budget: of the file, where it holds several pickles.

    Raises:
        Refused: it asks for something else.
        Exception: of any kind; it makes no sense.
    """
    budget = budget or source.Budget(window.size)
    return _Machine(window, {**_FUNCTIONS, **functions}, persistent, budget).run()


class _Machine:
    """The stack, the marks and the memory of one pickle."""

    def __init__(
        self,
        window: source.Window,
        functions: Mapping[str, Callable[..., Any]],
        persistent: Callable[[Any], Any] | None,
        budget: source.Budget,
    ):
        self.window, self.functions, self.persistent, self.budget = window, functions, persistent, budget
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        """The value at the top when the pickle ends."""
        while True:
            self.budget.instruction()
            code = self.window.read(1)
            if not code:
                raise source.Refused("no end")
            opcode = pickletools.code2op.get(code.decode("latin-1"))
            if opcode is None:
                raise ValueError("no instruction")
            if opcode.name == "STOP":
                return self.pop()
            if opcode.name in _LENGTHS:
                self.stack.append(self.bytes(opcode.name))
            else:
                reader = opcode.arg and (_quoted if opcode.name == "STRING" else opcode.arg.reader)
                self.step(opcode.name, reader(self.window) if reader else None)

    def step(self, name: str, argument: Any) -> None:
        """Carries out one instruction."""
        stack = self.stack
        match name:
            case "PROTO" | "FRAME":
                pass
            case "MARK":
                self.marks.append(len(stack))
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(name == "NEWTRUE")
            case "BININT" | "BININT1" | "BININT2" | "INT" | "LONG" | "LONG1" | "LONG4" | "BINFLOAT" | "FLOAT":
                stack.append(argument)
            case "BINUNICODE" | "SHORT_BINUNICODE" | "BINUNICODE8" | "UNICODE" | "STRING":
                stack.append(argument)
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_TUPLE":
                stack.append(())
            case "EMPTY_SET":
                stack.append(set())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple([self.pop() for _ in range(int(name[-1]))][::-1]))
            case "TUPLE":
                stack.append(tuple(self.since_mark()))
            case "LIST":
                stack.append(self.since_mark())
            case "FROZENSET":
                stack.append(_set(self.since_mark()))
            case "DICT":
                items = self.since_mark()
                stack.append(_fill({}, items))
            case "APPEND":
                item = self.pop()
                source.of(self.top(), list).append(item)
            case "APPENDS":
                items = self.since_mark()
                source.of(self.top(), list).extend(items)
            case "ADDITEMS":
                items = self.since_mark()
                source.of(self.top(), set).update(_set(items))
            case "SETITEM":
                value, key = self.pop(), self.pop()
                _fill(self.top(), [key, value])
            case "SETITEMS":
                items = self.since_mark()
                _fill(self.top(), items)
            case "POP":
                self.pop()
            case "BINPUT" | "LONG_BINPUT" | "PUT":
                self.memo[argument] = self.top()
            case "MEMOIZE":
                self.memo[len(self.memo)] = self.top()
            case "BINGET" | "LONG_BINGET" | "GET":
                value = self.memo[argument]
                stack.append(value.made or value if isinstance(value, arrays.Building) else value)
            case "GLOBAL":
                stack.append(self.named(argument.replace(" ", ".", 1)))
            case "STACK_GLOBAL":
                function, module = self.pop(str), self.pop(str)
                stack.append(self.named(f"{module}.{function}"))
            case "BINPERSID" if self.persistent is not None:
                stack.append(self.persistent(self.pop()))
            case "REDUCE" | "NEWOBJ":
                arguments, function = self.pop(tuple), self.pop(Global)
                self.budget.copies(arguments)
                stack.append(self.functions.get(function.name, _no_call)(*arguments))
            case "BUILD":
                state = self.pop()
                self.budget.copies([state, *(state if isinstance(state, tuple) else ())])
                stack.append(_build(self.pop(), state))
            case _:
                raise source.Refused(f"the instruction {name}")

    def bytes(self, name: str) -> bytes | str | source.Span:
        """A run of bytes, read if it is short; of Python 2's texts, which may be either, as a text."""
        length = int.from_bytes(self.window.read(_LENGTHS[name]), "little")
        start = self.window.tell()
        if length > self.window.size - start:
            raise source.Refused(f"a run of {length:,} bytes, which is longer than the file")
        if length <= _SHORT:
            data = self.window.read(length)
            return data.decode("latin-1") if name.endswith("STRING") else data
        self.window.seek(start + length)
        return self.window.span(start, length)

    def named(self, name: str) -> Global:
        """A function or type, if this reader knows it."""
        if name not in self.functions:
            hint = ": torch.save(net.state_dict(), ...) makes a file of the tensors of a net" * (
                self.persistent is not None
            )
            raise source.Refused(f"{source.show(name)}, which is not called{hint}")
        return Global(name)

    def top(self) -> Any:
        """The value on top, above the last mark."""
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise source.Refused("a description that makes no sense")
        return self.stack[-1]

    def pop(self, kind: type = object) -> Any:
        """The value on top, if it is of this kind, taken away."""
        if not isinstance(self.top(), kind):
            raise source.Refused("a description that makes no sense")
        return self.stack.pop()

    def since_mark(self) -> list[Any]:
        """All values above the last mark, taken away."""
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items


_LENGTHS = {
    "SHORT_BINBYTES": 1,
    "BINBYTES": 4,
    "BINBYTES8": 8,
    "BYTEARRAY8": 8,
    "SHORT_BINSTRING": 1,
    "BINSTRING": 4,
}


def check(tree: Any) -> None:
    """Refuses a value that contains itself, is nested too deeply, or is endless for who walks through it.

    Raises:
        Refused: it is such a value.
    """
    sizes: dict[int, int] = {}
    inside: set[int] = set()
    todo: list[tuple[Any, bool]] = [(tree, False)]
    while todo:
        value, done = todo.pop()
        if not done and id(value) in sizes:
            continue
        children = _children(value)
        if done:
            inside.discard(id(value))
            sizes[id(value)] = 1 + sum(sizes.get(id(x), 1) for x in children)
            if sizes[id(value)] > source.MAX_PLACES:
                raise source.Refused(f"more than {source.MAX_PLACES:,} values")
        elif children:
            if id(value) in inside:
                raise source.Refused("a part that contains itself")
            if len(inside) >= MAX_DEPTH:
                raise source.Refused(f"parts nested more than {MAX_DEPTH} deep")
            inside.add(id(value))
            todo.append((value, True))
            todo.extend((x, False) for x in children)


def _children(value: Any) -> list[Any]:
    """What a container holds."""
    if isinstance(value, source.Entry):
        return []
    if isinstance(value, source.Object):
        return [value.state]
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, list | tuple) else []


def _fill(target: Any, items: list[Any]) -> Any:
    """The dictionary with keys and values, which alternate in `items`."""
    if isinstance(target, source.Object):
        target = target.state
    if not isinstance(target, dict) or len(items) % 2 or not all(map(_is_key, items[::2])):
        raise source.Refused("a dictionary of other keys than texts and numbers")
    target.update(zip(items[::2], items[1::2], strict=True))
    return target


def _build(target: Any, state: Any) -> Any:
    """An object with its state."""
    if isinstance(target, dict):
        return target  # the state of a state dict is the versions of its modules
    if isinstance(target, arrays.Building):
        target.made = target.build(state)
        return target.made
    if isinstance(target, source.Object):
        # An object without __dict__ of its own has its state in two parts.
        state = state[0] or {} if isinstance(state, tuple) and len(state) == 2 else state
        _fill(target.state, [x for item in source.of(state, dict).items() for x in item])
        return target
    raise source.Refused("an object of an unknown kind")


def _set(items: Any) -> set[Any]:
    """A set of texts and numbers."""
    if not all(map(_is_key, items)):
        raise source.Refused("a set of other things than texts and numbers")
    return set(items)


def _dictionary(items: Any = (), **_: Any) -> dict[Any, Any]:
    """A dictionary, in the place of collections.OrderedDict."""
    if isinstance(items, dict):
        return dict(items)
    if not all(isinstance(item, list | tuple) and len(item) == 2 and _is_key(item[0]) for item in items):
        raise source.Refused("a dictionary that makes no sense")
    return dict(items)


def _is_key(value: Any) -> bool:
    """Whether a value may be a key: a text, or a number that is not huge.

    Others could be made in such a way that hashing one never ends, and any number of huge ones with the same hash.
    """
    return type(value) is str or (type(value) is int and abs(value) < 2**60)


def _no_call(*_: Any) -> None:
    """Refuses a call of a type that is no function."""
    raise source.Refused("a call of what is no function")


def _quoted(window: source.Window) -> str:
    """A text in quotes of protocol 0, in which Python 2 wrote bytes."""
    line = window.readline().rstrip(b"\n")
    if len(line) < 2 or line[:1] not in (b"'", b'"') or line[-1:] != line[:1]:
        raise source.Refused("a text without quotes")
    return codecs.escape_decode(line[1:-1])[0].decode("latin-1")


def inert(name: str) -> Callable[..., source.Object]:
    """A function that makes an object of this type with no state yet, whatever it is given."""
    return lambda *_: source.Object(name, {})


def _reconstructed(kind: Any, *_: Any) -> source.Object:
    """An object, in the place of copyreg._reconstructor."""
    return source.Object(source.of(kind, Global).name, {})


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **arrays.functions(),
    "collections.OrderedDict": _dictionary,
    "builtins.dict": _dictionary,
    "__builtin__.dict": _dictionary,
    "builtins.set": lambda items=(): _set(items),
    "__builtin__.set": lambda items=(): _set(items),
    "builtins.frozenset": lambda items=(): _set(items),
    "builtins.object": _no_call,
    "__builtin__.object": _no_call,
    "copyreg._reconstructor": _reconstructed,
    "copy_reg._reconstructor": _reconstructed,
    # Settings of programs, which lie beside weights; nothing of them is used.
    **{
        name: inert(name)
        for name in (
            "argparse.Namespace",
            "pathlib.PosixPath",
            "pathlib.WindowsPath",
            "pathlib.PurePosixPath",
            "pathlib.Path",
        )
    },
}
