"""Photos of any shape through a square and back."""

import numpy as np
import pytest

import jgan
from jgan.data import framing
from jgan.data import images


def _photo(height, width, dtype=np.uint8):
    y, x = np.mgrid[:height, :width]
    planes = np.stack([y / max(height - 1, 1), x / max(width - 1, 1), (y + x) / (height + width)], -1)
    if dtype == np.float32:
        return (2 * planes - 1).astype(np.float32)
    return np.rint(planes * np.iinfo(dtype).max).astype(dtype)


@pytest.mark.parametrize("mode", framing.FITS)
@pytest.mark.parametrize("shape", [(48, 48), (96, 48), (33, 70), (7, 5)])
def test_the_square_keeps_the_aspect(mode, shape):
    """A disc in the photo is a disc in the square: equal extents in both directions."""
    height, width = shape
    y, x = np.mgrid[:height, :width] + 0.5
    radius = min(shape) / 3
    disc = (y - height / 2) ** 2 + (x - width / 2) ** 2 < radius**2
    photo = np.repeat(np.where(disc, 255, 0)[..., None], 3, -1).astype(np.uint8)
    framed = framing.fit(photo, 64, mode)
    seen = framed.image[..., 0] > 0
    assert framed.image.shape == (64, 64, 3) and framed.image.dtype == np.float32
    assert abs(np.ptp(np.nonzero(seen.any(1))) - np.ptp(np.nonzero(seen.any(0)))) <= 64 / min(shape) + 1
    side = (max if mode == "letterbox" else min)(shape)
    assert framed.side == side


def test_a_letterbox_knows_its_margins():
    framed = framing.fit(_photo(32, 64), 64)
    np.testing.assert_array_equal(framed.mask.sum(1), [0] * 16 + [64] * 32 + [0] * 16)
    assert (framed.top, framed.left, framed.side) == (-16, 0, 64)
    # Beyond the border its last pixels go on.
    np.testing.assert_array_equal(framed.image[0], framed.image[16])
    assert framing.fit(_photo(32, 64), 64, "crop").mask.all()


