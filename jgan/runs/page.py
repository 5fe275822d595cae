"""The page of a run as one string of HTML: curves as inline SVG, samples by relative path, no network.

The frame, style and script are page.html beside this file, light or dark as the reader's system is.
Nothing is read from the run here: `write` does that. `overview` is a page of several results.
"""

from html import escape
import json
import math
import pathlib

import numpy as np

from jgan import output
from jgan.runs import log
from jgan.runs import warnings as warning_signs

# (title, keys, unit); every key of metrics.jsonl that is not named here gets a chart of its own.
_CHARTS = (
    ("Generator loss", ("g_loss",), ""),
    ("Adversarial part", ("g_adversarial", "g_adversarial_a", "g_adversarial_b"), ""),
    ("Cycle part", ("g_cycle_a", "g_cycle_b"), ""),
    ("Identity part", ("g_identity_a", "g_identity_b"), ""),
    ("L1 part", ("g_l1",), ""),
    ("Predictor's loss", ("p_loss",), ""),
    ("Predictor's error of pixels", ("p_pixels",), ""),
    ("Predictor's error of features", ("p_features",), ""),
    ("Predictor's error of codes", ("p_codes",), ""),
    ("Discriminator loss", ("d_loss",), ""),
    ("Discriminators' losses", ("d_loss_a", "d_loss_b"), ""),
    ("D's loss on", ("d_real", "d_fake"), ""),
    ("D's accuracy on", ("d_accuracy_real", "d_accuracy_fake"), ""),
    ("D's probability of", ("d_says_real", "d_says_fake"), ""),
    ("Probability of augmentation", ("augment_p",), ""),
    ("Validation L1", ("val_l1",), ""),
    ("Validation PSNR", ("val_psnr",), "dB"),
    ("Validation SSIM", ("val_ssim",), ""),
    ("Validation L1", ("val_AtoB_l1", "val_BtoA_l1"), ""),
    ("Validation PSNR", ("val_AtoB_psnr", "val_BtoA_psnr"), "dB"),
    ("Validation SSIM", ("val_AtoB_ssim", "val_BtoA_ssim"), ""),
    ("Validation cycle error", ("val_AtoB_cycle", "val_BtoA_cycle"), ""),
    ("Images per second", ("images_per_second",), ""),
    ("Time waiting for input", ("input_wait",), ""),
    ("Learning rate", ("learning_rate",), ""),
)
# What a series of several in one chart is called, by the last part of its key or by a part of it.
_SERIES = {"real": "real", "fake": "generated", "a": "A", "b": "B", "AtoB": "A to B", "BtoA": "B to A"}

# Further pictures of a run and what the page calls them, where they are there.
EXTRAS = {
    "walk.webp": "A walk from code to code",
    "interpolation.png": "From one code to another",
}

_PAGE = pathlib.Path(__file__).with_name("page.html")

# Of a chart, in SVG units.
_W, _H = 360, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 10, 24
_POINTS = 400


def write(workdir) -> None:
    """Writes workdir/index.html from config.json, metrics.jsonl and samples/*.png, those that are there."""
    workdir = pathlib.Path(workdir)
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


def write_overview(path, **arguments) -> None:
    """Writes a page of several results, whose arguments are those of `overview`."""
    output.replace(path, overview(**arguments).encode())


def render(
    *, name: str, run: dict, records: list[dict], samples: list, warnings: list[str], extras: list = ()
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
        _curves(records),
        _facts(run),
    ]
    return _framed(f"{name} · {config.get('system', 'jgan')}", parts)


def overview(*, title: str, lead: str, parts: list[tuple[str, str, list[str], str]]) -> str:
    """A page that shows several results, one below the other.

    Args:
      title: of the page.
      lead: a sentence below it.
      parts: (title, sentence, relative paths of pictures, relative path of a page that tells more) of each.
    """
    sections = [f'<header><div><h1>{escape(title)}</h1><p class="sub">{escape(lead)}</p></div></header>']
    for name, sentence, shown_pictures, more in parts:
        shown = "".join(f'<img src="{escape(p)}" alt="{escape(name)}">' for p in shown_pictures)
        sections.append(
            f'<section class="result"><div class="row"><h2>{escape(name)}</h2><a href="{escape(more)}">more</a></div>'
            f'<p class="sub">{escape(sentence)}</p>{shown}</section>'
        )
    return _framed(title, sections)


