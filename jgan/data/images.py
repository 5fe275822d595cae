"""Image files to arrays and back, in the file's own type.

An image on the host is `[h, w, c]`, rows from the top, sRGB where there are three channels: uint8 or uint16 over their
whole range, or float32 in [-1, 1]. Whatever changes the meaning of pixels is applied when a file is read: orientation,
palettes, colour profiles and opacity. `load` returns the opacity apart, `read` as the last channel.
"""

import collections
from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import io
import os
import pathlib
import secrets
from typing import Any
from typing import BinaryIO

import numpy as np
from PIL import Image

import jgan
from jgan import paths
from jgan.data import decoded
from jgan.data import formats
from jgan.data import npy
from jgan.data import outputs
from jgan.data import tiff

_JPEG = (".jpg", ".jpeg", ".jpe", ".jfif")
_PPM = (".ppm", ".pgm", ".pnm")
SUFFIXES = (".png", *_JPEG, ".webp", ".tif", ".tiff", ".bmp", *_PPM, ".npy")
WITH_ALPHA = (".png", ".webp", ".tif", ".tiff")

MAX_PIXELS = decoded.MAX_PIXELS
Picture = decoded.Picture
white = decoded.white

_Path = str | os.PathLike[str]
_Encode = Callable[
    [BinaryIO, np.ndarray, int, bool], None
]  # of (file, array, quality, whether opacity is marked)


def load(path: _Path) -> Picture:
    """The picture in a file, its opacity apart.

    EXIF orientation is applied; palettes, CMYK and Lab become RGB, and colours with a profile become sRGB; of several
    frames or pages the first is taken, and a remark says so. Bands of a TIFF that are neither colours nor opacity are
    channels like all others. `.npy` holds `[h, w]` or `[h, w, c]` with any number of channels, none of them opacity, in
    one of the three types (float16 and float64 become float32).

    Raises:
        jgan.UserError: the file is missing, truncated, too large or of a kind that cannot be read;
            the sentence names it.
    """
    path = paths.of(path)
    if path.suffix.lower() not in SUFFIXES:
        raise jgan.UserError(f"{path} is not an image this program reads: {' '.join(SUFFIXES)}")
    with _explained(path), _opened(path) as file:
        return _sound(
            Picture(_read_npy(file)) if path.suffix.lower() == ".npy" else _read_picture(file), str(path)
        )


def parse(data: bytes, name: str, arrays: bool = False) -> Picture:
    """The picture in the bytes of a file, which may have any format of `load` but `.npy`.

    With `arrays` it may be that too, where the name ends in it.

    Raises:
        jgan.UserError: as in `load`; the sentence begins with `name`.
    """
    file = io.BytesIO(data)
    with _explained(name):
        if arrays and name.lower().endswith(".npy"):
            return _sound(Picture(_read_npy(file)), name)
        return _sound(_read_picture(file), name)


def read(path: _Path) -> np.ndarray:
    """The picture in a file as `load` does, with the opacity as its last channel where it has any."""
    return load(path).joined()


def decode(data: bytes, name: str) -> np.ndarray:
    """The picture in the bytes of a file as `parse` does, with the opacity as its last channel."""
    return parse(data, name).joined()


def write(path: _Path, array: np.ndarray | Picture, quality: int = 95) -> None:
    """Writes `[h, w, c]`, `[h, w]` or a `Picture` in its own bit depth; the format follows the suffix.

    uint8 goes into every format, uint16 into PNG, TIFF, PPM and `.npy`, float32 into TIFF and `.npy`. A second or
    fourth channel is opacity in PNG and WebP; TIFF keeps any number of channels, of which only the opacity of a
    `Picture` is marked as such. JPEG, BMP and PPM leave the opacity of a `Picture` out. JPEG is written at `quality`
    without chroma subsampling, WebP without loss. The file appears under its name only when complete.

    Raises:
        jgan.UserError: the format cannot hold this type or number of channels; or the file cannot be
            written, and why.
    """
    path = paths.of(path)
    put = _putter(path, array, quality)
    if paths.is_remote(path):
        path.write_bytes(encode(path, array, quality))
        return
    draft = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with open(draft, "xb") as file:
            put(file)
        os.replace(draft, path)
    except OSError as error:
        raise jgan.UserError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        draft.unlink(missing_ok=True)


def encode(name: _Path, array: np.ndarray | Picture, quality: int = 95) -> bytes:
    """The bytes of the file that `write` would write under this name.

    Raises:
        jgan.UserError: the format cannot hold this type or number of channels, or such a size.
    """
    put, file = _putter(pathlib.Path(name), array, quality), io.BytesIO()
    try:
        put(file)
    except (OSError, ValueError) as error:
        raise jgan.UserError(f"{name} cannot be encoded: {_reason(error)}") from None
    return file.getvalue()