@pytest.mark.parametrize("mode", framing.FITS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_pasting_the_same_pixels_back_changes_nothing(mode, dtype):
    photo = _photo(24, 40, dtype)
    framed = framing.fit(photo, 40 if mode == "letterbox" else 24, mode)
    np.testing.assert_allclose(framing.paste(photo, framed, framed.image), photo, rtol=1e-6, atol=1e-6)


def test_pasting_touches_the_square_alone():
    photo = _photo(20, 50)
    framed = framing.fit(photo, 8, "crop")
    pasted = framing.paste(photo, framed, -np.ones((8, 8, 3), np.float32))
    assert not pasted[:, 15:35].any()
    np.testing.assert_array_equal(pasted[:, :15], photo[:, :15])
    np.testing.assert_array_equal(pasted[:, 35:], photo[:, 35:])


def test_an_unknown_fit_is_refused():
    with pytest.raises(jgan.UserError, match="letterbox, crop"):
        framing.fit(_photo(8, 8), 8, "squash")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("shape", [(90, 31), (31, 90), (40, 40)])
def test_a_letterbox_is_the_photo_with_margins_reduced(shape, dtype):
    photo = _photo(*shape, dtype)
    side = max(shape)
    margins = [((side - n) // 2, side - n - (side - n) // 2) for n in shape]
    whole = np.pad(photo, (*margins, (0, 0)), mode="edge")
    np.testing.assert_allclose(framing.fit(photo, 16).image, framing.fit(whole, 16).image, atol=1 / 127)


def _pixels(channels, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, (5, 6, channels)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_one_rule_gives_a_net_its_channels(dtype):
    white = np.iinfo(dtype).max
    colours, alpha = _pixels(3, dtype), _pixels(1, dtype, 1)
    grey, full = _pixels(1, dtype, 2), np.full((5, 6, 1), white, dtype)

    def taken(pixels, opacity, channels):
        made = framing.adapt(images.Picture(pixels, opacity), channels)
        return made.pixels, made.alpha, [*made.remarks]

    def same(found, pixels, opacity=None, remarks=()):
        np.testing.assert_array_equal(found[0], pixels)
        assert (found[1] is None) if opacity is None else np.array_equal(found[1], opacity)
        assert found[2] == [*remarks]

    laid = images.Picture(colours, alpha).on_white()
    same(taken(colours, None, 3), colours)
    same(taken(colours, full, 3), colours)  # an opacity that hides nothing is dropped
    same(taken(colours, alpha, 3), laid, alpha, [framing.LAID])
    same(taken(colours, alpha, None), laid, alpha, [framing.LAID])
    same(taken(colours, alpha, 4), np.concatenate([colours, alpha], -1))  # of a run that was trained on it
    same(taken(colours, full, 4), np.concatenate([colours, full], -1))
    same(taken(grey, None, 3), np.repeat(grey, 3, -1), None, [framing.REPEATED])
    same(taken(grey, full, 2), np.concatenate([grey, full], -1))
    near = np.repeat(grey // 2, 3, -1)
    near[0, 0, 2] += 2 * white // 255
    same(taken(near, None, 1), near[..., 1:2], None, [framing.TAKEN])
    same(taken(np.repeat(grey, 3, -1), full, 1), grey, None, [framing.TAKEN])
    same(taken(_pixels(6, dtype), None, 6), _pixels(6, dtype))


@pytest.mark.parametrize(
    ("have", "channels", "match"),
    [
        (3, 1, r"^x.png is in colour and the run takes grey \(1 channel\)"),
        (4, 3, "^x.png has 4 channels and the run takes 3, and none of them is marked as opacity"),
        (2, 1, "^x.png has 2 channels and the run takes 1, and none"),
        (6, 3, "^x.png has 6 channels and the run takes 3$"),
        (3, 4, "^x.png has 3 channels and the run takes 4$"),
        (1, 4, "^x.png has 1 channel and the run takes 4$"),
    ],
)
def test_bands_are_never_dropped_and_the_sentence_names_the_file(have, channels, match):
    with pytest.raises(jgan.UserError, match=match):
        framing.adapt(images.Picture(_pixels(have), name="x.png"), channels)


def test_the_last_channel_of_an_array_is_its_opacity_where_it_is_one_too_many():
    array = _pixels(4)
    wanted = framing.adapt(images.Picture(array[..., :3], array[..., 3:]), 3)
    np.testing.assert_array_equal(framing.adapt(array, 3).pixels, wanted.pixels)
    np.testing.assert_array_equal(framing.adapt(array, 4).pixels, array)
    with pytest.raises(jgan.UserError, match="the picture has 5 channels"):
        framing.adapt(_pixels(5), 3)


@pytest.mark.parametrize("bits", range(1, 17))
def test_values_of_fewer_bits_fill_the_range_and_come_back(bits):
    for dtype in (np.uint8, np.uint16):
        full = min(2**bits - 1, int(np.iinfo(dtype).max))
        values = np.linspace(0, full, 8).round().astype(dtype).reshape(2, 4, 1)
        wide = framing.stretch(values, bits)
        assert wide.dtype == dtype and wide.min() == 0 and wide.max() == np.iinfo(dtype).max
        back = framing.shrink(wide, bits)
        assert back.dtype == dtype
        np.testing.assert_array_equal(back, values)
    floats = _photo(3, 3, np.float32)
    np.testing.assert_array_equal(framing.stretch(floats, bits), floats)


def test_values_above_the_bits_are_refused_by_name():
    picture = images.Picture(np.full((2, 2, 1), 4096, np.uint16), name="deep.png")
    with pytest.raises(
        jgan.UserError, match="deep.png holds values up to 4096, above the 4095 of data.bits=12"
    ):
        framing.adapt(picture, 1, 12)
    assert framing.adapt(picture, 1, 13).pixels.max() == round(4096 * 65535 / 8191)


def test_bits_are_one_number_or_one_of_each_side():
    for given, wanted in (((), (0, 0)), ((12,), (12, 12)), ((12, 8), (12, 8))):
        assert (framing.bits({"bits": given}), framing.bits({"bits": given}, "b")) == wanted
    assert framing.bits({}) == 0
