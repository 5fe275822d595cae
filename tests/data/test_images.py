"""Files keep what was written: every format, bit depth and channel count; bad files are named."""

import collections
import os
import struct
import zlib

import numpy as np
from PIL import Image
import pytest

import jgan
from jgan.data import formats
from jgan.data import images

KINDS = [
    *[(".png", dtype, c) for dtype in ("uint8", "uint16") for c in (1, 2, 3, 4)],
    *[(".tiff", dtype, c) for dtype in ("uint8", "uint16", "float32") for c in (1, 2, 3, 4)],
    *[(".npy", dtype, c) for dtype in ("uint8", "uint16", "float32") for c in (1, 3, 7)],
    (".webp", "uint8", 3),
    (".webp", "uint8", 4),
    *[(".tif", dtype, c) for dtype in ("uint8", "uint16", "float32") for c in (5, 6)],
    (".bmp", "uint8", 3),
    *[
        (suffix, dtype, c)
        for suffix in (".ppm", ".PGM", ".pnm")
        for dtype in ("uint8", "uint16")
        for c in (1, 3)
    ],
]


def noise(dtype, channels, height=13, width=10, seed=0):
    rng = np.random.default_rng(seed)
    if dtype == "float32":
        return rng.uniform(-1, 1, (height, width, channels)).astype(np.float32)
    return rng.integers(0, np.iinfo(dtype).max + 1, (height, width, channels)).astype(dtype)


@pytest.mark.parametrize(("suffix", "dtype", "channels"), KINDS)
def test_what_is_written_is_read(tmp_path, suffix, dtype, channels):
    array = noise(dtype, channels)
    images.write(tmp_path / f"x{suffix}", array)
    back = images.read(tmp_path / f"x{suffix}")
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)
    assert os.listdir(tmp_path) == [f"x{suffix}"]  # no draft is left behind


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".jpe", ".jfif", ".JFIF"])
@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_close_by_all_its_names(tmp_path, channels, suffix):
    y, x = np.mgrid[:32, :32]
    array = np.stack([x * 7, y * 7, (x + y) * 4][:channels], axis=-1).astype(np.uint8)
    images.write(tmp_path / f"x{suffix}", array)
    back = images.read(tmp_path / f"x{suffix}")
    assert images.find(tmp_path) == [tmp_path / f"x{suffix}"]
    # Quality 95 quantises smooth pictures by a few levels; subsampled chroma would be off by more.
    assert np.abs(back.astype(int) - array).max() <= 6


@pytest.mark.parametrize(
    ("suffix", "dtype", "channels"),
    [
        (".jpg", "uint16", 3),
        (".jpg", "uint8", 4),
        (".png", "float32", 3),
        (".webp", "uint16", 3),
        (".png", "uint8", 5),
        (".xyz", "uint8", 3),
    ],
)
def test_a_format_that_cannot_hold_it_is_refused(tmp_path, suffix, dtype, channels):
    with pytest.raises(jgan.UserError, match=suffix):
        images.write(tmp_path / f"x{suffix}", noise(dtype, channels))
    assert not os.listdir(tmp_path)


def test_what_cannot_be_written_is_told(tmp_path):
    with pytest.raises(jgan.UserError, match="cannot be written"):
        images.write(tmp_path / "absent" / "x.png", noise("uint8", 3))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tiff"])
