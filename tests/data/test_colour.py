"""What changes the meaning of colours is honoured: profiles and PNG's chunks become sRGB, opacity is kept apart."""

import io
import struct
import zlib

import imagecodecs
import numpy as np
from PIL import Image
from PIL import ImageCms
import pytest

import jgan
from jgan.data import framing
from jgan.data import images

D65 = np.array([0.3127, 0.3290, 0.3583]) / 0.3290
D50 = np.array([0.9642, 1.0, 0.8249])
P3 = ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))
SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))


def to_xyz(primaries):
    """The matrix from linear RGB of these primaries and the white D65 to XYZ (SMPTE RP 177)."""
    columns = np.array([(x / y, 1, (1 - x - y) / y) for x, y in primaries]).T
    return columns * np.linalg.solve(columns, D65)


def encoded(linear):
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


GAMMA = 563 / 256  # as near to 2.2 as a profile of version 2 has it


def p3_in_srgb(values, gamma=GAMMA):
    return encoded(values**gamma @ (np.linalg.inv(to_xyz(SRGB)) @ to_xyz(P3)).T)


def profile(space=b"RGB ", primaries=P3, gamma=GAMMA, table=None):
    """An ICC profile of version 2 by hand: of three primaries and a gamma, of grey, or of a table of inks."""

    def fixed(values):
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    curve = b"curv" + struct.pack(">IIH", 0, 1, round(gamma * 256)) + b"\0\0"
    tags = {b"wtpt": b"XYZ " + bytes(4) + fixed(D50), b"cprt": b"text" + bytes(4) + b"none\0\0\0\0"}
    tags[b"desc"] = b"desc" + bytes(4) + struct.pack(">I", 5) + b"mine\0" + bytes(78 + 3)
    if space == b"RGB ":
        bradford = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
        adapted = np.linalg.inv(bradford) @ np.diag((bradford @ D50) / (bradford @ D65)) @ bradford
        for name, column in zip("rgb", (adapted @ to_xyz(primaries)).T, strict=True):
            tags[f"{name}XYZ".encode()] = b"XYZ " + bytes(4) + fixed(column)
            tags[f"{name}TRC".encode()] = curve
    elif space == b"GRAY":
        tags[b"kTRC"] = curve
    else:
        straight = bytes(range(256))
        head = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + fixed(np.eye(3).ravel())
        tags[b"A2B0"] = head + straight * 4 + bytes(table) + straight * 3
    listed, body, place = b"", b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        listed += name + struct.pack(">II", place + len(body), len(data))
        body += data
    kind = b"prtr" if space == b"CMYK" else b"mntr"
    pcs = b"Lab " if space == b"CMYK" else b"XYZ "
    head = struct.pack(">I4xI", place + len(body), 0x02400000) + kind + space + pcs
    head += bytes(12) + b"acsp" + bytes(28) + fixed(D50)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + listed + body


def png(array, *chunks, bits=0):
    """A PNG with chunks (name, content) before its pixels, which are grey where they have less `bits` than a byte."""
    height, width, count = array.shape
    depth, kind = bits or array.dtype.itemsize * 8, {1: 0, 2: 4, 3: 2, 4: 6}[count]
    rows = array.astype(array.dtype.newbyteorder(">")).reshape(height, -1)
    if bits:
        rows = np.packbits(np.unpackbits(rows[..., None], axis=-1)[..., -bits:].reshape(height, -1), axis=1)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    all_chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)),
        *chunks,
        (b"IDAT", data),
        (b"IEND", b""),
    ]
    made = b"\x89PNG\r\n\x1a\n"
    for name, body in all_chunks:
        made += struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    return made


def iccp(data):
    return b"iCCP", b"mine\0\0" + zlib.compress(data)


