"""A TIFF has one meaning, however it is stored: against files written byte by byte from the specification."""

import io

import numpy as np
from PIL import Image
import pytest

import jgan
from jgan.data import images
from jgan.data import tiff
from tests.data import tiffs


def noise(bits, count, height=19, width=21, seed=0):
    rng = np.random.default_rng(seed)
    if bits == "f":
        return rng.uniform(-1, 1, (height, width, count)).astype(np.float32)
    dtype = np.uint8 if bits <= 8 else np.uint16
    return rng.integers(0, 2**bits, (height, width, count)).astype(dtype)


def load(data):
    return images.parse(data, "x.tif")


def grid():
    """How samples lie in a file, each of a few ways with each of the others' at least once."""
    rng = np.random.default_rng(1)
    for bits in (8, 16, "f"):
        for count in (1, 3, 6):
            for compression in ("none", "lzw", "deflate", "packbits"):
                predictors = [1] if compression in ("none", "packbits") else [1, 2 if bits != "f" else 3]
                for predictor in predictors:
                    tile, rows = [(0, 0), (0, 5), (16, 0)][rng.integers(3)]
                    yield {
                        "bits": bits,
                        "count": count,
                        "order": "<>"[rng.integers(2)],
                        "big": bool(rng.integers(2)),
                        "tile": tile,
                        "rows": rows,
                        "planar": bool(rng.integers(2)) and count > 1,
                        "compression": compression,
                        "predictor": predictor,
                    }


@pytest.mark.parametrize("bits", [8, 16, "f"])
def test_all_bands_come_whatever_they_are_stored_like(bits):
    ways = [way for way in grid() if way.pop("bits") == bits]
    assert len(ways) == 18
    for way in ways:
        samples = noise(bits, way["count"])
        kind = 2 if way["count"] == 3 else 1
        extra = (0,) * (way.pop("count") - (3 if kind == 2 else 1))
        data = tiffs.written(samples, kind, extra=extra, **way)
        found = load(data)
        assert found.alpha is None and not found.remarks and found.pixels.dtype == samples.dtype, way
        np.testing.assert_array_equal(found.pixels, samples, err_msg=str(way))


@pytest.mark.parametrize("kind", [1, 2])
@pytest.mark.parametrize("bits", [8, 16])
def test_bands_beside_colours_are_kept_and_opacity_is_told_from_them(kind, bits):
    for extra in [(0,), (0, 0), (2,), (0, 2), (2, 0)]:
        colours = 3 if kind == 2 else 1
        samples = noise(bits, colours + len(extra))
        found = load(tiffs.written(samples, kind, extra=extra))
        if 2 in extra:
            at = colours + extra.index(2)
            np.testing.assert_array_equal(found.alpha, samples[..., at : at + 1])
            samples = np.delete(samples, at, -1)
        else:
            assert found.alpha is None
        np.testing.assert_array_equal(found.pixels, samples)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 10, 12, 14, 16])
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_depth_fills_its_range_and_white_is_zero_is_inverted(bits, order):
    samples = noise(bits, 1)
    most = 255 if bits <= 8 else 65535
    wanted = np.rint(samples * (most / (2**bits - 1)))
    for photometric in (0, 1):
        found = load(tiffs.written(samples, photometric, bits=bits, order=order, rows=4)).pixels
        assert found.dtype == (np.uint8 if bits <= 8 else np.uint16)
        np.testing.assert_array_equal(found, wanted if photometric else most - wanted)


