"""Grids: names beside rows, a caption below, and the same pictures whatever is written around them."""

import numpy as np

from jgan import pictures
from tests import cells

ROWS = [[np.full((112, 112, 3), 40 * (2 * r + c), np.uint8) for c in range(2)] for r in range(2)]
PLAIN = pictures.grid(ROWS, ("a", "b"))
BODY = slice(pictures.TITLE, None)


def inked(picture):
    """Whether anything is written in each row of pixels."""
    return np.any(picture != pictures.BACKGROUND, axis=(1, 2))


def test_each_row_has_its_name_to_its_left():
    named = pictures.grid(ROWS, ("a", "b"), names=("smile", "height"))
    margin = named.shape[1] - PLAIN.shape[1]
    assert margin > 20 and named.shape[0] == PLAIN.shape[0]
    np.testing.assert_array_equal(named[:, margin + 6 :], PLAIN[:, 6:])
    written = inked(named[BODY, :margin])
    # In the middle of the first row of pictures, and of the second one.
    for top in (0, 120):
        assert not written[top : top + 40].any() and written[top + 45 : top + 70].any()
    other = pictures.grid(ROWS, ("a", "b"), names=("height", "smile"))
    assert other.shape == named.shape and np.any(other != named)


def test_a_name_takes_one_line_of_a_few_letters():
    long, longer = (pictures.grid(ROWS, ("a", "b"), names=("x" * k, "y")) for k in (40, 100))
    np.testing.assert_array_equal(long, longer)
    assert long.shape[1] < 2 * PLAIN.shape[1]
    broken = pictures.grid(ROWS, ("a", "b"), names=("a\nb", "y"))
    np.testing.assert_array_equal(broken, pictures.grid(ROWS, ("a", "b"), names=(r"a\nb", "y")))


def test_a_caption_stands_below_and_is_never_cut():
    captioned = pictures.grid(ROWS, ("a", "b"), caption="label=hat, truncation=0.7, " * 5)
    height, width = PLAIN.shape[:2]
    assert captioned.shape[0] == height + pictures.TITLE and captioned.shape[1] > 2 * width
    np.testing.assert_array_equal(captioned[:height, :width], PLAIN)
    below = captioned[height:]
    assert inked(below).any() and np.all(below[:, -6:] == pictures.BACKGROUND)
    assert len(cells.cells(PLAIN)) == 2
