"""The message of a frame for the page: a header in JSON, and one picture with all of its images side by side."""

import io
import json
import struct

import numpy as np
from PIL import Image

from jgan import pictures
from jgan.serve.device import search

QUALITY = 92  # of the JPEG of candidates that move


def encode(frame: search.Frame) -> bytes:
    """The binary message of a frame.

    It begins with the length n of the header (uint32, big endian), then n bytes of JSON, then a picture: the pad and
    the k candidates in one row, each `height` x `width`. It is a JPEG while candidates move, and otherwise a PNG.
    """
    height, width = frame.pad.shape[:2]
    row = np.concatenate([frame.pad, *frame.images], 1)
    picture = Image.fromarray(pictures.show(row))
    buffer = io.BytesIO()
    if frame.moving:
        picture.save(buffer, "JPEG", quality=QUALITY, subsampling=0)
    else:
        picture.save(buffer, "PNG", compress_level=3)
    header = {
        "type": "frame",
        "version": frame.version,
        "ground": frame.ground,
        "iteration": frame.iteration,
        "moving": frame.moving,
        "ids": frame.ids,
        "costs": [{name: _number(x) for name, x in costs.items()} for costs in frame.costs],
        "chosen": frame.chosen,
        "slider": frame.slider,
        "width": width,
        "height": height,
        "k": len(frame.images),
        "lossless": not frame.moving,
        "problem": frame.problem,
    }
    text = json.dumps(header, allow_nan=False).encode()
    return struct.pack(">I", len(text)) + text + buffer.getvalue()


def _number(x: float) -> float | None:
    """A number for JSON, which has only finite ones, with five digits."""
    return float(f"{x:.5g}") if np.isfinite(x) else None
