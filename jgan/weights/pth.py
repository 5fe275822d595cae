"""What is in a file of torch.save, read without PyTorch and without trust.

Both forms are read: the zip archive of PyTorch 1.6 and later, and the older stream, in which torchvision's older
weights are still published. Tensors stay in the file until they are asked for; other values are the containers,
numbers and texts that `pickles` knows.
"""

from collections.abc import Callable
import math
import struct
from typing import Any
from typing import BinaryIO
from typing import NamedTuple
import zipfile
import zlib

import jax.numpy as jnp
import numpy as np

import jgan
from jgan.weights import arrays
from jgan.weights import pickles
from jgan.weights import source

MAX_PICKLE = 2**22  # bytes of an archive's description; that of a net with 1,000 tensors takes 150,000
MAX_MEMBERS = 20_000
_EXPANDED = 2**16  # numbers of a tensor that repeats those of its storage
FROM_BYTES = "torch.storage._load_from_bytes"  # in pickles of others; no file of torch.save has it
MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # of the stream
_DTYPES = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "BFloat16Storage": jnp.bfloat16,
    "LongStorage": np.int64,  # batch norm counts its batches
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}
_PIECE = 2**24  # bytes of a storage that are summed up at once
_SIGNATURE, _HEADER = b"PK\x03\x04", struct.Struct("<4s22xHH")  # of a member of an archive


class _Storage(NamedTuple):
    """A run of numbers in the file: its name, their type, how many there are, and what reads some of them.

    `load` is called with the storage and the places of the first number and behind the last one.
    """

    key: str
    dtype: np.dtype
    number: int
    load: Callable[["_Storage", int, int], np.ndarray]


def archive(file: BinaryIO, path: str) -> Any:
    """What is in a zip archive of torch.save.

    Raises:
        source.Refused: it holds something else.
        Exception: of any kind; it is damaged.
    """
    with zipfile.ZipFile(file) as opened:
        members = {info.filename: info for info in opened.infolist()}
        roots = [name.removesuffix("/data.pkl") for name in members if name.endswith("/data.pkl")]
        if any(name.endswith(("/constants.pkl", "/code/")) or "/code/" in name for name in members):
            raise source.Refused(
                "a program of TorchScript: torch.save(torch.jit.load(FILE).state_dict(), ...) where PyTorch is "
                "installed makes a file of its tensors"
            )
        if len(roots) != 1 or len(members) > MAX_MEMBERS:
            raise source.Refused("no description, or several")
        (root,) = roots
        if members[f"{root}/data.pkl"].file_size > MAX_PICKLE:
            raise source.Refused(f"a description of more than {MAX_PICKLE} bytes")
        if f"{root}/byteorder" in members:
            with opened.open(f"{root}/byteorder") as member:
                if member.read(16) != b"little":
                    raise source.Refused("the byte order of another machine")
        with opened.open(f"{root}/data.pkl") as member:
            description = member.read(MAX_PICKLE)

    sound: set[str] = set()  # storages whose sums agree

    def load(storage: _Storage, start: int, stop: int) -> np.ndarray:
        info = members[f"{root}/data/{storage.key}"]
        size = storage.number * storage.dtype.itemsize
        span = source.Span(path, *_member(path, info))
        part = span.part(start * storage.dtype.itemsize, stop * storage.dtype.itemsize)
        data = part.read()
        if storage.key not in sound:
            pieces = (
                [data]
                if part == span
                else (span.part(k, min(k + _PIECE, size)).read() for k in range(0, size, _PIECE))
            )
            total = 0
            for piece in pieces:
                total = zlib.crc32(piece, total)
            if span.size != size or total != info.CRC:
                raise jgan.UserError(
                    f"{path} is no sound file of torch.save: its sum for {storage.key} differs."
                )
            sound.add(storage.key)
        return np.frombuffer(data, storage.dtype)

    def persistent(arguments: Any) -> _Storage:
        storage = _storage(arguments, load)
        info = members.get(f"{root}/data/{storage.key}")
        size = storage.number * storage.dtype.itemsize
        if info is None or info.file_size != size or info.compress_type != zipfile.ZIP_STORED:
            raise source.Refused(f"no {size} bytes for {source.show(storage.key)}")
        return storage

    return pickles.load(source.Bytes(description), FUNCTIONS, persistent)


def _member(path: str, info: zipfile.ZipInfo) -> tuple[int, int]:
    """Where the bytes of a member begin that is not compressed, and how many they are."""
    head = source.Span(path, info.header_offset, _HEADER.size).read()
    signature, name, extra = _HEADER.unpack(head)
    if signature != _SIGNATURE:
        raise jgan.UserError(f"{path} is no sound file of torch.save.")
    return info.header_offset + _HEADER.size + name + extra, info.file_size


