"""Pairs made from photos: what each must be, and Lab against published values."""

import numpy as np
import pytest

import jgan
from jgan.data import pairs


def photo(dtype="uint8", channels=3, seed=0, shape=(24, 20)):
    rng = np.random.default_rng(seed)
    if dtype == "float32":
        return rng.uniform(-1, 1, (*shape, channels)).astype(np.float32)
    return rng.integers(0, np.iinfo(dtype).max + 1, (*shape, channels)).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("name", pairs.PAIRS)
def test_the_target_is_the_photo_and_channels_are_as_told(name, dtype):
    x = photo(dtype)
    a, b = pairs.make(name, x.copy())
    assert (a.shape[-1], b.shape[-1]) == pairs.channels_of(name, 3)
    assert a.shape[:2] == b.shape[:2] == x.shape[:2]
    if name != "lab":
        np.testing.assert_array_equal(b, x)
        assert a.dtype == (np.uint8 if name == "edges" else x.dtype)
        assert pairs.show(name, a, b) is b


# Lab of the sRGB primaries under D65 (2 degrees), as in Lindbloom's colour calculator.
KNOWN = {
    (255, 255, 255): (100, 0, 0),
    (0, 0, 0): (0, 0, 0),
    (255, 0, 0): (53.2408, 80.0925, 67.2032),
    (0, 255, 0): (87.7347, -86.1827, 83.1793),
    (0, 0, 255): (32.2970, 79.1875, -107.8602),
    (119, 119, 119): (50.0344, 0, 0),
}


@pytest.mark.parametrize("rgb", KNOWN)
def test_lab_of_known_colours(rgb):
    x = np.array(rgb, np.uint8).reshape(1, 1, 3)
    a, b = pairs.make("lab", x)
    # The values have four decimals; float32 adds a few 1e-4 through the factor 500.
    np.testing.assert_allclose((a[0, 0, 0] + 1) * 50, KNOWN[rgb][0], atol=2e-3)
    np.testing.assert_allclose(b[0, 0] * 110, KNOWN[rgb][1:], atol=2e-3)


def test_lab_returns_to_the_photo():
    x = photo(shape=(64, 64))
    back = pairs.show("lab", *pairs.make("lab", x))
    # Far below half a level of 8 bits (0.0039).
    np.testing.assert_allclose(back, x / 127.5 - 1, atol=5e-5)


def test_grey_of_grey_is_itself_and_green_outshines_blue():
    grey = np.repeat(photo(channels=1), 3, axis=-1)
    np.testing.assert_array_equal(pairs.make("gray", grey)[0], grey[..., :1])
    colours = np.eye(3, dtype=np.uint8)[None] * 255
    assert pairs.make("gray", colours)[0].ravel().tolist() == [76, 150, 29]  # Rec. 601


def test_the_hole_is_the_white_centre_and_nothing_else():
    for dtype, white in (("uint8", 255), ("uint16", 65535), ("float32", 1)):
        x = np.minimum(photo(dtype), white - white // 100 if white > 1 else 0.9).astype(dtype)
        a, _ = pairs.make("hole", x)
        inside = np.zeros(x.shape[:2], bool)
        inside[6:18, 5:15] = True
        assert (a[inside] == white).all()
        np.testing.assert_array_equal(a[~inside], x[~inside])


def test_downscale_keeps_what_is_smooth_and_loses_what_is_fine():
    y, x = np.mgrid[:64, :64]
    smooth = (x * 3 + y)[..., None].astype(np.uint8)
    fine = ((x + y) % 2 * 255)[..., None].astype(np.uint8)
    inner = slice(8, -8)  # a ramp bends at the border
    near = pairs.make("downscale", smooth)[0].astype(int)[inner, inner] - smooth[inner, inner]
    assert np.abs(near).max() <= 2
    assert np.abs(pairs.make("downscale", fine)[0].astype(int) - 127).max() <= 12


def test_edges_are_one_thin_closed_line_around_a_square():
    x = np.full((40, 40, 3), 30, np.uint8)
    x[10:30, 10:30] = 200
    a, _ = pairs.make("edges", x)
    assert set(np.unique(a)) == {0, 255}
    black = a[..., 0] == 0
    assert not black[:8].any() and not black[14:26, 14:26].any()
    middle = black[20]
    assert middle.sum() == 2 and middle[8:12].any() and middle[28:32].any()
    assert 60 <= black.sum() <= 90  # the outline is 76 pixels long


def test_edges_of_nothing_are_white_and_colour_alone_makes_an_edge():
    flat = np.full((32, 32, 3), 90, np.uint8)
    rng = np.random.default_rng(0)
    noisy = (flat + rng.integers(-2, 3, flat.shape)).astype(np.uint8)
    assert (pairs.edges(flat) == 255).all() and (pairs.edges(noisy) == 255).all()
    colour = np.full((32, 32, 3), (150, 76, 0), np.uint8)
    colour[:, 16:] = (0, 152, 0)  # of nearly the same luma
    assert (pairs.edges(colour)[:, 14:18] == 0).any(axis=1).all()


def test_edges_turn_with_the_photo():
    x = np.kron(photo(shape=(6, 6)), np.ones((8, 8, 1), np.uint8))
    turned = pairs.edges(np.ascontiguousarray(x[::-1]))[::-1]
    differing = (turned != pairs.edges(x)).mean()
    # Ties between two equal pixels are broken towards one side: lines may move by one pixel.
    assert differing < 0.1


def test_unknown_pairs_and_wrong_channels_are_refused():
    with pytest.raises(jgan.UserError, match="edges, gray, lab"):
        pairs.make("sketch", photo())
    with pytest.raises(jgan.UserError, match="3 channels, not of 1"):
        pairs.make("lab", photo(channels=1))
