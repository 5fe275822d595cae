"""The page of a folder of projections: photos beside what their latents give."""

import html
import pathlib

import numpy as np

import jgan
from jgan import output
from jgan import pictures
from jgan import trained
from jgan.data import framing
from jgan.data import images as image_files
from jgan.data.sources import folder
from jgan.programs import controls

_PAGE = 500  # pictures on a page at most


def page(
    run: trained.Run, root: pathlib.Path, files: list[pathlib.Path], target: pathlib.Path, part: str
) -> None:
    """Writes index.html: photos beside what their latents give, with their costs."""
    shown, costs = [], []
    for file in files[:_PAGE]:
        name = str(file.relative_to(root))
        try:
            with (target / f"{name}.npz").open("rb") as opened, np.load(opened) as saved:
                made, cost = saved["reconstruction"], float(saved["cost"])
                top, left, side = (int(x) for x in saved["square"])
            photo = image_files.load(file)
            photo = folder.half(photo, part, file) if part in ("A", "B") else photo
            photo = framing.adapt(photo, made.shape[-1], framing.bits(run.config.data)).pixels
        except (OSError, ValueError, KeyError, jgan.UserError):
            continue
        mode = "letterbox" if top < 0 or left < 0 else "crop"
        original = framing.fit(photo, made.shape[0], mode).image
        costs.append(cost)
        pair = "".join(f'<img src="{pictures.data_uri(x)}" alt="">' for x in (original, made))
        shown.append(
            f"<figure>{pair}<figcaption>{html.escape(output.readable(name))}<br>{cost:.4f}</figcaption></figure>"
        )
    left_out = f", the first {_PAGE} shown" if len(files) > _PAGE else ""
    told = controls.told(run.way(), controls.changed(run))
    under = f"; under {html.escape(told)}" if told else ""
    median = f", median cost {np.median(costs):.4f}" if costs else ""
    text = (
        '<!doctype html><meta charset="utf-8"><title>Projection</title><style>'
        "body{font:15px/1.5 system-ui,sans-serif;margin:2rem;color:#222;background:#fafafa}"
        "figure{display:inline-block;margin:.5rem;padding:.5rem;background:#fff;border-radius:6px;"
        "box-shadow:0 1px 3px #0002}img{width:128px;height:128px;image-rendering:auto}"
        "figcaption{font-size:12px;color:#555;max-width:256px;overflow-wrap:anywhere}</style>"
        f"<h1>Photos and their projections</h1><p>{len(files)} photos{left_out}; "
        f"{html.escape(str(run.config.system))}, step {run.step}{median}{under}. Left the photo, right the image of "
        f"its latent, below the cost.</p>{''.join(shown)}\n"
    )
    output.replace(target / "index.html", text.encode(errors="replace"))
