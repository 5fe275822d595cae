"""TIFF files, with the same result however they are stored: in strips or tiles, planes apart or together, compressed.

tifffile reads the tags and the samples. Their meaning is decided here, by TIFF 6.0 (section numbers below) and its
supplements:

- bands stay as they are stored; one that ExtraSamples names as opacity becomes the opacity, and no other is dropped;
- samples of 2 to 7 and of 9 to 15 bits fill the range of 8 or 16 bits, floats are taken for [-1, 1];
- WhiteIsZero is inverted; palettes, YCbCr, CMYK and CIELab become RGB; colours with a profile become sRGB;
- premultiplied colours are divided by their opacity;
- of several pages the first one is read that is neither a reduced copy nor a mask.
"""

import logging
import struct
from typing import Any
from typing import BinaryIO

import numpy as np

from jgan.data import colour
from jgan.data import decoded

PAGES = "with several pages, of which the first is read"

_MOST_PAGES = 64  # of a file that are searched for the first whole one
_PLAIN = {1, 5, 8, 32773, 32946}  # no compression, LZW, Deflate, PackBits: those that keep the samples
_OLD_JPEG = 6
_JPEG = 7
_NAMES = {
    4: "a transparency mask",
    10: "ITULab colours",
    32803: "a camera's raw samples",
    32844: "LogL luminance",
    32845: "LogLuv colours",
    34892: "a camera's raw samples",
    51177: "a depth map",
    52527: "a mask",
}


def begins(head: bytes) -> bool:
    """Whether a file that begins with these bytes is a TIFF, of either byte order, classic or BigTIFF."""
    return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def size(file: BinaryIO) -> tuple[int, int]:
    """The height and width of the picture that `read` would return; raises the same errors."""
    with _opened(file) as opened:
        page, _ = _page(opened)
        upright = page.tags.valueof(274, 1) not in (5, 6, 7, 8)
        return (page.imagelength, page.imagewidth)[:: 1 if upright else -1]


def read(file: BinaryIO) -> decoded.Picture:
    """The picture in a binary file that is at its beginning; raises the errors of decoders."""
    with _opened(file) as opened:
        page, several = _page(opened)
        _check(page, opened.filehandle.size)
        if page.photometric == 6 and page.compression in _PLAIN | {_OLD_JPEG}:
            pixels, alpha = _by_libtiff(file, page), None
        else:
            pixels, alpha = _read(page)
        pixels, remarks = _in_srgb(pixels, page)
        orientation = page.tags.valueof(274, 1)
        remarks = (*([PAGES] * several), *remarks)
        turned = [None if x is None else decoded.turn(x, orientation) for x in (pixels, alpha)]
        return decoded.Picture(*turned, remarks)


def _opened(file: BinaryIO) -> Any:
    """The file as tifffile knows it."""
    import tifffile  # here: only files of this kind pay for loading it

    # A problem of a file is reported by one sentence of jgan, not by log lines as well.
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    return tifffile.TiffFile(file)


def _page(opened: Any) -> tuple[Any, bool]:
    """The first page that is neither a reduced copy nor a mask, and whether there is a second one."""
    whole = []
    for index in range(_MOST_PAGES):
        try:
            page = opened.pages[index]
        except IndexError:
            break
        page = page.aspage()
        if not page.subfiletype & 0b101:
            whole.append(page)
        if len(whole) == 2:
            break
    page = whole[0] if whole else opened.pages[0].aspage()
    # ImageJ keeps a stack behind a single page.
    return page, len(whole) > 1 or (opened.imagej_metadata or {}).get("images", 1) > 1