def test_orientation_is_applied(tmp_path, orientation, suffix):
    # What the eight values mean, as Pillow's own transposition names.
    turn = Image.Transpose
    how = {
        2: turn.FLIP_LEFT_RIGHT,
        3: turn.ROTATE_180,
        4: turn.FLIP_TOP_BOTTOM,
        5: turn.TRANSPOSE,
        6: turn.ROTATE_270,
        7: turn.TRANSVERSE,
        8: turn.ROTATE_90,
    }
    image = Image.fromarray(np.kron(noise("uint8", 3, 3, 2), np.ones((8, 8, 1), np.uint8)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / f"x{suffix}", exif=exif, quality=100, subsampling=0)
    wanted = image.transpose(how[orientation]) if orientation > 1 else image
    back = images.read(tmp_path / f"x{suffix}").astype(int)
    # Blocks of one colour survive JPEG at quality 100 within rounding.
    assert np.abs(back - np.asarray(wanted)).max() <= (3 if suffix == ".jpg" else 0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_sixteen_bits_is_that_of_eight(tmp_path, orientation):
    array = noise("uint16", 3)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray((array >> 8).astype(np.uint8)).save(tmp_path / "low.png", exif=exif)
    images.write(tmp_path / "high.png", array)
    plain = (tmp_path / "high.png").read_bytes()
    body = exif.tobytes()[6:]
    chunk = struct.pack(">I", len(body)) + b"eXIf" + body
    chunk += struct.pack(">I", zlib.crc32(b"eXIf" + body))
    (tmp_path / "high.png").write_bytes(plain[:33] + chunk + plain[33:])  # after the header
    low, high = images.read(tmp_path / "low.png"), images.read(tmp_path / "high.png")
    assert high.dtype == np.uint16
    np.testing.assert_array_equal(high >> 8, low)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_picture_with_damaged_exif_data_is_read_as_it_lies(tmp_path, dtype):
    array = noise(dtype, 3)
    images.write(tmp_path / "x.png", array)
    plain, body = (tmp_path / "x.png").read_bytes(), b"garbage"
    chunk = struct.pack(">I", len(body)) + b"eXIf" + body + struct.pack(">I", zlib.crc32(b"eXIf" + body))
    found = images.parse(plain[:33] + chunk + plain[33:], "x.png")
    np.testing.assert_array_equal(found.pixels, array)
    assert found.remarks == (formats.EXIF,)


def test_palette_becomes_rgb_and_bilevel_grey(tmp_path):
    Image.fromarray(noise("uint8", 3)).quantize(16).save(tmp_path / "p.png")
    Image.fromarray(noise("uint8", 1)[..., 0] > 99).save(tmp_path / "one.png")
    assert images.read(tmp_path / "p.png").shape == (13, 10, 3)
    one = images.read(tmp_path / "one.png")
    assert one.shape == (13, 10, 1) and set(np.unique(one)) == {0, 255}


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tiff", ".npy"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_truncated_file_is_named(tmp_path, suffix, dtype):
    if dtype == "uint16" and suffix in (".jpg", ".webp"):
        dtype = "uint8"
    path = tmp_path / f"cut{suffix}"
    images.write(path, noise(dtype, 3, 40, 40))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(jgan.UserError, match=f"cut{suffix}"):
        images.read(path)


@pytest.mark.parametrize("suffix", images.SUFFIXES)
@pytest.mark.parametrize("content", [b"", b"no picture at all"])
def test_what_is_no_image_is_named(tmp_path, suffix, content):
    (tmp_path / f"no{suffix}").write_bytes(content)
    with pytest.raises(jgan.UserError, match=f"no{suffix} cannot be decoded"):
        images.read(tmp_path / f"no{suffix}")
    with pytest.raises(jgan.UserError, match="no file"):
        images.read(tmp_path / f"absent{suffix}")


@pytest.mark.parametrize("depth", [8, 16])
def test_a_file_that_claims_a_huge_picture_is_refused(tmp_path, depth):
    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, depth, 2, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(data)
    with pytest.raises(jgan.UserError, match="bomb.png has more than"):
        images.read(tmp_path / "bomb.png")


def test_arrays_that_are_no_pictures_are_refused(tmp_path):
    for name, array, why in (
        ("objects", np.array([{}], dtype=object), "objects"),
        ("flat", np.zeros(4, np.uint8), "shape"),
        ("range", np.full((4, 4), 200.0, np.float32), "instead of"),
        ("nan", np.full((4, 4), np.nan, np.float32), "finite"),
        ("type", np.zeros((4, 4), np.int32), "int32"),
    ):
        np.save(tmp_path / f"{name}.npy", array, allow_pickle=True)
        with pytest.raises(jgan.UserError, match=why):
            images.read(tmp_path / f"{name}.npy")


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "RGBA", "F"])
def test_large_pictures_are_taken_over_in_strips(mode, monkeypatch):
    whole = Image.fromarray(np.random.default_rng(0).integers(0, 256, (7, 5, 3), np.uint8)).convert(mode)
    monkeypatch.setattr(formats, "_STRIP", 10)  # of 2 rows, the last of 1
    made = formats._array(whole)
    np.testing.assert_array_equal(made, np.asarray(whole))
    assert made.dtype == np.asarray(whole).dtype


