"""Edit documents: what is written is read, what is wrong is told in a sentence, and what is drawn."""

import json

import hypothesis
from hypothesis import strategies as st
import jax
import numpy as np
import pytest

import jgan
from jgan.latent import constraints
from jgan.latent import document
from jgan.ops import hog

describe = jax.jit(hog.describe)
touched = jax.jit(hog.touched, static_argnums=1)
PAINT = {"brush": "colour", "points": [[4, 4], [20.5, 4]], "width": 2, "colour": [255, 0, 0]}
DRAW = {"brush": "sketch", "points": [[8, 8]], "width": 1}
DRAG = {"brush": "warp", "source": [8, 8], "target": [20, 16], "side": 6}


def text(*strokes, **changes):
    tree = {"format": "jgan-edit", "version": 1, "space": "z", "size": [24, 32], "strokes": list(strokes)}
    return json.dumps(tree | changes)


def parsed(*strokes, **changes):
    return document.parse(text(*strokes, **changes))


def test_the_fields_of_a_document():
    edit = parsed(PAINT, DRAW, DRAG, weights={"sketch": 1})
    assert edit == document.Document(
        space="z",
        size=(24, 32),
        strokes=(
            document.Colour(((4, 4), (20.5, 4)), 2, (255, 0, 0)),
            document.Sketch(((8, 8),), 1, False),
            document.Warp((8, 8), (20, 16), 6),
        ),
        weights=constraints.Weights(1.0, 1.0, 0.0, 5.0),
    )


def test_a_file_is_read(tmp_path):
    path = tmp_path / "edit.json"
    path.write_text(text(PAINT))
    assert document.read(path, "z") == parsed(PAINT)
    with pytest.raises(jgan.UserError, match="cannot be read"):
        document.read(tmp_path / "none.json")


def points(h=24.0, w=32.0):
    return st.tuples(st.floats(0, w), st.floats(0, h))


lines = st.lists(points(), min_size=1, max_size=5).map(tuple)
extents = st.floats(0, 32, exclude_min=True)
strokes = st.one_of(
    st.builds(document.Colour, lines, extents, st.tuples(*[st.floats(0, 255)] * 3)),
    st.builds(document.Sketch, lines, extents, st.booleans()),
    st.builds(document.Warp, points(), points(), extents),
)
edits = st.builds(
    document.Document,
    st.text(min_size=1, max_size=20),
    st.just((24, 32)),
    st.lists(strokes, min_size=1, max_size=4).map(tuple),
    st.builds(constraints.Weights, *[st.floats(0, 1e6)] * 4),
)


@hypothesis.settings(max_examples=50, deadline=None, derandomize=True)
@hypothesis.given(edits)
def test_a_dumped_document_is_parsed_to_itself(edit):
    assert document.parse(document.dump(edit)) == edit
    assert document.parse(document.dump(edit).encode()) == edit


