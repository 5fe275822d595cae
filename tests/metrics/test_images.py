"""Distances between images: closed forms, symmetries, and SSIM against its definition written as loops."""

import math

import numpy as np
import pytest

import jgan
from jgan.metrics import images


def pair(seed=0, shape=(17, 14, 3)):
    rng = np.random.default_rng(seed)
    a = rng.uniform(-1, 1, shape)
    return a, np.clip(a + rng.normal(0, 0.3, shape), -1, 1)


def slow_ssim(a, b):
    """Equation 13 of Wang et al. 2004, one window and channel after the other."""
    g = np.array(
        [[math.exp(-((i - 5) ** 2 + (j - 5) ** 2) / (2 * 1.5**2)) for j in range(11)] for i in range(11)]
    )
    g /= g.sum()
    c1, c2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2
    values = []
    for y in range(a.shape[0] - 10):
        for x in range(a.shape[1] - 10):
            for c in range(a.shape[2]):
                u, v = a[y : y + 11, x : x + 11, c], b[y : y + 11, x : x + 11, c]
                mu, mv = (g * u).sum(), (g * v).sum()
                su, sv = (g * (u - mu) ** 2).sum(), (g * (v - mv) ** 2).sum()
                suv = (g * (u - mu) * (v - mv)).sum()
                values.append((2 * mu * mv + c1) * (2 * suv + c2) / ((mu**2 + mv**2 + c1) * (su + sv + c2)))
    return np.mean(values)


def test_equal_images():
    a, _ = pair()
    assert images.l1(a, a) == 0
    assert images.psnr(a, a) == 100
    assert images.ssim(a, a) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("metric", [images.l1, images.psnr, images.ssim])
def test_symmetric_and_blind_to_mirroring_and_channel_order(metric):
    a, b = pair()
    value = metric(a, b)
    assert metric(b, a) == pytest.approx(value, rel=1e-12)
    assert metric(a[:, ::-1], b[:, ::-1]) == pytest.approx(value, rel=1e-12)
    assert metric(a[..., ::-1], b[..., ::-1]) == pytest.approx(value, rel=1e-12)


def test_closed_forms():
    black, white = np.full((12, 12, 1), -1.0), np.full((12, 12, 1), 1.0)
    assert images.l1(black, white) == 2
    assert images.psnr(black, white) == 0  # the error is the whole range
    assert images.psnr(black, black + 0.2) == pytest.approx(20)
    # Of constant images only the luminance term is left.
    x, y, c1 = 0.5, -0.3, (0.01 * 2) ** 2
    expected = (2 * x * y + c1) / (x * x + y * y + c1)
    assert images.ssim(black * -x, black * -y) == pytest.approx(expected, rel=1e-9)
    # 8-bit rounding, uniform errors of a 127.5th: 10 log10(4 * 12 * 127.5^2).
    a = np.random.default_rng(0).uniform(-1, 1, (200, 200, 3))
    assert images.psnr(a, np.rint((a + 1) * 127.5) / 127.5 - 1) == pytest.approx(58.92, abs=0.05)


def test_psnr_and_l1_average_over_all_pixels():
    a, b = pair()
    assert images.l1(a, b) == pytest.approx(np.abs(a - b).sum() / a.size)
    assert images.psnr(a, b) == pytest.approx(10 * np.log10(4 / (((a - b) ** 2).sum() / a.size)))


@pytest.mark.parametrize("shape", [(11, 11, 1), (17, 14, 3)])
def test_ssim_is_its_definition(shape):
    a, b = pair(1, shape)
    assert images.ssim(a, b) == pytest.approx(slow_ssim(a, b), rel=1e-10)


def test_ssim_of_a_known_pair():
    """As scikit-image 0.26, gaussian_weights=True, use_sample_covariance=False, data_range=2."""
    y, x = np.mgrid[0:32, 0:40] / 8.0
    a = np.stack([np.sin(x), np.cos(y), np.sin(x * y)], -1)
    b = np.stack([np.sin(x + 0.3), np.cos(y) * 0.8, np.sin(x * y) + 0.1 * np.cos(9 * x)], -1)
    assert images.ssim(a, b) == pytest.approx(0.8597239118630667, abs=1e-9)


def test_ssim_is_that_of_another_library():
    skimage = pytest.importorskip("skimage.metrics", reason="requirements-test.txt has scikit-image")
    a, b = pair(2, (30, 41, 3))
    wanted, each = skimage.structural_similarity(
        a, b, gaussian_weights=True, use_sample_covariance=False, data_range=2, channel_axis=-1, full=True
    )
    # Its mean leaves a border out, which is that of the windows that lie inside.
    assert images.ssim(a, b) == pytest.approx(wanted, abs=1e-9)
    assert images.ssim(a, b) == pytest.approx(each[5:-5, 5:-5].mean(), abs=1e-9)


def test_float32_pictures_give_the_same_to_their_precision():
    a, b = pair()
    for metric in (images.l1, images.psnr, images.ssim):
        assert metric(a.astype(np.float32), b.astype(np.float32)) == pytest.approx(metric(a, b), rel=1e-5)


def test_what_is_no_pair_is_refused():
    with pytest.raises(ValueError, match="one shape"):
        images.l1(np.zeros((4, 4, 3)), np.zeros((4, 4, 1)))
    with pytest.raises(jgan.UserError, match="at least 11 pixels a side, not 10x12"):
        images.ssim(np.zeros((10, 12, 3)), np.zeros((10, 12, 3)))
