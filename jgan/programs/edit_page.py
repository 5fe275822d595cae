"""An edit to look at: index.html in the folder of an edit, and one row of pictures that shows it.

Serves `edit`, which writes both, and `recipes`, of which it writes the row itself.
"""

import pathlib

import numpy as np
from PIL import Image
from PIL import ImageDraw

from jgan import output
from jgan import pictures as pictures_lib
from jgan.data import images as image_files
from jgan.data import transforms
from jgan.latent import document

_HEIGHT = 256  # pixels of a picture in the strip
_MASKED = (255, 0, 0)  # the colour of a mask over a photo
_HEAD = (
    '<!doctype html><meta charset="utf-8"><title>Edit</title><style>'
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem;color:#222;background:#fafafa}"
    "figure{display:inline-block;margin:.5rem;padding:.5rem;background:#fff;border-radius:6px;"
    "box-shadow:0 1px 3px #0002}figure img,svg{width:192px;height:192px;display:block}"
    "figcaption{font-size:12px;color:#555}.photo img{max-width:48%;max-height:80vh;margin-right:1%}</style>"
)


def page(
    target: pathlib.Path,
    heading: str,
    drawn: document.Document,
    film: np.ndarray,
    candidates: list[tuple[str, float]],
    seen: np.ndarray | None,
    name: str,
) -> None:
    """Writes index.html into `target`: what there was, the edit drawn over it, the candidates, and the photo.

    Args:
        target: holds `path.webp`, the candidates' pictures and, of a photo, `name` and `photo.webp`.
        heading: says whose edit it is.
        drawn: the edit, on the square that the run sees; without strokes a latent was only changed.
        film: [n, h, w, c] in [-1, 1], the way to the best candidate.
        candidates: (file, cost) of each, best first.
        seen: the photo as the run sees it; None without one.
        name: of the edited photo's file; empty without one.
    """
    start = pictures_lib.data_uri(film[0])
    first = (
        [_figure(f'<img src="{pictures_lib.data_uri(seen)}" alt="">', "the photo, as the run sees it")]
        if seen is not None
        else []
    )
    first += [
        _figure(f'<img src="{start}" alt="">', "its projection" if name else "where the best one began"),
        *([_figure(_strokes(drawn, start), "the edit")] if drawn.strokes else []),
        _figure(
            '<img src="path.webp" alt="">',
            "the way to the best candidate" if drawn.strokes else "the way of the change",
        ),
    ]
    kept = [
        _figure(f'<img src="{file}" alt="">', f"{k:02d}: cost {cost:.4f}" if drawn.strokes else "changed")
        for k, (file, cost) in enumerate(candidates)
    ]
    about = (
        "<h2>Candidates, best first</h2>"
        "<p>Cost: how far a candidate is from the strokes. The order counts how far it is from the start as well.</p>"
        if drawn.strokes
        else "<h2>What came of it</h2>"
    )
    photo = ""
    if name:
        still = (
            f'<a href="{name}">its last frame as {name}</a>'
            if name.endswith("tiff")  # browsers do not show it
            else f'<img src="{name}" alt="">'
        )
        photo = f'<h2>The photo, edited</h2><div class="photo">{still}<img src="photo.webp" alt=""></div>'
    text = f"{_HEAD}<h1>{heading}</h1>{''.join(first)}{about}{''.join(kept)}{photo}\n"
    output.replace(target / "index.html", text.encode(errors="replace"))


def recipe(
    target: pathlib.Path,
    heading: str,
    photo: np.ndarray,
    other: np.ndarray | None,
    mask: np.ndarray | None,
    made: np.ndarray,
    told: str,
) -> None:
    """Writes strip.png and index.html into `target`: what a recipe was given, and what it made of it.

    Args:
        target: is there already.
        heading: says whose edit it is.
        photo: [h, w, c] in [-1, 1].
        other: the second photo or, where there is no mask, the photo with a scribble on it; None: neither.
        mask: [h, w], 1 where something was to change; None: it is seen in `other`.
        made: the picture, [h, w, c] in [-1, 1].
        told: a sentence about it; may be empty.
    """
    first = pictures_lib.show(photo)
    shown = [("the photo", first)]
    if other is not None:
        shown.append(("the scribble" if mask is None else "the second photo", pictures_lib.show(other)))
    if mask is not None:
        half = mask[..., None] / 2
        shown.append(("the mask", np.uint8(first * (1 - half) + np.float32(_MASKED) * half)))
    shown.append(("the picture", pictures_lib.show(made)))
    strip = pictures_lib.grid([[x for _, x in shown]], [title for title, _ in shown])
    image_files.write(target / "strip.png", strip)
    figures = [_figure(f'<img src="{pictures_lib.data_uri(x)}" alt="">', title) for title, x in shown]
    text = f"{_HEAD}<h1>{heading}</h1>{''.join(figures)}<p>{told}</p>\n"
    output.replace(target / "index.html", text.encode(errors="replace"))


