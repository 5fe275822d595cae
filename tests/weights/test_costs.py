"""A small file is read or refused in little time and memory, and what is shared in a file is read as it was written."""

import pickle
import resource
import struct
import time

import numpy as np
import pytest

import jgan
from jgan.weights import files
from jgan.weights import pth
from jgan.weights import source


def described(*parts):
    return b"\x80\x02" + b"".join(parts) + b"."


def numbered(count, step=1, value=b""):
    """Numbers with other values between, which may be too many for most places of a table."""
    return b"".join(b"\x8a\x0a" + (k * step).to_bytes(10, "little") + value for k in range(1, count + 1))


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value


def called(function, arguments, times=40_000):
    """A list of what a function gives of the same arguments again and again."""
    keep = arguments + b"q\x010c" + function + b"q\x020("
    return described(keep, b"h\x02h\x01R" * times, b"l")


def stream(body, keys=(), data=b""):
    parts = [pth.MAGIC, 1001, {"little_endian": True}]
    return b"".join(pickle.dumps(x, 2) for x in parts) + body + pickle.dumps(list(keys), 2) + data


_ONE = stream(
    described(text(b"storage"), b"ctorch\nFloatStorage\n", text(b"0"), text(b"cpu"), b"K\x01NtQ").replace(
        b"\x80\x02", b"\x80\x02(", 1
    ),
    ["0"],
    struct.pack("<q", 1) + bytes(4),
)
_MANY = 50_000
COSTLY = {
    "a list that is in another again and again": described(
        b"(", b"N" * 10**5, b"lq\x010(", b"h\x01" * 10**5, b"l"
    ),
    "keys with the same hash": described(b"}(", numbered(40_000, 2**61 - 1, b"N"), b"u"),
    "members with the same hash": b"\x80\x04\x8f(" + numbered(40_000, 2**61 - 1) + b"\x90.",
    "a dictionary copied": called(b"builtins\ndict\n", b"}(" + numbered(_MANY, 1, b"N") + b"u\x85"),
    "a list copied": called(b"torch\nSize\n", b"(" + b"N" * 10**5 + b"l\x85"),
    "a set copied": called(b"builtins\nset\n", b"(" + numbered(_MANY) + b"l\x85"),
    "a text copied": called(b"_codecs\nencode\n", text(b"x" * 500_000) + text(b"latin1") + b"\x86"),
    "a state given again and again": described(
        b"}(" + numbered(_MANY, 1, b"N") + b"uq\x010cargparse\nNamespace\n)R", b"h\x01b" * 40_000
    ),
    "a storage read again and again": called(
        b"torch.storage\n_load_from_bytes\n", b"B" + struct.pack("<I", len(_ONE)) + _ONE + b"\x85"
    ),
    "a number of digits for a side": pickle.dumps(np.zeros(100, "u1"), 2).replace(
        b"Kd\x85", b"\x8b" + struct.pack("<i", 1700) + b"\x01" * 1700 + b"\x85"
    ),
}


@pytest.mark.parametrize("name", COSTLY)
def test_a_small_file_costs_little(tmp_path, name):
    path = tmp_path / "x.pkl"
    path.write_bytes(COSTLY[name])
    assert path.stat().st_size < 2**20
    start, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(jgan.UserError) as told:
        files.contents(path)
    assert time.process_time() - start < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB
    assert str(told.value).isprintable() and len(str(told.value)) < 400


@pytest.mark.parametrize("protocol", range(6))
def test_an_array_that_is_there_twice_is_read_twice(tmp_path, protocol):
    array = np.arange(6.0).reshape(2, 3)
    (tmp_path / "x.pkl").write_bytes(pickle.dumps([array, {"again": array}], protocol))
    first, second = files.contents(tmp_path / "x.pkl")
    for entry in (first, second["again"]):
        np.testing.assert_array_equal(entry.read(), array)


@pytest.mark.parametrize("archive", [True, False], ids=["archive", "stream"])
def test_of_a_storage_of_many_tensors_each_reads_its_own_part(tmp_path, monkeypatch, archive):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed; requirements-test.txt has it")
    whole = torch.arange(40_000.0)
    state = {f"x{k}": whole[400 * k : 400 * (k + 1)].view(20, 20).t() for k in range(100)}
    torch.save(state, tmp_path / "x.pth", _use_new_zipfile_serialization=archive)
    found, sizes = files.entries(tmp_path / "x.pth"), []
    read = source.Span.read
    monkeypatch.setattr(source.Span, "read", lambda span: sizes.append(span.size) or read(span))
    for name, tensor in state.items():
        np.testing.assert_array_equal(found[name].read(), tensor.numpy())
    assert sum(sizes) < 3 * 160_000
