"""The formats that Pillow and imagecodecs decode: PNG, JPEG, WebP, BMP and PPM. TIFF has a file of its own.

16-bit colour is decoded by imagecodecs, because Pillow would cut it to 8 bits.
"""

import re
import struct
from typing import BinaryIO

import numpy as np
from PIL import Image
from PIL import ImageOps

from jgan.data import colour
from jgan.data import decoded

FRAMES = "with several frames, of which the first is read"
EXIF = "with EXIF data that are damaged, taken as they lie"

_ORIENTATION = 0x0112  # the EXIF tag
_STRIP = 2**20  # pixels
_PPM = re.compile(rb"P([56])" + rb"(?:\s|#[^\n\r]*[\n\r])+(\d+)" * 3 + rb"\s")
_MODES = {"P": "RGB", "PA": "RGBA", "RGBX": "RGB", "RGBa": "RGBA", "YCbCr": "RGB", "1": "L", "La": "LA"}
_WITH_ALPHA = {"P": "RGBA", "1": "LA", "L": "LA", "RGB": "RGBA"}  # where one colour is transparent


def read(file: BinaryIO, head: bytes) -> decoded.Picture:
    """The picture in a binary file at its beginning, whose first bytes are `head`; raises the errors of decoders."""
    if head[:8] == b"\x89PNG\r\n\x1a\n" and head[24:25] == b"\x10":
        return _read_deep_png(file, head)
    header = _PPM.match(file.read(1024)) if head[:2] in (b"P5", b"P6") else None
    file.seek(0)
    if header and 255 < int(header[4]) < 65536:
        return _read_deep_ppm(file, header)
    with Image.open(file) as image:
        decoded.check_size(image.height, image.width)
        image.load()
        profile = _profile(image)
        # JPEGs of phones may have a second frame too, which is another view or the depth and no animation.
        remarks = (FRAMES,) if image.format in ("PNG", "WEBP") and getattr(image, "n_frames", 1) > 1 else ()
        try:
            ImageOps.exif_transpose(image, in_place=True)
        except Exception:  # SyntaxError, struct.error, and any other error of damaged data
            remarks += (EXIF,)
        _scale_key(image, head)
        mode = image.mode
        wanted = _WITH_ALPHA.get(mode) if image.has_transparency_data else None
        wanted = wanted or _MODES.get(mode, mode)
        array = _array(image if wanted == mode else image.convert(wanted))
        if mode == "I" and array.min() >= 0 and array.max() <= 65535:
            array = array.astype(np.uint16)
    return _picture(decoded.usual_type(array), wanted in ("LA", "RGBA"), profile, remarks)


def _picture(
    array: np.ndarray, with_alpha: bool, profile: bytes | None, remarks: tuple[str, ...] = ()
) -> decoded.Picture:
    """The picture in sRGB of an array, whose last channel is the opacity if `with_alpha`."""
    array = array[..., None] if array.ndim == 2 else array
    alpha = None
    if with_alpha:
        array, alpha = array[..., :-1], np.ascontiguousarray(array[..., -1:])
    to_srgb = colour.cmyk_to_srgb if array.shape[-1] == 4 else colour.to_srgb
    pixels, more = to_srgb(np.ascontiguousarray(array), profile)
    return decoded.Picture(pixels, alpha, (*remarks, *more))


def _profile(image: Image.Image) -> bytes | None:
    """The colour profile of an image; in a PNG, an ICC profile or the chunk sRGB overrides gAMA and cHRM."""
    profile = image.info.get("icc_profile")
    if profile or image.format != "PNG" or "srgb" in image.info:
        return profile
    return colour.png_profile(image.info.get("gamma"), image.info.get("chromaticity"))


def _scale_key(image: Image.Image, head: bytes) -> None:
    """Spreads the one transparent grey of a PNG of 2 or 4 bits over 8 bits, as Pillow spreads its pixels."""
    key, bits = image.info.get("transparency"), head[24]
    if image.format == "PNG" and head[25] == 0 and bits in (2, 4) and isinstance(key, int) and key < 2**bits:
        image.info["transparency"] = key * 255 // (2**bits - 1)


def _read_deep_png(file: BinaryIO, head: bytes) -> decoded.Picture:
    """The picture in a PNG of 16 bits."""
    import imagecodecs  # here: only files of this kind pay for loading it

    width, height = struct.unpack(">II", head[16:24])
    decoded.check_size(height, width)
    with Image.open(file) as image:
        profile = _profile(image)
        try:
            orientation, remarks = image.getexif().get(_ORIENTATION, 1), ()
        except Exception:  # as in `read`
            orientation, remarks = 1, (EXIF,)
    file.seek(0)
    array = decoded.turn(imagecodecs.png_decode(file.read()), orientation)
    return _picture(
        decoded.usual_type(array), array.ndim == 3 and array.shape[-1] in (2, 4), profile, remarks
    )


def _read_deep_ppm(file: BinaryIO, header: re.Match) -> decoded.Picture:
    """The picture in a PPM or PGM of 9 to 16 bits."""
    kind, width, height, full = map(int, header.groups())
    decoded.check_size(height, width)
    shape = (height, width, 3 if kind == 6 else 1)
    file.seek(header.end())
    data = file.read(2 * height * width * shape[-1])
    if len(data) < 2 * height * width * shape[-1]:
        raise ValueError("it ends before its last pixel")
    array = np.frombuffer(data, ">u2").reshape(shape)
    return decoded.Picture(decoded.scaled(np.minimum(array, full), full))


def _array(image: Image.Image) -> np.ndarray:
    """The pixels of an image, taken in strips, because Pillow makes two more copies of what it hands over."""
    width, height = image.size
    rows = max(1, _STRIP // width)
    first = np.asarray(image.crop((0, 0, width, min(rows, height))))
    array = np.empty((height, *first.shape[1:]), first.dtype)
    array[:rows] = first
    for y in range(rows, height, rows):
        array[y : y + rows] = np.asarray(image.crop((0, y, width, min(y + rows, height))))
    return array
