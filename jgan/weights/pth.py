"""The tensors of a .pth file, read without PyTorch and without trust.

A pickle is a program, and one of unknown origin may do anything. Here its instructions are interpreted by a reader that
knows dictionaries, lists, tuples, numbers, texts and the functions by which torch.save describes tensors; it can call
nothing else. Both forms of torch.save are read: the zip archive of PyTorch 1.6 and later, and the older stream, in
which torchvision's older weights are still published.
"""

from collections.abc import Callable
import io
import math
import pathlib
import pickletools
from typing import Any
from typing import BinaryIO
from typing import NamedTuple
import zipfile

import jax.numpy as jnp
import numpy as np

import jgan

MAX_PICKLE = 2**20  # bytes of a description; that of a net with 1,000 tensors takes 150,000
MAX_MEMBERS = 10_000
_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # of the stream
_DTYPES = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "BFloat16Storage": jnp.bfloat16,
    "LongStorage": np.int64,  # batch norm counts its batches
}


class Tensor(NamedTuple):
    """A tensor of a file: its shape, the type of its numbers, and a function that reads its values."""

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[], np.ndarray]


class _Storage(NamedTuple):
    """A run of numbers in the file: its name, their type and how many there are."""

    key: str
    dtype: np.dtype
    number: int


class _View(NamedTuple):
    """A tensor as a pickle describes it: a part of a storage."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Global(NamedTuple):
    """The name of a function or type of Python that a pickle refers to."""

    name: str


class _Refused(Exception):
    """A demand of a file that is refused; its text follows the words "it has"."""


def tensors(path: pathlib.Path) -> dict[str, Tensor]:
    """{name: tensor} of a state dict that torch.save wrote.

    Raises:
        jgan.UserError: the file is damaged, or holds something other than tensors by name.
        OSError: it cannot be opened.
    """
    with open(path, "rb") as file:
        try:
            views, load = (_archive if zipfile.is_zipfile(file) else _stream)(file, path)
        except _Refused as refused:
            raise jgan.UserError(
                f"{path} is no state dict of tensors that could be read safely: it has {refused}."
            ) from None
        except OSError:
            raise
        except Exception:  # decoders raise many kinds of errors, which all mean the same here
            raise jgan.UserError(f"{path} is no sound file of torch.save.") from None
    return {name: Tensor(view.shape, view.storage.dtype, _reader(view, load)) for name, view in views.items()}


def _reader(view: _View, load: Callable[[_Storage], np.ndarray]) -> Callable[[], np.ndarray]:
    """A function that reads a tensor, given one that reads its storage."""

    def read() -> np.ndarray:
        values = load(view.storage)
        strides = [step * values.itemsize for step in view.strides]
        part = np.lib.stride_tricks.as_strided(values[view.offset :], view.shape, strides, writeable=False)
        return part.copy()  # with memory of its own, since the storage may be larger and is released

    return read


def _archive(file: BinaryIO, path: pathlib.Path) -> tuple[dict[str, _View], Callable[[_Storage], np.ndarray]]:
    """The tensors of a zip archive, and a function that reads a storage."""
    with zipfile.ZipFile(file) as archive:
        members = {info.filename: info for info in archive.infolist()}
        roots = [name.removesuffix("/data.pkl") for name in members if name.endswith("/data.pkl")]
        if len(roots) != 1 or len(members) > MAX_MEMBERS:
            raise _Refused("no description, or several")
        (root,) = roots
        if members[f"{root}/data.pkl"].file_size > MAX_PICKLE:
            raise _Refused(f"a description of more than {MAX_PICKLE} bytes")
        with archive.open(f"{root}/data.pkl") as member:
            views = _views(_unpickle(io.BytesIO(member.read(MAX_PICKLE))))
        if f"{root}/byteorder" in members:
            with archive.open(f"{root}/byteorder") as member:
                if member.read(16) != b"little":
                    raise _Refused("the byte order of another machine")
    for view in views.values():
        info = members.get(f"{root}/data/{view.storage.key}")
        size = view.storage.number * view.storage.dtype.itemsize
        if info is None or info.file_size != size or info.compress_type != zipfile.ZIP_STORED:
            raise _Refused(f"no {size} bytes for {_show(view.storage.key)}")

    def load(storage: _Storage) -> np.ndarray:
        try:
            with zipfile.ZipFile(path) as archive:
                data = archive.read(f"{root}/data/{storage.key}")
            return np.frombuffer(data, storage.dtype, storage.number)
        except Exception:
            raise jgan.UserError(f"{path} is no sound file of torch.save.") from None

    return views, load


def _stream(file: BinaryIO, path: pathlib.Path) -> tuple[dict[str, _View], Callable[[_Storage], np.ndarray]]:
    """The tensors of a stream, and a function that reads a storage."""
    file.seek(0)
    head = io.BytesIO(file.read(MAX_PICKLE))
    if _unpickle(head) != _MAGIC or _unpickle(head) != _PROTOCOL:
        raise _Refused("another beginning")
    machine = _unpickle(head)
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise _Refused("the byte order of another machine")
    views = _views(_unpickle(head))
    keys = _unpickle(head)
    storages = {view.storage.key: view.storage for view in views.values()}
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise _Refused("no list of storages")
    if set(keys) != set(storages) or len(keys) != len(storages):
        raise _Refused("storages that are not its tensors' own")
    end = file.seek(0, io.SEEK_END)
    places, position = {}, head.tell()
    for key in keys:  # each has its number of elements, and then the elements
        storage = storages[key]
        file.seek(position)
        if int.from_bytes(file.read(8), "little") != storage.number:
            raise _Refused(f"another number of elements for {_show(key)}")
        places[key] = position + 8
        position += 8 + storage.number * storage.dtype.itemsize
        if position > end:
            raise _Refused(f"no {storage.number} elements for {_show(key)}")

    def load(storage: _Storage) -> np.ndarray:
        with open(path, "rb") as file:
            file.seek(places[storage.key])
            data = file.read(storage.number * storage.dtype.itemsize)
        try:
            return np.frombuffer(data, storage.dtype, storage.number)
        except ValueError:
            raise jgan.UserError(f"{path} is no sound file of torch.save.") from None

    return views, load


def _views(tree: Any) -> dict[str, _View]:
    """The tensors of a state dict, if it has nothing else."""
    if not isinstance(tree, dict):
        raise _Refused("no dictionary at its root")
    for name, view in tree.items():
        if not isinstance(name, str) or not isinstance(view, _View):
            raise _Refused(f"something else than a tensor under {_show(name)}")
    keys: dict[str, _Storage] = {}
    for view in tree.values():
        if keys.setdefault(view.storage.key, view.storage) != view.storage:
            raise _Refused(f"two descriptions of {_show(view.storage.key)}")
    return tree


def _unpickle(file: io.BytesIO) -> Any:
    """The value of the next pickle of a stream, which is then at the end of that pickle."""
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}

    def pop(kind: type = object) -> Any:
        """The top of the stack above the last mark, if it is of this kind."""
        if len(stack) <= (marks[-1] if marks else 0) or not isinstance(stack[-1], kind):
            raise _Refused("a description that makes no sense")
        return stack.pop()

    def since_mark() -> list[Any]:
        """All values above the last mark."""
        start = marks.pop()
        items = stack[start:]
        del stack[start:]
        return items

    def fill(target: Any, items: list[Any]) -> None:
        """Adds keys and values, which alternate in `items`, to a dictionary."""
        # Keys of other types could be made in such a way that hashing one of them never ends.
        if (
            not isinstance(target, dict)
            or len(items) % 2
            or not all(type(k) in (str, int) for k in items[::2])
        ):
            raise _Refused("a dictionary of other keys than texts and numbers")
        target.update(zip(items[::2], items[1::2], strict=True))

    for opcode, argument, _ in pickletools.genops(file):
        match opcode.name:
            case "PROTO" | "FRAME":
                pass
            case "STOP":
                return pop()
            case "MARK":
                marks.append(len(stack))
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(opcode.name == "NEWTRUE")
            case "BININT" | "BININT1" | "BININT2" | "INT" | "LONG" | "LONG1" | "LONG4" | "BINFLOAT":
                stack.append(argument)
            case "BINUNICODE" | "SHORT_BINUNICODE" | "UNICODE" | "BINSTRING" | "SHORT_BINSTRING" | "STRING":
                stack.append(argument)
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_TUPLE":
                stack.append(())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple([pop() for _ in range(int(opcode.name[-1]))][::-1]))
            case "TUPLE":
                stack.append(tuple(since_mark()))
            case "LIST":
                stack.append(since_mark())
            case "DICT":
                items = since_mark()
                stack.append({})
                fill(stack[-1], items)
            case "APPEND":
                item = pop()
                _list(stack[-1]).append(item)
            case "APPENDS":
                items = since_mark()
                _list(stack[-1]).extend(items)
            case "SETITEM":
                value, key = pop(), pop()
                fill(stack[-1], [key, value])
            case "SETITEMS":
                items = since_mark()
                fill(stack[-1], items)
            case "BINPUT" | "LONG_BINPUT" | "PUT":
                memo[argument] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET" | "GET":
                stack.append(memo[argument])
            case "GLOBAL":
                stack.append(_global(argument))
            case "BINPERSID":
                stack.append(_storage(pop(tuple)))
            case "REDUCE" | "NEWOBJ":
                arguments, function = pop(tuple), pop(_Global)
                stack.append(_CALLS.get(function.name, _no_call)(*arguments))
            case "BUILD":
                state = pop()
                stack.append(_build(pop(), state))
            case _:
                raise _Refused(f"the instruction {opcode.name}")
    raise _Refused("no end")


def _global(argument: str) -> _Global:
    """A function or type, if this reader knows it."""
    name = argument.replace(" ", ".", 1)
    if name not in _CALLS and name.removeprefix("torch.") not in _DTYPES:
        raise _Refused(f"{_show(name)}, which is not called")
    return _Global(name)


def _storage(arguments: tuple[Any, ...]) -> _Storage:
    """A storage, as torch.save describes it."""
    kind, storage, key, _, number, *view = arguments
    if kind != "storage" or not isinstance(storage, _Global) or not isinstance(key, str) or any(view):
        raise _Refused("a storage of an unknown kind")
    if type(number) is not int or not 0 <= number < 2**40:
        raise _Refused("a storage of an impossible size")
    return _Storage(key, np.dtype(_DTYPES[storage.name.removeprefix("torch.")]), number)


def _rebuild(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _View:
    """A tensor, in the place of torch._utils._rebuild_tensor."""
    numbers = isinstance(shape, tuple) and isinstance(strides, tuple) and len(shape) == len(strides) <= 8
    if not isinstance(storage, _Storage) or not numbers:
        raise _Refused("a tensor that makes no sense")
    if not all(type(x) is int and 0 <= x < 2**40 for x in (offset, *shape, *strides)):
        raise _Refused("a tensor of impossible size")
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    # Elements that overlap would allow a small file to claim any size.
    if math.prod(shape) > storage.number or (math.prod(shape) and last >= storage.number):
        raise _Refused("a tensor larger than what it is a part of")
    return _View(storage, offset, shape, strides)


class _Empty:
    """A tensor as the first versions of PyTorch wrote it: first made empty, then given its content."""


def _build(target: Any, state: Any) -> Any:
    """An object with its state."""
    if isinstance(target, dict):
        return target  # the state of a state dict is the versions of its modules
    if isinstance(target, _Empty) and isinstance(state, tuple) and state:
        return state[0] if isinstance(state[0], _View) else _rebuild(*state)
    raise _Refused("an object of an unknown kind")


def _list(value: Any) -> list[Any]:
    """A value, if it is a list."""
    if not isinstance(value, list):
        raise _Refused("a list that is none")
    return value


def _ordered(items: Any = ()) -> dict[str, Any]:
    """A dictionary, in the place of collections.OrderedDict."""
    if not all(isinstance(item, list | tuple) and len(item) == 2 and type(item[0]) is str for item in items):
        raise _Refused("a dictionary that makes no sense")
    return dict(items)


def _parameter(tensor: Any, *_: Any) -> _View:
    """A tensor, in the place of a parameter of a module."""
    if not isinstance(tensor, _View):
        raise _Refused("a parameter that is no tensor")
    return tensor


def _no_call(*_: Any) -> None:
    """Refuses a call of a type that is no function."""
    raise _Refused("a call of what is no function")


_CALLS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _ordered,
    "torch._utils._rebuild_tensor": _rebuild,
    "torch._utils._rebuild_tensor_v2": _rebuild,
    "torch._utils._rebuild_parameter": _parameter,
    "torch.FloatTensor": lambda: _Empty(),
    "torch.nn.parameter.Parameter": lambda: _Empty(),
}


def _show(value: Any) -> str:
    """A value as a sentence shows it: printable and not long."""
    text = ascii(value) if isinstance(value, str | int) else type(value).__name__
    return text if len(text) <= 60 else text[:57] + "..."
