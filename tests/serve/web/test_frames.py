"""Frames as bytes: the header tells what the picture holds, at rest without loss."""

import io
import json
import struct

import numpy as np
from PIL import Image
import pytest

from jgan.serve.device import search
from jgan.serve.web import frames


def frame(moving, channels=3, k=3, **changes):
    rng = np.random.default_rng(0)
    # Smooth, so that a JPEG of it is close to it.
    images = np.repeat(np.repeat(rng.integers(0, 256, (k + 1, 1, 2, channels)), 8, 1), 4, 2).astype(np.uint8)
    given = {
        "version": 4,
        "ground": 1,
        "iteration": 7,
        "moving": moving,
        "images": images[1:],
        "ids": tuple(range(k)),
        "costs": ({"colour": 0.123456789, "total": float("nan")},) * k,
        "pad": images[0],
        "chosen": 2,
        "slider": None,
    }
    return search.Frame(**given | changes)


def decode(data):
    (n,) = struct.unpack(">I", data[:4])
    with Image.open(io.BytesIO(data[4 + n :])) as picture:
        return json.loads(data[4 : 4 + n]), picture.format, np.asarray(picture)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_at_rest_every_pixel_arrives(channels):
    shown = frame(False, channels)
    header, kind, row = decode(frames.encode(shown))
    assert kind == "PNG" and header["lossless"] and not header["moving"]
    assert (header["height"], header["width"], header["k"]) == (8, 8, 3) and row.shape == (8, 4 * 8, 3)
    for k, image in enumerate([shown.pad, *shown.images]):
        seen = np.broadcast_to(image, (8, 8, 3)) if channels == 1 else image[..., :3]
        part = row[:, 8 * k : 8 * k + 8]
        np.testing.assert_array_equal(part[..., : seen.shape[-1]], seen)


def test_while_they_move_a_picture_is_close():
    shown = frame(True)
    header, kind, row = decode(frames.encode(shown))
    assert kind == "JPEG" and not header["lossless"] and header["moving"]
    np.testing.assert_allclose(row[:, :8].astype(float), shown.pad, atol=30)


def test_the_header_is_json_whatever_the_costs():
    header, _, _ = decode(frames.encode(frame(True, problem="a sentence", slider=0.5)))
    assert header["costs"] == [{"colour": 0.12346, "total": None}] * 3
    assert header["ids"] == [0, 1, 2] and header["chosen"] == 2 and header["slider"] == 0.5
    assert (header["version"], header["ground"], header["iteration"]) == (4, 1, 7)
    assert header["problem"] == "a sentence"


def test_a_frame_of_no_candidates_is_its_pad():
    none = frame(False, images=np.zeros((0, 8, 8, 3), np.uint8), ids=(), costs=())
    header, _, row = decode(frames.encode(none))
    assert header["k"] == 0 and row.shape == (8, 8, 3)
