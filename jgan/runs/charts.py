"""The curves of a run, or of several beside each other, as inline SVG: one figure for each kind of metric."""

from collections.abc import Mapping
from collections.abc import Sequence
from html import escape
import json
import math
from typing import Any
from typing import NamedTuple

import numpy as np

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
    ("Share of the peak FLOP/s", ("share_of_peak_flops",), ""),
    ("Most memory of a device", ("peak_memory_bytes",), "bytes"),
    ("Learning rate", ("learning_rate",), ""),
)
# The names of series that share a chart, by the last part of their keys (of "val_AtoB_l1": by the second).
_SERIES = {"real": "real", "fake": "generated", "a": "A", "b": "B", "AtoB": "A to B", "BtoA": "B to A"}

# Of a chart, in SVG units.
_W, _H = 360, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 10, 24
_POINTS = 400
# Of several runs beside each other: what is shown after the scores of the validation, and the points of a line.
_COMPARED = ("g_loss", "g_adversarial", "g_l1", "g_cycle", "d_loss", "p_loss", "augment_p")
_FEWER_POINTS = 150
COLOURS = 10  # that the page tells apart; further lines have the same ones and are dashed


class _Series(NamedTuple):
    """One line of a chart, and the thin ones that belong to it.

    Attributes:
        label: its name.
        x: steps.
        y: the values that the chart tells at a step.
        bold: those of its line.
        thin: those of the thin lines.
    """

    label: str
    x: np.ndarray
    y: np.ndarray
    bold: np.ndarray
    thin: tuple[np.ndarray, ...] = ()


def curves(records: list[dict]) -> str:
    """A section of HTML with a chart of each kind of metric in records of metrics.jsonl."""
    known = {key for _, keys, _ in _CHARTS for key in keys} | {"step"}
    extra = sorted({k for r in records for k in r if number(r[k])} - known)
    charts = (*_CHARTS[:-3], *((words(k), (k,), "") for k in extra), *_CHARTS[-3:])
    drawn = []
    steps = [r["step"] for r in records]
    for title, keys, unit in charts:
        series = []
        for key in keys:
            points = [(r["step"], r[key]) for r in records if number(r.get(key))]
            if len(points) > 1:
                label = _named(key)
                x, y = np.array(points, np.float64).T
                average = _average(y) if _smooth(key) else y
                x, y, average = _thinned((x, y, average), _POINTS)
                series.append(_Series(label, x, y, average, () if np.array_equal(average, y) else (y,)))
        if series:
            drawn.append(_chart(title, series, unit, min(steps), max(steps)))
    if not drawn:
        return '<section><h2>Curves</h2><p class="sub">None yet.</p></section>'
    return f'<section><h2>Curves</h2><div class="charts">{"".join(drawn)}</div></section>'


def compared(runs: Mapping[str, Sequence[list[dict]]], way: str = "") -> str:
    """A section of HTML with the curves of several runs beside each other; empty where there are none.

    A bold line is a mean over the runs of one name, and thin lines are these runs. What training logs is shown as a
    moving average.

    Args:
        runs: {name: [records of metrics.jsonl of each of its runs]}; colours go by this order.
        way: whose scores of the validation are shown; empty: those of all.
    """
    records = [record for several in runs.values() for one in several for record in one]
    steps = [record["step"] for record in records]
    known = [(key, title, unit, len(keys) > 1) for title, keys, unit in _CHARTS for key in keys]
    titled = {key for key, *_ in known}
    further = dict.fromkeys(key for record in records for key in record if key not in titled)
    known += [(key, words(key.replace("val_", "validation ")), "", False) for key in further]
    scored = [one for one in known if one[0].startswith(f"val_{way}_" if way else "val_")]
    drawn = []
    for key, title, unit, shared in scored + [one for one in known if one[0].startswith(_COMPARED)]:
        series = {name: _of_runs(name, several, key) for name, several in runs.items()}
        if any(series.values()):
            title = f"{title} {_named(key)}".rstrip() if shared else title
            drawn.append(_chart(title, list(series.values()), unit, min(steps), max(steps), compared=True))
    if not drawn:
        return ""
    key = "".join(f'<span class="{colour(k)}">{escape(name)}</span>' for k, name in enumerate(runs))
    charts = f'<p class="key">{key}</p><div class="charts">{"".join(drawn)}</div>'
    return f'<section id="curves"><h2>Curves</h2>{charts}</section>'


