"""The run that translates, for the page: the palette of drawings, and their translation."""

from collections.abc import Callable
from collections.abc import Mapping
from concurrent import futures
import types
from typing import Any

import ml_collections
import numpy as np

import jgan
from jgan import fields
from jgan.data import framing
from jgan.data import images
from jgan.metrics import segmentation
from jgan.programs import controls
from jgan.programs import translator as translators
from jgan.runs import config as run_config
from jgan.serve.web import access
from jgan.systems import system as system_lib

_SIZES = 8  # of pictures for which programs are kept
_WAITING = 16  # pictures that may wait
_CRAYONS = {
    "background": (255, 255, 255),
    "black": (30, 30, 30),
    "grey": (140, 140, 140),
    "red": (224, 49, 49),
    "orange": (247, 140, 30),
    "yellow": (250, 210, 60),
    "green": (47, 158, 68),
    "blue": (34, 110, 200),
    "violet": (132, 78, 190),
    "brown": (130, 84, 50),
}


class Translation:
    """The translator of a run, which takes one picture after another."""

    def __init__(self, workdir: str, step: int | str = "latest"):
        """The translator of the run in `workdir`; errors are as in `translator.load`."""
        first = translators.load(workdir, step=step)
        self._loaded = first.loaded
        self._translators = {name: first.to(name) for name in first.ways}
        self._codes: dict[tuple[str, str], controls.Codes] = {}
        self._sizes: set[tuple[int, ...]] = set()
        self._waiting = 0
        self._thread = futures.ThreadPoolExecutor(1, "jgan-translation")
        self.config = first.config

    def describe(self) -> list[dict[str, Any]]:
        """The drawing board of each way, for `status`."""
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

    def ways(self) -> list[dict[str, Any]]:
        """The ways of the run that translate, as JSON (`controls.described`)."""
        return [way for way in controls.described(self._loaded) if way["name"] in self._translators]

    def submit(
        self,
        data: bytes,
        name: str,
        way: str,
        made: bool,
        asked: Mapping[str, Any] = types.MappingProxyType({}),
    ) -> futures.Future[np.ndarray]:
        """The future translation [h, w, c] of a picture, given as the bytes of its file.

        Args:
            data: the bytes of the file; anyone may have sent them.
            name: the name of the file in error messages.
            way: the name of a way; empty: the first one.
            made: whether a run on made pairs (such as edges) first makes its input from the picture; otherwise the
                picture is the input.
            asked: {control: value}, as JSON has it.

        Raises:
            jgan.UserError: an unknown way or control, a wrong value, or too many pictures are waiting; the future has
                all other errors.
        """
        way = self._known(way)
        values = fields.check(self._translators[way].way.controls, asked)
        return self._queue(self._translate, data, name, way, made, values)

    def encode(
        self, data: bytes, name: str, way: str, control: str = ""
    ) -> futures.Future[tuple[str, list[float]]]:
        """The future (name of the control, its code as a list of numbers) of a picture, given as in `submit`.

        Raises:
            jgan.UserError: an unknown way, a control that is not a code of it, or too many pictures are waiting; the
                future has all other errors.
        """
        way = self._known(way)
        codes = _codes(self._translators[way].way)
        if not codes or (control and control not in codes):
            known = f"{' and '.join(codes)} would work" if codes else f"the way {way} has none"
            raise jgan.UserError(f"control: {control[:40]!r} is no code: {known}.")
        return self._queue(self._encode, data, name, way, control or next(iter(codes)))

    def warm(self) -> None:
        """Compiles the programs of the drawing board and the panel, so that the first stroke does not wait for them."""
        size = self.config.data.size
        for way, translator in self._translators.items():
            black = images.Picture(np.zeros((size, size, translator.channels), np.uint8))
            self._run(black, way, False, {})
            for control in _codes(translator.way):
                codes = self._codes_of(way, control)
                codes.vector(fields.Between(0, 1, 0.5))
                if codes.predicts:
                    codes.encode(np.zeros((size, size, codes.channels), np.uint8))

    def stop(self) -> None:
        """Ends the thread; pictures that wait are not translated."""
        self._thread.shutdown(cancel_futures=True)

    def _known(self, way: str) -> str:
        """The name of a way of the run, the first one if it is empty."""
        way = way or next(iter(self._translators))
        if way not in self._translators:
            raise jgan.UserError(f"way: the run translates {' and '.join(self._translators)} only.")
        return way

    def _queue(self, work: Callable[..., Any], *arguments: Any) -> futures.Future[Any]:
        """The future result of a function, unless too many pictures are waiting."""
        if self._waiting >= _WAITING:
            raise jgan.UserError("too many pictures are waiting to be translated: try again later.")
        self._waiting += 1
        future = self._thread.submit(work, *arguments)
        future.add_done_callback(self._done)
        return future

    def _done(self, _: futures.Future[Any]) -> None:
        """Counts a picture that no longer waits."""
        self._waiting -= 1

    def _translate(self, data: bytes, name: str, way: str, made: bool, values: dict[str, Any]) -> np.ndarray:
        """The translation of a file, in the thread."""
        return self._run(access.picture(data, name, access.TRANSLATED_PIXELS), way, made, values)

    def _encode(self, data: bytes, name: str, way: str, control: str) -> tuple[str, list[float]]:
        """The code of a file, in the thread."""
        picture = access.picture(data, name, access.TRANSLATED_PIXELS)
        return control, self._codes_of(way, control).encode(picture).tolist()

    def _codes_of(self, way: str, control: str) -> controls.Codes:
        """The codes of a control, which are made once, because their programs serve all values."""
        if (way, control) not in self._codes:
            declared = self._translators[way].way
            self._codes[way, control] = controls.Codes(self._loaded, declared, control)
        return self._codes[way, control]

    def _given(self, way: str, values: dict[str, Any]) -> dict[str, Any]:
        """{name: value of one example} of all controls of a way, including those that are not set.

        So all values have the same structure, and one program takes them all.
        """
        declared = self._translators[way].way
        codes = _codes(declared)
        plain = {name: value for name, value in values.items() if name not in codes}
        given: dict[str, Any] = dict(controls.given(declared, plain))
        for name in codes:
            given[name] = self._codes_of(way, name).latent(values.get(name, 0))
        return given

    def _run(self, picture: images.Picture, way: str, made: bool, values: dict[str, Any]) -> np.ndarray:
        """The translation [h, w, c] of a picture, with its opacity."""
        if picture.pixels.dtype == np.float32:
            raise jgan.UserError(
                f"{picture.name} holds floats: pictures of 8 or 16 bits can be translated here."
            )
        size = (way, *picture.shape, made)
        if size not in self._sizes and len(self._sizes) >= _SIZES:
            # A new translator has no programs, and the old one is deleted together with its programs.
            self._sizes.clear()
            self._translators = {name: t.to(name) for name, t in self._translators.items()}
        self._sizes.add(size)
        translator = self._translators[way].set(self._given(way, values))
        channels = translator.channels
        alpha = None if picture.opaque else picture.alpha
        if not made and channels == 1 and picture.shape[-1] == 3:  # the page draws in colour
            flat = picture.on_white().mean(-1, keepdims=True).astype(picture.pixels.dtype)
            picture = picture._replace(pixels=flat, alpha=None)
        if made or self.config.data.get("pair", "") != "edges":
            translated = translator.picture(picture)
            # Whether opacity was one of the channels of the input.
            took = translated.alpha is None and picture.alpha is not None
            return translated._replace(alpha=None if took else alpha).joined()
        made_of = translator.generate(framing.with_channels(picture, channels)[None])
        return _bytes(np.asarray(made_of)[0])