def find(folder: _Path, output: _Path | None = None) -> list[pathlib.Path]:
    """The image files in a folder and the folders below it, sorted.

    Hidden files and folders are left out, and also folders below it that programs of jgan wrote (`outputs.is_written`)
    and the folder `output`, to which a program is about to write.

    Raises:
        jgan.UserError: a folder that cannot be read.
    """
    return sorted(file for file in _walk(folder, output) if file.name.lower().endswith(SUFFIXES))


def others(folder: _Path, output: _Path | None = None) -> collections.Counter[str]:
    """The number of files of each suffix that `find` leaves out in the folders that it searches."""
    if not paths.is_folder(folder):
        return collections.Counter()
    names = (file.name.lower() for file in _walk(folder, output))
    return collections.Counter(pathlib.PurePath(name).suffix for name in names if not name.endswith(SUFFIXES))


def left_out(others: collections.Counter[str]) -> str:
    """A line such as "left out: 2 .heic, 1 .txt; read are .png ..."; empty if nothing was left out."""
    return f"left out: {_listed(others)}; read are {' '.join(SUFFIXES)}" if others else ""


def none_in(folder: _Path, output: _Path | None = None) -> str:
    """The sentence on a folder in which `find` finds nothing, without a full stop."""
    there = others(folder, output)
    return f"{folder} holds no images ({' '.join(SUFFIXES)})" + f", but {_listed(there)}" * bool(there)


def convert(array: np.ndarray, dtype: Any) -> np.ndarray:
    """The same picture in a wider type: uint8 to uint16, or either to float32 in [-1, 1]."""
    dtype = np.dtype(dtype)
    if array.dtype == dtype:
        return array
    if array.dtype == np.uint8 and dtype == np.uint16:
        return array.astype(np.uint16) * 257
    if array.dtype in (np.uint8, np.uint16) and dtype == np.float32:
        half = np.float32(np.iinfo(array.dtype).max / 2)
        return array.astype(np.float32) / half - 1
    raise ValueError(f"{array.dtype} to {dtype} would lose precision")


def _listed(others: collections.Counter[str]) -> str:
    """The numbers of files by suffix, the most frequent first."""
    some = sorted(others.items(), key=lambda item: (-item[1], item[0]))[:8]
    listed = ", ".join(f"{count} {suffix or 'without a suffix'}" for suffix, count in some)
    return listed + f" and {len(others) - 8} more kinds" * (len(others) > 8)


def _walk(folder: _Path, output: _Path | None = None) -> Iterator[pathlib.Path]:
    """Yields the files that are not hidden in the folders that a search enters."""
    seen = {paths.real(folder), paths.real(output or folder)}
    for where, folders, names in paths.walk(folder, onerror=_refuse_folder):
        here, run = paths.of(where), outputs.is_run(where)
        for name in list(folders):
            path = os.path.join(where, name)
            real = paths.real(path)
            if name.startswith(".") or real in seen or run and name in ("samples", "checkpoints"):
                folders.remove(name)  # links may run in circles
            elif outputs.is_written(path):
                folders.remove(name)
                outputs.report_left_out(path)
            seen.add(real)
        yield from (here / name for name in names if not name.startswith("."))


def _opened(path: pathlib.Path) -> BinaryIO:
    """The file, open for reading; an object of a store is fetched at once, since decoders go back and forth."""
    return io.BytesIO(path.read_bytes()) if paths.is_remote(path) else path.open("rb")


def _refuse_folder(error: OSError) -> None:
    """Raises the sentence on a folder that cannot be read."""
    raise jgan.UserError(f"the folder {error.filename} cannot be read: {error.strerror}") from None


@contextlib.contextmanager
def _explained(name: _Path) -> Iterator[None]:
    """Turns the errors of decoders into a sentence about the picture of that name."""
    try:
        yield
    except jgan.UserError:  # of an object store
        raise
    except FileNotFoundError:
        raise jgan.UserError(f"there is no file {name}") from None
    except (Image.DecompressionBombError, decoded.TooLarge):
        raise jgan.UserError(
            f"{name} has more than {MAX_PIXELS} pixels: cut it into smaller pictures"
        ) from None
    except MemoryError:
        raise jgan.UserError(f"{name} does not fit in memory") from None
    except Exception as error:  # decoders raise OSError, ValueError, SyntaxError, RuntimeError ...
        raise jgan.UserError(f"{name} cannot be decoded: {_reason(error)}") from None


