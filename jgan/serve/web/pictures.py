"""Arrays as the bytes of files that a browser shows or saves."""

import io
import json
import zipfile

import numpy as np
from PIL import Image

from jgan import pictures as pictures_lib
from jgan.serve.device import work

SHOWN_SIDE = 2048  # pixels of the longer side of a photo that is only shown
_SECONDS = 2.0  # the duration of a film


def png(picture: np.ndarray) -> bytes:
    """A PNG of a picture [h, w, c] in its own depth; of 2 or 4 channels the last is opacity; floats become 8 bits."""
    if picture.dtype == np.uint16:
        import imagecodecs  # it loads slowly, and only these files need it

        return imagecodecs.png_encode(
            np.ascontiguousarray(picture if picture.shape[-1] > 1 else picture[..., 0])
        )
    if picture.dtype != np.uint8 or picture.shape[-1] > 4:
        picture = pictures_lib.show(picture)
    buffer = io.BytesIO()
    Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).save(
        buffer, "PNG", compress_level=3
    )
    return buffer.getvalue()


def shown(picture: np.ndarray) -> bytes:
    """A PNG of a picture for screens: 8 bits, RGB, and sides of at most `SHOWN_SIDE` pixels."""
    whole = Image.fromarray(pictures_lib.show(picture))
    whole.thumbnail((SHOWN_SIDE, SHOWN_SIDE), Image.Resampling.BOX)
    buffer = io.BytesIO()
    whole.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def film(pictures: np.ndarray) -> bytes:
    """An animated WebP of pictures [n, h, w, c], which repeats without an end."""
    first, *others = [Image.fromarray(pictures_lib.show(picture)) for picture in pictures]
    duration = max(20, round(1000 * _SECONDS / len(pictures)))
    buffer = io.BytesIO()
    first.save(
        buffer, "WEBP", save_all=True, append_images=others, duration=duration, loop=0, quality=90, method=2
    )
    return buffer.getvalue()


def archive(exported: work.Exported, space: str) -> bytes:
    """A ZIP of candidates: a PNG of each, and candidates.json with their costs and latents.

    For a run with controls candidates.json has their values under `given`.
    """
    buffer, listed = io.BytesIO(), []
    with zipfile.ZipFile(buffer, "w") as file:
        candidates = zip(exported.ids, exported.images, exported.latents, exported.costs, strict=True)
        for rank, (number, image, latent, cost) in enumerate(candidates, 1):
            name = f"candidate_{rank:02d}.png"
            file.writestr(name, png(image))
            total = float(cost) if np.isfinite(cost) else None
            listed.append(
                {"file": name, "candidate": int(number), "cost": total, "latent": np.ravel(latent).tolist()}
            )
        told = (
            {"space": space} | ({"given": exported.given} if exported.given else {}) | {"candidates": listed}
        )
        file.writestr("candidates.json", json.dumps(told, indent=1))
    return buffer.getvalue()