def noise(dtype, count, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, (13, 11, count)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("alpha", [0, 1])
def test_colours_of_a_profile_become_srgb_in_png(dtype, alpha):
    array = noise(dtype, 3 + alpha)
    found = images.parse(png(array, iccp(profile())), "x")
    most = np.iinfo(dtype).max
    wanted = p3_in_srgb(array[..., :3] / most) * most
    # 8 bits go by a table; the numbers of a profile have 16 bits behind the point.
    assert np.abs(found.pixels - wanted).max() <= (1.5 if dtype == np.uint8 else 20)
    assert found.pixels.dtype == dtype and not found.remarks
    if alpha:
        np.testing.assert_array_equal(found.alpha, array[..., 3:])


@pytest.mark.parametrize("suffix", ["JPEG", "WEBP", "TIFF"])
def test_colours_of_a_profile_become_srgb_in_other_files(suffix):
    array = np.full((16, 16, 3), (60, 90, 200), np.uint8)
    file = io.BytesIO()
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(suffix, {})
    Image.fromarray(array).save(file, suffix, icc_profile=profile(), **options)
    found = images.parse(file.getvalue(), "x").pixels
    assert np.abs(found - p3_in_srgb(array / 255) * 255).max() <= (3 if suffix == "JPEG" else 1.5)


def test_the_profile_of_srgb_changes_no_bit():
    for dtype in (np.uint8, np.uint16):
        array = noise(dtype, 3)
        for icc in (ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
                    imagecodecs.cms_profile("srgb")):  # fmt: skip
            found = images.parse(png(array, iccp(icc)), "x")
            np.testing.assert_array_equal(found.pixels, array)
            assert not found.remarks


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("space", [b"GRAY", b"RGB "])
def test_grey_stays_grey_under_a_profile(dtype, space):
    array, most = noise(dtype, 1), np.iinfo(dtype).max
    found = images.parse(png(array, iccp(profile(space, gamma=1.0))), "x")
    assert found.pixels.shape == array.shape and found.pixels.dtype == dtype
    assert np.abs(found.pixels - encoded(array / most) * most).max() <= (1 if dtype == np.uint8 else 3)


def test_inks_go_by_their_profile():
    # The corners of a table in which each ink takes its own share of lightness, and cyan is as blue as can be.
    corners = []
    for c in (0, 1):
        for m in (0, 1):
            for y in (0, 1):
                for k in (0, 1):
                    left = (1 - 0.4 * c) * (1 - 0.3 * m) * (1 - 0.1 * y) * (1 - k)
                    corners += [round(255 * left), 128, 128 - 40 * c * (1 - k)]
    icc = profile(b"CMYK", table=corners)
    inks = np.zeros((1, 4, 4), np.uint8)
    inks[0, 1, 0] = inks[0, 2, 3] = inks[0, 3, 1] = 255
    file = io.BytesIO()
    Image.fromarray(inks, "CMYK").save(file, "TIFF", icc_profile=icc)
    white, cyan, black, magenta = images.parse(file.getvalue(), "x").pixels[0].astype(int).tolist()
    assert white == [255, 255, 255] and black == [0, 0, 0]
    assert cyan[2] > cyan[0] + 50  # Lab 60, 0, -40; without the profile it were 0, 255, 255
    assert max(magenta) - min(magenta) <= 1 and 165 <= magenta[0] <= 178  # L 70: 171
    plain = io.BytesIO()
    Image.fromarray(inks, "CMYK").save(plain, "TIFF")
    assert images.parse(plain.getvalue(), "x").pixels[0, 1].tolist() == [0, 255, 255]


@pytest.mark.parametrize(
    "icc", [b"junk" * 50, profile()[:200], profile(b"GRAY"), profile(b"CMYK", table=bytes(48))]
)
def test_a_profile_that_cannot_be_used_is_ignored_and_told(icc):
    for dtype in (np.uint8, np.uint16):
        array = noise(dtype, 3)
        found = images.parse(png(array, iccp(icc)), "x")
        np.testing.assert_array_equal(found.pixels, array)
        assert [*found.remarks] == ["with a colour profile that cannot be used, taken for sRGB"]


def gamma(value):
    return b"gAMA", struct.pack(">I", round(value * 100_000))


def chroma(white, primaries):
    return b"cHRM", struct.pack(">8I", *(round(x * 100_000) for pair in (white, *primaries) for x in pair))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_gamma_and_primaries_of_a_png_count(dtype):
    array, most = noise(dtype, 3), np.iinfo(dtype).max
    near = 1.5 if dtype == np.uint8 else 3
    linear = images.parse(png(array, gamma(1.0)), "x").pixels
    assert np.abs(linear - encoded(array / most) * most).max() <= near
    white = (0.3127, 0.3290)
    wide = images.parse(png(array, gamma(0.5), chroma(white, P3)), "x").pixels
    assert np.abs(wide - p3_in_srgb(array / most, 2.0) * most).max() <= (near if dtype == np.uint8 else 20)
    for chunks in (
        [gamma(0.45455)],
        [gamma(0.45455), chroma(white, SRGB)],
        [chroma(white, P3)],
        [(b"sRGB", b"\0"), gamma(1.0)],
        [gamma(0.0)],
        [iccp(imagecodecs.cms_profile("srgb")), gamma(1.0)],
    ):
        np.testing.assert_array_equal(images.parse(png(array, *chunks), "x").pixels, array, str(chunks))


def files_with_opacity():
    rgba = noise(np.uint8, 4)
    for suffix in ("PNG", "WEBP", "TIFF"):
        file = io.BytesIO()
        options = {"lossless": True, "exact": True} if suffix == "WEBP" else {}
        Image.fromarray(rgba).save(file, suffix, **options)
        yield suffix, file.getvalue(), rgba
    for dtype, count in ((np.uint8, 2), (np.uint16, 2), (np.uint16, 4)):
        array = noise(dtype, count)
        yield f"{count} of {dtype.__name__}", png(array), array
    palette = Image.fromarray(noise(np.uint8, 3)).quantize(8)
    shares = np.arange(8, dtype=np.uint8) * 30
    file = io.BytesIO()
    palette.save(file, "PNG", transparency=shares.tobytes())
    wanted = np.concatenate([np.asarray(palette.convert("RGB")), shares[np.asarray(palette)][..., None]], -1)
    yield "palette", file.getvalue(), wanted
    for dtype, form in ((np.uint8, ">H"), (np.uint16, ">H")):
        grey = noise(dtype, 1)
        key = int(grey[2, 3, 0])
        most = np.iinfo(dtype).max
        wanted = np.concatenate([grey, np.where(grey == key, 0, most).astype(dtype)], -1)
        yield "grey key", png(grey, (b"tRNS", struct.pack(form, key))), wanted
        colours = noise(dtype, 3)
        alpha = np.full((13, 11, 1), most, dtype)
        alpha[2, 3] = 0
        key = struct.pack(">3H", *(int(x) for x in colours[2, 3]))
        yield "colour key", png(colours, (b"tRNS", key)), np.concatenate([colours, alpha], -1)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_the_transparent_grey_of_a_png_of_few_bits(bits):
    grey = noise(np.uint8, 1) % 2**bits
    for key in range(2**bits):
        found = images.parse(png(grey, (b"tRNS", struct.pack(">H", key)), bits=bits), "x")
        np.testing.assert_array_equal(found.pixels, grey * (255 // (2**bits - 1)))
        np.testing.assert_array_equal(found.alpha, np.where(grey == key, 0, 255))


@pytest.mark.parametrize(("name", "data", "wanted"), files_with_opacity(), ids=lambda x: str(x)[:20])
def test_opacity_is_kept_apart_and_laid_on_white(name, data, wanted):
    found = images.parse(data, "x")
    np.testing.assert_array_equal(found.pixels, wanted[..., :-1])
    np.testing.assert_array_equal(found.alpha, wanted[..., -1:])
    most = np.iinfo(wanted.dtype).max
    share = wanted[..., -1:] / most
    taken = framing.adapt(found, None)
    assert np.abs(taken.pixels - (wanted[..., :-1] * share + most * (1 - share))).max() <= 0.5 + 1e-6
    np.testing.assert_array_equal(taken.alpha, wanted[..., -1:])
    assert [*taken.remarks] == [framing.LAID]


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("count", [1, 3])
def test_opacity_that_is_written_is_read_as_opacity(tmp_path, suffix, dtype, count):
    if dtype == np.float32:
        array = np.random.default_rng(0).uniform(-1, 1, (5, 6, count + 1)).astype(dtype)
    else:
        array = noise(dtype, count + 1)
    picture = images.Picture(array[..., :-1], array[..., -1:])
    path = tmp_path / f"x{suffix}"
    if dtype not in {".png": (np.uint8, np.uint16), ".webp": (np.uint8,)}.get(suffix, (dtype,)):
        with pytest.raises(jgan.UserError, match="cannot hold"):
            images.write(path, picture)
        return
    images.write(path, picture)
    found = images.load(path)
    pixels = (
        picture.pixels if suffix != ".webp" else np.repeat(picture.pixels, 4 - picture.shape[-1], -1)[..., :3]
    )
    np.testing.assert_array_equal(found.pixels, pixels)
    np.testing.assert_array_equal(found.alpha, picture.alpha)


def test_formats_without_opacity_leave_it_out(tmp_path):
    array = np.full((8, 8, 4), 90, np.uint8)
    for suffix in (".jpg", ".bmp", ".ppm", ".npy"):
        images.write(tmp_path / f"x{suffix}", images.Picture(array[..., :3], array[..., 3:]))
        assert images.load(tmp_path / f"x{suffix}").joined().shape == (8, 8, 3)


def test_bands_of_a_tiff_that_are_no_opacity_stay_bands(tmp_path):
    for count in (2, 4, 6):
        array = noise(np.uint16, count)
        images.write(tmp_path / "x.tif", array)
        found = images.load(tmp_path / "x.tif")
        assert found.alpha is None
        np.testing.assert_array_equal(found.pixels, array)