@pytest.mark.parametrize(
    "bad, sentence",
    [
        ("", "not a JSON document"),
        (b"\xff\xfe\xff", "not a JSON document"),
        ("[" * 100_000, "not a JSON document"),
        ("9" * 10_000, "not a JSON document"),
        ("[]", "this is no edit"),
        ('{"format": "jpeg"}', "this is no edit"),
        (text(PAINT, version=2), "has version 2; this program reads version 1"),
        (text(PAINT, version=True), "has version True"),
        (text(PAINT, version=1.0), "has version 1.0"),
        (text(PAINT, space="w_plus"), "is for the space 'w_plus', this generator has 'z'"),
        (text(PAINT, space=7), "space is 7"),
        (text(PAINT, size=[24]), r"size is \[24\]"),
        (text(PAINT, size=[0, 32]), r"size is \[0, 32\]"),
        (text(PAINT, size=[24, 10**9]), "whole numbers from 1 to 16384"),
        (text(PAINT, size=[24.5, 32]), "whole numbers"),
        (text(), "has 0 strokes"),
        (text(strokes=3), "3 for strokes"),
        (text(*[DRAW] * 1001), "has 1001 strokes"),
        (text(*[DRAW | {"points": [[1, 1]] * 9000}] * 3), "27000 points together"),
        (text(DRAW | {"points": [[1, 1]] * 20001}), "stroke 1 has 20001 points"),
        (text(DRAW | {"points": []}), "stroke 1 has 0 points"),
        (text(DRAW, "x"), "stroke 2 is 'x'"),
        (text(PAINT | {"brush": "spray"}), "has the brush 'spray'; there are colour, sketch, warp"),
        (text({"brush": ["colour"]}), "has the brush"),
        (text(DRAW | {"points": [[33, 1]]}), r"is \[33, 1\], outside the canvas of 32 x 24"),
        (text(DRAW | {"points": [[1, -0.1]]}), "outside the canvas"),
        (text(DRAW | {"points": [[1, 2, 3]]}), r"has to be \[x, y\]"),
        (text(DRAW | {"points": [["1", 2]]}), r"has to be \[x, y\]"),
        (text(DRAW | {"points": [[True, 2]]}), r"has to be \[x, y\]"),
        (text(DRAW | {"points": [[10**400, 2]]}), r"has to be \[x, y\]"),
        (text(DRAG | {"target": [1, 25]}), "stroke 1: target is .* outside the canvas"),
        (text(DRAW | {"width": float("nan")}), "contains NaN"),
        (text(DRAW | {"width": float("inf")}), "contains Infinity"),
        (text(DRAW).replace('"width": 1', '"width": 1e999'), "width is inf"),
        (text(DRAW | {"width": 0}), "width is 0, it has to be above 0 and at most 32"),
        (text(DRAG | {"side": 33}), "side is 33"),
        (text(PAINT | {"colour": [0, 0, 256]}), r"colour is \[0, 0, 256\]"),
        (text(PAINT | {"colour": "red"}), r"colour is 'red', it has to be \[r, g, b\]"),
        (text(DRAW | {"erase": 1}), "erase is 1, it has to be true or false"),
        (text(DRAW | {"color": "x"}), "unknown field 'color'"),
        (text({k: v for k, v in PAINT.items() if k != "width"}), "stroke 1 has no field 'width'"),
        (text(PAINT, weights=[]), r"weights are \[\]"),
        (text(PAINT, weights={"edge": 1}), "unknown field 'edge'"),
        (text(PAINT, weights={"sketch": -1}), "weight sketch is -1"),
        (text(PAINT, weights={"sketch": None}), "weight sketch is None"),
        (text(PAINT) + " " * document.MAX_BYTES, "at most 4194304 bytes"),
    ],
    ids=lambda x: None if isinstance(x, bytes) or len(x) > 60 or x == "" else x[:30],
)
def test_mistakes_are_told_in_a_sentence(bad, sentence):
    with pytest.raises(jgan.UserError, match=sentence) as caught:
        document.parse(bad, "z")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 250


# JSON that is no edit, and edits with one value exchanged for anything.
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


def places(tree, path=()):
    yield path
    for key, value in (
        tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    ):
        yield from places(value, (*path, key))


WHOLE = json.loads(text(PAINT, DRAW, DRAG, weights={"realism": 0.5}))


@st.composite
def spoiled(draw):
    tree = json.loads(json.dumps(WHOLE))
    for _ in range(draw(st.integers(1, 2))):
        *path, last = draw(st.sampled_from([path for path in places(tree) if path]))
        inner = tree
        for key in path:
            inner = inner[key]
        inner[last] = draw(st.floats(-40, 40) | st.integers(-3, 300) | anything)
    return json.dumps(tree)


@hypothesis.settings(max_examples=300, deadline=None, derandomize=True)
@hypothesis.given(st.one_of(spoiled(), spoiled(), anything.map(json.dumps), st.text(), st.binary()))
def test_no_document_raises_anything_else(given):
    try:
        edit = document.parse(given)
        document.rasterise(edit, (24, 32, 3), np.zeros((24, 32, 3)))
    except jgan.UserError as error:
        assert "\n" not in str(error)
        return
    assert document.parse(document.dump(edit)) == edit


def rasterise(*strokes, size=(24, 32, 3), image=None, **changes):
    return jax.device_get(document.rasterise(parsed(*strokes, **changes), size, image))


