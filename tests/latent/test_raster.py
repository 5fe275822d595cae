"""Edit documents on pixels: what a square of a photo shows of them, and what each brush asks for."""

import json

import hypothesis
from hypothesis import strategies as st
import jax
import numpy as np
import pytest

import jgan
from jgan.latent import constraints
from jgan.latent import document
from jgan.latent import raster
from jgan.ops import hog

describe = jax.jit(hog.describe)
touched = jax.jit(hog.touched, static_argnums=1)
PAINT = {"brush": "colour", "points": [[4, 4], [20.5, 4]], "width": 2, "colour": [255, 0, 0]}
DRAW = {"brush": "sketch", "points": [[8, 8]], "width": 1}
DRAG = {"brush": "warp", "source": [8, 8], "target": [20, 16], "side": 6}


def parsed(*strokes, canvas=(24, 32)):
    tree = {"format": "jgan-edit", "version": 1, "space": "z", "size": list(canvas), "strokes": list(strokes)}
    return document.parse(json.dumps(tree))


def drawn(*strokes, size=(24, 32, 3), image=None):
    return jax.device_get(raster.draw(parsed(*strokes), size, image))


def test_a_document_on_a_photo_is_seen_through_its_square():
    """A photo of 24 x 32: the letterbox begins 4 px above it, the crop 4 px within it, both at any scale."""
    letterbox, crop = (-4, 0, 32), (0, 4, 24)
    edit = parsed(PAINT, DRAG)
    seen = raster.framed(edit, (24, 32), letterbox)
    assert seen.size == (32, 32) and seen.strokes[0].points == ((4, 8), (20.5, 8))
    assert seen.strokes[1] == document.Warp((8, 12), (20, 20), 6) and seen.strokes[0].width == 2
    # A photo ten times as large, seen by the same square.
    assert raster.framed(edit, (240, 320), (-40, 0, 320)).strokes[1] == document.Warp(
        (80, 120), (200, 200), 60
    )
    # In the square is what the photo's own canvas shows there.
    blank = np.zeros((32, 32, 3))
    wide = drawn(PAINT, DRAG, image=blank[:24])
    whole = jax.device_get(raster.draw(seen, blank.shape, blank))
    assert np.array_equal(whole.colour_mask[4:28], wide.colour_mask) and not whole.colour_mask[28:].any()
    part = raster.framed(parsed(PAINT), (24, 32), crop)
    part = jax.device_get(raster.draw(part, (24, 24, 3)))
    assert np.array_equal(part.colour_mask, drawn(PAINT).colour_mask[:, 4:28])


def test_what_lies_beyond_a_crop_is_not_drawn():
    dot, line = DRAW | {"points": [[1.5, 20]]}, PAINT | {"points": [[31, 2], [31, 20]]}
    for stroke in (dot, line):
        hidden = raster.framed(parsed(stroke), (24, 32), (0, 4, 24))
        asked = jax.device_get(raster.draw(hidden, (24, 24, 3)))
        assert not asked.colour_mask.any() and not asked.edge_mask.any()


def test_a_square_canvas_is_the_square_itself():
    edit = parsed(DRAW, canvas=(40, 40))
    assert raster.framed(edit, (24, 32), (-4, 0, 32)) is edit
    with pytest.raises(
        jgan.UserError, match="24 x 32 .* neither the proportions of the photo of 24 x 40 nor"
    ):
        raster.framed(parsed(DRAW), (24, 40), (-8, 0, 40))


def test_a_line_covers_centres_within_half_its_width():
    """From (4, 4) to (20.5, 4), width 2: rows 3 and 4, and the columns whose centres the round ends reach."""
    asked = drawn(PAINT)
    mask = np.zeros((24, 32))
    for y, x in np.ndindex(mask.shape):
        nearest = np.clip(x + 0.5, 4, 20.5)
        mask[y, x] = (x + 0.5 - nearest) ** 2 + (y + 0.5 - 4) ** 2 <= 1
    assert np.array_equal(asked.colour_mask, mask) and mask.sum() == 2 * 18
    assert np.all(np.asarray(asked.colour)[mask == 1] == [1, -1, -1])
    assert not np.any(asked.edge_mask)


points = st.tuples(st.floats(0, 32), st.floats(0, 24))


@hypothesis.settings(max_examples=60, deadline=None, derandomize=True)
@hypothesis.given(points, points)
def test_a_thin_line_has_no_gap(a, b):
    """One pixel wide: every point of it lies in a painted pixel or beside one."""
    mask = np.pad(raster._line((tuple(a), tuple(b)), 1e-3, 24, 32), 1)
    assert mask[1 + min(int(a[1]), 23), 1 + min(int(a[0]), 31)]
    for t in np.linspace(0, 1, 100):
        x, y = (int((1 - t) * p + t * q) + 1 for p, q in zip(a, b, strict=True))
        assert mask[y - 1 : y + 2, x - 1 : x + 2].any()


def test_the_canvas_is_scaled_to_the_image():
    twice = {"brush": "colour", "points": [[8, 8], [41, 8]], "width": 4, "colour": [255, 0, 0]}
    large = parsed(twice, canvas=(48, 64))
    jax.tree.map(np.testing.assert_array_equal, raster.draw(large, (24, 32, 3)), drawn(PAINT))
    with pytest.raises(jgan.UserError, match="other proportions"):
        drawn(PAINT, size=(32, 32, 3))