def _codes(way: system_lib.Way) -> dict[str, fields.Code]:
    """The controls of a way that are codes, by their names."""
    return {name: field for name, field in way.controls.items() if isinstance(field, fields.Code)}


def palette(workdir: str) -> list[dict[str, Any]] | None:
    """The colours of drawings for the run in `workdir`: [{"name", "colour"}]; None: black lines on white.

    If the data have two sides, they are the palette that the config names, or that of the built-in facades. Runs on
    other data take photos, and have the colours of crayons.
    """
    data = run_config.read(workdir).data
    if data.get("pair", ""):
        return None
    if data.get("kind", "aligned") not in ("aligned", "unaligned"):
        return [{"name": name, "colour": list(colour)} for name, colour in _CRAYONS.items()]
    if data.get("palette", ""):
        colours = segmentation.load_palette(data.palette)
    else:
        from jgan.data import facades

        colours = facades.PALETTE
    return [{"name": name, "colour": list(colour)} for name, colour in colours.items()]


def _bytes(image: np.ndarray) -> np.ndarray:
    """An image in [-1, 1] as uint8."""
    return np.clip(np.rint((image + 1) * 127.5), 0, 255).astype(np.uint8)


def _words(config: ml_collections.ConfigDict, side: str) -> str:
    """The name of the pictures of one side of the data, for people."""
    if config.data.get("pair", ""):
        return config.data.pair if side == "a" else "photo"
    if side not in ("a", "b"):
        return side
    if config.data.source == "facades":
        if config.data.get("kind", "aligned") == "unaligned":
            return {"a": "day", "b": "dusk"}[side]
        a, b = ("photo", "labels") if config.data.get("direction", "AtoB") == "BtoA" else ("labels", "photo")
        return a if side == "a" else b
    return side.upper()
