"""The page of a run as one string of HTML: curves as inline SVG, samples by relative path, no network.

The frame, style and script are page.html beside this file, light or dark as the reader's system is.
Nothing is read from the run here: `write` does that. `overview` is a page of several results.
"""

from collections.abc import Sequence
from html import escape
import json
import os
import pathlib
from typing import Any

from jgan import output
from jgan import paths
from jgan.runs import charts
from jgan.runs import log
from jgan.runs import warnings as warning_signs

# Further pictures that a run may have, and what the page calls them.
EXTRAS = {
    "walk.webp": "A walk from code to code",
    "interpolation.png": "From one code to another",
}

_SHARES = ("input_wait", "share_of_peak_flops")  # shown in per cent

_PAGE = pathlib.Path(__file__).with_name("page.html")


def write(workdir: str | os.PathLike[str]) -> None:
    """Writes workdir/index.html from those of config.json, metrics.jsonl and samples/*.png that exist."""
    workdir = paths.of(workdir)
    try:
        run = json.loads((workdir / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        run = {}
    records = log.read(workdir / "metrics.jsonl")
    samples = sorted(p for p in (workdir / "samples").glob("*.png") if p.stem.isdigit())
    text = render(
        name=workdir.absolute().name,
        run=run,
        records=records,
        samples=[(int(p.stem), f"samples/{p.name}") for p in samples],
        extras=[(title, f"samples/{n}") for n, title in EXTRAS.items() if (workdir / "samples" / n).exists()],
        warnings=warning_signs.of_log(records),
    )
    output.replace(workdir / "index.html", text.encode(errors="replace"))


def write_overview(path: str | os.PathLike[str], **arguments: Any) -> None:
    """Writes a page of several results, whose arguments are those of `overview`."""
    output.replace(path, overview(**arguments).encode())


def render(
    *,
    name: str,
    run: dict[str, Any],
    records: list[dict[str, Any]],
    samples: list[tuple[int, str]],
    warnings: list[str],
    extras: Sequence[tuple[str, str]] = (),
) -> str:
    """The whole page.

    Args:
        name: of the run.
        run: {"config": nested dict, "versions": {package: version}, "excluded": [[file, reason], ...], ...}.
        records: of metrics.jsonl.
        samples: (step, relative path) of each sample grid, ascending.
        warnings: sentences.
        extras: (title, relative path) of each further picture.
    """
    config = run.get("config") or {}
    step = max([r["step"] for r in records] + [s for s, _ in samples], default=0)
    parts = [
        _header(name, config, step),
        _notices(warnings),
        _figures(records),
        _samples(samples),
        _extras(extras),
        charts.curves(records),
        _facts(run),
    ]
    return framed(f"{name} · {config.get('system', 'jgan')}", parts)


def overview(*, title: str, lead: str, parts: list[tuple[str, str, list[str], str]]) -> str:
    """A page that shows several results, one below the other.

    Args:
        title: of the page.
        lead: a sentence below it.
        parts: (title, sentence, relative paths of pictures, relative path of a page that shows more) of each.
    """
    sections = [f'<header><div><h1>{escape(title)}</h1><p class="sub">{escape(lead)}</p></div></header>']
    for name, sentence, shown_pictures, more in parts:
        shown = "".join(f'<img src="{escape(p)}" alt="{escape(name)}">' for p in shown_pictures)
        sections.append(
            f'<section class="result"><div class="row"><h2>{escape(name)}</h2><a href="{escape(more)}">more</a></div>'
            f'<p class="sub">{escape(sentence)}</p>{shown}</section>'
        )
    return framed(title, sections)


def framed(title: str, parts: list[str]) -> str:
    """A whole page with this title and these sections."""
    text = _PAGE.read_text(encoding="utf-8")
    return text.replace("{title}", escape(title)).replace("{body}", "\n".join(p for p in parts if p))


def _header(name: str, config: dict[str, Any], step: int) -> str:
    """The head of the page: the name, what was trained on what, and how far it is."""
    total = config.get("steps")
    share = min(step / total, 1.0) if isinstance(total, int) and total > 0 else None
    of = f" of {total:,}" if share is not None else ""
    data = config.get("data") or {}
    words = [config.get("system"), data.get("root") or data.get("source"), data.get("direction")]
    size = data.get("size")
    words.append(f"{size} px" if size else None)
    line = " · ".join(escape(str(w)) for w in words if w)
    bar = f'<div class="bar"><i style="width:{share * 100:.1f}%"></i></div>' if share is not None else ""
    return (
        f'<header><div><h1>{escape(name)}</h1><p class="sub">{line}</p></div>'
        f'<div class="step"><p><b>{step:,}</b>{of} steps</p>{bar}</div></header>'
    )


def _notices(warnings: list[str]) -> str:
    """The list of warnings."""
    if not warnings:
        return ""
    items = "".join(f"<li>{escape(w)}</li>" for w in warnings)
    return f'<ul class="warn" role="alert">{items}</ul>'


def _figures(records: list[dict[str, Any]]) -> str:
    """The last values of the most important metrics, each with the best one if one can be better than another."""
    wanted = (
        ("val_l1", "Validation L1", min),
        ("val_psnr", "PSNR in dB", max),
        ("val_ssim", "SSIM", max),
        ("val_AtoB_cycle", "Cycle error of A", min),
        ("val_BtoA_cycle", "Cycle error of B", min),
        ("images_per_second", "Images per second", None),
        ("input_wait", "Waiting for input", None),
        ("share_of_peak_flops", "Of the peak FLOP/s", None),
    )
    shown = []
    for key, label, better in wanted:
        values = [(r[key], r["step"]) for r in records if charts.number(r.get(key))]
        if not values:
            continue
        last = values[-1][0]
        text = f"{100 * last:.1f} %" if key in _SHARES else charts.short(last)
        note = ""
        if better:
            best, at = better(values)
            note = (
                f"<small>best {charts.short(best)} at {at:,}</small>"
                if best != last
                else "<small>its best</small>"
            )
        shown.append(f"<div><dt>{label}</dt><dd>{text}{note}</dd></div>")
    return f'<dl class="figures">{"".join(shown)}</dl>' if shown else ""


def _samples(samples: list[tuple[int, str]]) -> str:
    """The section of the sample grids, with a slider over their steps."""
    if not samples:
        return '<section><h2>Samples</h2><p class="sub">None yet.</p></section>'
    step, path = samples[-1]
    thumbs = "".join(
        f'<button type="button" data-i="{i}" title="step {s:,}"><img loading="lazy" alt="" src="{escape(p)}">'
        f"<span>{s:,}</span></button>"
        for i, (s, p) in reversed(list(enumerate(samples)))
    )
    data = json.dumps(samples).replace("<", "\\u003c")
    last = len(samples) - 1
    return f"""<section id="samples">
<div class="row"><h2>Samples</h2><output id="at">step {step:,}</output></div>
<div class="slide"><button type="button" id="play" aria-label="play from the first to the last">▶</button>
<span>{samples[0][0]:,}</span><input id="pick" type="range" min="0" max="{last}" value="{last}"
 aria-label="step of the samples"><span>{step:,}</span></div>
<div class="stage"><img id="shown" src="{escape(path)}" alt="sample grid of step {step}">
<nav class="thumbs" aria-label="all samples, newest first">{thumbs}</nav></div>
<script type="application/json" id="list">{data}</script></section>"""


def _extras(extras: Sequence[tuple[str, str]]) -> str:
    """A section for each further picture."""
    return "".join(
        f'<section><h2>{escape(title)}</h2><div class="stage"><img src="{escape(path)}" alt="{escape(title)}">'
        "</div></section>"
        for title, path in extras
    )


def _facts(run: dict[str, Any]) -> str:
    """The configuration, the versions and the files that were left out."""
    blocks = []
    config = run.get("config") or {}
    groups = {"run": {k: v for k, v in config.items() if not isinstance(v, dict)}}
    groups |= {k: v for k, v in config.items() if isinstance(v, dict)}
    tables = "".join(_table(title, _flat(fields)) for title, fields in groups.items() if fields)
    if tables:
        blocks.append(
            f'<details open><summary>Configuration</summary><div class="tables">{tables}</div></details>'
        )
    if run.get("versions"):
        table = _table("", run["versions"])
        blocks.append(f'<details><summary>Versions</summary><div class="tables">{table}</div></details>')
    excluded = run.get("excluded") or []
    if excluded:
        rows = "".join(
            f"<li>{escape(' · '.join(map(str, e)) if isinstance(e, (list, tuple)) else str(e))}</li>"
            for e in excluded
        )
        blocks.append(f"<details><summary>Files left out: {len(excluded)}</summary><ul>{rows}</ul></details>")
    if run.get("init_from"):
        blocks.append(f'<p class="sub">Started from the weights of {escape(str(run["init_from"]))}.</p>')
    return f'<section class="facts">{"".join(blocks)}</section>' if blocks else ""


def _table(title: str, fields: dict[str, Any]) -> str:
    """A table of names and values."""
    rows = "".join(
        f"<tr><th>{escape(str(k))}</th><td>{escape(_value(v))}</td></tr>" for k, v in fields.items()
    )
    caption = f"<caption>{escape(title)}</caption>" if title else ""
    return f"<table>{caption}{rows}</table>"


def _flat(fields: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{dotted name: value} of nested fields."""
    flat = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _value(value: Any) -> str:
    """A value of a config as the page shows it."""
    if value is None or value == "" or value == []:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, int):
        return f"{value:,}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