def test_a_document_on_a_photo_is_seen_through_its_square():
    """A photo of 24 x 32: the letterbox begins 4 px above it, the crop 4 px within it, both at any scale."""
    letterbox, crop = (-4, 0, 32), (0, 4, 24)
    edit = parsed(PAINT, DRAG)
    seen = document.framed(edit, (24, 32), letterbox)
    assert seen.size == (32, 32) and seen.strokes[0].points == ((4, 8), (20.5, 8))
    assert seen.strokes[1] == document.Warp((8, 12), (20, 20), 6) and seen.strokes[0].width == 2
    # A photo ten times as large, seen by the same square.
    assert document.framed(edit, (240, 320), (-40, 0, 320)).strokes[1] == document.Warp(
        (80, 120), (200, 200), 60
    )
    # In the square is what the photo's own canvas shows there.
    blank = np.zeros((32, 32, 3))
    wide = rasterise(PAINT, DRAG, image=blank[:24])
    whole = jax.device_get(document.rasterise(seen, blank.shape, blank))
    assert np.array_equal(whole.colour_mask[4:28], wide.colour_mask) and not whole.colour_mask[28:].any()
    part = document.framed(parsed(PAINT), (24, 32), crop)
    part = jax.device_get(document.rasterise(part, (24, 24, 3)))
    assert np.array_equal(part.colour_mask, rasterise(PAINT).colour_mask[:, 4:28])


def test_what_lies_beyond_a_crop_is_not_drawn():
    dot, line = DRAW | {"points": [[1.5, 20]]}, PAINT | {"points": [[31, 2], [31, 20]]}
    for stroke in (dot, line):
        hidden = document.framed(parsed(stroke), (24, 32), (0, 4, 24))
        asked = jax.device_get(document.rasterise(hidden, (24, 24, 3)))
        assert not asked.colour_mask.any() and not asked.edge_mask.any()


def test_a_square_canvas_is_the_square_itself():
    edit = parsed(DRAW, size=[40, 40])
    assert document.framed(edit, (24, 32), (-4, 0, 32)) is edit
    with pytest.raises(
        jgan.UserError, match="24 x 32 .* neither the proportions of the photo of 24 x 40 nor"
    ):
        document.framed(parsed(DRAW), (24, 40), (-8, 0, 40))


def test_a_line_covers_centres_within_half_its_width():
    """From (4, 4) to (20.5, 4), width 2: rows 3 and 4, and the columns whose centres the round ends reach."""
    asked = rasterise(PAINT)
    mask = np.zeros((24, 32))
    for y, x in np.ndindex(mask.shape):
        nearest = np.clip(x + 0.5, 4, 20.5)
        mask[y, x] = (x + 0.5 - nearest) ** 2 + (y + 0.5 - 4) ** 2 <= 1
    assert np.array_equal(asked.colour_mask, mask) and mask.sum() == 2 * 18
    assert np.all(np.asarray(asked.colour)[mask == 1] == [1, -1, -1])
    assert not np.any(asked.edge_mask)


@hypothesis.settings(max_examples=60, deadline=None, derandomize=True)
@hypothesis.given(points(), points())
def test_a_thin_line_has_no_gap(a, b):
    """One pixel wide: every point of it lies in a painted pixel or beside one."""
    mask = np.pad(document._line((tuple(a), tuple(b)), 1e-3, 24, 32), 1)
    assert mask[1 + min(int(a[1]), 23), 1 + min(int(a[0]), 31)]
    for t in np.linspace(0, 1, 100):
        x, y = (int((1 - t) * p + t * q) + 1 for p, q in zip(a, b, strict=True))
        assert mask[y - 1 : y + 2, x - 1 : x + 2].any()


def test_the_canvas_is_scaled_to_the_image():
    twice = {"brush": "colour", "points": [[8, 8], [41, 8]], "width": 4, "colour": [255, 0, 0]}
    large = document.parse(text(twice, size=[48, 64]))
    jax.tree.map(np.testing.assert_array_equal, document.rasterise(large, (24, 32, 3)), rasterise(PAINT))
    with pytest.raises(jgan.UserError, match="other proportions"):
        rasterise(PAINT, size=(32, 32, 3))


def test_later_strokes_lie_over_earlier_ones():
    blue = PAINT | {"points": [[10, 0], [10, 24]], "colour": [0, 0, 255]}
    asked = rasterise(PAINT, blue)
    np.testing.assert_array_equal(asked.colour[3, 10], [-1, -1, 1])
    np.testing.assert_array_equal(asked.colour[3, 5], [1, -1, -1])
    union = np.maximum(rasterise(PAINT).colour_mask, rasterise(blue).colour_mask)
    assert np.array_equal(asked.colour_mask, union)


