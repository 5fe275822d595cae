"""What a run tells a person: metrics.jsonl, sample grids, progress, warnings and the page that joins them.

Host code only: numpy and Pillow, no device. Only the first process of a program should write.
"""

import base64
import contextlib
import io
import itertools
import json
import math
import os
import pathlib
import sys
import time

import numpy as np
from PIL import Image
from PIL import ImageDraw
from PIL import ImageFont
import tqdm

import jgan
from jgan import page as page_html

# Of a sample grid: every cell has a frame one pixel wide, by which `cells` finds it again.
_BACKGROUND, _FRAME, _INK = (250, 249, 247), (201, 198, 192), (74, 72, 68)
_GAP, _TITLE = 6, 26
_SMALLEST, _LARGEST = 112, 512

# Further pictures of a run and what the page calls them, where they are there.
EXTRAS = {
    "walk.webp": "A walk from code to code",
    "interpolation.png": "From one code to another",
}

# Pictures of the first steps are alike whatever the run will become.
_WARM_UP = 300


class Log:
    """metrics.jsonl: one JSON object per line, each with a `step`, in ascending order."""

    def __init__(self, path, step: int = 0):
        """Opens `path` to append after `step`; lines of later steps and a torn last line are dropped.

        Args:
          path: of the file, or None to write nothing, as all processes but the first do.
          step: the step the run goes on from, 0 for a new one, which keeps nothing.
        """
        self._file = None
        if path is None:
            return
        path = pathlib.Path(path)
        if path.exists():
            kept = [r for r in read(path) if step and r["step"] <= step]
            text = "".join(json.dumps(record) + "\n" for record in kept)
            if text != path.read_text(encoding="utf-8", errors="replace"):
                replace(path, text.encode())
        self._file = open(path, "a", encoding="utf-8")

    def write(self, record: dict) -> None:
        """Appends one record, on disk at once; what is not finite becomes null.

        Raises:
          jgan.UserError: the disk is full or the file cannot be written.
        """
        if self._file is None:
            return
        try:
            self._file.write(json.dumps({k: _plain(v) for k, v in record.items()}) + "\n")
            self._file.flush()
        except OSError as error:
            raise jgan.UserError(f"{self._file.name} could not be written: {error.strerror}") from error

    def close(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # what could not be written has been told by `write`
                self._file.close()


def read(path) -> list[dict]:
    """The records of a metrics.jsonl, without lines that are no JSON object with a step; [] if missing."""
    records = []
    try:
        lines = pathlib.Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue  # a kill in the middle of a write leaves half a line
        if isinstance(record, dict) and isinstance(record.get("step"), int):
            records.append(record)
    return records


def grid(rows: list[list[np.ndarray]], titles, plain=()) -> np.ndarray:
    """A picture [h, w, 3] uint8 with one row per example and one titled column per kind of image.

    Small images are enlarged by a whole factor, large ones reduced, the same for all.

    Args:
      rows: images [h, w, c], uint8, uint16, or float in [-1, 1]; one channel is grey, two are red and
        green, of four and more the first three are shown.
      titles: one short title per column.
      plain: whether each column holds classes in plain colours, which are never mixed; () for none.
    """
    plain = list(plain) or [False] * len(rows[0])
    rows = [[show(image) for image in row] for row in rows]
    widest = max(image.shape[1] for row in rows for image in row)
    tallest = max(image.shape[0] for row in rows for image in row)
    factor = min(_LARGEST / max(widest, tallest), max(1, math.ceil(_SMALLEST / widest)))
    rows = [[_resized(image, factor, p) for image, p in zip(row, plain, strict=True)] for row in rows]
    widths = [max(i.shape[1] for i in column) + 2 for column in zip(*rows, strict=True)]
    heights = [max(image.shape[0] for image in row) + 2 for row in rows]
    size = (sum(widths) + _GAP * (len(widths) + 1), _TITLE + sum(heights) + _GAP * len(heights))
    canvas = Image.new("RGB", size, _BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(size=13)
    y = _TITLE
    for r, row in enumerate(rows):
        x = _GAP
        for c, image in enumerate(row):
            if r == 0:
                draw.text((x, _TITLE / 2), titles[c], fill=_INK, font=font, anchor="lm")
            h, w = image.shape[:2]
            draw.rectangle((x, y, x + w + 1, y + h + 1), outline=_FRAME)
            canvas.paste(Image.fromarray(image), (x + 1, y + 1))
            x += widths[c] + _GAP
        y += heights[r] + _GAP
    return np.asarray(canvas)


def mosaic(images, title: str = "", columns: int = 8) -> np.ndarray:
    """A `grid` of images that belong to no example, row by row, under one title."""
    images = list(images)
    blank = np.full_like(show(images[0]), _BACKGROUND)
    rows = [images[k : k + columns] for k in range(0, len(images), columns)]
    rows[-1] = rows[-1] + [blank] * (len(rows[0]) - len(rows[-1]))
    return grid(rows, (title, *[""] * (len(rows[0]) - 1)))


def animate(path, images, *, seconds: float = 8.0) -> None:
    """Writes images [n, h, w, c] as one animated WebP that starts anew when it ends, without loss.

    Raises:
      jgan.UserError: the file cannot be written.
    """
    path = pathlib.Path(path)
    factor = max(1, math.ceil(_SMALLEST / images[0].shape[1]))
    first, *others = [Image.fromarray(_resized(show(image), factor)) for image in images]
    draft = path.with_name(f".{path.name}.part")
    try:
        first.save(
            draft,
            "WEBP",
            save_all=True,
            append_images=others,
            duration=round(1000 * seconds / len(images)),
            loop=0,
            lossless=True,
        )
        os.replace(draft, path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise jgan.UserError(f"{path} could not be written: {error.strerror or error}") from error


def cells(picture: np.ndarray) -> list[list[np.ndarray]]:
    """The images [h, w, 3] uint8 of each row of a `grid`."""
    body = picture[_TITLE:]
    empty = np.all(body == _BACKGROUND, axis=-1)
    rows = _runs(~empty.all(axis=1))
    columns = _runs(~empty.all(axis=0))
    return [[body[t + 1 : b - 1, l + 1 : r - 1] for l, r in columns] for t, b in rows]


def show(image: np.ndarray) -> np.ndarray:
    """An image [h, w, 3] uint8 that a person can look at, of one of any type and number of channels."""
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
    """An image of any type as the text of a PNG that stands in a page itself."""
    buffer = io.BytesIO()
    Image.fromarray(show(image)).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def readable(path) -> str:
    """A path as a text that a page can hold: what is no UTF-8 in it becomes U+FFFD."""
    return os.fsencode(path).decode(errors="replace")


def replace(path, data: bytes) -> None:
    """Writes a file that is there whole or not at all.

    Raises:
      jgan.UserError: the file cannot be written.
    """
    path = pathlib.Path(path)
    draft = path.with_name(f".{path.name}.part")
    try:
        draft.write_bytes(data)
        os.replace(draft, path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise jgan.UserError(f"{path} could not be written: {error.strerror}") from error


def warnings(records: list[dict], rows: list[list[np.ndarray]]) -> list[str]:
    """One sentence for each sign of a run gone wrong; [] where all is well or too young to tell.

    Args:
      records: of metrics.jsonl.
      rows: the newest samples as `cells` gives them: input, output, target in a row, or an image, its translation
        and its reconstruction for both of two domains.
    """
    found = [_saturated(records)]
    step = max((r["step"] for r in records), default=0)
    if step >= _WARM_UP and rows:
        pictures = [[np.asarray(image, np.float32) for image in row] for row in rows]
        if len(rows[0]) == 3:
            found += [_collapsed(pictures), _inverted(pictures)]
        elif len(rows[0]) == 6:  # unpaired: the other domain's images stand for the targets
            for name, way in ((" A to B", (0, 1, 3)), (" B to A", (3, 4, 0))):
                found.append(_collapsed([[row[k] for k in way] for row in pictures], name))
    return [sentence for sentence in found if sentence]


def page(workdir) -> None:
    """Writes workdir/index.html from config.json, metrics.jsonl and samples/*.png, those that are there."""
    workdir = pathlib.Path(workdir)
    try:
        run = json.loads((workdir / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        run = {}
    records = read(workdir / "metrics.jsonl")
    samples = sorted(p for p in (workdir / "samples").glob("*.png") if p.stem.isdigit())
    rows = []
    if samples:
        with Image.open(samples[-1]) as newest:
            rows = cells(np.asarray(newest.convert("RGB")))
    text = page_html.render(
        name=workdir.absolute().name,
        run=run,
        records=records,
        samples=[(int(p.stem), f"samples/{p.name}") for p in samples],
        extras=[(title, f"samples/{n}") for n, title in EXTRAS.items() if (workdir / "samples" / n).exists()],
        warnings=warnings(records, rows),
    )
    replace(workdir / "index.html", text.encode(errors="replace"))


def overview(path, **arguments) -> None:
    """Writes a page of several results, whose arguments are those of `jgan.page.overview`."""
    replace(path, page_html.overview(**arguments).encode())


def progress(total: int, initial: int = 0, unit: str = "step"):
    """A progress bar on a terminal, else a line now and then, both on stderr: .update(n) and .close().

    `.unpause()` leaves the time since the last update out of the rate.
    """
    if sys.stderr.isatty():
        return tqdm.tqdm(total=total, initial=initial, unit=unit, dynamic_ncols=True, smoothing=0.05)
    return _Lines(total, initial, unit)


def progress_over(items, unit: str = "image"):
    """The items one by one, with `progress`."""
    items = list(items)
    bar = progress(len(items), unit=unit)
    try:
        for item in items:
            yield item
            bar.update(1)
    finally:
        bar.close()


class _Lines:
    """Progress for a log file: the first line after ten seconds, then one every half a minute."""

    def __init__(self, total, initial, unit, clock=time.monotonic):
        self.total, self.done, self.initial, self.unit, self.clock = total, initial, initial, unit, clock
        self.begun = self.last = clock()
        self.due = self.begun + 10
        self.told = initial

    def update(self, n=1):
        self.done += n
        self.last = self.clock()
        if self.last >= self.due:
            self.due = self.last + 30
            self._print()

    def unpause(self):
        away = self.clock() - self.last
        self.begun, self.last, self.due = self.begun + away, self.last + away, self.due + away

    def close(self):
        if self.done > self.told:
            self._print()

    def _print(self):
        self.told = self.done
        seconds = max(self.clock() - self.begun, 1e-9)
        rate = (self.done - self.initial) / seconds
        left = tqdm.tqdm.format_interval((self.total - self.done) / rate) if rate else "?"
        shown = f"{rate:.2f} {self.unit}s/s" if rate >= 1 or not rate else f"{1 / rate:.2f} s/{self.unit}"
        line = f"{self.unit} {self.done}/{self.total}  {shown}"
        line += (
            f"  {left} left" if self.done < self.total else f"  {tqdm.tqdm.format_interval(seconds)} taken"
        )
        print(line, file=sys.stderr, flush=True)


def _saturated(records):
    """A discriminator that is always right gives the generator nothing to learn from."""
    names = ("d_accuracy_real", "d_accuracy_fake", "d_loss")
    recent = [r for r in records if all(isinstance(r.get(n), (int, float)) for n in names)]
    recent = recent[-max(10, len(recent) // 5) :]
    if len(recent) < 10:
        return None
    real, fake, loss = (np.array([r[n] for r in recent]) for n in names)
    if real.mean() < 0.99 or fake.mean() < 0.99 or np.abs(loss).mean() > 0.05:
        return None
    return (
        f"The discriminator is saturated: since step {recent[0]['step']:,} it tells real from generated "
        f"without error and its loss is {loss.mean():.3f}, so the generator learns little from it."
    )


def _collapsed(rows, name=""):
    """Outputs should differ between examples about as much as the targets do."""
    if len(rows) < 2 or len({image.shape for row in rows for image in row}) > 1:
        return None
    inputs, outputs, targets = (
        np.mean([np.abs(a[k] - b[k]).mean() for a, b in itertools.combinations(rows, 2)]) for k in range(3)
    )
    if outputs > 0.1 * targets or inputs < 2 or targets < 2:  # of 255: examples that do differ
        return None
    return (
        f"The generator{name} may have collapsed: its outputs are nearly the same for different inputs "
        f"(they differ by {outputs / 2.55:.1f} % of the range, the targets by {targets / 2.55:.1f} %)."
    )


def _inverted(rows):
    """Dark where the target is light, in most examples."""
    values = [_correlation(row[1].mean(axis=-1), row[2].mean(axis=-1)) for row in rows]
    values = [value for value in values if value is not None]
    if not values or np.median(values) > -0.3:
        return None
    return (
        "The colours look inverted: outputs are dark where their targets are light "
        f"(median correlation {np.median(values):.2f})."
    )


def _correlation(a, b):
    if a.shape != b.shape or a.std() < 1 or b.std() < 1:
        return None
    return float(np.mean((a - a.mean()) * (b - b.mean())) / (a.std() * b.std()))


def _runs(flags):
    """[(start, stop), ...] of the runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _resized(image, factor, plain=False):
    if factor == 1:
        return image
    if factor > 1:
        return image.repeat(int(factor), axis=0).repeat(int(factor), axis=1)
    h, w = (max(1, round(n * factor)) for n in image.shape[:2])
    way = Image.Resampling.NEAREST if plain else Image.Resampling.BOX
    return np.asarray(Image.fromarray(image).resize((w, h), way))


def _plain(value):
    if isinstance(value, (str, bool, int)) or value is None:
        return value
    value = float(value)
    return value if math.isfinite(value) else None
