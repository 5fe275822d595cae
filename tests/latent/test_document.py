"""Edit documents: what is written is read, and what is wrong is told in a sentence."""

import json

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest

import jgan
from jgan.latent import constraints
from jgan.latent import document
from jgan.latent import raster

PAINT = {"brush": "colour", "points": [[4, 4], [20.5, 4]], "width": 2, "colour": [255, 0, 0]}
DRAW = {"brush": "sketch", "points": [[8, 8]], "width": 1}
DRAG = {"brush": "warp", "source": [8, 8], "target": [20, 16], "side": 6}
HIDE = {"brush": "mask", "points": [[8, 8], [9.5, 20]], "width": 5}


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
        weights=constraints.Weights(1.0, 1.0, 0.0, 2.0, 0.3),
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
    st.builds(constraints.Weights, *[st.floats(0, 1e6)] * 5),
    st.just(""),
    st.just(0),
)


recipes = st.sampled_from(sorted(document.RECIPES)).flatmap(
    lambda name: st.builds(
        document.Document,
        st.text(min_size=1, max_size=20),
        st.just((24, 32)),
        st.lists(
            st.builds(document.Colour, lines, extents, st.tuples(*[st.floats(0, 255)] * 3))
            if document.RECIPES[name].stroke is document.Colour
            else st.builds(document.Mask, lines, extents, st.booleans()),
            min_size=1,
            max_size=4,
        ).map(tuple),
        st.just(constraints.Weights()),
        st.just(name),
        st.sampled_from([0, 4, 16, 1024] if name == "attributes" else [0]),
    )
)


@hypothesis.settings(max_examples=50, deadline=None, derandomize=True)
@hypothesis.given(edits | recipes)
def test_a_dumped_document_is_parsed_to_itself(edit):
    assert document.parse(document.dump(edit)) == edit
    assert document.parse(document.dump(edit).encode()) == edit


def test_a_recipe_is_a_field_of_the_document():
    edit = parsed(HIDE, HIDE | {"erase": True}, recipe="attributes", resolution=8)
    assert edit.recipe == "attributes" and edit.resolution == 8 and edit.weights == constraints.Weights()
    assert edit.strokes[1] == document.Mask(((8, 8), (9.5, 20)), 5, True)
    assert parsed(HIDE, recipe="attributes").resolution == 0
    assert "weights" not in document.dump(edit)
    with pytest.raises(jgan.UserError, match="has the recipe attributes, which launch.edit carries out"):
        document.without_recipe(edit)
    plain = parsed(PAINT)
    assert document.without_recipe(plain) is plain and not plain.recipe
    assert "recipe" not in document.dump(plain) and "resolution" not in document.dump(plain)


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
        (text(PAINT, space="w_plus"), "is for the space 'w_plus', not for 'z'"),
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
        (text(HIDE), "stroke 1 has the brush 'mask', which goes with a recipe alone"),
        (
            text(HIDE, recipe="blend"),
            "recipe is 'blend'; there are crossover, inpaint, scribble, local_style",
        ),
        (text(HIDE, recipe=""), "recipe is ''; there are"),
        (text(HIDE, recipe=["inpaint"]), r"recipe is \['inpaint'\]"),
        (
            text(HIDE, DRAW, recipe="inpaint"),
            "stroke 2 has the brush 'sketch'; strokes of the recipe inpaint",
        ),
        (
            text(DRAG, recipe="crossover"),
            "brush 'warp'; strokes of the recipe crossover have the brush 'mask'",
        ),
        (text(PAINT, recipe="local_style"), "brush 'colour'; strokes of the recipe local_style"),
        (
            text(HIDE, recipe="scribble"),
            "brush 'mask'; strokes of the recipe scribble have the brush 'colour'",
        ),
        (text(HIDE, recipe="inpaint", weights={}), "weights, which have no effect with the recipe inpaint"),
        (
            text(HIDE, recipe="inpaint", resolution=8),
            "a resolution, which goes with the recipe attributes alone",
        ),
        (text(PAINT, resolution=8), "a resolution, which goes with the recipe attributes alone"),
        (text(HIDE, recipe="attributes", resolution=2), "resolution is 2, it has to be 4, 8, 16 and so on"),
        (text(HIDE, recipe="attributes", resolution=12), "resolution is 12"),
        (text(HIDE, recipe="attributes", resolution=True), "resolution is True"),
        (text(HIDE, recipe="attributes", resolution=8.0), "resolution is 8.0"),
        (text(HIDE, recipe="attributes", resolution=2**70), "resolution is a number beyond"),
        (text(HIDE, recipe="inpaint", colour=1), "unknown field 'colour'; there are .* recipe, resolution"),
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
RECIPE = json.loads(text(HIDE, recipe="attributes", resolution=16))


@st.composite
def spoiled(draw):
    tree = json.loads(json.dumps(draw(st.sampled_from([WHOLE, WHOLE, RECIPE]))))
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
        raster.draw(edit, (24, 32, 3), np.zeros((24, 32, 3)))
    except jgan.UserError as error:
        assert "\n" not in str(error)
        return
    assert document.parse(document.dump(edit)) == edit