def _framed(title, parts):
    text = _PAGE.read_text(encoding="utf-8")
    return text.replace("{title}", escape(title)).replace("{body}", "\n".join(p for p in parts if p))


def _header(name, config, step):
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


def _notices(warnings):
    if not warnings:
        return ""
    items = "".join(f"<li>{escape(w)}</li>" for w in warnings)
    return f'<ul class="warn" role="alert">{items}</ul>'


def _figures(records):
    """The last value of what matters most, and the best one where there is a best."""
    wanted = (
        ("val_l1", "Validation L1", min),
        ("val_psnr", "PSNR in dB", max),
        ("val_ssim", "SSIM", max),
        ("val_AtoB_cycle", "Cycle error of A", min),
        ("val_BtoA_cycle", "Cycle error of B", min),
        ("images_per_second", "Images per second", None),
        ("input_wait", "Waiting for input", None),
    )
    shown = []
    for key, label, better in wanted:
        values = [(r[key], r["step"]) for r in records if _number(r.get(key))]
        if not values:
            continue
        last = values[-1][0]
        text = f"{100 * last:.1f} %" if key == "input_wait" else _short(last)
        note = ""
        if better:
            best, at = better(values)
            note = (
                f"<small>best {_short(best)} at {at:,}</small>" if best != last else "<small>its best</small>"
            )
        shown.append(f"<div><dt>{label}</dt><dd>{text}{note}</dd></div>")
    return f'<dl class="figures">{"".join(shown)}</dl>' if shown else ""


def _samples(samples):
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


def _extras(extras):
    return "".join(
        f'<section><h2>{escape(title)}</h2><div class="stage"><img src="{escape(path)}" alt="{escape(title)}">'
        "</div></section>"
        for title, path in extras
    )


def _curves(records):
    known = {key for _, keys, _ in _CHARTS for key in keys} | {"step"}
    extra = sorted({k for r in records for k in r if _number(r[k])} - known)
    charts = (*_CHARTS[:-3], *((_words(k), (k,), "") for k in extra), *_CHARTS[-3:])
    drawn = []
    steps = [r["step"] for r in records]
    for title, keys, unit in charts:
        series = []
        for key in keys:
            points = [(r["step"], r[key]) for r in records if _number(r.get(key))]
            if len(points) > 1:
                parts = key.split("_")
                label = _SERIES.get(parts[1] if parts[0] == "val" else parts[-1], "")
                smooth = not key.startswith("val_") and key != "learning_rate"
                series.append((label, *_thinned(points, smooth=smooth)))
        if series:
            drawn.append(_chart(title, series, unit, min(steps), max(steps)))
    if not drawn:
        return '<section><h2>Curves</h2><p class="sub">None yet.</p></section>'
    return f'<section><h2>Curves</h2><div class="charts">{"".join(drawn)}</div></section>'