def test_find_sees_images_below_but_nothing_hidden(tmp_path):
    for name in (
        "b.PNG",
        "a.jpg",
        "sub/c.tif",
        ".hidden.png",
        ".dir/d.png",
        "notes.txt",
        "._e.jpg",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [p.relative_to(tmp_path).as_posix() for p in images.find(tmp_path)]
    assert found == ["a.jpg", "b.PNG", "sub/c.tif"]


def test_files_that_are_left_out_are_counted_by_suffix(tmp_path):
    names = ("a.png", "b.HEIC", "sub/c.heic", "sub/d.txt", "README", ".hidden", ".git/e.obj", "f.JFIF")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = images.others(tmp_path)
    assert found == {".heic": 2, ".txt": 1, "": 1}
    assert images.left_out(found).startswith(
        "left out: 2 .heic, 1 without a suffix, 1 .txt; read are .png .jpg "
    )
    assert images.left_out(images.others(tmp_path / ".git" / "none")) == ""
    many = images.left_out(collections.Counter({f".{k}": 1 for k in range(11)}))
    assert " and 3 more kinds; " in many


@pytest.mark.parametrize("full", [1023, 4095, 65535])
def test_deep_ppm_fills_its_range(tmp_path, full):
    array = np.random.default_rng(0).integers(0, full + 1, (3, 5, 3))
    header = b"P6 # by hand\n5 3\n# and so on\n%d\n" % full
    (tmp_path / "x.ppm").write_bytes(header + array.astype(">u2").tobytes())
    found = images.read(tmp_path / "x.ppm")
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, np.rint(array * (65535 / full)))
    (tmp_path / "x.ppm").write_bytes((header + array.astype(">u2").tobytes())[:-1])
    with pytest.raises(jgan.UserError, match="x.ppm cannot be decoded: it ends before"):
        images.read(tmp_path / "x.ppm")


def test_frames_after_the_first_are_told(tmp_path):
    frames = [Image.fromarray(noise("uint8", 3, seed=k)) for k in range(3)]
    for suffix, options in ((".png", {}), (".webp", {"lossless": True})):
        frames[0].save(tmp_path / f"x{suffix}", save_all=True, append_images=frames[1:], **options)
        found = images.load(tmp_path / f"x{suffix}")
        np.testing.assert_array_equal(found.pixels, noise("uint8", 3))
        assert [*found.remarks] == ["with several frames, of which the first is read"]


def test_names_that_are_no_utf8_are_read_written_and_told(tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    for suffix in images.SUFFIXES:
        path = folder / os.fsdecode(b"\xfc" + suffix.encode())
        images.write(path, noise("uint8", 3))
        assert images.read(path).shape == (13, 10, 3)
        path.write_bytes(b"no picture")
        with pytest.raises(jgan.UserError, match="cannot be decoded") as caught:
            images.read(path)
        assert os.fsencode(str(caught.value)).startswith(os.fsencode(path))
    assert len(images.find(tmp_path)) == len(images.SUFFIXES)


def test_find_follows_links_but_not_in_circles(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.png").touch()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "link").symlink_to(tmp_path / "real")
    (tmp_path / "data" / "circle").symlink_to(tmp_path / "data")
    assert [p.name for p in images.find(tmp_path / "data")] == ["a.png"]


def test_convert_keeps_black_and_white():
    ends = np.array([[[0], [255]]], np.uint8)
    assert images.convert(ends, np.uint16).ravel().tolist() == [0, 65535]
    for array in (ends, images.convert(ends, np.uint16)):
        assert images.convert(array, np.float32).ravel().tolist() == [-1, 1]
