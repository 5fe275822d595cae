"""A run that translates, for the page: pictures drawn with the palette of its data, and what becomes of them."""

from concurrent import futures
from typing import Any

import numpy as np

import jgan
from jgan.data import framing
from jgan.data import images
from jgan.metrics import segmentation
from jgan.programs import translator as translators
from jgan.runs import config as run_config
from jgan.serve.web import access

_SIZES = 8  # of pictures; for each of them there is a program
_WAITING = 16  # pictures at most


class Translation:
    """The translator of a run, one picture after another."""

    def __init__(self, workdir: str, step: int | str = "latest"):
        """Of the run in `workdir`; `jgan.UserError` as for `translators.load`."""
        first = translators.load(workdir, step=step)
        self._translators = {name: first.to(name) for name in first.ways}
        self._sizes: set[tuple[int, ...]] = set()
        self._waiting = 0
        self._thread = futures.ThreadPoolExecutor(1, "jgan-translation")
        self.config = first.config

    def describe(self) -> list[dict[str, Any]]:
        """What `status` says of each way."""
        return [
            {
                "name": name,
                "input": _words(self.config, translator.source),
                "output": _words(self.config, translator.way.target),
                "size": [self.config.data.size] * 2,
                "channels": translator.channels,
            }
            for name, translator in self._translators.items()
        ]

    def submit(self, data: bytes, name: str, direction: str, made: bool) -> futures.Future:
        """The future translation [h, w, c] of a picture, given as the bytes of its file.

        Args:
            data: of the file, from anyone.
            name: that its mistakes are told by.
            direction: one of `describe`; empty: the first.
            made: whether a run on made pairs (such as edges) first makes its input from the picture; else the
                picture is taken for the input.

        Raises:
            jgan.UserError: an unknown direction, or too many pictures are waiting; others come with the future.
        """
        direction = direction or next(iter(self._translators))
        if direction not in self._translators:
            raise jgan.UserError(f"direction: the run translates {' and '.join(self._translators)} only.")
        if self._waiting >= _WAITING:
            raise jgan.UserError("too many pictures are waiting to be translated: try again later.")
        self._waiting += 1
        future = self._thread.submit(self._translate, data, name, direction, made)
        future.add_done_callback(self._done)
        return future

    def warm(self) -> None:
        """Has the programs of the page's canvas made, so that the first stroke need not wait for them."""
        size = self.config.data.size
        for direction, told in zip(self._translators, self.describe(), strict=True):
            black = images.Picture(np.zeros((size, size, told["channels"]), np.uint8))
            self._run(black, direction, False)

    def stop(self) -> None:
        self._thread.shutdown(cancel_futures=True)

    def _done(self, _: futures.Future) -> None:
        self._waiting -= 1

    def _translate(self, data: bytes, name: str, direction: str, made: bool) -> np.ndarray:
        return self._run(access.picture(data, name, access.TRANSLATED_PIXELS), direction, made)

    def _run(self, picture: images.Picture, direction: str, made: bool) -> np.ndarray:
        translator = self._translators[direction]
        if picture.pixels.dtype == np.float32:
            raise jgan.UserError(
                f"{picture.name} holds floats: pictures of 8 or 16 bits can be translated here."
            )
        size = (direction, *picture.shape, made)
        if size not in self._sizes and len(self._sizes) >= _SIZES:
            # A new translator comes with no programs, and those of the old one go with it.
            self._sizes.clear()
            self._translators = {d: t.to(d) for d, t in self._translators.items()}
            translator = self._translators[direction]
        self._sizes.add(size)
        channels = translator.channels
        alpha = None if picture.opaque else picture.alpha
        if not made and channels == 1 and picture.shape[-1] == 3:  # the page draws in colour
            flat = picture.on_white().mean(-1, keepdims=True).astype(picture.pixels.dtype)
            picture = picture._replace(pixels=flat, alpha=None)
        if made or self.config.data.get("pair", "") != "edges":
            translated = translator.picture(picture)
            took = (
                translated.alpha is None and picture.alpha is not None
            )  # opacity was a channel of the net's
            return translated._replace(alpha=None if took else alpha).joined()
        made_of = translator.generate(framing.with_channels(picture, channels)[None])
        return _bytes(np.asarray(made_of)[0])


def palette(workdir: str) -> list[dict[str, Any]] | None:
    """The colours to draw with for the run in `workdir`: [{"name", "colour"}], or None: black lines on white.

    They are those of the run's data set where its config names a file of them, else those of the built-in facades.
    """
    data = run_config.read(workdir).data
    if data.get("pair", ""):
        return None
    if data.get("palette", ""):
        colours = segmentation.load_palette(data.palette)
    else:
        from jgan.data import facades

        colours = facades.PALETTE
    return [{"name": name, "colour": list(colour)} for name, colour in colours.items()]


def _bytes(image: np.ndarray) -> np.ndarray:
    return np.clip(np.rint((image + 1) * 127.5), 0, 255).astype(np.uint8)


def _words(config: Any, side: str) -> str:
    """What a person calls the pictures of one side of the data."""
    if config.data.get("pair", ""):
        return config.data.pair if side == "a" else "photo"
    if config.data.source == "facades":
        if config.data.get("kind", "aligned") == "unaligned":
            return {"a": "day", "b": "dusk"}[side]
        a, b = ("photo", "labels") if config.data.get("direction", "AtoB") == "BtoA" else ("labels", "photo")
        return a if side == "a" else b
    return side.upper()