def _sound(picture: Picture, name: str) -> Picture:
    """The picture with three axes, contiguous memory and its name."""
    pixels = picture.pixels[..., None] if picture.pixels.ndim == 2 else picture.pixels
    alpha = None if picture.alpha is None else np.ascontiguousarray(picture.alpha)
    return Picture(np.ascontiguousarray(pixels), alpha, picture.remarks, name)


def _read_npy(file: BinaryIO) -> np.ndarray:
    """The array of a `.npy` file."""
    shape = npy.header(file).shape
    if len(shape) not in (2, 3) or 0 in shape:
        raise ValueError(f"its shape is {shape} instead of (height, width, channels)")
    decoded.check_size(*shape[:2])
    file.seek(0)
    return decoded.usual_type(npy.read(file))


def _read_picture(file: BinaryIO) -> Picture:
    """The picture in a file of any other format, by its first bytes."""
    head = file.read(32)
    file.seek(0)
    return tiff.read(file) if tiff.begins(head) else formats.read(file, head)


def _putter(path: pathlib.Path, array: np.ndarray | Picture, quality: int) -> Callable[[BinaryIO], None]:
    """The function that writes a picture in the format of a path into a file."""
    suffix, marked = path.suffix.lower(), False
    if isinstance(array, Picture):
        marked = array.alpha is not None and suffix in WITH_ALPHA
        array = array.joined() if marked else array.pixels
    array = np.asarray(array)
    array = array[..., None] if array.ndim == 2 else array
    encode = _encoder(path, array)
    return lambda file: encode(file, array, quality, marked)


def _encoder(path: pathlib.Path, array: np.ndarray) -> _Encode:
    """The function that writes such an array in the format of a path; a `jgan.UserError` where there is none."""
    suffix, channels = path.suffix.lower(), array.shape[-1]
    kinds = {
        ".png": ((np.uint8, np.uint16), (1, 2, 3, 4), _write_png),
        **dict.fromkeys((".tif", ".tiff"), ((np.uint8, np.uint16, np.float32), None, _write_tiff)),
        **dict.fromkeys(_JPEG, ((np.uint8,), (1, 3), _write_pillow("JPEG", subsampling=0))),
        ".webp": ((np.uint8,), (1, 2, 3, 4), _write_webp),
        ".bmp": ((np.uint8,), (1, 3), _write_pillow("BMP")),
        **dict.fromkeys(_PPM, ((np.uint8, np.uint16), (1, 3), _write_ppm)),
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


def _write_pillow(name: str, **options: Any) -> _Encode:
    """The function that writes a format by Pillow."""

    def encode(file: BinaryIO, array: np.ndarray, quality: int, marked: bool) -> None:
        image = Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)
        image.save(file, name, **({"quality": quality} if name == "JPEG" else {}), **options)

    return encode


def _write_png(file: BinaryIO, array: np.ndarray, quality: int, marked: bool) -> None:
    if array.dtype == np.uint8:
        return _write_pillow("PNG")(file, array, quality, marked)
    import imagecodecs

    data = array if array.shape[-1] > 1 else array[..., 0]
    file.write(imagecodecs.png_encode(np.ascontiguousarray(data)))


def _write_webp(file: BinaryIO, array: np.ndarray, quality: int, marked: bool) -> None:
    if array.shape[-1] == 2:  # it has no grey
        array = array[..., [0, 0, 0, 1]]
    _write_pillow("WEBP", lossless=True, exact=True)(file, array, quality, marked)


def _write_ppm(file: BinaryIO, array: np.ndarray, quality: int, marked: bool) -> None:
    if array.dtype == np.uint8:
        return _write_pillow("PPM")(file, array, quality, marked)
    height, width, channels = array.shape
    file.write(b"P%d %d %d 65535\n" % (6 if channels == 3 else 5, width, height))
    file.write(array.astype(">u2").tobytes())


def _write_tiff(file: BinaryIO, array: np.ndarray, quality: int, marked: bool) -> None:
    import tifffile

    channels = array.shape[-1]
    colours = 3 if channels - marked in (3, 4) else 1
    extra = ["unspecified"] * (channels - colours)
    if marked:
        extra[-1] = "unassalpha"
    tifffile.imwrite(
        file,
        array if channels > 1 else array[..., 0],
        photometric="rgb" if colours == 3 else "minisblack",
        planarconfig="contig" if channels > 1 else None,
        extrasamples=extra,
        compression="adobe_deflate",
        metadata=None,
        software=False,
    )


def _write_npy(file: BinaryIO, array: np.ndarray, quality: int, marked: bool) -> None:
    np.save(file, array, allow_pickle=False)


def _reason(error: Exception) -> str:
    """The text of an error of a decoder, in one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, Image.UnidentifiedImageError):
        text = "its content is not an image of a known format"
    return text[:200]
