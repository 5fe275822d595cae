"""The curves of a run as inline SVG, one figure for each kind of metric."""

from collections.abc import Sequence
from html import escape
import json
import math
from typing import Any

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
    ("Learning rate", ("learning_rate",), ""),
)
# The names of series that share a chart, by the last part of their keys (of "val_AtoB_l1": by the second).
_SERIES = {"real": "real", "fake": "generated", "a": "A", "b": "B", "AtoB": "A to B", "BtoA": "B to A"}

# Of a chart, in SVG units.
_W, _H = 360, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 10, 24
_POINTS = 400

_Series = tuple[str, np.ndarray, np.ndarray, np.ndarray]  # label, steps, values, moving average


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
                parts = key.split("_")
                label = _SERIES.get(parts[1] if parts[0] == "val" else parts[-1], "")
                smooth = not key.startswith("val_") and key != "learning_rate"
                series.append((label, *_thinned(points, smooth=smooth)))
        if series:
            drawn.append(_chart(title, series, unit, min(steps), max(steps)))
    if not drawn:
        return '<section><h2>Curves</h2><p class="sub">None yet.</p></section>'
    return f'<section><h2>Curves</h2><div class="charts">{"".join(drawn)}</div></section>'


def _chart(title: str, series: Sequence[_Series], unit: str, x0: int, x1: int) -> str:
    """One figure: each series as it was logged (a thin line) and as a moving average (a bold line).

    Args:
        title: of the figure.
        series: (label, steps, values, moving average) of each.
        unit: of the values.
        x0: the first step of the axis.
        x1: the last step of the axis.
    """
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
    lines = ""
    for k, (_, x, y, smooth) in enumerate(series):
        if not np.array_equal(smooth, y):
            lines += f'<path class="raw s{k}" d="{_path(px(x), py(y))}"/>'
        lines += f'<path class="s{k}" d="{_path(px(x), py(smooth))}"/>'
    key = "".join(
        f'<span class="s{k}">{escape(label)}</span>' for k, (label, *_) in enumerate(series) if label
    )
    last = " / ".join(short(y[-1]) for _, _, y, _ in series)
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


def _thinned(points: list[tuple[int, float]], smooth: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(steps, values, moving average) of at most `_POINTS` points, each the mean of its share of all points."""
    x, y = np.array(points, np.float64).T
    average = _average(y) if smooth and len(y) > 12 else y
    if len(x) > _POINTS:
        parts = np.array_split(np.arange(len(x)), _POINTS)
        x, y, average = (np.array([v[p].mean() for p in parts]) for v in (x, y, average))
    return x, y, average


def _average(y: np.ndarray) -> np.ndarray:
    """The exponential moving average of values, which follows faster where there are few."""
    weight = min(0.9, 1 - 1 / (1 + len(y) / 40))
    smooth, mean = np.empty_like(y), y[: max(1, min(5, len(y) // 10))].mean()
    for i, value in enumerate(y):
        mean = weight * mean + (1 - weight) * value
        smooth[i] = mean
    return smooth


def _span(series: Sequence[_Series]) -> tuple[float, float]:
    """The least and the largest value of a chart; a few spikes may leave it, so that they do not flatten the rest."""
    raw = np.concatenate([y for _, _, y, _ in series])
    smooth = np.concatenate([s for _, _, _, s in series])
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