def stream(window: source.Window, budget: source.Budget) -> Any:
    """What is in a stream of torch.save, which fills a window.

    Args:
        window: where the stream is.
        budget: of the file that it is in.

    Raises:
        source.Refused: it holds something else.
        Exception: of any kind; it is damaged.
    """
    for expected in (MAGIC, _PROTOCOL):
        if pickles.load(window, {}, budget=budget) != expected:
            raise source.Refused("another beginning")
    machine = pickles.load(window, {}, budget=budget)
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise source.Refused("the byte order of another machine")
    found: dict[str, _Storage] = {}
    places: dict[str, source.Span | bytes] = {}

    def load(storage: _Storage, start: int, stop: int) -> np.ndarray:
        data, size = places[storage.key], storage.dtype.itemsize
        data = (
            data.part(start * size, stop * size).read()
            if isinstance(data, source.Span)
            else data[start * size : stop * size]
        )
        return np.frombuffer(data, storage.dtype)

    def persistent(arguments: Any) -> _Storage:
        storage = _storage(arguments, load)
        if found.setdefault(storage.key, storage) != storage:
            raise source.Refused(f"two descriptions of {source.show(storage.key)}")
        return storage

    value = pickles.load(window, FUNCTIONS, persistent, budget)
    keys = pickles.load(window, {}, budget=budget)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise source.Refused("no list of storages")
    if set(keys) != set(found) or len(keys) != len(found):
        raise source.Refused("storages that are not its tensors' own")
    for key in keys:  # each has its number of elements, and then the elements
        storage = found[key]
        if int.from_bytes(window.read(8), "little") != storage.number:
            raise source.Refused(f"another number of elements for {source.show(key)}")
        size, start = storage.number * storage.dtype.itemsize, window.tell()
        if start + size > window.size:
            raise source.Refused(f"no {storage.number} elements for {source.show(key)}")
        places[key] = window.span(start, size)
        window.seek(start + size)
    return value


def from_bytes(data: Any, budget: source.Budget) -> _Storage:
    """A storage, in the place of torch.storage._load_from_bytes: a stream inside a pickle of this budget."""
    if isinstance(data, source.Span):
        with open(data.path, "rb") as file:
            value = stream(source.Window(file, data.path, data.start, data.size), budget)
    else:
        value = stream(source.Bytes(source.of(data, bytes)), budget)
    return source.of(value, _Storage)


def _storage(arguments: Any, load: Callable[[_Storage], np.ndarray]) -> _Storage:
    """A storage, as torch.save describes it."""
    if isinstance(arguments, tuple) and arguments and arguments[0] == "module":
        raise source.Refused(
            "a module with its code: torch.save(net.state_dict(), ...) makes a file of its tensors"
        )
    kind, storage, key, _, number, *view = source.of(arguments, tuple)
    if kind != "storage" or not isinstance(storage, pickles.Global) or not isinstance(key, str) or any(view):
        raise source.Refused("a storage of an unknown kind")
    if type(number) is not int or not 0 <= number < 2**40:
        raise source.Refused("a storage of an impossible size")
    dtype = _DTYPES.get(storage.name.removeprefix("torch.").removeprefix("cuda."))
    if dtype is None:
        raise source.Refused(f"numbers in {source.show(storage.name)}")
    return _Storage(key, np.dtype(dtype), number, load)


def _rebuild(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> source.Entry:
    """A tensor, in the place of torch._utils._rebuild_tensor."""
    numbers = isinstance(shape, tuple) and isinstance(strides, tuple) and len(shape) == len(strides) <= 8
    if not isinstance(storage, _Storage) or not numbers:
        raise source.Refused("a tensor that makes no sense")
    if not all(type(x) is int and 0 <= x < 2**40 for x in (offset, *shape, *strides)):
        raise source.Refused("a tensor of impossible size")
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    stop = last + 1 if math.prod(shape) else offset
    # Elements that overlap would allow a small file to claim any size; a style that is repeated for all rows is small.
    if math.prod(shape) > max(storage.number, _EXPANDED) or (math.prod(shape) and last >= storage.number):
        raise source.Refused("a tensor larger than what it is a part of")

    def read() -> np.ndarray:
        values = storage.load(storage, offset, stop)  # of a large storage of many tensors this part alone
        steps = [step * values.itemsize for step in strides]
        part = np.lib.stride_tricks.as_strided(values, shape, steps, writeable=False)
        # With memory of its own, if there are numbers between, which are then released.
        return part if part.size == values.size else part.copy()

    return source.Entry(shape, storage.dtype, read)


class _Empty(arrays.Building):
    """A tensor as the first versions of PyTorch wrote it: first made empty, then given its content."""

    def __init__(self, *_: Any):
        pass

    def build(self, state: Any) -> source.Entry:
        state = source.of(state, tuple)
        return state[0] if state and isinstance(state[0], source.Entry) else _rebuild(*state)


def _parameter(tensor: Any, *_: Any) -> source.Entry:
    """A tensor, in the place of a parameter of a module."""
    if not isinstance(tensor, source.Entry):
        raise source.Refused("a parameter that is no tensor")
    return tensor


def _no_call(*_: Any) -> None:
    """Refuses a call of a type that is no function."""
    raise source.Refused("a call of what is no function")


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": _rebuild,
    "torch._utils._rebuild_tensor_v2": _rebuild,
    "torch._utils._rebuild_parameter": _parameter,
    "torch.FloatTensor": _Empty,
    "torch.nn.parameter.Parameter": _Empty,
    "torch.Size": lambda shape=(): tuple(shape),
    "torch.device": pickles.inert("torch.device"),
    **{f"torch.{name}": _no_call for name in _DTYPES},
    **{f"torch.cuda.{name}": _no_call for name in _DTYPES},
    # Types of numbers among the settings that lie beside weights.
    **{f"torch.{name}": _no_call for name in ("float64", "float32", "float16", "bfloat16", "int64", "uint8")},
}
