"""Image files to arrays and back, in the file's own type.

An image on the host is `[h, w, c]`, rows from the top, RGB where there are three channels:
uint8 or uint16 over their whole range, or float32 in [-1, 1]. Pillow decodes what it can hold;
16-bit colour and float files go through imagecodecs, because Pillow would cut them to 8 bits.
"""

import contextlib
import io
import os
import pathlib
import secrets
import struct

import numpy as np
from PIL import Image
from PIL import ImageOps
from PIL import TiffImagePlugin

import jgan
from jgan.data import outputs

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".ppm", ".npy")

# A file of a few kilobytes can claim terabytes; this is also where Pillow itself refuses.
MAX_PIXELS = 2 * 89_478_485

_STRIP = 2**20  # pixels
_ORIENTATION = 0x0112  # the EXIF and TIFF tag


def read(path) -> np.ndarray:
    """Returns the picture in a file: `[h, w, c]`, uint8, uint16 or float32 in [-1, 1].

    EXIF orientation is applied, palettes become RGB, of several frames the first is taken. `.npy`
    holds `[h, w]` or `[h, w, c]` with any number of channels, in one of the three types (float16
    and float64 become float32).

    Raises:
      jgan.UserError: the file is missing, truncated, too large or of a kind that cannot be read;
        the sentence names it.
    """
    path = pathlib.Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise jgan.UserError(f"{path} is not an image this program reads: {' '.join(SUFFIXES)}")
    with _explained(path), open(path, "rb") as file:
        return _three_axes(_read_npy(file) if path.suffix.lower() == ".npy" else _read_picture(file))


def decode(data: bytes, name: str) -> np.ndarray:
    """Returns the picture in the bytes of a file, which may have any format of `read` but `.npy`.

    Raises:
      jgan.UserError: as in `read`; the sentence begins with `name`.
    """
    with _explained(name):
        return _three_axes(_read_picture(io.BytesIO(data)))


def write(path, array: np.ndarray, quality: int = 95) -> None:
    """Writes `[h, w, c]` or `[h, w]` in its own bit depth; the format follows the suffix.

    uint8 goes into every format, uint16 into PNG, TIFF and `.npy`, float32 into TIFF and `.npy`.
    JPEG is written at `quality` without chroma subsampling, WebP without loss. The file appears
    under its name only when complete.

    Raises:
      jgan.UserError: the format cannot hold this type or number of channels; or the file cannot be
        written, and why.
    """
    path = pathlib.Path(path)
    array = np.asarray(array)
    array = array[..., None] if array.ndim == 2 else array
    encode = _encoder(path, array)
    draft = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with open(draft, "xb") as file:
            encode(file, array, quality)
        os.replace(draft, path)
    except OSError as error:
        raise jgan.UserError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        draft.unlink(missing_ok=True)


def find(folder, output=None) -> list[pathlib.Path]:
    """Returns the image files in a folder and the folders below it, sorted.

    Hidden files and folders are left out, and what programs of jgan wrote (`outputs.is_written`) below the folder,
    as is the folder `output`, which they are about to write to.

    Raises:
      jgan.UserError: a folder that cannot be read.
    """
    found, seen = [], {os.path.realpath(folder), os.path.realpath(output or folder)}
    for where, folders, names in os.walk(folder, followlinks=True, onerror=_refuse_folder):
        run = outputs.is_run(where)
        for name in list(folders):
            path = os.path.join(where, name)
            real = os.path.realpath(path)
            if name.startswith(".") or real in seen or run and name in ("samples", "checkpoints"):
                folders.remove(name)  # links may run in circles
            elif outputs.is_written(path):
                folders.remove(name)
                outputs.tell_left_out(path)
            seen.add(real)
        for name in names:
            if not name.startswith(".") and name.lower().endswith(SUFFIXES):
                found.append(pathlib.Path(where, name))
    return sorted(found)