def test_a_sketch_asks_for_edges_and_an_eraser_for_none():
    line = {"brush": "sketch", "points": [[12, 0], [12, 24]], "width": 2}
    asked = rasterise(line)
    drawing = np.full((24, 32, 3), -1.0)
    drawing[:, 11:13] = 1
    assert np.array_equal(asked.edge_mask, [[1, 1, 1, 0]] * 3) and not np.any(asked.colour_mask)
    np.testing.assert_allclose(asked.edge, describe(drawing) * asked.edge_mask[..., None], atol=1e-4)
    wiped = rasterise(line, line | {"width": 4, "erase": True})
    assert np.array_equal(wiped.edge_mask, asked.edge_mask) and not np.any(wiped.edge)


def test_a_sketch_on_a_bright_image_has_its_ground():
    """The same edges inside; along the border those that any bright image has."""
    line = {"brush": "sketch", "points": [[12, 0], [12, 24]], "width": 2}
    drawing = np.full((24, 32, 3), 1.0)
    drawing[:, 11:13] = -1
    bright = rasterise(line, image=np.full((24, 32, 3), 0.7))
    np.testing.assert_allclose(bright.edge, describe(drawing) * bright.edge_mask[..., None], atol=1e-4)
    np.testing.assert_allclose(bright.edge[1, 1:3], rasterise(line).edge[1, 1:3], atol=1e-4)
    assert np.any(bright.edge[0] != rasterise(line).edge[0])


def test_drawings_have_dark_lines_on_white():
    asked = rasterise({"brush": "sketch", "points": [[12, 0], [12, 24]], "width": 2}, PAINT, size=(24, 32, 1))
    drawing = np.full((24, 32, 1), 1.0)
    drawing[:, 11:13] = -1
    assert asked.edge.shape == (6, 8, 8)
    np.testing.assert_allclose(asked.edge, describe(drawing) * asked.edge_mask[..., None], atol=1e-4)
    np.testing.assert_allclose(asked.colour[3, 5], 2 * 0.299 - 1, atol=1e-6)
    with pytest.raises(jgan.UserError, match="1 or 3 channels, these have 4"):
        rasterise(PAINT, size=(24, 32, 4))


def test_a_warp_asks_for_the_patch_elsewhere():
    """Side 6 around (8, 8) goes to (20, 16): columns 5-10 to 17-22, rows 5-10 to 13-18."""
    image = np.random.default_rng(0).uniform(-1, 1, (24, 32, 3)).astype(np.float32)
    asked = rasterise(DRAG, image=image)
    mask = np.zeros((24, 32))
    mask[13:19, 17:23] = 1
    assert np.array_equal(asked.colour_mask, mask)
    np.testing.assert_allclose(asked.colour[13:19, 17:23], image[5:11, 5:11], atol=1e-6)
    assert np.array_equal(asked.edge_mask, touched(mask, 8))
    # The cells see the source's surroundings, as if the whole image had moved, not the outline of a square.
    moved = image[np.clip(np.arange(24) - 8, 0, 23)][:, np.clip(np.arange(32) - 12, 0, 31)]
    np.testing.assert_allclose(asked.edge, describe(moved) * asked.edge_mask[..., None], atol=1e-3)


def test_every_warp_may_have_an_image_of_its_own():
    """As if each were drawn alone, on the image that was there when it was made."""
    rng = np.random.default_rng(4)
    first, second = rng.uniform(-1, 1, (2, 24, 32, 3))
    other = DRAG | {"source": [24, 8], "target": [26, 16]}
    both = document.rasterise(parsed(DRAG, other), (24, 32, 3), None, {0: first, 1: second})
    apart = [
        document.rasterise(parsed(x), (24, 32, 3), image) for x, image in ((DRAG, first), (other, second))
    ]
    for alone in apart:
        mask = np.asarray(alone.colour_mask) > 0
        assert mask.any()
        np.testing.assert_array_equal(both.colour[mask], alone.colour[mask])


def test_a_warp_of_nothing_asks_for_what_is_there():
    image = np.random.default_rng(1).uniform(-1, 1, (24, 32, 3)).astype(np.float32)
    asked = rasterise(DRAG | {"target": [8, 8]}, image=image)
    assert jax.jit(constraints.cost)(image, asked) < 1e-6


def test_warps_that_cannot_be():
    with pytest.raises(jgan.UserError, match="stroke 2: a warp takes its patch from an image"):
        rasterise(DRAW, DRAG)
    corners = {"brush": "warp", "source": [0, 0], "target": [32, 24], "side": 6}
    with pytest.raises(jgan.UserError, match="no common part"):
        rasterise(corners, image=np.zeros((24, 32, 3)))
