"""Distances between two images: l1, PSNR and SSIM.

Every function takes one pair of images [h, w, c] as numpy arrays with values in [-1, 1] and returns a
Python float computed in float64. The score of a set is the mean over images. SSIM is that of Wang, Bovik,
Sheikh, Simoncelli, "Image quality assessment: from error visibility to structural similarity" (2004).
"""

import math

import numpy as np

import jgan

RANGE = 2.0  # of values in [-1, 1]


def l1(output: np.ndarray, target: np.ndarray) -> float:
    """The mean absolute difference over pixels and channels, in units of [-1, 1]: 0 to 2."""
    output, target = _pair(output, target)
    return float(np.mean(np.abs(output - target)))


def psnr(output: np.ndarray, target: np.ndarray, ceiling: float = 100.0) -> float:
    """The peak signal-to-noise ratio in dB, 10 log10(range^2 / mean squared error), range 2.

    It grows without bound as the images become equal; `ceiling` is its largest value, so that the mean over a set with
    one perfect image is finite. 100 dB is far above 8-bit rounding (58.9 dB).
    """
    output, target = _pair(output, target)
    error = float(np.mean((output - target) ** 2))
    if error == 0.0:
        return ceiling
    return min(ceiling, 10.0 * math.log10(RANGE**2 / error))


def ssim(output: np.ndarray, target: np.ndarray) -> float:
    """The mean structural similarity, -1 to 1, 1 for equal images; for colour the mean over channels.

    Equation 13 with an 11x11 Gaussian window of sigma 1.5, population covariance, K1 = .01 and K2 = .03, over the
    windows that lie completely inside the image, so that no padding is needed.

    Raises:
        jgan.UserError: the image is smaller than the window.
    """
    output, target = _pair(output, target)
    if min(output.shape[:2]) < WINDOW.size:
        h, w = output.shape[:2]
        raise jgan.UserError(f"ssim needs images of at least {WINDOW.size} pixels a side, not {h}x{w}")
    c1, c2 = (0.01 * RANGE) ** 2, (0.03 * RANGE) ** 2
    mx, my = _blur(output), _blur(target)
    vx = _blur(output * output) - mx * mx
    vy = _blur(target * target) - my * my
    vxy = _blur(output * target) - mx * my
    luminance = (2 * mx * my + c1) / (mx * mx + my * my + c1)
    structure = (2 * vxy + c2) / (vx + vy + c2)
    return float(np.mean(luminance * structure))


def _window(size: int, sigma: float) -> np.ndarray:
    """The weights [size] of a Gaussian window, whose sum is 1."""
    x = np.arange(size) - (size - 1) / 2
    w = np.exp(-(x**2) / (2 * sigma**2))
    return w / w.sum()


WINDOW = _window(11, 1.5)


def _blur(x: np.ndarray) -> np.ndarray:
    """Gaussian means [h - 10, w - 10, c]: the window is the product of a column and a row."""
    n = WINDOW.size
    rows = sum(w * x[i : x.shape[0] - n + 1 + i] for i, w in enumerate(WINDOW))
    return sum(w * rows[:, i : x.shape[1] - n + 1 + i] for i, w in enumerate(WINDOW))


def _pair(output: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both images as float64, of one shape."""
    output, target = np.asarray(output, np.float64), np.asarray(target, np.float64)
    if output.shape != target.shape or output.ndim != 3:
        raise ValueError(f"not a pair of images [h, w, c] of one shape: {output.shape} and {target.shape}")
    return output, target