def colour(k: int) -> str:
    """The classes of the page by which the line of a number has its colour."""
    return f"s{k % COLOURS}" + " dashed" * (k >= COLOURS)


def _of_runs(name: str, runs: Sequence[list[dict]], key: str) -> _Series | None:
    """The mean of a metric over the runs that have it, and each of them; None without two steps that they all have."""
    values = [{r["step"]: r[key] for r in records if number(r.get(key))} for records in runs]
    values = [one for one in values if one]
    steps = sorted(set.intersection(*map(set, values))) if values else []
    if len(steps) < 2:
        return None
    lines = [np.array([one[step] for step in steps], np.float64) for one in values]
    lines = [_average(y) if _smooth(key) else y for y in lines]
    x, *lines = _thinned((np.array(steps, np.float64), *lines), _FEWER_POINTS)
    mean = np.mean(lines, 0)
    return _Series(name, x, mean, mean, tuple(lines) if len(lines) > 1 else ())


def _named(key: str) -> str:
    """The name of a metric among those that share a chart."""
    parts = key.split("_")
    return _SERIES.get(parts[1] if parts[0] == "val" else parts[-1], "")


def _smooth(key: str) -> bool:
    """Whether a metric is so noisy that its moving average is shown."""
    return not key.startswith("val_") and key not in ("learning_rate", "augment_p")


def _chart(
    title: str, series: Sequence[_Series | None], unit: str, x0: int, x1: int, *, compared: bool = False
) -> str:
    """One figure: of each series its thin lines and its bold one.

    Args:
        title: of the figure.
        series: in the order of their colours; None has none here.
        unit: of the values.
        x0: the first step of the axis.
        x1: the last step of the axis.
        compared: whether names are told elsewhere, and values below the figure and not beside its title.
    """
    shown = [(colour(k), one) for k, one in enumerate(series) if one]
    series = [one for _, one in shown]
    low, high = _span(series)
    ticks = _ticks(low, high)
    low, high = min(low, ticks[0]), max(high, ticks[-1])

    def px(x: float | np.ndarray) -> float | np.ndarray:
        return _LEFT + (x - x0) / max(x1 - x0, 1e-12) * (_W - _LEFT - _RIGHT)

    def py(y: float | np.ndarray) -> float | np.ndarray:
        return _H - _BOTTOM - (np.clip(y, low, high) - low) / (high - low) * (_H - _TOP - _BOTTOM)

    grid = "".join(
        f'<line x1="{_LEFT}" x2="{_W - _RIGHT}" y1="{py(t):.1f}" y2="{py(t):.1f}"/>' for t in ticks
    )
    labels = "".join(
        f'<text x="{_LEFT - 6}" y="{py(t) + 3.5:.1f}" text-anchor="end">{short(t)}</text>' for t in ticks
    )
    for t in [t for t in _ticks(x0, x1, 4) if x0 <= t <= x1]:
        anchor = "end" if px(t) > _W - 30 else "middle"
        labels += f'<text x="{px(t):.1f}" y="{_H - 7}" text-anchor="{anchor}">{_thousands(t)}</text>'
    lines = "".join(
        f'<path class="raw {c}" d="{_path(px(one.x), py(y))}"/>' for c, one in shown for y in one.thin
    )
    lines += "".join(f'<path class="{c}" d="{_path(px(one.x), py(one.bold))}"/>' for c, one in shown)
    key = "".join(f'<span class="{c}">{escape(one.label)}</span>' for c, one in shown if one.label)
    last = " / ".join(short(one.y[-1]) for one in series) + (f" {unit}" if unit else "")
    told = [{"c": c, "x": one.x.tolist(), "y": [float(f"{v:.5g}") for v in one.y]} for c, one in shown]
    data = json.dumps({"x0": x0, "x1": x1, "left": _LEFT, "right": _W - _RIGHT, "unit": unit, "series": told})
    beside, below = ("", "<output></output>") if compared else (f"{key}<output>{last}</output>", "")
    return (
        f"<figure data-chart='{escape(data, quote=True)}'><figcaption><span>{escape(title)}</span>{beside}</figcaption>"
        f'<svg viewBox="0 0 {_W} {_H}" role="img" aria-label="{escape(title)} by step">'
        f'<g class="grid">{grid}</g><g class="labels">{labels}</g>{lines}'
        f'<line class="cursor" y1="{_TOP}" y2="{_H - _BOTTOM}" hidden/></svg>{below}</figure>'
    )