def test_white_is_zero_leaves_other_bands_alone_and_negates_floats():
    samples = noise(8, 2)
    found = load(tiffs.written(samples, 0, extra=(0,))).pixels
    np.testing.assert_array_equal(found, np.stack([255 - samples[..., 0], samples[..., 1]], -1))
    floats = noise("f", 1)
    np.testing.assert_array_equal(load(tiffs.written(floats, 0)).pixels, -floats)


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_a_palette_becomes_its_colours(bits):
    samples = noise(bits, 1)
    colours = np.random.default_rng(2).integers(0, 256, (3, 2**bits))
    wanted = colours.T[samples[..., 0]]
    for factor in (257, 256, 1):  # as the specification has it, by shifts, and left at 8 bits
        table = {320: (3, (colours * factor).ravel().tolist())}
        found = load(tiffs.written(samples, 3, bits=bits, tags=table))
        np.testing.assert_array_equal(found.pixels, wanted)


@pytest.mark.parametrize("bits", [8, 16])
def test_inks_become_colours(bits):
    inks = noise(bits, 4)
    most = 2**bits - 1
    wanted = (1 - inks[..., :3] / most) * (1 - inks[..., 3:] / most) * most
    found = load(tiffs.written(inks, 5, planar=bits == 16)).pixels
    assert np.abs(found - wanted).max() <= 0.5 + 1e-6
    with_alpha = np.concatenate([inks, noise(bits, 1, seed=3)], -1)
    found = load(tiffs.written(with_alpha, 5, extra=(2,)))
    np.testing.assert_array_equal(found.alpha, with_alpha[..., 4:])
    assert np.abs(found.pixels - wanted).max() <= 0.5 + 1e-6