def convert(array: np.ndarray, dtype) -> np.ndarray:
    """Returns the same picture in a wider type: uint8 to uint16, or either to float32 in [-1, 1]."""
    dtype = np.dtype(dtype)
    if array.dtype == dtype:
        return array
    if array.dtype == np.uint8 and dtype == np.uint16:
        return array.astype(np.uint16) * 257
    if array.dtype in (np.uint8, np.uint16) and dtype == np.float32:
        half = np.float32(np.iinfo(array.dtype).max / 2)
        return array.astype(np.float32) / half - 1
    raise ValueError(f"{array.dtype} to {dtype} would lose precision")


def white(dtype):
    """Returns the value of white in a type: 255, 65535 or 1.0."""
    dtype = np.dtype(dtype)
    return dtype.type(1.0 if dtype.kind == "f" else np.iinfo(dtype).max)


class _TooLarge(Exception):
    pass


def _refuse_folder(error: OSError):
    raise jgan.UserError(f"the folder {error.filename} cannot be read: {error.strerror}") from None


@contextlib.contextmanager
def _explained(name):
    # Turns what decoders raise into a sentence about the picture of that name.
    try:
        yield
    except FileNotFoundError:
        raise jgan.UserError(f"there is no file {name}") from None
    except (Image.DecompressionBombError, _TooLarge):
        raise jgan.UserError(
            f"{name} has more than {MAX_PIXELS} pixels: cut it into smaller pictures"
        ) from None
    except MemoryError:
        raise jgan.UserError(f"{name} does not fit in memory") from None
    except Exception as error:  # decoders raise OSError, ValueError, SyntaxError, RuntimeError ...
        raise jgan.UserError(f"{name} cannot be decoded: {_reason(error)}") from None


def _three_axes(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array[..., None] if array.ndim == 2 else array)


