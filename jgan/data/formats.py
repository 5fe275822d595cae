"""What Pillow and imagecodecs decode: PNG, JPEG, WebP, BMP and PPM. TIFF has a file of its own.

16-bit colour goes through imagecodecs, because Pillow would cut it to 8 bits.
"""

import re
import struct

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


def read(file, head: bytes) -> decoded.Picture:
    """Returns the picture in a binary file at its beginning, whose first bytes are `head`; errors as decoders' own."""
    if head[:8] == b"\x89PNG\r\n\x1a\n" and head[24:25] == b"\x10":
        return _read_deep_png(file, head)
    found = _PPM.match(file.read(1024)) if head[:2] in (b"P5", b"P6") else None
    file.seek(0)
    if found and 255 < int(found[4]) < 65536:
        return _read_deep_ppm(file, found)
    with Image.open(file) as image:
        decoded.check_size(image.height, image.width)
        image.load()
        profile = _profile(image)
        # JPEGs of phones may carry a second frame as well, which is another view or depth and no animation.
        remarks = (FRAMES,) if image.format in ("PNG", "WEBP") and getattr(image, "n_frames", 1) > 1 else ()
        try:
            ImageOps.exif_transpose(image, in_place=True)
        except Exception:  # SyntaxError, struct.error, and whatever else is met in it
            remarks += (EXIF,)
        _scale_key(image, head)
        mode = image.mode
        wanted = _WITH_ALPHA.get(mode) if image.has_transparency_data else None
        wanted = wanted or _MODES.get(mode, mode)
        array = _array(image if wanted == mode else image.convert(wanted))
        if mode == "I" and array.min() >= 0 and array.max() <= 65535:
            array = array.astype(np.uint16)
    return _picture(decoded.usual_type(array), wanted in ("LA", "RGBA"), profile, remarks)


def _picture(array: np.ndarray, with_alpha: bool, profile: bytes | None, remarks=()) -> decoded.Picture:
    array = array[..., None] if array.ndim == 2 else array
    alpha = None
    if with_alpha:
        array, alpha = array[..., :-1], np.ascontiguousarray(array[..., -1:])
    to_srgb = colour.cmyk_to_srgb if array.shape[-1] == 4 else colour.to_srgb
    pixels, more = to_srgb(np.ascontiguousarray(array), profile)
    return decoded.Picture(pixels, alpha, (*remarks, *more))


def _profile(image: Image.Image) -> bytes | None:
    # Of a PNG the chunk sRGB wins over gAMA and cHRM, and an ICC profile over all of them.
    profile = image.info.get("icc_profile")
    if profile or image.format != "PNG" or "srgb" in image.info:
        return profile
    return colour.png_profile(image.info.get("gamma"), image.info.get("chromaticity"))


def _scale_key(image: Image.Image, head: bytes) -> None:
    # Pillow spreads grey of 2 and 4 bits over 8, but not the one grey of a PNG that is transparent.
    key, bits = image.info.get("transparency"), head[24]
    if image.format == "PNG" and head[25] == 0 and bits in (2, 4) and isinstance(key, int) and key < 2**bits:
        image.info["transparency"] = key * 255 // (2**bits - 1)


def _read_deep_png(file, head: bytes) -> decoded.Picture:
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


def _read_deep_ppm(file, header: re.Match) -> decoded.Picture:
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
    # In strips: Pillow hands over what it is asked for through two copies.
    width, height = image.size
    rows = max(1, _STRIP // width)
    first = np.asarray(image.crop((0, 0, width, min(rows, height))))
    array = np.empty((height, *first.shape[1:]), first.dtype)
    array[:rows] = first
    for y in range(rows, height, rows):
        array[y : y + rows] = np.asarray(image.crop((0, y, width, min(y + rows, height))))
    return array
