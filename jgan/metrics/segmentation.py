"""Scores of label maps: a picture in palette colours is mapped to classes and counted.

The photo -> label protocol of pix2pix (Isola et al. 2017, table 6) and CycleGAN (Zhu et al. 2017): every
pixel of output and target is mapped to the class of the nearest palette colour, one confusion matrix is kept
over the whole split, and the scores of Long, Shelhamer, Darrell, "Fully convolutional networks for
semantic segmentation" (2015, section 5) are computed from it.
"""

from collections.abc import Mapping
import json
import os
from typing import Any

import numpy as np

import jgan
from jgan import paths


def load_palette(path: str | os.PathLike[str]) -> dict[str, tuple[int, int, int]]:
    """{class: (r, g, b)} in the order of the JSON file, components in 0..255.

    Raises:
        jgan.UserError: there is no such file, it holds no such dict, or it has fewer than two classes or a colour
        twice.
    """
    path = paths.of(path)
    example = '{"road": [254, 254, 254], "water": [178, 208, 249]}'
    try:
        palette = json.loads(path.read_text(), object_pairs_hook=_once)
    except OSError as error:
        raise jgan.UserError(f"the palette {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise jgan.UserError(f"the palette {path} is not JSON like {example}: {error}") from error
    if not isinstance(palette, dict) or len(palette) < 2:
        raise jgan.UserError(f"the palette {path} has to name at least two classes, like {example}")
    for name, colour in palette.items():
        whole = isinstance(colour, list) and all(type(v) is int and 0 <= v <= 255 for v in colour)
        if not whole or len(colour) != 3:
            raise jgan.UserError(
                f'the palette {path} gives "{name}" the colour {json.dumps(colour)} instead of three '
                "whole numbers from 0 to 255"
            )
    colours = {}
    for name, colour in palette.items():
        other = colours.setdefault(tuple(colour), name)
        if other != name:
            raise jgan.UserError(f'the palette {path} gives "{other}" and "{name}" the same colour')
    return {name: tuple(colour) for name, colour in palette.items()}


def take_palette(config: Any) -> None:
    """Writes the names and colours of the classes into a config that has a palette, from the file that it names.

    Raises:
        jgan.UserError: as in `load_palette`, or pictures in files and no palette of theirs.
    """
    if "palette" not in config:
        return
    if not config.palette.file and config.data.source != "facades":
        raise jgan.UserError(
            "the classes of label maps in files are named by --config.palette.file=FILE.json."
        )
    if config.palette.file:
        palette = load_palette(config.palette.file)
        config.palette.names, config.palette.colours = tuple(palette), tuple(palette.values())


def nearest(image: np.ndarray, palette: Mapping[str, tuple[int, int, int]]) -> np.ndarray:
    """The class of each pixel, [h, w] int64: the palette colour nearest in RGB, the first of equals.

    Args:
        image: [h, w, 3], uint8, or float in [-1, 1].
        palette: {class: (r, g, b)}, each from 0 to 255.
    """
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[-1] != 3:
        raise jgan.UserError(f"a palette of colours needs images [h, w, 3], not {list(image.shape)}")
    if image.dtype == np.uint8:
        x = image.astype(np.float32)
    elif np.issubdtype(image.dtype, np.floating):
        x = (image.astype(np.float32) + 1.0) * 127.5
    else:
        raise ValueError(f"a palette needs images of uint8 or float in [-1, 1], not {image.dtype}")
    colours = np.asarray(list(palette.values()), np.float32)
    # |x - c|^2 without |x|^2, which is the same for all classes, and without [h, w, classes, 3].
    distance = np.sum(colours**2, axis=1) - 2.0 * (x @ colours.T)
    return np.argmin(distance, axis=-1)


def counts(output: np.ndarray, target: np.ndarray, palette: Mapping[str, tuple[int, int, int]]) -> np.ndarray:
    """The pixels of one pair of pictures, as `nearest` takes them: int64 [target class, output class]."""
    n = len(palette)
    output, target = nearest(output, palette), nearest(target, palette)
    if output.shape != target.shape:
        raise ValueError(f"pictures of different sizes: {output.shape} and {target.shape}")
    return np.bincount(target.ravel() * n + output.ravel(), minlength=n * n).reshape(n, n)


class Confusion:
    """Counts of pixels, matrix[target class, output class], over all images that are added."""

    def __init__(self, palette: Mapping[str, tuple[int, int, int]]) -> None:
        """No counts yet, for the classes of a palette {class: (r, g, b)} in 0..255."""
        self.palette = palette
        self.matrix = np.zeros((len(palette),) * 2, np.int64)

    def add(self, output: np.ndarray, target: np.ndarray) -> None:
        """Counts the pixels of one pair of pictures, as `nearest` takes them."""
        self.matrix += counts(output, target, self.palette)

    def scores(self) -> dict[str, Any]:
        """{"pixel_accuracy", "class_accuracy", "mean_iou": float, "iou": {class: float or None}}."""
        return {
            "pixel_accuracy": pixel_accuracy(self.matrix),
            "class_accuracy": class_accuracy(self.matrix),
            "mean_iou": mean_iou(self.matrix),
            "iou": dict(zip(self.palette, iou(self.matrix), strict=True)),
        }


def pixel_accuracy(matrix: np.ndarray) -> float:
    """The share of all pixels whose class is right."""
    return float(np.trace(matrix) / matrix.sum())


def class_accuracy(matrix: np.ndarray) -> float:
    """The share of a class's target pixels that are right, averaged over the classes in the targets."""
    total = matrix.sum(axis=1)
    there = total > 0
    return float(np.mean(np.diag(matrix)[there] / total[there]))


def iou(matrix: np.ndarray) -> list[float | None]:
    """Intersection over union of each class, None for a class that no target has."""
    right = np.diag(matrix)
    union = matrix.sum(axis=1) + matrix.sum(axis=0) - right
    there = matrix.sum(axis=1) > 0
    return [float(r / u) if t else None for r, u, t in zip(right, union, there, strict=True)]


def mean_iou(matrix: np.ndarray) -> float:
    """The mean of `iou` over the classes in the targets."""
    return float(np.mean([value for value in iou(matrix) if value is not None]))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The dict of one JSON object, in which a name that is given twice would otherwise lose its first colour."""
    values = {}
    for name, value in pairs:
        if name in values:
            raise ValueError(f'"{name}" appears twice')
        values[name] = value
    return values