def _thinned(lines: Sequence[np.ndarray], most: int) -> tuple[np.ndarray, ...]:
    """Lines of equal length with at most so many points, each the mean of its share of all points."""
    if len(lines[0]) <= most:
        return tuple(lines)
    parts = np.array_split(np.arange(len(lines[0])), most)
    return tuple(np.array([line[part].mean() for part in parts]) for line in lines)


def _average(y: np.ndarray) -> np.ndarray:
    """The exponential moving average of values, which follows faster where there are few; of very few themselves."""
    if len(y) <= 12:
        return y
    weight = min(0.9, 1 - 1 / (1 + len(y) / 40))
    smooth, mean = np.empty_like(y), y[: max(1, min(5, len(y) // 10))].mean()
    for i, value in enumerate(y):
        mean = weight * mean + (1 - weight) * value
        smooth[i] = mean
    return smooth


def _span(series: Sequence[_Series]) -> tuple[float, float]:
    """The least and the largest value of a chart; a few spikes may leave it, so that they do not flatten the rest."""
    smooth = np.concatenate([one.bold for one in series])
    raw = np.concatenate([smooth, *(y for one in series for y in one.thin)])
    cut = 1 if len(raw) > 50 else 0
    low = min(np.percentile(raw, cut), smooth.min())
    high = max(np.percentile(raw, 100 - cut), np.percentile(smooth, 100 - cut))
    if high - low < 1e-9 * max(abs(high), 1e-9):
        margin = max(abs(high) * 0.1, 1e-6)
        low, high = low - margin, high + margin
    return float(low), float(high)


def _ticks(low: float, high: float, count: int = 3) -> list[float]:
    """About `count` round numbers from at or below `low` to at or above `high`."""
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw)) if raw > 0 else 1.0
    width = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    first = math.floor(low / width + 1e-9)
    last = math.ceil(high / width - 1e-9)
    return [i * width for i in range(first, last + 1)]


def _path(x: np.ndarray, y: np.ndarray) -> str:
    """The path of a line in SVG."""
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))


def words(key: str) -> str:
    """The key of a metric as words: "g_loss" as "G loss"."""
    text = key.replace("_", " ")
    return text[:1].upper() + text[1:]


def number(value: Any) -> bool:
    """Whether a value is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def short(value: float) -> str:
    """A number with three significant digits, without an exponent where that is possible."""
    if value == 0 or abs(value) < 1e-12:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}" if abs(value) < 1e6 else f"{value:.3g}"
    return f"{value:.3g}" if abs(value) >= 1e-3 else f"{value:.1e}".replace("e-0", "e-")


def _thousands(value: float) -> str:
    """A step as the axis shows it: with "k" from 10,000 on."""
    return f"{value / 1000:g}k" if abs(value) >= 10000 else f"{value:,.0f}"