def test_later_strokes_lie_over_earlier_ones():
    blue = PAINT | {"points": [[10, 0], [10, 24]], "colour": [0, 0, 255]}
    asked = drawn(PAINT, blue)
    np.testing.assert_array_equal(asked.colour[3, 10], [-1, -1, 1])
    np.testing.assert_array_equal(asked.colour[3, 5], [1, -1, -1])
    union = np.maximum(drawn(PAINT).colour_mask, drawn(blue).colour_mask)
    assert np.array_equal(asked.colour_mask, union)


def test_a_sketch_asks_for_edges_and_an_eraser_for_none():
    line = {"brush": "sketch", "points": [[12, 0], [12, 24]], "width": 2}
    asked = drawn(line)
    drawing = np.full((24, 32, 3), -1.0)
    drawing[:, 11:13] = 1
    assert np.array_equal(asked.edge_mask, [[1, 1, 1, 0]] * 3) and not np.any(asked.colour_mask)
    np.testing.assert_allclose(asked.edge, describe(drawing) * asked.edge_mask[..., None], atol=1e-4)
    wiped = drawn(line, line | {"width": 4, "erase": True})
    assert np.array_equal(wiped.edge_mask, asked.edge_mask) and not np.any(wiped.edge)


def test_a_sketch_on_a_bright_image_has_its_ground():
    """The same edges inside; along the border those that any bright image has."""
    line = {"brush": "sketch", "points": [[12, 0], [12, 24]], "width": 2}
    drawing = np.full((24, 32, 3), 1.0)
    drawing[:, 11:13] = -1
    bright = drawn(line, image=np.full((24, 32, 3), 0.7))
    np.testing.assert_allclose(bright.edge, describe(drawing) * bright.edge_mask[..., None], atol=1e-4)
    np.testing.assert_allclose(bright.edge[1, 1:3], drawn(line).edge[1, 1:3], atol=1e-4)
    assert np.any(bright.edge[0] != drawn(line).edge[0])


def test_drawings_have_dark_lines_on_white():
    asked = drawn({"brush": "sketch", "points": [[12, 0], [12, 24]], "width": 2}, PAINT, size=(24, 32, 1))
    drawing = np.full((24, 32, 1), 1.0)
    drawing[:, 11:13] = -1
    assert asked.edge.shape == (6, 8, 8)
    np.testing.assert_allclose(asked.edge, describe(drawing) * asked.edge_mask[..., None], atol=1e-4)
    np.testing.assert_allclose(asked.colour[3, 5], 2 * 0.299 - 1, atol=1e-6)
    with pytest.raises(jgan.UserError, match="1 or 3 channels, these have 4"):
        drawn(PAINT, size=(24, 32, 4))


def test_a_warp_asks_for_the_patch_elsewhere():
    """Side 6 around (8, 8) goes to (20, 16): columns 5-10 to 17-22, rows 5-10 to 13-18."""
    image = np.random.default_rng(0).uniform(-1, 1, (24, 32, 3)).astype(np.float32)
    asked = drawn(DRAG, image=image)
    mask = np.zeros((24, 32))
    mask[13:19, 17:23] = 1
    assert np.array_equal(asked.colour_mask, mask)
    np.testing.assert_allclose(asked.colour[13:19, 17:23], image[5:11, 5:11], atol=1e-6)
    assert np.array_equal(asked.edge_mask, touched(mask, 8))
    # Where it comes from may change as well.
    mask[5:11, 5:11] = 1
    assert not np.any(asked.kept[mask > 0]) and np.all(asked.kept[:5, :16])
    # The cells see the source's surroundings, as if the whole image had moved, not the outline of a square.
    moved = image[np.clip(np.arange(24) - 8, 0, 23)][:, np.clip(np.arange(32) - 12, 0, 31)]
    np.testing.assert_allclose(asked.edge, describe(moved) * asked.edge_mask[..., None], atol=1e-3)


def test_every_warp_may_have_an_image_of_its_own():
    """As if each were drawn alone, on the image that was there when it was made."""
    rng = np.random.default_rng(4)
    first, second = rng.uniform(-1, 1, (2, 24, 32, 3))
    other = DRAG | {"source": [24, 8], "target": [26, 16]}
    both = raster.draw(parsed(DRAG, other), (24, 32, 3), None, {0: first, 1: second})
    apart = [raster.draw(parsed(x), (24, 32, 3), image) for x, image in ((DRAG, first), (other, second))]
    for alone in apart:
        mask = np.asarray(alone.colour_mask) > 0
        assert mask.any()
        np.testing.assert_array_equal(both.colour[mask], alone.colour[mask])


def test_a_warp_of_nothing_asks_for_what_is_there():
    image = np.random.default_rng(1).uniform(-1, 1, (24, 32, 3)).astype(np.float32)
    asked = drawn(DRAG | {"target": [8, 8]}, image=image)
    assert jax.jit(constraints.cost)(image, asked) < 1e-6


def test_warps_that_cannot_be():
    with pytest.raises(jgan.UserError, match="stroke 2: a warp takes its patch from an image"):
        drawn(DRAW, DRAG)
    corners = {"brush": "warp", "source": [0, 0], "target": [32, 24], "side": 6}
    with pytest.raises(jgan.UserError, match="no common part"):
        drawn(corners, image=np.zeros((24, 32, 3)))
