"""The page of a report: its tables, the curves of all variants, and what they make of the same inputs."""

from collections.abc import Mapping
from collections.abc import Sequence
from html import escape
import os

import numpy as np

from jgan import output
from jgan import paths
from jgan import pictures
from jgan.data import images as image_files
from jgan.programs import report_table
from jgan.runs import charts
from jgan.runs import log
from jgan.runs import page


def grid(results: Mapping[str, report_table.Result], variants: Sequence[str]) -> np.ndarray:
    """A picture of what all variants make of the same inputs."""
    shown = [results[variant].rows for variant in variants]
    rows, titles = [], []
    for k in range(len(shown[0])):
        start, target, _ = shown[0][k]
        cells = [("input", start), ("target", target)]
        cells += [(variant, rows[k][2]) for variant, rows in zip(variants, shown, strict=True)]
        cells = [(title, image_files.convert(x, np.float32)) for title, x in cells if x is not None]
        titles = [title for title, _ in cells]
        rows.append([image for _, image in cells])
    return pictures.grid(rows, titles)


def curves(places: Sequence[report_table.Place], way: str) -> str:
    """A section with the curves of the runs of each variant; `way` as in `charts.compared`."""
    records: dict[str, list[list[dict]]] = {}
    for place in places:
        records.setdefault(place.variant, []).append(log.read(os.path.join(place.workdir, "metrics.jsonl")))
    return charts.compared(records, way)


def html(
    workdir: str,
    blocks: Sequence[report_table.Block],
    notes: Sequence[str],
    curves: str,
    picture: np.ndarray,
    variants: Sequence[str],
) -> str:
    """The page of the report on a directory.

    Args:
        workdir: which gives the page its name.
        blocks: the tables.
        notes: sentences below them.
        curves: a section.
        picture: a `grid`.
        variants: in the order of their colours.
    """
    name = output.readable(os.path.basename(paths.absolute(workdir)))
    parts = [f"<header><div><h1>{escape(name)}</h1></div></header>"]
    colours = {variant: charts.colour(k) for k, variant in enumerate(variants)}
    for title, head, rows in blocks:
        cells = "".join(f"<th>{escape(cell)}</th>" for cell in head)
        body = "".join(
            f"<tr>{_name(first, colours.get(first, ''))}{''.join(map(_cell, rest))}</tr>"
            for first, *rest in rows
        )
        parts.append(
            f'<section class="facts"><h2>{escape(title)}</h2><div class="wide"><table><tr>{cells}</tr>{body}</table>'
            "</div></section>"
        )
    parts += [f'<p class="sub">{escape(note)}</p>' for note in notes]
    parts.append(curves)
    parts.append(
        '<section><h2>The same inputs</h2><div class="stage wide">'
        f'<img src="{pictures.data_uri(picture)}" alt="inputs, targets and what each variant makes"></div></section>'
    )
    return page.framed(name, parts)


def _name(text: str, colour: str) -> str:
    """The first cell of a row, with the colour of a variant."""
    swatch = f'<i class="swatch {colour}"></i>' if colour else ""
    return f"<th>{swatch}{escape(text)}</th>"


def _cell(text: str) -> str:
    bold = text.startswith("**")
    shown = escape(text.removeprefix("**").removesuffix("**") if bold else text)
    return f"<td>{f'<b>{shown}</b>' if bold else shown}</td>"
