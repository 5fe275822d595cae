"""Photos of any shape through a square and back."""

import numpy as np
import pytest

import jgan
from jgan.data import framing


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