def strip(
    drawn: document.Document, film: np.ndarray, photo: np.ndarray | None, edited: np.ndarray | None
) -> np.ndarray:
    """A picture [h, w, 3] uint8 of one row: photo, projection, strokes if any, best candidate, edited photo.

    Args:
        drawn: as in `page`.
        film: as in `page`.
        photo: of any type; None leaves the first and the last out.
        edited: of the same size.
    """
    first, last = (_tall(pictures_lib.show(film[k])) for k in (0, -1))
    row = [(first, "its projection"), (last, "changed")]
    if drawn.strokes:
        row[1:] = [(_over(drawn, first), "the edit"), (last, "the best candidate")]
    if photo is None:
        row[0] = (first, "the start")
    else:
        pictures = [_tall(pictures_lib.show(x)) for x in (photo, edited)]
        row = [(pictures[0], "the photo"), *row, (pictures[1], "the photo, edited")]
    return pictures_lib.grid([[picture for picture, _ in row]], [title for _, title in row])


def _tall(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    return transforms.resize(picture, (_HEIGHT, max(1, round(width * _HEIGHT / height))))


def _over(drawn: document.Document, picture: np.ndarray) -> np.ndarray:
    """The strokes over a picture."""
    canvas = Image.fromarray(picture)
    draw = ImageDraw.Draw(canvas)
    across, down = canvas.width / drawn.size[1], canvas.height / drawn.size[0]
    for stroke in drawn.strokes:
        if isinstance(stroke, document.Warp):
            places = [(x * across, y * down) for x, y in (stroke.source, stroke.target)]
            half = stroke.side * across / 2
            for x, y in places:
                draw.rectangle((x - half, y - half, x + half, y + half), outline=(0, 136, 0), width=2)
            draw.line(places, fill=(0, 136, 0), width=2)
            continue
        points = [(x * across, y * down) for x, y in stroke.points]
        colour = tuple(round(x) for x in _colour(stroke))
        width = max(2, round(stroke.width * across))
        draw.line(points, fill=colour, width=width, joint="curve")
        for x, y in (points[0], points[-1]):
            draw.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=colour)
    return np.asarray(canvas)


def _colour(stroke: document.Colour | document.Sketch) -> tuple[float, float, float]:
    if isinstance(stroke, document.Colour):
        return stroke.colour
    return (255.0, 255.0, 255.0) if stroke.erase else (68.0, 68.0, 68.0)


def _figure(inside: str, caption: str) -> str:
    return f"<figure>{inside}<figcaption>{caption}</figcaption></figure>"


def _strokes(drawn: document.Document, background: str) -> str:
    """The strokes over a picture, as SVG; all that enters its text are numbers."""
    height, width = drawn.size
    thin = width / 96  # two pixels of the page
    shapes = []
    for stroke in drawn.strokes:
        if isinstance(stroke, document.Warp):
            (x, y), (u, v), side = stroke
            squares = "".join(
                f'<rect x="{a - side / 2:g}" y="{b - side / 2:g}" width="{side:g}" height="{side:g}"{dash}/>'
                for a, b, dash in ((x, y, f' stroke-dasharray="{2 * thin:g}"'), (u, v, ""))
            )
            line = f'<line x1="{x:g}" y1="{y:g}" x2="{u:g}" y2="{v:g}"/>'
            shapes.append(f'<g fill="none" stroke="#080" stroke-width="{thin:g}">{squares}{line}</g>')
            continue
        colour = f"rgb({','.join(f'{x:g}' for x in _colour(stroke))})"
        points = " ".join(f"{x:g},{y:g}" for x, y in (*stroke.points, stroke.points[-1]))
        shapes.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{max(stroke.width, thin):g}" '
            'stroke-linecap="round" stroke-linejoin="round"/>'
        )
    picture = f'<image href="{background}" width="{width}" height="{height}" preserveAspectRatio="none"/>'
    return f'<svg viewBox="0 0 {width} {height}">{picture}{"".join(shapes)}</svg>'