def _check(page: Any, size: int) -> None:
    """Refuses a page that is not a picture or that a file of `size` bytes does not hold completely."""
    decoded.check_size(page.imagelength, page.imagewidth)
    if page.imagedepth > 1:
        raise ValueError(f"it is a volume of {page.imagedepth} slices, not a picture")
    if page.photometric in _NAMES:
        raise ValueError(f"it holds {_NAMES[page.photometric]}, which this program does not read")
    expected = int(np.prod(page.chunked))
    if not len(page.dataoffsets) == len(page.databytecounts) == expected and page.compression != _OLD_JPEG:
        raise ValueError(f"it has {len(page.databytecounts)} strips or tiles instead of {expected}")
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False):
        if offset <= 0 or count <= 0:
            raise ValueError("a strip or tile of it is missing")
        if offset + count > size:
            raise ValueError("it ends before its last strip or tile")


def _read(page: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """The colours [h, w, c] of a page as RGB, CMYK, grey or bands, and the opacity."""
    kind = page.photometric
    samples = page.asarray(squeeze=False, maxworkers=1)[:, 0]  # [planes, h, w, samples of each]
    samples = np.moveaxis(samples, 0, 2).reshape(*samples.shape[1:3], -1)
    if kind in (8, 9):
        return _from_lab(samples, page), _opacity(page, samples, 3)
    if kind == 3:
        return _from_palette(samples, page), None
    samples = _full_range(samples, page)
    if kind == 6 and page.compression not in (_JPEG, 50001):  # JPEG and WebP give RGB
        raise ValueError("its YCbCr colours are compressed in a way that this program does not read")
    colours = {0: 1, 1: 1, 2: 3, 5: 4, 6: 3}.get(kind, 1)
    if kind == 5 and (page.tags.valueof(332, 1) != 1 or samples.shape[-1] < 4):
        raise ValueError("its inks are not cyan, magenta, yellow and black")
    if kind == 5 and samples.dtype.kind == "f":
        raise ValueError("its inks are floats instead of integers")
    if samples.shape[-1] < colours:
        raise ValueError(f"it has {samples.shape[-1]} bands where its colours need {colours}")
    alpha = _opacity(page, samples, colours)
    if alpha is not None:
        place = colours + _opacity_at(page)
        bands = np.delete(samples, place, -1)
    else:
        bands = samples
    if kind == 0:
        bands = np.concatenate([_inverted(bands[..., :1]), bands[..., 1:]], -1)
    if kind == 5 and bands.shape[-1] > 4:
        raise ValueError(f"it has {bands.shape[-1] - 4} bands besides its four inks")
    if alpha is not None and _opacity_kind(page) == 1:
        bands = _divided(bands, alpha)
    return np.ascontiguousarray(bands), alpha


def _by_libtiff(file: BinaryIO, page: Any) -> np.ndarray:
    """The RGB of YCbCr (section 21), whose samples may be stored for several pixels at once."""
    import imagecodecs

    if page.bitspersample != 8 or page.samplesperpixel != 3:
        raise ValueError("its YCbCr colours are not three samples of 8 bits")
    file.seek(0)
    data = bytearray(file.read())
    turned = page.tags.get(274)
    if turned is not None:  # libtiff mirrors, but does not swap height and width
        data[turned.valueoffset : turned.valueoffset + 2] = struct.pack(f"{page.parent.byteorder}H", 1)
    return np.ascontiguousarray(imagecodecs.tiff_decode(bytes(data), index=page.index, asrgb=True)[..., :3])


def _full_range(samples: np.ndarray, page: Any) -> np.ndarray:
    """The samples over the whole range of their type."""
    bits = page.bitspersample
    if isinstance(bits, tuple):
        raise ValueError(f"its bands have different numbers of bits: {', '.join(map(str, bits))}")
    if samples.dtype == np.bool_:
        return decoded.usual_type(samples)
    if samples.dtype.kind == "u" and bits < 16:
        return decoded.scaled(samples, 2**bits - 1)
    return decoded.usual_type(samples)


def _inverted(grey: np.ndarray) -> np.ndarray:
    """Grey with black and white exchanged."""
    return -grey if grey.dtype.kind == "f" else np.iinfo(grey.dtype).max - grey


def _from_palette(samples: np.ndarray, page: Any) -> np.ndarray:
    """The RGB of a palette of 16-bit colours (section 5), which some writers store in 8 bits: then none exceeds 255."""
    table = np.asarray(page.colormap)
    if samples.shape[-1] != 1:
        raise ValueError(f"it has a palette, and {samples.shape[-1]} bands")
    table = (table >> 8 if table.max() > 255 else table).astype(np.uint8)
    return np.ascontiguousarray(table.T[samples[..., 0].astype(np.intp)])


def _from_lab(samples: np.ndarray, page: Any) -> np.ndarray:
    """The sRGB of CIELab or ICCLab.

    CIELab (section 23) has signed a and b, ICCLab (supplement of 2002) has 128 added to them; L is unsigned in both.
    """
    bits = page.bitspersample
    if bits not in (8, 16) or samples.dtype.kind not in "ui" or samples.shape[-1] < 3:
        raise ValueError("its CIELab colours are not three samples of 8 or 16 bits")
    if page.compression not in _PLAIN:
        raise ValueError("its CIELab colours are compressed in a way that this program does not read")
    if page.photometric == 8:
        lightness = samples[..., :1].astype(f"u{bits // 8}") / (2**bits - 1) * 100
        ab = samples[..., 1:3].astype(f"i{bits // 8}") / 2 ** (bits - 8)
    else:
        lightness = samples[..., :1].astype(float) / (255 if bits == 8 else 0xFF00) * 100
        ab = samples[..., 1:3].astype(float) / 2 ** (bits - 8) - 128
    rgb = colour.lab_to_srgb(np.concatenate([lightness, ab], -1))
    return np.rint(rgb * (2**bits - 1)).astype(f"u{bits // 8}")


def _opacity_at(page: Any) -> int | None:
    """Which of the extra samples is opacity, premultiplied (1) or not (2); None if there is none."""
    places = [i for i, kind in enumerate(page.extrasamples) if kind in (1, 2)]
    return places[0] if places else None


def _opacity_kind(page: Any) -> int:
    """1 if the colours are premultiplied by the opacity, 2 if not."""
    return int(page.extrasamples[_opacity_at(page)])


def _opacity(page: Any, samples: np.ndarray, colours: int) -> np.ndarray | None:
    """The opacity [h, w, 1] among the samples, after so many colours; None if there is none."""
    at = _opacity_at(page)
    if at is None or colours + at >= samples.shape[-1]:
        return None
    return np.ascontiguousarray(samples[..., colours + at : colours + at + 1])


def _divided(bands: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Premultiplied bands divided by their opacity."""
    if bands.dtype == np.float32:
        share = np.clip((alpha + 1) / 2, 0, 1)
        made = (bands + 1) / 2 / np.maximum(share, np.finfo(np.float32).tiny)
        return (np.clip(made, 0, 1) * 2 - 1).astype(np.float32)
    full = np.uint64(np.iinfo(bands.dtype).max)
    share = np.maximum(alpha, 1).astype(np.uint64)
    return np.minimum((bands * full + share // 2) // share, full).astype(bands.dtype)


def _in_srgb(pixels: np.ndarray, page: Any) -> tuple[np.ndarray, tuple[str, ...]]:
    """The colours in sRGB and remarks; Lab is sRGB already, and bands beside colours have no profile."""
    kind, profile = page.photometric, page.iccprofile
    if kind == 5:
        return colour.cmyk_to_srgb(pixels, profile)
    if kind in (2, 3, 6):
        made, remarks = colour.to_srgb(pixels[..., :3], profile)
        return np.concatenate([made, pixels[..., 3:]], -1) if pixels.shape[-1] > 3 else made, remarks
    return colour.to_srgb(pixels, profile) if kind in (0, 1) and pixels.shape[-1] == 1 else (pixels, ())
