"""Colours of files to sRGB, on which nets are trained and which a file without a profile is assumed to have."""

import functools

import numpy as np

DAMAGED = "with a colour profile that cannot be used, taken for sRGB"

_SPACES = {b"GRAY": ("gray", 1), b"RGB ": ("rgb", 3)}  # signatures in profiles
_NEAR = 1  # of 255: how far a profile that counts as sRGB may move colours
_LIBPNG_NEAR = 0.05  # gammas that differ less count as equal for libpng
_SRGB_WHITE = (0.3127, 0.3290)
_SRGB_PRIMARIES = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06)


def to_srgb(pixels: np.ndarray, profile: bytes | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """Grey [h, w, 1] or RGB [h, w, 3] in sRGB, and remarks.

    Colours are converted with the relative colorimetric intent and black point compensation, 16 bits and floats
    exactly; a profile that moves no colour by more than 1 of 255 counts as sRGB. Grey stays grey, whether its profile
    describes grey or colours.

    Args:
        pixels: in one of the three types of pictures.
        profile: the ICC profile of the file; None or empty: the file has none and is sRGB.
    """
    if not profile:
        return pixels, ()
    space, count = _SPACES.get(bytes(profile[16:20]), ("", 0))
    kind = (
        _kind(profile, space, count) if (count, pixels.shape[-1]) in ((1, 1), (3, 1), (3, 3)) else "damaged"
    )
    if kind == "damaged":
        return pixels, (DAMAGED,)
    if kind == "sRGB":
        return pixels, ()
    if count == pixels.shape[-1] == 3:
        return _converted(pixels, profile, space), ()
    made = _converted(np.repeat(pixels, count, -1), profile, space)
    return np.ascontiguousarray(made[..., 1:2]), ()


def cmyk_to_srgb(inks: np.ndarray, profile: bytes | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """sRGB [h, w, 3] from inks [h, w, 4], uint8 or uint16 from none to full, and remarks.

    Without a profile a colour is (1 - ink) (1 - black).
    """
    if profile and profile[16:20] == b"CMYK" and _kind(profile, "cmyk", 4) != "damaged":
        return _converted(inks, profile, "cmyk"), ()
    full = np.uint32(np.iinfo(inks.dtype).max)
    left = full - inks
    made = ((left[..., :3] * left[..., 3:] + full // 2) // full).astype(inks.dtype)
    return made, ((DAMAGED,) if profile else ())


def png_profile(gamma: float | None, chromaticities: tuple[float, ...] | None) -> bytes | None:
    """The profile that the gAMA and cHRM chunks of a PNG stand for, or None where they stand for sRGB.

    Without gAMA there is no profile; without cHRM the primaries are those of sRGB.
    """
    if not gamma or not 0.05 < gamma < 20:
        return None
    white, primaries = _SRGB_WHITE, _SRGB_PRIMARIES
    if chromaticities is not None and all(0 < value < 1 for value in chromaticities[1::2]):
        white, primaries = chromaticities[:2], chromaticities[2:8]
    usual = np.allclose((*white, *primaries), (*_SRGB_WHITE, *_SRGB_PRIMARIES), atol=0.01)
    if usual and abs(gamma * 2.2 - 1) < _LIBPNG_NEAR:
        return None
    import imagecodecs  # here and below: only files of this kind pay for loading it

    corners = [value for i in (0, 2, 4) for value in (*primaries[i : i + 2], 1.0)]
    return imagecodecs.cms_profile("rgb", whitepoint=[*white, 1.0], primaries=corners, gamma=1 / gamma)


def lab_to_srgb(lab: np.ndarray) -> np.ndarray:
    """sRGB [h, w, 3] float64 in [0, 1] of CIE L*a*b* under D50, as ICC and Photoshop mean it; L in [0, 100]."""
    import imagecodecs

    made = imagecodecs.cms_transform(
        np.ascontiguousarray(lab, np.float64),
        imagecodecs.cms_profile("lab4"),
        imagecodecs.cms_profile("srgb"),
        colorspace="lab",
        outcolorspace="rgb",
        intent=imagecodecs.CMS.INTENT.RELATIVE_COLORIMETRIC,
        flags=imagecodecs.CMS.FLAGS.NOOPTIMIZE,
    )
    return np.clip(made, 0, 1)


@functools.lru_cache(maxsize=64)
def _kind(profile: bytes, space: str, count: int) -> str:
    """The kind of a profile: "sRGB" if it changes hardly anything, "damaged" if it cannot be used, or "other"."""
    steps = np.linspace(0, 255, 256 if count == 1 else 9).round().astype(np.uint8)
    lattice = np.stack(np.meshgrid(*[steps] * count, indexing="ij"), -1).reshape(1, -1, count)
    try:
        made = _converted(lattice, profile, space)
    except Exception:  # CmsError, and any other error that a hostile profile causes
        return "damaged"
    if count == 4:
        return "other"
    return "sRGB" if np.abs(made.astype(int) - lattice).max() <= _NEAR else "other"


def _converted(pixels: np.ndarray, profile: bytes, space: str) -> np.ndarray:
    """Pixels of a profile in sRGB [h, w, 3], by LittleCMS."""
    import imagecodecs

    flags = imagecodecs.CMS.FLAGS
    # LittleCMS puts a whole transform into a table. For RGB of 8 bits that is right within 0.7 of a level; for 16 bits
    # and for grey it is not.
    exact = flags.NOOPTIMIZE if pixels.dtype != np.uint8 or space == "gray" else 0
    floats = pixels.dtype == np.float32
    pixels = pixels[..., 0] if space == "gray" else pixels
    made = imagecodecs.cms_transform(
        np.ascontiguousarray((pixels + 1.0) / 2 if floats else pixels),
        profile,
        _srgb(),
        colorspace=space,
        outcolorspace="rgb",
        intent=imagecodecs.CMS.INTENT.RELATIVE_COLORIMETRIC,
        flags=int(flags.BLACKPOINTCOMPENSATION | exact),
    )
    return np.clip(made * 2 - 1, -1, 1).astype(np.float32) if floats else made


@functools.cache
def _srgb() -> bytes:
    """The profile of sRGB."""
    import imagecodecs

    return imagecodecs.cms_profile("srgb")