def _read_npy(file) -> np.ndarray:
    # The header is looked at first: np.load would allocate whatever it claims.
    version = np.lib.format.read_magic(file)
    header = {(1, 0): np.lib.format.read_array_header_1_0}.get(version, np.lib.format.read_array_header_2_0)
    shape, _, dtype = header(file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects instead of numbers")
    if len(shape) not in (2, 3) or 0 in shape:
        raise ValueError(f"its shape is {shape} instead of (height, width, channels)")
    if shape[0] * shape[1] > MAX_PIXELS:
        raise _TooLarge()
    file.seek(0)
    return _usual_type(np.load(file, allow_pickle=False))


def _read_picture(file) -> np.ndarray:
    head = file.read(32)
    file.seek(0)
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return _read_tiff(file, head)
    if head[:8] == b"\x89PNG\r\n\x1a\n" and head[24:25] == b"\x10":
        import imagecodecs  # here: only files of this kind pay for loading it

        width, height = struct.unpack(">II", head[16:24])
        if width * height > MAX_PIXELS:
            raise _TooLarge()
        with Image.open(file) as image:
            orientation = image.getexif().get(_ORIENTATION, 1)
        file.seek(0)
        return _turn(imagecodecs.png_decode(file.read()), orientation)
    return _read_pillow(file)


def _read_tiff(file, head: bytes) -> np.ndarray:
    big = 43 in head[2:4]  # BigTIFF has a longer header
    tags = TiffImagePlugin.ImageFileDirectory_v2(head[: 16 if big else 8])
    file.seek(tags.next)
    tags.load(file)
    if tags[256] * tags[257] > MAX_PIXELS:
        raise _TooLarge()
    file.seek(0)
    bits, samples = tags.get(258, (1,)), tags.get(277, 1)
    if max(bits) <= 8 and samples != 2:
        return _read_pillow(file)
    import imagecodecs

    array = imagecodecs.tiff_decode(file.read(), index=0)
    if array.ndim == 3 and tags.get(284, 1) == 2 and samples > 1:  # planes stored apart
        array = np.moveaxis(array, 0, -1)
    return _turn(_usual_type(array), tags.get(274, 1))


def _read_pillow(file) -> np.ndarray:
    with Image.open(file) as image:
        if image.size[0] * image.size[1] > MAX_PIXELS:
            raise _TooLarge()
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        mode = image.mode
        if mode in ("P", "CMYK", "YCbCr", "RGBX"):
            image = image.convert("RGB")
        elif mode == "1":
            image = image.convert("L")
        elif mode in ("PA", "RGBa"):
            image = image.convert("RGBA")
        elif mode == "La":
            image = image.convert("LA")
        array = _array(image)
        if mode == "I" and array.min() >= 0 and array.max() <= 65535:  # 16-bit PPM
            array = array.astype(np.uint16)
        return _usual_type(array)


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


def _usual_type(array: np.ndarray) -> np.ndarray:
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind == "f":
        array = array.astype(np.float32, copy=False)
        low, high = float(array.min()), float(array.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            raise ValueError("it holds values that are not finite")
        # Colour differences over 110 pass 1 a little; 0..255 stored as floats passes it by far.
        if max(-low, high) > 1.5:
            raise ValueError(f"its values run from {low:.4g} to {high:.4g} instead of [-1, 1]")
        return array
    if array.dtype.kind == "u" and array.dtype.itemsize <= 2:
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    raise ValueError(f"its type is {array.dtype} instead of uint8, uint16 or float32")


def _turn(array: np.ndarray, orientation: int) -> np.ndarray:
    # The eight EXIF orientations: mirror, half turns, and the four that swap height and width.
    if orientation in (5, 6, 7, 8):
        array = np.swapaxes(array, 0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return array


def _encoder(path: pathlib.Path, array: np.ndarray):
    suffix, channels = path.suffix.lower(), array.shape[-1]
    kinds = {
        ".png": ((np.uint8, np.uint16), (1, 2, 3, 4), _write_png),
        ".tif": ((np.uint8, np.uint16, np.float32), (1, 2, 3, 4), _write_tiff),
        ".tiff": ((np.uint8, np.uint16, np.float32), (1, 2, 3, 4), _write_tiff),
        ".jpg": ((np.uint8,), (1, 3), _write_pillow("JPEG", subsampling=0)),
        ".jpeg": ((np.uint8,), (1, 3), _write_pillow("JPEG", subsampling=0)),
        ".webp": ((np.uint8,), (1, 3, 4), _write_pillow("WEBP", lossless=True, exact=True)),
        ".bmp": ((np.uint8,), (1, 3), _write_pillow("BMP")),
        ".ppm": ((np.uint8,), (1, 3), _write_pillow("PPM")),
        ".npy": ((np.uint8, np.uint16, np.float32), None, _write_npy),
    }
    if suffix not in kinds:
        raise jgan.UserError(f"{path} names no image format this program writes: {' '.join(kinds)}")
    dtypes, counts, encode = kinds[suffix]
    if array.dtype not in dtypes or (counts and channels not in counts):
        raise jgan.UserError(
            f"{suffix} cannot hold {channels} channels of {array.dtype} ({path.name}): "
            f"use {'.npy' if channels > 4 else '.png' if array.dtype.kind == 'u' else '.tiff'}"
        )
    return encode


def _write_pillow(name: str, **options):
    def encode(file, array, quality):
        image = Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)
        image.save(file, name, **({"quality": quality} if name == "JPEG" else {}), **options)

    return encode


def _write_png(file, array, quality):
    if array.dtype == np.uint8:
        return _write_pillow("PNG")(file, array, quality)
    import imagecodecs

    data = array if array.shape[-1] > 1 else array[..., 0]
    file.write(imagecodecs.png_encode(np.ascontiguousarray(data)))


def _write_tiff(file, array, quality):
    if array.dtype == np.uint8:
        return _write_pillow("TIFF", compression="tiff_adobe_deflate")(file, array, quality)
    import imagecodecs

    tiff, channels = imagecodecs.TIFF, array.shape[-1]
    options = {"photometric": tiff.PHOTOMETRIC.RGB if channels > 2 else tiff.PHOTOMETRIC.MINISBLACK}
    if channels > 1:
        options["planarconfig"] = tiff.PLANARCONFIG.CONTIG
    if channels in (2, 4):
        options["extrasample"] = tiff.EXTRASAMPLE.UNASSALPHA
    data = np.ascontiguousarray(array if channels > 1 else array[..., 0])
    file.write(imagecodecs.tiff_encode(data, compression=tiff.COMPRESSION.DEFLATE, **options))


def _write_npy(file, array, quality):
    np.save(file, array, allow_pickle=False)


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, Image.UnidentifiedImageError):
        text = "its content is not an image of a known format"
    return text[:200]
