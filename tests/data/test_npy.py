"""NumPy's files without numpy.load: every version and order, in threads, and nothing that a header only claims."""

import ast
import concurrent.futures
import io

import numpy as np
import pytest

import jgan
from jgan.data import cache
from jgan.data import images
from jgan.data import npy

ARRAYS = (
    np.arange(24, dtype=">u2").reshape(2, 3, 4),
    np.asfortranarray(np.linspace(-1, 1, 12, dtype=np.float16).reshape(4, 3)),
    np.array(2.5),
    np.zeros((0, 3), np.int64),
    np.eye(3) > 0,
)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
def test_what_numpy_wrote_is_read(tmp_path, array, version):
    with open(tmp_path / "x.npy", "wb") as file:
        np.lib.format.write_array(file, array, version)
    with open(tmp_path / "x.npy", "rb") as file:
        found = npy.read(file)
    both = [found] if not array.size else [found, npy.mapped(tmp_path / "x.npy")]
    for one in both:
        assert one.dtype == array.dtype and one.shape == array.shape
        np.testing.assert_array_equal(one, array)
    assert found.flags.writeable and not any(one.flags.writeable for one in both[1:])


def file(header, data=b"", version=1):
    width = 2 if version == 1 else 4
    text = header.encode("latin-1")
    return io.BytesIO(b"\x93NUMPY" + bytes([version, 0]) + len(text).to_bytes(width, "little") + text + data)


def test_headers_of_other_writers_are_read():
    for header in (
        """{'descr': '<u2', 'fortran_order': False, 'shape': (2, 1), }""",
        """ {"shape":(2,1),"fortran_order":False,"descr":"<u2"}  \n""",
    ):
        assert npy.read(file(header, bytes([1, 0, 2, 0]))).ravel().tolist() == [1, 2]


@pytest.mark.parametrize(
    ("header", "match"),
    [
        ("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", "objects"),
        ("{'descr': [('a', '<u2')], 'fortran_order': False, 'shape': (1,)}", "plain numbers"),
        ("{'descr': '<V2', 'fortran_order': False, 'shape': (1,)}", "plain numbers"),
        ("{'descr': '<u1', 'fortran_order': False, 'shape': (1000, 1000, 1000000)}", "cut short"),
        ("{'descr': '<u1', 'fortran_order': False, 'shape': (-1,)}", "plain numbers"),
        ("{'descr': '<u1', 'fortran_order': __import__('os'), 'shape': (1,)}", "plain numbers"),
        ("{'descr': '<u1', 'descr': '<u2', 'fortran_order': False, 'shape': (1,)}", "twice"),
        ("{'descr': '<u1', 'fortran_order': False}", "lacks"),
        ("{'descr': '<u1', 'fortran_order': '', 'shape': (1,)}", "lacks"),
        ("{" * 2000, "dictionary"),
        ("", "dictionary"),
        ("{'descr': '<u1', 'fortran_order': False, 'shape': (" + "9" * 5000 + ",)}", "."),
    ],
)
def test_hostile_headers_are_refused(tmp_path, header, match):
    content = file(header, b"1234")
    with pytest.raises(ValueError, match=match):
        npy.read(content)
    (tmp_path / "x.npy").write_bytes(content.getvalue())
    with pytest.raises(jgan.UserError, match="x.npy cannot be decoded"):
        images.read(tmp_path / "x.npy")


def test_lengths_that_a_header_only_claims_are_refused():
    for content in (
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff",
        b"\x93NUMPY\x01\x00\x80\x00{",
        b"\x93NUMPY\x04\x00",
        b"",
    ):
        with pytest.raises(ValueError):
            npy.header(io.BytesIO(content))


def test_threads_never_parse_python(tmp_path, monkeypatch):
    # ast.literal_eval in several threads at once can raise SystemError on CPython 3.11.
    monkeypatch.setattr(ast, "literal_eval", lambda *_: pytest.fail("a header was parsed as Python"))
    planes = (np.arange(12, dtype=np.uint8).reshape(2, 2, 3),)
    cache.Cache(0, tmp_path).put("0123456789", planes)
    images.write(tmp_path / "x.npy", planes[0])
    held = cache.Cache(0, tmp_path)

    def look(_):
        found = held.find("0123456789")
        return [*found, images.read(tmp_path / "x.npy")]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for found in pool.map(look, range(64)):
            for array in found:
                np.testing.assert_array_equal(array, planes[0])