def lab_to_srgb(lab):
    # CIE 15 for XYZ of L*a*b*, the Bradford matrices of ICC.1 from D50 to D65, IEC 61966-2-1 for sRGB.
    y = (lab[..., 0] + 16) / 116
    f = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], -1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * [0.9642, 1.0, 0.8249]
    bradford = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    d50, d65 = bradford @ [0.9642, 1.0, 0.8249], bradford @ [0.95047, 1.0, 1.08883]
    xyz = xyz @ (np.linalg.inv(bradford) @ np.diag(d65 / d50) @ bradford).T
    primaries = np.array(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.072175],
            [0.0193339, 0.119192, 0.9503041],
        ]
    )
    linear = np.clip(xyz @ np.linalg.inv(primaries).T, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("bits", [8, 16])
def test_lab_becomes_srgb(bits):
    rng = np.random.default_rng(0)
    lab = np.stack([rng.uniform(20, 90, (9, 11)), *rng.uniform(-30, 30, (2, 9, 11))], -1)
    unit = 2 ** (bits - 8)
    lightness = np.rint(lab[..., :1] / 100 * (2**bits - 1))
    signed = np.rint(lab[..., 1:] * unit)
    exact = np.concatenate([lightness / (2**bits - 1) * 100, signed / unit], -1)
    wanted = lab_to_srgb(exact) * (2**bits - 1)
    dtype = f"u{bits // 8}"
    cielab = np.concatenate([lightness, signed % 2**bits], -1).astype(dtype)  # two's complement
    full = 255 if bits == 8 else 0xFF00
    icclab = np.concatenate([np.rint(exact[..., :1] / 100 * full), signed + 128 * unit], -1).astype(dtype)
    for photometric, samples in ((8, cielab), (9, icclab)):
        found = load(tiffs.written(samples, photometric, compression="lzw")).pixels
        assert found.dtype == dtype
        # The matrices have four digits, and L of 16-bit ICCLab 255 steps of 256.
        assert np.abs(found - wanted).max() <= (1 if bits == 8 else 60)


def test_ycbcr_becomes_rgb_where_its_samples_are_stored_for_four_pixels():
    # Section 21: blocks of 2 x 2 luma samples, then Cb and Cr of all four; here each block has one colour.
    rng = np.random.default_rng(0)
    blocks = rng.integers(60, 190, (3, 4, 3))  # Y, Cb, Cr
    data = b"".join(bytes([y] * 4 + [cb, cr]) for row in blocks for y, cb, cr in row.tolist())
    fields = {
        256: (4, [8]),
        257: (4, [6]),
        258: (3, [8] * 3),
        259: (3, [1]),
        262: (3, [6]),
        277: (3, [3]),
        278: (4, [6]),
        284: (3, [1]),
        530: (3, [2, 2]),
        532: (5, [0, 1, 255, 1, 128, 1, 255, 1, 128, 1, 255, 1]),
    }
    y, cb, cr = np.moveaxis(blocks.astype(float), -1, 0)
    red, blue = y + 1.402 * (cr - 128), y + 1.772 * (cb - 128)
    green = (y - 0.299 * red - 0.114 * blue) / 0.587
    wanted = np.clip(np.stack([red, green, blue], -1), 0, 255).repeat(2, 0).repeat(2, 1)
    for turned in (1, 6):
        file = tiffs.assembled([fields | {274: (3, [turned])}], [[data]], [0], "<", False)
        found = load(file).pixels
        found = np.rot90(found) if turned == 6 else found
        assert np.abs(found - wanted).max() <= 1


@pytest.mark.parametrize("bits", [8, 16, "f"])
def test_premultiplied_colours_are_divided(bits):
    most = 1.0 if bits == "f" else float(2**bits - 1)
    rng = np.random.default_rng(0)
    share = rng.choice([0.0, 0.2, 0.6, 1.0], (9, 11, 1))  # whole numbers of 255 and of 65535
    colours = rng.uniform(0, 1, (9, 11, 3))
    values = np.concatenate([colours * share, share], -1)
    samples = (values * 2 - 1).astype(np.float32) if bits == "f" else np.rint(values * most)
    samples = samples if bits == "f" else samples.astype(f"u{bits // 8}")
    found = load(tiffs.written(samples, 2, extra=(1,)))
    np.testing.assert_array_equal(found.alpha, samples[..., 3:])
    wanted = colours * 2 - 1 if bits == "f" else colours * most
    near = np.abs(found.pixels - wanted)[share[..., 0] > 0]
    assert near.max() <= (1e-5 if bits == "f" else 3)  # half a level, divided by a fifth, and half a level
    plain = load(tiffs.written(samples, 2, extra=(2,)))
    np.testing.assert_array_equal(plain.pixels, samples[..., :3])


def test_the_first_whole_page_is_read_and_others_are_told():
    first, second = noise(8, 3), noise(8, 3, 9, 9, seed=4)

    def both(kinds):
        parts = []
        for samples in (first, second):
            height, width, _ = samples.shape
            parts.append(
                {
                    256: (4, [width]),
                    257: (4, [height]),
                    258: (3, [8] * 3),
                    259: (3, [1]),
                    262: (3, [2]),
                    277: (3, [3]),
                    278: (4, [height]),
                }
            )
        return load(tiffs.assembled(parts, [[first.tobytes()], [second.tobytes()]], kinds, "<", False))

    found = both((0, 0))
    np.testing.assert_array_equal(found.pixels, first)
    assert len(found.remarks) == 1 and "several pages" in found.remarks[0]
    found = both((1, 0))  # a reduced copy comes first
    np.testing.assert_array_equal(found.pixels, second)
    assert not found.remarks
    found = both((0, 4))  # a mask of the first
    np.testing.assert_array_equal(found.pixels, first)
    assert not found.remarks


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_to_colours_and_opacity(orientation, bits):
    samples = noise(bits, 4)
    found = load(tiffs.written(samples, 2, extra=(2,), tags={274: (3, [orientation])}))
    # Section 8: which sides of the picture row 0 and column 0 are.
    wanted = {
        1: samples,
        2: samples[:, ::-1],
        3: samples[::-1, ::-1],
        4: samples[::-1],
        5: samples.transpose(1, 0, 2),
        6: samples[::-1].transpose(1, 0, 2),
        7: samples[::-1, ::-1].transpose(1, 0, 2),
        8: samples[:, ::-1].transpose(1, 0, 2),
    }[orientation]
    np.testing.assert_array_equal(found.joined(), wanted)
    data = tiffs.written(samples, 2, extra=(2,), tags={274: (3, [orientation])})
    assert tiff.size(io.BytesIO(data)) == wanted.shape[:2]


@pytest.mark.parametrize(
    ("compression", "mode"),
    [("group4", "1"), ("group3", "1"), ("jpeg", "L"), ("jpeg", "RGB"), ("jpeg", "CMYK")]
    + [(way, mode) for way in ("tiff_lzw", "zstd") for mode in ("L", "RGB", "CMYK", "P", "RGBA", "LA")],
)
def test_files_of_pillow_mean_what_pillow_says(mode, compression):
    colours = np.kron(noise(8, 3, 6, 8), np.ones((8, 8, 1), np.uint8))
    image = Image.fromarray(colours).convert(mode)
    if mode in ("RGBA", "LA"):
        image.putalpha(Image.fromarray(colours[..., 0]))
    file = io.BytesIO()
    image.save(file, "TIFF", compression=compression)
    found = load(file.getvalue()).joined()
    seen = Image.open(file)
    seen = seen.convert({"1": "L", "CMYK": "RGB", "P": "RGB"}.get(mode, mode))
    wanted = np.asarray(seen)
    wanted = wanted[..., None] if wanted.ndim == 2 else wanted
    # Two decoders of JPEG differ by a level, inks of it by a little more.
    assert np.abs(found.astype(int) - wanted).max() <= (
        3 if compression == "jpeg" else 1 if mode == "CMYK" else 0
    )


def refused(data, match):
    with pytest.raises(jgan.UserError, match=f"x.tif cannot be decoded: .*{match}"):
        load(data)


def test_what_has_no_one_meaning_is_refused_by_name():
    eight = noise(8, 3)
    refused(tiffs.written(noise(8, 1), 4), "transparency mask")
    refused(tiffs.written(eight, 32803), "raw samples")
    refused(tiffs.written(noise(8, 5), 5, extra=(0,)), "1 bands besides its four inks")
    refused(tiffs.written(noise(8, 4), 5, tags={332: (3, [2])}), "inks are not cyan")
    refused(tiffs.written(noise("f", 4), 5), "inks are floats")
    refused(tiffs.written(eight[..., :2], 2), "2 bands where its colours need 3")
    refused(tiffs.written(eight, 1, extra=(0, 0), tags={258: (3, [8, 8, 4])}), ".")
    refused(tiffs.written(noise(8, 1).astype(np.uint32), 1), "uint32 instead of")
    refused(tiffs.written(noise(8, 1).astype(np.int16), 1), "int16 instead of")
    refused(tiffs.written(eight, 2, tags={32997: (4, [2])}), "volume of 2 slices|.")
    refused(tiffs.written(noise("f", 1) * 200, 1), "values run from")
    refused(tiffs.written(eight, 2, tags={259: (3, [60000])}), "60000")


@pytest.mark.parametrize("compression", ["none", "deflate", "lzw", "packbits"])
@pytest.mark.parametrize("tile", [0, 16])
def test_a_file_that_is_cut_is_refused(compression, tile):
    data = tiffs.written(noise(8, 3, 33, 33), 2, compression=compression, tile=tile, rows=8)
    for length in (len(data) - 3, len(data) * 2 // 3, 200, 9):
        refused(data[:length], ".")


def test_sizes_that_a_file_only_claims_are_refused():
    data = tiffs.written(noise(8, 3), 2, tags={256: (4, [60_000]), 257: (4, [60_000])})
    with pytest.raises(jgan.UserError, match="more than"):
        load(data)
    refused(tiffs.written(noise(8, 3), 2, tags={257: (4, [900])}), ".")
    refused(tiffs.written(noise(8, 3), 2, rows=4, tags={257: (4, [900])}), "strips or tiles instead of")
    refused(tiffs.written(noise(8, 3), 2, tags={277: (3, [40_000])}), ".")