def _chart(title, series, unit, x0, x1):
    """One figure: each series thin as it was logged, and bold as an average that follows it."""
    low, high = _span(series)
    ticks = _ticks(low, high)
    low, high = min(low, ticks[0]), max(high, ticks[-1])

    def px(x):
        return _LEFT + (x - x0) / max(x1 - x0, 1e-12) * (_W - _LEFT - _RIGHT)

    def py(y):
        return _H - _BOTTOM - (np.clip(y, low, high) - low) / (high - low) * (_H - _TOP - _BOTTOM)

    grid = "".join(
        f'<line x1="{_LEFT}" x2="{_W - _RIGHT}" y1="{py(t):.1f}" y2="{py(t):.1f}"/>' for t in ticks
    )
    labels = "".join(
        f'<text x="{_LEFT - 6}" y="{py(t) + 3.5:.1f}" text-anchor="end">{_short(t)}</text>' for t in ticks
    )
    for t in [t for t in _ticks(x0, x1, 4) if x0 <= t <= x1]:
        anchor = "end" if px(t) > _W - 30 else "middle"
        labels += f'<text x="{px(t):.1f}" y="{_H - 7}" text-anchor="{anchor}">{_thousands(t)}</text>'
    lines = ""
    for k, (_, x, y, smooth) in enumerate(series):
        if not np.array_equal(smooth, y):
            lines += f'<path class="raw s{k}" d="{_path(px(x), py(y))}"/>'
        lines += f'<path class="s{k}" d="{_path(px(x), py(smooth))}"/>'
    key = "".join(
        f'<span class="s{k}">{escape(label)}</span>' for k, (label, *_) in enumerate(series) if label
    )
    last = " / ".join(_short(y[-1]) for _, _, y, _ in series)
    data = json.dumps(
        {
            "x0": x0, "x1": x1, "left": _LEFT, "right": _W - _RIGHT, "unit": unit,
            "series": [{"x": x.tolist(), "y": [float(f"{v:.5g}") for v in y]} for _, x, y, _ in series],
        }
    )  # fmt: skip
    return (
        f"<figure data-chart='{escape(data, quote=True)}'><figcaption><span>{escape(title)}</span>{key}"
        f"<output>{last}{' ' + unit if unit else ''}</output></figcaption>"
        f'<svg viewBox="0 0 {_W} {_H}" role="img" aria-label="{escape(title)} by step">'
        f'<g class="grid">{grid}</g><g class="labels">{labels}</g>{lines}'
        f'<line class="cursor" y1="{_TOP}" y2="{_H - _BOTTOM}" hidden/></svg></figure>'
    )


def _thinned(points, smooth):
    """(steps, values, moving average) of at most `_POINTS` points, each the mean of its share."""
    x, y = np.array(points, np.float64).T
    average = _average(y) if smooth and len(y) > 12 else y
    if len(x) > _POINTS:
        parts = np.array_split(np.arange(len(x)), _POINTS)
        x, y, average = (np.array([v[p].mean() for p in parts]) for v in (x, y, average))
    return x, y, average


def _average(y):
    weight = min(0.9, 1 - 1 / (1 + len(y) / 40))
    smooth, mean = np.empty_like(y), y[: max(1, min(5, len(y) // 10))].mean()
    for i, value in enumerate(y):
        mean = weight * mean + (1 - weight) * value
        smooth[i] = mean
    return smooth


def _span(series):
    """The values a chart has to show; a few spikes may leave it, so that they do not flatten the rest."""
    raw = np.concatenate([y for _, _, y, _ in series])
    smooth = np.concatenate([s for _, _, _, s in series])
    cut = 1 if len(raw) > 50 else 0
    low = min(np.percentile(raw, cut), smooth.min())
    high = max(np.percentile(raw, 100 - cut), np.percentile(smooth, 100 - cut))
    if high - low < 1e-9 * max(abs(high), 1e-9):
        margin = max(abs(high) * 0.1, 1e-6)
        low, high = low - margin, high + margin
    return float(low), float(high)


def _ticks(low, high, count=3):
    """About `count` round numbers from at or below `low` to at or above `high`."""
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw)) if raw > 0 else 1.0
    width = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    first = math.floor(low / width + 1e-9)
    last = math.ceil(high / width - 1e-9)
    return [i * width for i in range(first, last + 1)]


def _path(x, y):
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))


def _facts(run):
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


def _table(title, fields):
    rows = "".join(
        f"<tr><th>{escape(str(k))}</th><td>{escape(_value(v))}</td></tr>" for k, v in fields.items()
    )
    caption = f"<caption>{escape(title)}</caption>" if title else ""
    return f"<table>{caption}{rows}</table>"


def _flat(fields, prefix=""):
    flat = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _value(value):
    if value is None or value == "" or value == []:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, int):
        return f"{value:,}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _words(key):
    text = key.replace("_", " ")
    return text[:1].upper() + text[1:]


def _number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _short(value):
    """Three significant digits, without an exponent where it can be helped."""
    if value == 0 or abs(value) < 1e-12:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}" if abs(value) < 1e6 else f"{value:.3g}"
    return f"{value:.3g}" if abs(value) >= 1e-3 else f"{value:.1e}".replace("e-0", "e-")


def _thousands(value):
    return f"{value / 1000:g}k" if abs(value) >= 10000 else f"{value:,.0f}"
