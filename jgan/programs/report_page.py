"""The page of a report: its tables, and what all variants make of the same inputs."""

from collections.abc import Mapping
from collections.abc import Sequence
from html import escape
import os

import numpy as np

from jgan import output
from jgan import pictures
from jgan.data import images as image_files
from jgan.programs import report_table
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


def html(
    workdir: str, blocks: Sequence[report_table.Block], notes: Sequence[str], picture: np.ndarray
) -> str:
    """The page of the report on a directory: tables, sentences below them, and a `grid`."""
    name = output.readable(os.path.basename(os.path.abspath(workdir)))
    parts = [f"<header><div><h1>{escape(name)}</h1></div></header>"]
    for title, head, rows in blocks:
        cells = "".join(f"<th>{escape(cell)}</th>" for cell in head)
        body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
        parts.append(
            f'<section class="facts"><h2>{escape(title)}</h2><div class="tables" style="overflow-x:auto">'
            f"<table><tr>{cells}</tr>{body}</table></div></section>"
        )
    parts += [f'<p class="sub">{escape(note)}</p>' for note in notes]
    parts.append(
        '<section><h2>The same inputs</h2><div class="stage">'
        f'<img src="{pictures.data_uri(picture)}" alt="inputs, targets and what each variant makes"></div></section>'
    )
    return page.framed(name, parts)


def _cell(text: str) -> str:
    bold = text.startswith("**")
    shown = escape(text.strip("*"))
    return f"<td>{f'<b>{shown}</b>' if bold else shown}</td>"
