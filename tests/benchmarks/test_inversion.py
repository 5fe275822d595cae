"""The judge of inversions: its measures against closed forms, and a whole run of it with a tiny generator."""

import numpy as np
import pytest

from benchmarks import inversion
from jgan.data import objects
from jgan.programs import project


def test_psnr_is_that_of_the_known_part_as_shown():
    target = np.full((8, 8, 3), 0.5, np.float32)
    image, known = target.copy(), np.zeros((8, 8), np.float32)
    image[:, :4] += 0.1
    image[:, 4:] = 7.0
    known[:, :4] = 1
    np.testing.assert_allclose(inversion.psnr(image, target, known), 10 * np.log10(4 / 0.01), rtol=1e-5)
    # Shown, 7 is 1: a half is off by .1, the other by .5.
    np.testing.assert_allclose(inversion.psnr(image, target), 10 * np.log10(4 / (0.26 / 2)), rtol=1e-5)


def test_a_seam_is_the_step_across_the_edge_of_a_mask():
    """Of a plane a y + b x: a at upper and lower edges and b at the others, whichever side the mask is."""
    y, x = np.mgrid[:16, :16]
    image = np.repeat((0.02 * y - 0.03 * x)[..., None], 3, -1)
    mask = np.zeros((16, 16), np.float32)
    mask[4:10, 3:] = 1  # twice thirteen pixels along x, and six along y
    expected = (2 * 13 * 0.02 + 6 * 0.03) / (2 * 13 + 6)
    np.testing.assert_allclose(inversion.seam(image, mask), expected, rtol=1e-6)
    np.testing.assert_allclose(inversion.seam(image, 1 - mask), expected, rtol=1e-6)
    jump = np.where(mask[..., None] > 0, 5.0, image)
    outside = np.concatenate([image[3, 3:], image[10, 3:], image[4:10, 2]])
    np.testing.assert_allclose(inversion.seam(jump, mask), np.mean(1 - outside), rtol=1e-6)


def test_medians_are_over_images():
    images = np.arange(4.0).reshape(4, 1, 1, 1) * np.ones((4, 2, 2, 3))
    assert (
        inversion.median(lambda a, b, m: float((a - b).mean() + m.sum()), images, 0 * images, np.ones((2, 2)))
        == 5.5
    )


def test_masks_take_away_a_square_and_know_both_halves_beside_their_border():
    assert inversion.half(16).sum() == 128 and inversion.half(16)[:, :8].all()
    assert (1 - inversion.outside_hole(16)).sum() == 36
    known = inversion.outside_border(inversion.half(64))
    assert known[:, :28].all() and known[:, 36:].all() and not known[:, 31:33].any()


@pytest.mark.parametrize(("value", "met"), [(34.9, False), (35.1, True)])
def test_bars_are_numbers_or_other_figures(value, met):
    result = {"crossover_known": value, "crossover_seam": 35.0, "crossover_seam_paste": value}
    assert inversion.passes(inversion.BARS["crossover_known"], result) is met
    assert inversion.passes(inversion.BARS["crossover_seam"], result) is met


def test_all_of_it_runs(quick_convolutions, styles_run_of, monkeypatch):
    """In chunks of two of three objects; `w_plus` is what a projection into that space gives."""
    # Objects are drawn with 16 pixels or more.
    drawn = objects.Objects
    monkeypatch.setattr(
        objects,
        "Objects",
        lambda size, n, *given: [drawn(2 * size, n, *given)[k][::2, ::2] for k in range(n)],
    )
    run = styles_run_of(8).within("")
    result, shown = inversion.measure(run, 3, batch=2, evaluations=6)
    assert set(result["passed"]) == set(inversion.BARS)
    assert all(images.shape == (3, 8, 8, 3) for images in shown.values())
    assert set(shown) == {"target", "w", "w_plus", "w_plus_noise", "crossover", "known", "inpainting"}
    assert np.isfinite([x for name, x in result.items() if name != "passed"]).all()
    assert result["w_plus"] < result["w_plus_noise"] and len(inversion.page(shown).shape) == 3
    rows = run.within("w_plus")
    projects = project.projector(rows, **inversion.chosen(rows, 6), batch=2)
    made = projects(shown["target"][:2], np.ones((2, 8, 8), np.float32), [0, 1])[1]
    np.testing.assert_allclose(made, shown["w_plus"][:2], atol=1e-4)
