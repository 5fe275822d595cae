"""Arrays that a person can look at: sample grids, mosaics, films, and any image as 8 bits of colour.

Host code only: numpy and Pillow, no device.
"""

import base64
from collections.abc import Iterable
from collections.abc import Sequence
import io
import math
import os

import numpy as np
from PIL import Image
from PIL import ImageDraw
from PIL import ImageFont

import jgan
from jgan import paths

# Colours and sizes of a sample grid, in which every cell has a frame one pixel wide.
BACKGROUND, _FRAME, _INK = (250, 249, 247), (201, 198, 192), (74, 72, 68)
_GAP, TITLE = 6, 26
_SMALLEST, _LARGEST = 112, 512


def grid(
    rows: list[list[np.ndarray]],
    titles: Sequence[str],
    plain: Sequence[bool] = (),
    *,
    names: Sequence[str] = (),
    caption: str = "",
) -> np.ndarray:
    """A picture [h, w, 3] uint8 with one row per example and one titled column per kind of image.

    Small images are enlarged by a whole factor and large ones reduced, all by the same factor.

    Args:
        rows: images [h, w, c], uint8, uint16, or float in [-1, 1]; one channel is grey, two are red and green, of four
            and more the first three are shown.
        titles: one short title per column.
        plain: whether each column holds classes in plain colours, which are never mixed; () if none does.
        names: one for each row, written to its left; () for none.
        caption: one line below all rows, in a picture that is wide enough for it; empty: none.
    """
    plain = list(plain) or [False] * len(rows[0])
    rows = [[show(image) for image in row] for row in rows]
    widest = max(image.shape[1] for row in rows for image in row)
    tallest = max(image.shape[0] for row in rows for image in row)
    factor = min(_LARGEST / max(widest, tallest), max(1, math.ceil(_SMALLEST / widest)))
    rows = [[_resized(image, factor, p) for image, p in zip(row, plain, strict=True)] for row in rows]
    widths = [max(i.shape[1] for i in column) + 2 for column in zip(*rows, strict=True)]
    heights = [max(image.shape[0] for image in row) + 2 for row in rows]
    font = ImageFont.load_default(size=13)
    names = [_line(name) for name in names]
    left = _GAP + (max(_length(name, font) for name in names) + _GAP if names else 0)
    width = left + sum(widths) + _GAP * len(widths)
    height = TITLE + sum(heights) + _GAP * len(heights)
    if caption:
        caption = _line(caption, 1_000)
        width = max(width, _length(caption, font) + 2 * _GAP)
    canvas = Image.new("RGB", (width, height + TITLE * bool(caption)), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    draw.text((_GAP, height + TITLE / 2), caption, fill=_INK, font=font, anchor="lm")
    y = TITLE
    for r, row in enumerate(rows):
        x = left
        if names:
            draw.text((_GAP, y + heights[r] / 2), names[r], fill=_INK, font=font, anchor="lm")
        for c, image in enumerate(row):
            if r == 0:
                draw.text((x, TITLE / 2), titles[c], fill=_INK, font=font, anchor="lm")
            h, w = image.shape[:2]
            draw.rectangle((x, y, x + w + 1, y + h + 1), outline=_FRAME)
            canvas.paste(Image.fromarray(image), (x + 1, y + 1))
            x += widths[c] + _GAP
        y += heights[r] + _GAP
    return np.asarray(canvas)


def mosaic(
    images: Iterable[np.ndarray], title: str = "", columns: int = 8, *, caption: str = ""
) -> np.ndarray:
    """A `grid` of images that do not belong to examples, row by row, under one title, above one caption."""
    images = list(images)
    blank = np.full_like(show(images[0]), BACKGROUND)
    rows = [images[k : k + columns] for k in range(0, len(images), columns)]
    rows[-1] = rows[-1] + [blank] * (len(rows[0]) - len(rows[-1]))
    return grid(rows, (title, *[""] * (len(rows[0]) - 1)), caption=caption)


def film(
    path: str | os.PathLike[str], images: Sequence[np.ndarray] | np.ndarray, *, seconds: float = 8.0
) -> None:
    """Writes images [n, h, w, c] as one animated WebP that repeats itself, without loss.

    Raises:
        jgan.UserError: the file cannot be written.
    """
    path = paths.of(path)
    factor = max(1, math.ceil(_SMALLEST / images[0].shape[1]))
    first, *others = [Image.fromarray(_resized(show(image), factor)) for image in images]
    draft, remote = path.with_name(f".{path.name}.part"), paths.is_remote(path)
    buffer = io.BytesIO()
    try:
        first.save(
            buffer if remote else draft,
            "WEBP",
            save_all=True,
            append_images=others,
            duration=round(1000 * seconds / len(images)),
            loop=0,
            lossless=True,
        )
        if remote:
            path.write_bytes(buffer.getvalue())
        else:
            os.replace(draft, path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise jgan.UserError(f"{path} could not be written: {error.strerror or error}") from error


def show(image: np.ndarray) -> np.ndarray:
    """The picture [h, w, 3] uint8 for a person, made from an image of any type and number of channels."""
    x = np.asarray(image)
    if x.dtype == np.uint16:
        x = (x // 257).astype(np.uint8)
    elif x.dtype != np.uint8:
        x = np.clip(np.rint((np.nan_to_num(x.astype(np.float32)) + 1) * 127.5), 0, 255).astype(np.uint8)
    x = x[..., None] if x.ndim == 2 else x
    if x.shape[-1] == 1:
        return np.repeat(x, 3, axis=-1)
    if x.shape[-1] == 2:
        return np.concatenate([x, np.zeros_like(x[..., :1])], axis=-1)
    return np.ascontiguousarray(x[..., :3])


def data_uri(image: np.ndarray) -> str:
    """An image of any type as a PNG in the form of a text, which a page can contain."""
    buffer = io.BytesIO()
    Image.fromarray(show(image)).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _line(text: str, letters: int = 24) -> str:
    """The text in one line of at most so many letters."""
    text = text if text.isprintable() else ascii(text)[1:-1]
    return text if len(text) <= letters else text[: letters - 3] + "..."


def _length(text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> int:
    """Pixels that a line of text takes."""
    return math.ceil(font.getlength(text))


def _resized(image: np.ndarray, factor: float, plain: bool = False) -> np.ndarray:
    """An image enlarged by a whole factor, or reduced by a factor below 1."""
    if factor == 1:
        return image
    if factor > 1:
        return image.repeat(int(factor), axis=0).repeat(int(factor), axis=1)
    h, w = (max(1, round(n * factor)) for n in image.shape[:2])
    way = Image.Resampling.NEAREST if plain else Image.Resampling.BOX
    return np.asarray(Image.fromarray(image).resize((w, h), way))
