"""The histogram of gradients against a transcription with loops, its dead zone and its cells."""

import hypothesis
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jgan
from jgan.ops import hog


def compiled(f, **options):
    """`f` in one program, its results as NumPy arrays."""
    f = jax.jit(f, **options)
    return lambda *args, **kwargs: jax.device_get(f(*args, **kwargs))


touched = compiled(hog.touched, static_argnums=1)
describe = compiled(hog.describe, static_argnames="cell")
slope = compiled(jax.grad(lambda x: jnp.sum(hog.describe(x)[INSIDE])))


def transcription(image, cell):
    """Section by section from the description, in float64 and with loops."""
    image = np.asarray(image, np.float64)
    grey = (image + 1) / 2
    if image.shape[-1] == 1:
        grey = (1 - grey + 1) / 2
    grey = grey.mean(-1)
    h, w = grey.shape

    def at(y, x):
        return grey[y, x] if 0 <= y < h and 0 <= x < w else 0.0

    a = np.cos(np.pi / 8)
    bins = np.zeros((h, w, 8))
    for y in range(h):
        for x in range(w):
            gx = gy = 0.0
            for d, weight in ((-1, 1), (0, 2), (1, 1)):
                gx += weight * (at(y + d, x + 1) - at(y + d, x - 1)) / 4
                gy += weight * (at(y + 1, x + d) - at(y - 1, x + d)) / 4
            length = np.sqrt(gx**2 + gy**2 + 1e-3)
            for k in range(8):
                t = k * np.pi / 8
                bins[y, x, k] = max(0, (abs(np.cos(t) * gx + np.sin(t) * gy) - a * length) / (1 - a))
    out = np.zeros((h // cell, w // cell, 8))
    for i in range(h // cell):
        for j in range(w // cell):
            for p in range(2 * cell):
                for q in range(2 * cell):
                    y, x = i * cell - cell // 2 + p, j * cell - cell // 2 + q
                    if 0 <= y < h and 0 <= x < w:
                        weight = [(min(r, 2 * cell - 1 - r) + 0.5) / cell for r in (p, q)]
                        out[i, j] += weight[0] * weight[1] * bins[y, x]
    return out


@pytest.mark.parametrize("shape, cell", [((24, 32, 3), 8), ((20, 12, 1), 4)])
def test_equals_the_transcription(shape, cell):
    """Noise under a slope: strong and weak gradients of all directions; a height that is no multiple of the cell."""
    image = np.random.default_rng(0).uniform(-1, 1, shape) * np.linspace(0, 1, shape[1])[None, :, None]
    ours = describe(image.astype(np.float32))
    assert ours.shape == (shape[0] // cell, shape[1] // cell, 8)
    np.testing.assert_allclose(ours, transcription(image, cell), atol=2e-4)


def ramp(strength, angle=0.0):
    """[48, 48, 3] whose Sobel gradient over 4 is `strength` everywhere but at the border."""
    y, x = np.mgrid[:48, :48] - 23.5
    grey = 0.5 + strength / 2 * (
        np.cos(angle) * x + np.sin(angle) * y
    )  # two pixels apart, four weights, over 4
    return np.repeat(2 * grey[..., None] - 1, 3, -1).astype(np.float32)


INSIDE = np.s_[1:-1, 1:-1]  # cells whose window does not meet the image's border


def test_dead_zone():
    """Along a bin: a sqrt(0.001) / sin(pi / 8) = 0.0763; below it neither an answer nor a way back."""
    edge = np.cos(np.pi / 8) * np.sqrt(1e-3) / np.sin(np.pi / 8)
    assert abs(edge - 0.0763) < 1e-4
    for k in range(8):
        assert np.all(describe(ramp(edge * 0.99, k * np.pi / 8))[INSIDE] == 0)
        answer = describe(ramp(edge * 1.02, k * np.pi / 8))[INSIDE]
        assert np.all(answer[..., k] > 0) and np.all(np.delete(answer, k, -1) == 0)
    assert np.all(slope(ramp(edge * 0.99)) == 0)
    assert np.any(slope(ramp(edge * 1.02)) != 0)


def test_a_strong_edge_answers_with_the_window_s_sum():
    """Gradient 1 along bin k: (1 - a sqrt(1.001)) / (1 - a) at each of the pixels, whose weights add up to 64."""
    a = np.cos(np.pi / 8)
    expected = 64 * (1 - a * np.sqrt(1.001)) / (1 - a)
    np.testing.assert_allclose(describe(ramp(1.0, 3 * np.pi / 8))[INSIDE][..., 3], expected, rtol=1e-3)


def test_a_flat_image_has_edges_at_its_border_alone():
    image = np.full((48, 48, 3), 0.4, np.float32)
    assert np.all(describe(image)[INSIDE] == 0) and describe(image)[0, 1, 4] > 0
    assert np.all(slope(image) == 0)


def test_one_channel_has_half_the_contrast_and_small_cells():
    drawing = ramp(0.4)[..., :1]
    assert describe(drawing).shape == (12, 12, 8)
    half = describe(ramp(0.2), cell=4)[INSIDE]
    np.testing.assert_allclose(describe(drawing)[INSIDE], half, atol=1e-4)


@hypothesis.settings(max_examples=20, deadline=None, derandomize=True)
@hypothesis.given(st.integers(0, 23), st.integers(0, 31), st.sampled_from([4, 8]))
def test_touched_cells_are_those_whose_window_holds_the_pixel(y, x, cell):
    mask = np.zeros((24, 32), np.float32)
    mask[y, x] = 1
    expected = np.zeros((24 // cell, 32 // cell), bool)
    for i, j in np.ndindex(expected.shape):
        top, left = i * cell - cell // 2, j * cell - cell // 2
        expected[i, j] = top <= y < top + 2 * cell and left <= x < left + 2 * cell
    assert np.array_equal(touched(mask, cell), expected)


def test_vmapped_is_looped():
    images = np.random.default_rng(0).uniform(-1, 1, (3, 24, 32, 3)).astype(np.float32)
    looped = np.stack([describe(x) for x in images])
    np.testing.assert_allclose(compiled(jax.vmap(hog.describe))(images), looped, atol=1e-4)


def test_images_below_one_cell_are_refused():
    with pytest.raises(jgan.UserError, match="at least 8 pixels"):
        hog.describe(jnp.zeros((4, 16, 3)))
